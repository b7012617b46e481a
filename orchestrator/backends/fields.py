"""The kinds of values that parameters have, each with the words that say what is allowed."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationInfo,
)
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
def whole(low: int, high: int, unit: str = "") -> Any:
    """The limits of a whole number."""
    return Field(
        ge=low, le=high, description=f"a whole number from {low} to {high}{unit and f', {unit}'}"
    )


def number(low: float, high: float, note: str = "") -> Any:
    """The limits of a number that may have a fraction."""
    return Field(
        ge=low,
        le=high,
        allow_inf_nan=False,
        description=f"a number from {low:g} to {high:g}{note and f' ({note})'}",
    )


def said(description: str) -> Any:
    """What a text stands for."""
    return Field(description=description)


Whole = Annotated[int, BeforeValidator(not_a_bool)]
Number = Annotated[float, BeforeValidator(not_a_bool)]
Side = Annotated[
    Whole,
    Field(
        ge=MIN_SIDE,
        le=MAX_SIDE,
        multiple_of=SIDE_STEP,
        description=f"a multiple of {SIDE_STEP} from {MIN_SIDE} to {MAX_SIDE}, in pixels",
    ),
]
ShapeSide = Annotated[Whole, whole(MIN_SIDE, MAX_SIDE, "in pixels")]
ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


MAX_STYLES = 20


def _names(value: Any, info: ValidationInfo) -> Any:
    strict = bool(info.context and info.context.get("strict"))
    if isinstance(value, str) and not strict:
        value = [name.strip() for name in value.split(",") if name.strip()]
    return tuple(value) if isinstance(value, list) else value


Styles = Annotated[
    tuple[ShortText, ...],
    BeforeValidator(_names),
    Field(max_length=MAX_STYLES, description=f"a list of at most {MAX_STYLES} names of styles"),
]


@dataclass(frozen=True)
class Need:
    """A parameter that says nothing without another one. `idle` are its values that change nothing."""

    field: str
    other: str
    idle: tuple[object, ...]
    other_idle: tuple[object, ...] = (None,)


class Params(BaseModel):
    """What a backend takes beside the prompt. camelCase outside, snake_case in Python."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    needs: ClassVar[tuple[Need, ...]] = ()

    styles: Styles = ()  # applied to the prompt when the job is made

    def completed(self, given: Container[str]) -> Self:
        """With what follows from the fields that were `given`; to be called on what was checked."""
        return self

    def unmet(self) -> list[Need]:
        """The parameters that were set and lack the one they need."""
        return [
            need
            for need in self.needs
            if getattr(self, need.field) not in need.idle
            and getattr(self, need.other) in need.other_idle
        ]
