"""Pictures that a job begins with: found in dropIn or dropOut, checked, and cleaned before they leave the machine."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Self

from PIL import Image, ImageCms, ImageOps

from orchestrator.errors import DiskFull, ImageInvalid, InputInvalid, InputNotFound, PathOutside
from orchestrator.files import DISK, READ_FLAGS, Disk, is_full, temp_name
from orchestrator.images import safe_stem, take_name
from orchestrator.jobs import one_line
from orchestrator.paths import Paths, inside
from orchestrator.recipes import DAMAGE, JPEG, PNG, PNG_MAGIC, WEBP, Kind, kind_of, require_end
from orchestrator.recipes import jpeg as jpeg_file
from orchestrator.recipes import png as png_file
from orchestrator.recipes import webp as webp_file
from orchestrator.settings import Settings

MEGA = 1_000_000
GIF = Kind("GIF", "image/gif", ".gif")
BMP = Kind("BMP", "image/bmp", ".bmp")
MAX_PROFILE = 4_000_000  # bytes of a colour profile; printers' have one or two million
MAX_SCANS = 200  # of a progressive JPEG; cameras write ten, and each costs a pass over all pixels
EFFORT = 1  # of 9: a fifth of the time for a tenth more bytes
SHOWN = 80  # characters of a name in a message
# what people have that is no picture the lab takes, by how it begins
STRANGERS = (
    (b"II*\0", "a TIFF picture"),
    (b"MM\0*", "a TIFF picture"),
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document"),
    (b"PK\3\4", "a zip file or an office document"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an SVG drawing or another XML document"),
    (b"<!doctype", "a web page"),
    (b"<html", "a web page"),
    (b"\x1f\x8b", "a gzip file"),
    (b"GIF", "a damaged GIF picture"),
)
FTYP = {
    b"heic": "a HEIC photo",
    b"heix": "a HEIC photo",
    b"mif1": "a HEIC photo",
    b"avif": "an AVIF picture",
}
SAVE_AS = "Save it as PNG, JPEG or WebP, and name that."


@dataclass(frozen=True)
class Limits:
    """How large an input picture may be: bytes of its file, pixels in all."""

    bytes: int = 20 * MEGA
    pixels: int = 20 * MEGA

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Those of ORCHESTRATOR_MAX_INPUT_MB and ORCHESTRATOR_MAX_INPUT_MEGAPIXELS."""
        return cls(
            bytes=round(settings.max_input_mb * MEGA),
            pixels=round(settings.max_input_megapixels * MEGA),
        )


@dataclass(frozen=True)
class InputImage:
    """A picture ready to be sent: PNG in sRGB, upright, with nothing in it but pixels.

    `name` follows from the pixels, so that one picture has one name wherever it comes from; sizes in pixels.
    """

    name: str
    data: bytes
    width: int
    height: int
    mime: str = PNG.mime
    note: str | None = None  # what was left out, in a sentence


# ------------------------------------------------------------------------------ taking


def load(name: str, *, paths: Paths, limits: Limits) -> InputImage:
    """An input picture by its name: a file in dropIn, else in dropOut, or in a folder inside one of them.

    Alpha is kept: masks need it. Of an animated picture the first frame is taken.
    Blocks on the disk and while it decodes. Raises InputNotFound, InputInvalid.
    """
    data = _found(name, paths, limits)
    return _cleaned(data, name, limits)


def check(name: str, *, paths: Paths, limits: Limits) -> None:
    """Make sure that `load` would take an input picture, for half of its time.

    Blocks on the disk and while it decodes. Raises InputNotFound, InputInvalid.
    """
    data = _found(name, paths, limits)
    _decoded(data, _judged(data, name, limits), name, limits)


def save_upload(
    data: bytes, filename: str, *, paths: Paths, limits: Limits, disk: Disk = DISK
) -> str:
    """Put an uploaded picture into dropIn as it came; returns its name there.

    The name is as close to `filename` as is safe, with the ending of what it is; another picture's name is never
    taken, and the same picture is not stored twice under one. Blocks. Raises InputInvalid, DiskFull, OSError.
    """
    kind = _judged(data, filename, limits)
    _decoded(data, kind, filename, limits)
    folder = paths.drop_in
    stem = safe_stem(PurePosixPath(filename.replace("\\", "/")).stem)
    draft = folder / f".{temp_name(stem)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        disk.write(draft, data)
        for number in count(1):
            path = folder / f"{stem}{f'-{number}' if number > 1 else ''}{kind.ending}"
            if take_name(draft, path, disk) or _holds(path, data):
                disk.sync_folder(folder)
                return path.name
    except OSError as error:
        if is_full(error):
            raise DiskFull(f"No space left for the picture in {folder}") from error
        raise
    finally:
        with contextlib.suppress(OSError):
            disk.unlink(draft)
    raise AssertionError("count() has no end")


