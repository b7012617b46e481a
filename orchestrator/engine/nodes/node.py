"""One node class: what it takes, in the shape of `/object_info`, and what it does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from orchestrator.engine.dialects import Dialect
from orchestrator.engine.folders import Folders
from orchestrator.engine.latent import MAX_SIDE
from orchestrator.engine.weights import FILES
from orchestrator.engine.wording import Floats

JSON = Any
Input = list[JSON]  # [type or choices, options]
PNG_INFO = {"prompt": "PROMPT", "extra_pnginfo": "EXTRA_PNGINFO"}  # hidden inputs of what saves


class Run(Protocol):
    """What a node may ask of the prompt it runs in."""

    folders: Folders
    prompt: dict[str, JSON]
    extra_data: dict[str, JSON]

    def step(self, done: int, of: int, latent: Floats) -> None:
        """Report progress; raises when the prompt was interrupted."""


@dataclass(frozen=True)
class Result:
    """What a node hands on, and what it tells the client."""

    outputs: tuple[Any, ...] = ()
    ui: dict[str, JSON] | None = None


@dataclass(frozen=True)
class Node:
    """One node class."""

    name: str
    display_name: str | None
    category: str
    inputs: dict[str, Input]  # input name -> [type or choices, options]
    outputs: tuple[str, ...]
    execute: Callable[..., Result]
    output_node: bool = False
    hidden: dict[str, JSON] = field(default_factory=dict)
    output_names: tuple[str, ...] | None = None
    module: str = "nodes"
    #: Refuses a value at submission with a sentence; the named inputs are then not compared with their choices.
    check: dict[str, Callable[[Any], str | None]] = field(default_factory=dict)
    #: What besides the inputs decides the result, such as a file's bytes.
    depends_on: Callable[[dict[str, JSON]], str] | None = None

    def to_json(self, dialect: Dialect) -> dict[str, JSON]:
        """The class as `/object_info` tells it."""
        hidden = {"hidden": dict(self.hidden)} if self.hidden else {}
        info: dict[str, JSON] = {
            "input": {"required": self.inputs, **hidden},
            "input_order": {
                "required": list(self.inputs),
                **{key: list(value) for key, value in hidden.items()},
            },
            "output": list(self.outputs),
            "output_is_list": [False] * len(self.outputs),
            "output_name": list(self.output_names or self.outputs),
            "name": self.name,
            "display_name": self.display_name,
            "description": "",
            "python_module": self.module,
            "category": self.category,
            "output_node": self.output_node,
        }
        if dialect.modern:
            info |= {"is_input_list": False, "has_intermediate_output": False, "search_aliases": []}
        return info


@dataclass(frozen=True)
class Server:
    """What the nodes' definitions depend on."""

    dialect: Dialect
    folders: Folders
    checkpoints: tuple[str, ...]

    def said(self, old: str, new: str) -> str:
        """What 0.3.64 and what 0.27 call the same thing."""
        return new if self.dialect.modern else old

    @property
    def advanced(self) -> dict[str, JSON]:
        """The mark that the newer version gives to inputs few need."""
        return {"advanced": True} if self.dialect.modern else {}

    def files(self, folder: str) -> list[str]:
        """The names of the models in a folder."""
        return list(self.checkpoints if folder == "checkpoints" else FILES[folder])


def number(default: float, low: float, high: float, **more: JSON) -> dict[str, JSON]:
    """The options of an INT or FLOAT."""
    return {"default": default, "min": low, "max": high, **more}


def side(default: int, low: int, step: int) -> Input:
    """A width or a height."""
    return ["INT", number(default, low, MAX_SIDE, step=step)]


def batch(high: int = 4096) -> Input:
    """How many of something."""
    return ["INT", number(1, 1, high)]


def combo(options: Iterable[str]) -> Input:
    """A choice as newer node classes write it."""
    return ["COMBO", {"multiselect": False, "options": list(options)}]
