"""Where a saved workflow keeps its prompt, seed, size and the rest: found by following its links backwards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SAMPLER = re.compile(r"sampler|guider", re.IGNORECASE)
TEXT_ENCODER = re.compile(r"text_?encode", re.IGNORECASE)
CANVAS = re.compile(r"^Empty.*Latent|img2vid|ToVideo", re.IGNORECASE)
SIZED_ALIKE = re.compile(r"TextEncode|ModelSampling|Scheduler|" + CANVAS.pattern, re.IGNORECASE)
PICTURE_WRITER = re.compile(r"image|video|webm|webp|animated|gif", re.IGNORECASE)
OUTPUT = re.compile(r"save|preview|video_?combine", re.IGNORECASE)
ONE_SIDED = "ConditioningZeroOut"  # says nothing, whatever stands before it
SIDES = ("positive", "negative")
# The inputs of text encoders, of all families that ComfyUI knows.
TEXTS = (
    "text", "text_g", "text_l", "clip_l", "clip_g", "t5xxl", "llama", "bert", "mt5xl", "user_prompt", "prompt",
)  # fmt: skip
# What nodes that only hold or pass on a text call it.
HELD_TEXTS = (
    "value", "text", "string", "prompt", "wildcard_text", "string_a", "text_a", "text1", "string_b", "text_b", "text2",
)  # fmt: skip
# What a language model is told before the prompt, in workflows that put the two together.
INSTRUCTION = re.compile(r"\s*(<\w+>\s*)?You are an? ", re.IGNORECASE)
HELD_NUMBERS = ("value", "seed", "noise_seed", "int", "float", "number")
# Links that lead away from the prompt.
ELSEWHERE = frozenset(
    {
        "model",
        "clip",
        "vae",
        "latent",
        "latent_image",
        "samples",
        "image",
        "images",
        "pixels",
        "mask",
    }
    | {"control_net", "clip_vision", "clip_vision_output", "init_image", "style_model", "noise"}
    | {"sampler", "sigmas", "upscale_model", "audio"}
)


class Spot(NamedTuple):
    """One input of one node."""

    node: str
    input: str


@dataclass(frozen=True)
class Node:
    """A node of a workflow in API format."""

    class_type: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True)
class Places:
    """Where things stand. Of a thing with several values, `fields` has the places of the first one's.

    `texts` counts the prompts that belong to neither side.
    """

    prompt: tuple[Spot, ...]
    negative: tuple[Spot, ...]
    fields: Mapping[str, tuple[Spot, ...]] = field(default_factory=dict)
    images: tuple[Spot, ...] = ()
    masks: tuple[Spot, ...] = ()
    prefixes: tuple[Spot, ...] = ()
    texts: int = 0


Nodes = Mapping[str, Node]


def find(nodes: Nodes) -> Places:
    """Everything that a request may say of a workflow."""
    ordered = {node_id: nodes[node_id] for node_id in _upstream_first(nodes)}
    prompt = _sides(ordered, "positive") or _only_text(ordered)
    negative = tuple(spot for spot in _sides(ordered, "negative") if spot not in prompt)
    texts = {
        spot
        for node_id, node in ordered.items()
        if TEXT_ENCODER.search(node.class_type)
        for spot in _texts(ordered, node_id, TEXTS)
        if value_at(nodes, spot)
    }
    return Places(
        prompt=prompt,
        negative=negative,
        fields={name: spots for name, spots in _fields(ordered) if spots},
        images=_pictures(ordered, "LoadImage"),
        masks=_pictures(ordered, "LoadImageMask"),
        prefixes=tuple(
            Spot(node_id, "filename_prefix")
            for node_id, node in ordered.items()
            if isinstance(node.inputs.get("filename_prefix"), str)
            and PICTURE_WRITER.search(node.class_type)
        ),
        texts=len(texts - {*prompt, *negative}),
    )


def has_output(nodes: Nodes) -> bool:
    """Whether any node looks as if it gave out a result; only the server could say for certain."""
    return any(
        OUTPUT.search(node.class_type) or "filename_prefix" in node.inputs
        for node in nodes.values()
    )


def value_at(nodes: Nodes, spot: Spot) -> Any:
    """What stands in an input."""
    return nodes[spot.node].inputs[spot.input]


def source(nodes: Nodes, value: Any) -> tuple[str, int] | None:
    """The node and the output that a link leads from; None when the value is no link."""
    if isinstance(value, list) and len(value) == 2 and str(value[0]) in nodes:
        return str(value[0]), value[1] if isinstance(value[1], int) else 0
    return None


def _upstream_first(nodes: Nodes) -> Iterable[str]:
    """All nodes, each after those it takes something from; by their order in the file where that is free."""
    done: dict[str, None] = {}
    for start in nodes:
        waiting, begun = [start], set[str]()
        while waiting:
            node_id = waiting[-1]
            links = (source(nodes, value) for value in nodes[node_id].inputs.values())
            before = [link[0] for link in links if link and link[0] not in done]
            fresh = [each for each in before if each not in begun]
            if node_id in begun or not fresh:
                done[waiting.pop()] = None  # in a circle, which no server runs, any order will do
            else:
                begun.add(node_id)
                waiting += reversed(fresh)
    return done


# ------------------------------------------------------------------------------ prompts


def _sides(nodes: Nodes, side: str) -> tuple[Spot, ...]:
    """The texts behind the samplers' positive or negative side; of each sampler the nearest ones."""
    roots = [node for node in nodes.values() if SAMPLER.search(node.class_type)]
    texts: dict[Spot, None] = {}
    for node in roots or list(nodes.values()):
        link = source(nodes, node.inputs.get(side))
        if link is None and side == "positive":  # guiders call theirs conditioning or cond1
            named = (value for name, value in node.inputs.items() if name.startswith("cond"))
            link = next((found for value in named if (found := source(nodes, value))), None)
        if link is not None:
            texts.update(dict.fromkeys(_behind(nodes, link, side)))
    return tuple(texts)


