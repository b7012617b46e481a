"""What a grid asks for, row by row: the product of its axes, or axes that advance together. Pure.

An axis is a parameter with several values: a list, a tuple, a range, anything with an order but a string. A parameter
with one value is the same in every row. A parameter that is itself a list (`loras`, `styles`, `images`) is an axis
when it is a list of lists.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from orchestrator.errors import RequestInvalid
from orchestrator.jobs import MAX_DEPTH, NAMESPACE

MAX_ROWS = 20_000  # more are a mistake: they would take weeks
LISTS = frozenset({"loras", "styles", "images"})  # parameters whose one value is a list
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,79}")
PROMPT, BACKEND = "prompt", "backend"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One job of a batch. `at` is its place: the value it has on each axis."""

    prompt: str
    backend: str
    params: Mapping[str, Any]
    at: Mapping[str, Any] = field(default_factory=dict)

    def id(self, batch: str) -> str:
        """The id of its job: the same row of the same batch is the same job, whoever asks, and how often."""
        asked = {PROMPT: self.prompt, BACKEND: self.backend, "params": dict(self.params)}
        said = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        return str(uuid.uuid5(NAMESPACE, f"{batch}/{hashlib.sha256(said).hexdigest()}"))


def split(asked: Mapping[str, Any]) -> tuple[dict[str, list[Any]], dict[str, Any]]:
    """The axes of a request and its parameters with one value. Raises RequestInvalid for an axis without values."""
    axes: dict[str, list[Any]] = {}
    fixed: dict[str, Any] = {}
    for name, value in asked.items():
        if (values := _values(name, value)) is None:
            fixed[name] = plain(name, value)
            continue
        if not values:
            raise RequestInvalid(
                f"{name} has no values", remedy="Give it some, or leave it out of the grid."
            )
        axes[name] = [plain(name, each) for each in values]
    return axes, fixed


def rows(
    axes: Mapping[str, Sequence[Any]],
    fixed: Mapping[str, Any],
    *,
    together: Sequence[Sequence[str]] = (),
    table: Iterable[Mapping[str, Any]] | None = None,
    backend: str,
) -> Iterator[Row]:
    """Each row of a grid, the last axis changing fastest. Axes named `together` advance at once (a zip).

    With a `table` (rows of a file) every row of it goes through the whole grid; what it says wins over `fixed`.
    Raises RequestInvalid: axes of one zip that are not equally long, an unknown axis, too many rows, no prompt.
    """
    groups = _groups(axes, together)
    count = math.prod(len(values) for _, values in groups)
    for number, given in enumerate(table if table is not None else [{}]):
        if count * (number + 1) > MAX_ROWS:
            raise RequestInvalid(
                f"This grid has {count * (number + 1):,} jobs or more; {MAX_ROWS:,} are allowed",
                remedy="Leave out some values, or make several batches of it.",
            )
        names = [names for names, _ in groups]
        for values in itertools.product(*(values for _, values in groups)):
            at = {
                name: value
                for group, chosen in zip(names, values, strict=True)
                for name, value in zip(group, chosen, strict=True)
            }
            yield _row({BACKEND: backend, **fixed, **given, **at}, at={**given, **at})


def name_of(asked: Mapping[str, Any]) -> str:
    """A name for a batch that has none: the same request gets the same name."""
    said = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)
    return f"grid-{hashlib.sha256(said).hexdigest()[:10]}"


def checked_name(name: str) -> str:
    """A batch's name as it may be a file's. Raises RequestInvalid."""
    said = re.sub(r"\s+", "-", name.strip().lower())
    if not NAME.fullmatch(said):
        raise RequestInvalid(
            f"{name[:80]!r} cannot be the name of a batch",
            remedy="Use at most 80 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit.",
        )
    return said


def seed_of(batch: str) -> int:
    """The seed of a batch that names none: one for all its rows, so that only the axes make a difference."""
    return int.from_bytes(hashlib.sha256(batch.encode()).digest()[:4]) >> 1


def plain(name: str, value: Any, *, depth: int = MAX_DEPTH) -> Any:
    """A value as JSON has it; numpy's and pandas' numbers become Python's. Raises RequestInvalid."""
    if depth == 0:
        raise RequestInvalid(f"{name} is nested more than {MAX_DEPTH} deep")
    if isinstance(value, Mapping):
        return {str(key): plain(name, each, depth=depth - 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(name, each, depth=depth - 1) for each in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value) if value.is_integer() and abs(value) < 2**53 else value
    if hasattr(value, "__fspath__"):
        return str(value)
    raise RequestInvalid(
        f"{name}: {str(value)[:80]!r} cannot be written down",
        remedy="Use texts, numbers, true and false.",
    )


def _values(name: str, value: Any) -> list[Any] | None:
    """The values of an axis; None when it is one value."""
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        return None
    values = list(value)
    if name in LISTS and not all(isinstance(each, list | tuple) for each in values):
        return None
    return values


def _groups(
    axes: Mapping[str, Sequence[Any]], together: Sequence[Sequence[str]]
) -> list[tuple[tuple[str, ...], list[tuple[Any, ...]]]]:
    """The axes as they advance, each with the values of its members."""
    zipped: dict[str, tuple[str, ...]] = {}
    for names in together:
        for name in names:
            if name not in axes:
                raise RequestInvalid(
                    f"{name!r} is not an axis of this grid",
                    remedy="Give every parameter of a zip a list of values.",
                )
            if name in zipped:
                raise RequestInvalid(f"{name!r} is in two zips", remedy="Name it once.")
            zipped[name] = tuple(names)
        lengths = {name: len(axes[name]) for name in names}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
            raise RequestInvalid(
                f"What advances together is not equally long: {said}",
                remedy="Give each of them the same number of values.",
            )
    groups = []
    for name in axes:
        names = zipped.get(name, (name,))
        if names[0] == name:
            groups.append((names, list(zip(*(axes[each] for each in names), strict=True))))
    return groups


def _row(said: Mapping[str, Any], *, at: Mapping[str, Any]) -> Row:
    left = dict(said)
    prompt, backend = left.pop(PROMPT, None), left.pop(BACKEND)
    if not isinstance(prompt, str) or not prompt.strip():
        raise RequestInvalid(
            "A row of the batch has no prompt",
            remedy="Give `prompt`, a column of that name, or a text file with a prompt on each line.",
        )
    if not isinstance(backend, str):
        raise RequestInvalid(f"{backend!r} is not the name of a backend")
    params = {name: value for name, value in left.items() if value is not None}
    return Row(prompt=prompt, backend=backend, params=params, at=at)
