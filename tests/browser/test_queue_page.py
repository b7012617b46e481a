"""The queue and the services in a real browser: every button, many jobs, hostile text, both themes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from browser import nothing_thrown, require_chromium
from lengths import LONG
from served_lab import TOKEN, ServedLab, until

from orchestrator.jobs import Job, Status, new_id
from orchestrator.testing import make_job

require_chromium()

from contrast import AA, CONTRAST
from playwright.sync_api import Locator, Page, expect

QUICK = {"steps": 2, "width": 64, "height": 64}
MANY = 2000 if LONG else 400
LAST = MANY // 200  # the last page's number without its last digit
# hides what follows it on the line, if a page lets it
RTL = "\u202eevil \u202d right to left \u05d0\u05d1\u05d2"
HTML = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"&amp;'
SHIFTS = """
  window.shifted = [];
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted.push(entry.value);
  }).observe({ type: "layout-shift", buffered: true });
"""


@pytest.fixture(scope="module")
def asked(served: ServedLab) -> Job:
    """A job that the page is opened for, to ask for it again."""
    params = {"seed": 2**64 - 1, "steps": 3, "negative_prompt": HTML, "checkpoint": HTML}
    return served.lab.submit(HTML, params=params, hold=True)


@pytest.fixture(scope="module")
def open_page(served: ServedLab, tab: Page, asked: Job) -> Page:
    tab.set_viewport_size({"width": 1440, "height": 900})
    tab.goto(f"{served.url}/dashboard?token={TOKEN}&again={asked.id}")
    expect(tab.get_by_label("Prompt", exact=True)).to_be_visible()
    tab.evaluate(SHIFTS)
    return tab


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    """The page, showing all jobs, with nothing thrown and nothing run that a prompt says."""
    with nothing_thrown(open_page):
        yield open_page
    assert open_page.evaluate("window.hacked") is None


@pytest.fixture
def paused(served: ServedLab) -> Iterator[None]:
    """No worker takes a job, so that jobs stay as they are."""
    served.lab.pause()
    yield
    served.lab.resume()


def row_of(page: Page, job: Job) -> Locator:
    return page.locator(f'.lab-row[data-id="{job.id}"]')


def press(row: Locator, action: str) -> None:
    row.locator(f'button[data-action="{action}"]').click()


def finished(served: ServedLab, prompt: str) -> Job:
    return served.ended(served.lab.submit(prompt, params=QUICK))


def by_hand(served: ServedLab, **fields: Any) -> str:
    """A job file as somebody else's program might write it, which no check of ours has seen."""
    moment = datetime.now(UTC)
    job_id = new_id(moment)
    document = {
        "id": job_id,
        "status": "created",
        "hold": True,
        "backend": "sd15",
        "createdAt": moment.isoformat(),
    }
    path = served.lab.paths.jobs / f"{job_id}.json"
    path.write_text(json.dumps({**document, **fields}), encoding="utf-8")
    return job_id


# ------------------------------------------------------------------------------ opened for a job


def test_a_page_opened_for_a_job_is_filled_in_and_does_not_jump(
    page: Page, served: ServedLab, asked: Job
) -> None:
    expect(page.get_by_label("Prompt", exact=True)).to_have_value(HTML)
    expect(page.locator("input[name=seed]")).to_have_value(str(2**64 - 1))
    expect(page.locator("textarea[name=negative_prompt]")).to_have_value(HTML)
    # what is folded away is not hidden
    expect(page.locator(".lab-more-count")).to_have_text("1 set")
    page.locator(".lab-folded summary").click()
    expect(page.get_by_label("Checkpoint")).to_have_value(HTML)
    page.get_by_label("Checkpoint").fill("")
    expect(page.locator(".lab-more-count")).to_have_text("")
    page.get_by_label("How many").fill("3")
    page.get_by_label("Hold as a draft").check()
    page.get_by_role("button", name="Save 3 drafts").click()
    expect(page.locator(".lab-outcome")).to_contain_text("3 drafts are kept")
    jobs, _ = served.lab.page(status=Status.CREATED, limit=3)
    assert sorted(job.params["seed"] for job in jobs) == [0, 1, 2**64 - 1]
    assert all("checkpoint" not in job.params for job in jobs)
    # Google's bound for a page that is good to read
    assert sum(page.evaluate("window.shifted")) < 0.1
    for job in (asked, *jobs):
        served.lab.cancel(job.id)
    page.get_by_label("Hold as a draft").uncheck()


