"""The Builder's page over the kernel's own `Document`, without a server between: what is drawn, what becomes of it."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

sys.path.append(str(Path(__file__).resolve().parents[1] / "server"))
from browser import require_chromium

require_chromium()

from browser_gates import Kernel, editor

from orchestrator.widgets.builder import bundle
from orchestrator.workflows.ui import Plans

if TYPE_CHECKING:
    from playwright.sync_api import Page

if not (bundle.MADE / "builder.js").is_file():
    pytest.skip("the Builder's editor was not built (hatch_build.py)", allow_module_level=True)

INFO: dict[str, Any] = {
    "Give": {"input": {}, "output": ["IMAGE"], "output_node": False},
    "Take": {"input": {"required": {"image": ["IMAGE"]}}, "output": [], "output_node": True},
}


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel()


@pytest.fixture(scope="module")
def page(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    thrown: list[str] = []
    with editor(Plans(INFO), kernel, tmp_path_factory.mktemp("profile"), thrown) as page:
        yield page
    assert thrown == []


def show(page: Page, kernel: Kernel, document: dict[str, Any]) -> None:
    page.evaluate("told => window.gate.say(told)", kernel.open(json.dumps(document)))


def now(page: Page, kernel: Kernel) -> dict[str, Any]:
    page.evaluate("() => window.gate.settle()")
    document: dict[str, Any] = json.loads(kernel.document.text)
    return document


def linked(**more: Any) -> dict[str, Any]:
    """A link from node 1 to node 2, and another to node 3."""
    give = {"name": "IMAGE", "type": "IMAGE", "links": [7, 8]}
    take = [{"name": "image", "type": "IMAGE", "link": link} for link in (7, 8)]
    nodes = [
        {"id": 1, "type": "Give", "pos": [0, 0], "size": [200, 60], "outputs": [give]},
        {"id": 2, "type": "Take", "pos": [900, 0], "size": [200, 60], "inputs": [take[0]]},
        {"id": 3, "type": "Take", "pos": [900, 400], "size": [200, 60], "inputs": [take[1]]},
    ]
    links = [[7, 1, 0, 2, 0, "IMAGE"], [8, 1, 0, 3, 0, "IMAGE"]]
    return {"nodes": nodes, "links": links, "groups": [], "version": 0.4} | more


POINTS = [
    {"id": 1, "pos": [333, 300], "linkIds": [7, 8]},
    {"id": 2, "parentId": 1, "pos": [666, 350], "linkIds": [7]},
]
REROUTED = {
    "reroutes": POINTS,
    "linkExtensions": [{"id": 7, "parentId": 2}, {"id": 8, "parentId": 1}],
}


def way(page: Page, link: int) -> list[tuple[float, float]]:
    """Where a link goes: the ends of the curves it is drawn of."""
    edge = page.locator(f'.react-flow__edge[data-id="link:{link}"]')
    drawn = edge.locator(".react-flow__edge-path").get_attribute("d") or ""
    numbers = [float(each) for each in re.findall(r"-?[\d.]+", drawn)]
    curves = [numbers[at : at + 8] for at in range(0, len(numbers), 8)]
    return [(round(x), round(y)) for *_, x, y in curves]


def test_a_link_is_drawn_through_its_points_in_their_order(page: Page, kernel: Kernel) -> None:
    show(page, kernel, linked(extra=REROUTED))
    assert way(page, 7)[:-1] == [(333, 300), (666, 350)]
    assert way(page, 8)[:-1] == [(333, 300)]
    assert page.locator(".bd-point").count() == 3


def test_points_that_lead_in_a_circle_end(page: Page, kernel: Kernel) -> None:
    round_about = [POINTS[0] | {"parentId": 2}, POINTS[1]]
    show(page, kernel, linked(extra=REROUTED | {"reroutes": round_about}))
    assert len(way(page, 7)) == 3


def test_points_go_with_the_last_link_that_leads_through_them(page: Page, kernel: Kernel) -> None:
    show(page, kernel, linked(extra=REROUTED))
    node = page.locator('.react-flow__node[data-id="2"]')
    node.click()
    node.press("Delete")
    node.wait_for(state="detached")
    assert now(page, kernel)["extra"] == {
        "reroutes": [{"id": 1, "pos": [333, 300], "linkIds": [8]}],
        "linkExtensions": [{"id": 8, "parentId": 1}],
    }
    page.get_by_role("button", name="Undo").click()
    node.wait_for()
    assert now(page, kernel) == linked(extra=REROUTED)


def test_laid_out_nodes_are_linked_straight(page: Page, kernel: Kernel) -> None:
    show(page, kernel, linked(extra=REROUTED))
    page.get_by_role("button", name="Lay out").click()
    page.locator(".bd-point").first.wait_for(state="detached")
    assert now(page, kernel)["extra"] == {"reroutes": [], "linkExtensions": []}
    assert len(way(page, 7)) == 1


def test_points_in_a_group_go_with_it(page: Page, kernel: Kernel) -> None:
    group = {"title": "All", "bounding": [250, 200, 200, 200], "color": "#3f789e"}
    show(page, kernel, linked(extra=REROUTED, groups=[group]))
    page.locator(".bd-group-title").click()
    page.locator('.react-flow__node[data-id="group:0"]').press("ArrowRight")
    moved = now(page, kernel)
    by = moved["groups"][0]["bounding"][0] - 250
    assert by > 0
    assert [point["pos"] for point in moved["extra"]["reroutes"]] == [[333 + by, 300], [666, 350]]


def nested() -> dict[str, Any]:
    """Two nodes that stand for one subgraph, which has two inputs and an output; all of them are linked."""
    ports = [
        {"id": name, "name": name, "type": "IMAGE", "linkIds": [link]}
        for name, link in (("one", 1), ("two", 2))
    ]
    out = {"id": "out", "name": "out", "type": "IMAGE", "linkIds": [3]}
    take = {"type": "Take", "size": [200, 60]}
    inner = {
        "id": "aaaaaaaa-0000-4000-8000-000000000000",
        "name": "Inner",
        "inputNode": {"id": -10, "bounding": [0, 0, 120, 80]},
        "outputNode": {"id": -20, "bounding": [900, 0, 120, 80]},
        "inputs": ports,
        "outputs": [out],
        "nodes": [
            take | {"id": 5, "pos": [400, 0], "inputs": [image(1)]},
            take | {"id": 6, "pos": [400, 200], "inputs": [image(2)]},
            take | {"id": 7, "pos": [400, 400], "inputs": [image(None)]},
            {"id": 8, "type": "Give", "pos": [400, 600], "size": [200, 60]}
            | {"outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [3]}]},
        ],
        "links": [
            {"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 5, "target_slot": 0, "type": "IMAGE"},
            {"id": 2, "origin_id": -10, "origin_slot": 1, "target_id": 6, "target_slot": 0, "type": "IMAGE"},
            {"id": 3, "origin_id": 8, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"},
        ],
    }  # fmt: skip
    hosts = [
        {
            "id": number,
            "type": inner["id"],
            "pos": [400, 300 * number],
            "size": [200, 100],
            "inputs": [image(links[0], "one"), image(links[1], "two")],
            "outputs": [{"name": "out", "type": "IMAGE", "links": []}],
        }
        for number, links in ((2, (21, 22)), (3, (None, 23)))
    ]
    give = {"name": "IMAGE", "type": "IMAGE", "links": [21, 22, 23]}
    nodes = [{"id": 1, "type": "Give", "pos": [0, 0], "size": [200, 60], "outputs": [give]}, *hosts]
    links = [[21, 1, 0, 2, 0, "IMAGE"], [22, 1, 0, 2, 1, "IMAGE"], [23, 1, 0, 3, 1, "IMAGE"]]
    return {"nodes": nodes, "links": links, "definitions": {"subgraphs": [inner]}, "version": 0.4}


def image(link: int | None, name: str = "image") -> dict[str, Any]:
    return {"name": name, "type": "IMAGE", "link": link}


def enter(page: Page, kernel: Kernel) -> dict[str, Any]:
    document = nested()
    show(page, kernel, document)
    page.locator('.react-flow__node[data-id="2"]').press("Enter")
    page.locator('.react-flow__node[data-id="-10"]').wait_for()
    return document


def ask_sockets(page: Page, port: int, what: str) -> None:
    page.locator(f'.react-flow__node[data-id="{port}"]').press("F2")
    page.get_by_role("option", name=what).click()


def test_a_socket_of_a_subgraph_that_is_removed_goes_from_all_that_stand_for_it_with_its_links(
    page: Page, kernel: Kernel
) -> None:
    before = enter(page, kernel)
    ask_sockets(page, -10, "Remove one")
    after = now(page, kernel)
    (inner,) = after["definitions"]["subgraphs"]
    assert [each["name"] for each in inner["inputs"]] == ["two"]
    assert [(each["id"], each["origin_slot"]) for each in inner["links"]] == [(2, 0), (3, 0)]
    assert [node["inputs"][0]["link"] for node in inner["nodes"][:2]] == [None, 2]
    assert after["links"] == [[22, 1, 0, 2, 0, "IMAGE"], [23, 1, 0, 3, 0, "IMAGE"]]
    give, *hosts = after["nodes"]
    assert give["outputs"][0]["links"] == [22, 23]
    assert [host["inputs"] for host in hosts] == [[image(22, "two")], [image(23, "two")]]
    page.get_by_role("button", name="Undo").click()
    assert now(page, kernel) == before


def test_a_socket_that_is_renamed_keeps_the_name_that_links_and_values_go_by(
    page: Page, kernel: Kernel
) -> None:
    enter(page, kernel)
    ask_sockets(page, -20, "Rename out")
    field = page.get_by_role("dialog").get_by_role("textbox")
    field.fill("the picture")
    field.press("Enter")
    page.locator('.react-flow__node[data-id="-20"]').get_by_text("the picture").wait_for()
    after = now(page, kernel)
    sockets = [after["definitions"]["subgraphs"][0]["outputs"][0]]
    sockets += [host["outputs"][0] for host in after["nodes"][1:]]
    assert [(each["name"], each["label"]) for each in sockets] == [("out", "the picture")] * 3


def test_an_end_of_a_link_becomes_a_socket_of_the_subgraph_by_mouse_or_keys(
    page: Page, kernel: Kernel
) -> None:
    enter(page, kernel)
    page.locator('.react-flow__node[data-id="7"]').press("l")
    page.get_by_role("option", name="Make it an input of the subgraph").click()
    port = page.locator('.react-flow__node[data-id="-20"]').bounding_box()
    dot = page.locator('.react-flow__node[data-id="8"] .source').bounding_box()
    assert port
    assert dot
    page.mouse.move(dot["x"] + dot["width"] / 2, dot["y"] + dot["height"] / 2)
    page.mouse.down()
    page.mouse.move(port["x"] + 40, port["y"] + port["height"] - 5, steps=8)
    page.mouse.up()
    page.locator('.react-flow__edge[data-id="link:5"]').wait_for()
    after = now(page, kernel)
    (inner,) = after["definitions"]["subgraphs"]
    assert [(each["name"], each["linkIds"]) for each in inner["inputs"]] == [
        ("one", [1]),
        ("two", [2]),
        ("image", [4]),
    ]
    assert [(each["name"], each["linkIds"]) for each in inner["outputs"]] == [
        ("out", [3]),
        ("IMAGE", [5]),
    ]
    for host in after["nodes"][1:]:
        assert host["inputs"][2] == image(None)
        assert host["outputs"][1] == {"name": "IMAGE", "type": "IMAGE", "links": []}
