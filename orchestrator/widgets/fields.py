"""The fields of the form: what a backend's parameters look like on a page, and what was typed as parameters again.

Pure. A field's kind, limits and hint follow from the annotation of its parameter; here stand only the words, and which
fields are shown at once. Limits guide a field's arrows: `backends.parse` judges.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from orchestrator import backends
from orchestrator.backends import RATIOS, Backend, Params
from orchestrator.backends.comfyui import IMAGE_DENOISE
from orchestrator.backends.words import squashed

WHOLE = re.compile(r"\d{1,20}")
BROKEN = re.compile(r"-?\d{1,9}\.\d{1,9}")
SHOWN_STEPS = 150  # more steps than this change nothing that can be seen
# the order of the form; a parameter that is not named here comes last, among those that are folded away
OPEN = (
    "aspect_ratio", "width", "height", "steps", "cfg", "guidance", "frames", "fps", "motion", "seed", "sampler",
    "scheduler", "batch_size", "styles", "negative_prompt", "image", "denoise", "image_prompt_strength", "mask",
)  # fmt: skip
FOLDED = (
    "checkpoint", "still_checkpoint", "vae", "loras", "clip_skip", "hires_scale", "hires_denoise", "hires_steps",
    "upscaler", "refiner", "refiner_at", "min_cfg", "augmentation", "output_format", "raw", "prompt_upsampling",
    "safety_tolerance",
)  # fmt: skip
LABELS = {
    "aspect_ratio": "Shape",
    "cfg": "CFG",
    "fps": "Frames a second",
    "batch_size": "Pictures per job",
    "image": "Picture to begin with",
    "denoise": "Denoise",
    "image_prompt_strength": "Strength of the picture",
    "mask": "Mask",
    "checkpoint": "Checkpoint",
    "still_checkpoint": "Checkpoint of the first picture",
    "vae": "VAE",
    "loras": "LoRAs",
    "clip_skip": "CLIP skip",
    "hires_scale": "Second pass: scale",
    "hires_denoise": "Second pass: denoise",
    "hires_steps": "Second pass: steps",
    "upscaler": "Upscale with",
    "refiner_at": "Refiner from",
    "min_cfg": "CFG of the first frame",
    "augmentation": "Noise on the picture",
    "output_format": "File format",
    "raw": "Less processed look",
    "prompt_upsampling": "Let the service reword the prompt",
    "safety_tolerance": "Safety tolerance",
}
OFFERED = {  # a parameter -> whose names of the server it takes
    "sampler": "samplers",
    "scheduler": "schedulers",
    "checkpoint": "checkpoints",
    "still_checkpoint": "checkpoints",
    "refiner": "checkpoints",
    "vae": "vaes",
    "upscaler": "upscalers",
    "loras": "loras",
}
# said only together with another one; what `Params.needs` names is added to these
WITH = {"image_prompt_strength": "image"}
IMAGE = re.compile(r"image\d?|mask")
BESIDES = {"hires_steps": "as above"}  # what an empty field means
STARTS = {"denoise": IMAGE_DENOISE}  # of a slider whose parameter has no number by itself


def fields_of(backend: Backend) -> list[dict[str, Any]]:
    """The fields of a backend, in the form's order, each with the value it has by itself, as text.

    `kind`: number, seed, text, line, choice, suggest, switch, slider, image, loras or styles. `more`: folded away;
    `with`: the field without which it says nothing.
    """
    schema = _schema(backend.params)
    defaults = backends.parse(backend, {}).model_dump()
    if "aspect_ratio" in defaults:  # FLUX makes shapes, not sizes
        del defaults["width"], defaults["height"]
    given = _needs(backend.params)
    return [_field(name, schema[name], defaults[name], given) for name in _ordered(defaults)]


@lru_cache(64)  # of a form's time to appear it would be the largest part
def _schema(params: type[Params]) -> Mapping[str, Any]:
    described: dict[str, Any] = params.model_json_schema(by_alias=False)["properties"]
    return described


def _ordered(names: Iterable[str]) -> list[str]:
    order = {name: number for number, name in enumerate((*OPEN, *FOLDED))}
    return sorted(names, key=lambda name: (order.get(name, len(order)), name))


def _needs(params: type[Params]) -> dict[str, str]:
    return WITH | {need.field: need.other for need in params.needs}


def _field(
    name: str, schema: Mapping[str, Any], default: Any, needs: Mapping[str, str]
) -> dict[str, Any]:
    options = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    said = {**schema, **options[0]}
    is_optional = "anyOf" in schema
    field: dict[str, Any] = {
        "name": name,
        "label": _label(name),
        "hint": str(schema.get("description", "")),
        "kind": _kind(name, said),
        "value": _text(default),
        "more": _is_folded(name, needs),
    }
    if name in needs:
        field["with"] = needs[name]
    if name in OFFERED:
        field["offers"] = OFFERED[name]
    if name == "aspect_ratio":
        field["options"] = list(RATIOS)
    elif "enum" in said:
        field["options"] = [str(each) for each in said["enum"]]
    if field["kind"] in {"number", "slider"}:
        field |= _limits(name, said)
    if name in STARTS and default is None:
        field["kind"], field["value"] = "slider", _text(STARTS[name])
        field |= _limits(name, said)
    elif is_optional and default is not None:  # it is chosen by something else, such as an image
        field["value"], field["placeholder"] = "", _text(default)
    if name in BESIDES:
        field["placeholder"] = BESIDES[name]
    return field


def _label(name: str) -> str:
    if IMAGE.fullmatch(name) and name[-1].isdigit():
        return f"Picture {name[-1]}"
    return LABELS.get(name, name.replace("_", " ").capitalize())


def _is_folded(name: str, needs: Mapping[str, str]) -> bool:
    # beside its image; where it stands alone it is for who knows what it does
    if name == "denoise":
        return name not in needs
    return name not in OPEN and IMAGE.fullmatch(name) is None


def _kind(name: str, said: Mapping[str, Any]) -> str:
    if name == "seed":
        return "seed"
    if name in {"loras", "styles"}:
        return name
    if IMAGE.fullmatch(name):
        return "image"
    if name == "negative_prompt":
        return "text"
    if name == "aspect_ratio" or "enum" in said:
        return "choice"
    if name in OFFERED:
        return "suggest"
    if name == "image_prompt_strength":
        return "slider"
    return {"boolean": "switch", "integer": "number", "number": "number"}.get(said["type"], "line")


def _limits(name: str, said: Mapping[str, Any]) -> dict[str, Any]:
    low, high = said.get("minimum", said.get("ge")), said.get("maximum", said.get("le"))
    step = said.get("multipleOf", said.get("multiple_of"))
    if name == "steps":
        high = min(high, SHOWN_STEPS)
    if step is None:
        is_whole = said.get("type") == "integer"
        step = 1 if is_whole else 0.05 if high is not None and high <= 4 else 0.5
    return {"min": low, "max": high, "step": step}


# ------------------------------------------------------------------------------ there and back


def typed_params(typed: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What was typed, as parameters: numbers as numbers, lists as lists. Nothing for a field left empty, for one that
    says nothing without another, and for one folded away and left as it was. What is no field is kept, to be judged.
    """
    known = {field["name"]: field for field in fields}
    idle = {name: str(known[name]["value"]) for name in known}
    given: dict[str, Any] = {}
    for name, value in typed.items():
        text, field = str(value).strip(), known.get(str(name))
        if field is None:
            if text:
                given[str(name)] = value
            continue
        other = str(field.get("with", ""))
        lacks = bool(other) and str(typed.get(other) or "").strip() in {"", idle.get(other)}
        if not text or lacks or (field["more"] and text == idle[field["name"]]):
            continue
        read = _read(value, field["kind"])
        if read != []:
            given[field["name"]] = read
    return given


def _read(value: Any, kind: str) -> Any:
    if kind in {"number", "slider", "seed"}:
        return number(value)
    if kind == "switch":
        return {"true": True, "false": False}.get(str(value), value)
    if kind in {"loras", "styles"} and isinstance(value, str) and value.startswith("["):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def number(value: Any) -> Any:
    """A number that was typed; anything else as it is."""
    text = str(value).strip()
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if BROKEN.fullmatch(text) else value


def told(params: Params, fields: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Parameters as the form's text, by field."""
    given = params.model_dump()
    return {field["name"]: _text(given[field["name"]]) for field in fields}


def told_unread(params: Mapping[str, Any], fields: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Parameters that nobody could read as the form's text: those that have a field, to be corrected there."""
    known = {squashed(field["name"]): field for field in fields}
    found: dict[str, str] = {}
    for name, value in params.items():
        field = known.get(squashed(name))
        if field is not None and (isinstance(value, str | int | float) or value is None):
            found[field["name"]] = _text(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return "" if value is None else str(value)
