"""The `parameters` text that AUTOMATIC1111's web UI writes into pictures and many programs read. Text in, text out.

Prompt, a line `Negative prompt: …` when there is one, and a last line of `Name: value` pairs between commas; a value
with a comma, a colon or a line break is a JSON string. Learnt from its `modules/infotext_utils.py` (which takes a last
line of three pairs and more for the settings), `modules/processing.py` (the names), and Civitai's reader, for which
that line begins with `Steps: `.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

NEGATIVE = "Negative prompt:"
PAIR = re.compile(r'\s*(\w[\w \-/]{0,60}):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
LORA = re.compile(r"<lora:([^:<>]{1,255}):(-?\d{1,4}(?:\.\d{1,9})?)(?::[^<>]{0,40})?>")
MIN_PAIRS = 3  # of a line of settings
MAX_PAIRS = 300
MAX_LINE = 100_000  # characters of a line of settings


class Infotext(NamedTuple):
    """What such a text says."""

    prompt: str
    negative: str
    settings: dict[str, str]  # by the program's own names, in their order


def compose(
    prompt: str,
    *,
    negative: str,
    settings: Mapping[str, object],
    loras: Sequence[tuple[str, float]] = (),
) -> str:
    """The text; settings that are None are left out. LoRAs stand in the prompt, where such programs have them."""
    tags = " ".join(f"<lora:{name}:{strength:g}>" for name, strength in loras)
    lines = [f"{prompt} {tags}".strip() if tags else prompt]
    if negative.strip():
        lines.append(f"{NEGATIVE} {negative}")
    pairs = [f"{name}: {_quoted(value)}" for name, value in settings.items() if value is not None]
    return "\n".join([*lines, ", ".join(pairs)])


def _quoted(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    plain = not any(c in text for c in ',:"\n\r') and text == text.strip()
    return text if plain else json.dumps(text, ensure_ascii=False)


def parse(text: str) -> Infotext | None:
    """What the text says; None when no line of it has settings, so that it is just a text."""
    lines = text.strip().replace("\r\n", "\n").split("\n")
    # the last line; some extensions write more behind it
    last = next((n for n in reversed(range(len(lines))) if lines[n].startswith("Steps:")), -1)
    settings = _settings(lines[-1])
    if len(settings) >= MIN_PAIRS:
        last = len(lines) - 1
    elif last == -1 or not (settings := _settings(lines[last])):
        return None
    body = "\n".join(lines[:last])
    if body.startswith(NEGATIVE):
        prompt, negative = "", body.removeprefix(NEGATIVE)
    else:
        prompt, _, negative = body.partition(f"\n{NEGATIVE}")
    return Infotext(prompt.strip(), negative.strip(), settings)


def _settings(line: str) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    while len(line) <= MAX_LINE and len(found) < MAX_PAIRS:
        # pair after pair: a search would look at every place again and again
        match = PAIR.match(line, at)
        if match is None or match.end() == at:
            comma = line.find(",", at)
            if comma == -1:
                break
            at = comma + 1
            continue
        found.setdefault(match[1].strip(), _unquoted(match[2].strip()))
        at = match.end()
    return found


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] == '"':
        try:
            return str(json.loads(value))
        except ValueError:
            return value[1:-1]
    return value


def without_loras(prompt: str) -> tuple[str, list[tuple[str, float]]]:
    """The prompt without its `<lora:name:strength>` tags, and what they say."""
    found = [(match[1], float(match[2])) for match in LORA.finditer(prompt)]
    return LORA.sub("", prompt).strip() if found else prompt, found
