"""The scripts that every page begins with, as one file: Voilà has them in six dozen, each with its own way to go."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from tornado import web
from voila.paths import collect_static_paths

MAIN = "voila.js"
# those of Voilà 0.5.13 (the version that is required) that a page has loaded when its widgets are there
CHUNKS = (
    *(73, 143, 225, 431, 457, 614, 630, 1187, 1601, 1621, 1670, 1996, 2121, 2296, 2772, 2829),
    *(2930, 3144, 3249, 3307, 3311, 3459, 3649, 3916, 3989, 3992, 4041, 4135, 4173, 4222, 4371),
    *(4486, 4653, 4729, 4875, 4972, 5044, 5312, 5688, 5764, 5767, 5992, 6008, 6049, 6074, 6305),
    *(6382, 6468, 6573, 7155, 7245, 7259, 7393, 7483, 7556, 7598, 7770, 7883, 8017, 8135, 8487),
    *(8766, 8773, 8862, 8925, 9081, 9151, 9212, 9582, 9684, 9890, 9981),
)
A_YEAR_S = 365 * 24 * 3600


@dataclass(frozen=True)
class FrontEnd:
    """The scripts, and their address below that of the server; it is another one when they are."""

    script: bytes
    address: str

    def handler(self, base_url: str) -> tuple[Any, ...]:
        """The route that the scripts are fetched from."""
        path = url_path_join(base_url, self.address.partition("?")[0])
        return path, FrontEndHandler, {"script": self.script}


class FrontEndHandler(JupyterHandler):
    """Gives who is logged in the scripts, to be kept."""

    def initialize(self, script: bytes) -> None:
        """Called by Tornado for each request."""
        super().initialize()
        self._script = script

    @web.authenticated
    async def get(self) -> None:
        """The scripts."""
        self.set_header("Content-Type", "text/javascript; charset=utf-8")
        self.set_header("Cache-Control", f"private, max-age={A_YEAR_S}, immutable")
        await self.finish(self._script)


def front_end(template: str) -> FrontEnd | None:
    """What is there of the scripts for pages of that template of Voilà's, or None where Voilà keeps them otherwise.

    A script that is missing in the one file is fetched by itself when the page asks for it.
    """
    folders = [Path(folder) for folder in collect_static_paths(["voila", "nbconvert"], template)]
    folder = next((each for each in folders if (each / MAIN).is_file()), None)
    if folder is None:
        return None
    chunks = [folder / f"{number}.{MAIN}" for number in CHUNKS]
    # as each is strict, or not, by a first line of its own, each is a function of its own
    parts = [b"(()=>{%b\n})();\n" % chunk.read_bytes() for chunk in chunks if chunk.is_file()]
    # what is there before it begins it takes for loaded
    script = b"".join([*parts, (folder / MAIN).read_bytes()])
    return FrontEnd(script, f"voila/front-end.js?v={hashlib.sha256(script).hexdigest()[:20]}")
