"""Names that look like a name nobody offers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from orchestrator.jobs import one_line

MAX_COMPARED = 200  # characters of a name; comparing costs the product of two lengths
MAX_LISTED = 12  # names in a message
MAX_NAME = 120  # characters of one


def near_matches(name: str, offered: Iterable[str], *, limit: int = 3) -> list[str]:
    """The offered names most like `name`, best first.

    Case, separators, folders and file endings do not count; a name that contains the other is near
    even when it is much longer.
    """
    wanted = squashed(name)
    by_word: dict[str, list[str]] = {}
    for each in offered:
        by_word.setdefault(squashed(each), []).append(each)
    words = [word for word in by_word if word == wanted]
    if len(wanted) > 2:
        words += [word for word in by_word if len(word) > 2 and (wanted in word or word in wanted)]
    words += get_close_matches(wanted, by_word, n=limit)
    return [each for word in dict.fromkeys(words) for each in by_word[word]][:limit]


def same_names(name: str, offered: Iterable[str]) -> list[str]:
    """The offered names that mean the same: the very one, else those that differ in folder, ending or case only."""
    names = list(offered)
    return [name] if name in names else [each for each in names if squashed(each) == squashed(name)]


def squashed(name: str) -> str:
    """A name without folder, file ending, separators and case: what people mean by it."""
    last = re.split(r"[\\/]", name[-MAX_COMPARED:])[-1]
    stem = re.sub(r"\.(safetensors|sft|ckpt|pt|pth|bin|gguf)$", "", last, flags=re.IGNORECASE)
    return re.sub(r"[\W_]+", "", stem).casefold()


def shown(name: object) -> str:
    """A name from outside, for a message."""
    return one_line(str(name))[:MAX_NAME]


def listed(names: Sequence[str], *, most: int = MAX_LISTED) -> str:
    """Names for a message: some of them, and how many more."""
    if not names:
        return "none"
    some, more = ", ".join(shown(name) for name in names[:most]), len(names) - most
    return f"{some} and {more} more" if more > 0 else some
