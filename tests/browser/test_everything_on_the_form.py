"""One session with the form: a picture to begin with, a film, a prompt with styles, and what costs money."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from browser import nothing_thrown, require_chromium
from PIL import Image
from served_lab import TOKEN, ServedLab, until

from orchestrator.jobs import Job, Status
from orchestrator.testing import KEY

require_chromium()

from playwright.sync_api import Page, ViewportSize, expect

PHONE: ViewportSize = {"width": 390, "height": 844}
STEP_MS = 60  # slow enough to see what is being painted
SAVED = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "any.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "x", "clip": ["1", 1]}},
    "4": {
        "class_type": "EmptyLatentImage",
        "inputs": {"width": 640, "height": 384, "batch_size": 1},
    },
    "5": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 1,
            "steps": 9,
            "cfg": 6.0,
            "sampler_name": "euler",
            "scheduler": "normal",
            "denoise": 1.0,
            "model": ["1", 0],
            "positive": ["2", 0],
            "negative": ["2", 0],
            "latent_image": ["4", 0],
        },
    },
    "6": {"class_type": "VAEDecode", "inputs": {"samples": ["5", 0], "vae": ["1", 2]}},
    "7": {"class_type": "SaveImage", "inputs": {"images": ["6", 0], "filename_prefix": "x"}},
}
# a file that is let fall on the form
DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (each) => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  const form = document.querySelector(".lab-form form");
  for (const kind of ["dragenter", "dragover", "drop"])
    form.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


@contextmanager
def program(*arguments: str) -> Iterator[str]:
    """A service in a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.communicate(timeout=20)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    """A lab with a slow engine, and with an account that may be spent from unasked up to five cents."""
    folder = tmp_path_factory.mktemp("served")
    with (
        program("orchestrator.testing") as bfl,
        program("orchestrator.engine", "--port", "0", "--step-ms", str(STEP_MS)) as engine,
    ):
        served = ServedLab(
            folder,
            BFL_BASE_URL=bfl,
            BFL_API_KEY=KEY,
            COMFY_URL=engine,
            ORCHESTRATOR_CONFIRM_ABOVE="0.05",
            ORCHESTRATOR_BUDGET_PER_DAY="0.20",
        )
        workflows = served.lab.paths.workflows
        workflows.mkdir(parents=True, exist_ok=True)
        (workflows / "portrait.json").write_text(json.dumps(SAVED))
        (workflows / "<b>odd.json").write_text('{"nodes": []}')
        yield served
        served.stop()


@pytest.fixture(scope="module")
def open_page(served: ServedLab, tab: Page) -> Page:
    tab.goto(f"{served.url}/dashboard?token={TOKEN}")
    expect(tab.get_by_label("Prompt", exact=True)).to_be_visible()
    return tab


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    with nothing_thrown(open_page):
        yield open_page


def png(side: int = 96) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), (30, 120, 200)).save(out, "PNG")
    return out.getvalue()


def drop(page: Page, name: str, data: bytes) -> None:
    page.evaluate(DROP, [name, base64.b64encode(data).decode()])


def fill(page: Page, **fields: object) -> None:
    for name, value in fields.items():
        page.locator(f".lab-form [name={name}]").fill(str(value))


def press(page: Page) -> None:
    button = page.locator("form .lab-primary")
    expect(button).to_be_enabled()
    button.click()


def row_of(page: Page, prompt: str) -> Any:
    return page.locator(".lab-row").filter(has_text=prompt).first


def stored(served: ServedLab, prompt: str) -> list[Job]:
    return [job for job in served.lab.page()[0] if job.prompt == prompt]


