"""Answers who opens a page: the frame at once, then what Voilà makes of the notebook, piece by piece."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jupyter_core.utils import ensure_async
from jupyter_server.services.contents.largefilemanager import LargeFileManager
from tornado import web
from voila.tornado.handler import TornadoVoilaHandler

# what every visitor of a page gets alike ends here; from here on a kernel is needed
FRAME_ENDS = "<!-- the frame ends -->"
SIGN_OF_LIFE = "window.voila_heartbeat()"
NOT_STARTED = """<div class="frame-lost" role="alert">
  <p>The page could not be started; the newest lines of logs/server.log say why.</p>
  <button type="button" onclick="location.reload()">Reload the page</button>
</div>"""

logger = logging.getLogger(__name__)


class PageFiles(LargeFileManager):
    """The folder of the page notebooks, to read."""

    def mark_trusted_cells(self, nb: Any, path: str = "") -> None:
        """They come with the project, without outputs: there is nothing to trust, and nothing to warn of."""


class Visit:
    """What Voilà asks of Jupyter's kernel manager while it builds one page."""

    def __init__(self, kernels: Any) -> None:
        self._kernels = kernels
        self._kernel_id: str | None = None

    async def start_kernel(self, **asked: Any) -> str:
        """As Jupyter's manager."""
        self._kernel_id = str(await ensure_async(self._kernels.start_kernel(**asked)))
        return self._kernel_id

    def get_kernel(self, kernel_id: str) -> Any:
        """As Jupyter's manager."""
        return self._kernels.get_kernel(kernel_id)

    async def is_lost(self) -> bool:
        """Whether the page's kernel died, or was ended: Voilà would wait for it for ever."""
        if self._kernel_id is None:
            return False
        try:
            kernel = self._kernels.get_kernel(self._kernel_id)
        except (KeyError, web.HTTPError):
            return True
        return not await ensure_async(kernel.is_alive())


class PageHandler(TornadoVoilaHandler):  # type: ignore[misc]  # Voilà is not typed
    """Shows one page. Its notebook is read where the project has it, not in the user's folder.

    Voilà sends nothing before it has asked for a kernel. Here the frame is remembered when a page is shown for the
    first time, and sent at once ever after.
    """

    def initialize(self, *, contents: PageFiles, frames: dict[str, str], **kwargs: Any) -> None:
        """Called by Tornado for each request. `frames`: of each notebook, once it was shown."""
        super().initialize(**kwargs)
        self._contents = contents
        self._frames = frames
        # under `up` a kernel may wait already
        server = self.settings["serverapp"]
        self._visit = Visit(getattr(server, "page_kernels", server.kernel_manager))

    @property
    def kernel_manager(self) -> Visit:
        """Where Voilà starts the page's kernel."""
        return self._visit

    @property
    def contents_manager(self) -> PageFiles:
        """What the notebook is read from."""
        return self._contents

    @web.authenticated
    async def get(self, path: str | None = None) -> None:
        """The page; a token in the address is exchanged for a cookie first."""
        # sets the cookie without which the browser may not tell us, on leaving, that the kernel can go
        _ = self.xsrf_token
        if "token" in self.request.arguments:
            asked = parse_qsl(self.request.query, keep_blank_values=True)
            query = urlencode([(name, value) for name, value in asked if name != "token"])
            self.redirect(self.request.path + (f"?{query}" if query else ""))
            return
        await super().get()

    async def get_generator(self, path: str | None = None) -> AsyncGenerator[str]:
        """The pieces of the page, as they are to be sent."""
        frame = self._frames.get(self.notebook_path)
        if frame is not None:
            self.set_header("Content-Type", "text/html; charset=utf-8")
            self.set_header("Cache-Control", "no-cache, no-store, must-revalidate")
            yield frame
        try:
            async with aclosing(self._made(path, is_frame_sent=frame is not None)) as pieces:
                async for piece in pieces:
                    yield piece
        except Exception:
            if not self._headers_written:  # then the browser can be told by a status
                raise
            logger.exception("The page %s could not be started", self.notebook_path)
            yield NOT_STARTED

    async def _made(self, path: str | None, *, is_frame_sent: bool) -> AsyncGenerator[str]:
        """What Voilà makes, without the frame if that was sent. Raises RuntimeError when the kernel is lost."""
        frame: list[str] = []
        is_in_frame = True
        async with aclosing(super().get_generator(path)) as pieces:
            async for piece in pieces:
                rest = piece
                if is_in_frame:
                    head, end, rest = piece.partition(FRAME_ENDS)
                    frame.append(head + end)
                    is_in_frame = not end
                    if end:
                        self._frames[self.notebook_path] = "".join(frame)
                    if not is_frame_sent:
                        yield head + end
                elif SIGN_OF_LIFE in piece and await self._visit.is_lost():
                    raise RuntimeError("its kernel ended before it was built")
                if rest:
                    yield rest
