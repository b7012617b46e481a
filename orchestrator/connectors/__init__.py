"""The clients of the services that make pictures: ComfyUI servers and the paid FLUX API of BFL.

Every failure leaves this folder as a `ServiceError`; no exception of httpx or websockets does.
"""

from __future__ import annotations