def _holds(path: Path, data: bytes) -> bool:
    try:
        return _read(path, len(data)) == data
    except OSError:
        return False


# ------------------------------------------------------------------------------ finding


def _found(name: str, paths: Paths, limits: Limits) -> bytes:
    shown = _shown(name)
    if any(part.startswith(".") for part in PurePosixPath(name.replace("\\", "/")).parts):
        raise InputNotFound(f"{shown} is not the name of a picture in dropIn or dropOut")
    for folder in (paths.drop_in, paths.drop_out):
        try:
            data = _read(_resolved(folder, name), limits.bytes + 1)
        except PathOutside as error:
            raise InputNotFound(
                f"{shown} is not inside dropIn or dropOut", remedy=error.remedy
            ) from error
        except OSError:
            continue  # the other folder may have it
        if len(data) > limits.bytes:
            raise _too_large(name, limits)
        return data
    raise InputNotFound(f"There is no picture {shown} in dropIn or dropOut")


def _resolved(folder: Path, name: str) -> Path:
    """The file itself: a link that stays inside is as good as one. Raises PathOutside, OSError."""
    path = inside(folder, name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise PathOutside  # the link was changed since `inside` looked
    return path


def _read(path: Path, most: int) -> bytes:
    """The beginning of a plain file. Raises OSError for a link, a folder or a device: some of them never end."""
    descriptor = os.open(path, READ_FLAGS)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(None, "not a plain file", str(path))
        parts, left = [], most
        while left > 0 and (part := os.read(descriptor, left)):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)
    finally:
        os.close(descriptor)


# ------------------------------------------------------------------------------ judging


def _judged(data: bytes, name: str, limits: Limits) -> Kind:
    """The kind of a picture that may be decoded: its size is known from its header alone. Raises InputInvalid."""
    if len(data) > limits.bytes:
        raise _too_large(name, limits)
    kind = _kind(data)
    if kind is None:
        raise InputInvalid(f"{_shown(name)} is {_what(data)}, no picture", remedy=SAVE_AS)
    try:
        width, height = _size(data, kind)
        if kind not in {GIF, BMP}:
            require_end(data, kind)
    except (ImageInvalid, *DAMAGE) as error:
        raise _damaged(name, kind) from error
    if width * height > limits.pixels:
        raise InputInvalid(
            f"{_shown(name)} has {width}×{height} pixels, more than {limits.pixels / MEGA:g} million",
            remedy="Make it smaller, or raise ORCHESTRATOR_MAX_INPUT_MEGAPIXELS: models work at 1 to 4 megapixels.",
        )
    if not (width and height) or (kind is JPEG and data.count(b"\xff\xda") > MAX_SCANS):
        raise _damaged(name, kind)
    return kind


def _kind(data: bytes) -> Kind | None:
    if data[:6] in {b"GIF87a", b"GIF89a"}:
        return GIF
    if data[:2] == b"BM" and len(data) > 26 and data[6:10] == b"\0\0\0\0":
        return BMP
    kind = kind_of(data)
    return kind if kind in {PNG, JPEG, WEBP} else None


def _size(data: bytes, kind: Kind) -> tuple[int, int]:
    if kind is PNG:
        return png_file.size(data)
    if kind is JPEG:
        return jpeg_file.size(data)
    if kind is WEBP:
        return webp_file.size(data)
    if kind is GIF:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if data[14:18] == b"\x0c\0\0\0":  # OS/2's header
        return int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
    width, height = struct.unpack_from("<ii", data, 18)
    return abs(width), abs(height)  # negative: from the top


def _what(data: bytes) -> str:
    if not data:
        return "empty"
    start = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if data[4:8] == b"ftyp":
        return FTYP.get(data[8:12], "a film")
    for beginning, what in STRANGERS:
        if start.startswith(beginning.lower()) or data.startswith(beginning):
            return what
    return "something else"


# ------------------------------------------------------------------------------ cleaning


