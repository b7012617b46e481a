"""Pictures in a folder: each whole, named once and never overwritten, and knowing how it was made."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import orjson
from PIL import Image, UnidentifiedImageError

from orchestrator.errors import DiskFull, ImageInvalid
from orchestrator.files import DISK, Disk, is_full, temp_name, write_whole
from orchestrator.jobs import one_line
from orchestrator.recipes import (
    DAMAGE,
    MP4,
    WEBP,
    ForeignRecipe,
    Kind,
    Recipe,
    Stamp,
    document_of,
    kind_of,
    parse_stamp,
    read_embedded,
    recipe_in,
    require_end,
    with_stamp,
)
from orchestrator.recipes.mp4 import inspected

MAX_PIXELS = 8192 * 8192  # four times the largest picture a backend makes; 200 MB when decoded
# of all frames of an animated picture that are decoded to judge it
MAX_FRAME_PIXELS = 8 * MAX_PIXELS
MAX_FILE = 256_000_000  # bytes of a file that is read whole for its recipe
MAX_STEM = 100  # characters; with ending and sidecar far below any file system's 255 bytes
# device names on Windows
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
# how FAT, some shares and Windows say that they have no hard links
NO_LINKS = frozenset(
    {errno.EPERM, errno.EACCES, errno.EINVAL, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP}
)


@dataclass(frozen=True)
class Published:
    """A picture under its final name. `size` in bytes, `width` and `height` in pixels."""

    path: Path
    width: int
    height: int
    size: int
    sha256: str
    mime: str


# ------------------------------------------------------------------------------ publishing


def publish(
    data: bytes, *, folder: Path, stem: str, recipe: Recipe, disk: Disk = DISK
) -> Published:
    """Give a finished download its final name in `folder`, with its recipe inside and in a sidecar.

    The name is `stem`, made safe, and the ending of what the bytes really are; if another picture
    has that name already, `-2`, `-3`, … follows the stem. The same picture of the same attempt is
    not published twice: the file that is there is returned. Pixels stay as they are.
    Blocks on the disk. Raises ImageInvalid, DiskFull, OSError; no temporary file stays behind then,
    and a picture that has its name keeps it even if its sidecar could not be written.
    """
    kind, width, height = _inspect(data)
    stamp = Stamp(recipe, _digest(data))
    content = with_stamp(data, kind, stamp)
    folder.mkdir(parents=True, exist_ok=True)
    safe = safe_stem(stem)
    draft = folder / f".{temp_name(safe)}"
    try:
        disk.write(draft, content)
        path, held = _give_name(draft, folder, safe, kind.ending, content, stamp, disk)
    except OSError as error:
        if is_full(error):
            raise DiskFull(f"No space left for the picture {safe}{kind.ending}") from error
        raise
    finally:
        with suppress(OSError):  # the first error is the one to tell
            disk.unlink(draft)
    published = Published(
        path=path,
        width=width,
        height=height,
        size=len(held),
        sha256=hashlib.sha256(held).hexdigest(),
        mime=kind.mime,
    )
    if _same_picture(_read_sidecar(path), stamp):
        disk.sync_folder(folder)  # whoever published it may have died before its name was safe
    else:
        # its sync of the folder makes the picture's own name safe as well
        write_whole(sidecar(path), _sidecar_json(published, stamp), disk=disk)
    return published


def safe_stem(stem: str) -> str:
    """A file name without ending that every system takes, as close to `stem` as that allows."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).lstrip(".-")[:MAX_STEM].rstrip(".-") or "image"
    return f"_{plain}"[:MAX_STEM] if RESERVED.match(plain) else plain


def sidecar(path: Path) -> Path:
    """Where the recipe of a picture stands beside it."""
    return path.with_name(f"{path.name}.json")


def _give_name(
    draft: Path,
    folder: Path,
    stem: str,
    ending: str,
    content: bytes,
    stamp: Stamp,
    disk: Disk,
) -> tuple[Path, bytes]:
    """Name the draft, or find the picture already there. Returns the path and the bytes it holds."""
    for number in count(1):
        path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{ending}"
        if take_name(draft, path, disk):
            return path, content
        held = _held(path, content, stamp)
        if held is not None:
            return path, held
    raise AssertionError("count() has no end")


