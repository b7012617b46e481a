"""The grids in a real browser, served as users have them: planned, run, compared, taken home."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import nothing_thrown, require_chromium
from PIL import Image

from orchestrator.jobs import Failure, Job, Status

require_chromium()

from playwright.sync_api import Locator, Page, expect
from served_lab import TOKEN, ServedLab, until

DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
SMALL = {"width": 64, "height": 64, "steps": 1}
BRIGHTNESS = """canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data
    .reduce((one, other) => one + other)"""
HOSTILE = '<img src=x onerror="document.title=1">\u202e {{7*7}}'


@pytest.fixture(scope="module")
def open_page(served: ServedLab, tab: Page) -> Page:
    tab.goto(f"{served.url}/batches?token={TOKEN}")
    expect(prompts(tab)).to_be_visible()
    return tab


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    """The page, with nothing thrown while a test used it."""
    with nothing_thrown(open_page):
        yield open_page


def prompts(page: Page) -> Locator:
    return page.get_by_label("Prompts, one on each line")


def plan(page: Page) -> Locator:
    return page.get_by_role("status", name="Plan")


def row(page: Page, batch: str) -> Locator:
    return page.locator(".lab-batch").filter(has=page.get_by_role("button", name=batch, exact=True))


def test_a_three_by_four_grid_is_planned_with_its_cost_run_and_shown_as_it_comes(
    page: Page, served: ServedLab
) -> None:
    prompts(page).fill("a red fox in the snow")
    page.get_by_label("Name of the batch").fill("foxes")
    page.locator("summary").filter(has_text="The same in every picture").click()
    for name, value in SMALL.items():
        page.locator(f".lab-grid-plan input[name={name}]").fill(str(value))
    page.locator("summary").filter(has_text="The same in every picture").click()
    expect(plan(page)).to_contain_text("12 jobs")
    expect(plan(page)).to_contain_text("3 cfg × 4 seed")
    expect(plan(page)).to_contain_text("Made on your own machine")
    assert served.lab.batches() == []
    page.get_by_role("button", name="Run 12 jobs").click()
    expect(page.locator(".lab-sheet thead th")).to_have_text(
        ["seed 1", "seed 2", "seed 3", "seed 4"]
    )
    expect(page.locator(".lab-sheet tbody th")).to_have_text(["cfg 4", "cfg 7", "cfg 10"])
    expect(page.locator(".lab-cell img:visible")).to_have_count(12)
    expect(row(page, "foxes")).to_contain_text("12 of 12")
    expect(page.get_by_role("button", name="Everything is there")).to_be_visible()
    assert served.lab.batch("foxes").progress().counts == {Status.DONE: 12}


def test_two_pictures_are_compared_by_keys_alone_and_one_becomes_a_favourite(
    page: Page, served: ServedLab
) -> None:
    cells = page.locator(".lab-cell-pick")
    cells.first.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".lab-sheet-hint")).to_contain_text("Now pick")
    for key in ("ArrowDown", "ArrowRight", "ArrowRight", "Enter"):
        page.keyboard.press(key)
    box = page.locator("dialog[open]")
    expect(box.locator("figcaption")).to_have_text(["cfg 4 · seed 1", "cfg 7 · seed 3"])
    box.get_by_role("button", name="Divider").click()
    divider = box.get_by_label("Where the left picture ends")
    divider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    layers = box.locator(".lab-compare-layers")
    assert layers.evaluate("node => node.style.getPropertyValue('--at')") == "45%"
    corner = layers.bounding_box()
    assert corner is not None
    page.mouse.click(corner["x"] + corner["width"] * 0.8, corner["y"] + 20)
    at = float(layers.evaluate("node => parseFloat(node.style.getPropertyValue('--at'))"))
    assert 76 < at < 84
    box.get_by_role("button", name="Difference").click()
    said = box.locator(".lab-compare-told")
    expect(said).to_contain_text("of the pixels differ")
    before = box.locator("canvas").evaluate(BRIGHTNESS)
    box.get_by_label("Gain").fill("32")
    expect(box.locator("output")).to_have_text("× 32")
    assert box.locator("canvas").evaluate(BRIGHTNESS) > before
    box.get_by_label("Right", exact=True).select_option(label="cfg 4 · seed 1")
    expect(said).to_contain_text("the same, pixel by pixel")
    box.get_by_role("button", name="Favourite: cfg 4 · seed 1").first.click()
    until(lambda: len(favourites(served)) == 1, 20)
    (file,) = favourites(served)
    assert served.lab.batch("foxes").jobs()[0].id in file
    page.keyboard.press("Escape")
    star = page.locator(".lab-cell").first.get_by_role("button", name="Favourite")
    expect(star).to_have_attribute("aria-pressed", "true")
    star.click()
    until(lambda: not favourites(served), 20)


def favourites(served: ServedLab) -> list[str]:
    images, _ = served.lab.gallery.page(favourite=True)
    return [image.file for image in images]


def test_what_is_typed_wrong_is_told_before_anything_runs(page: Page, served: ServedLab) -> None:
    values = page.get_by_label("Values of the axis").first
    values.fill("4, lots")
    expect(plan(page)).to_contain_text("CFG: lots is not a number")
    values.fill("4, -3")
    expect(plan(page)).to_contain_text("cfg = -3")
    values.fill("0..1..0.01")
    page.get_by_label("Values of the axis").nth(1).fill("1..100")
    expect(plan(page)).to_contain_text("10,100 jobs; 2,000 fit a page")
    values.fill("4, 7, 10, 12")
    page.get_by_label("Values of the axis").nth(1).fill("1..4")
    expect(plan(page)).to_contain_text("4, the others are there: 12 done")
    assert len(served.lab.batch("foxes")) == 12


def test_a_paid_grid_asks_first_and_cancel_spends_nothing(page: Page, served: ServedLab) -> None:
    page.get_by_label("Name of the batch").fill("paid")
    page.get_by_label("Backend", exact=True).select_option("flux")
    page.get_by_label("Values of the axis").fill("1..30")
    expect(plan(page)).to_contain_text("$1.80 · today $0.00 of")
    page.get_by_role("button", name="Run 30 jobs · $1.80").click()
    box = page.locator("dialog[open]")
    expect(box).to_contain_text("30 jobs with FLUX Ultra: $1.80.")
    page.keyboard.press("Enter")  # Cancel has the focus
    expect(page.locator(".lab-outcome")).to_have_text("Nothing was sent.")
    assert [batch.name for batch in served.lab.batches()] == ["foxes"]
    page.get_by_label("Backend", exact=True).select_option("sd15")


def test_a_batch_is_paused_resumed_cancelled_and_a_failed_cell_says_why(
    page: Page, served: ServedLab
) -> None:
    long = served.lab.grid("a long winter", seed=range(3), steps=4000, name="winter").submit()
    line = row(page, "winter")
    line.get_by_role("button", name="Pause").click()
    expect(line).to_contain_text("paused")
    assert long.progress().paused_since is not None
    line.get_by_role("button", name="Resume").click()
    expect(line).not_to_contain_text("paused")
    line.get_by_role("button", name="Cancel").click()
    line.get_by_role("button", name="Cancel").click()  # it asks first
    expect(line).to_contain_text("3 cancelled")
    prompt = [HOSTILE, "an owl " * 1400]
    served.lab.grid(
        prompt, seed=[1, 2], checkpoint="no-such.safetensors", name="bad", **SMALL
    ).submit()
    page.get_by_role("button", name="bad", exact=True).click()
    failed = page.locator(".lab-cell[data-status=failed]")
    expect(failed).to_have_count(4)
    expect(failed.first).to_contain_text("no checkpoint no-such.safetensors")
    expect(page.locator(".lab-sheet tbody th").first).to_contain_text("<img src=x onerror")
    assert page.locator("img[src=x]").count() == 0
    assert page.title() == "Batches · Orchestrator"
    row(page, "bad").get_by_role("button", name="Retry failed").click()
    until(lambda: all(job.retried_count for job in served.lab.batch("bad").jobs()), 20)


def failed(job: Job) -> Job:
    why = Failure(kind="timeout", message="It took too long", remedy="Try again.")
    claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    return claimed.fail(why, now=job.created_at)


def test_a_paid_batch_is_retried_when_its_price_is_agreed_to(page: Page, served: ServedLab) -> None:
    lab = served.lab
    lab.pause("nothing is to be bought")
    try:
        batch = lab.grid("a fox", backend="flux", seed=range(30), name="dear").submit(confirm=True)
        for job in batch.jobs():
            lab.store.update(job.id, failed)
        retry = page.get_by_role("button", name="Retry failed: dear")
        retry.click()
        box = page.locator("dialog[open]")
        expect(box).to_contain_text("Spend $1.80?")
        expect(box).to_contain_text("30 jobs with FLUX Ultra: $1.80.")
        page.keyboard.press("Enter")  # Cancel has the focus
        expect(box).to_have_count(0)
        assert batch.progress().counts == {Status.FAILED: 30}
        retry.click()
        box.get_by_role("button", name="Spend $1.80").click()
        until(lambda: batch.progress().counts == {Status.QUEUED: 30}, 20)
        assert batch.cancel() == 30
    finally:
        lab.resume()


def test_sheet_and_table_are_taken_home(page: Page) -> None:
    page.get_by_role("button", name="foxes", exact=True).click()
    expect(page.locator(".lab-cell img:visible")).to_have_count(12)
    taken = {}
    for what in ("PNG", "HTML", "CSV"):
        with page.expect_download() as download:
            page.get_by_role("button", name=f"Download {what}").click()
        assert download.value.suggested_filename == f"foxes.{what.lower()}"
        taken[what] = Path(download.value.path()).read_bytes()
    assert Image.open(io.BytesIO(taken["PNG"])).width > 4 * 192
    assert taken["HTML"].count(b"data:image/webp") == 12
    rows = list(csv.DictReader(io.StringIO(taken["CSV"].decode("utf-8-sig"))))
    assert [line["cfg"] for line in rows] == ["4"] * 4 + ["7"] * 4 + ["10"] * 4
    assert all(float(line["entropy"]) > 0 for line in rows)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone_and_every_control_has_a_name(page: Page, theme: str) -> None:
    page.set_viewport_size(PHONE)
    page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    nameless = """nodes => nodes.filter(node => !node.labels?.length && !node.textContent.trim()
        && !node.getAttribute('aria-label')).map(node => node.outerHTML)"""
    controls = page.locator(".lab-grids :is(button, select, input, textarea):visible")
    assert controls.evaluate_all(nameless) == []
    page.set_viewport_size(DESKTOP)
