"""How far a prompt is, from the websocket's events. Pure: events in, `Progress` out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from orchestrator.connectors.comfyui_info import Workflow, class_type
from orchestrator.connectors.http import shown
from orchestrator.jobs import Progress

WAITING, RUNNING = "waiting on the server", "running"
NODE_WEIGHT = 1.0  # every node but the samplers counts as one sampler step
DEFAULT_STEPS = 20  # of a sampler whose steps stand nowhere in the workflow
UNSEEN_WEIGHT = 10.0  # still to come, when the workflow is not known and no sampler has run yet
CEILING = 0.99  # only the picture itself is 1.0
MAX_STEPS = 100_000  # beyond that it is not a count of steps
MAX_SIDE = 16_384  # of a picture; also more than any factor or number of pictures
MAX_TOLD = 1_000  # nodes that are told to be done
MAX_DEPTH = 64  # nodes between a picture and where its size stands
MAX_RATIO = 256.0  # of the largest picture of a workflow to its smallest
SOURCES = ("latent_image", "samples", "pixels", "image", "images", "init_image")  # in this order

PREVIEW, PREVIEW_WITH_METADATA = 1, 4  # ComfyUI's BinaryEventTypes
IMAGE_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


@dataclass(frozen=True)
class Preview:
    """A picture of the latent while it is sampled. `prompt_id` is None when the server did not say whose."""

    image: bytes
    prompt_id: str | None


def read_preview(message: bytes) -> Preview | None:
    """The preview in a binary message; None for anything else.

    Type 1: u32 type, u32 format, image. Type 4: u32 type, u32 length, JSON of that length, image.
    """
    if len(message) < 8:
        return None
    event = int.from_bytes(message[:4], "big")
    if event == PREVIEW:
        return _preview(message[8:], None)
    if event != PREVIEW_WITH_METADATA:
        return None
    end = 8 + int.from_bytes(message[4:8], "big")
    if end >= len(message):
        return None
    try:
        metadata = orjson.loads(message[8:end])
    except orjson.JSONDecodeError:
        return None
    prompt_id = metadata.get("prompt_id") if isinstance(metadata, dict) else None
    return _preview(message[end:], prompt_id if isinstance(prompt_id, str) else None)


def _preview(image: bytes, prompt_id: str | None) -> Preview | None:
    return Preview(image, prompt_id) if image.startswith(IMAGE_MAGIC) else None


class PromptProgress:
    """Adds up one prompt's events. The fraction never falls, and a sampler weighs as many nodes as it has steps."""

    def __init__(self, workflow: Workflow | None = None) -> None:
        self._classes = {id: class_type(node) for id, node in (workflow or {}).items()}
        self._weights = _weights(workflow or {})
        self._parts: dict[str, float] = {}  # node -> 0.0-1.0 of it
        self._running: str | None = None
        self._explicit = False  # the server tells when a node has finished
        self._fraction = 0.0
        self._step: tuple[int, int] | None = None
        self._preview: bytes | None = None
        self._text = WAITING

    @property
    def current(self) -> Progress:
        """Where the prompt stands."""
        step, steps = self._step or (None, None)
        return Progress(
            fraction=self._fraction,
            step=step,
            steps=steps,
            text=self._text,
            preview=self._preview,
            node=self._running,
            finished=tuple(node for node, part in self._parts.items() if part >= 1.0)[:MAX_TOLD],
        )

    def show(self, image: bytes) -> None:
        """Take a preview, JPEG or PNG."""
        self._preview = image

    def take(self, event: str, data: Mapping[str, Any]) -> None:
        """Take a JSON event. What has not the expected shape is passed over: progress is decoration."""
        match event, data:
            case "execution_start", _:
                self._text = RUNNING if self._text == WAITING else self._text
            case "execution_cached", {"nodes": list(nodes)}:
                for node in nodes:
                    self._set(str(node), 1.0)
            case "executing", {"node": str(node)}:
                self._run(node)
            case "executed", {"node": str(node)}:
                self._set(node, 1.0)
            case "progress", {"node": str(node), "value": value, "max": maximum}:
                self._count(node, value, maximum)
            case "progress_state", {"nodes": dict(nodes)}:
                self._explicit = True
                for key, node in nodes.items():
                    self._take_node(str(key), node)
        self._sum()

    def _take_node(self, id: str, node: Any) -> None:
        match node:
            case {"state": "finished"}:
                self._set(id, 1.0)
            case {"state": "running", "value": value, "max": maximum}:
                self._run(id)
                self._count(id, value, maximum)

    def _run(self, node: str) -> None:
        if node == self._running:
            return
        if self._running is not None and not self._explicit:
            self._set(self._running, 1.0)  # an older server: nodes run one after the other
        self._running = node
        self._step = None
        self._text = self._words(node)

    def _words(self, node: str) -> str:
        name = self._classes.get(node, "")
        if "Sampler" in name and self._weights.get(node, 0.0) > NODE_WEIGHT:
            return "sampling"
        if "Loader" in name:
            return "loading the model"
        return f"running {shown(name, limit=60)}" if name else RUNNING

    def _count(self, node: str, value: Any, maximum: Any) -> None:
        if not (_is_count(value) and _is_count(maximum)) or value > maximum:
            return
        if maximum > 1:
            if node not in self._classes:  # the workflow is not known: learn what weighs
                self._weights[node] = float(maximum)
            if node == self._running and value >= 1:
                self._step = (int(value), int(maximum))
                self._text = "sampling" if self._text == RUNNING else self._text
        if maximum > 0:
            self._set(node, value / maximum)

    def _set(self, node: str, part: float) -> None:
        if node not in self._weights:
            if self._classes:
                return  # a node that another one expanded into; its parent counts
            self._weights[node] = NODE_WEIGHT
        self._parts[node] = max(part, self._parts.get(node, 0.0))

    def _sum(self) -> None:
        total = sum(self._weights.values())
        if not self._classes:
            sampled = any(weight > NODE_WEIGHT for weight in self._weights.values())
            total += NODE_WEIGHT if sampled else UNSEEN_WEIGHT
        if total:
            done = sum(self._weights[node] * part for node, part in self._parts.items())
            self._fraction = max(self._fraction, min(done / total, CEILING))


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and 0 <= value <= MAX_STEPS  # false for NaN


