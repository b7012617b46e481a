"""Texts in EXIF as other programs read them (CIPA DC-008, 4.6.5). Bytes in, bytes out."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from PIL import Image

from orchestrator.recipes.kinds import DAMAGE

EXIF_IFD, USER_COMMENT = 0x8769, 0x9286
DESCRIPTION, MAKE, MODEL = 0x010E, 0x010F, 0x0110
UNICODE, ASCII = b"UNICODE\0", b"ASCII\0\0\0"  # how a UserComment begins, by its encoding
MAX_TEXT = 4_000_000  # bytes of a text that is read
HEAD = b"Exif\0\0"


class Exif:
    """The EXIF data of a file, read: its texts only. What cannot be read says nothing."""

    def __init__(self, payload: bytes | None) -> None:
        """`payload`: from the TIFF header on, or from `Exif` and two zeros on."""
        self.is_damaged = False
        self._exif = Image.Exif()
        try:
            if payload:
                self._exif.load(HEAD + payload.removeprefix(HEAD))
            self._comments = dict(self._exif.get_ifd(EXIF_IFD))
        except DAMAGE:
            self.is_damaged = True
            self._comments = {}

    @property
    def comment(self) -> str | None:
        """The UserComment."""
        said = self._comments.get(USER_COMMENT)
        if isinstance(said, str):
            return said[:MAX_TEXT]
        return _comment(said) if isinstance(said, bytes) and len(said) <= MAX_TEXT else None

    @property
    def has_comment(self) -> bool:
        """Whether there is a UserComment, readable or not."""
        return USER_COMMENT in self._comments

    def keyed(self) -> dict[str, str]:
        """The texts written as `key:text` into Make, Model and the like, as ComfyUI does in WebP files."""
        found: dict[str, str] = {}
        for tag in (MODEL, MAKE, DESCRIPTION, *range(MAKE - 2, MAKE - 8, -1)):
            said = self._exif.get(tag) if not self.is_damaged else None
            if isinstance(said, str) and len(said) <= MAX_TEXT:
                key, colon, text = said.partition(":")
                if colon and key.isalpha():
                    found.setdefault(key.lower(), text)
        return found

    def written(self, *, comment: str | None, keyed: Mapping[str, str]) -> bytes:
        """The data from the TIFF header on, with a UserComment and `key:text` entries more; the rest as it was.

        Big-endian, and so is the comment: AUTOMATIC1111 writes both with piexif and takes nothing else, Civitai swaps
        bytes without looking, and readers that go by the TIFF header find it right as well.
        Raises what Pillow does (DAMAGE) when the data that is there cannot be written again.
        """
        if self.is_damaged:
            raise ValueError("what is there cannot be read")
        self._exif.endian = ">"
        free = [tag for tag in (MODEL, MAKE, DESCRIPTION) if tag not in self._exif]
        for (key, text), tag in zip(keyed.items(), free, strict=False):
            self._exif[tag] = f"{key}:{text}"
        said = UNICODE + (comment or "").encode("utf-16-be", errors="replace")
        if comment is not None:
            self._exif.get_ifd(EXIF_IFD)[USER_COMMENT] = said
        payload = self._exif.tobytes().removeprefix(HEAD)
        if comment is None:
            return payload
        # Pillow types the comment BYTE; the standard wants UNDEFINED
        as_bytes = struct.pack(">HHI", USER_COMMENT, 1, len(said))
        return payload.replace(as_bytes, struct.pack(">HHI", USER_COMMENT, 7, len(said)), 1)


def _comment(said: bytes) -> str | None:
    if said.startswith(UNICODE):
        return _utf16(said[len(UNICODE) :])
    try:
        return said.removeprefix(ASCII).strip(b"\0").decode()
    except UnicodeDecodeError:
        return None


def _utf16(raw: bytes) -> str:
    """UTF-16 of either order: the byte order that makes more plain letters of it is the right one."""
    raw = raw[: len(raw) // 2 * 2]
    if raw[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return raw.decode("utf-16", errors="replace").rstrip("\0")
    big, little = (raw.decode(f"utf-16-{order}", errors="replace") for order in ("be", "le"))
    return max((big, little), key=lambda text: sum(c.isascii() for c in text)).rstrip("\0")
