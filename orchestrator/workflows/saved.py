"""A workflow that a user saved from ComfyUI in API format: what it takes, and how a request is filled into it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError, create_model

from orchestrator.backends import SAVED, Backend, ImageParams, Params, VideoParams
from orchestrator.errors import SavedWorkflowInvalid
from orchestrator.workflows.making import Workflow
from orchestrator.workflows.names import shown
from orchestrator.workflows.offered import Inputs
from orchestrator.workflows.samplers import sampler_and_scheduler
from orchestrator.workflows.tracing import Node, Places, Spot, find, has_output, value_at

MAX_NODES = 5_000
PROMPT_MARK = "orchestrator_prompt"  # in a node's _meta: the input that takes the prompt
PARTS = ("start_at_step", "end_at_step")  # of KSamplerAdvanced: they go with its steps
KINDS: dict[str, Any] = get_type_hints(ImageParams, include_extras=True) | {
    "denoise": get_type_hints(VideoParams, include_extras=True)["denoise"]  # it has one of its own
}
# Not the file's own value when nothing is said of it: a seed is chosen, a picture on the server is not ours.
UNSAID = frozenset({"seed", "image", "mask"})


@dataclass(frozen=True)
class SavedWorkflow:
    """A workflow file of the user. `notes` says what of it a request cannot change."""

    name: str
    document: Workflow
    places: Places
    notes: tuple[str, ...]

    @classmethod
    def read(cls, document: object, *, name: str) -> SavedWorkflow:
        """A workflow in API format, as `name`. Raises SavedWorkflowInvalid."""
        nodes = _nodes(document, name)
        if not has_output(nodes):
            raise SavedWorkflowInvalid(
                f"The workflow {shown(name)} has no node that gives out a result",
                remedy="Add a Save Image node in ComfyUI, and export the workflow once more.",
            )
        found = find(nodes)
        if chosen := _chosen(nodes, document):
            found = replace(found, prompt=chosen, negative=_without(found.negative, chosen))
        places, notes = _usable(nodes, found)
        whole: Any = document
        return cls(name=name, document=copy.deepcopy(whole), places=places, notes=notes)

    def backend(self) -> Backend:
        """The workflow as a backend: it takes what was found, with the file's own values as defaults."""
        return self._backend

    @cached_property
    def _backend(self) -> Backend:
        values = {name: self._value(spots[0]) for name, spots in _found(self.places).items()}
        return Backend(
            name=self.name,
            title=self.name,
            service="comfyui",
            model=SAVED,
            params=_params(tuple(values)),
            defaults={name: value for name, value in values.items() if name not in UNSAID},
        )

    def fill(
        self, params: Params, prompt: str, *, inputs: Inputs, filename_prefix: str
    ) -> Workflow:
        """The workflow with a request filled in; equal arguments make equal ones.

        What `params` has None for stays as it is in the file; so does everything that was not found in it.
        """
        filled = copy.deepcopy(self.document)
        said = self._said(params)
        if "steps" in said:
            self._scale_parts(filled, said["steps"])
        for name, spots in _found(self.places).items():
            for spot in spots:
                if name in said:
                    _put(filled, spot, said[name])
        for spot in self.places.prompt:
            _put(filled, spot, prompt)
        for name, spots in (("image", self.places.images), ("mask", self.places.masks)):
            if (uploaded := getattr(inputs, name)) is not None and spots:
                _put(filled, spots[0], uploaded)
        for spot in self.places.prefixes:
            _put(filled, spot, filename_prefix)
        return filled

    def _said(self, params: Params) -> dict[str, Any]:
        """The values to fill in: those that differ from the file's own, samplers as ComfyUI spells them."""
        given = {
            name: value
            for name, value in params.model_dump(exclude={"image", "mask"}).items()
            if value is not None and value != self._backend.defaults.get(name)
        }
        if "sampler" in given or "scheduler" in given:
            defaults = {"sampler": "", "scheduler": ""} | dict(self._backend.defaults)
            asked = given.get("sampler", ""), given.get("scheduler", "")
            sampler, scheduler = sampler_and_scheduler(*asked)
            # the file's own name is not touched, however odd it is
            given["sampler"] = sampler if asked[0] else defaults["sampler"]
            given["scheduler"] = scheduler or defaults["scheduler"]
        return given

    def _scale_parts(self, filled: Workflow, steps: int) -> None:
        """A sampler that does a part of the steps does the same part of a different number."""
        before = self._backend.defaults["steps"]
        for node in filled.values():
            inputs = node["inputs"]
            if inputs.get("steps") != before and not isinstance(inputs.get("steps"), list):
                continue
            for part in PARTS:
                at = inputs.get(part)
                if type(at) is int and 0 < at < before:
                    inputs[part] = round(at * steps / before)

    def _value(self, spot: Spot) -> Any:
        return self.document[spot.node]["inputs"][spot.input]


