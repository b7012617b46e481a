"""What a user may pick to make pictures with, and the parameters each one takes."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)
from pydantic.alias_generators import to_camel

from orchestrator.errors import ParamsInvalid, UnknownBackend
from orchestrator.jobs import MAX_PROMPT, one_line

MIN_SIDE, MAX_SIDE, SIDE_STEP = 16, 4096, 8  # pixels; ComfyUI takes 16384, no GPU of its users does
MAX_STEPS = 10_000  # KSampler's own limit, as for cfg
MAX_CFG = 100.0
MAX_BATCH = 64
MAX_COMFYUI_SEED = 2**64 - 1
MAX_BFL_SEED = 2**32 - 1
MAX_CHOSEN_SEED = 2**53 - 1  # a JavaScript reader keeps larger numbers only nearly
MAX_PROBLEMS = 20  # told in one message
MAX_SHOWN = 60  # characters of a refused value that a message repeats
# The shapes a size is rounded to. BFL documents a range, 21:9 to 9:21, and these are in common use.
RATIOS = ("21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16", "9:21")
OTHER_NAMES = {"samplername": "sampler", "ckptname": "checkpoint"}  # as on ComfyUI's nodes


# ------------------------------------------------------------------------------ backends


@dataclass(frozen=True)
class Backend:
    """One way to make pictures, with the defaults of its parameters.

    `model` is the family of checkpoints for service "comfyui", BFL's name of the model for "bfl".
    Width and height are in pixels. Steps, cfg, sampler and scheduler are ComfyUI's only.
    """

    name: str
    title: str
    service: Literal["comfyui", "bfl"]
    model: str
    width: int
    height: int
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    paid: bool = False
    price: str = "free"

    @property
    def max_seed(self) -> int:
        """The largest seed to choose for it."""
        return MAX_BFL_SEED if self.service == "bfl" else MAX_CHOSEN_SEED


BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {
        backend.name: backend
        for backend in (
            Backend(
                name="flux",
                title="FLUX Ultra",
                service="bfl",
                model="flux-pro-1.1-ultra",
                width=1024,
                height=768,
                paid=True,
                price="$0.06 (6 credits) a picture",
            ),
            Backend(
                name="sd15",
                title="SD 1.5",
                service="comfyui",
                model="sd15",
                width=512,
                height=512,
                steps=20,
                cfg=7.0,
                sampler="euler",
                scheduler="normal",
            ),
            Backend(
                name="sdxl",
                title="SDXL",
                service="comfyui",
                model="sdxl",
                width=1024,
                height=1024,
                steps=30,
                cfg=7.0,
                sampler="euler",
                scheduler="normal",
            ),
        )
    }
)


def get(name: str) -> Backend:
    """The backend of that name. Raises UnknownBackend."""
    if (backend := BACKENDS.get(name)) is not None:
        return backend
    near = _near(name, BACKENDS)
    remedy = f"Choose one of: {', '.join(BACKENDS)}."
    # the message is a contract of the REST interface: callers compare it
    raise UnknownBackend(remedy=f"Did you mean {near}? {remedy}" if near else remedy)


# ------------------------------------------------------------------------------ parameters


def _not_a_bool(value: object) -> object:
    if isinstance(value, bool):  # True would count as 1
        raise ValueError("a switch is no number")
    return value


def _choose_marker(value: object) -> object:
    return None if str(value).strip() == "-1" else value


def _ratio(value: str) -> str:
    match = re.fullmatch(r"([1-9]\d{0,3}):([1-9]\d{0,3})", value)
    if match is None or not 9 / 21 <= int(match[1]) / int(match[2]) <= 21 / 9:
        raise ValueError("no such shape")
    return value


def _format_name(value: object) -> object:
    name = str(value).strip().lower()
    return "jpeg" if name == "jpg" else name


# A description says what is allowed, and is what a refused value's message says.
Side = Annotated[
    int,
    BeforeValidator(_not_a_bool),
    Field(
        ge=MIN_SIDE,
        le=MAX_SIDE,
        multiple_of=SIDE_STEP,
        description=f"a multiple of {SIDE_STEP} from {MIN_SIDE} to {MAX_SIDE}, in pixels",
    ),
]
ShapeSide = Annotated[
    int,
    BeforeValidator(_not_a_bool),
    Field(
        ge=MIN_SIDE,
        le=MAX_SIDE,
        description=f"a whole number from {MIN_SIDE} to {MAX_SIDE}, in pixels",
    ),
]
ShortText = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255)]


class _Params(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


class ImageParams(_Params):
    """What a ComfyUI backend takes beside the prompt; the words are KSampler's."""

    width: Side
    height: Side
    steps: Annotated[
        int,
        BeforeValidator(_not_a_bool),
        Field(ge=1, le=MAX_STEPS, description=f"a whole number from 1 to {MAX_STEPS}"),
    ]
    cfg: Annotated[
        float,
        BeforeValidator(_not_a_bool),
        Field(
            ge=0,
            le=MAX_CFG,
            allow_inf_nan=False,
            description=f"a number from 0 to {MAX_CFG:g}",
        ),
    ]
    sampler: Annotated[ShortText, Field(description="the name of a sampler, such as euler")]
    scheduler: Annotated[ShortText, Field(description="the name of a scheduler, such as karras")]
    seed: Annotated[
        Annotated[int, Field(ge=0, le=MAX_COMFYUI_SEED)] | None,
        BeforeValidator(_not_a_bool),
        BeforeValidator(_choose_marker),
        Field(description="a whole number from 0 to 2^64-1, or -1 to have one chosen"),
    ] = None
    batch_size: Annotated[
        int,
        BeforeValidator(_not_a_bool),
        Field(ge=1, le=MAX_BATCH, description=f"a whole number from 1 to {MAX_BATCH}"),
    ] = 1
    negative_prompt: Annotated[
        str, Field(max_length=MAX_PROMPT, description=f"text of up to {MAX_PROMPT:,} characters")
    ] = ""
    checkpoint: Annotated[
        ShortText | None, Field(description="the file name of a checkpoint on the server")
    ] = None


