"""The REST handlers of the pictures: lists, bytes, thumbnails, the trash, marks, and many at once as a zip."""

from __future__ import annotations

import asyncio
import os
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
)
from tornado.iostream import StreamClosedError

from orchestrator.errors import ImageNotFound, InputInvalid
from orchestrator.gallery import GalleryImage, TrashedImage
from orchestrator.jobs import MAX_PROMPT
from orchestrator.server.api_models import MAX_OFFSET, Answer, Blank, Body
from orchestrator.server.handlers import LabHandler
from orchestrator.server.operations import Route, operation
from orchestrator.server.refusals import Refusal

CHUNK = 262_144  # bytes sent at once
MAX_LIMIT = 1000  # pictures of one answer
MAX_FILES = 2000  # names of one request
FOR_EVER = "private, max-age=31536000, immutable"
ASK_AGAIN = "private, no-cache"  # kept, but asked for with its ETag each time
# threads of their own: a page of new thumbnails would hold back every other answer that waits for the disk
MAKING = ThreadPoolExecutor(2, thread_name_prefix="thumbnails")
DATED = re.compile(r"\d{4}-\d\d-\d\d(?!\d)")
TAG = "pictures"


# ------------------------------------------------------------------------------ what is taken


def _moment(said: object) -> object:
    if not isinstance(said, str) or not DATED.match(said):
        raise ValueError("is not a time as 2026-11-22T12:00:00Z, nor a date")
    # `+` of a time zone means a space in an address; many forget that
    return said.replace(" ", "+") if said[-6:-5] == " " else said


def _in_utc(when: datetime) -> datetime:
    return when if when.tzinfo else when.replace(tzinfo=UTC)


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    AfterValidator(_in_utc),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Switch = Literal["true", "false", ""]
SWITCHES: dict[str, bool | None] = {"true": True, "false": False, "": None}
FileName = Annotated[str, Field(max_length=255)]


class ImagesQuery(BaseModel):
    """Which pictures to list; what is empty is not asked for. Times without a zone are UTC."""

    model_config = ConfigDict(frozen=True)

    backend: Annotated[str, Field(max_length=200)] = ""
    text: Annotated[
        str,
        Field(
            max_length=MAX_PROMPT,
            description="Words that are all in the prompt, or begin the job's id.",
        ),
    ] = ""
    favourite: Annotated[Switch, Field(description="Marked pictures, or the others.")] = ""
    owned: Annotated[Switch, Field(description="Pictures of a known job, or the others.")] = ""
    since: Annotated[Moment | Blank, Field(description="The first moment.")] = ""
    until: Annotated[Moment | Blank, Field(description="The first moment after.")] = ""
    limit: Annotated[int, Field(ge=1, le=MAX_LIMIT)] | Blank = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] | Blank = 0


class FavouriteBody(Body):
    """Whether a picture is to be a favourite."""

    on: bool = True


class FilesBody(Body):
    """Pictures by their file names."""

    files: Annotated[list[FileName], Field(min_length=1, max_length=MAX_FILES)]


# ------------------------------------------------------------------------------ what is answered


class ImageSaid(Answer, GalleryImage):
    """A picture and its addresses."""

    url: str
    thumbnail: str


class Images(Answer):
    """A page of pictures, newest first; `total` counts all that match."""

    images: list[ImageSaid]
    total: int


class ImageChanged(Answer):
    """The picture as it is now."""

    success: Literal[True]
    image: ImageSaid


class RecipeSaid(Answer):
    """A picture and how it was made, null when nothing says it."""

    image: ImageSaid
    recipe: dict[str, Any] | None


class Trashed(Answer):
    """The pictures that were thrown away."""

    success: Literal[True]
    trashed: list[str]


class TrashSaid(Answer):
    """What is in the trash, newest deletion first."""

    images: list[TrashedImage]


class Copied(Answer):
    """The name of the copy in dropIn."""

    success: Literal[True]
    file: str


def told(image: GalleryImage, *, base_url: str) -> dict[str, Any]:
    """A picture as an answer or an event tells it."""
    where = f"{base_url}api/images/{quote(image.file, safe='')}"
    return image.model_dump(mode="json", by_alias=True) | {
        "url": f"{where}?v={image.version}",
        "thumbnail": f"{where}/thumbnail?v={image.version}",
    }