def test_a_picture_let_fall_on_the_form_is_begun_with_and_the_row_shows_it_being_painted(
    page: Page, served: ServedLab
) -> None:
    drop(page, "sea <b>.png", png())
    slot = page.locator(".lab-slot-image")
    expect(slot.locator(".lab-slot-facts")).to_have_text("96×96")
    expect(slot.locator("img")).to_be_visible()
    denoise = page.get_by_label("Denoise", exact=True)
    expect(denoise).to_have_value("0.75")
    denoise.fill("0.5")
    fill(page, prompt="a stormy sea", steps=60, width=128, height=128)
    press(page)
    row = row_of(page, "a stormy sea")
    expect(row.locator("img")).to_be_visible()  # the sampler's preview
    assert row.get_attribute("data-status") == "running"
    expect(row).to_have_attribute("data-status", "done")
    (job,) = stored(served, "a stormy sea")
    assert job.params["denoise"] == 0.5
    assert (served.lab.paths.drop_in / job.params["image"]).read_bytes() == png()
    page.get_by_role("button", name="Remove the picture").click()
    expect(denoise).to_be_hidden()


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"%PDF-1.7", "PDF"), (png()[:200], "damaged"), (b"", "empty")],
    ids=["another kind", "half of one", "empty"],
)
def test_a_file_that_is_no_picture_is_refused_with_what_it_is(
    page: Page, data: bytes, said: str
) -> None:
    drop(page, "holiday.png", data)
    expect(page.locator(".lab-outcome")).to_contain_text(said)
    expect(page.locator(".lab-slot-image .lab-slot-full")).to_be_hidden()


def test_a_picture_of_many_pieces_arrives_whole(page: Page, served: ServedLab) -> None:
    noise = Image.effect_noise((1600, 1600), 90)
    out = io.BytesIO()
    noise.save(out, "PNG", compress_level=0)
    drop(page, "noise.png", out.getvalue())
    expect(page.locator(".lab-slot-image .lab-slot-facts")).to_have_text("1600×1600")
    assert (served.lab.paths.drop_in / "noise.png").read_bytes() == out.getvalue()
    page.get_by_role("button", name="Remove the picture").click()


def test_a_picture_is_picked_from_the_newest(page: Page, served: ServedLab) -> None:
    page.get_by_role("button", name="Newest", exact=True).click()
    page.get_by_role("button", name="Begin with: a stormy sea").click()
    expect(page.locator(".lab-slot-image .lab-slot-facts")).to_have_text("128×128")
    page.get_by_role("button", name="Remove the picture").click()


def test_what_will_be_sent_is_shown_before_it_is(page: Page, served: ServedLab) -> None:
    page.get_by_role("button", name="Line art").click()
    fill(page, prompt="a {red|blue} <i>boat</i>", seed=3)
    words = page.locator(".lab-words")
    expect(words).to_contain_text("Will be sent")
    expect(words).to_contain_text("black ink line art of a ")
    expect(words).to_contain_text("<i>boat</i>")
    fill(page, steps=2)
    shown = words.locator(".lab-words-text").inner_text()
    press(page)
    until(lambda: bool(stored(served, "a {red|blue} <i>boat</i>")), 20)
    (job,) = stored(served, "a {red|blue} <i>boat</i>")
    assert job.text == shown
    page.get_by_role("button", name="Line art").click()
    fill(page, prompt="a boat", seed="")
    expect(words).to_be_hidden()


def test_a_saved_workflow_is_a_backend_and_a_bad_one_says_why(page: Page) -> None:
    group = page.locator("select[name=backend] optgroup[label='Your workflows']")
    expect(group.locator("option")).to_have_count(1)
    page.locator(".lab-away summary").click()
    expect(page.locator(".lab-reasons")).to_contain_text("<b>odd")
    page.get_by_label("Backend", exact=True).select_option("portrait")
    expect(page.locator("input[name=width]")).to_have_value("640")
    expect(page.locator(".lab-slots")).to_be_hidden()


