"""A Chromium for the tests; a machine without one skips them, except in CI, where that is a failure."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "these tests need Chromium at hand (apt-get install chromium) and the package playwright"
# nothing that asks somebody else's server for anything
SWITCHES = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@contextmanager
def chromium(profile: Path) -> Iterator[BrowserContext]:
    """A window of 1280×800, with cookies of its own."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        refuse()
    if CHROMIUM is None:
        refuse()
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile,
            executable_path=CHROMIUM,
            args=SWITCHES.split(),
            headless=True,
            viewport={"width": 1280, "height": 800},
        )
        try:
            yield context
        finally:
            context.close()


def refuse() -> None:
    """Skip; in CI a test that is not run is a test that fails."""
    if os.environ.get("CI", "").lower() in {"true", "1"}:
        pytest.fail(MISSING)
    pytest.skip(MISSING)