@lru_cache(maxsize=2)  # a batch is made from one picture and perhaps a mask
def _cleaned(data: bytes, name: str, limits: Limits) -> InputImage:
    kind = _judged(data, name, limits)
    image, notes = _decoded(data, kind, name, limits)
    digest = hashlib.sha256(f"{image.mode} {image.width} {image.height}".encode())
    digest.update(image.tobytes())
    out = io.BytesIO()
    image.save(out, "PNG", compress_level=EFFORT)
    return InputImage(
        name=f"input_{digest.hexdigest()[:32]}.png",
        data=out.getvalue(),
        width=image.width,
        height=image.height,
        note="; ".join(notes) or None,
    )


def _decoded(data: bytes, kind: Kind, name: str, limits: Limits) -> tuple[Image.Image, list[str]]:
    """The pixels, upright, in sRGB, RGB or RGBA, and nothing else. Raises InputInvalid."""
    notes: list[str] = []
    try:
        bare = _bare_png(data) if kind is PNG else data
        with Image.open(io.BytesIO(bare), formats=[kind.format]) as image:
            if getattr(image, "n_frames", 1) > 1:
                notes.append("Of the animated picture the first frame is taken")
            # a GIF's frame may be larger than its screen
            if image.width * image.height > limits.pixels:
                raise _damaged(name, kind)
            image.load()
            profile = image.info.get("icc_profile")
            upright = ImageOps.exif_transpose(image)
            plain = _plain(upright, profile, notes)
    except (ImageInvalid, *DAMAGE) as error:
        raise _damaged(name, kind) from error
    plain.info.clear()
    return plain, notes


def _bare_png(data: bytes) -> bytes:
    """A PNG without its texts: they may unpack to more than the picture, and nobody needs them."""
    kept = [
        data[start:end]
        for start, end, chunk in png_file.chunks(data)
        if chunk not in png_file.TEXTS
        and not (chunk == b"iCCP" and _bomb(data[start + 8 : end - 4]))
    ]
    return PNG_MAGIC + b"".join(kept)


def _bomb(profile: bytes) -> bool:
    """Whether a colour profile unpacks to more than a colour profile is, or not at all."""
    unpacker = zlib.decompressobj()
    try:
        unpacker.decompress(profile.partition(b"\0")[2][1:], MAX_PROFILE)
    except zlib.error:
        return True
    return not unpacker.eof


def _plain(image: Image.Image, profile: object, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        image = _eight_bits(image)
    alpha = None
    if "A" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    elif image.mode in {"1", "P", "LAB", "HSV"}:
        image = image.convert("RGB")
    if isinstance(profile, bytes) and profile:
        image = _in_srgb(image.convert("RGB") if alpha is not None else image, profile, notes)
    plain = image.convert("RGB")
    if alpha is not None and alpha.getextrema() != (255, 255):
        plain.putalpha(alpha)
    return plain


def _eight_bits(image: Image.Image) -> Image.Image:
    """Sixteen bits of grey as eight: Pillow's own conversion cuts instead of scaling."""
    import numpy as np  # 9 MB that no page's kernel needs for anything else

    values = np.asarray(image)
    deep = values.dtype.itemsize > 1 and values.max(initial=0) > 255
    return Image.fromarray(
        (values.astype(np.int64) >> (8 if deep else 0)).clip(0, 255).astype(np.uint8)
    )


def _in_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if "srgb" in ImageCms.getProfileDescription(source).lower():
            return image  # not a bit is changed
        made = ImageCms.profileToProfile(
            image, source, ImageCms.createProfile("sRGB"), outputMode="RGB"
        )
    except (ImageCms.PyCMSError, *DAMAGE):
        notes.append("Its colour profile could not be used")
        return image
    return made if made is not None else image


# ------------------------------------------------------------------------------ words


def _shown(name: str) -> str:
    return repr(one_line(name)[:SHOWN])


def _damaged(name: str, kind: Kind) -> InputInvalid:
    return InputInvalid(
        f"{_shown(name)} is a damaged {kind.format} picture",
        remedy="Open it in a program for pictures and save it anew, or take another copy of it.",
    )


def _too_large(name: str, limits: Limits) -> InputInvalid:
    return InputInvalid(
        f"{_shown(name)} is larger than {limits.bytes / MEGA:g} MB",
        remedy="Make it smaller, or raise ORCHESTRATOR_MAX_INPUT_MB.",
    )
