"""Texts with choices in them (`a {red|blue} fox`), as ComfyUI's editor treats them before it sends them.

Measured with front end 1.45.20: comments go, `{a|b}` becomes one of its parts, a backslash goes before `{`, `|`, `}`.
The editor draws a part at random; here it is always the first, so that equal files give equal prompts.
"""

from __future__ import annotations

import re

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
TOKEN = re.compile(r"\\.|[{}|]|[^\\{}|]+|\\", re.DOTALL)
ESCAPED = ("\\{", "\\}", "\\|")


def kept(text: str) -> str:
    """The text written so that it comes out as it is. Comments in it are lost all the same."""
    return re.sub(r"([{}])", r"\\\1", text)


def settled(text: str) -> tuple[str, bool]:
    """The text with the first of each of its choices, and whether there was anything to choose."""
    if not any(mark in text for mark in ("{", "//", "/*", *ESCAPED)):
        return text, False
    levels: list[list[str]] = [[]]  # what is taken of each `{` that is open
    past: list[bool] = [False]  # whether the first part of it is over
    chosen = False
    for token in TOKEN.findall(COMMENT.sub("", text)):
        if token == "{":
            levels.append([])
            past.append(False)
        elif token == "}" and len(levels) > 1:
            inner = "".join(levels.pop())
            past.pop()
            if not past[-1]:
                levels[-1].append(inner)
        elif token == "|" and len(levels) > 1:
            chosen = past[-1] = True
        elif not past[-1]:
            levels[-1].append(token[1:] if token in ESCAPED else token)
    return "".join("".join(level) for level in levels), chosen
