"""The pages: notebooks that come with the project, each shown by Voilà at an address of its own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_server.utils import url_path_join
from traitlets.config import Config
from voila.configuration import VoilaConfiguration
from voila.paths import collect_template_paths

from orchestrator.server.front_end import front_end
from orchestrator.server.page_handler import PageFiles, PageHandler
from orchestrator.server.templates import CompiledOnce

TEMPLATE = "orchestrator"
PACKAGE = Path(__file__).resolve().parent.parent
SHARE = PACKAGE / "server" / "share"
# what a page needs of JupyterLab; Voilà would load every extension that is installed
FRONT_END = [
    "@jupyter-widgets/jupyterlab-manager",
    "@voila-dashboards/widgets-manager8",
    "anywidget",
]


@dataclass(frozen=True)
class Page:
    """A page at `/{slug}`, with its name in the navigation and its notebook in `dashboards/`."""

    slug: str
    title: str
    notebook: str


PAGES = (
    Page("dashboard", "Dashboard", "index.ipynb"),
    Page("canvas", "Canvas", "canvas.ipynb"),
    Page("batches", "Batches", "batches.ipynb"),
    Page("builder", "Builder", "builder.ipynb"),
    Page("parts", "Parts", "parts.ipynb"),
    Page("diagnostics", "Diagnostics", "diagnostics.ipynb"),
)
HOME = PAGES[0]
# how often a page that takes long gets a sign of life, and its kernel is looked at
KEEP_ALIVE_S = 3


def folder() -> Path:
    """Where the page notebooks are: inside an installed package, or beside the package in a checkout."""
    installed = PACKAGE / "_pages"
    return installed if installed.is_dir() else PACKAGE.parent / "dashboards"


def there(pages: Path) -> list[Page]:
    """The pages whose notebook is in the folder."""
    return [page for page in PAGES if (pages / page.notebook).is_file()]


def configure(config: Config, pages: list[Page]) -> None:
    """Have Voilà use the lab's template for everything it shows, and nothing from another host."""
    look_in("JUPYTER_PATH", SHARE)
    wanted = config.VoilaConfiguration
    wanted.template = TEMPLATE
    wanted.allow_template_override = wanted.allow_theme_override = "NO"
    wanted.extension_allowlist = FRONT_END
    wanted.page_config_hook = _without_cdn
    config.VoilaExporter.preprocessors = [CompiledOnce]
    wanted.http_keep_alive_timeout = KEEP_ALIVE_S
    navigation = [
        {"slug": page.slug, "title": page.title, "name": Path(page.notebook).stem} for page in pages
    ]
    wanted.resources = {"lab": {"pages": navigation, "home": HOME.slug}}


def look_in(variable: str, folder: Path) -> None:
    """Have Jupyter look in one more folder. It reads the variable whenever it looks for something."""
    known = os.environ.get(variable, "").split(os.pathsep)
    if str(folder) not in known:
        os.environ[variable] = os.pathsep.join([str(folder), *filter(None, known)])


def handlers(config: Config, base_url: str, pages: Path) -> list[tuple[Any, ...]]:
    """A route for each page that exists. `config` is the server's; it is not changed."""
    found = there(pages)
    config = Config(config)
    configure(config, found)
    scripts = front_end(TEMPLATE)
    if scripts is not None:
        config.VoilaConfiguration.resources["lab"]["scripts"] = scripts.address
    common = {
        "config": config,
        "template_paths": collect_template_paths(["voila", "nbconvert"], TEMPLATE),
        "contents": PageFiles(root_dir=str(pages)),
        "frames": {},
    }
    routes = [] if scripts is None else [scripts.handler(base_url)]
    return routes + [
        (
            url_path_join(base_url, page.slug),
            PageHandler,
            {**common, "notebook_path": page.notebook, "voila_configuration": _voila(config, page)},
        )
        for page in found
    ]


def _voila(config: Config, page: Page) -> Any:
    def entitle(_handler: Any, notebook: Any, cwd: str) -> None:
        notebook.metadata["title"] = f"{page.title} · Orchestrator"

    return VoilaConfiguration(config=config, prelaunch_hook=entitle)


def _without_cdn(page_config: dict[str, Any], **_: Any) -> dict[str, Any]:
    # Voilà fetches MathJax from a CDN on every page unless both of these say "null"; then it uses its own copy
    return {**page_config, "fullMathjaxUrl": "null", "mathjaxConfig": "null"}
