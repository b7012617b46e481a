"""The models and workflows as the diagnostics show them."""

from __future__ import annotations

import json
from pathlib import Path

from orchestrator import backends
from orchestrator.models import Entry, Fault, Kind, ModelFile
from orchestrator.widgets.stock import SHOWN, stock

HOSTILE = "<img src=x onerror=alert(1)>\n.safetensors"


def entry(name: str, *, fault: Fault | None = None) -> Entry:
    file = ModelFile(
        path=Path(name),
        size=10,
        kind=Kind.CHECKPOINT,
        family="sdxl",
        fault=fault,
        detail="at byte 3",
    )
    return Entry("checkpoints", name, file, seen_by_comfyui=True)


def test_what_cannot_be_loaded_stands_first_with_what_to_do() -> None:
    said = stock(
        [entry("a"), entry(HOSTILE, fault=Fault.TRUNCATED)], known=[], problems={}, unavailable={}
    )
    broken, whole = said["files"]
    assert "cut off: at byte 3" in broken["problem"]
    assert "Download it again" in broken["remedy"]
    assert "\n" not in broken["name"]
    assert whole["family"] == "SDXL"
    assert (said["total"], said["bad"]) == (2, 1)
    assert json.loads(json.dumps(said)) == said


def test_of_very_many_files_those_with_a_fault_are_shown() -> None:
    many = [entry(str(number)) for number in range(SHOWN + 5)]
    said = stock([*many, entry("z", fault=Fault.EMPTY)], known=[], problems={}, unavailable={})
    assert len(said["files"]) == SHOWN
    assert said["files"][0]["name"] == "z"
    assert said["total"] == SHOWN + 6


def test_a_workflow_file_that_makes_no_sense_is_named_with_its_problem() -> None:
    said = stock(
        [],
        known=backends.BACKENDS.values(),
        problems={"odd": "it has no node"},
        unavailable={"sd35": "no checkpoint", "odd": "it has no node"},
    )
    assert said["workflows"] == [{"name": "odd", "problem": "it has no node"}]
    assert said["unavailable"] == [{"title": "SD 3.5", "why": "no checkpoint"}]
