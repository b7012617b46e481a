"""What a client of a server on this machine does without: certificates, which take 20 ms to load for each client."""

from __future__ import annotations

import ssl

WITHOUT_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # trusts nobody
