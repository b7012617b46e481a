"""The diagnostics in a real browser, from an empty lab to one full of hostile words; every button is pressed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from browser import nothing_thrown
from served_lab import TOKEN, ServedLab, until

from orchestrator.jobs import Failure, Job
from orchestrator.testing import make_job

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

# so low that the plots are out of sight, and none is drawn that no test looks at
DESKTOP, PHONE = {"width": 1440, "height": 400}, {"width": 400, "height": 850}
STAMP = "%Y-%m-%d %H:%M:%S"
GROWTH = 10_000_000  # bytes; matplotlib alone would take 40 million
SCRIPT = '<script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
HOSTILE = Failure(kind="<b>odd</b>", message=f"{SCRIPT} \u202eevil", remedy=f"Do not run {SCRIPT}")
# a browser as it is on a page that comes from another machine without https
NO_CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', { value: undefined });"


@pytest.fixture(scope="module")
def open_page(served: ServedLab, tab: Page) -> Page:
    return visit(tab, served)


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    """The page, with nothing thrown while a test used it, and nothing hostile run."""
    with nothing_thrown(open_page):
        yield open_page
    assert open_page.evaluate("window.hacked") is None
    assert open_page.locator('img[src="x"]').count() == 0


def visit(page: Page, served: ServedLab) -> Page:
    page.set_viewport_size(DESKTOP)
    page.goto(f"{served.url}/diagnostics?token={TOKEN}")
    panel(page, "Jobs").wait_for()
    return page


def panel(page: Page, title: str) -> Locator:
    return page.get_by_role("region", name=title, exact=True)


def tile(page: Page, name: str) -> str:
    return page.locator(f"[data-tile={name}] strong").inner_text()


def put(served: ServedLab, *, failure: Failure | None = None, **fields: Any) -> Job:
    """A job that has ended, as a worker leaves it."""
    job = make_job(**fields)
    claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    begun = claimed.begin_attempt(service="comfyui", host="h", now=job.created_at)
    at = job.created_at
    end = begun.fail(failure, now=at) if failure else begun.finish([], now=at)
    return served.lab.store.create(end)


# ------------------------------------------------------------------------------ in order: one page


def test_an_empty_lab_says_what_to_do(page: Page) -> None:
    assert page.title() == "Diagnostics · Orchestrator"
    assert "Ask for a picture" in panel(page, "Jobs").inner_text()
    assert "No job has failed" in panel(page, "Failures").inner_text()
    assert "once there are jobs" in panel(page, "Over time").inner_text()
    assert tile(page, "total") == "0"
    assert page.locator(".lab-diag-rate").inner_text() == "–"


def test_the_services_and_every_place_are_shown(page: Page, served: ServedLab) -> None:
    for service in ("panel", "comfyui", "engine", "worker", "monitor", "guardian"):
        page.locator(f'[data-service="{service}"][data-status="running"]').wait_for()
    page.locator('[data-service="bfl"][data-status="unknown"]').wait_for()
    said = page.locator('[data-service="panel"]').inner_text()
    assert re.search(r"up \d+ .*MB", said, re.DOTALL)
    said = panel(page, "Disks").inner_text()
    for place in served.lab.paths.places():
        assert place.key in said
        assert str(place.path) in said
    assert said.count("free of") >= 9


def test_a_job_is_counted_by_itself_when_the_worker_has_made_it(
    page: Page, served: ServedLab
) -> None:
    job = served.lab.submit("a fox", params={"width": 64, "height": 64, "steps": 1})
    served.ended(job)
    until(lambda: tile(page, "done") == "1", 20)
    assert tile(page, "total") == "1"
    assert page.locator(".lab-diag-rate").inner_text() == "100 %"
    assert "met" in page.locator(".lab-diag-verdict").inner_text()
    row = panel(page, "Durations by backend, against their targets").locator("tbody tr")
    assert row.inner_text().split()[:2] == ["sd15", "1"]
    assert "within the target" in row.inner_text()
    assert "30 s" in row.inner_text()


def test_a_hostile_failure_is_shown_as_text_with_its_remedy(page: Page, served: ServedLab) -> None:
    job = put(served, failure=HOSTILE)
    item = panel(page, "Failures").locator("li").filter(has_text="<b>odd</b>")
    item.wait_for()
    said = item.inner_text()
    assert SCRIPT in said
    assert "What to do: Do not run <script>" in said
    assert job.id[:13] in said
    assert "\u202e" not in said
    assert page.locator(".lab-diag-success[data-state=bad]").count() == 1


def test_each_window_shows_the_jobs_submitted_in_it(page: Page, served: ServedLab) -> None:
    old = make_job(backend="flux")
    served.lab.store.create(old.cancel(now=old.created_at).having(
        created_at=old.created_at.replace(year=2020)
    ))  # fmt: skip
    for name, total in (("All", "3"), ("24 hours", "2"), ("30 days", "2"), ("7 days", "2")):
        button = page.get_by_role("button", name=name, exact=True)
        button.click()
        page.locator(f'.lab-pill[aria-pressed="true"]:text-is("{name}")').wait_for()
        until(lambda: tile(page, "total") == total, 20)  # noqa: B023 - awaited here
        assert page.locator('.lab-pill[aria-pressed="true"]').count() == 1


def test_plots_are_drawn_in_the_theme_of_the_page_with_words_for_who_cannot_see_them(
    page: Page,
) -> None:
    plots = panel(page, "Over time")
    plots.scroll_into_view_if_needed()
    for theme, other in (("light", "dark"), ("dark", "light")):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        for image in plots.locator(f"figure:not([hidden]) .lab-diag-{theme}").all():
            image.wait_for()
            until(lambda: image.evaluate("img => img.naturalWidth") > 100, 20)  # noqa: B023
            assert re.search("over (time|the last day)", str(image.get_attribute("alt")))
        assert page.locator(f".lab-diag-plot .lab-diag-{other}:visible").count() == 0
    first = page.locator(".lab-diag-plot img").first
    until(lambda: "1 done, 1 failed" in str(first.get_attribute("alt")), 60)
    page.evaluate("scrollTo(0, 0)")


def test_hostile_log_lines_are_text_and_follow_the_file(page: Page, served: ServedLab) -> None:
    log = served.lab.paths.logs / "odd.log"
    # newer than whatever the services log meanwhile: a report tells of the newest lines only
    at = datetime.now().astimezone() + timedelta(hours=1)
    with log.open("w", encoding="utf-8") as file:
        file.write(f"{at:{STAMP}},000 ERROR odd: {SCRIPT} \x1b[31m \u202e ?token=abc\n")
    lines = panel(page, "Log").locator("ol li")
    line = lines.filter(has_text="ERROR odd")
    line.wait_for()
    said = line.inner_text()
    assert SCRIPT in said
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert "token=****" in said
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{at:{STAMP}},001 INFO odd: and another\n")
    lines.filter(has_text="and another").wait_for()


def test_the_log_is_narrowed_to_a_file_and_to_lines_with_a_text(page: Page) -> None:
    lines = panel(page, "Log").locator("ol li")
    page.get_by_label("Log file").select_option("odd.log")
    page.locator("body").click(position={"x": 5, "y": 300})
    until(lambda: lines.count() == 2, 20)
    find = page.get_by_label("Show only lines with this text")
    find.fill("AND ANOTHER")
    until(lambda: lines.count() == 1, 5)
    find.fill("[no (such text")
    assert "No line has this text" in panel(page, "Log").inner_text()
    find.fill("")
    page.get_by_label("Log file").select_option("")
    until(lambda: lines.count() > 2, 20)


def test_the_report_is_copied(page: Page) -> None:
    page.get_by_role("button", name="Copy report").click()
    page.locator(".lab-diag-said", has_text="Copied").wait_for()
    text = page.evaluate("navigator.clipboard.readText()")
    assert text.startswith("# Orchestrator: diagnostics of ")
    for part in ("## Versions", "worker: running", "## Failures", "odd.log: ", "goal 95.0 %"):
        assert part in text
    assert TOKEN not in text


def test_an_open_report_is_not_in_the_way_of_the_figures_that_go_on(
    page: Page, served: ServedLab
) -> None:
    before = int(tile(page, "done"))
    put(served)
    until(lambda: int(tile(page, "done")) == before + 1, 20)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(page: Page, theme: str) -> None:
    page.set_viewport_size(PHONE)
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.set_viewport_size(DESKTOP)


def test_every_control_has_a_name_and_is_reached_by_the_keyboard(page: Page) -> None:
    controls = page.locator(".lab-diagnostics :is(button, select, input):visible")
    wanted = set(controls.evaluate_all("nodes => nodes.map((n) => n.ariaLabel || n.textContent)"))
    assert "" not in wanted
    assert len(wanted) == 7
    reached: set[str] = set()
    page.locator(".lab-diag-bar button").first.focus()
    for _ in range(20):
        reached.add(
            page.evaluate("document.activeElement.ariaLabel || document.activeElement.textContent")
        )
        page.keyboard.press("Tab")
    assert wanted <= reached


def test_a_table_that_is_read_is_not_built_anew_when_nothing_in_it_changes(
    page: Page, served: ServedLab
) -> None:
    row = panel(page, "Failures").locator("li").first
    row.evaluate("node => { node.wasHere = true; }")
    before = int(tile(page, "done"))
    put(served)
    until(lambda: int(tile(page, "done")) == before + 1, 20)
    assert row.evaluate("node => node.wasHere")


def test_a_visitor_who_may_not_copy_is_given_plots_and_report_and_the_kernel_does_not_grow_by_them(
    tab: Page, served: ServedLab
) -> None:
    page = visit(tab, served)
    page.evaluate(NO_CLIPBOARD)
    own = page.evaluate(
        "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    )
    (kernel,) = [each for each in served.family() if own in " ".join(each.cmdline())]
    before = kernel.memory_full_info().uss
    panel(page, "Over time").scroll_into_view_if_needed()
    page.locator(".lab-diag-plot img[src]").first.wait_for(state="attached")
    page.get_by_role("button", name="Copy report").click()
    box = page.get_by_role("dialog", name="Report")
    box.wait_for()
    assert kernel.memory_full_info().uss - before < GROWTH
    text = box.get_by_label("Report")
    assert text.input_value().startswith("# Orchestrator")
    assert text.evaluate("node => node.selectionEnd - node.selectionStart") == len(
        text.input_value()
    )
    box.get_by_role("button", name="Close").click()
    box.wait_for(state="hidden")
    page.get_by_role("button", name="Copy report").click()
    box.wait_for()
    page.keyboard.press("Escape")
    box.wait_for(state="hidden")
