"""What a server would refuse, under its own names, on small prompts written by hand."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.workflows.ui import Finding, Plans, draw, validate
from orchestrator.workflows.ui.convert import convert


def declared(outputs: list[Any], required: dict[str, Any], **more: Any) -> dict[str, Any]:
    groups = {"required": required, "optional": more.pop("optional", {})}
    return {"input": groups, "output": outputs, "output_node": False} | more


GROWS = {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 2}}
MODES = {
    "options": [{"key": "size", "inputs": {"required": {"width": ["INT", {"min": 8}]}}}],
}
INFO: dict[str, Any] = {
    "Load": declared(["MODEL", "CLIP"], {"name": [["a.safetensors", "b.safetensors"]]}),
    "Blank": declared(["IMAGE"], {"width": ["INT", {"default": 512, "min": 16, "max": 1024}]}),
    "Picture": declared(["IMAGE"], {"image": [["there.png"], {"image_upload": True}]}),
    "Model3D": declared(
        ["IMAGE"],
        {
            "file": ["COMBO", {"options": ["none"], "file_upload": True}],
            "w": ["INT", {"max": 9}],
            "h": ["INT", {}],
        },
    ),
    "OldModel3D": declared(
        ["IMAGE"], {"file": [["there.glb"], {"file_upload": True}], "w": ["INT", {}]}
    ),
    "Batch": declared(["IMAGE"], {"images": ["COMFY_AUTOGROW_V3", GROWS]}),
    "Resize": declared(["IMAGE"], {"image": ["IMAGE"], "mode": ["COMFY_DYNAMICCOMBO_V3", MODES]}),
    "Pick": declared(["STRING"], {"of": ["COMBO", {"options": ["s", "m"], "multiselect": True}]}),
    "CustomCombo": declared(["STRING", "INT"], {"choice": ["COMBO", {"options": []}]}),
    "PlainInt": declared(["INT"], {}),
    "Either": declared(["IMAGE"], {"mask": ["MASK,IMAGE"]}),
    "Any": declared(["*"], {"source": ["*"]}, output_node=True),
    "Save": declared(
        [],
        {"images": ["IMAGE"]},
        optional={"prefix": ["STRING", {"dynamicPrompts": True}]},
        output_node=True,
    ),
}
PLANS = Plans(INFO)


def prompt(**nodes: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    """`n1=("Load", {inputs})` is node 1."""
    return {
        name.removeprefix("n"): {"class_type": kind, "inputs": inputs}
        for name, (kind, inputs) in nodes.items()
    }


def told(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(each.node, each.input, each.type) for each in validate(document, PLANS) if each.told]


def test_a_prompt_without_fault_has_no_findings() -> None:
    assert (
        validate(prompt(n1=("Blank", {"width": 64}), n2=("Save", {"images": ["1", 0]})), PLANS)
        == []
    )


@pytest.mark.parametrize(
    ("kind", "inputs", "name", "type_"),
    [
        ("Blank", {}, "width", "required_input_missing"),
        ("Blank", {"width": "wide"}, "width", "invalid_input_type"),
        ("Blank", {"width": None}, "width", "invalid_input_type"),
        ("Blank", {"width": 8}, "width", "value_smaller_than_min"),
        ("Blank", {"width": "2048"}, "width", "value_bigger_than_max"),
        ("Blank", {"width": ["1"]}, "width", "bad_linked_input"),
        ("Picture", {"image": "gone.png"}, "image", "custom_validation_failed"),
        ("OldModel3D", {"file": "gone.glb", "w": 1}, "file", "value_not_in_list"),
        ("Batch", {"images.image0": ["1", 0]}, "images.image1", "required_input_missing"),
        ("Resize", {"image": ["1", 0], "mode": "size"}, "mode.width", "required_input_missing"),
        (
            "Resize",
            {"image": ["1", 0], "mode": "size", "mode.width": 1},
            "mode.width",
            "value_smaller_than_min",
        ),
        ("Either", {"mask": ["3", 1]}, "mask", "return_type_mismatch"),
    ],
)
def test_a_fault_has_the_servers_name_and_its_input(
    kind: str, inputs: dict[str, Any], name: str, type_: str
) -> None:
    document = prompt(
        n1=("Blank", {"width": 64}),
        n3=("Load", {"name": "a.safetensors"}),
        n4=(kind, inputs),
        n5=("Save", {"images": ["4", 0]}),
    )
    assert told(document) == [("4", name, type_)]


@pytest.mark.parametrize(
    ("kind", "inputs"),
    [
        ("Blank", {"width": "64"}),  # the server makes a number of it
        ("Picture", {"image": "folder/maybe.png"}),  # its folders are not in the choices
        ("Picture", {"image": "made.png [output]"}),
        ("Resize", {"image": ["1", 0], "mode": "gone"}),  # no option, so nothing follows
        ("Resize", {"image": ["1", 0], "mode": "size", "mode.width": 8, "unheard": 7}),
        ("Either", {"mask": ["1", 0]}),
        ("Any", {"source": ["1", 0]}),
    ],
)
def test_what_the_server_takes_is_no_fault(kind: str, inputs: dict[str, Any]) -> None:
    document = prompt(
        n1=("Blank", {"width": 64}), n4=(kind, inputs), n5=("Save", {"images": ["4", 0]})
    )
    assert told(document) == []


def test_a_class_that_checks_all_its_inputs_fails_with_all_that_are_not_linked() -> None:
    for inputs, failed in [
        ({"file": "gone.glb", "w": 99, "h": 1}, ["file", "w", "h"]),  # and nothing of the limit
        ({"file": "gone.glb", "w": 1, "h": ["2", 0]}, ["file", "w"]),
        ({"file": "none", "w": 1, "h": 1}, []),
        ({"file": "none", "w": 99, "h": 1}, []),
    ]:
        document = prompt(
            n2=("PlainInt", {}), n4=("Model3D", inputs), n5=("Save", {"images": ["4", 0]})
        )
        assert told(document) == [("4", name, "custom_validation_failed") for name in failed]


def test_choices_are_compared_and_those_of_the_user_are_not() -> None:
    for kind, name, value, found in [
        ("Pick", "of", {"__value__": ["s", "x"]}, [("4", "of", "value_not_in_list")]),
        ("Pick", "of", {"__value__": ["s", "m"]}, []),
        ("Load", "name", "c.safetensors", [("4", "name", "value_not_in_list")]),
        ("CustomCombo", "choice", "mine", []),
    ]:
        document = prompt(n4=(kind, {name: value}), n5=("Any", {"source": ["4", 0]}))
        assert told(document) == found, kind


def test_a_choice_that_is_missing_is_told_with_those_that_are_near() -> None:
    document = prompt(n4=("Load", {"name": "A.ckpt"}), n5=("Any", {"source": ["4", 0]}))
    (found,) = validate(document, PLANS)
    assert "near: a.safetensors" in found.message


def test_of_missing_classes_the_server_names_the_first_and_nothing_else() -> None:
    document = prompt(
        n1=("Gone", {}),
        n2=("Away", {}),
        n4=("Load", {"name": "c"}),
        n5=("Any", {"source": ["4", 0]}),
    )
    assert told(document) == [("1", "", "missing_node_type")]
    hidden = [(each.node, each.type) for each in validate(document, PLANS) if not each.told]
    assert hidden == [("2", "missing_node_type"), ("4", "value_not_in_list")]


def test_without_an_output_the_server_looks_at_nothing() -> None:
    assert told(prompt(n4=("Load", {"name": "c"}))) == [("", "", "prompt_no_outputs")]


def test_what_no_output_needs_is_found_but_not_told() -> None:
    document = prompt(
        n1=("Blank", {"width": 64}), n2=("Save", {"images": ["1", 0]}), n4=("Load", {"name": "c"})
    )
    assert told(document) == []
    (found,) = validate(document, PLANS)
    assert found == Finding("4", "name", "value_not_in_list", found.message, told=False)


@pytest.mark.parametrize("link", [["9", 0], ["1", 5]])
def test_a_link_that_breaks_the_servers_check_is_told_as_the_server_tells_it(
    link: list[Any],
) -> None:
    # an exception while it looks at node 4, on its way from the input of node 5
    document = prompt(
        n1=("Blank", {"width": 64}),
        n4=("Either", {"mask": link}),
        n5=("Save", {"images": ["4", 0]}),
    )
    assert told(document) == [("4", "images", "exception_during_inner_validation")]
    assert told(prompt(n5=("Save", {"images": ["9", 0]}))) == [
        ("5", "", "exception_during_validation")
    ]


def test_a_circle_ends_and_is_found() -> None:
    document = prompt(
        n1=("Either", {"mask": ["2", 0]}),
        n2=("Either", {"mask": ["1", 0]}),
        n3=("Save", {"images": ["1", 0]}),
    )
    assert told(document) == [("1", "", "dependency_cycle")]


def test_a_chain_of_thousands_does_not_exhaust_the_stack() -> None:
    document = prompt(n0=("Blank", {"width": 64}))
    for n in range(1, 2_000):
        document |= prompt(**{f"n{n}": ("Either", {"mask": [str(n - 1), 0]})})
    document |= prompt(n2000=("Save", {"images": ["1999", 0]}))
    assert validate(document, PLANS) == []
    drawn = draw(document, PLANS)
    assert convert(drawn.document, PLANS).prompt.keys() == document.keys()


def test_a_drawn_prompt_converts_to_itself() -> None:
    document = prompt(
        n1=("Blank", {"width": 64}),
        n2=("Load", {"name": "b.safetensors"}),
        n3=("Batch", {"images.image0": ["1", 0], "images.image1": ["1", 0]}),
        n4=("Resize", {"mode": "size", "mode.width": 9, "image": ["3", 0]}),
        n5=("Save", {"prefix": "{a|b}", "images": ["4", 0]}),
        n6=("Any", {"source": 1024}),  # no field of the editor holds this
        n7=("CustomCombo", {"choice": "b", "index": 1, "option1": "a", "option2": "b"}),
        n8=("Pick", {"of": {"__value__": ["s"]}}),
        n9=("Strange", {"w": [1, 2, 3], "from": ["1", 0]}),
    )
    document["104:88"] = {"class_type": "Any", "inputs": {"source": ["9", 2]}}
    drawn = draw(document, PLANS)
    back = convert(drawn.document, PLANS).prompt
    document["10"] = document.pop("104:88")  # ids that are no numbers get one
    document["9"]["inputs"]["w"] = {"__value__": [1, 2, 3]}
    assert {k: (n["class_type"], n["inputs"]) for k, n in back.items()} == {
        k: (n["class_type"], n["inputs"]) for k, n in document.items()
    }


def test_a_drawn_prompt_has_no_nodes_on_top_of_each_other_and_runs_from_left_to_right() -> None:
    document = prompt(
        n1=("Blank", {"width": 64}),
        n2=("Blank", {"width": 64}),
        n3=("Batch", {"images.image0": ["1", 0], "images.image1": ["2", 0]}),
        n4=("Save", {"images": ["3", 0]}),
        n5=("Save", {"images": ["1", 0]}),
    )
    nodes = {each["id"]: each for each in draw(document, PLANS).document["nodes"]}
    for one in nodes.values():
        for other in nodes.values():
            if one["id"] < other["id"]:
                apart = [
                    one["pos"][axis] >= other["pos"][axis] + other["size"][axis]
                    or other["pos"][axis] >= one["pos"][axis] + one["size"][axis]
                    for axis in (0, 1)
                ]
                assert any(apart), (one["id"], other["id"])
    assert nodes[1]["pos"][0] < nodes[3]["pos"][0] < nodes[4]["pos"][0]
    assert nodes[1]["pos"][0] < nodes[5]["pos"][0]


def test_what_a_drawing_cannot_hold_is_told() -> None:
    document = prompt(
        n1=("Blank", {"width": 64, "unheard": 1}),
        n2=("Save", {"images": ["9", 0], "prefix": "x // y"}),
        n3=("Any", {"source": 1}),
    )
    drawn = draw(document, PLANS)
    assert [(each.node, each.input) for each in drawn.warnings] == [
        ("1", "unheard"),
        ("2", "prefix"),
        ("2", "images"),
        ("3", "source"),
    ]