# ------------------------------------------------------------------------------ the queue's own buttons


def test_a_paused_queue_says_so_keeps_its_jobs_and_goes_on_when_resumed(
    page: Page, served: ServedLab
) -> None:
    page.get_by_role("button", name="Pause queue").click()
    banner = page.locator(".lab-queue-paused")
    expect(banner).to_contain_text("paused since")
    expect(page.locator(".lab-queue-pause")).to_be_focused()
    job = served.lab.submit("held by the pause", params=QUICK)
    expect(row_of(page, job)).to_have_attribute("data-status", "queued")
    page.wait_for_timeout(1500)  # a worker would have taken it by now
    assert served.lab.store.get(job.id).status is Status.QUEUED
    banner.get_by_role("button", name="Resume").click()
    expect(banner).to_be_hidden()
    expect(row_of(page, job)).to_have_attribute("data-status", "done")
    expect(page.get_by_role("button", name="Pause queue")).to_be_focused()


def test_the_filters_show_what_they_say_and_nothing_found_offers_all(
    page: Page, served: ServedLab, paused: None
) -> None:
    fox = served.lab.submit("a red fox at dawn", params=QUICK)
    owl = served.lab.submit("an owl of a draft", backend="flux", hold=True)
    rows = page.locator(".lab-row")
    pills = page.get_by_role("group", name="Jobs shown by status")
    pills.get_by_role("button", name="Drafts").click()
    expect(rows).to_have_count(1)
    expect(row_of(page, owl)).to_be_visible()
    expect(pills.get_by_role("button", name="Drafts")).to_have_attribute("aria-pressed", "true")
    pills.get_by_role("button", name="All").click()
    page.get_by_label("Jobs shown by backend").select_option("flux")
    expect(rows).to_have_count(1)
    page.get_by_label("Jobs shown by backend").select_option("")
    page.get_by_label("Search prompts and ids").fill("dawn RED")
    expect(rows).to_have_count(1)
    expect(row_of(page, fox)).to_be_visible()
    page.get_by_label("Search prompts and ids").fill(f"{HTML} of nobody")
    expect(page.locator(".lab-nothing")).to_contain_text("No job is like that")
    page.get_by_role("button", name="Show all jobs").click()
    expect(row_of(page, fox)).to_be_visible()
    expect(page.get_by_label("Search prompts and ids")).to_have_value("")
    for job in (fox, owl):
        served.lab.cancel(job.id)


def test_clear_finished_asks_once_and_leaves_the_pictures(page: Page, served: ServedLab) -> None:
    job = finished(served, "to be cleared away")
    expect(row_of(page, job)).to_have_attribute("data-status", "done")
    clear = page.locator(".lab-queue-tools button").nth(1)
    clear.click()
    expect(clear).to_contain_text("Really clear")
    expect(row_of(page, job)).to_be_visible()
    clear.click()
    expect(row_of(page, job)).to_have_count(0)
    expect(page.locator(".lab-queue .lab-notice.lab-good")).to_contain_text("cleared away")
    assert job.result is not None
    assert Path(job.result.files[0]).is_file()
    expect(clear).to_be_disabled()


# ------------------------------------------------------------------------------ a job's buttons


def test_a_duplicate_is_a_draft_that_runs_when_run_is_pressed(
    page: Page, served: ServedLab
) -> None:
    job = finished(served, "made twice")
    press(row_of(page, job), "duplicate")
    draft = page.locator('.lab-row[data-status="created"]').filter(has_text="made twice")
    expect(draft).to_contain_text("draft")
    twin = served.lab.store.get(str(draft.get_attribute("data-id")))
    assert (twin.params, twin.prompt, twin.hold) == (job.params, job.prompt, True)
    press(row_of(page, twin), "run")
    expect(row_of(page, twin)).to_have_attribute("data-status", "done")


def test_view_result_shows_the_picture_and_the_way_to_the_canvas(
    page: Page, served: ServedLab
) -> None:
    job = finished(served, "to be looked at")
    press(row_of(page, job), "view")
    box = page.locator("dialog[open]")
    expect(box).to_contain_text("to be looked at")
    expect(box.locator(".lab-box-picture img")).to_have_js_property("naturalWidth", 64)
    link = box.get_by_role("link", name="Open in Canvas")
    if page.locator(".frame-top nav a", has_text="Canvas").count():
        expect(link).to_have_attribute("href", f"{served.url}/canvas?job={job.id}")
    else:
        expect(link).to_be_hidden()
    page.keyboard.press("Escape")
    expect(box).to_have_count(0)


