"""The pages: notebooks of the `dashboards` folder, rendered by Voilà under friendly addresses.

They are read from where the package is installed, so a lab's own folder needs no copy of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from jupyter_server.utils import url_path_join
from tornado import web
from voila.configuration import VoilaConfiguration
from voila.paths import collect_template_paths
from voila.tornado.handler import TornadoVoilaHandler

PACKAGE = Path(__file__).resolve().parent.parent
TEMPLATES = PACKAGE / "server" / "share"  # to be on JUPYTER_PATH


@dataclass(frozen=True)
class Page:
    """A page: its address, its name in the navigation, its notebook."""

    route: str
    title: str
    notebook: str


PAGES = (Page("dashboard", "Dashboard", "index.ipynb"),)
HOME = "/" + PAGES[0].route


def folder() -> Path:
    """Where the notebooks of the pages lie: inside an installed package, or beside it in a checkout."""
    installed = PACKAGE / "_pages"
    return installed if installed.is_dir() else PACKAGE.parent / "dashboards"


def navigation() -> list[dict[str, str]]:
    """What the page template shows at the top."""
    return [
        {"route": page.route, "title": page.title, "name": Path(page.notebook).stem}
        for page in PAGES
    ]


class PageHandler(TornadoVoilaHandler):  # type: ignore[misc]
    """One page, behind Jupyter's log-in."""

    def initialize(self, *, page: Page, contents: AsyncLargeFileManager, **voila: Any) -> None:
        """Render this page's notebook, whatever the address."""
        super().initialize(**voila)
        self.notebook_path = page.notebook
        self._contents = contents

    @property
    def contents_manager(self) -> AsyncLargeFileManager:
        """The pages' own folder, not the user's files."""
        return self._contents

    @web.authenticated
    async def get(self, path: str | None = None) -> None:
        """The page; an address with a token is first replaced by one without."""
        # asking for it sets the cookie: without it the browser may not end the page's kernel when the tab closes
        _ = self.xsrf_token
        query = parse_qsl(self.request.query, keep_blank_values=True)
        kept = [(name, value) for name, value in query if name != "token"]
        if kept != query:
            self.redirect(self.request.path + (f"?{urlencode(kept)}" if kept else ""))
            return
        async for html in self.get_generator():
            self.write(html)
            await self.flush()


def handlers(app: Any) -> list[tuple[str, type[PageHandler], dict[str, Any]]]:
    """The routes of all pages."""
    configuration = VoilaConfiguration(parent=app)
    arguments = {
        "config": app.config,
        "template_paths": collect_template_paths(["voila", "nbconvert"], configuration.template),
        "voila_configuration": configuration,
        "contents": AsyncLargeFileManager(parent=app, root_dir=str(folder())),
    }
    return [
        (url_path_join(app.base_url, page.route), PageHandler, {"page": page, **arguments})
        for page in PAGES
    ]
