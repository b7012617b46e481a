"""The websockets: who is connected, what each understands, and how messages and previews are framed."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from PIL import Image
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from orchestrator.engine import painter
from orchestrator.engine.door import guard
from orchestrator.engine.faults import Faults
from orchestrator.engine.wording import Floats

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine

JSON = Any

PREVIEW, PREVIEW_WITH_METADATA = 1, 4  # the first four bytes of a binary message
JPEG = 1
PREVIEW_SIDE = 384
MOST_UNSENT = 8  # further previews are left out for a client that has not taken these


class Sockets:
    """All open websockets by client id. `send` and `send_preview` may be called from any thread."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._open: dict[str, SocketHandler] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def __len__(self) -> int:
        return len(self._open)

    def add(self, sid: str, socket: SocketHandler) -> None:
        self._open[sid] = socket

    def remove(self, sid: str, socket: SocketHandler) -> None:
        # Only its own entry: a client that came back under its id before the old socket ended must keep hearing us.
        if self._open.get(sid) is socket:
            del self._open[sid]

    def send(self, event: str, body: dict[str, JSON], sid: str | None = None) -> None:
        """Send to one client, or to all when `sid` is None."""
        text = json.dumps({"type": event, "data": body})
        self._call(self._deliver, text, sid)

    def send_preview(self, latent: Floats, where: dict[str, JSON], sid: str | None) -> None:
        """Send a picture of a half-painted latent; called in the worker thread, which encodes it."""
        if not (self._open if sid is None else sid in self._open):
            return
        jpeg = _jpeg(latent)
        meta = json.dumps({**where, "image_type": "image/jpeg"}).encode()
        plain = struct.pack(">II", PREVIEW, JPEG) + jpeg
        rich = struct.pack(">II", PREVIEW_WITH_METADATA, len(meta)) + meta + jpeg
        self._call(self._deliver_preview, plain, rich, sid)

    def drop(self) -> None:
        """Close every socket without a word."""
        for socket in list(self._open.values()):
            socket.abort()
        self._open.clear()

    def _call(self, function: Any, *args: Any) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(function, *args)

    def _receivers(self, sid: str | None) -> list[SocketHandler]:
        if self._faults.silent_sockets:
            return []
        if sid is None:
            return list(self._open.values())
        return [self._open[sid]] if sid in self._open else []

    def _deliver(self, text: str, sid: str | None) -> None:
        for socket in self._receivers(sid):
            socket.say(text)

    def _deliver_preview(self, plain: bytes, rich: bytes, sid: str | None) -> None:
        for socket in self._receivers(sid):
            socket.show(rich if socket.takes_metadata else plain)


def _jpeg(latent: Floats) -> bytes:
    image = Image.fromarray(painter.glance(latent))
    scale = PREVIEW_SIDE / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    buffer = io.BytesIO()
    image.resize(size, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


class SocketHandler(WebSocketHandler):
    """One `/ws` connection."""

    def initialize(self, engine: Engine) -> None:
        self.engine = engine
        self.sid = ""
        self.unsent = 0  # previews
        self.takes_metadata = False
        self._heard = False

    async def prepare(self) -> None:
        await guard(self, self.engine)

    def check_origin(self, origin: str) -> bool:
        return True  # `prepare` has judged it, by ComfyUI's rule

    def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        self.sid = self.get_query_argument("clientId", "") or uuid4().hex
        sockets: Sockets = self.engine.sockets
        sockets.add(self.sid, self)
        sockets.send("status", self.engine.status() | {"sid": self.sid}, self.sid)
        running = self.engine.node_of(self.sid)
        if running is not None:  # it came back while its prompt runs
            sockets.send("executing", {"node": running}, self.sid)

    def on_message(self, message: str | bytes) -> None:
        first, self._heard = not self._heard, True
        try:
            said = json.loads(message)
            flags = said["data"] if said["type"] == "feature_flags" else None
        except (ValueError, TypeError, KeyError):
            return
        if first and isinstance(flags, dict):
            self.takes_metadata = bool(flags.get("supports_preview_metadata"))
            self.engine.sockets.send("feature_flags", self.engine.dialect.features, self.sid)

    def on_close(self) -> None:
        self.engine.sockets.remove(self.sid, self)

    def say(self, message: str | bytes) -> None:
        binary = isinstance(message, bytes)
        try:
            written = self.write_message(message, binary=binary)
        except WebSocketClosedError:
            return
        if binary:
            self.unsent += 1
        written.add_done_callback(lambda future: self._said(future, binary=binary))

    def show(self, preview: bytes) -> None:
        if self.unsent < MOST_UNSENT:
            self.say(preview)

    def _said(self, written: asyncio.Future[None], *, binary: bool) -> None:
        self.unsent -= binary
        if not written.cancelled():
            written.exception()  # a socket that closed meanwhile is no news

    def abort(self) -> None:
        """End the connection as a lost network does: without a closing handshake."""
        stream = getattr(self.ws_connection, "stream", None)
        if stream is not None:
            stream.close()
