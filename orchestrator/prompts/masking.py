"""What a translator must leave alone in a prompt, and how it is put back afterwards."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX_MASKS = 40  # placeholders in one text; translators lose count long before

CYRILLIC = re.compile(r"[\u0400-\u052f\u1c80-\u1c8f\u2de0-\u2dff\ua640-\ua69f]")
PROTECTED = re.compile(
    r"""
      <[^<>\n]+>                                     # <lora:name:0.8>
    | \b(?:embedding:|https?://)[^\s,()\[\]]+
    | "[^"\n]*" | “[^“”\n]*” | „[^„“”\n]*[“”] | «[^«»\n]*»   # words to be written in the picture
    | __[\w.*/-]+?__
    | \b(?:BREAK|AND)\b                              # how A1111 divides prompts
    | \\.                                            # \( and \)
    | (?::\s*[-+]?(?:\d+(?:\.\d*)?|\.\d+)\s*)?[)\]}]  # the end of (word:1.2) and [a:b:0.5]
    | [(\[{|]
    | :(?=\S)                                        # [from:to:0.5], but not "portrait: a fox"
    | \n+
    """,
    re.VERBOSE,
)
WORDS = re.compile(r"\w")
# localised programs are full of {0}: translators have learnt to keep it
PLACEHOLDER = re.compile(r"\{\s*(\d{1,3})\s*\}")
EDGES = " \t\r\n\f\v\u00a0,.;:!?…—–-"


class Masked(NamedTuple):
    """A text with placeholders for what must stay: `pieces` are what is between the `kept`, one more than these."""

    pieces: tuple[str, ...]
    kept: tuple[str, ...]

    @property
    def text(self) -> str:
        """What a translator gets to see."""
        places = [f"{{{number}}}" for number in range(len(self.kept))]
        return self.pieces[0] + "".join(
            place + piece for place, piece in zip(places, self.pieces[1:], strict=True)
        )

    @property
    def is_foreign(self) -> bool:
        """Whether there is anything to translate."""
        return any(is_foreign(piece) for piece in self.pieces)

    def with_pieces(self, said: list[str]) -> str:
        """The text with the translations of its pieces, and between them what was kept."""
        pieces = [smoothed(old, new) for old, new in zip(self.pieces, said, strict=True)]
        return pieces[0] + "".join(
            kept + piece for kept, piece in zip(self.kept, pieces[1:], strict=True)
        )

    def restored(self, said: str) -> str | None:
        """The translation of `text` with what was kept in its places.

        None when it cannot be: a placeholder was lost, doubled or moved, or words went to the other side of one.
        """
        numbers = [int(found[1]) for found in PLACEHOLDER.finditer(said)]
        pieces = PLACEHOLDER.split(said)[::2]
        if numbers != list(range(len(self.kept))) or any("{" in p or "}" in p for p in pieces):
            return None
        pairs = zip(self.pieces, pieces, strict=True)
        if any(bool(WORDS.search(old)) != bool(WORDS.search(new)) for old, new in pairs):
            return None
        return self.with_pieces(pieces)


def mask(text: str) -> Masked:
    """A prompt, divided into what a translator may change and what not."""
    pieces: list[str] = []
    kept: list[str] = []
    at = 0
    for found in PROTECTED.finditer(text):
        between = text[at : found.start()]
        if kept and not WORDS.search(between):  # "), (" is one thing to keep, not two
            kept[-1] += between + found[0]
        else:
            pieces.append(between)
            kept.append(found[0])
        at = found.end()
    return Masked((*pieces, text[at:]), tuple(kept))


def is_foreign(text: str) -> bool:
    """Whether a text is not English by its letters: it has Cyrillic ones."""
    return CYRILLIC.search(text) is not None


def letters(text: str) -> int:
    """How many Cyrillic letters a text has."""
    return len(CYRILLIC.findall(text))


def smoothed(old: str, new: str) -> str:
    """A translation with the edges of what was translated: translators like capitals and full stops."""
    kept, words = old.strip(EDGES), new.strip(EDGES)
    if not kept:
        return old
    start = len(old) - len(old.lstrip(EDGES))
    if kept[:1].islower() and words[:1].isupper() and not words[1:2].isupper():
        words = words[:1].lower() + words[1:]
    return old[:start] + words + old[start + len(kept) :]