def test_delete_asks_then_takes_the_row_and_leaves_the_picture_and_the_focus(
    page: Page, served: ServedLab
) -> None:
    job = finished(served, "to be deleted")
    row = row_of(page, job)
    press(row, "delete")
    expect(row.locator("[data-action=delete]")).to_have_text("Delete?")
    press(row, "view")  # a click beside the question is not lost, and answers no
    page.locator("dialog[open]").press("Escape")
    expect(row.locator("[data-action=delete]")).to_have_text("")
    assert served.lab.store.get(job.id).is_terminal
    press(row, "delete")
    press(row, "delete")
    expect(row).to_have_count(0)
    assert not (served.lab.paths.jobs / f"{job.id}.json").exists()
    assert job.result is not None
    assert Path(job.result.files[0]).is_file()
    assert page.evaluate("document.activeElement.closest('.lab-queue') !== null")


def test_cancel_and_retry_go_there_and_back(page: Page, served: ServedLab, paused: None) -> None:
    job = served.lab.submit("there and back", params=QUICK)
    press(row_of(page, job), "cancel")
    expect(row_of(page, job)).to_have_attribute("data-status", "cancelled")
    press(row_of(page, job), "retry")
    expect(row_of(page, job)).to_have_attribute("data-status", "queued")
    served.lab.cancel(job.id)


def test_priority_goes_up_and_down_with_the_keyboard(
    page: Page, served: ServedLab, paused: None
) -> None:
    job = served.lab.submit("an important one", params=QUICK)
    row = row_of(page, job)
    row.get_by_role("button", name="Move up").focus()
    page.keyboard.press("Enter")
    expect(row.locator(".lab-row-priority")).to_have_text("priority +1")
    # the row was drawn anew, and the focus is where it was
    expect(row.get_by_role("button", name="Move up")).to_be_focused()
    page.keyboard.press("Enter")
    expect(row.locator(".lab-row-priority")).to_have_text("priority +2")
    for _ in range(3):
        before = served.lab.store.get(job.id).priority
        press(row, "lower")
        until(lambda: served.lab.store.get(job.id).priority == before - 1, 20)  # noqa: B023
    expect(row.locator(".lab-row-priority")).to_have_text("priority -1")
    served.lab.cancel(job.id)


# ------------------------------------------------------------------------------ hostile text


def test_a_long_prompt_is_whole_on_hover_and_on_focus_until_escape(
    page: Page, served: ServedLab
) -> None:
    whole = "a lighthouse in a storm, oil on canvas, with " + "many " * 20 + "gulls"
    job = served.lab.submit(whole, hold=True)
    prompt = row_of(page, job).locator(".lab-row-prompt")
    assert len(prompt.inner_text()) == 50
    tip = page.locator(".lab-queue .lab-tip")
    prompt.hover()
    expect(tip).to_have_text(whole)
    page.mouse.move(0, 0)
    expect(tip).to_be_hidden()
    prompt.focus()
    expect(tip).to_be_visible()
    expect(prompt).to_have_accessible_description(whole)
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()
    prompt.blur()
    served.lab.cancel(job.id)


@pytest.mark.parametrize(
    "prompt",
    [HTML, RTL, HTML * 500, "x" * 50_000, "\u0000\u0007\ud83d\ude00" * 3, "${7*7}{{7*7}}`"],
    ids=["html", "rtl", "html 50 kB", "one word 50 kB", "control", "templates"],
)
def test_a_hostile_prompt_in_a_job_file_is_text_and_breaks_no_row(
    page: Page, served: ServedLab, prompt: str
) -> None:
    job_id = by_hand(served, prompt=prompt, backend="<b>x</b>", params={"seed": HTML})
    row = page.locator(f'.lab-row[data-id="{job_id}"]')
    expect(row).to_be_visible()
    shown = row.locator(".lab-row-prompt")
    assert len(shown.inner_text()) <= 50
    assert row.locator("img[src=x], b, script").count() == 0
    width = row.evaluate("node => node.scrollWidth - node.clientWidth")
    assert width <= 1
    # what stands beside the prompt is still read from left to right
    facts = row.locator(".lab-row-facts")
    assert facts.evaluate("node => getComputedStyle(node).direction") == "ltr"
    left, right = (row.locator(f".{name}").bounding_box() for name in ("lab-status", "lab-badge >> nth=1"))  # fmt: skip
    assert left is not None
    assert right is not None
    assert left["x"] < right["x"]
    press(row, "cancel")
    expect(row).to_have_attribute("data-status", "cancelled")


