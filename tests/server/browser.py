"""A Chromium for the tests; a machine without one skips them, except in CI, where that is a failure."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "these tests need Chromium at hand (apt-get install chromium) and the package playwright"
DESKTOP = {"width": 1280, "height": 860}
# nothing that asks somebody else's server for anything
SWITCHES = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


def require_chromium() -> None:
    """Skip the module that calls it where pages cannot be shown; in CI a test that is not run is one that fails."""
    if CHROMIUM is None or find_spec("playwright") is None:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail(MISSING)
        pytest.skip(MISSING, allow_module_level=True)


@contextmanager
def chromium(profile: Path, **options: Any) -> Iterator[BrowserContext]:
    """A window with cookies of its own. `options` are Playwright's."""
    require_chromium()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=SWITCHES.split(),
            headless=True,
            # what moves takes the processor from what is tested
            **{"viewport": DESKTOP, "reduced_motion": "reduce", **options},
        )
        try:
            yield context
        finally:
            context.close()


class Resting:
    """A window that several modules use, one after the other. Between them its loop is out of asyncio's sight, so
    that others may run one: Playwright leaves its own marked as running for as long as there is a browser."""

    def __init__(self, window: BrowserContext) -> None:
        self._window = window
        self._loop = asyncio.get_running_loop()
        self._rest()

    def wake(self) -> BrowserContext:
        """The window, to be used from now on."""
        asyncio._set_running_loop(self._loop)
        return self._window

    @contextmanager
    def awake(self) -> Iterator[BrowserContext]:
        """The window, to be used meanwhile."""
        try:
            yield self.wake()
        finally:
            self._rest()

    def _rest(self) -> None:
        asyncio._set_running_loop(None)


@contextmanager
def nothing_thrown(page: Page) -> Iterator[Page]:
    """The page, and at the end a look at whether a script of it has thrown something meanwhile."""
    thrown: list[object] = []

    def note(error: object) -> None:
        thrown.append(error)

    page.on("pageerror", note)
    yield page
    page.remove_listener("pageerror", note)
    assert not thrown
