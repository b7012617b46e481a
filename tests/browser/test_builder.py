"""The Builder in a real browser, served as users have it: a workflow built by mouse and by keys, saved, run, seen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import nothing_thrown, require_chromium

require_chromium()

from playwright.sync_api import Locator, Page, expect
from served_lab import TOKEN, ServedLab, until

MADE = (
    Path(__file__).resolve().parents[2]
    / "orchestrator"
    / "widgets"
    / "builder"
    / "static"
    / "builder.js"
)
if not MADE.is_file():
    pytest.skip("the Builder's editor was not built (hatch_build.py)", allow_module_level=True)

HOSTILE = '<img src=x onerror="document.title=1"><script>document.title=2</script>'
LATENT: dict[str, Any] = {
    "pos": [0, 0],
    "size": [270, 110],
    "flags": {},
    "mode": 0,
    "inputs": [],
    "outputs": [{"name": "LATENT", "type": "LATENT", "links": []}],
}
SHOWN = {"proxyWidgets": [["5", "width"]]}
CHECKPOINT = "Load Checkpoint"
NODES = [CHECKPOINT, "CLIP Text Encode (Prompt)", "CLIP Text Encode (Prompt)", "Empty Latent Image"]
NODES += ["KSampler", "VAE Decode", "Save Image"]
# from the output of one to the input of another, by their numbers in the order above
LINKS = [
    (1, "MODEL", 5, "model"),
    (1, "CLIP", 2, "clip"),
    (1, "CLIP", 3, "clip"),
    (1, "VAE", 6, "vae"),
    (2, "CONDITIONING", 5, "positive"),
    (3, "CONDITIONING", 5, "negative"),
    (4, "LATENT", 5, "latent_image"),
    (5, "LATENT", 6, "samples"),
    (6, "IMAGE", 7, "images"),
]


def visit(page: Page, served: ServedLab) -> Page:
    page.set_viewport_size({"width": 1500, "height": 900})
    page.goto(f"{served.url}/builder?token={TOKEN}")
    page.locator(".bd-canvas").wait_for()
    expect(page.get_by_label("Search nodes")).to_be_visible()
    expect(page.locator(".bd-fold", has_text="model")).to_be_visible()
    return page


def node(page: Page, number: int) -> Locator:
    return page.locator(f'.react-flow__node[data-id="{number}"]')


def saved(served: ServedLab, name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(
        (served.lab.paths.workflows / f"{name}.json").read_bytes()
    )
    return document


def links_of(document: dict[str, Any]) -> set[tuple[int, str, int, str]]:
    nodes = {each["id"]: each for each in document["nodes"]}
    return {
        (
            origin,
            nodes[origin]["outputs"][slot]["name"],
            target,
            nodes[target]["inputs"][target_slot]["name"],
        )
        for _, origin, slot, target, target_slot, _ in document["links"]
    }


def write(served: ServedLab, name: str, document: dict[str, Any] | str) -> None:
    text = document if isinstance(document, str) else json.dumps(document)
    (served.lab.paths.workflows / f"{name}.json").write_text(text, "utf-8")


def open_file(page: Page, name: str) -> None:
    page.get_by_role("button", name="Workflows").click()
    page.locator(".bd-open").filter(has=page.get_by_text(name, exact=True)).click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".bd-title-of")).to_contain_text(name)


def save_as(page: Page, name: str) -> None:
    page.keyboard.press("Control+s")
    page.get_by_label("Save the workflow as").last.fill(name)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert").filter(has_text=f"Saved as {name}.")).to_be_visible()


def begin_anew(page: Page) -> None:
    """Have an empty workflow, whatever was there."""
    page.get_by_role("button", name="Workflows").click()
    page.get_by_role("button", name="New", exact=True).click()
    discard = page.get_by_role("option", name="Discard the changes")
    expect(discard.or_(page.get_by_text("An empty workflow.")).first).to_be_visible()
    if discard.count():
        discard.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".react-flow__node")).to_have_count(0)
    page.get_by_label("Search nodes").fill("")


@pytest.fixture(scope="module")
def open_page(tab: Page, served: ServedLab) -> Page:
    return visit(tab, served)


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    """The page with an empty workflow, with nothing thrown while a test used it."""
    with nothing_thrown(open_page):
        yield open_page
        begin_anew(open_page)


API = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["4", 1]}},
}
MARKS = """() => {
  window.marks = new Set();
  const note = ({ target }) => (target.dataset.mark || "").split(" ").forEach((word) => window.marks.add(word));
  const options = { subtree: true, attributes: true, attributeFilter: ["data-mark"] };
  new MutationObserver((list) => list.forEach(note)).observe(document.querySelector(".bd-canvas"), options);
}"""


def run_and_see(page: Page) -> None:
    page.evaluate(MARKS)
    page.get_by_role("complementary", name="Test").get_by_label("Sample prompt").fill("a red fox")
    page.get_by_role("button", name="Run a test").click()
    shown = page.get_by_label("Test run").locator("img[alt='Result: a red fox']")
    expect(shown).to_be_visible(timeout=90_000)
    expect(page.get_by_label("Test run").get_by_role("status")).to_contain_text("done")
    assert {"running", "done"} <= set(page.evaluate("[...window.marks]"))


def test_a_graph_is_built_by_keys_alone_saved_run_and_its_picture_seen(
    page: Page, served: ServedLab
) -> None:
    page.locator(".bd-canvas").focus()
    for number, title in enumerate(NODES, start=1):
        page.keyboard.press("a")
        page.keyboard.type(title)
        page.keyboard.press("Enter")
        expect(node(page, number)).to_be_focused()
    for origin, output, target, name in LINKS:
        page.keyboard.press("Control+f")
        # the number of a node is among what the dialog looks through
        page.keyboard.type(f"#{origin}")
        page.keyboard.press("Enter")
        expect(node(page, origin)).to_be_focused()
        page.keyboard.press("l")
        if page.get_by_role("dialog").get_by_role("heading").inner_text().startswith("Link from"):
            page.keyboard.type(f"{output} output")
            page.keyboard.press("Enter")
        page.keyboard.type(f"{name} #{target}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_have_count(0)
    # into a field by Enter, out of it by Escape
    page.keyboard.press("Control+f")
    page.keyboard.type("#2")
    page.keyboard.press("Enter")
    expect(node(page, 2)).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.type("a lighthouse")
    page.keyboard.press("Escape")
    expect(node(page, 2)).to_be_focused()
    save_as(page, "by keys")
    document = saved(served, "by keys")
    assert links_of(document) == set(LINKS)
    assert document["nodes"][1]["widgets_values"] == ["a lighthouse"]
    assert "by keys" in [each.name for each in served.lab.catalogue.all()]
    page.keyboard.press("Control+Enter")
    shown = page.get_by_label("Test run").locator("img[alt='Result: a lighthouse']")
    expect(shown).to_be_visible(timeout=90_000)


def test_the_same_graph_is_built_by_mouse_and_its_nodes_say_how_far_it_is(
    page: Page, served: ServedLab
) -> None:
    canvas = page.locator(".bd-canvas").bounding_box()
    assert canvas
    places = [(60, 60), (60, 220), (60, 450), (330, 60), (330, 300), (600, 60), (600, 250)]
    for number, (title, (x, y)) in enumerate(zip(NODES, places, strict=True), start=1):
        page.get_by_label("Search nodes").fill(title)
        item = page.locator(".bd-items button", has_text=re.compile(f"^{re.escape(title)}")).first
        item.drag_to(page.locator(".bd-canvas"), target_position={"x": x, "y": y})
        expect(node(page, number)).to_be_attached()
    page.get_by_role("button", name="Lay out").click()
    for number in range(1, 8):
        expect(node(page, number)).to_be_in_viewport()
    for origin, output, target, name in LINKS:
        source = node(page, origin).get_by_label(re.compile(f"^Output {output} of"))
        sink = node(page, target).get_by_label(re.compile(f"^Input {name} of"))
        page.get_by_role("button", name="Lay out").click()
        source.drag_to(sink)
    expect(page.locator(".react-flow__edge")).to_have_count(len(LINKS))
    save_as(page, "by mouse")
    assert links_of(saved(served, "by mouse")) == set(LINKS)
    steps = node(page, 5).get_by_role("spinbutton", name="steps of KSampler", exact=True)
    steps.fill("1000")  # long enough to be seen at work
    steps.press("Enter")
    run_and_see(page)


def test_what_is_done_can_be_undone_to_the_very_text(page: Page, served: ServedLab) -> None:
    text = (
        '{ "nodes":[{"id":1,"type":"KSampler","pos":[0,0.50],"size":[270,260],"flags":{},"mode":0,"inputs":[],'
        '"outputs":[],"widgets_values":[18446744073709551615,"fixed",20,8.0,"euler","normal",1.00],"ours":1e3}],\n'
        '"links":[],"groups":[],"version":0.4}'
    )
    write(served, "odd", text)
    file = served.lab.paths.workflows / "odd.json"
    open_file(page, "odd")
    seed = node(page, 1).get_by_role("spinbutton", name="seed of KSampler", exact=True)
    expect(seed).to_have_value("18446744073709551615")
    page.keyboard.press("Control+s")
    expect(page.get_by_role("alert").filter(has_text="Saved as odd.")).to_be_visible()
    assert file.read_text() == text
    steps = node(page, 1).get_by_role("spinbutton", name="steps of KSampler", exact=True)
    steps.fill("31")
    steps.press("Enter")
    expect(page.get_by_label("not saved")).to_be_visible()
    page.keyboard.press("Control+s")
    until(lambda: "31" in file.read_text(), 10)
    assert file.read_text() == text.replace(",20,", ",31,")
    page.locator(".bd-canvas").focus()
    page.keyboard.press("Control+z")
    expect(steps).to_have_value("20")
    page.keyboard.press("Control+s")
    until(lambda: file.read_text() == text, 10)


def test_titles_notes_and_file_names_are_text(page: Page, served: ServedLab) -> None:
    base = {"pos": [0, 0], "size": [300, 200], "flags": {}, "mode": 0, "inputs": [], "outputs": []}
    nodes = [
        {**base, "id": 1, "type": "Note", "title": HOSTILE, "widgets_values": [HOSTILE]},
        {**base, "id": 2, "type": HOSTILE, "pos": [400, 0], "widgets_values": [HOSTILE]},
    ]
    group = {"title": HOSTILE, "bounding": [-50, -100, 900, 500], "color": "#3f789e"}
    name = "<img src=x onerror=document.title=3>"
    write(served, name, {"nodes": nodes, "links": [], "groups": [group], "version": 0.4})
    title = page.title()
    open_file(page, name)
    expect(node(page, 1).locator(".bd-title")).to_contain_text(HOSTILE)
    expect(page.locator(".bd-group-title")).to_have_text(HOSTILE)
    page.get_by_role("button", name=re.compile("errors?$")).click()
    expect(page.locator(".bd-findings")).to_contain_text("<img")
    page.wait_for_timeout(300)
    assert page.locator(".lab-builder img, .lab-builder script").count() == 0
    assert page.title() == title


def test_a_file_that_changed_on_the_disk_is_not_overwritten_unasked(
    page: Page, served: ServedLab
) -> None:
    empty = {"nodes": [], "links": [], "version": 0.4}
    write(served, "shared", empty)
    open_file(page, "shared")
    page.locator(".bd-canvas").focus()
    page.keyboard.press("a")
    page.keyboard.type("note")
    page.keyboard.press("Enter")
    write(served, "shared", {**empty, "extra": {"by": "somebody else"}})
    kept = (served.lab.paths.workflows / "shared.json").read_bytes()
    page.keyboard.press("Control+s")
    dialog = page.get_by_role("dialog", name=re.compile("was changed on the disk"))
    dialog.get_by_role("option", name="Do not save").click()
    expect(dialog).to_have_count(0)
    assert (served.lab.paths.workflows / "shared.json").read_bytes() == kept
    expect(node(page, 1)).to_be_visible()  # and nothing of it is lost
    expect(page.get_by_label("not saved", exact=True)).to_be_visible()
    page.keyboard.press("Control+s")
    dialog.get_by_role("option", name="Save over it").click()
    expect(page.get_by_role("alert").filter(has_text="Saved as shared.")).to_be_visible()
    until(lambda: len(saved(served, "shared")["nodes"]) == 1, 10)


def test_a_name_that_is_refused_is_there_to_be_corrected(page: Page, served: ServedLab) -> None:
    page.get_by_role("button", name="Save as").click()
    name = page.get_by_role("dialog").get_by_role("textbox")
    name.fill("by/mistake")
    name.press("Enter")
    expect(page.get_by_role("alert").filter(has_text="cannot be the name")).to_be_visible()
    expect(name).to_have_value("by/mistake")
    name.fill("by correction")
    name.press("Enter")
    until(lambda: (served.lab.paths.workflows / "by correction.json").is_file(), 10)


def test_subgraphs_are_entered_edited_and_left(page: Page, served: ServedLab) -> None:
    definition = {
        "id": "11111111-2222-4333-8444-555555555555",
        "name": "Size",
        "state": {"lastNodeId": 5, "lastLinkId": 0},
        "inputNode": {"id": -10, "bounding": [-200, 0, 120, 60]},
        "outputNode": {"id": -20, "bounding": [500, 0, 120, 60]},
        "inputs": [],
        "outputs": [{"id": "a", "name": "LATENT", "type": "LATENT", "linkIds": []}],
        "nodes": [
            {**LATENT, "id": 5, "type": "EmptyLatentImage", "widgets_values": [512, 512, 1]}
        ],
        "links": [],
    }  # fmt: skip
    host = {**LATENT, "id": 1, "type": definition["id"], "properties": SHOWN, "widgets_values": []}
    write(
        served,
        "nested",
        {"nodes": [host], "links": [], "definitions": {"subgraphs": [definition]}, "version": 0.4},
    )
    open_file(page, "nested")
    width = node(page, 1).get_by_role("spinbutton", name="width of Size", exact=True)
    width.fill("640")
    width.press("Enter")
    node(page, 1).focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter") if not node(page, 5).count() else None
    expect(
        node(page, 5).get_by_role("spinbutton", name="width of Empty Latent Image", exact=True)
    ).to_have_value("640")
    expect(page.get_by_label("Levels")).to_contain_text("Size")
    output = node(page, 5).get_by_label(re.compile("^Output LATENT"))
    output.drag_to(node(page, -20).get_by_label(re.compile("^Input LATENT")))
    expect(page.locator(".react-flow__edge")).to_have_count(1)
    page.locator(".bd-canvas").focus()
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(node(page, 1)).to_be_attached()
    page.keyboard.press("Control+s")
    until(lambda: bool(saved(served, "nested")["definitions"]["subgraphs"][0]["links"]), 10)
    inner = saved(served, "nested")["definitions"]["subgraphs"][0]
    assert inner["outputs"][0]["linkIds"] == [inner["links"][0]["id"]]
    assert inner["nodes"][0]["widgets_values"][0] == 640


def test_nodes_go_to_another_workflow_by_the_clipboard_and_a_dropped_link_suggests_what_takes_it(
    page: Page, served: ServedLab
) -> None:
    page.get_by_role("button", name="Workflows").click()
    page.get_by_role("button", name="SD 1.5 text to image").click()
    expect(page.locator(".react-flow__node-lab")).to_have_count(7)
    page.locator(".bd-canvas").focus()
    page.keyboard.press("Control+a")
    page.keyboard.press("Control+c")
    page.get_by_role("button", name="Workflows").click()
    page.get_by_role("button", name="New", exact=True).click()
    page.get_by_role("option", name="Discard the changes").click()
    expect(page.locator(".react-flow__node")).to_have_count(0)
    page.locator(".bd-canvas").focus()
    page.keyboard.press("Control+v")
    page.keyboard.press(".")
    expect(page.locator(".react-flow__node-lab")).to_have_count(7)
    expect(page.locator(".react-flow__edge")).to_have_count(9)
    page.get_by_role("button", name="Bypass").click()
    expect(page.locator(".bd-node[data-mode=bypassed]")).to_have_count(7)
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".bd-node[data-mode]")).to_have_count(0)
    box = page.locator(".bd-canvas").bounding_box()
    assert box
    image = page.get_by_label(re.compile("^Output IMAGE of VAE Decode"))
    image.hover()
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + box["height"] - 30, steps=5)
    page.mouse.up()
    dialog = page.get_by_role("dialog", name="Add a node that takes IMAGE")
    dialog.get_by_role("combobox").fill("preview image")
    page.keyboard.press("Enter")
    expect(page.locator(".react-flow__edge")).to_have_count(10)
    page.keyboard.press("Delete")
    expect(page.locator(".react-flow__node-lab")).to_have_count(7)
    file = served.lab.paths.project_root / "dropped.json"
    file.write_text(json.dumps(API))
    page.get_by_label("Search nodes").focus()
    page.keyboard.press("Control+o")
    page.locator("input[type=file]").set_input_files(str(file))
    page.get_by_role("option", name="Discard the changes").click()
    expect(page.locator(".react-flow__node-lab")).to_have_count(2)
    expect(page.locator(".react-flow__edge")).to_have_count(1)


def test_a_phone_begins_with_the_canvas_and_has_one_panel_over_it(
    page: Page, served: ServedLab
) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{served.url}/builder?token={TOKEN}")
    expect(page.get_by_role("button", name="Begin with a template")).to_be_visible()
    palette, side = page.locator(".bd-palette"), page.locator(".bd-side")
    expect(palette).to_have_count(0)
    expect(side).to_have_count(0)
    page.get_by_role("button", name="Nodes", exact=True).click()
    expect(palette).to_be_in_viewport(ratio=0.9)
    page.get_by_role("button", name="Test", exact=True).click()
    expect(side).to_be_in_viewport(ratio=0.9)
    expect(palette).to_have_count(0)
    visit(page, served)