class FluxParams(_Params):
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
        BeforeValidator(_not_a_bool),
        BeforeValidator(_choose_marker),
        Field(description="a whole number from 0 to 2^32-1, or -1 to have one chosen"),
    ] = None
    safety_tolerance: Annotated[
        int,
        BeforeValidator(_not_a_bool),
        Field(ge=0, le=6, description="a whole number from 0 (strict) to 6 (lax)"),
    ] = 2
    output_format: Annotated[
        Literal["jpeg", "png"], BeforeValidator(_format_name), Field(description="jpeg or png")
    ] = "jpeg"
    raw: Annotated[bool, Field(description="true or false")] = False
    prompt_upsampling: Annotated[bool, Field(description="true or false")] = False


def params_model(backend: Backend) -> type[ImageParams | FluxParams]:
    """What a backend takes."""
    return FluxParams if backend.service == "bfl" else ImageParams


def parse(
    backend: Backend, params: Mapping[str, Any], *, strict: bool = False
) -> ImageParams | FluxParams:
    """The parameters of a request, checked, with the backend's defaults for those not given.

    Takes snake_case, camelCase and KSampler's names, and numbers and switches written as text, unless `strict`.
    None and (unless `strict`) empty text count as not given. For FLUX, `aspectRatio` wins over a width and height.
    Raises ParamsInvalid, which names every bad field, its value and what is allowed.
    """
    model = params_model(backend)
    fields = {_squashed(name): name for name in model.model_fields}
    known = fields | {old: new for old, new in OTHER_NAMES.items() if new in model.model_fields}
    given: dict[str, Any] = {}
    called: dict[str, str] = {}  # field -> the user's word for it
    problems: list[str] = []
    fields_said: dict[str, str] = {}
    unknown = False
    for key, value in params.items():
        field = known.get(_squashed(key))
        if field is None:
            unknown = True
            near = _near(_squashed(key), known, fields)
            hint = f"; did you mean {near}?" if near else ""
            problems.append(f"{_shown_name(key)} is not a parameter of {backend.name}{hint}")
            fields_said[_shown_name(key)] = f"is not a parameter of {backend.name}{hint}"
        elif value is None or (value == "" and not strict):
            continue
        elif field in given and given[field] != value:
            problems.append(f"{_shown_name(key)} and {called[field]} are the same and differ")
            fields_said[_shown_name(key)] = f"is the same as {called[field]}, and differs"
        else:
            given[field], called[field] = value, _shown_name(key)
    defaults = {
        "width": backend.width,
        "height": backend.height,
        "steps": backend.steps,
        "cfg": backend.cfg,
        "sampler": backend.sampler,
        "scheduler": backend.scheduler,
        "aspect_ratio": nearest_ratio(backend.width, backend.height),
    }
    defaults = {name: value for name, value in defaults.items() if name in model.model_fields}
    try:
        parsed = model.model_validate(defaults | given, strict=strict)
    except ValidationError as error:
        # a union reports one entry per member; the field is what counts
        bad = dict.fromkeys(str(entry["loc"][0]) for entry in error.errors(include_url=False))
        names = {to_camel(name): name for name in model.model_fields}
        for field in (names.get(name, name) for name in bad):
            allowed = model.model_fields[field].description
            problems.append(f"{called[field]} = {_shown(given[field])}: must be {allowed}")
            fields_said[called[field]] = f"must be {allowed}"
        parsed = None
    if problems or parsed is None:
        remedy = f"{backend.title} takes: {', '.join(model.model_fields)}." if unknown else None
        told = dict(list(fields_said.items())[:MAX_PROBLEMS])
        raise ParamsInvalid("; ".join(problems[:MAX_PROBLEMS]), remedy=remedy, fields=told)
    if isinstance(parsed, FluxParams) and "aspect_ratio" not in given:
        ratio = nearest_ratio(parsed.width, parsed.height)
        return parsed.model_copy(update={"aspect_ratio": ratio})
    return parsed


