"""How a dynamic prompt is read; the words are those of the sd-dynamic-prompts extension (docs/SYNTAX.md there).

    {a|b|c}              one of them; {a|} is "a" or nothing
    {2::a|b}             "a" twice as often as "b"
    {2$$a|b|c}           two of them, in any order, with ", " between
    {1-3$$ and $$a|b|c}  one to three of them, with " and " between; {-2$$…} from one, {2-$$…} up to all
    __name__ __a/b__     a line of wildcards/name.txt, wildcards/a/b.txt; * and ** stand for any name, any folders
    \\{ \\| \\} \\__name__   these characters themselves

Everything else is text and comes through as it is: `(word:1.2)`, `[a:b:0.5]`, `<lora:x:0.8>`, JSON. Braces without a
`|` or a `$$` inside are text, braces around a JSON object are text, and so are those that are not closed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeAlias

import orjson

from orchestrator.errors import ParamsInvalid
from orchestrator.jobs import MAX_PROMPT

# characters of a prompt with its options, or of a line of a wildcard
MAX_TEMPLATE = 10 * MAX_PROMPT
# variants and wildcards inside each other; each takes a few frames of Python's stack
MAX_NESTING = 40
# weights are whole numbers of millionths: sums of floats differ between machines
WEIGHT_UNIT = 1_000_000
UNCLOSED = "A brace that opens and never closes was taken as text"
VARIABLE = "${…}, a variable of sd-dynamic-prompts, is not known here and was taken as text"

# not after a letter or digit: names such as model__v2__final are text
_NAME = r"(?:[^\W_]|\*)(?:(?!__)[\w.*/\\-])*"
SPECIAL = re.compile(r"[{}]|\\[{|}]|__")
TOKEN = re.compile(
    rf"""
      \\(?P<escaped>[{{|}}]|__{_NAME}__)
    | (?<![^\W_])__(?P<wildcard>{_NAME})__
    | (?P<open>\{{(?:\s*(?=[\d-])(?P<least>\d{{1,3}})?(?P<to>-)?(?P<most>\d{{1,3}})?\s*\$\$
        (?:(?P<separator>[^{{}}|$\\]*)\$\$)?)?)
    | (?P<bar>\|)
    | (?P<close>\}})
    """,
    re.VERBOSE,
)
WEIGHT = re.compile(r"\s*(\d{1,6}(?:\.\d{1,6})?|\.\d{1,6})::")


@dataclass(frozen=True, slots=True)
class Wildcard:
    """A line of the files that a name or pattern stands for."""

    name: str


@dataclass(frozen=True, slots=True)
class Option:
    """One way a variant may turn out; `weight` in millionths."""

    weight: int
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """One of its options, or, with a `separator`, from `least` to `most` different ones. `most` None: all."""

    options: tuple[Option, ...]
    least: int = 1
    most: int | None = 1
    separator: str | None = None


Part: TypeAlias = str | Wildcard | Variant


@dataclass(frozen=True, slots=True)
class Template:
    """A prompt as it was read, and what its author may not have meant."""

    parts: tuple[Part, ...]
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Group:
    """Braces that are being read."""

    opening: re.Match[str] | None
    options: list[list[Part]] = field(default_factory=lambda: [[]])
    nesting: int = 0  # of the deepest variant inside

    def add(self, part: Part) -> None:
        self.options[-1].append(part)

    @property
    def is_list(self) -> bool:
        return self.opening is not None and (
            self.opening["least"] is not None or self.opening["to"] is not None
        )

    def as_text(self, closing: str) -> list[Part]:
        """What stands there, for braces that turn out to be text."""
        parts: list[Part] = [self.opening[0]] if self.opening else []
        for number, option in enumerate(self.options):
            parts += ["|", *option] if number else option
        return list(_joined([*parts, closing]))


def is_plain(text: str) -> bool:
    """Whether a text can only stand for itself; said at once, and not of every text of which it is true."""
    return SPECIAL.search(text) is None


def parse(text: str) -> Template:
    """Read a prompt. Raises ParamsInvalid when it is too long or nested too deep; nothing else is an error."""
    if len(text) > MAX_TEMPLATE:
        raise ParamsInvalid(
            f"The prompt has {len(text):,} characters with its options; {MAX_TEMPLATE:,} are allowed",
            remedy="Put long lists of options into a wildcard file.",
        )
    if is_plain(text):
        return Template((text,) if text else ())
    groups = [_Group(None)]
    at = 0
    for token in TOKEN.finditer(text):
        if token.start() > at:
            groups[-1].add(text[at : token.start()])
        at = token.end()
        _take(token, groups)
    if at < len(text):
        groups[-1].add(text[at:])
    notes = [UNCLOSED] if len(groups) > 1 else []
    if "${" in text:
        notes.append(VARIABLE)
    while len(groups) > 1:
        unclosed = groups.pop()
        groups[-1].options[-1] += unclosed.as_text("")
    return Template(_joined(groups[0].options[0]), tuple(notes))


def _take(token: re.Match[str], groups: list[_Group]) -> None:
    """Add a token to the innermost of the groups."""
    group = groups[-1]
    if token["escaped"]:
        group.add(token["escaped"])
    elif token["wildcard"]:
        group.add(Wildcard(token["wildcard"].replace("\\", "/")))
    elif token["open"]:
        groups.append(_Group(token))
    elif token["bar"] and len(groups) > 1:
        group.options.append([])
    elif token["close"] and len(groups) > 1:
        groups.pop()
        _close(group, groups[-1], token)
    else:
        group.add(token[0])


def _close(group: _Group, outer: _Group, closing: re.Match[str]) -> None:
    assert group.opening is not None
    whole = closing.string[group.opening.start() : closing.end()]
    nesting = group.nesting
    if group.is_list or (len(group.options) > 1 and not _is_json(whole)):
        nesting += 1
        if nesting > MAX_NESTING:
            raise too_deep()
        outer.add(_variant(group))
    else:
        outer.options[-1] += group.as_text("}")
    outer.nesting = max(outer.nesting, nesting)


def _is_json(text: str) -> bool:
    """Whether a text is a JSON object: FLUX is prompted with such."""
    if text[1:].lstrip()[:1] != '"':
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _variant(group: _Group) -> Variant:
    options = tuple(_option(_joined(parts)) for parts in group.options)
    if not group.is_list or group.opening is None:
        return Variant(options)
    said = group.opening
    least = int(said["least"]) if said["least"] is not None else 1
    most: int | None = least
    if said["to"] is not None:
        most = int(said["most"]) if said["most"] is not None else None
    if most is not None and most < least:
        least, most = most, least
    separator = said["separator"] if said["separator"] is not None else ", "
    return Variant(options, least, most, separator)


def _option(parts: tuple[Part, ...]) -> Option:
    first = parts[0] if parts else None
    if isinstance(first, str) and (said := WEIGHT.match(first)):
        rest = first[said.end() :]
        weight = int(Decimal(said[1]) * WEIGHT_UNIT)
        return Option(weight, (rest, *parts[1:]) if rest else parts[1:])
    return Option(WEIGHT_UNIT, parts)


def _joined(parts: list[Part]) -> tuple[Part, ...]:
    """The parts with neighbouring texts made one."""
    return tuple(_runs(parts))


def _runs(parts: list[Part]) -> Iterator[Part]:
    texts: list[str] = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        if text := "".join(texts):
            yield text
        texts.clear()
        yield part
    if text := "".join(texts):
        yield text


def mentions(text: str) -> tuple[str, ...]:
    """The names of the wildcards in a text, each once."""
    if "__" not in text:
        return ()
    names = (token["wildcard"] for token in TOKEN.finditer(text) if token["wildcard"])
    return tuple(dict.fromkeys(name.replace("\\", "/") for name in names))


def too_deep() -> ParamsInvalid:
    """What to raise when options stand too deep inside each other."""
    return ParamsInvalid(
        f"The prompt's options are nested more than {MAX_NESTING} deep",
        remedy="Take some of the braces or wildcards out of each other.",
    )
