"""A ComfyUI server as such: one request to it, its refusals, what it is and what it can do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import httpx
import orjson
from pydantic import ValidationError

from orchestrator.connectors import http
from orchestrator.connectors.comfyui_info import ObjectInfo, SystemStats
from orchestrator.connectors.comfyui_upload import Upload, stored_name
from orchestrator.errors import (
    NotAuthorised,
    RateLimited,
    RequestRejected,
    ServiceBroken,
    ServiceError,
    ServiceTimeout,
)

# The connection broke: the server may have closed it just then, so that once more is worth the try.
BROKEN_OFF = (httpx.NetworkError, httpx.RemoteProtocolError)


class Server:
    """The routes that know no prompt. `ComfyUI` adds the prompts.

    `url` may carry a user and a password for a proxy in front of the server; no message shows them.
    """

    service = "comfyui"

    def __init__(
        self, url: str, *, transport: httpx.AsyncBaseTransport | None, info_age_s: float
    ) -> None:
        self.url = url.rstrip("/")
        self.host = http.host_of(self.url)
        self._client = http.client(self.url, transport=transport)
        self._info_age_s = info_age_s
        self._info: tuple[float, ObjectInfo] | None = None
        self.clock_skew_s: float | None = None  # how far our clock was ahead at the newest answer

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.host!r})"

    async def close(self) -> None:
        """Close the connections. Prompts go on on the server."""
        await self._client.aclose()

    async def object_info(self) -> ObjectInfo:
        """What the server's nodes are and take; remembered for a short while. Raises ServiceError."""
        now = time.monotonic()
        if self._info is None or now - self._info[0] > self._info_age_s:
            self._info = (now, ObjectInfo(await self._get("/object_info")))
        return self._info[1]

    def forget_info(self) -> None:
        """Ask anew next time: somebody may have added what was missing."""
        self._info = None

    async def checkpoints(self) -> list[str]:
        """The names of the server's checkpoints. Raises ServiceError."""
        try:
            info = await self.object_info()
            if names := info.options("CheckpointLoaderSimple", "ckpt_name"):
                return names
        except (ServiceBroken, ServiceTimeout):
            pass  # one bad custom node is enough to break /object_info
        reply = await self._send("GET", "/models/checkpoints")
        if not reply.is_ok:
            raise self._refusal(reply)
        names = reply.json()
        return [str(name) for name in names] if isinstance(names, list) else []

    async def queue_length(self) -> int:
        """How many prompts the server has, the running one included; it answers from memory. Raises ServiceError."""
        answer = await self._get("/prompt")
        match answer:
            case {"exec_info": {"queue_remaining": int(remaining)}}:
                return max(0, remaining)
        raise ServiceBroken(f"{self.service} at {self.host} does not tell the length of its queue")

    async def system_stats(self) -> SystemStats:
        """The server's version, memory, devices and the length of its queue. Raises ServiceError."""
        stats, prompt = await asyncio.gather(self._get("/system_stats"), self._get("/prompt"))
        exec_info = prompt.get("exec_info")
        remaining = exec_info.get("queue_remaining") if isinstance(exec_info, dict) else None
        system = stats.get("system")
        try:
            return SystemStats.model_validate(
                {
                    **(system if isinstance(system, dict) else {}),
                    "devices": stats.get("devices") or (),
                    "queue_remaining": remaining,
                }
            )
        except ValidationError as error:
            raise ServiceBroken(
                f"{self.service} at {self.host} describes itself in an unknown way"
            ) from error

    async def upload_image(self, data: bytes, *, name: str) -> str:
        """Give the server a picture. Returns what the `image` input of LoadImage takes, such as "orchestrator/x.png".

        The same bytes under the same name are kept once; other bytes get another name, so that no waiting prompt
        loses its picture. Of `name` only the last part counts. Raises RequestRejected, also for a picture that is
        too large for the server, and other ServiceErrors.
        """
        upload = Upload.of(data, name=name)
        try:
            reply = await self._upload(upload)
        except ServiceError as error:
            if not isinstance(error.__cause__, BROKEN_OFF):
                raise
            # a connection that the server had just closed; what did arrive is found again by its bytes
            reply = await self._upload(upload)
        if reply.status in (400, 413):
            raise upload.refusal(reply)
        if not reply.is_ok:
            raise self._refusal(reply)
        return stored_name(reply.document())

    async def _upload(self, upload: Upload) -> http.Reply:
        return await self._send("POST", "/upload/image", body=upload.body, headers=upload.headers)

    # ---------------------------------------------------------------- one request

    async def _send(
        self,
        method: str,
        path: str,
        *,
        body: bytes | None = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        limit_bytes: int = http.JSON_LIMIT_BYTES,
    ) -> http.Reply:
        reply = await http.exchange(
            self._client,
            method,
            f"{self.url}{path}",
            service=self.service,
            host=self.host,
            body=body,
            params=params,
            headers=headers,
            limit_bytes=limit_bytes,
        )
        self.clock_skew_s = reply.clock_skew_s
        return reply

    async def _get(self, path: str) -> dict[str, Any]:
        reply = await self._send("GET", path)
        if not reply.is_ok:
            raise self._refusal(reply)
        return reply.document()

    async def _expect_ok(self, method: str, path: str, document: Mapping[str, Any]) -> None:
        reply = await self._send(method, path, body=orjson.dumps(document))
        if not reply.is_ok:
            raise self._refusal(reply)

    def _refusal(self, reply: http.Reply) -> ServiceError:
        """The error for a status that is no success, of any route."""
        told = f"{self.service} at {self.host} answered {reply.status}"
        match reply.status:
            case 401 | 403:
                return NotAuthorised(
                    f"{told}: it, or a proxy in front of it, refuses us",
                    remedy="Put user and password into COMFY_URL (http://user:password@host:port).",
                )
            case 413:
                return RequestRejected(
                    f"{told}: the workflow is too large for it",
                    remedy="Use smaller images, or start ComfyUI with a larger --max-upload-size.",
                )
            case 429:
                return RateLimited(told, retry_after_s=reply.retry_after_s)
            case 503 if reply.retry_after_s is not None:
                return RateLimited(told, retry_after_s=reply.retry_after_s)
            case status if 300 <= status < 400:
                return ServiceBroken(
                    f"{told}: it sends us elsewhere",
                    remedy="Correct COMFY_URL: the address itself must answer, without a redirect.",
                )
            case status if status >= 500:
                return ServiceBroken(f"{told}: {reply.text()}" if reply.body else told)
        return ServiceBroken(
            f"{told}: {reply.text()}",
            remedy="Make sure that COMFY_URL is the address of a ComfyUI server.",
        )
