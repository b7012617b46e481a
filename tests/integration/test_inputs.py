"""Pictures to begin with: found where they may be, refused when they cannot be used, sent with nothing but pixels."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import struct
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from orchestrator.errors import DiskFull, InputInvalid, InputNotFound, RequestInvalid
from orchestrator.files import Disk
from orchestrator.inputs import InputImage, Limits, load, save_upload
from orchestrator.paths import Paths
from orchestrator.settings import Settings

LIMITS = Limits()


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.init(tmp_path / "lab")
    paths.create()
    return paths


def noise(mode: str = "RGB", size: tuple[int, int] = (48, 32), seed: int = 1) -> Image.Image:
    shape = (size[1], size[0], len(mode)) if len(mode) > 1 else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def chunk(name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def loaded(paths: Paths, data: bytes, name: str = "x.png", limits: Limits = LIMITS) -> InputImage:
    (paths.drop_in / name).write_bytes(data)
    return load(name, paths=paths, limits=limits)


def shown(image: InputImage) -> Image.Image:
    with Image.open(io.BytesIO(image.data)) as opened:
        opened.load()
        assert opened.format == "PNG"
        assert opened.size == (image.width, image.height)
        return opened


# ------------------------------------------------------------------------------ what is sent


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("format", ["PNG", "WEBP"])
def test_the_pixels_are_sent_as_they_are(format: str, mode: str, paths: Paths) -> None:
    image = noise(mode)
    made = loaded(
        paths,
        encoded(image, format, **({"lossless": True, "exact": True} if format == "WEBP" else {})),
    )
    assert shown(made).mode == mode
    assert shown(made).tobytes() == image.tobytes()
    assert (made.width, made.height, made.mime, made.note) == (48, 32, "image/png", None)


def test_one_picture_has_one_name_wherever_it_comes_from(paths: Paths) -> None:
    image = noise()
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "me")
    made = [
        loaded(paths, encoded(image), "a.png"),
        loaded(paths, encoded(image, pnginfo=info, compress_level=0), "b.png"),
        loaded(paths, encoded(image, "BMP"), "c.bmp"),
        loaded(paths, encoded(image, "WEBP", lossless=True), "d"),
    ]
    assert len({each.name for each in made}) == 1
    assert len({each.data for each in made}) == 1
    assert loaded(paths, encoded(noise(seed=2))).name != made[0].name
    assert made[0].name.isascii()
    assert made[0].name.endswith(".png")


def test_a_photo_is_sent_upright_and_says_nothing_of_its_place(paths: Paths) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Phone"
    gps = exif.get_ifd(0x8825)
    gps[1], gps[2] = "N", (55.0, 45.0, 0.0)
    photo = encoded(noise(), "JPEG", exif=exif, comment=b"secret", quality=95)
    made = loaded(paths, photo, "photo.jpg")
    image = shown(made)
    assert (made.width, made.height) == (32, 48)
    assert not image.getexif()
    assert set(image.info) <= {"srgb"}
    names = [made.data[at : at + 4] for at in _chunks(made.data)]
    assert set(names) == {b"IHDR", b"IDAT", b"IEND"}
    with Image.open(io.BytesIO(photo)) as before:
        assert image.tobytes() == before.transpose(Image.Transpose.ROTATE_270).tobytes()


def _chunks(data: bytes) -> list[int]:
    found, at = [], 8
    while at < len(data):
        found.append(at + 4)
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return found


def test_the_alpha_of_a_mask_is_kept_and_one_that_hides_nothing_is_not(paths: Paths) -> None:
    image = noise("RGBA")
    assert (
        shown(loaded(paths, encoded(image))).getchannel("A").tobytes()
        == image.getchannel("A").tobytes()
    )
    image.putalpha(255)
    assert shown(loaded(paths, encoded(image))).mode == "RGB"


@pytest.mark.parametrize("name", ["L", "LA", "1", "P", "I;16", "CMYK"])
def test_every_way_of_storing_colours_becomes_plain(name: str, paths: Paths) -> None:
    if name == "I;16":
        grey = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)
        data, expected = encoded(Image.fromarray(grey)), (grey >> 8).astype(np.uint8)
        made = shown(loaded(paths, data))
        assert (np.asarray(made)[..., 0] == expected).all()
    else:
        image = noise().convert(name)
        made = shown(loaded(paths, encoded(image, "JPEG" if name == "CMYK" else "PNG")))
        if name != "CMYK":
            assert made.tobytes() == image.convert(made.mode).tobytes()
    assert made.mode in {"RGB", "RGBA"}


def test_transparency_of_a_palette_is_kept(paths: Paths) -> None:
    image = noise().quantize(4)
    made = shown(loaded(paths, encoded(image, transparency=0)))
    assert made.mode == "RGBA"
    assert made.getchannel("A").getextrema() == (0, 255)


def test_colours_are_brought_into_srgb(paths: Paths) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    image = noise()
    assert shown(loaded(paths, encoded(image, icc_profile=srgb))).tobytes() == image.tobytes()
    made = loaded(paths, encoded(image, icc_profile=b"no profile" * 20))
    assert shown(made).tobytes() == image.tobytes()
    assert made.note == "Its colour profile could not be used"
    wide = _profile_with_other_reds(srgb)
    assert shown(loaded(paths, encoded(image, icc_profile=wide))).tobytes() != image.tobytes()
    assert loaded(paths, encoded(noise("L"), icc_profile=lab)).width == 48


def _profile_with_other_reds(srgb: bytes) -> bytes:
    """sRGB with red and green changed over, under another name."""
    made = bytearray(srgb.replace(b"sRGB", b"ours").replace(b"s\0R\0G\0B", b"o\0u\0r\0s"))
    count = int.from_bytes(made[128:132], "big")
    places = {}
    for n in range(count):
        at = 132 + n * 12
        places[bytes(made[at : at + 4])] = at
    red, green = places[b"rXYZ"], places[b"gXYZ"]
    made[red : red + 4], made[green : green + 4] = b"gXYZ", b"rXYZ"
    return bytes(made)


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG"])
def test_of_an_animation_the_first_frame_is_taken_and_that_is_told(
    format: str, paths: Paths
) -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "blue")]
    data = encoded(frames[0], format, save_all=True, append_images=frames[1:], duration=100)
    made = loaded(paths, data, "moving.gif")
    red, _, blue = np.asarray(shown(made))[0, 0][:3]
    assert red > 200 > 60 > blue
    assert made.note == "Of the animated picture the first frame is taken"


# ------------------------------------------------------------------------------ where it is found


def test_a_picture_of_drop_in_comes_before_one_of_drop_out(paths: Paths) -> None:
    (paths.drop_out / "x.png").write_bytes(encoded(noise(size=(10, 10))))
    assert load("x.png", paths=paths, limits=LIMITS).width == 10
    (paths.drop_in / "x.png").write_bytes(encoded(noise(size=(20, 20))))
    assert load("x.png", paths=paths, limits=LIMITS).width == 20
    (paths.drop_in / "sub").mkdir()
    (paths.drop_in / "sub" / "y.png").write_bytes(encoded(noise(size=(30, 30))))
    assert load("sub/y.png", paths=paths, limits=LIMITS).width == 30
    assert load("sub\\y.png", paths=paths, limits=LIMITS).width == 30


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "/",
        "../secret.png",
        "sub/../../secret.png",
        "..\\secret.png",
        "/etc/hostname",
        "C:\\secret.png",
        "c:secret.png",
        "\\\\server\\share\\x.png",
        "x.png\0.txt",
        "x\n.png",
        "con",
        "NUL.png",
        "link.png",
        "folder/secret.png",
        "folder",
        "pipe.png",
        ".trash/x.png",
        "x.png:stream",
        "a" * 300,
        "nothing.png",
    ],
)
def test_nothing_outside_is_ever_read(name: str, paths: Paths, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(encoded(noise()))
    (paths.drop_in.parent / "secret.png").write_bytes(encoded(noise()))
    (paths.drop_in / "link.png").symlink_to(secret)
    (paths.drop_in / "folder").symlink_to(tmp_path)
    (paths.drop_in / ".trash").mkdir()
    (paths.drop_in / ".trash" / "x.png").write_bytes(encoded(noise()))
    os.mkfifo(paths.drop_in / "pipe.png")
    with pytest.raises(InputNotFound) as caught:
        load(name, paths=paths, limits=LIMITS)
    assert caught.value.message.isprintable()
    assert str(tmp_path) not in caught.value.message
    assert caught.value.remedy
    assert isinstance(caught.value, RequestInvalid)


def test_a_link_that_stays_inside_is_followed(paths: Paths) -> None:
    (paths.drop_in / "real.png").write_bytes(encoded(noise()))
    (paths.drop_in / "link.png").symlink_to("real.png")
    assert load("link.png", paths=paths, limits=LIMITS).width == 48


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG drawing"),
        (b"\xef\xbb\xbf  <?xml version='1.0'?><svg/>", "an SVG drawing or another XML document"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"<HTML><img src=x>", "a web page"),
        (b"PK\3\4" + bytes(100), "a zip file or an office document"),
        (b"%PDF-1.7", "a PDF document"),
        (b"II*\0" + bytes(100), "a TIFF picture"),
        (b"\0\0\0\x18ftypheic" + bytes(100), "a HEIC photo"),
        (b"\0\0\0\x18ftypavif" + bytes(100), "an AVIF picture"),
        (b"\0\0\0\x18ftypisom" + bytes(100), "a film"),
        (b"\x1f\x8b" + bytes(100), "a gzip file"),
        (b"BM but only a text that is long enough", "something else"),
        (bytes(1000), "something else"),
    ],
)
def test_what_is_no_picture_is_called_by_its_name(data: bytes, what: str, paths: Paths) -> None:
    with pytest.raises(InputInvalid, match=f"is {what}, no picture") as caught:
        loaded(paths, data)
    assert "PNG" in caught.value.remedy


MAKERS: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded(noise()),
    "jpeg": lambda: encoded(noise(), "JPEG", quality=95),
    "webp": lambda: encoded(noise(), "WEBP"),
    "webp-lossless": lambda: encoded(noise(), "WEBP", lossless=True),
}


@pytest.mark.parametrize("name", list(MAKERS))
def test_a_truncated_picture_is_refused_wherever_it_was_cut(name: str, paths: Paths) -> None:
    data = MAKERS[name]()
    for length in (*range(1, 60, 7), len(data) // 2, len(data) - 20, len(data) - 3, len(data) - 1):
        with pytest.raises(InputInvalid):
            loaded(paths, data[:length])


def png_of(width: int, height: int, *extra: bytes, body: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [
        chunk(b"IHDR", header),
        *extra,
        chunk(b"IDAT", body or zlib.compress(bytes(1_000_000), 9)),
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


def webp_of(width: int, height: int) -> bytes:
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<II", 10, 2) + sizes
    return b"RIFF" + struct.pack("<I", len(body)) + body


def gif_of(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(20)


def jpeg_of(width: int, height: int) -> bytes:
    data = bytearray(encoded(noise(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp_of(width: int, height: int) -> bytes:
    data = bytearray(encoded(noise(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


@pytest.mark.parametrize("make", [png_of, webp_of, gif_of, jpeg_of, bmp_of])
@pytest.mark.parametrize("size", [(5_000, 4_001), (16_000, 16_000)])
def test_too_many_pixels_are_refused_before_one_is_unpacked(
    make: Callable[[int, int], bytes], size: tuple[int, int], paths: Paths
) -> None:
    began = time.perf_counter()
    with pytest.raises(InputInvalid, match="more than 20 million") as caught:
        loaded(paths, make(*size))
    assert time.perf_counter() - began < 0.5
    assert "ORCHESTRATOR_MAX_INPUT_MEGAPIXELS" in caught.value.remedy


def test_a_file_that_is_too_large_is_not_even_read(paths: Paths) -> None:
    with (paths.drop_in / "x.png").open("wb") as file:
        file.truncate(10_000_000_000)
    with pytest.raises(InputInvalid, match="larger than 20 MB") as caught:
        load("x.png", paths=paths, limits=LIMITS)
    assert "ORCHESTRATOR_MAX_INPUT_MB" in caught.value.remedy
    assert loaded(paths, encoded(noise()), "y.png", Limits(bytes=10_000)).width == 48
    with pytest.raises(InputInvalid, match=r"0\.001 MB"):
        loaded(paths, encoded(noise()), "y.png", Limits(bytes=1_000))


def test_bombs_beside_the_pixels_do_not_go_off(paths: Paths) -> None:
    bomb = zlib.compress(bytes(100_000_000), 9)
    data = encoded(noise())
    for extra in (
        chunk(b"zTXt", b"Comment\0\0" + bomb),
        chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb),
        chunk(b"iCCP", b"icc\0\0" + bomb),
    ):
        began = time.perf_counter()
        made = loaded(paths, data[:33] + extra + data[33:])
        assert shown(made).tobytes() == noise().tobytes()
        assert time.perf_counter() - began < 1


def test_a_jpeg_of_endless_scans_is_refused(paths: Paths) -> None:
    data = encoded(noise(), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    with pytest.raises(InputInvalid):
        loaded(paths, data[:-2] + data[scan:-2] * 1000 + b"\xff\xd9")


def test_damage_is_refused_as_damage_or_not_noticed(paths: Paths) -> None:
    rng = np.random.default_rng(3)
    others = (encoded(noise(), "GIF"), encoded(noise(), "BMP"))
    for data in (*(make() for make in MAKERS.values()), *others):
        for _ in range(60):
            broken = bytearray(data)
            for at in rng.integers(0, len(data), 4):
                broken[at] = rng.integers(0, 256)
            with contextlib.suppress(InputInvalid):
                assert shown(loaded(paths, bytes(broken))).size


# ------------------------------------------------------------------------------ uploads


def names(paths: Paths) -> list[str]:
    return sorted(each.name for each in paths.drop_in.iterdir())


def upload(paths: Paths, data: bytes, filename: str, disk: Disk | None = None) -> str:
    return save_upload(data, filename, paths=paths, limits=LIMITS, disk=disk or Disk())


def test_an_upload_is_stored_as_it_came_and_can_be_taken(paths: Paths) -> None:
    data = encoded(noise(), "JPEG")
    assert upload(paths, data, "My Photo.PNG") == "My-Photo.jpg"
    assert (paths.drop_in / "My-Photo.jpg").read_bytes() == data
    assert load("My-Photo.jpg", paths=paths, limits=LIMITS).width == 48


@pytest.mark.parametrize(
    ("filename", "name"),
    [
        ("../../etc/cron.d/x", "x.png"),
        ("..\\..\\x.exe", "x.png"),
        ("C:\\x.png", "x.png"),
        ("", "image.png"),
        ("...", "image.png"),
        ("con.png", "_con.png"),
        ("лиса.png", "image.png"),
        ("a\0b.png", "a-b.png"),
        (".htaccess", "htaccess.png"),
        ("x" * 400 + ".png", "x" * 100 + ".png"),
        ("page.html", "page.png"),
    ],
)
def test_an_upload_gets_a_safe_name(filename: str, name: str, paths: Paths) -> None:
    assert upload(paths, encoded(noise()), filename) == name
    assert names(paths) == [name]


def test_another_picture_never_loses_its_name_and_the_same_is_stored_once(paths: Paths) -> None:
    first, second = encoded(noise()), encoded(noise(seed=2))
    (paths.drop_in / "x-2.png").symlink_to("/etc/hostname")
    assert upload(paths, first, "x.png") == "x.png"
    assert upload(paths, second, "x.png") == "x-3.png"
    assert upload(paths, first, "x.png") == "x.png"
    assert (paths.drop_in / "x.png").read_bytes() == first
    assert names(paths) == ["x-2.png", "x-3.png", "x.png"]


def test_uploads_at_once_are_all_there(paths: Paths) -> None:
    data = [encoded(noise(seed=n)) for n in range(8)]
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda each: upload(paths, each, "x.png"), data))
    assert len(set(made)) == 8
    assert all(
        (paths.drop_in / name).read_bytes() == each for name, each in zip(made, data, strict=True)
    )


@pytest.mark.parametrize("data", [b"", b"<svg/>", encoded(noise())[:-30], png_of(9_000, 9_000)])
def test_an_upload_that_cannot_be_used_leaves_nothing(data: bytes, paths: Paths) -> None:
    with pytest.raises(InputInvalid):
        upload(paths, data, "x.png")
    assert names(paths) == []


def test_a_full_disk_is_told_and_leaves_nothing(paths: Paths) -> None:
    class Full(Disk):
        def write(self, path: Path | str, data: bytes) -> None:
            Path(path).write_bytes(data[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull):
        upload(paths, encoded(noise()), "x.png", Full())
    assert names(paths) == []


def test_the_limits_are_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORCHESTRATOR_MAX_INPUT_MB", "ORCHESTRATOR_MAX_INPUT_MEGAPIXELS"):
        monkeypatch.delenv(name, raising=False)
    assert Limits.of(Settings()) == Limits(bytes=20_000_000, pixels=20_000_000)
    monkeypatch.setenv("ORCHESTRATOR_MAX_INPUT_MB", "1.5")
    monkeypatch.setenv("ORCHESTRATOR_MAX_INPUT_MEGAPIXELS", "4")
    assert Limits.of(Settings()) == Limits(bytes=1_500_000, pixels=4_000_000)
