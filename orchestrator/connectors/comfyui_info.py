"""What a ComfyUI server is and what it can do: node classes, their choices, versions, devices."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.workflows.declarations import declared

Workflow = Mapping[str, Any]  # API format: node id -> {"class_type", "inputs"}

MAX_NEAREST = 3


class ObjectInfo:
    """The answer of GET /object_info: every node class with its inputs."""

    def __init__(self, classes: Mapping[str, Any]) -> None:
        self.classes = classes

    def has(self, class_type: str) -> bool:
        """Whether the server knows the node class."""
        return class_type in self.classes

    def options(self, class_type: str, input_name: str) -> list[str]:
        """The choices of a combo input; empty when the class or the input is unknown or no combo."""
        spec = declared(self.classes, class_type).get(input_name)
        return choices(spec[1]) if spec else []

    def missing(self, workflow: Workflow) -> list[str]:
        """The node classes of a workflow that the server lacks, each once."""
        used = (class_type(node) for node in workflow.values())
        return list(dict.fromkeys(name for name in used if name and not self.has(name)))


def class_type(node: Any) -> str:
    """The class of a workflow's node; empty when it has none."""
    return str(node.get("class_type") or "") if isinstance(node, Mapping) else ""


def choices(declaration: Any) -> list[str]:
    """The choices in an input's declaration: [[…], {…}] of old nodes, ["COMBO", {"options": […]}] of new ones."""
    match declaration:
        case [list(options), *_]:
            pass
        case [str(), {"options": list(options)}, *_]:
            pass
        case _:
            return []
    # a dynamic combo's options are objects with a key
    keys = [option.get("key") if isinstance(option, Mapping) else option for option in options]
    return [str(key) for key in keys if isinstance(key, str | int | float)]


def nearest(wanted: str, options: Iterable[str]) -> list[str]:
    """The options most like `wanted`, best first."""
    names = list(options)
    lowered = {name.lower(): name for name in reversed(names)}
    close = difflib.get_close_matches(wanted.lower(), lowered, n=MAX_NEAREST, cutoff=0.5)
    return [lowered[name] for name in close]


class Device(BaseModel):
    """A device that the server computes on. Memory in bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = ""
    type: str = ""
    vram_total: int | None = None
    vram_free: int | None = None


class SystemStats(BaseModel):
    """The answer of GET /system_stats, with the length of the queue from GET /prompt. Memory in bytes."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    version: str = Field("", alias="comfyui_version")
    embedded_engine: bool = False  # our own engine: paints without model weights
    python_version: str = ""
    pytorch_version: str = ""
    ram_total: int | None = None
    ram_free: int | None = None
    devices: tuple[Device, ...] = ()
    queue_remaining: int | None = None
