"""LoRAs: small files that change a model, each with the strength it is applied with."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic.alias_generators import to_camel

from orchestrator.backends.fields import Number, ShortText, number, said

MAX_LORAS = 16
MAX_STRENGTH = 10.0
STRENGTH = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


class Lora(BaseModel):
    """A LoRA of the server, applied to the model and to its text encoder alike."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    name: Annotated[ShortText, said("the file name of a LoRA on the server")]
    strength: Annotated[Number, number(-MAX_STRENGTH, MAX_STRENGTH)] = 1.0


def _read(value: Any, info: ValidationInfo) -> Any:
    strict = bool(info.context and info.context.get("strict"))
    if isinstance(value, str) and not strict:
        value = _from_text(value)
    return tuple(value) if isinstance(value, list) else value


def _from_text(text: str) -> Any:
    """`name:0.8, other`; or JSON, for names that have a comma."""
    if text.lstrip().startswith("["):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return [_one(part.strip()) for part in text.split(",") if part.strip()]


def _one(text: str) -> dict[str, Any]:
    name, colon, strength = text.rpartition(":")
    if colon and STRENGTH.fullmatch(strength.strip()):
        return {"name": name, "strength": float(strength)}
    return {"name": text}


Loras = Annotated[
    tuple[Lora, ...],
    BeforeValidator(_read),
    Field(
        max_length=MAX_LORAS,
        description=f"a list of at most {MAX_LORAS} LoRAs, each with a name and a strength from"
        f" {-MAX_STRENGTH:g} to {MAX_STRENGTH:g}",
    ),
]


def loras_text(loras: Any) -> str:
    """A list of LoRAs as text that is understood as the same list."""
    named = [Lora.model_validate(lora) for lora in loras]
    if any("," in lora.name or lora.name.startswith("[") for lora in named):
        return json.dumps([lora.model_dump() for lora in named], ensure_ascii=False)
    return ", ".join(f"{lora.name}:{lora.strength!r}" for lora in named)
