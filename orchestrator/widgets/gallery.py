"""The gallery: every picture in dropOut, newest first, however many there are, and what can be done with each."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

import traitlets

from orchestrator.errors import (
    ImageNotFound,
    InputInvalid,
    JobNotFound,
    OrchestratorError,
    RequestInvalid,
    UnknownBackend,
)
from orchestrator.gallery import GalleryImage, TrashedImage
from orchestrator.jobs import Failure, one_line
from orchestrator.lab import Lab
from orchestrator.recipes import ForeignRecipe, Repeat, repeated
from orchestrator.widgets.asked import Asked
from orchestrator.widgets.choices import title
from orchestrator.widgets.money import dollars
from orchestrator.widgets.pictures import facts, item, job_state, sent
from orchestrator.widgets.rows import short_id
from orchestrator.widgets.thumbnails import THUMBNAILS
from orchestrator.widgets.view import Action, LiveView, Message, static

logger = logging.getLogger(__name__)

HEAD = 60  # pictures sent along before a page asks: more than the first screen shows
MOST = 500  # pictures in one answer
CHUNK = 1000  # pictures looked through at a time for their names
SIDE_PX = 200
PARTS = ("gallery_parts.js", "gallery_grid.js", "gallery_box.js", "gallery.js")
NO_RECIPE = "No job on record: nothing says how this picture was made."


class Gallery(LiveView):
    """A grid of all pictures with a view of one, its recipe, and a trash. `job_id`: show that job's pictures first."""

    script = "gallery"
    pause_s: ClassVar[float] = 0.5  # pictures come less often than steps

    head = traitlets.Dict().tag(sync=True)  # the first part of the list, as `_window` answers
    backends: traitlets.List[list[str]] = traitlets.List().tag(sync=True)  # name and title
    trashed = traitlets.Int(0).tag(sync=True)  # pictures in the trash
    revision = traitlets.Int(0).tag(sync=True)  # another one when any picture has changed
    job = traitlets.Unicode("").tag(sync=True)
    jobs = traitlets.Dict().tag(sync=True)  # id of the job asked for -> as `_job` says it

    def __init__(self, lab: Lab, *, job_id: str | None = None) -> None:
        self._told = 0  # times that the gallery has said that something changed
        self._shown = -1  # of them, those that are on the page
        self._drawing_soon = False
        self._asked_job = job_id or ""
        super().__init__(lab, job=self._asked_job)
        answers: dict[str, Callable[[Message], dict[str, Any]]] = {
            "window": self._window,
            "names": self._names,
            "recipe": self._recipe,
            "again": self._again,
            "vary": self._vary,
            "use": self._use,
            "favourite": self._favourite,
            "trash": self._trash,
            "restore": self._restore,
        }
        self._actions |= {name: self._answering(work) for name, work in answers.items()}

    @traitlets.default("_esm")
    def _read_parts(self) -> str:
        return "".join(static(part) for part in ("shared.js", *PARTS))

    # ---------------------------------------------------------------- following

    async def follow(self) -> None:
        """As every live view; besides, new pictures are told of that no job has made."""
        loop = asyncio.get_running_loop()

        def tell(_: list[GalleryImage]) -> None:
            loop.call_soon_threadsafe(self._draw_soon)

        subscription = await asyncio.to_thread(self._lab.gallery.watch, tell)
        try:
            await super().follow()
        finally:
            subscription.end()

    def _draw_soon(self) -> None:
        self._told += 1
        if not self._drawing_soon:  # a hundred pictures at once are one drawing
            self._drawing_soon = True
            self.start(self._draw_now(), name="Gallery shows new pictures")

    async def _draw_now(self) -> None:
        self._drawing_soon = False
        await self.redraw()

    async def refresh(self) -> None:
        """Tell the page what the newest pictures are, and whether any has changed."""
        told = self._told
        head = await asyncio.to_thread(self._window, {"limit": HEAD})
        jobs = await asyncio.to_thread(self._job, self._asked_job)
        changed = told != self._shown or head != self.head
        if changed:
            names = await asyncio.to_thread(self._lab.gallery.backends)
            trashed = len(await asyncio.to_thread(self._thrown_away))
        with self.hold_sync():
            self.jobs = jobs
            self.banner = {}
            if changed:
                self.head = head
                self.backends = [[name, title(name)] for name in names]
                self.trashed = trashed
                self._shown = told
                self.revision += 1

    def _job(self, job_id: str) -> dict[str, Any]:
        if not job_id:
            return {}
        try:
            return {job_id: job_state(self._lab.job(job_id).job)}
        except JobNotFound:
            said = "This job is not in the list any more."
            return {job_id: {"label": "", "text": said, "remedy": "Its pictures would be here."}}

    # ---------------------------------------------------------------- answering

    def _answering(self, work: Callable[[Message], dict[str, Any]]) -> Action:
        """An action that does `work` in a thread and answers the question that the page has named."""

        async def answer(message: Message) -> None:
            asked = {"kind": "answer", "key": str(message.get("key", ""))[:100]}
            try:
                said = await asyncio.to_thread(work, message)
            except OrchestratorError as error:
                self.send(asked | {"error": error.message, "remedy": error.remedy})
            except Exception as error:
                logger.exception("The gallery could not answer a page")
                failure = Failure.of(error)
                self.send(asked | {"error": failure.message, "remedy": failure.remedy})
            else:
                self.send(asked | {"answer": said})

        return answer

    def _window(self, message: Message) -> dict[str, Any]:
        """A part of the list: its items, how many there are, as of when, and how many are newer than that."""
        asked = Asked.of(message)
        self._asked_job = asked.filters.job or self._asked_job
        limit = MOST if asked.limit is None else min(asked.limit, MOST)
        if asked.filters.trash:
            return self._trash_window(asked.offset, limit)
        images, total = self._page(asked, limit=limit, offset=asked.offset)
        as_of, fresh = asked.as_of, 0
        if as_of is None:
            newest = images if not asked.offset else self._page(asked, limit=1, offset=0)[0]
            as_of = newest[0].created_at + timedelta(microseconds=1) if newest else None
        else:
            everything = asked.model_copy(update={"as_of": None})
            fresh = self._page(everything, limit=0, offset=0)[1] - total
        return {
            "offset": asked.offset,
            "items": [item(image) for image in images],
            "total": total,
            "asOf": as_of.isoformat() if as_of else None,
            "fresh": max(0, fresh),
        }

    def _page(self, asked: Asked, *, limit: int, offset: int) -> tuple[list[GalleryImage], int]:
        filters = asked.filters
        ends = [end for end in (filters.until, asked.as_of) if end]
        return self._lab.gallery.page(
            backend=filters.backend,
            text=filters.words,
            favourite=filters.favourite,
            owned=filters.owned,
            since=filters.since,
            until=min(ends) if ends else None,
            limit=limit,
            offset=offset,
        )

    def _trash_window(self, offset: int, limit: int) -> dict[str, Any]:
        everything = self._thrown_away()
        items = [self._thrown_item(each) for each in everything[offset : offset + limit]]
        return {
            "offset": offset,
            "items": items,
            "total": len(everything),
            "asOf": None,
            "fresh": 0,
        }

    def _thrown_away(self) -> list[TrashedImage]:
        """What can be put back: of several deletions of one name, the last."""
        return list({each.file: each for each in reversed(self._lab.gallery.trashed())}.values())[
            ::-1
        ]

    def _thrown_item(self, image: TrashedImage) -> dict[str, Any]:
        small = None
        with suppress(ImageNotFound):  # put back by somebody else
            small = THUMBNAILS.of(self._lab.gallery.trashed_path(image), side=SIDE_PX)
        data = base64.b64encode(small).decode() if small else ""
        return {
            "file": image.file,
            "trashed": True,
            "created": image.deleted_at.isoformat(),
            "size": image.size,
            "thumb": f"data:image/webp;base64,{data}",
            "prompt": "",
            "owned": True,
            "backend": "deleted",
            "favourite": False,
            "film": False,
            "moves": False,
            "width": 0,
            "height": 0,
            "version": "",
        }

    def _names(self, message: Message) -> dict[str, Any]:
        """The file names of a part of the list, or of all of it."""
        asked = Asked.of(message)
        last = None if asked.limit is None else asked.offset + asked.limit
        if asked.filters.trash:
            return {"names": [each.file for each in self._thrown_away()[asked.offset : last]]}
        names: list[str] = []
        while last is None or asked.offset + len(names) < last:
            offset = asked.offset + len(names)
            limit = CHUNK if last is None else min(CHUNK, last - offset)
            images, _ = self._page(asked, limit=limit, offset=offset)
            names += [image.file for image in images]
            if len(images) < limit:
                break
        return {"names": names}

    # ---------------------------------------------------------------- one picture

    def _recipe(self, message: Message) -> dict[str, Any]:
        """How a picture was made, in words and whole."""
        name = _file(message)
        image = self._lab.gallery.get(name)
        recipe = self._lab.gallery.recipe(name) or self._foreign(name)
        if recipe is None:
            said = {"prompt": image.prompt, "note": NO_RECIPE, "facts": [], "text": "", "sent": ""}
            return said | {"repeatable": False, "price": ""}
        note, price = self._outlook(name)
        return {
            "prompt": str(recipe.get("prompt") or ""),
            "sent": sent(recipe),
            "note": note,
            "facts": facts(recipe),
            "text": json.dumps(recipe, ensure_ascii=False, indent=2),
            "repeatable": not note,
            "price": price,
        }

    def _foreign(self, name: str) -> dict[str, Any] | None:
        """What another program left in the file, as a recipe."""
        found = self._lab.recipe(self._lab.gallery.path(name))
        if not isinstance(found, ForeignRecipe):
            return None
        document = found.model_dump(mode="json", by_alias=True, exclude_none=True)
        return document | {"seed": found.params.get("seed"), "service": found.source}

    def _outlook(self, name: str) -> tuple[str, str]:
        """Why a picture cannot be made again, and what it would cost; each empty for nothing."""
        try:
            repeat = self._repeat(name, same_seed=True)
            price = self._lab.estimate(repeat.prompt, backend=repeat.backend, params=repeat.params)
        except UnknownBackend:
            return "Its backend is not one of this lab: it cannot be made again here.", ""
        except OrchestratorError as error:
            return f"It cannot be made again as it is. {error.message}", ""
        most = "≤ " if price.is_upper_bound else ""
        return "", f"{most}{dollars(price.usd)}" if price.usd else ""

    def _repeat(self, name: str, *, same_seed: bool) -> Repeat:
        found = self._lab.recipe(self._lab.gallery.path(name))
        if found is None:
            raise RequestInvalid(NO_RECIPE, remedy="Describe it on the dashboard instead.")
        return repeated(found, {} if same_seed else {"seed": None})

    def _again(self, message: Message) -> dict[str, Any]:
        return self._submit(message, same_seed=True)

    def _vary(self, message: Message) -> dict[str, Any]:
        return self._submit(message, same_seed=False)

    def _submit(self, message: Message, *, same_seed: bool) -> dict[str, Any]:
        """A new job with the recipe of a picture. `sure`: its price was shown, and agreed to."""
        repeat = self._repeat(_file(message), same_seed=same_seed)
        job = self._lab.submit(
            repeat.prompt,
            backend=repeat.backend,
            params=repeat.params,
            literal=repeat.literal,
            resolved=repeat.resolved,
            confirm=message.get("sure") is True,
        )
        seed = job.params.get("seed")
        notes = [one_line(note) for note in repeat.notes]
        return {
            "id": job.id,
            "short": short_id(job.id),
            "seed": "" if seed is None else str(seed),
            "notes": notes,
        }

    def _use(self, message: Message) -> dict[str, Any]:
        name = _file(message)
        if self._lab.gallery.get(name).mime.startswith("video/"):
            raise InputInvalid(
                "A job can begin with a picture, not with a film",
                remedy="Choose a picture, or save a frame of the film as one.",
            )
        return {"name": self._lab.gallery.use_as_input(name)}

    # ---------------------------------------------------------------- several

    def _favourite(self, message: Message) -> dict[str, Any]:
        names, done = list(_files(message)), []
        for name in names:
            try:
                self._lab.gallery.favourite(name, message.get("on") is True)
            except ImageNotFound:
                if len(names) == 1:
                    raise
            else:
                done.append(name)
        return {"files": done}

    def _trash(self, message: Message) -> dict[str, Any]:
        return {"files": self._lab.gallery.trash(_files(message))}

    def _restore(self, message: Message) -> dict[str, Any]:
        names = list(_files(message))
        back = self._lab.gallery.restore(names)
        if names and not back:
            raise RequestInvalid(
                "Nothing was put back",
                remedy="Another picture has the name by now, or the trash was emptied.",
            )
        return {"files": back}


def _file(message: Message) -> str:
    return str(message.get("file", ""))


def _files(message: Message) -> Iterator[str]:
    names = message.get("files")
    return (str(name) for name in names) if isinstance(names, list) else iter(())
