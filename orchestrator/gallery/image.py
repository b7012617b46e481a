"""A picture of the gallery, and one in its trash. Values only."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict
from pydantic.alias_generators import to_camel


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class GalleryImage(_Value):
    """A picture in dropOut. camelCase over REST and in messages.

    Nothing in it can be trusted to be short or harmless but `version`, `mime` and the numbers: show it as text.
    """

    file: str  # plain name in dropOut
    job_id: str | None  # None: no recipe says which job made it
    backend: str | None
    prompt: str  # at most 10,000 characters; "" when no recipe says it
    created_at: AwareDatetime  # as the recipe says, else the file's own time
    size: int  # bytes
    width: int  # pixels; 0 when the file is damaged
    height: int
    favourite: bool
    version: str  # another one whenever the file's content may be another: for `?v=` in addresses
    mime: str


class TrashedImage(_Value):
    """A picture in the trash."""

    file: str  # its name in dropOut before, and when it is restored
    deleted_at: AwareDatetime
    batch: str  # the deletion that it was part of
    size: int  # bytes