def with_seed(params: Mapping[str, Any], backend: Backend, rng: random.Random) -> dict[str, Any]:
    """The user's parameters, with a seed chosen where there is none, so that a retry repeats the picture.

    No seed, None, an empty text and -1 mean "choose"; 0 is a seed like any other. Whatever else
    stands there is left for `parse` to judge.
    """
    keys = [key for key in params if _squashed(key) == "seed"]
    for key in keys:
        value = params[key]
        if value is not None and str(value).strip() not in {"", "-1"}:
            return dict(params)
    kept = {key: value for key, value in params.items() if key not in keys}
    return kept | {"seed": rng.randint(0, backend.max_seed)}


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


# ------------------------------------------------------------------------------ words


def _squashed(name: object) -> str:
    return str(name).replace("_", "").replace("-", "").casefold()


def _near(name: str, offered: Mapping[str, object], names: Mapping[str, str] | None = None) -> str:
    """The offered names that look like one that was not understood, as text; empty if none does."""
    word = name.casefold()[:MAX_SHOWN]
    near = get_close_matches(word, offered, n=2)
    near = near or [each for each in offered if len(each) > 2 and word.startswith(each)][:2]
    fields = dict.fromkeys((names or {}).get(each, OTHER_NAMES.get(each, each)) for each in near)
    return " or ".join(fields)


def _shown_name(name: object) -> str:
    return one_line(str(name))[:MAX_SHOWN]


def _shown(value: object) -> str:
    text = one_line(repr(value) if isinstance(value, str) else str(value))
    return text if len(text) <= MAX_SHOWN else text[:MAX_SHOWN] + "…"
