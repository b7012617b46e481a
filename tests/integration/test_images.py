"""Pictures published into a folder: whole, with their recipe, never one over another."""

from __future__ import annotations

import errno
import io
import json
import os
import random
import struct
import threading
import zlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from orchestrator.errors import DiskFull, ImageInvalid
from orchestrator.files import Disk
from orchestrator.images import (
    Published,
    publish,
    read_recipe,
    safe_stem,
    sidecar,
)
from orchestrator.paths import inside
from orchestrator.recipes import Recipe

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WORKFLOW = {"1": {"class_type": "KSampler", "inputs": {"seed": 2**64 - 1, "model": ["4", 0]}}}


def recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "job_id": "d888cd70-fda8-4a29-98b1-a316c3e8307b",
        "attempt": 1,
        "index": 0,
        "backend": "sd15",
        "prompt": "орёл над горами, «Ü» 🦅\nsecond line",
        "params": {"steps": 20, "cfg": 7.0},
        "seed": 2**64 - 1,
        "service": "comfyui",
        "host": "http://127.0.0.1:8188",
        "workflow": None,
        "created_at": NOW,
        "software": "orchestrator-lab 0.1.0",
    }
    return Recipe(**(values | changes))


def picture(seed: int = 1, size: tuple[int, int] = (48, 32), mode: str = "RGB") -> Image.Image:
    """Noise: no two seeds look alike, and losing any part of the file shows."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    shape = (size[1], size[0], bands) if bands > 1 else (size[1], size[0])
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def png(seed: int = 1, **options: Any) -> bytes:
    return encoded(picture(seed), "PNG", **options)


def jpeg(seed: int = 1, **options: Any) -> bytes:
    return encoded(picture(seed), "JPEG", **options)


def webp(seed: int = 1) -> bytes:
    return encoded(picture(seed), "WEBP", lossless=True)


MAKERS = {"PNG": png, "JPEG": jpeg, "WEBP": webp}
ENDINGS = {
    "PNG": (".png", "image/png"),
    "JPEG": (".jpg", "image/jpeg"),
    "WEBP": (".webp", "image/webp"),
}


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def put(
    data: bytes, folder: Path, stem: str = "eagle", disk: Disk | None = None, **changes: Any
) -> Published:
    return publish(data, folder=folder, stem=stem, recipe=recipe(**changes), disk=disk or Disk())


# ------------------------------------------------------------------------------ what is published


@pytest.mark.parametrize("format", list(MAKERS))
def test_a_picture_gets_the_ending_of_its_content_and_a_sidecar(
    format: str, tmp_path: Path
) -> None:
    published = put(MAKERS[format](), tmp_path)
    ending, mime = ENDINGS[format]
    assert names(tmp_path) == [f"eagle{ending}", f"eagle{ending}.json"]
    assert published.path == tmp_path / f"eagle{ending}"
    assert (published.width, published.height, published.mime) == (48, 32, mime)
    beside = json.loads(sidecar(published.path).read_text())
    assert beside["file"] == f"eagle{ending}"
    assert beside["bytes"] == published.size == published.path.stat().st_size
    assert (beside["width"], beside["height"], beside["mime"]) == (48, 32, mime)
    assert beside["sha256"] == published.sha256
    assert beside["jobId"] == recipe().job_id
    assert beside["seed"] == 2**64 - 1


@pytest.mark.parametrize("format", list(MAKERS))
@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
def test_the_pixels_stay_as_they_were(format: str, mode: str, tmp_path: Path) -> None:
    if (format, mode) == ("JPEG", "RGBA"):
        pytest.skip("JPEG has no alpha")
    data = encoded(picture(mode=mode), format)
    published = put(data, tmp_path, workflow=WORKFLOW)
    with Image.open(io.BytesIO(data)) as before, Image.open(published.path) as after:
        assert (before.mode, before.size) == (after.mode, after.size)
        assert before.tobytes() == after.tobytes()


def test_only_one_piece_is_added_to_the_file(tmp_path: Path) -> None:
    # what is compressed is not compressed again: the rest of the file is the service's, byte by byte
    for data, head in ((png(), 33), (jpeg(), 20)):
        content = put(data, tmp_path).path.read_bytes()
        assert content.startswith(data[:head])
        assert content.endswith(data[head:])


@pytest.mark.parametrize("format", list(MAKERS))
@pytest.mark.parametrize("workflow", [None, WORKFLOW])
def test_the_recipe_is_read_back_from_the_picture_alone(
    format: str, workflow: dict[str, Any] | None, tmp_path: Path
) -> None:
    published = put(MAKERS[format](), tmp_path, workflow=workflow)
    sidecar(published.path).unlink()
    assert read_recipe(published.path) == recipe(workflow=workflow)


@pytest.mark.parametrize("format", list(MAKERS))
def test_the_recipe_is_read_back_with_the_sidecar(format: str, tmp_path: Path) -> None:
    published = put(MAKERS[format](), tmp_path, workflow=WORKFLOW)
    assert read_recipe(published.path) == recipe(workflow=WORKFLOW)


def test_comfyui_finds_its_workflow_in_a_picture_that_came_without(tmp_path: Path) -> None:
    published = put(png(), tmp_path, workflow=WORKFLOW)
    with Image.open(published.path) as image:
        assert isinstance(image, PngImagePlugin.PngImageFile)
        assert json.loads(image.text["prompt"]) == WORKFLOW
        assert json.loads(image.text["orchestrator"])["prompt"] == recipe().prompt


def test_the_workflow_that_comfyui_embedded_stays_the_only_one(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("prompt", json.dumps(WORKFLOW))
    info.add_text("workflow", "{}")
    published = put(png(pnginfo=info), tmp_path, workflow=WORKFLOW)
    content = published.path.read_bytes()
    assert content.count(b"tEXtprompt\0") == 1
    assert content.count(b"tEXtworkflow\0") == 1
    assert read_recipe(published.path) == recipe(workflow=WORKFLOW)


def test_a_picture_made_from_a_published_one_has_its_own_recipe_only(tmp_path: Path) -> None:
    first = put(png(), tmp_path, job_id="first")
    second = put(first.path.read_bytes(), tmp_path, stem="second", job_id="second")
    sidecar(second.path).unlink()
    assert second.path.read_bytes().count(b"tEXtorchestrator\0") == 1
    found = read_recipe(second.path)
    assert found is not None
    assert found.job_id == "second"


def test_the_exif_of_a_service_is_kept(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "Black Forest Labs", 6
    exif.get_ifd(0x8769)[0x9003] = "2026:11:22 12:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    published = put(jpeg(exif=exif), tmp_path)
    with Image.open(published.path) as image:
        found = image.getexif()
        assert (found[0x010F], found[0x0112]) == ("Black Forest Labs", 6)
        assert found.get_ifd(0x8769)[0x9003] == "2026:11:22 12:00:00"
        assert found.get_ifd(0x8825)[1] == "N"
    sidecar(published.path).unlink()
    assert read_recipe(published.path) == recipe()
    assert published.path.read_bytes().count(b"Exif\0\0") == 1


@pytest.mark.parametrize("format", ["JPEG", "WEBP"])
def test_the_comment_of_somebody_else_is_kept_beside_the_recipe(
    format: str, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0made by hand"
    published = put(encoded(picture(), format, exif=exif), tmp_path)
    sidecar(published.path).unlink()
    with Image.open(published.path) as image:
        assert image.getexif().get_ifd(0x8769)[0x9286] == b"ASCII\0\0\0made by hand"
    assert read_recipe(published.path) == recipe()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's, and right
def test_exif_that_makes_no_sense_does_not_cost_the_picture(tmp_path: Path) -> None:
    plain = jpeg()
    junk = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\xff" + b"\xff" * 40
    data = plain[:20] + b"\xff\xe1" + struct.pack(">H", len(junk) + 2) + junk + plain[20:]
    published = put(data, tmp_path)
    assert (published.width, published.height) == (48, 32)
    assert read_recipe(published.path) == recipe()


@pytest.mark.parametrize(
    ("nodes", "embedded"),
    [
        (100, True),
        (3_000, False),  # above the 64 kB of a JPEG segment: the workflow goes, the recipe stays
    ],
)
def test_a_jpeg_leaves_out_the_workflow_first(nodes: int, embedded: bool, tmp_path: Path) -> None:
    workflow = {str(n): {"class_type": "Node", "inputs": {}} for n in range(nodes)}
    published = put(jpeg(), tmp_path, workflow=workflow)
    assert read_recipe(published.path) == recipe(workflow=workflow)  # the sidecar has it all
    sidecar(published.path).unlink()
    assert read_recipe(published.path) == recipe(workflow=workflow if embedded else None)


def test_a_recipe_too_large_for_a_jpeg_is_in_the_sidecar(tmp_path: Path) -> None:
    params = {"text": "ю" * 60_000}
    published = put(jpeg(), tmp_path, params=params)
    assert read_recipe(published.path) == recipe(params=params)
    sidecar(published.path).unlink()
    assert read_recipe(published.path) is None


def test_the_comment_has_the_type_that_the_standard_asks_for(tmp_path: Path) -> None:
    content = put(jpeg(), tmp_path).path.read_bytes()
    at = content.index(struct.pack(">HH", 0x9286, 7))
    length = struct.unpack(">I", content[at + 4 : at + 8])[0]
    assert length > 100


def test_every_checksum_of_a_published_png_is_right(tmp_path: Path) -> None:
    content = put(png(), tmp_path, workflow=WORKFLOW).path.read_bytes()
    at, seen = 8, []
    while at < len(content):
        length = struct.unpack(">I", content[at : at + 4])[0]
        seen.append(content[at + 4 : at + 8])
        crc = struct.unpack(">I", content[at + 8 + length : at + 12 + length])[0]
        assert crc == zlib.crc32(content[at + 4 : at + 8 + length])
        at += 12 + length
    assert seen[:3] == [b"IHDR", b"tEXt", b"tEXt"]
    assert seen[-1] == b"IEND"


def test_a_password_in_the_address_does_not_travel_with_the_picture(tmp_path: Path) -> None:
    published = put(png(), tmp_path, host="http://me:s3cret@gpu.lan:8188/comfy")
    found = read_recipe(published.path)
    assert found is not None
    assert found.host == "http://gpu.lan:8188/comfy"
    for name in names(tmp_path):
        assert b"s3cret" not in (tmp_path / name).read_bytes()


@pytest.mark.parametrize(
    "content",
    [b"", b"text", png(), jpeg(), webp(), png()[:50], b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"],
    ids=["empty", "text", "png", "jpeg", "webp", "half", "marker", "riff"],
)
def test_a_strangers_file_has_no_recipe(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(content)
    assert read_recipe(path) is None
    sidecar(path).write_text("[]")
    assert read_recipe(path) is None
    sidecar(path).write_text("{")
    assert read_recipe(path) is None


def test_a_sidecar_of_another_picture_is_not_believed(tmp_path: Path) -> None:
    published = put(png(1), tmp_path)
    other = put(png(2), tmp_path, stem="other", job_id="other")
    sidecar(published.path).write_bytes(sidecar(other.path).read_bytes())
    assert read_recipe(published.path) == recipe()


# ------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>502 Bad Gateway</html>",
        b"GIF89a" + bytes(50),
        b"\0" * 4096,
        b"\x89PNG\r\n\x1a\n",
    ],
    ids=["empty", "html", "gif", "zeros", "only a signature"],
)
def test_what_is_no_picture_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageInvalid) as caught:
        put(data, tmp_path)
    assert caught.value.message.isprintable()
    assert names(tmp_path) == []


@pytest.mark.parametrize("format", list(MAKERS))
def test_a_truncated_picture_is_refused_wherever_it_was_cut(format: str, tmp_path: Path) -> None:
    data = MAKERS[format]()
    cuts = {*range(1, 60), *range(60, len(data), 97), *range(len(data) - 20, len(data))}
    for length in sorted(cuts):
        with pytest.raises(ImageInvalid):
            put(data[:length], tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize("cut", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_is_refused(cut: int, tmp_path: Path) -> None:
    # at this size the decoder has every pixel before it misses the end
    data = encoded(picture(2, size=(512, 512)), "JPEG", quality=95)
    with pytest.raises(ImageInvalid):
        put(data[:-cut], tmp_path)


def test_a_truncated_progressive_jpeg_is_refused(tmp_path: Path) -> None:
    data = jpeg(progressive=True)
    for length in (len(data) // 2, len(data) - 2, len(data) - 1):
        with pytest.raises(ImageInvalid):
            put(data[:length], tmp_path)


@given(format=st.sampled_from(list(MAKERS)), seed=st.integers(0, 2**32))
def test_damage_is_refused_as_damage_or_not_noticed(
    format: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("damage")
    rng = random.Random(seed)
    data = bytearray(MAKERS[format]())
    for _ in range(rng.randint(1, 6)):
        data[rng.randrange(len(data))] = rng.randrange(256)
    try:
        put(bytes(data), folder)
    except ImageInvalid:
        assert names(folder) == []


def chunk(name: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + name
        + content
        + struct.pack(">I", zlib.crc32(name + content))
    )


@pytest.mark.parametrize(
    "side",
    [
        9_000,  # 81 MP: Pillow would not even warn
        12_000,  # 144 MP: Pillow warns
        60_000,  # 3.6 GP in a file of 10 kB
    ],
)
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side: int, tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    body = zlib.compress(bytes(1_000_000), 9)
    bomb = (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )
    with pytest.raises(ImageInvalid, match="pixels"):
        put(bomb, tmp_path)


def test_the_smallest_picture_is_a_picture(tmp_path: Path) -> None:
    assert put(encoded(picture(size=(1, 1)), "PNG"), tmp_path).width == 1


# ------------------------------------------------------------------------------ names


@pytest.mark.parametrize(
    ("stem", "safe"),
    [
        ("flux_d888cd70", "flux_d888cd70"),
        ("../../etc/passwd", "etc-passwd"),
        ("..\\..\\boot", "boot"),
        ("C:\\Windows\\x", "C-Windows-x"),
        ("/abs/olute", "abs-olute"),
        (".hidden", "hidden"),
        ("...", "image"),
        ("", "image"),
        ("a\0b\nc", "a-b-c"),
        ("орёл", "image"),
        ("con", "_con"),
        ("LPT1.txt", "_LPT1.txt"),
        ("nul ", "_nul"),
        ("console", "console"),
        ("x.", "x"),
        ("<img src=x>", "img-src-x"),
        ("$(reboot);`id`", "reboot-id"),
        ("a" * 300, "a" * 100),
        ("-rf", "rf"),
    ],
)
def test_a_hostile_stem_becomes_a_plain_file_name(stem: str, safe: str, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    published = put(png(), folder, stem=stem)
    assert published.path == folder / f"{safe}.png"
    assert names(folder) == [f"{safe}.png", f"{safe}.png.json"]
    assert names(tmp_path) == ["out"]


@given(stem=st.text(max_size=150))
def test_a_safe_stem_is_safe_and_stays_as_it_is(stem: str) -> None:
    safe = safe_stem(stem)
    assert 1 <= len(safe) <= 100
    assert inside(Path("/out"), f"{safe}.png") == Path("/out") / f"{safe}.png"
    assert safe_stem(safe) == safe


def test_another_picture_of_the_same_name_gets_a_number(tmp_path: Path) -> None:
    paths = [put(png(n), tmp_path, index=n).path.name for n in range(3)]
    assert paths == ["eagle.png", "eagle-2.png", "eagle-3.png"]
    with Image.open(tmp_path / "eagle.png") as first:
        assert first.tobytes() == picture(0).tobytes()


@pytest.mark.parametrize("format", list(MAKERS))
def test_the_same_picture_is_not_published_twice(format: str, tmp_path: Path) -> None:
    data = MAKERS[format]()
    first = put(data, tmp_path)
    # after a crash the recipe is made anew, with a later time
    again = put(data, tmp_path, created_at=NOW + timedelta(hours=1))
    assert again == first
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("format", list(MAKERS))
def test_a_crash_before_the_sidecar_is_made_good(format: str, tmp_path: Path) -> None:
    data = MAKERS[format]()
    first = put(data, tmp_path)
    told = sidecar(first.path).read_bytes()
    sidecar(first.path).unlink()
    assert put(data, tmp_path) == first
    assert sidecar(first.path).read_bytes() == told


@pytest.mark.parametrize("format", list(MAKERS))
@pytest.mark.parametrize("change", [{"job_id": "other"}, {"attempt": 2}, {"index": 1}])
def test_equal_bytes_of_another_attempt_are_another_picture(
    format: str, change: dict[str, Any], tmp_path: Path
) -> None:
    # ComfyUI answers an equal graph from its cache: each job still has a file of its own
    first, second = put(MAKERS[format](), tmp_path), put(MAKERS[format](), tmp_path, **change)
    assert second.path.stem == "eagle-2"
    assert read_recipe(first.path) == recipe()
    assert read_recipe(second.path) == recipe(**change)


def test_a_link_to_elsewhere_is_neither_followed_nor_replaced(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = put(png(), elsewhere).path
    folder.mkdir()
    (folder / "eagle.png").symlink_to(target)
    assert put(png(), folder).path.name == "eagle-2.png"
    assert (folder / "eagle.png").is_symlink()


def test_the_sidecar_of_a_picture_that_was_deleted_is_replaced(tmp_path: Path) -> None:
    put(png(1), tmp_path, job_id="old").path.unlink()
    published = put(png(2), tmp_path, job_id="new")
    assert json.loads(sidecar(published.path).read_text())["jobId"] == "new"


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_eight_threads_with_one_stem_lose_no_picture(
    links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    pictures = [png(n) for n in range(8)]
    start = threading.Barrier(8)

    def work(n: int) -> list[Published]:
        start.wait()
        return [put(pictures[n], tmp_path, attempt=n + 1, index=k) for k in range(4)]

    with ThreadPoolExecutor(8) as pool:
        published = [each for some in pool.map(work, range(8)) for each in some]
    assert len({each.path for each in published}) == 32
    assert names(tmp_path) == sorted(
        name for each in published for name in (each.path.name, sidecar(each.path).name)
    )
    for number, each in enumerate(published):
        found = read_recipe(each.path)
        assert found is not None
        assert found.place == (recipe().job_id, number // 4 + 1, number % 4)
        with Image.open(each.path) as image:
            assert image.tobytes() == picture(number // 4).tobytes()


def test_eight_threads_with_one_picture_publish_it_once(tmp_path: Path) -> None:
    data, start = png(), threading.Barrier(8)

    def work(_: int) -> Published:
        start.wait()
        return put(data, tmp_path)

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(work, range(8)))) == 1
    assert names(tmp_path) == ["eagle.png", "eagle.png.json"]


# ------------------------------------------------------------------------------ the disk


def refuse_links(source: object, target: object) -> None:
    raise PermissionError(errno.EPERM, "this file system has no hard links")


class FailingDisk(Disk):
    """Fails at the `nth` call of one method, from 1; a write leaves half its bytes, as a full disk does."""

    def __init__(self, method: str, code: int, nth: int = 1) -> None:
        self.method, self.code, self.left = method, code, nth

    def _hit(self, method: str) -> bool:
        self.left -= method == self.method
        return method == self.method and self.left == 0

    def _fail(self) -> OSError:
        return OSError(self.code, os.strerror(self.code))

    def write(self, path: Path | str, data: bytes) -> None:
        if self._hit("write"):
            Path(path).write_bytes(data[: len(data) // 2])
            raise self._fail()
        super().write(path, data)

    def replace(self, source: Path | str, target: Path | str) -> None:
        if self._hit("replace"):
            raise self._fail()
        super().replace(source, target)

    def sync_folder(self, path: Path | str) -> None:
        if self._hit("sync_folder"):
            raise self._fail()
        super().sync_folder(path)


@pytest.mark.parametrize(
    ("code", "error"), [(errno.ENOSPC, DiskFull), (errno.EDQUOT, DiskFull), (errno.EIO, OSError)]
)
@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_a_disk_that_fails_leaves_nothing_behind(
    code: int,
    error: type[Exception],
    links: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", refuse_links)
    with pytest.raises(error):
        put(png(), tmp_path, disk=FailingDisk("write", code))
    assert names(tmp_path) == []
    assert put(png(), tmp_path).path.name == "eagle.png"  # and the name is free again


def test_without_links_a_failed_naming_gives_the_name_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", refuse_links)
    with pytest.raises(OSError, match="Input/output error"):
        put(png(), tmp_path, disk=FailingDisk("replace", errno.EIO))
    assert names(tmp_path) == []


def test_a_link_that_fails_for_another_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(DiskFull):
        put(png(), tmp_path)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("method", "nth"), [("write", 2), ("replace", 1), ("sync_folder", 1)])
def test_a_picture_that_has_its_name_outlives_a_failed_sidecar(
    method: str, nth: int, tmp_path: Path
) -> None:
    # it may have been paid for; the next try finds it and writes the sidecar
    with pytest.raises(DiskFull if method != "sync_folder" else OSError):
        put(png(), tmp_path, disk=FailingDisk(method, errno.ENOSPC, nth))
    assert [name for name in names(tmp_path) if not name.endswith(".json")] == ["eagle.png"]
    assert read_recipe(tmp_path / "eagle.png") == recipe()
    assert put(png(), tmp_path).path.name == "eagle.png"
    assert names(tmp_path) == ["eagle.png", "eagle.png.json"]


def test_the_name_is_safe_on_the_disk_before_publish_returns(tmp_path: Path) -> None:
    class Recording(Disk):
        def __init__(self) -> None:
            self.calls: list[tuple[str, list[str]]] = []

        def write(self, path: Path | str, data: bytes) -> None:
            super().write(path, data)
            self.calls.append(("write", names(tmp_path)))

        def sync_folder(self, path: Path | str) -> None:
            super().sync_folder(path)
            self.calls.append(("sync", names(tmp_path)))

    for _ in range(2):  # also when the picture is there already: whoever put it there may have died
        disk = Recording()
        put(png(), tmp_path, disk=disk)
        assert disk.calls[0][0] == "write"
        last, present = disk.calls[-1]
        assert last == "sync"
        assert present == ["eagle.png", "eagle.png.json"]