def _behind(nodes: Nodes, link: tuple[str, int], side: str) -> list[Spot]:
    """The texts of the first encoder on the way back."""
    waiting, seen = [(link, side)], set[str]()
    while waiting:
        (node_id, output), side = waiting.pop()
        node = nodes[node_id]
        if node_id in seen or node.class_type == ONE_SIDED:
            continue
        seen.add(node_id)
        # a loader with both prompts in it, or an encoder
        names: tuple[str, ...] = (side,) if isinstance(node.inputs.get(side), str) else TEXTS
        if texts := _texts(nodes, node_id, names):
            return texts
        both = all(source(nodes, node.inputs.get(each)) for each in SIDES)
        onward = SIDES[output] if both and output in (0, 1) else side
        if both or source(nodes, node.inputs.get(onward)):
            names = (onward,)
        else:
            conditions = tuple(name for name in node.inputs if name.startswith("cond"))
            names = conditions or tuple(name for name in node.inputs if name not in ELSEWHERE)
        links = [source(nodes, node.inputs[name]) for name in names]
        waiting += [(each, onward) for each in reversed(links) if each]
    return []


def _texts(nodes: Nodes, node_id: str, names: Iterable[str]) -> list[Spot]:
    """A node's own texts, or those that nodes before it hold for it."""
    spots = [
        _held(nodes, Spot(node_id, name), HELD_TEXTS, (str,))
        for name in names
        if name in nodes[node_id].inputs
    ]
    return list(dict.fromkeys(spot for spot in spots if spot))


def _held(nodes: Nodes, spot: Spot, names: tuple[str, ...], types: tuple[type, ...]) -> Spot | None:
    """Where an input's value is written: there, or in the nodes that it is linked to."""
    held = list(_written(nodes, spot, names, types))
    plain = (each for each in held if not INSTRUCTION.match(str(value_at(nodes, each))))
    return next(plain, held[0] if held else None)


