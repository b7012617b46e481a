"""The Builder's document: text that is changed in places only, the way back, files, and two pages on one workflow."""

from __future__ import annotations

import asyncio
import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lengths import LONG
from page import answers, connect, press, until

from orchestrator.catalogue import Catalogue
from orchestrator.errors import PathOutside, SavedWorkflowInvalid, WorkflowUnreadable
from orchestrator.jobs import Failure, Progress, Status
from orchestrator.lab import Lab
from orchestrator.recipes import png
from orchestrator.testing import make_job, make_lab
from orchestrator.widgets.builder import Builder
from orchestrator.widgets.builder.checking import check, kept_seed
from orchestrator.widgets.builder.document import Document, Stale, decoded
from orchestrator.widgets.builder.folder import FileChanged, Folder
from orchestrator.widgets.builder.importing import as_ui, workflow_in
from orchestrator.widgets.builder.running import run_state
from orchestrator.widgets.builder.text import ChangeInvalid, changed
from orchestrator.workflows import Inputs, SavedWorkflow
from orchestrator.workflows.ui import Plans, draw

ODD = '\n{ "a" : [1.0, 2e5,{"k":[ ]}],\t"b":{}, "a2": 18446744073709551615 ,"ü":"\\u00fc"}\n'
PACKAGE = find_spec("comfyui_workflow_templates_json")
TEMPLATES = [
    file
    for folder in (PACKAGE.submodule_search_locations or [] if PACKAGE else [])
    for file in sorted(Path(folder, "templates").glob("*.json"))
]
PROMPT = {
    "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a.safetensors"}},
    "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox", "clip": ["1", 1]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}},
}
UI = {"nodes": [{"id": 1, "type": "Note", "pos": [0, 0], "widgets_values": ["hi"]}], "links": []}

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_a_change_leaves_every_other_character_as_it_was() -> None:
    assert changed(ODD, [{"op": "set", "path": ["a", 2, "k"], "value": 7}]) == ODD.replace(
        "[ ]", "7"
    )
    assert changed(ODD, [{"op": "set", "path": ["b"], "value": [1]}]) == ODD.replace("{}", "[1]")
    assert changed(ODD, [{"op": "remove", "path": ["a2"]}]) == ODD.replace(
        ', "a2": 18446744073709551615 ', ""
    )


def test_a_whole_number_that_no_browser_holds_comes_back_as_it_is() -> None:
    op = {"op": "set", "path": ["b"], "value": ["\x01int:18446744073709551614", "\x01int:x"]}
    assert json.loads(changed(ODD, [op]))["b"] == [18446744073709551614, "\x01int:x"]


def test_added_members_are_laid_out_as_their_neighbours_are() -> None:
    text = json.dumps({"nodes": [{"id": 1}]}, indent=2)
    added = changed(text, [{"op": "insert", "path": ["nodes", 1], "value": {"id": 2}}])
    assert added == json.dumps({"nodes": [{"id": 1}, {"id": 2}]}, indent=2)


@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), VALUES, st.data())
def test_a_changed_text_says_what_the_changed_value_says(
    document: dict[str, Any], value: Any, data: st.DataObject
) -> None:
    indent = data.draw(st.sampled_from([None, 0, 2]))
    text = json.dumps(document, indent=indent, ensure_ascii=data.draw(st.booleans()))
    key = data.draw(st.sampled_from([*document, "new"]))
    assert json.loads(changed(text, [{"op": "set", "path": [key], "value": value}])) == {
        **document,
        key: value,
    }
    if key in document:
        rest = {each: document[each] for each in document if each != key}
        assert json.loads(changed(text, [{"op": "remove", "path": [key]}])) == rest