class ImageHandler(LabHandler):
    """Base of the handlers of pictures."""

    def told(self, image: GalleryImage) -> dict[str, Any]:
        """A picture as an answer tells it."""
        return told(image, base_url=self.base_url)

    def compute_etag(self) -> str | None:
        """Tornado's own would be a digest of every byte sent; `describe` sets one that costs nothing."""
        return None

    def describe(self, image: GalleryImage, *, etag: str) -> bool:
        """Set what a browser needs to keep a picture; returns whether it has it already."""
        current = self.get_query_argument("v", None) == image.version
        self.set_header("Cache-Control", FOR_EVER if current else ASK_AGAIN)
        self.set_header("Etag", f'"{etag}"')
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        return self.check_etag_header()

    def not_modified(self, mime: str) -> None:
        """Answer that what the browser has is right."""
        self.set_status(304)
        self.finish(set_content_type=mime)

    def attach(self, name: str, *, inline: bool) -> None:
        """Say under which name a browser saves the answer."""
        plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
        kind = "inline" if inline else "attachment"
        said = f"{kind}; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
        self.set_header("Content-Disposition", said)

    async def send(self, part: bytes) -> bool:
        """Send a part of the answer; returns whether anybody still listens."""
        self.write(part)
        try:
            await self.flush()
        except StreamClosedError:
            return False
        return True


class ImagesHandler(ImageHandler):
    """`GET /api/images`: pictures, newest first."""

    @operation(
        "List pictures, newest first", tag=TAG, query=ImagesQuery, reply=Images, refusals=(400,)
    )
    async def get(self) -> None:
        """A page of pictures and how many there are in all."""
        query = self.query(ImagesQuery)
        images, total = await self.blocking(
            self.lab.gallery.page,
            backend=query.backend or None,
            text=query.text,
            favourite=SWITCHES[query.favourite],
            owned=SWITCHES[query.owned],
            since=query.since or None,
            until=query.until or None,
            limit=50 if query.limit == "" else query.limit,
            offset=query.offset or 0,
        )
        self.reply({"images": [self.told(image) for image in images], "total": total})


class PictureHandler(ImageHandler):
    """`GET` and `DELETE /api/images/{name}`."""

    @operation("A picture", tag=TAG, media="image/*", refusals=(404,))
    async def get(self, name: str) -> None:
        """The picture's bytes; to be saved as a file with `?download=1`."""
        image = await self.blocking(self.lab.gallery.get, name)
        if self.describe(image, etag=image.version):
            self.not_modified(image.mime)
            return
        with await self.blocking(self.lab.gallery.open, name) as file:
            left = os.fstat(file.fileno()).st_size
            self.attach(image.file, inline=self.get_query_argument("download", "") != "1")
            self.set_header("Content-Type", image.mime)
            self.set_header("Content-Length", str(left))
            if self.request.method != "HEAD":
                while left and (part := await self.blocking(file.read, min(CHUNK, left))):
                    left -= len(part)
                    if not await self.send(part):
                        return
        self.finish(set_content_type=image.mime)

    head = get

    @operation("Throw a picture away", tag=TAG, reply=Trashed, refusals=(404,))
    async def delete(self, name: str) -> None:
        """Move the picture to the trash."""
        if not await self.blocking(self.lab.gallery.trash, [name]):
            raise ImageNotFound
        self.reply({"success": True, "trashed": [name]})


class ThumbnailHandler(ImageHandler):
    """`GET /api/images/{name}/thumbnail`: at most 200×200, WebP."""

    @operation("A picture, small", tag=TAG, media="image/webp", refusals=(404, 422))
    async def get(self, name: str) -> None:
        """The thumbnail's bytes."""
        gallery = self.lab.gallery
        image = await self.blocking(gallery.get, name)
        if self.describe(image, etag=f"{image.version}-thumbnail"):
            self.not_modified("image/webp")
            return
        loop = asyncio.get_running_loop()
        made = await loop.run_in_executor(MAKING, gallery.thumbnail, name)
        self.finish(made, set_content_type="image/webp")

    head = get