def take_name(draft: Path, path: Path, disk: Disk) -> bool:
    """Give the draft its final name unless something has it; in one step, so that no two can."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
    else:
        return True
    try:
        path.touch(exist_ok=False)  # exclusive: whoever makes the empty file has the name
    except FileExistsError:
        return False
    try:
        disk.replace(draft, path)
    except BaseException:
        with suppress(OSError):
            disk.unlink(path)
        raise
    return True


def _held(path: Path, content: bytes, stamp: Stamp) -> bytes | None:
    """The bytes of the file that has the name, if it is this very picture: published before a crash."""
    try:
        if path.is_symlink() or not path.is_file():
            return None
        held = path.read_bytes()
    except OSError:
        return None  # just removed, or not ours to read
    embedded = read_embedded(held)
    if embedded is not None:
        return held if _same_picture(embedded, stamp) else None
    beside = _read_sidecar(path)
    # version 0.1 published a WebP as it came
    same = held == content or _digest(held) == stamp.source
    return held if same and (beside is None or _same_picture(beside, stamp)) else None


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _same_picture(told: Stamp | None, stamp: Stamp) -> bool:
    return told is not None and (told.recipe.place, told.source) == (
        stamp.recipe.place,
        stamp.source,
    )


# ------------------------------------------------------------------------------ judging


def _inspect(data: bytes) -> tuple[Kind, int, int]:
    """Kind, width and height of a picture that decodes to its last pixel, or of a film that is whole.

    Raises ImageInvalid.
    """
    kind = kind_of(data)
    if kind is None:
        start = data[:16]
        what = f"they begin with {start!r}" if data else "there are none"
        raise ImageInvalid(f"The bytes are not a PNG, JPEG or WebP picture or an MP4 film: {what}")
    try:
        if kind is MP4:  # nothing here decodes it: its structure has to be sound
            width, height = inspected(data)
            _require_sane(width, height)
            return kind, width, height
        require_end(data, kind)
        with Image.open(io.BytesIO(data), formats=[kind.format]) as image:
            width, height = image.size
            _require_sane(width, height)
            image.load()
            if kind is WEBP:
                _load_frames(image, getattr(image, "n_frames", 1))
    except DAMAGE as error:
        raise ImageInvalid(f"The {kind.format} picture is damaged: {_reason(error)}") from error
    return kind, width, height


def _require_sane(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise ImageInvalid(
            f"The picture claims {width}×{height} pixels; {MAX_PIXELS:,} are allowed"
        )


def _load_frames(image: Image.Image, frames: int) -> None:
    """Decode what follows the first frame, as far as somebody can wait for it."""
    for number in range(1, min(frames, MAX_FRAME_PIXELS // (image.width * image.height))):
        image.seek(number)
        image.load()


def _reason(error: BaseException) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "its header makes no sense"  # Pillow names the object it read from
    return one_line(str(error))[:200] or type(error).__name__


# ------------------------------------------------------------------------------ recipes in files


def read_recipe(path: Path) -> Recipe | None:
    """How a picture was made, by itself or its sidecar; None when neither says. Raises OSError."""
    return _told(path, path.read_bytes())


def find_recipe(path: Path) -> Recipe | ForeignRecipe | None:
    """How a picture was made, whoever made it: `read_recipe`, or else what another program left in the file.

    None when nothing says it, or the file is too large to be read for it. Raises OSError.
    """
    if path.stat().st_size > MAX_FILE:
        return None
    data = path.read_bytes()
    return _told(path, data) or recipe_in(data)


def _told(path: Path, data: bytes) -> Recipe | None:
    embedded, beside = read_embedded(data), _read_sidecar(path)
    if embedded is None:
        return beside.recipe if beside else None
    # the sidecar has what a JPEG had no room for, but it may be another picture's
    if beside is not None and _same_picture(beside, embedded):
        return beside.recipe
    return embedded.recipe


def _sidecar_json(published: Published, stamp: Stamp) -> bytes:
    document = document_of(stamp) | {
        "file": published.path.name,
        "width": published.width,
        "height": published.height,
        "bytes": published.size,
        "sha256": published.sha256,
        "mime": published.mime,
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _read_sidecar(path: Path) -> Stamp | None:
    try:
        return parse_stamp(sidecar(path).read_bytes())
    except OSError:
        return None
