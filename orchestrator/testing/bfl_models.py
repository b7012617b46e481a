"""The models that FakeBFL sells: what each may be asked, and what it takes for it.

Written from the service's documents, not from the lab's own tables: what both have wrong in the same way no test finds.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from PIL import Image
from pydantic import AfterValidator, BaseModel, Field, model_validator

MEGAPIXEL = 1024 * 1024
MAX_IMAGE_BYTES = 20_000_000
MAX_IMAGE_PIXELS = 20_000_000
SHOWN_SIDE = 96  # pixels; pictures are small, whatever was asked for


def _in_range(ratio: str) -> str:
    wide, _, high = ratio.partition(":")
    if not 9 / 21 <= int(wide) / int(high) <= 21 / 9:
        raise ValueError("aspect ratio must be between 21:9 and 9:21")
    return ratio


def _image(text: str) -> str:
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    if len(data) > MAX_IMAGE_BYTES:
        raise ValueError("image larger than 20 MB")
    try:
        with Image.open(io.BytesIO(data)) as image:
            pixels = image.width * image.height
    except OSError as error:
        raise ValueError("not an image") from error
    if pixels > MAX_IMAGE_PIXELS:
        raise ValueError("image larger than 20 megapixels")
    return text


Ratio = Annotated[str, Field(pattern=r"^[1-9]\d*:[1-9]\d*$"), AfterValidator(_in_range)]
Input = Annotated[str, AfterValidator(_image)]
ProSide = Annotated[int, Field(ge=256, le=1440, multiple_of=32)]
Flux2Side = Annotated[int, Field(ge=64, multiple_of=16)]


class Asked(BaseModel):
    """The body of a request, as the OpenAPI document of BFL has it: what all models have in common."""

    prompt: str | None = ""
    seed: int | None = None
    safety_tolerance: Annotated[int, Field(ge=0, le=6)] = 2
    output_format: Literal["jpeg", "png"] = "jpeg"

    def inputs(self) -> list[tuple[int, int]]:
        """The sizes of the images that go in."""
        given = (value for name, value in self if name.startswith(("input_image", "image_prompt")))
        return [_size(text) for text in given if isinstance(text, str)]

    def size(self) -> tuple[int, int]:
        """Width and height of the picture, in pixels."""
        wide, high = (int(part) for part in self.shape().split(":"))
        return round(1024 * (wide / high) ** 0.5), round(1024 * (high / wide) ** 0.5)

    def shape(self) -> str:
        """The picture's aspect ratio."""
        return "1:1"


class Ultra(Asked):
    """flux-pro-1.1-ultra"""

    prompt_upsampling: bool = False
    aspect_ratio: Ratio = "16:9"
    raw: bool = False
    image_prompt: Input | None = None
    image_prompt_strength: Annotated[float, Field(ge=0, le=1)] = 0.1

    def shape(self) -> str:
        """The one that was asked for."""
        return self.aspect_ratio


class Pro(Asked):
    """flux-pro-1.1"""

    prompt_upsampling: bool = False
    width: ProSide = 1024
    height: ProSide = 768
    image_prompt: Input | None = None

    def size(self) -> tuple[int, int]:
        """The one that was asked for."""
        return self.width, self.height


class Kontext(Asked):
    """flux-kontext-pro and -max"""

    prompt: str
    prompt_upsampling: bool = False
    aspect_ratio: Ratio | None = None
    output_format: Literal["jpeg", "png"] = "png"
    input_image: Input | None = None
    input_image_2: Input | None = None
    input_image_3: Input | None = None
    input_image_4: Input | None = None

    def shape(self) -> str:
        """The one that was asked for, or the image's."""
        wide, high = next(iter(self.inputs()), (1, 1))
        return self.aspect_ratio or f"{wide}:{high}"


class Klein(Asked):
    """flux-2-klein-4b and -9b"""

    prompt: str
    safety_tolerance: Annotated[int, Field(ge=0, le=5)] = 2
    width: Flux2Side | None = None
    height: Flux2Side | None = None
    input_image: Input | None = None
    input_image_2: Input | None = None
    input_image_3: Input | None = None
    input_image_4: Input | None = None

    @model_validator(mode="after")
    def _not_too_large(self) -> Self:
        if (self.width or 0) * (self.height or 0) > 4 * MEGAPIXEL:
            raise ValueError("more than 4 megapixels")
        return self

    def size(self) -> tuple[int, int]:
        """The one that was asked for, or the image's."""
        wide, high = next(iter(self.inputs()), (1024, 1024))
        return self.width or wide, self.height or high


class Flux2(Klein):
    """flux-2-pro and -max"""

    input_image_5: Input | None = None
    input_image_6: Input | None = None
    input_image_7: Input | None = None
    input_image_8: Input | None = None


class Flex(Flux2):
    """flux-2-flex"""

    prompt_upsampling: bool = True
    steps: Annotated[int, Field(ge=1, le=50)] = 50
    guidance: Annotated[float, Field(ge=1.5, le=10)] = 5.0


def _size(text: str) -> tuple[int, int]:
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        return image.size


def megapixels(size: tuple[int, int]) -> int:
    """As they are charged: each that is begun."""
    return -(-size[0] * size[1] // MEGAPIXEL)


def _flat(credits: float) -> Callable[[int, int], float]:
    return lambda made, taken: credits


def _by_size(first: float, more: float) -> Callable[[int, int], float]:
    return lambda made, taken: round(first + more * (min(made, 4) - 1 + taken), 3)


@dataclass(frozen=True)
class Model:
    """One model: what it may be asked, and its price in credits by megapixels made and taken in."""

    asked: type[Asked]
    price: Callable[[int, int], float]

    def credits(self, asked: Asked) -> float:
        """What a request costs; 1 credit is 0.01 USD."""
        return self.price(megapixels(asked.size()), sum(map(megapixels, asked.inputs())))


MODELS: dict[str, Model] = {
    "flux-pro-1.1-ultra": Model(Ultra, _flat(6.0)),
    "flux-pro-1.1": Model(Pro, _flat(4.0)),
    "flux-kontext-pro": Model(Kontext, _flat(4.0)),
    "flux-kontext-max": Model(Kontext, _flat(8.0)),
    "flux-2-pro": Model(Flux2, _by_size(3.0, 1.5)),
    "flux-2-max": Model(Flux2, _by_size(7.0, 3.0)),
    "flux-2-flex": Model(Flex, _by_size(5.0, 5.0)),
    "flux-2-klein-4b": Model(Klein, _by_size(1.4, 0.1)),
    "flux-2-klein-9b": Model(Klein, _by_size(1.5, 0.2)),
}


def shown_size(asked: Asked) -> tuple[int, int]:
    """Width and height of the small picture that stands for the one that was asked for."""
    if isinstance(asked, Ultra):
        size: Any = tuple(int(part) for part in asked.aspect_ratio.split(":"))
    else:
        size = asked.size()
    most = max(size)
    return max(1, round(SHOWN_SIDE * size[0] / most)), max(1, round(SHOWN_SIDE * size[1] / most))