def _weights(workflow: Workflow) -> dict[str, float]:
    """What each node counts for: a sampler its steps, and all of them the more, the more pixels they work on.

    So the second pass over a picture of twice the size counts four times a step, and a video all its frames.
    """
    steps = {id: _steps(node) for id, node in workflow.items()}
    elsewhere = max((count for count in steps.values() if count), default=DEFAULT_STEPS)
    areas = {id: _area(workflow, id) for id in workflow}
    smallest = min((area for area in areas.values() if area), default=1.0)
    return {
        id: (float(steps[id] or elsewhere) if _samples(node) else NODE_WEIGHT)
        * min((areas[id] or smallest) / smallest, MAX_RATIO)
        for id, node in workflow.items()
    }


def _area(workflow: Workflow, id: str, depth: int = 0) -> float | None:
    """The pixels of all pictures that a node works on, as far as its inputs, or its source's, tell."""
    inputs = _inputs(workflow.get(id))
    source = next((inputs[name] for name in SOURCES if isinstance(inputs.get(name), list)), None)
    before = _area(workflow, str(source[0]), depth + 1) if source and depth < MAX_DEPTH else None
    size = _number(inputs.get("width")) * _number(inputs.get("height"))
    if size:
        count = _number(inputs.get("batch_size")) or _number(inputs.get("video_frames")) or 1.0
        return size * count
    if before is None:
        return None
    return (
        before
        * (_number(inputs.get("scale_by")) or 1.0) ** 2
        * (_number(inputs.get("amount")) or 1)
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 < value <= MAX_SIDE else 0.0


def _inputs(node: Any) -> Mapping[str, Any]:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    return inputs if isinstance(inputs, Mapping) else {}


def _steps(node: Any) -> int:
    """The steps that a node does: all that it names, or its part of them."""
    inputs = _inputs(node)
    steps = inputs.get("steps")
    if not isinstance(steps, int) or steps <= 0:
        return 0
    start, end = inputs.get("start_at_step"), inputs.get("end_at_step")
    last = min(steps, end) if isinstance(end, int) else steps
    first = max(0, start) if isinstance(start, int) else 0
    return min(max(1, last - first), MAX_STEPS)


def _samples(node: Any) -> bool:
    return "Sampler" in class_type(node) and "latent_image" in _inputs(node)
