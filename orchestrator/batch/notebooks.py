"""The parameters of a notebook, and what somebody wants them to be."""

from __future__ import annotations

import ast
import difflib
import io
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from orchestrator.errors import RequestInvalid

KINDS: Mapping[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "str": str,
    "list": list,
    "dict": dict,
}
WORDS = {"true": True, "false": False, "none": None, "null": None}


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One of a notebook: `kind` is its annotation as written, or empty; `default` the text of its value."""

    name: str
    kind: str
    default: str
    help: str

    def __str__(self) -> str:
        kind = f": {self.kind}" if self.kind else ""
        return f"{self.name}{kind} = {self.default}"


def parameters_of(notebook: Path) -> list[Parameter]:
    """What can be set in a notebook: its cell tagged `parameters`. Raises RequestInvalid when it is no notebook."""
    if not notebook.is_file():
        raise RequestInvalid(
            f"There is no notebook {notebook}", remedy="Name the .ipynb file, with its folder."
        )
    try:
        cells = nbformat.read(notebook, as_version=4).cells  # type: ignore[no-untyped-call]
        tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
        return _declared(tagged[0].source) if tagged else []
    except (OSError, ValueError, AttributeError, SyntaxError, nbformat.ValidationError) as error:
        raise RequestInvalid(
            f"{notebook.name} cannot be read as a notebook: {type(error).__name__}",
            remedy="Open it in JupyterLab and save it again.",
        ) from error


def _declared(source: str) -> list[Parameter]:
    """Each assignment of a cell. papermill's own reader does not know annotations such as `int | None`."""
    said = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    found = []
    target: ast.expr
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.AnnAssign):
            target, kind = statement.target, ast.unparse(statement.annotation)
        elif isinstance(statement, ast.Assign):
            target, kind = statement.targets[0], ""
        else:
            continue
        if isinstance(target, ast.Name) and statement.value is not None:
            found.append(
                Parameter(
                    name=target.id,
                    kind=kind,
                    default=ast.unparse(statement.value),
                    help=said.get(statement.end_lineno or statement.lineno, ""),
                )
            )
    return found


def wanted(pairs: Iterable[str], known: Iterable[Parameter]) -> dict[str, Any]:
    """Texts such as `seeds=4` as values of a notebook's parameters.

    Raises RequestInvalid for a name that the notebook does not have, and a value of another kind than it says.
    """
    parameters = {parameter.name: parameter for parameter in known}
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        name = name.strip()
        if not separator or not name:
            raise RequestInvalid(f"{pair[:80]!r} is not name=value", remedy="Write -p seeds=4.")
        if name not in parameters:
            raise RequestInvalid(
                f"The notebook has no parameter {name[:80]!r}", remedy=_hint(name, parameters)
            )
        values[name] = _value(text, parameters[name])
    return values


def _value(text: str, parameter: Parameter) -> Any:
    kinds = [kind.strip() for kind in parameter.kind.split("|")] if parameter.kind else []
    if kinds == ["str"]:
        return text
    value = _literal(text)
    if kinds == ["list"] and isinstance(value, str | int | float):
        value = [_literal(part.strip()) for part in text.split(",")]
    allowed = [KINDS.get(kind.partition("[")[0]) for kind in kinds if kind != "None"]
    if "None" in kinds and value is None:
        return None
    if allowed and None not in allowed and not any(_is(value, kind) for kind in allowed if kind):
        if "str" in kinds:
            return text
        raise RequestInvalid(
            f"{parameter.name}={text[:80]} is not a value of {parameter}",
            remedy=f"{parameter.name} is to be of the kind {parameter.kind}. {parameter.help}".strip(),
        )
    return value


def _is(value: Any, kind: type | tuple[type, ...]) -> bool:
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, kind)


def _literal(text: str) -> Any:
    """A value as Python or JSON writes it; anything else is a text."""
    if text.strip().lower() in WORDS:
        return WORDS[text.strip().lower()]
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _hint(name: str, parameters: Mapping[str, Parameter]) -> str:
    near = difflib.get_close_matches(name, parameters, n=1)
    meant = f"Did you mean {near[0]}? " if near else ""
    if not parameters:
        return f"{meant}It has none: tag a cell of it `parameters`."
    return f"{meant}It has: {', '.join(map(str, parameters.values()))}."