@lru_cache(maxsize=256)  # a job reads its workflow anew, and making a class takes milliseconds
def _params(names: tuple[str, ...]) -> type[Params]:
    fields: dict[str, Any] = {
        name: (KINDS[name], None) if name in UNSAID else (KINDS[name], ...) for name in names
    }
    return create_model("SavedParams", __base__=Params, **fields)


def _put(workflow: Workflow, spot: Spot, value: Any) -> None:
    workflow[spot.node]["inputs"][spot.input] = value


def _nodes(document: object, name: str) -> dict[str, Node]:
    if not isinstance(document, Mapping) or not document:
        raise SavedWorkflowInvalid(f"{shown(name)} holds no workflow")
    if isinstance(document.get("nodes"), list):
        raise SavedWorkflowInvalid(
            f"{shown(name)} is in the format of ComfyUI's editor, not in API format"
        )
    if len(document) > MAX_NODES:
        raise SavedWorkflowInvalid(f"{shown(name)} has more than {MAX_NODES:,} nodes")
    nodes: dict[str, Node] = {}
    for node_id, node in document.items():
        class_type = node.get("class_type") if isinstance(node, Mapping) else None
        inputs = node.get("inputs") if isinstance(node, Mapping) else None
        if not isinstance(class_type, str) or not class_type or not isinstance(inputs, Mapping):
            raise SavedWorkflowInvalid(
                f"{shown(name)} is not in API format: {shown(node_id)} is no node with a class_type and inputs"
            )
        nodes[str(node_id)] = Node(class_type=class_type, inputs=inputs)
    return nodes


def _chosen(nodes: Mapping[str, Node], document: object) -> tuple[Spot, ...]:
    """The inputs that the user named as the prompt himself, in the Builder: it marks their nodes."""
    found = []
    for node_id, raw in document.items() if isinstance(document, Mapping) else ():
        meta = raw.get("_meta")
        name = meta.get(PROMPT_MARK) if isinstance(meta, Mapping) else None
        if isinstance(name, str) and isinstance(nodes[str(node_id)].inputs.get(name), str):
            found.append(Spot(str(node_id), name))
    return tuple(found)


def _without(spots: tuple[Spot, ...], taken: tuple[Spot, ...]) -> tuple[Spot, ...]:
    return tuple(spot for spot in spots if spot not in taken)


def _found(places: Places) -> dict[str, tuple[Spot, ...]]:
    """What a request may say, by the name of the parameter."""
    named = {
        **places.fields,
        "negative_prompt": places.negative,
        "image": places.images,
        "mask": places.masks,
    }
    return {name: spots for name, spots in named.items() if spots}


def _usable(nodes: Mapping[str, Node], places: Places) -> tuple[Places, tuple[str, ...]]:
    """What was found without the values that the lab would refuse, and what is to be said of the rest."""
    notes: list[str] = []
    if not places.prompt:
        notes.append("It has no prompt that was found: what is asked for does not change it.")
    if places.texts:
        notes.append(f"{places.texts} more of its texts stay as they are.")
    fields = dict(places.fields)
    if places.negative and not _fits("negative_prompt", value_at(nodes, places.negative[0])):
        notes.append("Its negative prompt is longer than the lab takes; it stays.")
        places = replace(places, negative=())
    for name, spots in places.fields.items():
        value = value_at(nodes, spots[0])
        if not _fits(name, value):
            said = name.replace("_", " ")
            notes.append(f"Its {said} of {shown(value)} is none the lab can set; it stays.")
            del fields[name]
    for what, pictures in (("pictures", places.images), ("masks", places.masks)):
        if len(pictures) > 1:
            notes.append(f"Of its {len(pictures)} {what} only the first can be changed.")
    return replace(places, fields=fields), tuple(notes)


@cache
def _judge(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(KINDS[name])


def _fits(name: str, value: Any) -> bool:
    try:
        _judge(name).validate_python(value)
    except ValidationError:
        return False
    return True
