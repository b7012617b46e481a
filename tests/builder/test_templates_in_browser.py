"""A few of the templates in the page itself; `python -m tests.builder.gates --browser` opens all of them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from gates import OBJECT_INFO, templates_folder

sys.path.append(str(Path(__file__).resolve().parents[1] / "server"))
from browser import require_chromium

require_chromium()

import browser_gates

from orchestrator.widgets.builder import bundle
from orchestrator.workflows.ui import Plans

pytestmark = pytest.mark.skipif(
    not OBJECT_INFO.exists() or not (bundle.MADE / "builder.js").is_file(),
    reason="no recordings, or no bundle",
)
SAMPLE = 90  # every so many-th template


@pytest.fixture(scope="module")
def opened() -> browser_gates.Opened:
    folder = templates_folder()
    if folder is None:
        pytest.skip("the package comfyui-workflow-templates-json is not installed")
    files = sorted(folder.glob("*.json"))[::SAMPLE]
    text = "".join(file.read_text("utf-8") for file in files)
    info = json.loads(OBJECT_INFO.read_text("utf-8"))
    used = {name: entry for name, entry in info.items() if f'"{name}"' in text}
    return browser_gates.measure(files, Plans(used))


def test_every_node_and_link_of_every_level_is_drawn_and_no_script_throws(
    opened: browser_gates.Opened,
) -> None:
    assert opened.undrawn == {}
    assert opened.thrown == {}
    assert opened.templates >= 5
    assert opened.levels > opened.templates  # some have subgraphs
    assert opened.links > 100


def test_moving_a_node_and_typing_a_value_are_taken_back_to_the_very_bytes(
    opened: browser_gates.Opened,
) -> None:
    assert opened.changed == {}
    assert opened.moved == opened.typed == opened.templates


def test_what_is_not_drawn_or_drawn_too_much_is_a_fault() -> None:
    inner: dict[str, Any] = {
        "id": "a-b",
        "nodes": [{"id": 3, "type": "KSampler"}],
        "links": [
            {"id": 5, "origin_id": -10, "target_id": 3},
            {"id": 6, "origin_id": 9, "target_id": 3},
        ],
    }
    document: dict[str, Any] = {
        "nodes": [{"id": 1, "type": "a-b"}, {"id": 2, "type": "Note"}],
        "links": [[4, 1, 0, 2, 0, "*"]],
        "definitions": {"subgraphs": [inner, {**inner, "id": "nobody's"}]},
    }
    (root, level), lost = browser_gates.levels_of(document)
    assert (root.nodes, root.links, root.groups) == ({"1", "2"}, {"link:4"}, 0)
    assert (level.path, level.nodes, level.loose) == (("1",), {"3", "-10", "-20"}, 1)
    assert lost == ["nobody's"]
    seen = {"nodes": ["3", "-10", "-20"], "links": [], "groups": 0}
    assert list(browser_gates.undrawn(level, seen)) == ["1 of 1 links are missing: ['link:5']"]
    seen |= {"links": ["link:5", "link:7"], "groups": 1}
    assert list(browser_gates.undrawn(level, seen)) == [
        "links are drawn that are not in the file: ['link:7']",
        "1 of 0 groups are drawn",
    ]
    assert list(browser_gates.undrawn(level, {"missing": "1"})) == ["node 1 cannot be entered"]
