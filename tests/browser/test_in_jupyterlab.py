"""The widgets in JupyterLab, one after the other in one cell; no key that is pressed in them is the notebook's."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat
import pytest
from browser import nothing_thrown, require_chromium
from served_lab import TOKEN, ServedLab, until

require_chromium()

from contrast import AA, CONTRAST
from playwright.sync_api import BrowserContext, Page, WebSocketRoute, expect

from orchestrator.widgets.builder import bundle

CELL = ".jp-Notebook .jp-CodeCell"
SMALL = {"width": 64, "height": 64, "steps": 1}
NOTE: dict[str, Any] = {
    "id": 1,
    "type": "Note",
    "pos": [0, 0],
    "size": [300, 200],
    "widgets_values": ["of nobody"],
}
WORKFLOW = json.dumps({"nodes": [NOTE], "links": [], "version": 0.4})
needs_editor = pytest.mark.skipif(
    not (bundle.MADE / "builder.js").is_file(), reason="the Builder's editor was not built"
)


class Late:
    """What the kernel says to the page; while `is_late`, it is kept back."""

    def __init__(self) -> None:
        self.is_late = False
        self.held: list[tuple[WebSocketRoute, str | bytes]] = []

    def route(self, socket: WebSocketRoute) -> None:
        def hear(said: str | bytes) -> None:
            if self.is_late:
                self.held.append((socket, said))
            else:
                socket.send(said)

        socket.connect_to_server().on_message(hear)

    def holds(self, text: bytes) -> bool:
        words = (said.encode() if isinstance(said, str) else said for _, said in self.held)
        return any(text in each for each in words)

    def deliver(self) -> None:
        self.is_late = False
        for socket, said in self.held:
            socket.send(said)


@pytest.fixture(scope="module")
def late() -> Late:
    return Late()


@pytest.fixture(scope="module")
def notebook(served: ServedLab, browser: BrowserContext, late: Late) -> Page:
    """A notebook of a code cell and a text, open in JupyterLab, with its kernel there."""
    cells = [
        nbformat.v4.new_code_cell("import orchestrator"),
        nbformat.v4.new_markdown_cell("stays"),
    ]
    book = nbformat.v4.new_notebook(cells=cells)
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, served.lab.paths.project_root / "widgets.ipynb")
    page = browser.new_page()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.set_default_timeout(90_000)  # JupyterLab is much to load
    page.route_web_socket(re.compile("/api/kernels/.*/channels"), late.route)
    page.goto(f"{served.url}/lab/tree/widgets.ipynb?token={TOKEN}&reset")
    page.get_by_text("| Idle").wait_for()  # the kernel is there
    return page


@pytest.fixture
def page(notebook: Page) -> Iterator[Page]:
    with nothing_thrown(notebook):
        yield notebook


def run(page: Page, *lines: str) -> None:
    """Run these lines in the code cell, in place of what it ran before."""
    code = ["from orchestrator import Lab, widgets", "lab = Lab.open()", *lines]
    page.locator(f"{CELL} .cm-content").first.click(position={"x": 200, "y": 12})
    page.keyboard.press("Control+a")
    page.keyboard.insert_text("\n".join(code))
    page.keyboard.press("Control+Enter")


def test_a_picture_is_asked_for_seen_and_its_job_deleted_in_a_notebook(page: Page) -> None:
    run(page, "widgets.Dashboard(lab)")
    page.get_by_label("Prompt", exact=True).fill("asked for in a notebook")
    for name, value in SMALL.items():
        page.locator(f"input[name={name}]").fill(str(value))
    page.keyboard.press("Control+Enter")  # JupyterLab would run the cell
    row = page.locator(".lab-row").filter(has_text="asked for in a notebook")
    expect(row).to_have_attribute("data-status", "done")

    def press(status: str, action: str) -> None:
        each = row.and_(page.locator(f'[data-status="{status}"]'))
        each.locator(f'button[data-action="{action}"]').click()

    press("done", "view")
    picture = page.locator("dialog[open] .lab-box-picture img")
    expect(picture).to_have_js_property("naturalWidth", 64)
    page.keyboard.press("Escape")
    press("done", "duplicate")
    press("created", "cancel")
    press("cancelled", "delete")
    press("cancelled", "delete")
    expect(row).to_have_count(1)
    ratio, where = page.evaluate(CONTRAST)
    assert ratio >= AA, where


def test_a_grid_and_a_comparison_work_in_a_notebook(page: Page, served: ServedLab) -> None:
    batch = served.lab.grid("a heron", cfg=[4, 7], seed=[1, 2], name="herons", **SMALL).submit()
    until(lambda: batch.progress().is_over, 60)
    run(
        page,
        "display(widgets.GridPanel(lab, batch='herons'), widgets.Compare(lab.batch('herons')))",
    )
    page.locator(".lab-grids .lab-cell-pick").first.scroll_into_view_if_needed()
    expect(page.locator(".lab-grids .lab-cell img:visible").first).to_be_visible()
    compare = page.locator(".lab-compare")
    expect(compare.locator("figcaption")).to_have_text(["cfg 4 · seed 1", "cfg 4 · seed 2"])
    until(lambda: compare.locator("img").first.evaluate("img => img.naturalWidth") == 64, 30)
    compare.get_by_role("button", name="Difference").click()
    expect(compare.locator(".lab-compare-told")).to_contain_text("of the pixels differ")
    page.locator(".lab-grids").get_by_label("Prompts, one on each line").fill("a heron")
    expect(page.get_by_role("status", name="Plan")).to_contain_text("12 jobs")


def test_the_gallery_shows_its_pictures_and_their_recipes_in_a_notebook(page: Page) -> None:
    run(page, "widgets.Gallery(lab)")
    pictures = page.locator(".lab-pics-scroll .lab-pic.lab-there")
    expect(pictures).to_have_count(5)
    pictures.filter(has_text="a heron").last.click()
    box = page.locator("dialog[open]")
    expect(box.locator("dl")).to_contain_text("seed")
    until(lambda: box.locator(".lab-viewer-stage img").evaluate("i => i.naturalWidth") == 64, 20)
    page.keyboard.press("ArrowRight")
    expect(box.locator(".lab-viewer-prompt")).to_have_text("asked for in a notebook")
    page.keyboard.press("Escape")


@needs_editor
def test_no_key_pressed_in_the_builder_changes_the_notebook(page: Page) -> None:
    run(page, "widgets.Builder(lab)")
    cells, canvas = page.locator(".jp-Notebook .jp-Cell"), page.locator(".bd-canvas")
    canvas.wait_for()
    expect(page.locator(".bd-fold", has_text="model")).to_be_visible()
    canvas.focus()
    for title in ("KSampler", "VAE Decode"):
        page.keyboard.press("a")
        page.keyboard.type(title)
        page.keyboard.press("Enter")
    sampler, decoder = (page.locator(f'.react-flow__node[data-id="{each}"]') for each in (1, 2))
    expect(decoder).to_be_focused()
    page.keyboard.press(".")  # what is out of sight is not drawn
    expect(sampler).to_be_attached()
    sidebar = page.locator("#jp-left-stack").is_visible()
    steps = sampler.get_by_role("spinbutton", name="steps of KSampler", exact=True)
    for place in (canvas, sampler, steps):
        place.focus()
        for key in ("x", "b", "d", "d", "Control+b", "Control+z", "Enter", "Escape", "m", "y", "1"):
            page.keyboard.press(key)
            if page.locator(".bd-veil").count():
                page.keyboard.press("Escape")
        expect(cells).to_have_count(2)
    decoder.focus()
    page.keyboard.press("Delete")
    expect(decoder).to_have_count(0)
    for key in ("x", "d", "d", "b", "Control+b"):  # what had the focus is gone
        page.keyboard.press(key)
    expect(cells).to_have_count(2)
    expect(cells.nth(1)).to_contain_text("stays")
    assert page.locator("#jp-left-stack").is_visible() == sidebar


@needs_editor
def test_a_change_of_a_view_that_did_not_hear_of_another_is_refused_and_said(
    page: Page, served: ServedLab, late: Late
) -> None:
    """Two views of one `Builder` of one kernel; what the kernel says to them comes late."""
    (served.lab.paths.workflows / "both.json").write_text(WORKFLOW, "utf-8")
    run(page, "both = widgets.Builder(lab, 'both')", "display(both, both)")
    views = page.locator(".lab-builder")
    expect(views).to_have_count(2)
    first, second = views.first, views.last

    def write(view: Any, text: str) -> None:
        view.locator('.react-flow__node[data-id="1"] textarea').fill(text)
        view.locator(".bd-canvas").focus()

    for view in (first, second):
        expect(view.get_by_text("of nobody")).to_be_visible()
    write(first, "of the first")  # the other view hears of it
    expect(second.get_by_text("of the first")).to_be_visible()
    late.is_late = True
    write(first, "of the first again")
    write(second, "of the second")
    for _ in range(200):  # its change arrives, and what is said of it does not yet
        if late.holds(b"changed meanwhile"):
            break
        page.wait_for_timeout(100)
    expect(second.get_by_text("of the second")).to_be_visible()
    late.deliver()
    expect(second.get_by_role("alert")).to_contain_text("changed meanwhile, in another tab")
    expect(second.get_by_text("of the first again")).to_be_visible()
    expect(first.get_by_text("of the first again")).to_be_visible()
    expect(second.get_by_text("of the second")).to_have_count(0)
    write(second, "of the second, knowing")  # and goes on from there
    expect(first.get_by_text("of the second, knowing")).to_be_visible()
