"""The dashboard in a real browser, served as users have it: `orchestrator up` with its worker and engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import nothing_thrown, require_chromium
from served_lab import TOKEN, ServedLab, until

from orchestrator.jobs import Failure, Job, Status
from orchestrator.testing import make_job

require_chromium()

from playwright.sync_api import Page, expect

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
LONG = {"steps": 9000, "width": 512, "height": 512}


@pytest.fixture(scope="module")
def open_page(served: ServedLab, tab: Page) -> Page:
    tab.goto(f"{served.url}/dashboard?token={TOKEN}")
    expect(tab.get_by_label("Prompt", exact=True)).to_be_visible()
    return tab


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    """The page, with nothing thrown while a test used it."""
    with nothing_thrown(open_page):
        yield open_page


def ask(page: Page, prompt: str, **fields: object) -> None:
    page.get_by_label("Prompt", exact=True).fill(prompt)
    for name, value in {"steps": 8, "width": 128, "height": 128, **fields}.items():
        page.locator(f"input[name={name}]").fill(str(value))
    page.get_by_role("button", name="Generate").click()


def row_of(page: Page, prompt: str) -> Any:
    return page.locator(".lab-row").filter(has_text=prompt).first


def stored(served: ServedLab, prompt: str) -> list[Job]:
    return [job for job in served.lab.page()[0] if job.prompt == prompt]


def test_a_typed_prompt_shows_progress_then_its_picture_in_the_same_row(
    page: Page, served: ServedLab
) -> None:
    ask(page, "a red fox at dawn", steps=2000, width=512, height=512)
    row = row_of(page, "a red fox at dawn")
    expect(row).to_have_attribute("data-status", "running")
    expect(row.get_by_role("progressbar")).to_be_visible()
    expect(row).to_contain_text("of 2000")
    row.evaluate("node => { node.wasHere = true; }")
    expect(row).to_have_attribute("data-status", "done")
    assert row.evaluate("node => node.wasHere")
    expect(page.locator(".lab-newest img").first).to_be_visible()
    (job,) = stored(served, "a red fox at dawn")
    assert job.result is not None
    assert Path(job.result.files[0]).is_file()


def test_view_shows_the_whole_picture_with_its_seed_and_escape_closes_it(
    page: Page, served: ServedLab
) -> None:
    (job,) = stored(served, "a red fox at dawn")
    row_of(page, "a red fox at dawn").get_by_role("button", name="View").click()
    box = page.locator("dialog[open]")
    expect(box).to_contain_text(str(job.params["seed"]))
    image = box.locator("img")
    until(lambda: image.evaluate("img => img.naturalWidth") == 512, 20)
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_arrow_keys_go_through_the_newest_pictures(page: Page, served: ServedLab) -> None:
    ask(page, "a blue owl")
    expect(page.locator(".lab-newest li")).to_have_count(2)
    page.locator(".lab-newest li button").first.click()
    box = page.locator("dialog[open]")
    expect(box).to_contain_text("a blue owl")
    page.keyboard.press("ArrowRight")
    expect(box).to_contain_text("a red fox at dawn")
    page.keyboard.press("ArrowLeft")
    expect(box).to_contain_text("a blue owl")
    page.keyboard.press("Escape")


def test_cancel_ends_a_long_job(page: Page, served: ServedLab) -> None:
    ask(page, "a long winter", **LONG)
    row = row_of(page, "a long winter")
    expect(row).to_have_attribute("data-status", "running")
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_attribute("data-status", "cancelled")
    expect(row.get_by_role("button", name="Retry")).to_be_visible()
    assert stored(served, "a long winter")[0].status is Status.CANCELLED


def test_a_hostile_prompt_is_shown_as_text_and_does_nothing(page: Page, served: ServedLab) -> None:
    prompt = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
    ask(page, prompt)
    row = row_of(page, "<img src=x onerror")
    expect(row).to_have_attribute("data-status", "done")
    row.get_by_role("button", name="View").click()
    expect(page.locator("dialog[open] .lab-box-prompt")).to_have_text(prompt)
    page.keyboard.press("Escape")
    assert page.evaluate("window.hacked") is None
    assert page.locator('img[src="x"]').count() == 0


def test_a_mistake_is_told_in_the_form_with_its_remedy(page: Page, served: ServedLab) -> None:
    ask(page, "a mistake", width=513)
    expect(page.locator(".lab-outcome")).to_contain_text("multiple of 8")
    expect(page.locator(".lab-outcome")).to_contain_text("Correct the request")
    assert stored(served, "a mistake") == []


UNCOVERED = """() => {
  const node = document.activeElement;
  const { left, top, width, height } = node.getBoundingClientRect();
  return node.contains(document.elementFromPoint(left + width / 2, top + height / 2)) && node.name;
}"""


def test_a_mistake_is_in_view_and_the_field_to_correct_has_the_focus(page: Page) -> None:
    page.evaluate("scrollTo(0, 0)")
    page.locator("input[name=steps]").fill("0")
    page.locator("input[name=width]").fill("513")
    page.get_by_label("Prompt", exact=True).press("Control+Enter")
    expect(page.locator(".lab-outcome")).to_contain_text("multiple of 8")
    expect(page.locator(".lab-outcome")).to_be_in_viewport(ratio=1)
    expect(page.locator("[aria-invalid]")).to_have_count(2)
    assert page.evaluate(UNCOVERED) == "width"
    page.evaluate("scrollTo(0, 0)")
    page.keyboard.press("Control+Enter")  # it has the focus already
    page.wait_for_function(f"({UNCOVERED})() === 'width'")
    page.keyboard.type("128")
    expect(page.locator("[aria-invalid]")).to_have_count(1)


def test_what_the_tab_key_comes_to_is_not_under_the_button(page: Page) -> None:
    page.evaluate("scrollTo(0, 0)")
    page.locator("input[name=width]").focus()
    for name in ("height", "steps", "cfg", "seed"):
        page.keyboard.press("Tab")
        assert page.evaluate(UNCOVERED) == name


def test_the_button_keeps_the_focus(page: Page) -> None:
    ask(page, "by the button")
    expect(row_of(page, "by the button")).to_have_attribute("data-status", "done")
    expect(page.get_by_role("button", name="Generate")).to_be_focused()


def test_ctrl_enter_is_the_button_and_a_double_click_is_one_click(
    page: Page, served: ServedLab
) -> None:
    page.locator("input[name=width]").fill("128")
    page.get_by_label("Prompt", exact=True).fill("by the keys")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    page.keyboard.press("Control+Enter")
    expect(row_of(page, "by the keys")).to_have_attribute("data-status", "done")
    page.get_by_label("Prompt", exact=True).fill("twice")
    expect(page.get_by_role("button", name="Generate")).to_be_enabled()
    page.get_by_role("button", name="Generate").dblclick(delay=60)
    expect(row_of(page, "twice")).to_have_attribute("data-status", "done")
    assert len(stored(served, "twice")) == 1


def test_a_paid_backend_says_its_price_and_a_draft_costs_nothing_until_it_runs(
    page: Page, served: ServedLab
) -> None:
    page.get_by_label("Backend", exact=True).select_option("flux")
    expect(page.locator(".lab-primary")).to_contain_text("$0.06")
    expect(page.get_by_label("Width")).to_have_count(0)
    expect(page.get_by_label("Shape")).to_be_visible()
    page.get_by_label("Hold as a draft").check()
    expect(page.locator(".lab-primary")).to_have_text("Save draft")
    page.get_by_label("Prompt", exact=True).fill("a paid draft")
    page.locator(".lab-primary").click()
    row = row_of(page, "a paid draft")
    expect(row).to_contain_text("draft")
    row.get_by_role("button", name="Cancel").click()
    expect(row).to_have_attribute("data-status", "cancelled")
    page.get_by_label("Hold as a draft").uncheck()
    page.get_by_label("Backend", exact=True).select_option("sd15")
    assert stored(served, "a paid draft")[0].attempts == []


def test_what_may_have_been_paid_asks_before_it_pays_again(page: Page, served: ServedLab) -> None:
    def lost(job: Job) -> Job:
        failure = Failure(kind="ambiguous", message="No answer came", remedy="Look at the account.")
        begun = job.claim(worker="w", host="h", slot=None, now=job.created_at)
        begun = begun.begin_attempt(service="bfl", host="api", now=job.created_at)
        return begun.fail(failure, now=job.created_at, ambiguous=True)

    job = served.lab.store.create(lost(make_job("a lost answer", backend="flux")))
    row = row_of(page, "a lost answer")
    expect(row).to_contain_text("may have been paid")
    row.get_by_role("button").filter(has_text="Retry").click()
    expect(row.locator(".lab-row-buttons")).to_have_text("Pay again?")
    assert served.lab.store.get(job.id).revision == job.revision
    row.get_by_role("button").filter(has_text="Pay again?").click()
    until(lambda: served.lab.store.get(job.id).revision > job.revision, 20)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_phone_needs_no_sideways_scrolling(page: Page, theme: str) -> None:
    page.set_viewport_size(PHONE)
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    expect(page.locator(".lab-form")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    ink, card = (
        page.locator(".lab-form").evaluate(f"node => getComputedStyle(node).{name}")
        for name in ("color", "backgroundColor")
    )
    assert contrast(ink, card) > 7
    page.set_viewport_size(DESKTOP)


def test_a_page_whose_kernel_has_died_says_so(page: Page, served: ServedLab) -> None:
    kernels = {kernel["id"] for kernel in served.api("GET", "/api/kernels")}
    own = page.evaluate(
        "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    )
    assert own in kernels
    expect(page.locator(".lab-silent")).to_be_hidden()
    served.http.request("DELETE", f"/api/kernels/{own}", headers=served.token)
    # the frame asks the server, the widgets miss their heartbeat: one banner says it
    lost = page.locator(".frame-lost:visible, .lab-silent:visible")
    expect(lost).to_have_count(1)
    expect(lost.get_by_role("button", name="Reload")).to_be_visible()


def contrast(one: str, other: str) -> float:
    """The contrast of two computed colours, 1 to 21, as WCAG defines it."""

    def light(colour: str) -> float:
        parts = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        curve: Callable[[float], float] = lambda c: (  # noqa: E731 - the formula, in one place
            c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4
        )
        red, green, blue = map(curve, parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    lighter, darker = sorted((light(one), light(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
