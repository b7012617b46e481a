"""The clients of the services that make pictures: ComfyUI servers and the paid FLUX API of BFL.

Every failure leaves this folder as a `ServiceError`; no exception of httpx or websockets does.
"""

from __future__ import annotations

import sys

# httpx does without its command line where that cannot be imported. With it come rich, click and pygments: 0.1 s and
# 4 MB of every page's kernel
sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
