"""What the FLUX models of BFL take beside the prompt, and the requests that say it (docs.bfl.ai)."""

from __future__ import annotations

import math
import re
from collections.abc import Container
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from orchestrator.backends.backend import Backend
from orchestrator.backends.fields import (
    MAX_BFL_SEED,
    Params,
    ShapeSide,
    choose_marker,
    not_a_bool,
)

# The shapes a size is rounded to. BFL documents a range, 21:9 to 9:21, and these are in common use.
RATIOS = ("21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16", "9:21")


def _ratio(value: str) -> str:
    match = re.fullmatch(r"([1-9]\d{0,3}):([1-9]\d{0,3})", value)
    if match is None or not 9 / 21 <= int(match[1]) / int(match[2]) <= 21 / 9:
        raise ValueError("no such shape")
    return value


def _format_name(value: object) -> object:
    name = str(value).strip().lower()
    return "jpeg" if name == "jpg" else name


class FluxParams(Params):
    """What FLUX Ultra takes beside the prompt (docs.bfl.ai).

    The service has no width and height: without an aspect ratio, `parse` derives it from them.
    """

    aspect_ratio: Annotated[
        Annotated[str, StringConstraints(strip_whitespace=True)],
        AfterValidator(_ratio),
        Field(description="a shape from 21:9 to 9:21, such as 16:9"),
    ]
    width: ShapeSide
    height: ShapeSide
    seed: Annotated[
        Annotated[int, Field(ge=0, le=MAX_BFL_SEED)] | None,
        BeforeValidator(not_a_bool),
        BeforeValidator(choose_marker),
        Field(description="a whole number from 0 to 2^32-1, or -1 to have one chosen"),
    ] = None
    safety_tolerance: Annotated[
        int,
        BeforeValidator(not_a_bool),
        Field(ge=0, le=6, description="a whole number from 0 (strict) to 6 (lax)"),
    ] = 2
    output_format: Annotated[
        Literal["jpeg", "png"], BeforeValidator(_format_name), Field(description="jpeg or png")
    ] = "jpeg"
    raw: Annotated[bool, Field(description="true or false")] = False
    prompt_upsampling: Annotated[bool, Field(description="true or false")] = False

    def completed(self, given: Container[str]) -> Self:
        """With the shape that comes nearest to a size that was given instead."""
        if "aspect_ratio" in given:
            return self
        return self.model_copy(update={"aspect_ratio": nearest_ratio(self.width, self.height)})


def nearest_ratio(width: int, height: int) -> str:
    """The shape, of those FLUX is known to make, that a size in pixels comes closest to."""

    def distance(ratio: str) -> float:
        across, down = ratio.split(":")
        return abs(math.log(width / height) - math.log(int(across) / int(down)))

    return min(RATIOS, key=distance)


def flux_body(params: FluxParams, prompt: str) -> dict[str, Any]:
    """The JSON body of a request to BFL's flux-pro-1.1-ultra."""
    body: dict[str, Any] = {
        "prompt": prompt,
        "aspect_ratio": params.aspect_ratio,
        "safety_tolerance": params.safety_tolerance,
        "output_format": params.output_format,
        "raw": params.raw,
        "prompt_upsampling": params.prompt_upsampling,
    }
    return body if params.seed is None else body | {"seed": params.seed}


FLUX = (
    Backend(
        name="flux",
        title="FLUX Ultra",
        service="bfl",
        model="flux-pro-1.1-ultra",
        params=FluxParams,
        defaults={"width": 1024, "height": 768, "aspect_ratio": "4:3"},
        paid=True,
        price="$0.06 (6 credits) a picture",
    ),
)
