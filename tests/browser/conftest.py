"""What the tests of pages start with: a lab that is served, a browser, and where both come from."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

sys.path.append(str(Path(__file__).resolve().parent.parent / "server"))
from browser import chromium
from served_lab import ServedLab

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

PATIENCE_MS = 40_000  # the machine may be busy with other things


@pytest.fixture(scope="module")
def served(lab_of_all: ServedLab) -> ServedLab:
    """A lab in which nothing has been asked for yet."""
    lab_of_all.clear()
    return lab_of_all


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the browser of each module finds the scripts that the one before it has compiled."""
    return tmp_path_factory.mktemp("profile")


@pytest.fixture(scope="module")
def browser(profile: Path) -> Iterator[BrowserContext]:
    """A browser that lets pages use the clipboard. Nobody is logged in, and no theme is chosen."""
    with chromium(profile, permissions=["clipboard-read", "clipboard-write"]) as context:
        from playwright.sync_api import expect

        expect.set_options(timeout=PATIENCE_MS)
        context.set_default_timeout(PATIENCE_MS)
        kept = {"origin": "*", "storageTypes": "cookies,local_storage"}
        context.new_cdp_session(context.pages[0]).send("Storage.clearDataForOrigin", kept)
        yield context
