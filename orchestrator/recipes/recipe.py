"""How a picture was made: as the lab notes it, and as it was found in a stranger's file. Values only."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, field_validator
from pydantic.alias_generators import to_camel

from orchestrator.jobs import Resolved


class Recipe(BaseModel):
    """How a picture was made: enough to make it again. camelCase in files."""

    model_config = ConfigDict(
        frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True
    )

    job_id: str
    attempt: int
    index: int  # of the picture among those of the attempt, from 0
    backend: str
    prompt: str
    params: dict[str, Any]
    seed: int | None
    service: str
    host: str
    workflow: dict[str, Any] | None
    created_at: AwareDatetime
    software: str  # name and version of what made the recipe
    # what was sent for a prompt with styles, wildcards or a translation
    resolved: Resolved | None = None

    @field_validator("host")
    @classmethod
    def _without_password(cls, host: str) -> str:
        # a picture is shared; a password in COMFY_URL is not
        userinfo, at, _ = urlsplit(host).netloc.rpartition("@")
        return host.replace(userinfo + at, "", 1) if at else host

    @property
    def text(self) -> str:
        """The prompt as it was sent."""
        return self.resolved.prompt if self.resolved else self.prompt

    @property
    def place(self) -> tuple[str, int, int]:
        """Which picture of which attempt of which job it is."""
        return (self.job_id, self.attempt, self.index)


class ForeignRecipe(BaseModel):
    """How a picture of another program was made, in the lab's words. camelCase in documents.

    `params` has what the file says, by the names of the ComfyUI backends: steps, cfg, sampler, scheduler, seed, width,
    height, batchSize, negativePrompt, checkpoint, loras, vae, clipSkip, denoise, hiresScale, hiresSteps, hiresDenoise.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    source: Literal["comfyui", "a1111"]  # whose way of writing it is; many programs use the second
    prompt: str  # "" when it was not found
    params: dict[str, Any]
    workflow: dict[str, Any] | None = None  # ComfyUI's, in API format
    text: str | None = None  # the `parameters` text as it stands in the file
    software: str | None = None
    notes: tuple[str, ...] = ()  # what the file says and the lab has no word for


class Stamp(NamedTuple):
    """What a picture tells of itself: its recipe, and a digest of the bytes the service sent."""

    recipe: Recipe
    source: str  # BLAKE2b, 16 bytes: only compared here, and twice as fast as SHA-256


def document_of(stamp: Stamp, *, workflow: bool = True) -> dict[str, Any]:
    """A stamp as a JSON document; without the `workflow` where there is no room for it."""
    recipe = stamp.recipe if workflow else stamp.recipe.model_copy(update={"workflow": None})
    # through JSON, which turns NaN into null: nobody could read the file otherwise
    document: dict[str, Any] = orjson.loads(recipe.model_dump_json(by_alias=True))
    if recipe.resolved is None:
        del document["resolved"]
    return document | {"sourceDigest": stamp.source}


def parse_stamp(raw: bytes | str, *, workflow: bytes | str | None = None) -> Stamp | None:
    """A stamp from its document; `workflow` is the one beside it, for a document without. None when it is none."""
    try:
        document = orjson.loads(raw)
        if workflow is not None and isinstance(document, dict) and not document.get("workflow"):
            document["workflow"] = loaded(workflow)
        return Stamp(Recipe.model_validate(document), str(document.get("sourceDigest")))
    except (ValueError, ValidationError):
        return None


def loaded(raw: bytes | str) -> dict[str, Any] | None:
    """A JSON object that somebody else wrote; None when it is none.

    ComfyUI writes Python's JSON, in which a number may be NaN; its own page reads that as null too.
    """
    text = raw if isinstance(raw, bytes) else raw.encode(errors="replace")
    try:
        document = orjson.loads(text)  # refuses what is nested too deeply instead of overflowing
    except orjson.JSONDecodeError:
        try:
            document = orjson.loads(
                text.replace(b"-Infinity", b"null")
                .replace(b"Infinity", b"null")
                .replace(b"NaN", b"null")
            )
        except orjson.JSONDecodeError:
            return None
    return document if isinstance(document, dict) else None
