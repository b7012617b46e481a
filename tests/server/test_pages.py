"""The pages: what is sent and painted first, whom they ask, and the kernels that wait for them and go with them."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest
from browser import chromium
from served_lab import TOKEN, ServedLab, until

from orchestrator.jobs import Status
from orchestrator.server.forked import CAN_FORK
from orchestrator.server.page_handler import FRAME_ENDS

if TYPE_CHECKING:
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page

GRACE_S = 15.0  # longer than a browser takes from the start of a kernel to its connection, on a busy machine
KERNEL = re.compile(r'"kernelId": "([0-9a-f-]{36})"')
PAINT_MS = 60_000  # a second or two on a quiet machine
LEAVE_S = 60.0


@dataclass
class Visit:
    """A page that stays open for several tests, and what was noted while it was built."""

    page: Page
    frame_first: bool = False
    said: str = ""
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
    reply = page.goto(f"{served.url}/?token={TOKEN}", wait_until="commit")
    page.wait_for_selector(".frame-skeleton")
    visit.frame_first = page.locator("#rendered_cells textarea").count() == 0
    painted(page)
    assert reply is not None
    visit.said = reply.text()
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
    visit: Visit, window: BrowserContext, served: ServedLab
) -> None:
    others = served.page_kernels()
    page = window.new_page()
    with served.unopened():
        page.goto(f"{served.url}/?token={TOKEN}", wait_until="commit")
        page.wait_for_function(
            r"""() => document.readyState === "loading"
              && performance.getEntriesByType("resource").some((each) => /front-end\.js/.test(each.name))"""
        )
    painted(page)
    page.goto("about:blank")
    until(lambda: served.page_kernels() == others, LEAVE_S)
    page.close()


def test_a_page_asks_no_other_host_for_anything(visit: Visit, served: ServedLab) -> None:
    ours = (served.url, "data:", "blob:")
    assert len(visit.asked) > 10
    assert [url for url in visit.asked if not url.startswith(ours)] == []
    assert visit.refused == []


def test_the_many_scripts_of_voila_are_asked_for_as_one_which_the_browser_may_keep(
    visit: Visit, served: ServedLab
) -> None:
    (scripts,) = [url for url in visit.asked if "/front-end.js?v=" in url]
    assert [url for url in visit.asked if "/voila/static/" in url] == []
    reply = served.http.get(scripts, headers=served.token)
    assert reply.is_success
    assert "immutable" in reply.headers["Cache-Control"]
    assert not httpx.get(scripts).is_success  # nobody gets anything without the token


def theme(page: Page) -> tuple[str, str]:
    return page.evaluate(
        "[document.documentElement.dataset.theme, getComputedStyle(document.body).backgroundColor]"
    )


def test_light_and_dark_are_one_click_apart(visit: Visit) -> None:
    light = theme(visit.page)
    assert light[0] == "light"
    visit.page.click("#frame-theme")
    dark = theme(visit.page)
    assert dark[0] == "dark"
    assert dark[1] != light[1]


def test_it_fits_a_phone(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    visit.page.wait_for_function("document.documentElement.scrollWidth === 390")


def test_a_page_behind_another_is_built_unpainted_in_the_theme_chosen_and_takes_its_kernel_along(
    visit: Visit, window: BrowserContext, served: ServedLab
) -> None:
    others = served.page_kernels()
    assert len(others) == 1
    page = window.new_page()
    page.add_init_script("window.requestAnimationFrame = () => 0")  # as in a tab in the background
    page.goto(f"{served.url}/?token={TOKEN}")
    page.wait_for_selector("#rendered_cells textarea", state="attached", timeout=PAINT_MS)
    assert theme(page) == theme(visit.page)
    assert len(served.page_kernels() - others) == 1
    page.goto("about:blank")
    until(lambda: served.page_kernels() == others, GRACE_S / 2)  # it was told, not reaped
    page.close()


def test_a_page_whose_kernel_crashes_says_so(visit: Visit, served: ServedLab) -> None:
    assert visit.page.locator("#frame-lost").is_hidden()
    (kernel_id,) = served.page_kernels()
    kernel = next(p for p in served.family() if any(kernel_id in part for part in p.cmdline()))
    kernel.kill()
    visit.page.wait_for_selector("#frame-lost:not([hidden])", timeout=PAINT_MS)
    assert "session has ended" in visit.page.locator("#frame-lost").inner_text()
    visit.page.goto("about:blank")


# ------------------------------------------------------------------------------ without a browser


def pieces(served: ServedLab) -> tuple[str, str]:
    """The first piece of the dashboard that arrives, and the whole of it."""
    headers = {"Authorization": f"token {TOKEN}"}
    with served.http.stream("GET", "/dashboard", headers=headers, timeout=60) as reply:
        assert reply.headers["cache-control"] == "no-cache, no-store, must-revalidate"
        assert reply.headers["content-type"].startswith("text/html")
        every = list(reply.iter_text())
    return every[0], "".join(every)


def spare(served: ServedLab) -> str | None:
    sessions = served.api("GET", "/api/sessions")
    return next(
        (s["kernel"]["id"] for s in sessions if s["name"] == "orchestrator-page-spare"), None
    )


def test_a_later_visitor_gets_the_frame_at_once_and_the_kernel_that_waits_and_another_takes_its_place(
    visit: Visit, served: ServedLab
) -> None:
    waiting: list[str | None] = []
    said: list[tuple[str, str]] = []

    def is_taken() -> bool:  # it may be importing still
        waiting.append(spare(served))
        said.append(pieces(served))
        return KERNEL.findall(said[-1][1])[0] in waiting

    until(lambda: spare(served) is not None, 60)
    until(is_taken, 60)
    assert KERNEL.findall(said[-1][1])[0] in served.page_kernels()
    until(lambda: spare(served) not in {None, *waiting}, 60)
    first, whole = said[-1]
    assert "frame-skeleton" in first
    assert "kernelId" not in first
    assert whole.partition(FRAME_ENDS)[0] == visit.said.partition(FRAME_ENDS)[0]
    assert [whole.count(once) for once in ("<header", FRAME_ENDS, "</html>")] == [1, 1, 1]
    assert KERNEL.findall(whole) != KERNEL.findall(visit.said)


def test_the_kernel_of_a_visitor_who_says_no_goodbye_is_reaped_and_the_worker_is_not(
    served: ServedLab,
) -> None:
    """The visitors above have not said it."""
    worker = served.worker()
    assert worker is not None
    until(lambda: not served.page_kernels(), LEAVE_S)
    assert served.worker() == worker


def test_a_page_whose_kernel_dies_before_it_answers_says_so(served: ServedLab) -> None:
    if (waiting := spare(served)) is not None:
        served.api("DELETE", f"/api/kernels/{waiting}")
    said: list[str] = []
    visitor = threading.Thread(target=lambda: said.append(pieces(served)[1]))
    others = served.page_kernels()
    with served.unopened():
        visitor.start()
        until(lambda: bool(processes(served, served.page_kernels() - others)), 30)
        for process in processes(served, served.page_kernels() - others):
            process.kill()
        visitor.join(60)
    assert "The page could not be started" in said[0]


def processes(served: ServedLab, kernels: set[str]) -> list[psutil.Process]:
    return [
        each
        for each in served.family()
        if any(kernel in word for word in each.cmdline() for kernel in kernels)
    ]


def zygote(served: ServedLab) -> psutil.Process:
    (found,) = [p for p in served.family() if "orchestrator.widgets.zygote" in p.cmdline()]
    return found


@pytest.mark.skipif(not CAN_FORK, reason="here each kernel of a page starts by itself")
def test_pages_kernels_are_forks_that_share_their_memory_and_pages_go_on_without_their_parent(
    served: ServedLab,
) -> None:
    (kernel,) = processes(served, set(KERNEL.findall(pieces(served)[1])))
    parent = kernel.parent()
    assert parent == zygote(served)
    assert kernel.memory_full_info().uss < 60_000_000
    parent.kill()
    until(lambda: not kernel.is_running(), 10)
    (another,) = processes(served, set(KERNEL.findall(pieces(served)[1])))
    assert another.parent() == zygote(served) != parent


def test_all_its_processes_end_by_themselves_when_a_server_is_killed_while_it_paints(
    served: ServedLab,
) -> None:
    pieces(served)  # a page's kernel
    params = {"steps": 2000, "width": 512, "height": 512}
    job = served.lab.submit("long", params=params)
    until(lambda: served.lab.store.get(job.id).status is Status.RUNNING, 30)
    left = served.family()
    assert len(left) >= 3, "the worker, the engine, a page's kernel"
    if CAN_FORK:
        assert {zygote(served), *zygote(served).children()} < set(left)
    served.process.kill()
    assert served.process.wait(10) == -signal.SIGKILL
    assert psutil.wait_procs(left, timeout=15)[1] == []
    # the worker may have seen the engine go before it went itself
    job = served.lab.store.get(job.id)
    assert job.status in {Status.RUNNING, Status.QUEUED}
    assert job.crashes == 0
