"""How much a job may say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from orchestrator.errors import ParamsInvalid

MAX_PROMPT = 10_000  # characters; longer ones are a pasted file, not a prompt
MAX_PARAMS = 64_000  # bytes of JSON
# JSON values inside each other; what is read must be writable, and both sides have limits
MAX_DEPTH = 100


def check_prompt(prompt: str) -> None:
    """Raises ParamsInvalid for a prompt that is too long, or that no file could hold."""
    if len(prompt) > MAX_PROMPT:
        raise ParamsInvalid(
            f"The prompt has {len(prompt):,} characters; {MAX_PROMPT:,} are allowed",
            remedy="Shorten the prompt.",
        )
    try:
        prompt.encode()
    except UnicodeEncodeError as error:
        raise ParamsInvalid(f"The request cannot be written as JSON: {error}") from error


def check_params(params: Mapping[str, Any]) -> None:
    """Raises ParamsInvalid for parameters that no file could hold, or that are too large."""
    try:
        size = len(orjson.dumps(params))
    except TypeError as error:
        raise ParamsInvalid(f"The request cannot be written as JSON: {error}") from error
    if not fits(params):
        raise ParamsInvalid(f"The parameters are nested more than {MAX_DEPTH} deep")
    if size > MAX_PARAMS:
        raise ParamsInvalid(
            f"The parameters take {size:,} bytes; {MAX_PARAMS:,} are allowed",
            remedy="Give large inputs as files.",
        )


def fits(value: Any, depth: int = MAX_DEPTH) -> bool:
    """Whether JSON is nested no more than `depth` deep."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if not isinstance(value, list | tuple):
        return True
    return depth > 0 and all(fits(item, depth - 1) for item in value)
