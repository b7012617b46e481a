"""Which pictures a page of the gallery asks for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from orchestrator.errors import RequestInvalid


class Filters(BaseModel):
    """Which pictures a page wants to see."""

    backend: str | None = None
    text: str | None = None
    favourite: bool | None = None
    owned: bool | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    job: str | None = None
    trash: bool = False

    @property
    def words(self) -> str | None:
        """What the gallery looks for: words of the prompt, and the job's id."""
        return " ".join(filter(None, [self.text, self.job])) or None


class Asked(BaseModel):
    """A question for a part of the list. `as_of`: only pictures from before it, so that places do not move."""

    model_config = ConfigDict(alias_generator=to_camel)

    filters: Filters = Filters()
    as_of: AwareDatetime | None = None
    offset: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=0)

    @classmethod
    def of(cls, message: Mapping[str, Any]) -> Self:
        """What a page asks. Raises RequestInvalid."""
        try:
            return cls.model_validate(message)
        except ValidationError as error:
            raise RequestInvalid(
                "The page asked for something strange", remedy="Reload it."
            ) from error
