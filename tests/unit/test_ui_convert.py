"""UI format to API format, on small workflows written by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import WorkflowUnreadable
from orchestrator.workflows.ui import Conversion, Format, Plans, convert, draw, format_of, validate

SEED = {"default": 0, "min": 0, "max": 2**64 - 1}
TEXT = {"multiline": True, "dynamicPrompts": True}
GROWS = {"template": {"input": {"required": {"image": ["IMAGE", {}]}}, "prefix": "image", "min": 1}}
MODES = {
    "options": [
        {"key": "size", "inputs": {"required": {"width": ["INT", {"default": 512}]}}},
        {"key": "factor", "inputs": {"required": {"factor": ["FLOAT", {"default": 2.0}]}}},
    ]
}


def declared(outputs: list[Any], required: dict[str, Any], **more: Any) -> dict[str, Any]:
    groups = {"required": required, "optional": more.pop("optional", {})}
    order = {group: list(names) for group, names in groups.items()}
    return {"input": groups, "input_order": order, "output": outputs, "output_node": False} | more


INFO: dict[str, Any] = {
    "Load": declared(["MODEL", "CLIP"], {"name": [["a.safetensors", "b.safetensors"]]}),
    "Text": declared(["CONDITIONING"], {"text": ["STRING", TEXT], "clip": ["CLIP"]}),
    "Sample": declared(
        ["LATENT"],
        {
            "model": ["MODEL"],
            "positive": ["CONDITIONING"],
            "seed": ["INT", SEED],
            "steps": ["INT", {"default": 20, "min": 1}],
            "sampler": [["euler", "ddim"]],
        },
    ),
    "Join": declared(["STRING"], {"a": ["STRING", {}], "b": ["STRING", {}]}),
    "Number": declared(["INT"], {"value": ["INT", {"default": 0}]}),
    "Picture": declared(
        ["IMAGE", "MASK"], {"image": [["there.png"], {"image_upload": True}], "channel": [["red"]]}
    ),
    "Resize": declared(
        ["IMAGE"],
        {
            "image": ["IMAGE"],
            "mode": ["COMFY_DYNAMICCOMBO_V3", MODES],
            "method": [["area", "bicubic"]],
        },
    ),
    "Batch": declared(["IMAGE"], {"images": ["COMFY_AUTOGROW_V3", GROWS]}),
    "Forced": declared(
        ["STRING"], {"x": ["INT", {"forceInput": True}], "y": ["INT", {"default": 1}]}
    ),
    "Combo": declared(
        ["STRING"], {"sizes": ["COMBO", {"options": ["s", "m"], "multiselect": True}]}
    ),
    "Any": declared(["STRING"], {"source": ["*"]}, output_node=True),
    "Save": declared([], {"images": ["IMAGE"], "prefix": ["STRING", {}]}, output_node=True),
}
PLANS = Plans(INFO)


def node(node_id: int | str, kind: str, *values: Any, **more: Any) -> dict[str, Any]:
    """A saved node; `inputs` as name -> link or (link, widget), `outputs` as types."""
    inputs = []
    for name, link in more.pop("inputs", {}).items():
        of_widget = {"widget": {"name": name}} if isinstance(link, tuple) else {}
        link = link[0] if isinstance(link, tuple) else link
        kind_of = more.get("types", {}).get(name, "*")
        inputs.append({"name": name, "type": kind_of, "link": link} | of_widget)
    more.pop("types", None)
    outputs = [{"name": each, "type": each, "links": []} for each in more.pop("outputs", [])]
    saved = {"id": node_id, "type": kind, "pos": {"0": 1, "1": 2}, "mode": 0, "inputs": inputs}
    return saved | {"outputs": outputs, "widgets_values": list(values)} | more


def workflow(*nodes: dict[str, Any], links: Any = (), subgraphs: Any = ()) -> dict[str, Any]:
    """A saved workflow; links as (id, origin, slot, target, slot, type)."""
    return {
        "last_node_id": 20,
        "nodes": list(nodes),
        "links": [list(link) for link in links],
        "definitions": {"subgraphs": list(subgraphs)},
        "version": 0.4,
    }


def subgraph(
    name: str, *nodes: dict[str, Any], links: Any, inputs: Any = (), outputs: Any = ()
) -> Any:
    """A definition; links as in `workflow`, sockets as (name, type, ids of links)."""
    names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return {
        "id": name,
        "name": name,
        "nodes": list(nodes),
        "links": [dict(zip(names, link, strict=True)) for link in links],
        "inputs": [{"name": n, "type": t, "linkIds": ids} for n, t, ids in inputs],
        "outputs": [{"name": n, "type": t, "linkIds": ids} for n, t, ids in outputs],
    }


def inputs(converted: Conversion, node_id: str) -> dict[str, Any]:
    found: dict[str, Any] = converted.prompt[node_id]["inputs"]
    return found


def told(converted: Conversion) -> list[tuple[str, str]]:
    return [(each.node, each.input) for each in converted.warnings]


def test_values_go_to_their_widgets_and_what_to_do_with_a_seed_is_not_sent() -> None:
    done = convert(workflow(node(4, "Sample", 7, "randomize", 30, "ddim")), PLANS)
    assert inputs(done, "4") == {"seed": 7, "steps": 30, "sampler": "ddim"}
    assert done.warnings == ()


def test_the_upload_button_after_the_required_widgets_is_no_value() -> None:
    done = convert(workflow(node(1, "Picture", "there.png", "red", "image")), PLANS)
    assert inputs(done, "1") == {"image": "there.png", "channel": "red"}
    assert done.warnings == ()


def test_a_widget_without_a_value_gets_the_default_with_a_warning() -> None:
    done = convert(workflow(node(4, "Sample", 7, "fixed")), PLANS)
    assert inputs(done, "4") == {"seed": 7, "steps": 20, "sampler": "euler"}
    assert told(done) == [("4", "steps"), ("4", "sampler")]


def test_a_widget_that_is_linked_needs_no_value() -> None:
    links = [(1, 1, 0, 2, 0, "INT")]
    done = convert(
        workflow(node(1, "Number", 3), node(2, "Number", inputs={"value": (1,)}), links=links),
        PLANS,
    )
    assert inputs(done, "2") == {"value": ["1", 0]}
    assert done.warnings == ()


def test_more_values_than_widgets_are_a_warning() -> None:
    assert told(convert(workflow(node(1, "Number", 3, "x", "y")), PLANS)) == [("1", "")]


def test_values_by_name_win_and_a_difference_is_told() -> None:
    named = {"widgets_values_named": {"value": 9}}
    done = convert(workflow(node(1, "Number", 3, **named)), PLANS)
    assert inputs(done, "1") == {"value": 9}
    assert told(done) == [("1", "value")]


def test_values_may_be_saved_as_an_object() -> None:
    done = convert(workflow(node(1, "Join") | {"widgets_values": {"b": "2", "a": "1"}}), PLANS)
    assert inputs(done, "1") == {"a": "1", "b": "2"}


def test_a_list_as_a_value_is_wrapped_since_a_bare_one_is_a_link() -> None:
    done = convert(workflow(node(1, "Combo", ["s", "m"])), PLANS)
    assert inputs(done, "1") == {"sizes": {"__value__": ["s", "m"]}}


def test_an_old_value_of_an_input_that_only_a_link_can_fill_today_is_skipped() -> None:
    assert inputs(convert(workflow(node(1, "Forced", 8, 9)), PLANS), "1") == {"y": 9}
    assert inputs(convert(workflow(node(1, "Forced", 9)), PLANS), "1") == {"y": 9}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("size", 640, "area"), {"mode": "size", "mode.width": 640, "method": "area"}),
        (("factor", 1.5, "area"), {"mode": "factor", "mode.factor": 1.5, "method": "area"}),
    ],
)
def test_a_dynamic_choice_decides_which_values_follow(
    values: tuple[Any, ...], expected: dict[str, Any]
) -> None:
    assert inputs(convert(workflow(node(1, "Resize", *values)), PLANS), "1") == expected


def test_a_dynamic_choice_that_the_server_lacks_is_a_warning() -> None:
    assert ("1", "mode") in told(convert(workflow(node(1, "Resize", "gone", 1, "area")), PLANS))


def test_growing_sockets_keep_their_dotted_names() -> None:
    links = [(1, 1, 0, 2, 0, "IMAGE"), (2, 1, 0, 2, 1, "IMAGE")]
    picture = node(1, "Picture", "there.png", "red")
    batch = node(2, "Batch", inputs={"images.image0": 1, "images.image1": 2})
    done = convert(workflow(picture, batch, links=links), PLANS)
    assert inputs(done, "2") == {"images.image0": ["1", 0], "images.image1": ["1", 0]}


@pytest.mark.parametrize(
    ("text", "sent", "warned"),
    [
        ("a {red|blue} fox", "a red fox", True),
        ("{a|{b|c}} d", "a d", True),
        ("a {red} fox // a note\nhere", "a red fox \nhere", False),
        (r"\{a\|b\} \(c:1.2\)", r"{a|b} \(c:1.2\)", False),
        ("open { end", "open  end", False),
    ],
)
def test_of_choices_in_a_text_the_first_is_sent_with_a_warning(
    text: str, sent: str, warned: bool
) -> None:
    done = convert(workflow(node(1, "Text", text)), PLANS)
    assert inputs(done, "1") == {"text": sent}
    assert told(done) == ([("1", "text")] if warned else [])


def test_links_as_objects_are_read_like_links_as_arrays() -> None:
    saved = workflow(node(1, "Load", "a.safetensors"), node(2, "Text", "x", inputs={"clip": 5}))
    arrays = saved | {"links": [[5, 1, 1, 2, 0, "CLIP"]]}
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    objects = saved | {
        "links": [dict(zip(keys, (5, 1, 1, 2, 0, "CLIP"), strict=True))],
        "version": 1,
    }
    assert convert(arrays, PLANS) == convert(objects, PLANS)
    assert inputs(convert(objects, PLANS), "2") == {"text": "x", "clip": ["1", 1]}


def test_a_muted_node_is_gone_and_leaves_the_value_of_the_widget() -> None:
    links = [(1, 1, 0, 2, 0, "INT")]
    muted = node(1, "Number", 3, mode=2)
    done = convert(
        workflow(muted, node(2, "Number", 5, inputs={"value": (1,)}), links=links), PLANS
    )
    assert done.prompt.keys() == {"2"}
    assert inputs(done, "2") == {"value": 5}


def test_a_bypassed_node_hands_on_what_fits() -> None:
    links = [(1, 1, 1, 2, 0, "IMAGE"), (2, 2, 0, 3, 0, "IMAGE")]
    resize = node(2, "Resize", "size", 1, "area", mode=4, inputs={"image": 1}, outputs=["IMAGE"])
    save = node(3, "Save", "x", inputs={"images": 2}, types={"images": "IMAGE"})
    done = convert(workflow(node(1, "Load", "a.safetensors"), resize, save, links=links), PLANS)
    assert done.prompt.keys() == {"1", "3"}
    assert inputs(done, "3")["images"] == ["1", 1]


def test_a_bypassed_node_counts_its_inputs_as_its_class_declares_them() -> None:
    # only `b` is in the file; the editor shows `a` before it, and that is what output 0 stands for
    links = [(1, 1, 0, 2, 0, "STRING"), (2, 2, 0, 3, 0, "STRING")]
    text = {"types": {"b": "STRING"}}
    first, last = node(1, "Join", "1", "2"), node(3, "Join", "5", "6", inputs={"b": (2,)}, **text)
    off = node(2, "Join", "3", "4", mode=4, inputs={"b": (1,)}, **text)
    done = convert(workflow(first, off, last, links=links), PLANS)
    assert inputs(done, "3") == {"a": "5", "b": "6"}


def test_reroutes_are_no_nodes_and_a_circle_of_them_ends() -> None:
    links = [
        (1, 1, 1, 5, 0, "*"),
        (2, 5, 0, 2, 0, "CLIP"),
        (3, 7, 0, 6, 0, "*"),
        (4, 6, 0, 7, 0, "*"),
    ]
    links.append((5, 7, 0, 3, 0, "CLIP"))
    done = convert(
        workflow(
            node(1, "Load", "a.safetensors"),
            node(5, "Reroute", inputs={"": 1}),
            node(2, "Text", "x", inputs={"clip": 2}),
            node(6, "Reroute", inputs={"": 3}),
            node(7, "Reroute", inputs={"": 4}),
            node(3, "Text", "y", inputs={"clip": 5}),
            links=links,
        ),
        PLANS,
    )
    assert inputs(done, "2")["clip"] == ["1", 1]
    assert inputs(done, "3") == {"text": "y"}
    assert told(done) == [("3", "clip")]


def test_a_primitive_fills_the_widget_it_is_linked_to_even_when_it_is_off() -> None:
    links = [(1, 1, 0, 2, 0, "INT")]
    for mode in (0, 2, 4):
        primitive = node(1, "PrimitiveNode", 42, "fixed", mode=mode)
        number = node(2, "Number", 5, inputs={"value": (1,)})
        done = convert(workflow(primitive, number, links=links), PLANS)
        assert done.prompt.keys() == {"2"}
        assert inputs(done, "2") == {"value": 42}


def test_a_primitive_behind_a_reroute_does_not_reach_the_widget_and_that_is_told() -> None:
    links = [(1, 1, 0, 3, 0, "INT"), (2, 3, 0, 2, 0, "INT")]
    primitive, reroute = node(1, "PrimitiveNode", 42), node(3, "Reroute", inputs={"": 1})
    number = node(2, "Number", 5, inputs={"value": (2,)})
    done = convert(workflow(primitive, reroute, number, links=links), PLANS)
    assert inputs(done, "2") == {"value": 5}
    assert told(done) == [("2", "value")]


def test_a_value_by_name_comes_from_where_the_name_was_given() -> None:
    links = [(1, 1, 1, 5, 0, "CLIP"), (2, 6, 0, 2, 0, "CLIP"), (3, 7, 0, 3, 0, "CLIP")]
    done = convert(
        workflow(
            node(1, "Load", "a.safetensors"),
            node(5, "SetNode", "it", inputs={"CLIP": 1}),
            node(6, "GetNode", "it"),
            node(2, "Text", "x", inputs={"clip": 2}),
            node(7, "GetNode", "nothing"),
            node(3, "Text", "y", inputs={"clip": 3}),
            links=links,
        ),
        PLANS,
    )
    assert inputs(done, "2")["clip"] == ["1", 1]
    assert told(done) == [("3", "clip")]


@pytest.mark.parametrize("links", [[], [(1, 99, 0, 2, 0, "CLIP")]])
def test_a_link_from_nowhere_is_dropped_with_a_warning(links: list[Any]) -> None:
    done = convert(workflow(node(2, "Text", "x", inputs={"clip": 1}), links=links), PLANS)
    assert inputs(done, "2") == {"text": "x"}
    assert told(done) == [("2", "clip")]


def test_an_unknown_class_keeps_its_links_and_named_values_with_a_warning() -> None:
    links = [(1, 1, 1, 2, 0, "CLIP")]
    strange = node(2, "Strange", 1, 2, inputs={"clip": 1}, widgets_values_named={"w": 1})
    done = convert(workflow(node(1, "Load", "a.safetensors"), strange, links=links), PLANS)
    assert done.prompt["2"]["class_type"] == "Strange"
    assert inputs(done, "2") == {"w": 1, "clip": ["1", 1]}
    assert told(done) == [("2", "")]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("7aaae2f0-1111-2222-3333-444444444444", "no definition of the subgraph"),
        ("workflow>mine", "group node of an old editor"),
    ],
)
def test_what_has_no_definition_is_told_by_its_name(kind: str, said: str) -> None:
    (warned,) = convert(workflow(node(2, kind)), PLANS).warnings
    assert said in warned.message


def inner_and_outer(*, host_mode: int = 0, linked: bool = False, **host: Any) -> dict[str, Any]:
    """A subgraph of a text with its loader outside; its text is shown on the host."""
    inside = subgraph(
        "sub",
        node(8, "Text", "inner words", inputs={"clip": 1, "text": (2,)}),
        links=[
            (1, -10, 0, 8, 0, "CLIP"),
            (2, -10, 1, 8, 1, "STRING"),
            (3, 8, 0, -20, 0, "CONDITIONING"),
        ],
        inputs=[("clip", "CLIP", [1]), ("text", "STRING", [2])],
        outputs=[("CONDITIONING", "CONDITIONING", [3])],
    )
    links = [(1, 1, 1, 5, 0, "CLIP"), (2, 5, 0, 6, 1, "CONDITIONING")]
    links += [(3, 7, 0, 5, 1, "STRING")] if linked else []
    return workflow(
        node(1, "Load", "a.safetensors"),
        node(
            5, "sub", mode=host_mode, inputs={"clip": 1, "text": (3 if linked else None,)}, **host
        ),
        node(6, "Sample", 1, "fixed", 20, "euler", inputs={"positive": 2}),
        node(7, "Join", "a", "b"),
        links=links,
        subgraphs=[inside],
    )


def test_nodes_of_a_subgraph_run_under_the_id_of_their_host() -> None:
    done = convert(inner_and_outer(), PLANS)
    assert inputs(done, "5:8") == {"text": "inner words", "clip": ["1", 1]}
    assert inputs(done, "6")["positive"] == ["5:8", 0]
    assert "5" not in done.prompt


def test_a_link_into_a_subgraph_reaches_the_widget_inside() -> None:
    assert inputs(convert(inner_and_outer(linked=True), PLANS), "5:8")["text"] == ["7", 0]


def test_a_value_that_the_host_names_is_the_one_that_is_sent() -> None:
    named = {"widgets_values_named": {"text": "outer words"}}
    assert inputs(convert(inner_and_outer(**named), PLANS), "5:8")["text"] == "outer words"


def test_a_host_that_saves_another_value_than_the_widget_inside_is_told_of() -> None:
    host = {"properties": {"proxyWidgets": [["-1", "text"]]}, "widgets_values": ["outer words"]}
    done = convert(inner_and_outer(**host), PLANS)
    assert inputs(done, "5:8")["text"] == "inner words"
    assert told(done) == [("5", "text")]


def test_a_muted_subgraph_runs_nothing() -> None:
    done = convert(inner_and_outer(host_mode=2), PLANS)
    assert done.prompt.keys() == {"1", "6", "7"}
    assert "positive" not in inputs(done, "6")


def test_a_node_whose_id_another_graph_has_runs_under_a_new_one_and_is_found_again() -> None:
    document = inner_and_outer()
    document["nodes"].append(node(8, "Number", 1))
    done = convert(document, PLANS)
    assert {"8", "5:21"} <= done.prompt.keys()
    assert done.place("5:21") == ("5", "8")
    assert done.place("6") == ("6",)


def test_off_inside_a_subgraph_an_output_does_not_run_though_the_editor_would_send_it() -> None:
    deep = subgraph("deep", node(9, "Any"), links=[])
    outer = subgraph("outer", node(8, "deep", mode=4), node(7, "Number", 1), links=[])
    done = convert(workflow(node(5, "outer"), subgraphs=[outer, deep]), PLANS)
    assert done.prompt.keys() == {"5:7"}
    assert told(done) == [("5:8", "")]


def test_a_subgraph_in_itself_ends_with_a_warning() -> None:
    own = subgraph("own", node(8, "own"), node(7, "Number", 1), links=[])
    done = convert(workflow(node(5, "own"), subgraphs=[own]), PLANS)
    assert any("nested" in each.message for each in done.warnings)


def test_subgraphs_that_double_at_each_level_are_refused_soon() -> None:
    levels = [
        subgraph(f"s{n}", node(1, f"s{n + 1}"), node(2, f"s{n + 1}"), links=[]) for n in range(45)
    ]
    with pytest.raises(WorkflowUnreadable):
        convert(workflow(node(5, "s0"), subgraphs=levels), PLANS)


def test_api_format_stays_as_it_is() -> None:
    prompt = {"3": {"class_type": "Number", "inputs": {"value": 1}}}
    assert format_of(prompt) is Format.API
    assert convert(prompt, PLANS).prompt == prompt


def deep(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels):
        document = {"a": document}
    return document


@pytest.mark.parametrize(
    "rubbish",
    [{}, [], None, 7, "x", {"a": 1}, {"a": {}}, {"nodes": {}}, {"nodes": 3}, deep(5_000)],
)
def test_rubbish_is_refused_with_a_sentence(rubbish: Any) -> None:
    with pytest.raises(WorkflowUnreadable) as refused:
        convert(rubbish, PLANS)
    assert refused.value.message.startswith(("The file", "The workflow"))


ids = st.sampled_from([0, 1, 2, 3, "1", "x", -10, -20, None, 1.0, 2.5, True])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
kinds = st.sampled_from(
    [*INFO, "sub", "other", "Reroute", "PrimitiveNode", "GetNode", "SetNode", "?"]
)
sockets = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["clip", "value", "text", "images", ""])},
        optional={
            "type": st.sampled_from(["*", "CLIP", "IMAGE", 0, "INT,FLOAT"]),
            "link": ids | json_values,
            "linkIds": st.lists(ids, max_size=3) | json_values,
            "widget": st.just({"name": "value"}) | json_values,
        },
    ),
    max_size=3,
)
nodes = st.lists(
    st.fixed_dictionaries(
        {"id": ids, "type": kinds},
        optional={
            "mode": st.sampled_from([0, 1, 2, 4, "x", None]),
            "inputs": sockets | json_values,
            "outputs": sockets | json_values,
            "widgets_values": st.lists(json_values, max_size=5) | json_values,
            "widgets_values_named": json_values,
            "properties": st.just({"proxyWidgets": [["-1", "text"], ["1", "value"]]}) | json_values,
            "order": json_values,
        },
    )
    | json_values,
    max_size=5,
)
links = st.lists(
    st.tuples(ids, ids, ids, ids, ids, st.just("CLIP")).map(list)
    | st.fixed_dictionaries(
        {"id": ids, "origin_id": ids, "origin_slot": ids, "target_id": ids, "target_slot": ids}
    )
    | json_values,
    max_size=6,
)
graphs = {"nodes": nodes, "links": links, "inputs": sockets, "outputs": sockets}
definitions = st.lists(
    st.fixed_dictionaries(graphs | {"id": st.sampled_from(["sub", "other"])}) | json_values,
    max_size=2,
)
documents = st.fixed_dictionaries(
    {"nodes": nodes, "links": links | json_values},
    optional={
        "definitions": st.fixed_dictionaries({"subgraphs": definitions}) | json_values,
        "last_node_id": json_values,
    },
)


@given(documents)
def test_no_document_breaks_the_conversion(document: dict[str, Any]) -> None:
    try:
        done = convert(document, PLANS)
        validate(done.prompt, PLANS)
        again = convert(draw(done.prompt, PLANS).document, PLANS) if done.prompt else done
    except WorkflowUnreadable:
        return
    for each in (done, again):
        for made in each.prompt.values():
            for value in made["inputs"].values():
                assert not isinstance(value, list) or value[0] in each.prompt
    assert repr(convert(document, PLANS)) == repr(done)


@given(st.dictionaries(st.text(max_size=3), json_values | nodes, max_size=4))
def test_no_prompt_breaks_validation_or_drawing(prompt: dict[str, Any]) -> None:
    validate(prompt, PLANS)
    try:
        draw(prompt, PLANS)
    except WorkflowUnreadable:
        return
