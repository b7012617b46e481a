"""The pages in a real browser: what is painted, whom they ask, and that their kernels go with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from browser import chromium
from served_lab import TOKEN, ServedLab, until

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

GRACE_S = 2.0
PAINT_MS = 60_000  # a second or two on a quiet machine
LEAVE_S = 10.0


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    lab = ServedLab(tmp_path_factory.mktemp("lab"), orphan_grace_s=GRACE_S)
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with chromium(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def page(window: BrowserContext, served: ServedLab) -> Iterator[Page]:
    page = window.new_page()
    yield page
    page.close(run_before_unload=True)
    until(lambda: not served.page_kernels(), LEAVE_S)


def opened(page: Page, served: ServedLab) -> None:
    page.goto(f"{served.url}/?token={TOKEN}")
    page.wait_for_selector("#rendered_cells .jp-OutputArea-output", timeout=PAINT_MS)


def test_the_page_paints_its_frame_before_the_kernel_has_started_and_then_its_widgets(
    page: Page, served: ServedLab
) -> None:
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(f"{served.url}/?token={TOKEN}", wait_until="commit")
    page.wait_for_selector(".frame-skeleton")
    assert page.locator("nav [aria-current=page]").inner_text() == "Dashboard"
    page.wait_for_selector("#rendered_cells .jp-OutputArea-output", timeout=PAINT_MS)
    assert page.locator(".frame-skeleton").count() == 0
    assert page.title() == "Dashboard · Orchestrator"
    assert page.url == f"{served.url}/dashboard"
    assert faults == []


def test_no_page_asks_another_host_for_anything(page: Page, served: ServedLab) -> None:
    asked: list[str] = []
    refused: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("response", lambda reply: refused.append(reply.url) if reply.status >= 400 else None)
    opened(page, served)
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((served.url, "data:", "blob:"))] == []
    assert refused == []


def test_light_and_dark_are_one_click_apart_and_remembered(page: Page, served: ServedLab) -> None:
    page.emulate_media(color_scheme="light")
    opened(page, served)
    theme, background = (
        "document.documentElement.dataset.theme",
        "getComputedStyle(document.body).backgroundColor",
    )
    light = page.evaluate(background)
    assert page.evaluate(theme) == "light"
    page.click("#frame-theme")
    assert page.evaluate(theme) == "dark"
    assert page.evaluate(background) != light
    page.reload(wait_until="commit")
    page.wait_for_selector(".frame-top")
    assert page.evaluate(theme) == "dark"
    page.evaluate("localStorage.clear()")


def test_it_fits_a_phone(page: Page, served: ServedLab) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, served)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_page_that_is_left_takes_its_kernel_along(page: Page, served: ServedLab) -> None:
    opened(page, served)
    before = served.page_kernels()
    assert len(before) == 1
    page.reload()
    page.wait_for_selector("#rendered_cells .jp-OutputArea-output", timeout=PAINT_MS)
    until(lambda: len(served.page_kernels()) == 1, LEAVE_S)
    assert served.page_kernels() != before
    page.goto("about:blank")
    until(lambda: not served.page_kernels(), LEAVE_S)


def test_a_page_whose_kernel_crashes_says_so(page: Page, served: ServedLab) -> None:
    opened(page, served)
    (kernel_id,) = served.page_kernels()
    assert page.locator("#frame-lost").is_hidden()
    kernel = next(p for p in served.family() if any(kernel_id in part for part in p.cmdline()))
    kernel.kill()
    page.wait_for_selector("#frame-lost:not([hidden])", timeout=PAINT_MS)
    assert "session has ended" in page.locator("#frame-lost").inner_text()


def test_the_kernel_of_a_visitor_who_says_no_goodbye_is_reaped_and_the_worker_is_not(
    served: ServedLab,
) -> None:
    worker = served.worker()
    assert worker is not None
    with httpx.stream("GET", f"{served.url}/dashboard", headers=served.token, timeout=60) as reply:
        assert reply.status_code == 200
        next(reply.iter_bytes())
    until(lambda: len(served.page_kernels()) == 1, 10)
    until(lambda: not served.page_kernels(), 30)
    assert psutil.pid_exists(worker)
    assert served.worker() == worker
