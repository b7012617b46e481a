"""The axes of a grid as people type them: `4, 7, 10`, `1..8`, a prompt on each line. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from orchestrator.errors import ParamsInvalid, RequestInvalid
from orchestrator.jobs import one_line
from orchestrator.widgets.fields import number, typed_params

MOST_AXES = 3
MOST_VALUES = 500  # of one axis
MAX_TEXT = 200_000  # characters of what is typed
RANGE = re.compile(r"(-?[\d.]+?)\s*(?:\.\.|…)\s*(-?[\d.]+?)(?:\s*(?:\.\.|…)\s*(-?[\d.]+))?")
NEGATIVE = re.compile(r"-\d{1,20}")
NUMBERS = frozenset({"number", "slider", "seed"})
SWITCH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
NOTHING_WORN = "none"  # no style, no LoRA: what the others are compared with
BACKEND = "backend"
Field = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A grid that was typed: the arguments of `lab.grid`. `name` is None for one that names itself."""

    name: str | None
    prompt: list[str] | str
    backend: list[str] | str
    params: Mapping[str, Any]

    @property
    def jobs(self) -> int:
        """How many rows it has."""
        total = len(self.prompt) if isinstance(self.prompt, list) else 1
        for value in (self.backend, *self.params.values()):
            total *= len(value) if isinstance(value, _Axis) else 1
        return total


class _Axis(list[Any]):
    """The values of an axis; styles and LoRAs are lists themselves."""


def wanted(said: Mapping[str, Any], fields: Sequence[Field]) -> Wanted:
    """What a page says, understood: name, backend, prompts, axes as `{name, values}`, params by field.

    Raises RequestInvalid, ParamsInvalid.
    """
    lines = prompts(_text(said.get("prompts")))
    params = said.get("params")
    axes = said.get("axes")
    if not isinstance(params, dict) or not isinstance(axes, list):
        raise ParamsInvalid
    known = {field["name"]: field for field in fields}
    varied: dict[str, _Axis] = {}
    for axis in axes[:MOST_AXES]:
        name = str(axis.get("name", "")) if isinstance(axis, dict) else ""
        if not name:
            continue
        if name in varied:
            raise RequestInvalid(
                f"{_label(name, known)} is on two axes", remedy="Take it off one of them."
            )
        field = known.get(name)
        if field is None and name != BACKEND:
            raise RequestInvalid(
                f"This backend has no parameter {one_line(name)[:40]}",
                remedy="Choose another one for the axis.",
            )
        varied[name] = _Axis(values(_text(axis.get("values")), field or {"label": "Backend"}))
    # a field that needs another one is asked for also when that one is an axis
    typed = {**params, **{name: "on an axis" for name in varied if name in known}}
    fixed = {
        name: value for name, value in typed_params(typed, fields).items() if name not in varied
    }
    backend = varied.pop(BACKEND, None)
    return Wanted(
        name=_text(said.get("name")).strip() or None,
        prompt=lines if len(lines) > 1 else lines[0],
        backend=backend if backend is not None else str(said.get(BACKEND, "")),
        params={**fixed, **varied},
    )


def prompts(text: str) -> list[str]:
    """A prompt on each line, each once. Raises RequestInvalid."""
    lines = list(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not lines:
        raise RequestInvalid(
            "The prompt is empty", remedy="Say what the pictures should show, one prompt on a line."
        )
    return lines


def values(text: str, field: Field) -> list[Any]:
    """The values of an axis, each once, in the order they were typed. Raises RequestInvalid."""
    kind = field.get("kind", "line")
    found: list[Any] = []
    for part in _parts(text, kind):
        for value in _read(part, kind, field["label"]):
            # 1 is not True, and both are values
            if all(type(value) is not type(each) or value != each for each in found):
                found.append(value)
            if len(found) > MOST_VALUES:
                raise RequestInvalid(
                    f"{field['label']} has more than {MOST_VALUES} values",
                    remedy="Leave out some, or write the grid in a notebook: lab.grid(…).",
                )
    if not found:
        raise RequestInvalid(
            f"{field['label']} has no values yet", remedy=f"Type some, as {example(kind)}."
        )
    return found


def example(kind: str) -> str:
    """What the values of such a field look like."""
    if kind in NUMBERS:
        return "4, 7, 10 or 1..8"
    return {
        "switch": "yes, no",
        "text": "one on each line",
        "styles": "none, cinematic, cinematic + anime",
        "loras": "none, detail:0.5, detail:1",
    }.get(kind, "one, another")


def _parts(text: str, kind: str) -> list[str]:
    separator = r"\n" if kind == "text" else r"[,;\n]"  # a negative prompt has commas of its own
    return [part.strip() for part in re.split(separator, text) if part.strip()]


def _read(part: str, kind: str, label: str) -> list[Any]:
    if kind in NUMBERS:
        if found := RANGE.fullmatch(part):
            return _range(*found.groups(), part=part, label=label)
        value = int(part) if NEGATIVE.fullmatch(part) else number(part)
        if isinstance(value, str):
            raise RequestInvalid(
                f"{label}: {one_line(part)[:40]} is not a number",
                remedy=f"Type numbers, as {example(kind)}.",
            )
        return [value]
    if kind == "switch":
        if part.lower() not in SWITCH:
            raise RequestInvalid(
                f"{label}: {one_line(part)[:40]} is neither yes nor no", remedy="Type: yes, no."
            )
        return [SWITCH[part.lower()]]
    if kind in {"styles", "loras"}:
        if part.lower() == NOTHING_WORN:
            return [[]]
        read: Callable[[str], Any] = _lora if kind == "loras" else str
        return [[read(each.strip()) for each in part.split("+") if each.strip()]]
    return [part]


def _range(first: str, last: str, step: str | None, *, part: str, label: str) -> list[Any]:
    """From the first to the last, both included; by one, or by the third number."""
    try:
        begin, end, by = Decimal(first), Decimal(last), Decimal(step or 1)
        if end < begin and by > 0:
            by = -by
        count = int((end - begin) / by) + 1
    except (InvalidOperation, ZeroDivisionError, OverflowError):
        raise RequestInvalid(
            f"{label}: {one_line(part)[:40]} is no range",
            remedy="Write 1..8, or 0.2..1..0.2 for steps of 0.2.",
        ) from None
    if not 0 < count <= MOST_VALUES:
        raise RequestInvalid(
            f"{label}: {one_line(part)[:40]} would be {max(count, 0):,} values",
            remedy=f"At most {MOST_VALUES} are allowed; widen the steps.",
        )
    steps = (begin + by * place for place in range(count))
    return [int(value) if value == value.to_integral_value() else float(value) for value in steps]


def _lora(text: str) -> dict[str, Any]:
    name, separator, strength = text.rpartition(":")
    if not separator:
        return {"name": text, "strength": 1}
    return {"name": name.strip(), "strength": number(strength)}


def _label(name: str, known: Mapping[str, Field]) -> str:
    return str(known[name]["label"]) if name in known else name.capitalize()


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    if len(text) > MAX_TEXT:
        raise RequestInvalid(
            f"That is more than {MAX_TEXT:,} characters",
            remedy="Keep the rows in a file: lab.grid(rows_from=…).",
        )
    return text