@pytest.mark.parametrize(
    "op",
    [
        {"op": "set", "path": ["a", 9], "value": 1},
        {"op": "set", "path": ["a", 0, "x"], "value": 1},
        {"op": "remove", "path": ["none"]},
        {"op": "insert", "path": ["a", -1], "value": 1},
        {"op": "spell", "path": ["a"], "value": 1},
        {"op": "remove", "path": []},
        {"op": "set", "path": "a", "value": 1},
    ],
)
def test_a_change_of_a_place_that_is_not_there_is_refused(op: dict[str, Any]) -> None:
    with pytest.raises(ChangeInvalid):
        changed(ODD, [op])


def test_a_change_made_to_an_older_document_is_refused() -> None:
    document = Document(ODD)
    document.change([{"op": "set", "path": ["b"], "value": 1}], base=0)
    with pytest.raises(Stale):
        document.change([{"op": "set", "path": ["b"], "value": 2}], base=0)
    assert json.loads(document.text)["b"] == 1


def test_undo_gives_the_very_text_and_redo_the_other() -> None:
    document = Document(ODD)
    document.change([{"op": "set", "path": ["a", 0], "value": 9}], base=0)
    later = document.text
    document.undo(base=1)
    assert document.text == ODD
    document.redo(base=2)
    assert document.text == later
    assert document.revision == 3


def test_changes_of_one_kind_in_quick_succession_are_one_step_back() -> None:
    document = Document(ODD)
    for base in range(5):
        document.change([{"op": "set", "path": ["b"], "value": base}], base=base, kind="move")
    document.undo(base=5)
    assert document.text == ODD
    assert not document.can_undo


@pytest.mark.skipif(not TEMPLATES, reason="the template workflows are not installed")
def test_a_template_is_written_as_it_was_read_and_undone_to_the_very_text() -> None:
    seen = 0
    for file in TEMPLATES if LONG else TEMPLATES[::8]:
        data = file.read_bytes()
        value = orjson.loads(data)
        if not isinstance(value, dict) or not isinstance(value.get("nodes"), list):
            continue  # a list of the others
        seen += 1
        text, lost = as_ui(decoded(data), Plans({}))
        document = Document(text, data=data)
        assert (document.data(), lost) == (data, [])
        places = [
            ["definitions", "subgraphs", at, "nodes", 0, "pos"]
            for at in range(len(value.get("definitions", {}).get("subgraphs", [])))
        ]
        for base, path in enumerate([["nodes", 0, "pos"], *places]):
            document.change([{"op": "set", "path": path, "value": [base, 7]}], base=base)
            here: Any = value
            for step in path[:-1]:
                here = here[step]
            here["pos"] = [base, 7]
        # nothing but the places is another value
        assert orjson.loads(document.text) == value
        for _ in range(len(places) + 1):
            document.undo(base=document.revision)
        assert document.data() == data
    assert seen > (400 if LONG else 50)


# ---------------------------------------------------------------------------------------------------- files


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a", b"{}", was="", prompt=None)
    state = folder.state("a")
    (tmp_path / "a.json").write_bytes(b'{"by": "another"}')
    with pytest.raises(FileChanged):
        folder.write("a", b"{1}", was=state, prompt=None)
    with pytest.raises(FileChanged):
        folder.write("a", b"{1}", was="", prompt=None)
    assert folder.read("a") == b'{"by": "another"}'


@pytest.mark.parametrize(
    "name", ["../a", "/etc/a", "a/b", "a\\b", ".hidden", "", " ", "a\0b", "sd15", "x" * 200]
)
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PathOutside):
        Folder(tmp_path).write(name, b"{}", was=None, prompt=None)
    assert not [*tmp_path.rglob("*.json")]