def test_money_is_asked_for_in_a_dialog_whose_first_answer_is_no(
    page: Page, served: ServedLab
) -> None:
    page.get_by_label("Backend", exact=True).select_option("flux")
    fill(page, prompt="a dear fox", count=2)
    expect(page.locator(".lab-cost")).to_contain_text("$0.06 each, $0.12 for 2")
    expect(page.locator(".lab-cost")).to_contain_text("today $0.00 of $0.20 spent")
    expect(page.locator("form .lab-primary")).to_have_text("Generate 2 · $0.12")
    press(page)
    box = page.locator("dialog.lab-ask[open]")
    expect(box).to_contain_text("Spend $0.12?")
    expect(box.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Enter")
    expect(box).to_have_count(0)
    expect(page.locator(".lab-outcome")).to_contain_text("Nothing was sent")
    assert stored(served, "a dear fox") == []
    press(page)
    box.get_by_role("button", name="Spend $0.12").click()
    until(lambda: len(stored(served, "a dear fox")) == 2, 20)
    for job in stored(served, "a dear fox"):
        assert served.ended(job).status is Status.DONE
    expect(row_of(page, "a dear fox")).to_contain_text("$0.06")
    expect(page.locator(".lab-cost")).to_contain_text("today $0.12 of $0.20 spent")


def test_what_the_day_cannot_pay_is_said_before_and_held_after(
    page: Page, served: ServedLab
) -> None:
    fill(page, prompt="one too many", count=2)
    expect(page.locator(".lab-cost-warning")).to_contain_text("enough for 1")
    press(page)
    page.get_by_role("button", name="Spend $0.12").click()
    row = page.locator(".lab-row").filter(has_text="held")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("Held.")
    expect(row).to_contain_text("$0.20")
    expect(row.get_by_role("button", name="Run")).to_be_visible()
    page.get_by_label("Backend", exact=True).select_option("sd15")
    fill(page, count=1)
    expect(page.locator(".lab-cost")).to_contain_text("free")


def test_a_film_is_shown_as_it_moves_and_is_begun_with_from_its_dialog(
    page: Page, served: ServedLab
) -> None:
    page.get_by_label("Backend", exact=True).select_option("svd")
    fill(page, prompt="waves", width=128, height=128, frames=4, steps=20)
    press(page)
    row = row_of(page, "waves")
    expect(row.locator("img")).to_be_visible()
    assert row.get_attribute("data-status") == "running"
    expect(row).to_have_attribute("data-status", "done")
    expect(row.locator(".lab-row-moves")).to_be_visible()
    row.get_by_role("button", name="View").click()
    box = page.locator("dialog.lab-box[open]")
    until(lambda: box.locator("img").evaluate("img => img.naturalWidth") == 128, 20)
    box.get_by_role("button", name="Use as input").click()
    expect(page.locator(".lab-slot-image .lab-slot-facts")).to_have_text("128×128")
    page.get_by_label("Backend", exact=True).select_option("sd15")
    row.get_by_role("button", name="View").click()
    box.get_by_role("button", name="Again, other seed").click()
    expect(page.get_by_label("Prompt", exact=True)).to_have_value("waves")
    expect(page.get_by_label("Frames", exact=True)).to_have_value("4")


def test_nothing_stands_out_of_a_phone_s_screen(page: Page) -> None:
    before = page.viewport_size
    page.set_viewport_size(PHONE)
    page.locator(".lab-form .lab-folded summary").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert before is not None
    page.set_viewport_size(before)


def test_a_page_s_kernel_loads_no_library_that_it_does_not_need(
    page: Page, served: ServedLab
) -> None:
    own = page.evaluate(
        "JSON.parse(document.getElementById('jupyter-config-data').textContent).kernelId"
    )
    assert own in served.page_kernels()
    maps = [
        Path(f"/proc/{process.pid}/maps").read_text()
        for process in served.family()
        if any(own in part for part in process.cmdline())
    ]
    assert maps
    for name in ("matplotlib", "pandas", "argostranslate", "ctranslate2"):
        assert not any(name in each for each in maps)


# the page leaves the form by it: nothing below needs it
def test_where_the_money_went_is_in_the_diagnostics(open_page: Page, served: ServedLab) -> None:
    with nothing_thrown(open_page):
        open_page.goto(f"{served.url}/diagnostics")
        money = open_page.locator(".lab-diag-on-money")
        expect(money).to_contain_text("$0.18of $0.20")
        expect(money).to_contain_text("FLUX Ultra $0.18")
        expect(money.locator(".lab-money-days li")).to_have_count(14)
        expect(open_page.locator(".lab-diag-on-stock")).to_contain_text("portrait")