class RecipeHandler(ImageHandler):
    """`GET /api/images/{name}/recipe`: how the picture was made."""

    @operation("How a picture was made", tag=TAG, reply=RecipeSaid, refusals=(404,))
    async def get(self, name: str) -> None:
        """The picture and its whole recipe, null when nothing says it."""
        image = await self.blocking(self.lab.gallery.get, name)
        recipe = await self.blocking(self.lab.gallery.recipe, name)
        self.reply({"image": self.told(image), "recipe": recipe})


class FavouriteHandler(ImageHandler):
    """`POST /api/images/{name}/favourite`."""

    @operation(
        "Mark a picture, or take the mark away",
        tag=TAG,
        body=FavouriteBody,
        body_optional=True,
        reply=ImageChanged,
        refusals=(404,),
    )
    async def post(self, name: str) -> None:
        """Mark the picture, or take the mark away."""
        body = self.body(FavouriteBody, optional=True)
        image = await self.blocking(self.lab.gallery.favourite, name, body.on)
        self.reply({"success": True, "image": self.told(image)})


class InputHandler(ImageHandler):
    """`POST /api/images/{name}/input`."""

    @operation("Copy a picture to dropIn", tag=TAG, reply=Copied, refusals=(400, 404))
    async def post(self, name: str) -> None:
        """Copy the picture to dropIn, for a job to begin with."""
        if (await self.blocking(self.lab.gallery.get, name)).mime.startswith("video/"):
            raise InputInvalid("A job can begin with a picture, not with a film")
        file = await self.blocking(self.lab.gallery.use_as_input, name)
        self.reply({"success": True, "file": file})


class RestoreHandler(ImageHandler):
    """`POST /api/images/{name}/restore`."""

    @operation("Bring a picture back", tag=TAG, reply=ImageChanged, refusals=(404, 409))
    async def post(self, name: str) -> None:
        """Bring the picture back from the trash."""
        gallery = self.lab.gallery
        if not await self.blocking(gallery.restore, [name]):
            kept = {image.file for image in await self.blocking(gallery.trashed)}
            if name not in kept:
                raise ImageNotFound("The trash has no such picture", remedy=_TRASH_REMEDY)
            raise Refusal(
                409,
                "Another picture has this name by now",
                remedy="Rename or delete that one, then restore again: nothing is overwritten.",
            )
        self.reply({"success": True, "image": self.told(await self.blocking(gallery.get, name))})


class TrashHandler(ImageHandler):
    """`GET` and `POST /api/images/trash`."""

    @operation("List the trash", tag=TAG, reply=TrashSaid)
    async def get(self) -> None:
        """What is in the trash, newest deletion first."""
        kept = await self.blocking(self.lab.gallery.trashed)
        self.reply({"images": [image.model_dump(mode="json", by_alias=True) for image in kept]})

    @operation("Throw pictures away", tag=TAG, body=FilesBody, reply=Trashed)
    async def post(self) -> None:
        """Move many pictures there; the answer names those that were."""
        files = self.body(FilesBody).files
        self.reply({"success": True, "trashed": await self.blocking(self.lab.gallery.trash, files)})


class ZipHandler(ImageHandler):
    """`POST /api/images/zip`: many pictures with their recipes as one file."""

    @operation(
        "Pictures with their recipes as one file",
        tag=TAG,
        body=FilesBody,
        media="application/zip",
        refusals=(404,),
    )
    async def post(self) -> None:
        """The zip file, sent while it is made."""
        parts = await self.blocking(self.lab.gallery.zipped, self.body(FilesBody).files)
        self.attach(f"pictures-{self.lab.store.now():%Y%m%d-%H%M%S}.zip", inline=False)
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Type", "application/zip")
        while part := await self.blocking(next, parts, b""):
            if not await self.send(part):
                return
        self.finish(set_content_type="application/zip")


_TRASH_REMEDY = "Look at GET /api/images/trash for what can be restored."
_NAME = r"api/images/([^/]+)"
ROUTES: list[Route] = [
    (r"api/images", ImagesHandler),
    (r"api/images/zip", ZipHandler),
    (r"api/images/trash", TrashHandler),
    (_NAME, PictureHandler),
    (rf"{_NAME}/thumbnail", ThumbnailHandler),
    (rf"{_NAME}/recipe", RecipeHandler),
    (rf"{_NAME}/favourite", FavouriteHandler),
    (rf"{_NAME}/input", InputHandler),
    (rf"{_NAME}/restore", RestoreHandler),
]