def test_a_failure_s_words_are_text(page: Page, served: ServedLab) -> None:
    job_id = by_hand(
        served,
        status="failed",
        hold=False,
        prompt="failed with words",
        failure={"kind": HTML, "message": HTML, "remedy": RTL},
    )
    row = page.locator(f'.lab-row[data-id="{job_id}"]')
    expect(row.locator(".lab-failure strong")).to_contain_text("<img src=x onerror")
    assert row.locator(".lab-failure img").count() == 0


# ------------------------------------------------------------------------------ services


def test_each_service_has_a_card_with_a_word_and_a_sign(page: Page) -> None:
    cards = page.locator(".lab-service")
    expect(cards.filter(has_text="Worker")).to_have_attribute("data-status", "running")
    expect(cards.filter(has_text="ComfyUI")).to_have_attribute("data-status", "running")
    expect(cards.filter(has_text="Panel")).to_have_attribute("data-status", "running")
    expect(cards.filter(has_text="FLUX API")).to_have_attribute("data-status", "unknown")
    for name in ("Monitor", "Guardian"):
        expect(cards.filter(has_text=name)).to_have_count(1)
    for card in cards.all():
        word = card.get_attribute("data-status")
        expect(card.locator(".lab-service-word")).to_have_text(str(word))
        expect(card.locator("svg")).to_have_count(1)
    expect(cards.filter(has_text="Worker")).to_contain_text(re.compile(r"up \d+ (s|min)"))
    expect(cards.filter(has_text="Worker")).to_contain_text("MB")


# ------------------------------------------------------------------------------ many jobs, both themes


def test_very_many_jobs_are_pages_and_a_new_one_appears_at_once(
    page: Page, served: ServedLab
) -> None:
    began = datetime.now(UTC) - timedelta(days=1)
    for nth in range(MANY):
        job = make_job(f"old {nth}").having(
            id=new_id(began + timedelta(seconds=nth)),
            created_at=began + timedelta(seconds=nth),
            status=Status.CANCELLED,
        )
        (served.lab.paths.jobs / f"{job.id}.json").write_bytes(job.to_json())
    pager = page.get_by_role("navigation", name="Pages of the queue")
    expect(pager).to_contain_text(re.compile(rf"1–20 of {str(MANY)[:-2]}\d\d"))
    pager.get_by_role("button", name="Page 2", exact=True).click()
    expect(pager.locator("[aria-current=page]")).to_have_text("2")
    expect(page.locator(".lab-row")).to_have_count(20)
    pager.get_by_role("button", name=re.compile(rf"Page {LAST}\d$")).click()
    expect(page.locator(".lab-row").last).to_contain_text("old 0")
    expect(pager.get_by_role("button", name="Older jobs")).to_be_disabled()
    pager.get_by_role("button", name="Newer jobs").click()
    pager.get_by_role("button", name="Page 1", exact=True).click()
    expect(pager.locator("[aria-current=page]")).to_have_text("1")
    job = served.lab.submit("new among very many", hold=True)
    expect(row_of(page, job)).to_be_visible(timeout=2000)
    served.lab.cancel(job.id)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_every_word_can_be_read_in_both_themes_and_nothing_is_wider_than_the_page(
    page: Page, theme: str, width: int
) -> None:
    page.emulate_media(reduced_motion="reduce")  # colours that are on their way would be measured
    page.set_viewport_size({"width": width, "height": 900})
    page.evaluate(
        """theme => {
          document.documentElement.dataset.theme = theme;
          document.body.dataset.jpThemeLight = String(theme === "light");
        }""",
        theme,
    )
    ratio, where = page.evaluate(CONTRAST)
    page.emulate_media(reduced_motion="no-preference")
    assert ratio >= AA, where
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_whoever_wants_no_motion_sees_none(page: Page, served: ServedLab) -> None:
    page.emulate_media(reduced_motion="reduce")
    job = served.lab.submit("a long winter", params={"steps": 9000, "width": 512, "height": 512})
    expect(row_of(page, job)).to_have_attribute("data-status", "running")
    assert page.evaluate("document.getAnimations().length") == 0
    page.emulate_media(reduced_motion="no-preference")
    press(row_of(page, job), "cancel")
    expect(row_of(page, job)).to_have_attribute("data-status", "cancelled")
