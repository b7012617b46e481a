"""What the tests of pages start with: a lab that is served, a browser, and where both come from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "server"))
from browser import DESKTOP, Resting, chromium
from served_lab import ServedLab

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

PATIENCE_MS = 40_000  # the machine may be busy with other things


@pytest.fixture(scope="module")
def served(lab_of_all: ServedLab) -> ServedLab:
    """A lab in which nothing has been asked for yet."""
    lab_of_all.clear()
    return lab_of_all


@pytest.fixture(scope="session")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Resting]:
    """One browser for all modules: to start one takes seconds, and a new one has compiled no script."""
    profile = tmp_path_factory.mktemp("profile")
    with chromium(profile, permissions=["clipboard-read", "clipboard-write"]) as context:
        from playwright.sync_api import expect

        expect.set_options(timeout=PATIENCE_MS)
        context.set_default_timeout(PATIENCE_MS)
        resting = Resting(context)
        yield resting
        resting.wake()  # to be closed


@pytest.fixture(scope="module")
def browser(window: Resting) -> Iterator[BrowserContext]:
    """A browser that lets pages use the clipboard. Nobody is logged in, no theme is chosen, no lab's page is open."""
    with window.awake() as context:
        kept = {"origin": "*", "storageTypes": "cookies,local_storage"}
        session = context.new_cdp_session(context.pages[0])
        session.send("Storage.clearDataForOrigin", kept)
        session.detach()
        yield context
        for page in context.pages[1:]:
            page.close()


@pytest.fixture(scope="module")
def tab(browser: BrowserContext) -> Iterator[Page]:
    """The browser's first tab, for all modules: a new one is a new process, in which every script is compiled anew."""
    tab = browser.pages[0]
    yield tab
    tab.set_viewport_size(DESKTOP)
    # there the tab keeps its process, as on a blank page it would not
    tab.goto(urljoin(tab.url, "/api/status"))