def test_what_is_thrown_away_is_in_the_trash(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    folder.write("a", b"{}", was="", prompt=PROMPT)
    folder.trash("a")
    assert folder.list() == []
    assert [file.read_bytes() for file in (tmp_path / ".trash").iterdir()] == [b"{}"]


def test_a_saved_workflow_is_a_backend_until_its_file_is_another(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    data = orjson.dumps(UI)
    folder.write("fox", data, was="", prompt=PROMPT)
    catalogue = Catalogue(tmp_path)
    saved = catalogue.saved("fox")
    assert saved is not None
    assert orjson.loads(saved.data) == PROMPT
    folder.rename("fox", "vixen")
    assert folder.duplicate("vixen") == "vixen copy"
    assert catalogue.get("vixen copy").title == "vixen copy"
    (tmp_path / "vixen.json").write_bytes(orjson.dumps({**UI, "extra": {}}))
    with pytest.raises(SavedWorkflowInvalid, match="not converted yet"):
        Catalogue(tmp_path).get("vixen")


def test_a_workflow_comes_out_of_json_and_out_of_a_picture() -> None:
    text = json.dumps(UI)
    pixel = bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001"
        "a5f645400000000049454e44ae426082"
    )
    assert workflow_in(text.encode()) == text
    both = png.with_texts(pixel, {"workflow": text, "prompt": json.dumps(PROMPT)}, kept=frozenset())
    assert json.loads(workflow_in(both)) == UI
    with pytest.raises(WorkflowUnreadable):
        workflow_in(pixel)


# ---------------------------------------------------------------------------------------------------- checks

TEXTS = {
    "CLIPTextEncode": {
        "input": {"required": {"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}},
        "output": ["CONDITIONING"],
    },
    "KSampler": {
        "input": {"required": {"seed": ["INT", {}], "positive": ["CONDITIONING"]}},
        "output": ["LATENT"],
    },
    "SaveImage": {
        "input": {"required": {"images": ["LATENT"], "filename_prefix": ["STRING", {}]}},
        "output": [],
        "output_node": True,
    },
}


def three_texts() -> dict[str, Any]:
    """A sampler with the prompt of node 1; node 2 holds another text."""
    prompt = {
        "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "an owl"}},
        "3": {"class_type": "KSampler", "inputs": {"seed": 7, "positive": ["1", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }
    return draw(prompt, Plans(TEXTS)).document


def test_the_prompt_is_found_and_the_user_may_choose_another_input() -> None:
    document = three_texts()
    found = check(document, Plans(TEXTS))
    assert (found.place["path"], found.place["input"]) == (["1"], "text")
    assert kept_seed(found.prompt) == {"seed": 7}
    document["extra"]["orchestrator"]["prompt"] = {"path": ["2"], "input": "text"}
    chosen = check(document, Plans(TEXTS))
    assert (chosen.place["path"], chosen.place["text"]) == (["2"], "an owl")
    workflow = SavedWorkflow.read(chosen.prompt, name="x")
    params = workflow.backend().params.model_validate({})
    filled = workflow.fill(params, "a cat", inputs=Inputs(), filename_prefix="p")
    assert [filled[node]["inputs"]["text"] for node in ("1", "2")] == ["a fox", "a cat"]


def test_what_the_server_would_refuse_is_told_at_its_node() -> None:
    found = check(three_texts(), Plans(TEXTS))
    wrong = {(tuple(each["path"]), each["input"], each["severity"]) for each in found.findings}
    assert (("1",), "clip", "error") in wrong
    assert (("2",), "clip", "warning") in wrong  # nothing needs it: the server would not say so


def test_a_failure_leads_to_the_node_inside_its_subgraph() -> None:
    failure = Failure(kind="execution", message="KSampler (node 12:3) failed: ValueError: no")
    job = make_job("a fox").having(status=Status.FAILED, failure=failure)
    said = run_state(job, None, {"12:3": ["12", "3"]})
    assert said["fault"] == ["12", "3"]
    running = make_job("a fox").having(status=Status.RUNNING)
    progress = Progress(node="12:3", finished=("1",))
    said = run_state(running, progress, {"12:3": ["12", "3"], "1": ["1"]})
    assert (said["node"], said["finished"]) == (["12", "3"], [["1"]])


# ---------------------------------------------------------------------------------------------------- the widget


def test_of_two_pages_the_later_change_is_refused_and_its_page_gets_the_newer_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def both(lab: Lab) -> tuple[str, list[dict[str, Any]]]:
        builder = Builder(lab)
        for page in ("one", "two"):
            op = {"op": "set", "path": ["extra"], "value": {"by": page}}
            press(builder, "edit", page=page, base=0, ops=[op], serial=1)
        await until(lambda: [m for m, _ in answers(builder) if m["kind"] == "document"])
        told = [said for said, _ in answers(builder) if said["kind"] == "document"]
        builder.close()
        return builder.text, told

    with make_lab(tmp_path) as lab:
        text, told = asyncio.run(both(lab))
    assert json.loads(text)["extra"] == {"by": "one"}
    assert [each["to"] for each in told] == ["two"]
    assert "changed meanwhile" in told[0]["why"]
    assert json.loads(told[0]["text"])["extra"] == {"by": "one"}


def test_what_is_changed_while_it_is_saved_is_not_taken_for_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def saved(lab: Lab) -> tuple[bool, list[dict[str, Any]], list[str]]:
        lab.paths.workflows.mkdir(parents=True, exist_ok=True)
        file = lab.paths.workflows / "fox.json"
        builder = Builder(lab)

        def said() -> list[dict[str, Any]]:
            return [each for each, _ in answers(builder) if each["kind"] == "answer"]

        press(builder, "save", name="fox", key="1")
        await asyncio.sleep(0)  # it has begun
        op = {"op": "set", "path": ["extra"], "value": {"changed": "meanwhile"}}
        press(builder, "edit", page="one", base=0, ops=[op], serial=1)
        await until(lambda: len(said()) == 1)
        first, is_saved = file.read_text(), builder._figures()["saved"]
        for key in ("2", "3"):  # somebody is impatient
            press(builder, "save", key=key)
        await until(lambda: len(said()) == 3)
        told = said()
        builder.close()
        return is_saved, told, [first, file.read_text()]

    with make_lab(tmp_path) as lab:
        is_saved, said, (first, last) = asyncio.run(saved(lab))
    assert "meanwhile" not in first
    assert not is_saved
    assert [each.get("error") for each in said] == [None, None, None]
    assert "meanwhile" in last


def test_two_pages_that_begin_at_once_are_both_shown_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def both(lab: Lab) -> list[dict[str, Any]]:
        lab.paths.workflows.mkdir(parents=True, exist_ok=True)
        (lab.paths.workflows / "both.json").write_text('{"nodes": [], "links": [], "of": 1}')
        builder = Builder(lab, "both")

        def told(page: str) -> list[dict[str, Any]]:
            every = [said for said, _ in answers(builder) if said["kind"] == "document"]
            return [said for said in every if said["to"] in {"", page}]

        for page in ("one", "two"):
            press(builder, "hello", page=page)
        await until(
            lambda: all(
                '"of"' in (told(page) or [{"text": ""}])[-1]["text"] for page in ("one", "two")
            )
        )
        last = [told(page)[-1] for page in ("one", "two")]
        builder.close()
        return last

    with make_lab(tmp_path) as lab:
        last = asyncio.run(both(lab))
    assert [json.loads(each["text"])["of"] for each in last] == [1, 1]


def test_a_test_run_is_followed_although_the_one_before_was_just_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def followed(lab: Lab) -> str:
        before, now = (lab.submit(prompt, hold=True) for prompt in ("before", "now"))
        builder = Builder(lab)
        builder.run = run_state(before, None, {})
        looks = asyncio.create_task(builder.refresh())
        await asyncio.sleep(0)  # it has begun
        builder.run = run_state(now, None, {})
        await looks
        builder.close()
        return str(builder.run["prompt"])

    with make_lab(tmp_path) as lab:
        assert asyncio.run(followed(lab)) == "now"
