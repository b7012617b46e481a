"""What the FLUX models of BFL take beside the prompt, and the requests that say it (docs.bfl.ai)."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Container, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
)

from orchestrator.backends.backend import Backend
from orchestrator.backends.fields import (
    MAX_BFL_SEED,
    MAX_SIDE,
    Params,
    ShapeSide,
    ShortText,
    choose_marker,
    not_a_bool,
)
from orchestrator.errors import ParamsInvalid

# The shapes a size is rounded to. BFL documents a range, 21:9 to 9:21, and these are in common use.
RATIOS = ("21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16", "9:21")
MAX_IMAGE_BYTES = 20_000_000  # of one image that goes in, before it becomes base64
MAX_IMAGE_PIXELS = 20_000_000
MEGAPIXEL = 1024 * 1024
MAX_PIXELS = 4 * MEGAPIXEL  # of a picture of FLUX.2
MAX_PRO_SIDE, PRO_STEP = 1440, 32  # pixels, of FLUX 1.1
MIN_FLUX2_SIDE, FLUX2_STEP = 64, 16


def _ratio(value: str) -> str:
    match = re.fullmatch(r"([1-9]\d{0,3}):([1-9]\d{0,3})", value)
    if match is None or not 9 / 21 <= int(match[1]) / int(match[2]) <= 21 / 9:
        raise ValueError("no such shape")
    return value


def _format_name(value: object) -> object:
    name = str(value).strip().lower()
    return "jpeg" if name == "jpg" else name


Ratio = Annotated[
    Annotated[str, StringConstraints(strip_whitespace=True)],
    AfterValidator(_ratio),
]
Seed = Annotated[
    Annotated[int, Field(ge=0, le=MAX_BFL_SEED)] | None,
    BeforeValidator(not_a_bool),
    BeforeValidator(choose_marker),
    Field(description="a whole number from 0 to 2^32-1, or -1 to have one chosen"),
]
Safety = Annotated[
    int,
    BeforeValidator(not_a_bool),
    Field(ge=0, le=6, description="a whole number from 0 (strict) to 6 (lax)"),
]
Format = Annotated[
    Literal["jpeg", "png"], BeforeValidator(_format_name), Field(description="jpeg or png")
]
Switch = Annotated[bool, Field(description="true or false")]
ImageName = Annotated[
    ShortText | None, Field(description="the name of an input image, in dropIn or dropOut")
]
ProSide = Annotated[
    int,
    BeforeValidator(not_a_bool),
    Field(
        ge=256,
        le=MAX_PRO_SIDE,
        multiple_of=PRO_STEP,
        description=f"a multiple of {PRO_STEP} from 256 to {MAX_PRO_SIDE}, in pixels",
    ),
]
# with the other side as it is by default, no side up to MAX_SIDE is too large a picture
Flux2Side = Annotated[
    Annotated[int, Field(ge=MIN_FLUX2_SIDE, le=MAX_SIDE, multiple_of=FLUX2_STEP)] | None,
    BeforeValidator(not_a_bool),
    Field(
        description=f"a multiple of {FLUX2_STEP} from {MIN_FLUX2_SIDE} to {MAX_SIDE}, in pixels, "
        "and the picture at most 4 megapixels"
    ),
]


class BFLParams(Params):
    """What every model of BFL is asked for. `sent`: the fields that go into a request by their own names;
    `image_slots`: BFL's names for the images that go in."""

    sent: ClassVar[tuple[str, ...]]
    image_slots: ClassVar[tuple[str, ...]]

    seed: Seed = None

    def images(self) -> list[str]:
        """The names of the images that go in, in their order."""
        numbers = ["image", *(f"image{number}" for number in range(2, len(self.image_slots) + 1))]
        return [name for name in (getattr(self, field) for field in numbers) if name]


