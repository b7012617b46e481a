"""Two pictures against each other: side by side, behind a divider, and what differs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar, Self

import traitlets

from orchestrator.batch import Batch
from orchestrator.errors import RequestInvalid
from orchestrator.handles import JobHandle, Picture
from orchestrator.jobs import one_line
from orchestrator.lab import Lab
from orchestrator.widgets.answering import answering
from orchestrator.widgets.rows import SHORT_PROMPT, short_id
from orchestrator.widgets.sheets import place
from orchestrator.widgets.view import LiveView, Message, static

MOST = 1000  # pictures to choose from
MOST_FAVOURITES = 10_000
Source = Batch | Sequence[Picture | JobHandle]


class Compare(LiveView):
    """Compares any two pictures of a batch, or of a list of pictures and jobs. Those that come later are added."""

    script = "compare"
    pause_s: ClassVar[float] = 0.5

    # key, id, index, label, file
    items: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    favourites: traitlets.List[str] = traitlets.List().tag(sync=True)  # files of the items

    def __new__(cls, of: Source, *, lab: Lab | None = None) -> Self:
        """Refuses before there is a widget: one that is half made cannot be closed."""
        _home(of, lab)
        made: Self = super().__new__(cls, of, lab=lab)
        return made

    def __init__(self, of: Source, *, lab: Lab | None = None) -> None:
        """`lab`: whose the pictures are; a batch and a job know it themselves. Raises RequestInvalid."""
        super().__init__(_home(of, lab))
        self._of = of
        self._mark = answering(self, self._marked)
        self._actions["favourite"] = self._favourite

    @traitlets.default("_esm")
    def _read_parts(self) -> str:
        parts = ("shared.js", "gallery_parts.js", "compare_parts.js", "compare.js")
        return "".join(static(part) for part in parts)

    async def refresh(self) -> None:
        """Show what there is to compare."""
        items, favourites = await asyncio.to_thread(self._look)
        with self.hold_sync():
            self.banner = {}
            if items != self.items:
                self.items = items
            if favourites != self.favourites:
                self.favourites = favourites

    def _look(self) -> tuple[list[dict[str, Any]], list[str]]:
        items = [item for _, item in zip(range(MOST), self._items(), strict=False)]
        marked, _ = self._lab.gallery.page(favourite=True, limit=MOST_FAVOURITES)
        starred = {image.file for image in marked}
        return items, sorted(starred & {item["file"] for item in items})

    def _items(self) -> Iterator[dict[str, Any]]:
        if isinstance(self._of, Batch):
            for row, job in self._of.pairs():
                if job is not None:
                    pictures = JobHandle(self._lab, job).pictures
                    yield from _of_job(pictures, place(row.at, self._of.axes))
            return
        for each in self._of:
            if isinstance(each, Picture):
                yield _item(each, _called(each))
            else:
                each.refresh()
                yield from (_item(picture, _called(picture)) for picture in each.pictures)

    async def _favourite(self, message: Message) -> None:
        await self._mark(message)
        await self.redraw()

    def _marked(self, message: Message) -> dict[str, Any]:
        name, on = str(message.get("file", "")), message.get("on") is True
        self._lab.gallery.favourite(name, on)
        return {"file": name, "on": on}


def _home(of: Source, lab: Lab | None) -> Lab:
    jobs = [] if isinstance(of, Batch) else [each for each in of if isinstance(each, JobHandle)]
    own = of.lab if isinstance(of, Batch) else jobs[0].lab if jobs else None
    if (home := lab or own) is None:
        raise RequestInvalid(
            "Whose pictures these are is not known", remedy="Say it: Compare(pictures, lab=lab)."
        )
    return home


def _of_job(pictures: Sequence[Picture], label: str) -> Iterator[dict[str, Any]]:
    for number, picture in enumerate(pictures, 1):
        yield _item(picture, label if number == 1 else f"{label} ({number})")


def _item(picture: Picture, label: str) -> dict[str, Any]:
    files = picture.job.result.files if picture.job.result else []
    names = [file.replace("\\", "/").rpartition("/")[2] for file in files]
    index = names.index(picture.path.name) if picture.path.name in names else 0
    return {
        "key": f"{picture.job.id}/{index}",
        "id": picture.job.id,
        "index": index,
        "label": label,
        "file": picture.path.name,
    }


def _called(picture: Picture) -> str:
    job = picture.job
    prompt = one_line(job.prompt)
    short = prompt if len(prompt) <= SHORT_PROMPT else prompt[: SHORT_PROMPT - 1] + "…"
    seed = job.params.get("seed")
    return " · ".join(
        [
            short,
            *([f"seed {one_line(str(seed))[:40]}"] if seed is not None else []),
            short_id(job.id),
        ]
    )
