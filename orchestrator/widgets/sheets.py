"""What a page shows of batches: how far each is, and one as a sheet. All text is data, escaped where shown."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from orchestrator.batch import Batch
from orchestrator.batch.sheet import Cell, arranged
from orchestrator.errors import OrchestratorError
from orchestrator.jobs import Job, Status, one_line
from orchestrator.lab import Lab
from orchestrator.widgets.rows import failure, label

MOST_CELLS = 1000  # on a page; the sheet that is saved has all of them
MAX_LABEL = 300  # characters
MAX_VALUE = 200
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would carry out


class Batches:
    """The batches of a lab. Their notes are read again only when one has changed; blocks on the disk."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._seen: object = None
        self._batches: list[Batch] = []

    def all(self) -> list[Batch]:
        """Every batch, the newest first."""
        seen = sorted(_marks(self._lab.paths.data / "batches"))
        if seen != self._seen:
            self._batches, self._seen = self._lab.batches(), seen
        return self._batches

    def get(self, name: str) -> Batch | None:
        """A batch by its name, if there is one."""
        return next((batch for batch in self.all() if batch.name == name), None)


def _marks(folder: Path) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json"):
                    stat = entry.stat()
                    yield entry.name, stat.st_mtime_ns, stat.st_size
    except OSError:  # there are none yet, or one went just now
        return


def listed(batch: Batch) -> dict[str, Any]:
    """A batch in the list."""
    now = batch.progress()
    counts = {status.value: n for status, n in now.counts.items()}
    return {
        "name": batch.name,
        "created": batch.note.created_at.isoformat(),
        "shape": shape(batch.axes),
        "total": now.total,
        "ended": now.ended,
        "counts": counts,
        "removed": now.removed,
        "left": now.seconds_left if counts.get(Status.RUNNING) or now.ended else None,
        "paused": now.paused_since.isoformat() if now.paused_since else "",
        "over": now.is_over,
    }


def shape(axes: Mapping[str, Sequence[Any]]) -> str:
    """What was varied: `3 cfg × 4 seed`."""
    return " × ".join(
        f"{len(values)} {one_line(name)[:MAX_VALUE]}"
        for name, values in axes.items()
        if len(values) > 1
    )


def layout(batch: Batch) -> dict[str, Any]:
    """How the sheet of a batch is laid out: the labels of both axes, and the job that stands in each cell."""
    rows = batch.note.rows[:MOST_CELLS]
    places = [Cell(at=row.at, picture=None, words="", link=row.id) for row in rows]
    grid = arranged(batch.axes, places)
    return {
        "name": batch.name,
        "columns": [_cut(column) for column in grid.columns],
        "rows": [
            {"label": _cut(words), "cells": [cell.link if cell else "" for cell in cells]}
            for words, cells in grid.rows
        ],
        "labels": {row.id: place(row.at, batch.axes) for row in rows},
        "left": len(batch.note.rows) - len(rows),
    }


def place(at: Mapping[str, Any], axes: Mapping[str, Sequence[Any]]) -> str:
    """Where a cell stands, in words; axes that have one value say nothing."""
    varied = [name for name, values in axes.items() if len(values) > 1] or list(at)
    said = [
        value if name == "prompt" else f"{one_line(name)[:MAX_VALUE]} {value}"
        for name, value in ((name, one_line(str(at.get(name)))[:MAX_VALUE]) for name in varied)
    ]
    return " · ".join(said)


def cell(lab: Lab, job: Job | None) -> dict[str, Any]:
    """What a cell shows now: its status, its picture's file, and else what is to be said in its stead."""
    if job is None:
        return {"status": "removed", "words": "removed from the queue", "file": "", "remedy": ""}
    file = first_picture(lab, job)
    said = {"status": job.status.value, "words": label(job), "file": file, "remedy": ""}
    if (problem := failure(job)) is not None:
        return said | {"words": problem["text"], "remedy": problem["remedy"]}
    if job.status is Status.DONE and not file:
        return said | {"words": "its picture is gone"}
    return said


def first_picture(lab: Lab, job: Job) -> str:
    """The name of a job's first picture, empty when it is not there."""
    files = job.result.files if job.result else []
    path = lab.picture_path(files[0]) if files else None
    return path.name if path else ""


def thumbnails(lab: Lab, names: Sequence[str], *, side: int) -> tuple[list[str], list[bytes]]:
    """Small pictures of those files that can be read, with their names."""
    made: list[tuple[str, bytes]] = []
    for name in names:
        try:
            made.append((name, lab.gallery.thumbnail(name, side=side)))
        except OrchestratorError:  # gone, or damaged: the page says so
            continue
    return [name for name, _ in made], [data for _, data in made]


def table(batch: Batch) -> bytes:
    """A batch as CSV for a spreadsheet, with its measures. Blocks for each picture that was not measured yet."""
    frame = batch.frame(measures=True)
    out = io.StringIO(newline="")
    lines = csv.writer(out)
    lines.writerow([_harmless(str(name)) for name in frame.columns])
    for row in frame.itertuples(index=False):
        lines.writerow(
            ["" if value is None or value != value else _harmless(value) for value in row]
        )
    return out.getvalue().encode("utf-8-sig", errors="replace")


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet shows and does not carry out."""
    text = value if isinstance(value, str) else str(value) if isinstance(value, list) else None
    if text is None:
        return value
    return f"'{text}" if text.startswith(FORMULA) else text


def _cut(text: str) -> str:
    return text if len(text) <= MAX_LABEL else text[: MAX_LABEL - 1] + "…"