def _written(
    nodes: Nodes, spot: Spot, names: tuple[str, ...], types: tuple[type, ...]
) -> Iterator[Spot]:
    """All values that an input is made of, in their order."""
    waiting, seen = [spot], set[Spot]()
    while waiting:
        here = waiting.pop()
        value = value_at(nodes, here)
        if type(value) in types:
            yield here
        link = source(nodes, value)
        if link is None or here in seen:
            continue
        seen.add(here)
        inputs = nodes[link[0]].inputs
        waiting += [Spot(link[0], name) for name in reversed(names) if name in inputs]


def _only_text(nodes: Nodes) -> tuple[Spot, ...]:
    """Without samplers: the prompt of the one node that has one."""
    encoders = [node_id for node_id, node in nodes.items() if TEXT_ENCODER.search(node.class_type)]
    if len(encoders) == 1:
        return tuple(_texts(nodes, encoders[0], TEXTS))
    # newer nodes name an input that depends on a choice after both: `model.prompt`
    prompts = [
        Spot(node_id, name)
        for node_id, node in nodes.items()
        for name in node.inputs
        if name.rpartition(".")[2] == "prompt"
    ]
    held = [_held(nodes, spot, HELD_TEXTS, (str,)) for spot in prompts]
    return (held[0],) if len(held) == 1 and held[0] else ()


# ------------------------------------------------------------------------------ numbers and names


def _fields(nodes: Nodes) -> Iterator[tuple[str, tuple[Spot, ...]]]:
    numbers, whole = (int, float), (int,)
    yield "seed", _all(nodes, ("seed", "noise_seed"), whole)
    yield from _size(nodes)
    yield "batch_size", _alike(nodes, "batch_size", whole, of=CANVAS)
    yield "steps", _alike(nodes, "steps", whole)
    yield "cfg", _alike(nodes, "cfg", numbers)
    yield "denoise", _alike(nodes, "denoise", numbers)
    yield "sampler", _alike(nodes, "sampler_name", (str,))
    yield "scheduler", _alike(nodes, "scheduler", (str,))
    yield "checkpoint", _alike(nodes, "ckpt_name", (str,))


def _all(
    nodes: Nodes,
    names: Iterable[str],
    types: tuple[type, ...],
    of: re.Pattern[str] | None = None,
) -> tuple[Spot, ...]:
    held = HELD_TEXTS if str in types else HELD_NUMBERS
    spots = (
        _held(nodes, Spot(node_id, name), held, types)
        for node_id, node in nodes.items()
        if of is None or of.search(node.class_type)
        for name in names
        if name in node.inputs
    )
    return tuple(dict.fromkeys(spot for spot in spots if spot))


def _alike(
    nodes: Nodes, name: str, types: tuple[type, ...], of: re.Pattern[str] | None = None
) -> tuple[Spot, ...]:
    """The places of the first value: a second pass with another denoise keeps its own."""
    spots = _all(nodes, (name,), types, of)
    return tuple(spot for spot in spots if value_at(nodes, spot) == value_at(nodes, spots[0]))


def _size(nodes: Nodes) -> Iterator[tuple[str, tuple[Spot, ...]]]:
    """The canvas, and whatever is told the same size."""
    found = {side: _all(nodes, (side,), (int,), CANVAS) for side in ("width", "height")}
    if not all(found.values()) or set(found["width"]) & set(found["height"]):
        return  # nothing to set, or one number for both
    for side, spots in found.items():
        first = value_at(nodes, spots[0])
        every = (*spots, *_all(nodes, (side, f"target_{side}"), (int,), SIZED_ALIKE))
        yield side, tuple(dict.fromkeys(s for s in every if value_at(nodes, s) == first))


def _pictures(nodes: Nodes, class_type: str) -> tuple[Spot, ...]:
    return tuple(
        Spot(node_id, "image")
        for node_id, node in nodes.items()
        if node.class_type == class_type and isinstance(node.inputs.get("image"), str)
    )
