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
