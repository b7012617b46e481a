"""The pages in a real browser: what is painted, whom they ask, and that their kernels go with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import pytest
from browser import chromium
from served_lab import TOKEN, ServedLab, until

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

GRACE_S = 6.0  # longer than a browser takes from the start of a kernel to its connection
PAINT_MS = 60_000  # a second or two on a quiet machine
LEAVE_S = 30.0


@dataclass
class Visit:
    """A page that stays open for several tests, and what was noted while it was built."""

    page: Page
    frame_first: bool = False
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    lab = ServedLab(tmp_path_factory.mktemp("lab"), orphan_grace_s=GRACE_S)
    yield lab
    lab.stop()


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    profile: Path = tmp_path_factory.mktemp("profile")
    with chromium(profile) as context:
        yield context


@pytest.fixture(scope="module")
def visit(window: BrowserContext, served: ServedLab) -> Visit:
    visit = Visit(window.new_page())
    page = visit.page
    page.emulate_media(color_scheme="light")
    page.on("pageerror", lambda error: visit.faults.append(str(error)))
    page.on("request", lambda request: visit.asked.append(request.url))
    page.on("response", lambda r: visit.refused.append(r.url) if r.status >= 400 else None)
    page.goto(f"{served.url}/?token={TOKEN}", wait_until="commit")
    page.wait_for_selector(".frame-skeleton")
    visit.frame_first = page.locator("#rendered_cells textarea").count() == 0
    painted(page)
    page.wait_for_load_state("networkidle")
    return visit


def painted(page: Page) -> None:
    page.wait_for_selector("#rendered_cells textarea", timeout=PAINT_MS)


def test_the_page_paints_its_frame_before_its_kernel_is_there_and_then_its_widgets(
    visit: Visit, served: ServedLab
) -> None:
    assert visit.frame_first
    assert visit.page.locator(".frame-skeleton").count() == 0
    assert visit.page.locator("nav [aria-current=page]").inner_text() == "Dashboard"
    assert visit.page.title() == "Dashboard · Orchestrator"
    assert visit.page.url == f"{served.url}/dashboard"
    assert visit.faults == []


def test_the_scripts_of_a_page_are_asked_for_while_its_notebook_runs(
    window: BrowserContext, served: ServedLab
) -> None:
    page = window.new_page()
    with served.unopened():
        page.goto(f"{served.url}/?token={TOKEN}", wait_until="commit")
        page.wait_for_function(
            r"""() => document.readyState === "loading"
              && performance.getEntriesByType("resource").some((each) => /\d+\.voila\.js$/.test(each.name))"""
        )
    painted(page)
    page.close()


def test_a_page_asks_no_other_host_for_anything(visit: Visit, served: ServedLab) -> None:
    ours = (served.url, "data:", "blob:")
    assert len(visit.asked) > 10
    assert [url for url in visit.asked if not url.startswith(ours)] == []
    assert visit.refused == []


def test_light_and_dark_are_one_click_apart_and_remembered(visit: Visit) -> None:
    def theme() -> tuple[str, str]:
        return visit.page.evaluate(
            "[document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]"
        )

    light = theme()
    assert light[0] == "light"
    visit.page.click("#frame-theme")
    dark = theme()
    assert dark[0] == "dark"
    assert dark[1] != light[1]
    visit.page.reload()
    painted(visit.page)
    assert theme() == dark


def test_it_fits_a_phone(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.wait_for_function("document.documentElement.scrollWidth === 390")


def test_a_page_that_is_left_takes_its_kernel_along(
    visit: Visit, window: BrowserContext, served: ServedLab
) -> None:
    until(
        lambda: len(served.page_kernels()) == 1, LEAVE_S
    )  # after the reload above: one left, one open
    others = served.page_kernels()
    page = window.new_page()
    page.goto(f"{served.url}/?token={TOKEN}")
    painted(page)
    assert len(served.page_kernels() - others) == 1
    page.goto("about:blank")
    until(lambda: served.page_kernels() == others, GRACE_S / 2)  # it was told, not reaped
    page.close()


def test_a_page_opened_behind_another_is_built_although_it_is_never_painted(
    window: BrowserContext, served: ServedLab
) -> None:
    others = served.page_kernels()
    page = window.new_page()
    page.add_init_script("window.requestAnimationFrame = () => 0")  # as in a tab in the background
    page.goto(f"{served.url}/?token={TOKEN}")
    page.wait_for_selector("#rendered_cells textarea", state="attached", timeout=PAINT_MS)
    page.goto("about:blank")
    until(lambda: served.page_kernels() == others, LEAVE_S)
    page.close()


def test_a_page_whose_kernel_crashes_says_so(visit: Visit, served: ServedLab) -> None:
    assert visit.page.locator("#frame-lost").is_hidden()
    (kernel_id,) = served.page_kernels()
    kernel = next(p for p in served.family() if any(kernel_id in part for part in p.cmdline()))
    kernel.kill()
    visit.page.wait_for_selector("#frame-lost:not([hidden])", timeout=PAINT_MS)
    assert "session has ended" in visit.page.locator("#frame-lost").inner_text()
    visit.page.goto("about:blank")


def test_the_kernel_of_a_visitor_who_says_no_goodbye_is_reaped_and_the_worker_is_not(
    served: ServedLab,
) -> None:
    worker = served.worker()
    assert worker is not None
    with httpx.stream("GET", f"{served.url}/dashboard", headers=served.token, timeout=60) as reply:
        assert reply.status_code == 200
        next(reply.iter_bytes())
    until(lambda: len(served.page_kernels()) == 1, 10)
    until(lambda: not served.page_kernels(), LEAVE_S)
    assert served.worker() == worker
