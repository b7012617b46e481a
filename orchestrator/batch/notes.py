"""What a batch is made of, kept in `data/batches/NAME.json`: its rows and where each stands in the grid.

The jobs say themselves which batch they belong to, and how they are; the note says what belongs to it at all.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from orchestrator.batch.rows import checked_name
from orchestrator.errors import JobNotFound
from orchestrator.files import write_whole

LOCK_S = 10.0

logger = logging.getLogger(__name__)


class Written(BaseModel):
    """Base of what is in the note: camelCase on the disk."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class NotedRow(Written):
    """A row: the job that makes it, and its place on the axes."""

    id: str
    at: dict[str, Any] = Field(default_factory=dict)


class Note(Written):
    """A batch as it is written down."""

    name: str
    created_at: AwareDatetime
    axes: dict[str, list[Any]]
    rows: list[NotedRow]

    def with_more(self, axes: dict[str, list[Any]], rows: Sequence[NotedRow]) -> Note:
        """The batch when the same name is used for further rows."""
        known = {row.id for row in self.rows}
        merged = {name: list(values) for name, values in self.axes.items()}
        for name, values in axes.items():
            had = merged.setdefault(name, [])
            had.extend(value for value in values if value not in had)
        fresh = [row for row in rows if row.id not in known]
        return self.model_copy(update={"axes": merged, "rows": [*self.rows, *fresh]})


class Notes:
    """The batches of one lab."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, name: str) -> Note:
        """The note of a batch. Raises JobNotFound when there is none, or it makes no sense."""
        found = self._read(self._file(name))
        if found is None:
            raise JobNotFound(
                f"There is no batch {name[:80]!r}", remedy="`orchestrator batch list` shows them."
            )
        return found

    def all(self) -> list[Note]:
        """Every batch, the newest first."""
        if not self._folder.is_dir():
            return []
        notes = (self._read(file) for file in self._folder.glob("*.json"))
        return sorted((note for note in notes if note), key=lambda note: note.created_at)[::-1]

    def add(
        self, name: str, axes: dict[str, list[Any]], rows: Sequence[NotedRow], *, now: AwareDatetime
    ) -> Note:
        """Write a batch down, durably, before its first job; rows that it has already stay."""
        file = self._file(name)
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / ".lock", timeout=LOCK_S):
            before = self._read(file) or Note(name=name, created_at=now, axes={}, rows=[])
            note = before.with_more(axes, rows)
            if note != before:
                write_whole(file, note.model_dump_json(by_alias=True).encode())
        return note

    def _file(self, name: str) -> Path:
        return self._folder / f"{checked_name(name)}.json"

    def _read(self, file: Path) -> Note | None:
        try:
            return Note.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            logger.warning("The batch %s cannot be read: %s", file.name, type(error).__name__)
            return None
