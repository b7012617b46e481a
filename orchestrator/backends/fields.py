"""The kinds of values that parameters have, each with the words that say what is allowed."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic.alias_generators import to_camel

MIN_SIDE, MAX_SIDE, SIDE_STEP = 16, 4096, 8  # pixels; ComfyUI takes 16384, no GPU of its users does
MAX_COMFYUI_SEED = 2**64 - 1
MAX_BFL_SEED = 2**32 - 1
MAX_CHOSEN_SEED = 2**53 - 1  # a JavaScript reader keeps larger numbers only nearly


def not_a_bool(value: object) -> object:
    """Refuse True and False where a number is wanted: True would count as 1."""
    if isinstance(value, bool):
        raise ValueError("a switch is no number")
    return value


def choose_marker(value: object) -> object:
    """None for -1, which says "choose one" in every tool of the field."""
    return None if str(value).strip() == "-1" else value


# A description says what is allowed, and is what a refused value's message says.
Side = Annotated[
    int,
    BeforeValidator(not_a_bool),
    Field(
        ge=MIN_SIDE,
        le=MAX_SIDE,
        multiple_of=SIDE_STEP,
        description=f"a multiple of {SIDE_STEP} from {MIN_SIDE} to {MAX_SIDE}, in pixels",
    ),
]
ShapeSide = Annotated[
    int,
    BeforeValidator(not_a_bool),
    Field(
        ge=MIN_SIDE,
        le=MAX_SIDE,
        description=f"a whole number from {MIN_SIDE} to {MAX_SIDE}, in pixels",
    ),
]
ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class Params(BaseModel):
    """What a backend takes beside the prompt. camelCase outside, snake_case in Python."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    def completed(self, given: Container[str]) -> Self:
        """With what follows from the fields that were `given`; to be called on what was checked."""
        return self
