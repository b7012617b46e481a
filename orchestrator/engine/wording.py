"""What a prompt's words mean to the painter: a palette, a composition and its habits.

There is no model. Colour names, in English and Russian, become colours; words for things become one of a few
compositions; every word nudges the rest through its hash, so the same words always mean the same.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from orchestrator.engine.motion import Video

Floats = NDArray[Any]  # of float32

SIZE = 24  # numbers in an embedding; each habit of the painter reads its own

# Stems, so that "золотой", "золотая" and "golden" are all found. The first stem that starts the word wins; longer
# stems stand before the shorter ones they contain.
COLOURS: tuple[tuple[str, str], ...] = (
    (
        "scarlet crimson red ruby cherry fire flame lava алы красн рубин огн огон плам лав",
        "#d8263c",
    ),
    ("orange amber copper fox autumn оранж рыж янтар осен медн", "#f0801e"),
    ("yellow lemon sun gold golden жёлт желт солн золот лимон", "#f6c52e"),
    ("lime spring салат весн", "#a8d23c"),
    (
        "green emerald forest jungle grass moss leaf зелен зелён изумруд лес трав мох лист",
        "#2f9e5b",
    ),
    ("teal turquoise lagoon aqua бирюз лагун", "#1fa7a0"),
    ("cyan ice frost glacier голуб лёд лед мороз ледник", "#7fd0ea"),
    ("blue sea ocean sky water river sapphire син мор океан неб вод рек сапфир", "#2d63c8"),
    (
        "navy indigo night midnight space galaxy cosm индиго ноч космос галактик звезд звёзд",
        "#1f2766",
    ),
    ("violet purple lavender amethyst фиолет лилов сирен лаванд аметист", "#7b45b8"),
    ("magenta neon fuchsia пурпур неон фукси", "#d6309c"),
    ("pink rose blossom sakura розов роз сакур", "#f08bb0"),
    (
        "brown earth wood coffee chocolate desert sand коричн земл дерев кофе шоколад пустын пес",
        "#96643a",
    ),
    ("black dark shadow чёрн черн тьм тёмн темн тен", "#15151c"),
    ("white snow cloud milk бел снег снеж облак молок", "#f4f2ec"),
    ("gray grey silver stone fog mist серы серо серебр кам туман", "#9aa1aa"),
)

COMPOSITIONS: dict[str, str] = {
    "layers": "mountain hill landscape valley desert dune sunset sunrise dawn horizon canyon city forest field гор "
    "холм пейзаж долин пустын дюн закат рассвет горизонт каньон город лес пол",
    "flow": "sea ocean wave river water silk smoke wind hair fire flame cloud aurora мор океан волн рек вод шёлк шелк "
    "дым ветер волос огн огон плам облак сиян",
    "orbs": "planet moon bubble orb space galaxy star balloon fruit city night rain планет лун пузыр шар космос "
    "галактик звезд звёзд фрукт ноч дожд",
    "bloom": "flower rose lotus blossom petal mandala eye eagle bird feather butterfly portrait cat dog face цвет роз "
    "лотос лепест мандал глаз орёл орел орл птиц перо перь бабочк портрет кот кошк собак лиц",
}

# Palettes for prompts that name no colour: the hash of the words picks one.
PALETTES: tuple[tuple[str, ...], ...] = (
    ("#14213d", "#33558b", "#f08a4b", "#f7c873", "#fdf0d5"),
    ("#231942", "#5e548e", "#be95c4", "#f0b7c4", "#fff1e0"),
    ("#0b3c49", "#13747d", "#56b0a0", "#e8c07d", "#fbf1d6"),
    ("#2d0f3a", "#8a2a5b", "#e0565b", "#f6a55f", "#fde2b4"),
    ("#1b2a41", "#325d79", "#7fb7be", "#d3ead9", "#f26a4f"),
    ("#1c3a2c", "#3f7d58", "#a7c26a", "#f1e3a0", "#ef8354"),
    ("#10142e", "#2b3a8c", "#6a67ce", "#e68fb8", "#ffd9c7"),
    ("#3b1f2b", "#7d3c4a", "#cf7a5d", "#ecc193", "#8fb9aa"),
)

_TOKEN = re.compile(r"\(?([^\W\d_]+)(?::([0-9.]+))?\)?")


@dataclass(frozen=True)
class Conditioning:
    """A prompt as the painter reads it."""

    vector: Floats  # SIZE numbers, about standard normal
    colours: tuple[str, ...]  # named colours, in the order they were named
    composition: str | None  # None: no word asks for one
    strength: float  # 0 for an empty text, towards 1 for a full one
    style: Floats | None = None  # SIZE numbers: another manner of painting the same
    start: float = 0.0  # the part of the sampling in which it is heeded
    end: float = 1.0
    video: Video | None = None  # a picture to set in motion, instead of words


Conditionings = tuple[Conditioning, ...]  # ComfyUI's CONDITIONING: several are mixed


def encode(text: str, checkpoint: str, *, style: Floats | None = None) -> Conditioning:
    """Read a prompt; the checkpoint's name shifts how all its words are understood."""
    vector = np.zeros(SIZE, np.float32)
    colours: list[str] = []
    votes = dict.fromkeys(COMPOSITIONS, 0.0)
    words = [(found[1].lower(), _weight(found[2])) for found in _TOKEN.finditer(text)]
    for word, weight in words:
        vector += weight * noise_of(f"word/{word}")
        colour, compositions = _meaning(word)
        if colour and colour not in colours:
            colours.append(colour)
        for composition in compositions:
            votes[composition] += weight
    vector /= np.float32(max(1.0, len(words) ** 0.5))
    vector += 0.35 * noise_of(f"checkpoint/{checkpoint}")
    best = max(votes, key=lambda name: votes[name])
    return Conditioning(
        vector=vector.astype(np.float32),
        colours=tuple(colours[:4]),
        composition=best if votes[best] > 0 else None,
        strength=1.0 - 0.75 ** len(words),
        style=style,
    )


def nothing(video: Video | None = None) -> Conditioning:
    """A conditioning without words."""
    return Conditioning(
        np.zeros(SIZE, np.float32), colours=(), composition=None, strength=0.0, video=video
    )


@lru_cache(maxsize=4096)
def noise_of(text: str) -> Floats:
    """SIZE numbers that belong to this text, the same in every process."""
    return generator(text).standard_normal(SIZE, dtype=np.float32)


def generator(*parts: object) -> np.random.Generator:
    """A random generator that depends on these parts only (`hash()` differs between processes)."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "little")))


def _weight(written: str | None) -> float:
    try:
        return min(2.0, max(0.0, float(written))) if written else 1.0
    except ValueError:
        return 1.0


@lru_cache(maxsize=4096)
def _meaning(word: str) -> tuple[str | None, tuple[str, ...]]:
    """The colour a word names, and the compositions it asks for."""
    colour = next((colour for stems, colour in COLOURS if _starts(word, stems)), None)
    return colour, tuple(name for name, stems in COMPOSITIONS.items() if _starts(word, stems))


def _starts(word: str, stems: str) -> bool:
    # A short English stem must be the whole word, a Russian one need not: "red" is not "redmond", "син" is "синий".
    return any(
        word == stem or (word.startswith(stem) and (len(stem) > 3 or not stem.isascii()))
        for stem in stems.split()
    )
