"""The models that a request names, as far as that decides where it can run."""

from __future__ import annotations

from typing import Any

# As people spell them; a hint only: a host that lacks a model says so itself.
NAMING = frozenset(
    {"checkpoint", "ckptName", "ckpt_name", "vae", "refiner", "upscaler", "loras"}
    | {"stillCheckpoint", "still_checkpoint"}
)


def models_named(params: Any) -> tuple[str, ...]:
    """The names of models in the parameters of a job, whatever else stands there."""
    if not isinstance(params, dict):
        return ()
    named: list[str] = []
    for key in sorted(NAMING.intersection(params)):
        value = params[key]
        if isinstance(value, str):
            parts = value.split(",") if key == "loras" else [value]
            # a LoRA's strength may follow its name
            named += [part.partition(":")[0].strip() if key == "loras" else part for part in parts]
        elif isinstance(value, list):
            named += [
                str(each["name"]) for each in value if isinstance(each, dict) and "name" in each
            ]
    return tuple(name for name in named if name.strip())