class FluxParams(BFLParams):
    """What FLUX Ultra takes beside the prompt (docs.bfl.ai).

    The service has no width and height: without an aspect ratio, `parse` derives it from them.
    """

    sent = (
        "aspect_ratio",
        "seed",
        "safety_tolerance",
        "output_format",
        "raw",
        "prompt_upsampling",
    )
    image_slots = ("image_prompt",)

    aspect_ratio: Annotated[Ratio, Field(description="a shape from 21:9 to 9:21, such as 16:9")]
    width: ShapeSide
    height: ShapeSide
    safety_tolerance: Safety = 2
    output_format: Format = "jpeg"
    raw: Switch = False
    prompt_upsampling: Switch = False
    image: ImageName = None
    image_prompt_strength: Annotated[
        float,
        BeforeValidator(not_a_bool),
        Field(ge=0, le=1, allow_inf_nan=False, description="a number from 0 to 1"),
    ] = 0.1

    def completed(self, given: Container[str]) -> Self:
        """With the shape that comes nearest to a size that was given instead."""
        if "aspect_ratio" in given:
            return self
        return self.model_copy(update={"aspect_ratio": nearest_ratio(self.width, self.height)})


class FluxProParams(BFLParams):
    """What FLUX 1.1 Pro takes beside the prompt."""

    sent = ("width", "height", "seed", "safety_tolerance", "output_format", "prompt_upsampling")
    image_slots = ("image_prompt",)

    width: ProSide
    height: ProSide
    safety_tolerance: Safety = 2
    output_format: Format = "jpeg"
    prompt_upsampling: Switch = False
    image: ImageName = None


class KontextParams(BFLParams):
    """What FLUX Kontext takes beside the prompt, which says how to change the image.

    Without a shape and a size, a picture keeps the shape of the image that goes in.
    """

    sent = ("aspect_ratio", "seed", "safety_tolerance", "output_format", "prompt_upsampling")
    image_slots = ("input_image", "input_image_2", "input_image_3", "input_image_4")

    aspect_ratio: Annotated[
        Ratio | None, Field(description="a shape from 21:9 to 9:21, such as 16:9")
    ]
    width: ShapeSide
    height: ShapeSide
    safety_tolerance: Safety = 2
    output_format: Format = "png"
    prompt_upsampling: Switch = False
    image: ImageName = None
    image2: ImageName = None
    image3: ImageName = None
    image4: ImageName = None

    def completed(self, given: Container[str]) -> Self:
        """With the shape nearest to a size that was given instead, or with the image's own."""
        if "aspect_ratio" in given:
            return self
        if "width" in given or "height" in given or not self.images():
            return self.model_copy(update={"aspect_ratio": nearest_ratio(self.width, self.height)})
        return self.model_copy(update={"aspect_ratio": None})


class Flux2KleinParams(BFLParams):
    """What FLUX.2 klein takes beside the prompt. Without a size, a picture has that of the image that goes in."""

    sent: ClassVar[tuple[str, ...]] = (
        "width",
        "height",
        "seed",
        "safety_tolerance",
        "output_format",
    )
    image_slots: ClassVar[tuple[str, ...]] = (
        "input_image",
        "input_image_2",
        "input_image_3",
        "input_image_4",
    )

    width: Flux2Side
    height: Flux2Side
    safety_tolerance: Annotated[
        int,
        BeforeValidator(not_a_bool),
        Field(ge=0, le=5, description="a whole number from 0 (strict) to 5 (lax)"),
    ] = 2
    output_format: Format = "jpeg"
    image: ImageName = None
    image2: ImageName = None
    image3: ImageName = None
    image4: ImageName = None

    @field_validator("height")
    @classmethod
    def _small_enough(cls, height: int | None, info: ValidationInfo) -> int | None:
        # at the height: a width alone is never too much for the height there is by default
        if height is not None and (info.data.get("width") or 0) * height > MAX_PIXELS:
            raise ValueError("the picture has more than 4 megapixels")
        return height

    def completed(self, given: Container[str]) -> Self:
        """Without a size of its own, if there is an image to take it from."""
        if "width" in given or "height" in given or not self.images():
            return self
        return self.model_copy(update={"width": None, "height": None})


class Flux2Params(Flux2KleinParams):
    """What FLUX.2 pro and max take beside the prompt: as klein does, and more images."""

    image_slots: ClassVar[tuple[str, ...]] = (
        "input_image",
        *(f"input_image_{number}" for number in range(2, 9)),
    )

    image5: ImageName = None
    image6: ImageName = None
    image7: ImageName = None
    image8: ImageName = None


