"""How a picture was made, and how a file of it carries that: PNG text, EXIF, XMP. Bytes in, bytes out."""

from __future__ import annotations

from orchestrator.recipes.embedding import (
    parameters_text,
    read_embedded,
    recipe_in,
    require_end,
    with_stamp,
)
from orchestrator.recipes.kinds import DAMAGE, JPEG, MP4, PNG, PNG_MAGIC, WEBP, Kind, kind_of
from orchestrator.recipes.recipe import ForeignRecipe, Recipe, Stamp, document_of, parse_stamp
from orchestrator.recipes.repeating import Repeat, repeated

__all__ = [
    "DAMAGE",
    "JPEG",
    "MP4",
    "PNG",
    "PNG_MAGIC",
    "WEBP",
    "ForeignRecipe",
    "Kind",
    "Recipe",
    "Repeat",
    "Stamp",
    "document_of",
    "kind_of",
    "parameters_text",
    "parse_stamp",
    "read_embedded",
    "recipe_in",
    "repeated",
    "require_end",
    "with_stamp",
]
