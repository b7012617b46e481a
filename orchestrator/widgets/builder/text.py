"""JSON text that is changed in places, so that everything else of it stays as it was, down to the spaces.

A text is cut into members only along the paths that a change goes; numbers, unknown keys, the order of keys and how
the rest is laid out are never read into values and written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import RequestInvalid

SPACE = re.compile(r"[ \t\n\r]*")
WHOLE = re.compile("\x01int:(-?[0-9]{1,40})")  # a whole number too large for a browser
MAX_OPS = 20_000  # in one change
MAX_PATH = 40
_DECODER = json.JSONDecoder()


class ChangeInvalid(RequestInvalid):
    """A change names a place that the document does not have."""

    remedy = "Reload the page: it shows the document as it is."


@dataclass
class Member:
    """A value in an object or an array. `lead` and `label` stand before it (spaces; key and colon), `tail` after."""

    lead: str
    label: str
    key: str | None
    value: str | Branch
    tail: str


@dataclass
class Branch:
    """An object or an array, cut into its members."""

    opening: str
    members: list[Member] = field(default_factory=list)
    empty: str = ""  # what stands between the brackets when there is no member

    @property
    def closing(self) -> str:
        """The bracket that ends it."""
        return "}" if self.opening == "{" else "]"

    def __str__(self) -> str:
        inner = ",".join(f"{m.lead}{m.label}{m.value}{m.tail}" for m in self.members)
        return f"{self.opening}{inner if self.members else self.empty}{self.closing}"


def changed(text: str, ops: Sequence[Mapping[str, Any]]) -> str:
    """The text after some changes: {"op": "set" | "insert" | "remove", "path": [key or index, …], "value": …}.

    "set" puts a value in place of another, or a key at the end of an object; "insert" puts one before an index of an
    array (its length: at the end); "remove" takes one out. Raises ChangeInvalid; the changes are made all or none.
    """
    if len(ops) > MAX_OPS:
        raise ChangeInvalid(f"A change has more than {MAX_OPS:,} parts")
    start = _skip(text, 0)
    inner = text[start:].rstrip(" \t\n\r")
    before, after = text[:start], text[start + len(inner) :]
    root: str | Branch = inner
    for op in ops:
        path = op.get("path")
        if not isinstance(path, list) or len(path) > MAX_PATH:
            raise ChangeInvalid("A change names no place")
        if not path:
            if op.get("op") != "set":
                raise ChangeInvalid("The whole document can only be set")
            root = written(op.get("value"))
            continue
        if isinstance(root, str):
            root = _cut(root)
        _apply(root, path, str(op.get("op")), op.get("value"))
    return f"{before}{root}{after}"


def written(value: Any, *, lead: str = "") -> str:
    """A value as JSON; in lines, when what stands before it (`lead`) says that its neighbours are."""
    value = _restored(value)
    indent = 2 if "\n" in lead and isinstance(value, dict | list) else None
    separators = (",", ": ") if indent else (",", ":")
    try:
        text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators)
        text.encode()
    except UnicodeEncodeError:  # half a character
        text = json.dumps(value, indent=indent, separators=separators)
    return text.replace("\n", lead[lead.rindex("\n") :]) if indent else text


def _restored(value: Any) -> Any:
    """A value from a browser, with the whole numbers that it could not hold."""
    if isinstance(value, str):
        found = WHOLE.fullmatch(value)
        return int(found[1]) if found else value
    if isinstance(value, list):
        return [_restored(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _restored(each) for key, each in value.items()}
    return value


def _apply(root: Branch, path: Sequence[Any], kind: str, value: Any) -> None:
    branch = root
    for step in path[:-1]:
        member = branch.members[_index(branch, step)]
        if isinstance(member.value, str):
            member.value = _cut(member.value)
        branch = member.value
    last = path[-1]
    if kind == "remove":
        _remove(branch, _index(branch, last))
    elif kind == "insert" and branch.opening == "[":
        if type(last) is not int or not 0 <= last <= len(branch.members):
            raise ChangeInvalid("A change names a place after the end of a list")
        _insert(branch, last, None, value)
    elif kind == "set":
        at = _find(branch, last)
        if at is not None:
            member = branch.members[at]
            member.value = written(value, lead=member.lead)
        elif branch.opening == "{":
            _insert(branch, len(branch.members), str(last), value)
        else:
            raise ChangeInvalid("A change names a place after the end of a list")
    else:
        raise ChangeInvalid("A change is of no known kind")


def _insert(branch: Branch, at: int, key: str | None, value: Any) -> None:
    members = branch.members
    if members:
        like = members[min(at, len(members) - 1)]
        lead = like.lead if at < len(members) or len(members) == 1 else members[-1].lead
        gap = " " if like.label.endswith(" ") else ""
        tail = ""
        if at == len(members):
            tail, members[-1].tail = members[-1].tail, members[0].tail if len(members) > 1 else ""
    else:
        lead, gap, tail = "", "", ""
    label = "" if key is None else f"{json.dumps(key, ensure_ascii=False)}:{gap}"
    members.insert(at, Member(lead, label, key, written(value, lead=lead), tail))


def _remove(branch: Branch, at: int) -> None:
    gone = branch.members.pop(at)
    if branch.members and at == 0:
        branch.members[0].lead = gone.lead
    if branch.members and at == len(branch.members):
        branch.members[-1].tail = gone.tail


def _find(branch: Branch, step: Any) -> int | None:
    if branch.opening == "[":
        return step if type(step) is int and 0 <= step < len(branch.members) else None
    # of a key that is there twice the last one counts
    found = (at for at in range(len(branch.members) - 1, -1, -1) if branch.members[at].key == step)
    return next(found, None)


def _index(branch: Branch, step: Any) -> int:
    at = _find(branch, step)
    if at is None:
        raise ChangeInvalid("A change names a place that the document does not have")
    return at


def _cut(text: str) -> Branch:
    """An object or array as members, whose values stay text."""
    if text[:1] not in ("{", "["):
        raise ChangeInvalid("A change names a place inside of what has no inside")
    branch = Branch(text[0])
    at = _skip(text, 1)
    if text[at] == branch.closing:
        branch.empty = text[1:at]
        return branch
    at = 1
    while True:
        begin = _skip(text, at)
        lead, label, key, start = text[at:begin], "", None, begin
        if branch.opening == "{":
            key, end = _DECODER.raw_decode(text, begin)
            start = _skip(text, _skip(text, end) + 1)
            label = text[begin:start]
        _, end = _DECODER.raw_decode(text, start)
        after = _skip(text, end)
        branch.members.append(Member(lead, label, key, text[start:end], text[end:after]))
        if text[after] == branch.closing:
            return branch
        at = after + 1


def _skip(text: str, at: int) -> int:
    found = SPACE.match(text, at)
    return found.end() if found else at