class Flux2FlexParams(Flux2Params):
    """What FLUX.2 flex takes beside the prompt."""

    sent = (*Flux2Params.sent, "steps", "guidance", "prompt_upsampling")

    steps: Annotated[
        int,
        BeforeValidator(not_a_bool),
        Field(ge=1, le=50, description="a whole number from 1 to 50"),
    ] = 50
    guidance: Annotated[
        float,
        BeforeValidator(not_a_bool),
        Field(ge=1.5, le=10, allow_inf_nan=False, description="a number from 1.5 to 10"),
    ] = 5.0
    prompt_upsampling: Switch = True


def nearest_ratio(width: int, height: int) -> str:
    """The shape, of those FLUX is known to make, that a size in pixels comes closest to."""

    def distance(ratio: str) -> float:
        across, down = ratio.split(":")
        return abs(math.log(width / height) - math.log(int(across) / int(down)))

    return min(RATIOS, key=distance)


def encoded(data: bytes, *, name: str, size: tuple[int, int]) -> str:
    """An image as BFL takes it, base64. `size`: its width and height in pixels. Raises ParamsInvalid for one that is
    too large: it would be refused after minutes of sending it."""
    width, height = size
    if len(data) <= MAX_IMAGE_BYTES and width * height <= MAX_IMAGE_PIXELS:
        return base64.b64encode(data).decode()
    raise ParamsInvalid(
        f"The image {name} is too large: {len(data) / 1e6:.1f} MB, {width * height / 1e6:.1f} megapixels",
        remedy=f"Make it smaller: BFL takes {MAX_IMAGE_BYTES // 10**6} MB and "
        f"{MAX_IMAGE_PIXELS // 10**6} megapixels at most.",
    )


def flux_body(params: BFLParams, prompt: str, *, images: Sequence[str] = ()) -> dict[str, Any]:
    """The JSON body of a request to the model that takes these parameters. `images`: those that the parameters name,
    in base64 (`encoded`) and in the order of `params.images()`."""
    said = params.model_dump(include=set(params.sent), exclude_none=True)
    body = {"prompt": prompt} | {name: said[name] for name in params.sent if name in said}
    body |= dict(zip(params.image_slots, images, strict=False))
    if isinstance(params, FluxParams) and images:
        body["image_prompt_strength"] = params.image_prompt_strength
    return body


_SQUARE = {"width": 1024, "height": 1024}
_KONTEXT = {**_SQUARE, "aspect_ratio": "1:1"}


def _backend(
    name: str, title: str, params: type[BFLParams], defaults: dict[str, Any], price: str
) -> Backend:
    return Backend(
        name=name,
        title=title,
        service="bfl",
        model=name,
        params=params,
        defaults=defaults,
        paid=True,
        price=price,
    )


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
    _backend(
        "flux-pro-1.1",
        "FLUX 1.1 Pro",
        FluxProParams,
        {"width": 1024, "height": 768},
        "$0.04 (4 credits) a picture",
    ),
    _backend(
        "flux-kontext-pro",
        "FLUX Kontext Pro",
        KontextParams,
        _KONTEXT,
        "$0.04 (4 credits) a picture",
    ),
    _backend(
        "flux-kontext-max",
        "FLUX Kontext Max",
        KontextParams,
        _KONTEXT,
        "$0.08 (8 credits) a picture",
    ),
    _backend("flux-2-pro", "FLUX.2 Pro", Flux2Params, _SQUARE, "from $0.03 a megapixel"),
    _backend("flux-2-max", "FLUX.2 Max", Flux2Params, _SQUARE, "from $0.07 a megapixel"),
    _backend("flux-2-flex", "FLUX.2 Flex", Flux2FlexParams, _SQUARE, "from $0.05 a megapixel"),
    _backend(
        "flux-2-klein-4b", "FLUX.2 Klein 4B", Flux2KleinParams, _SQUARE, "from $0.014 a picture"
    ),
    _backend(
        "flux-2-klein-9b", "FLUX.2 Klein 9B", Flux2KleinParams, _SQUARE, "from $0.015 a picture"
    ),
)
