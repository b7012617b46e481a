"""The gallery: what it shows of a folder that anybody may write to, and that nothing is lost in its hands."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
import sqlite3
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from orchestrator.errors import ImageInvalid, ImageNotFound, StoreError
from orchestrator.gallery import Gallery, GalleryImage
from orchestrator.images import publish, sidecar
from orchestrator.paths import Paths
from orchestrator.recipes import Recipe

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    paths = Paths.init(tmp_path / "lab")
    paths.create()
    return paths


@pytest.fixture
def gallery(paths: Paths) -> Iterator[Gallery]:
    gallery = Gallery(paths, now=lambda: NOW)
    yield gallery
    gallery.close()


def encoded(
    format: str = "PNG", *, size: tuple[int, int] = (48, 32), color: str = "teal", **options: Any
) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, format, **options)
    return out.getvalue()


def put(
    paths: Paths, job_id: str = "job-1", *, format: str = "PNG", color: str = "teal", **changes: Any
) -> str:
    """Publish a picture as a worker does; returns its name."""
    values: dict[str, Any] = {
        "job_id": job_id,
        "attempt": 1,
        "index": 0,
        "backend": "sd15",
        "prompt": "a red fox",
        "params": {"steps": 20, "negative_prompt": "blurry"},
        "seed": 2**64 - 1,
        "service": "comfyui",
        "host": "http://127.0.0.1:8188",
        "workflow": {"1": {"class_type": "KSampler"}},
        "created_at": NOW,
        "software": "tests",
    }
    recipe = Recipe(**(values | changes))
    stem = f"{recipe.backend}_{job_id}"
    data = encoded(format, color=color)
    return publish(data, folder=paths.drop_out, stem=stem, recipe=recipe).path.name


def files(gallery: Gallery, **filters: Any) -> list[str]:
    images, total = gallery.page(**filters)
    if not {"limit", "offset"} & filters.keys():
        assert total == len(images)
    return [image.file for image in images]


def rewrite(path: Path, data: bytes) -> None:
    """Change a file in place, which does not move the folder's time."""
    with path.open("r+b") as file:
        file.truncate()
        file.write(data)


# ------------------------------------------------------------------------------ what is shown


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_published_picture_knows_its_job(gallery: Gallery, paths: Paths, format: str) -> None:
    name = put(paths, format=format, prompt="орёл\nover <b>hills</b>")
    [image], total = gallery.page()
    assert total == 1
    assert image == GalleryImage(
        file=name,
        job_id="job-1",
        backend="sd15",
        prompt="орёл\nover <b>hills</b>",
        created_at=NOW,
        size=(paths.drop_out / name).stat().st_size,
        width=48,
        height=32,
        favourite=False,
        version=image.version,
        mime=f"image/{format.lower()}",
    )
    assert gallery.get(name) == image
    assert gallery.path(name).read_bytes()[:2] == encoded(format)[:2]


def test_the_newest_recipe_comes_first_whatever_order_the_files_were_written_in(
    gallery: Gallery, paths: Paths
) -> None:
    for number in (2, 5, 1, 4, 3):
        put(paths, f"job-{number}", created_at=NOW + timedelta(seconds=number))
    assert files(gallery) == [f"sd15_job-{n}.png" for n in (5, 4, 3, 2, 1)]
    assert files(gallery, limit=2, offset=1) == ["sd15_job-4.png", "sd15_job-3.png"]
    assert gallery.page(limit=2, offset=1)[1] == 5
    assert gallery.page(limit=0) == ([], 5)
    assert gallery.page(offset=10**30) == ([], 5)
    assert gallery.page(limit=-1, offset=-1) == ([], 5)


def test_a_picture_without_a_sidecar_tells_of_itself(gallery: Gallery, paths: Paths) -> None:
    name = put(paths, prompt="from inside")
    sidecar(paths.drop_out / name).unlink()
    [image], _ = gallery.page()
    assert (image.job_id, image.prompt, image.created_at) == ("job-1", "from inside", NOW)
    assert (image.width, image.height) == (48, 32)


def test_a_recipe_behind_a_megabyte_of_text_is_found(gallery: Gallery, paths: Paths) -> None:
    workflow = {str(n): {"class_type": "x" * 90} for n in range(8000)}
    name = put(paths, prompt="deep inside", workflow=workflow)
    sidecar(paths.drop_out / name).unlink()
    assert (paths.drop_out / name).stat().st_size > 500_000
    assert gallery.get(name).prompt == "deep inside"


def test_a_stranger_picture_is_shown_without_a_job(gallery: Gallery, paths: Paths) -> None:
    for format, ending in (("PNG", "png"), ("JPEG", "JPG"), ("WEBP", "webp")):
        (paths.drop_out / f"holiday.{ending}").write_bytes(encoded(format))
    images, total = gallery.page()
    assert total == 3
    for image in images:
        assert (image.job_id, image.backend, image.prompt) == (None, None, "")
        assert (image.width, image.height) == (48, 32)
        changed_s = (paths.drop_out / image.file).stat().st_mtime
        assert abs(image.created_at.timestamp() - changed_s) < 0.001
    assert gallery.recipe("holiday.png") is None


def test_a_photo_taken_upright_is_measured_and_shrunk_as_it_is_shown(
    gallery: Gallery, paths: Paths
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn it by 90°
    (paths.drop_out / "photo.jpg").write_bytes(encoded("JPEG", size=(400, 200), exif=exif))
    image = gallery.get("photo.jpg")
    assert (image.width, image.height) == (200, 400)
    with Image.open(io.BytesIO(gallery.thumbnail("photo.jpg"))) as small:
        assert small.size == (100, 200)


@pytest.mark.parametrize(
    "beside",
    [
        b"",
        b"not json",
        b"\xff\xfe\x00",
        b"[1, 2]",
        b"null",
        b"[" * 100_000,
        b'{"jobId": {"$gt": 1}, "prompt": ["x"], "backend": 7, "createdAt": {}, "width": "48"}',
        b'{"jobId": "../../etc/passwd", "createdAt": "yesterday", "width": -5, "height": 1e400}',
        b'{"createdAt": "9999-12-31T23:59:59-23:59", "bytes": true}',
        b'{"createdAt": "0001-01-01T00:00:00+23:59"}',
        b" " * 5_000_000,
    ],
    ids=lambda data: repr(data[:30]),
)
def test_a_sidecar_that_makes_no_sense_harms_nothing(
    gallery: Gallery, paths: Paths, beside: bytes
) -> None:
    path = paths.drop_out / "holiday.png"
    path.write_bytes(encoded())
    sidecar(path).write_bytes(beside)
    [image], _ = gallery.page()
    assert (image.job_id, image.backend, image.prompt) == (None, None, "")
    assert (image.width, image.height) == (48, 32)
    assert gallery.recipe("holiday.png") is None


@pytest.mark.parametrize(
    "said", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "1969-12-31T23:59:59.999999"]
)
def test_a_time_at_the_end_of_all_times_can_be_shown_and_asked_for(
    gallery: Gallery, paths: Paths, said: str
) -> None:
    path = paths.drop_out / "odd.png"
    path.write_bytes(encoded())
    sidecar(path).write_text(json.dumps({"createdAt": said}))
    [image], _ = gallery.page()
    assert image.created_at.year == int(said[:4])
    moment = datetime.fromisoformat(said)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    gallery.page(since=aware, until=aware)


def test_a_sidecar_that_cannot_be_read_leaves_the_picture_to_tell(
    gallery: Gallery, paths: Paths
) -> None:
    name = put(paths, prompt="inside")
    beside = sidecar(paths.drop_out / name)
    beside.unlink()
    beside.mkdir()  # not even a file
    assert gallery.get(name).prompt == "inside"
    beside.rmdir()
    beside.symlink_to("/etc/passwd")
    assert gallery.get(name).prompt == "inside"


def test_a_long_prompt_is_cut_in_lists_and_whole_in_the_recipe(
    gallery: Gallery, paths: Paths
) -> None:
    name = put(paths, prompt="word " * 10_000)
    assert len(gallery.get(name).prompt) == 10_000
    recipe = gallery.recipe(name)
    assert recipe is not None
    assert len(recipe["prompt"]) == 50_000


def test_the_recipe_is_whole(gallery: Gallery, paths: Paths) -> None:
    recipe = gallery.recipe(put(paths))
    assert recipe is not None
    assert recipe["jobId"] == "job-1"
    assert recipe["params"]["negative_prompt"] == "blurry"
    assert recipe["seed"] == 2**64 - 1
    assert recipe["workflow"] == {"1": {"class_type": "KSampler"}}
    json.dumps(recipe)


# ------------------------------------------------------------------------------ searching


def test_pictures_are_found_by_backend_text_time_and_owner(gallery: Gallery, paths: Paths) -> None:
    put(paths, "aaaa-1", prompt="Рыжая ЛИСА in snow", created_at=NOW)
    put(paths, "bbbb-2", prompt="a fox", backend="flux", created_at=NOW + timedelta(hours=1))
    (paths.drop_out / "fox holiday.png").write_bytes(encoded())
    os.utime(paths.drop_out / "fox holiday.png", (0, 0))
    first, second, third = "sd15_aaaa-1.png", "flux_bbbb-2.png", "fox holiday.png"
    assert files(gallery) == [second, first, third]
    assert files(gallery, backend="flux") == [second]
    assert files(gallery, backend="none") == []
    assert files(gallery, text="лиса SNOW") == [first]
    assert files(gallery, text="fox") == [second, third]
    assert files(gallery, text="bbbb") == [second]  # a job's id by its beginning
    assert files(gallery, text="bbb-2") == []
    assert files(gallery, text="holiday fox") == [third]
    assert files(gallery, text="%") == files(gallery, text="fox_") == []
    assert files(gallery, text="  ") == [second, first, third]
    assert files(gallery, since=NOW) == [second, first]
    assert files(gallery, until=NOW) == [third]
    assert files(gallery, since=NOW, until=NOW + timedelta(hours=1)) == [first]
    assert files(gallery, owned=True) == [second, first]
    assert files(gallery, owned=False) == [third]
    assert gallery.backends() == ["flux", "sd15"]


@pytest.mark.parametrize("text", ["'; drop table images; --", "\ud800", "\0", "a " * 5000, '"'])
def test_no_search_text_breaks_anything(gallery: Gallery, paths: Paths, text: str) -> None:
    put(paths)
    gallery.page(text=text, backend=text)
    assert gallery.page()[1] == 1


# ------------------------------------------------------------------------------ hostile names


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret.png",
        "..\\secret.png",
        "/etc/passwd",
        "/etc/secret.png",
        "sub/inner.png",
        ".hidden.png",
        "secret.png\0.png",
        "line\nbreak.png",
        "\x1b[2J.png",
        "half\ud800.png",
        "x" * 300 + ".png",
        "x" * 100_000 + ".png",
        "missing.png",
        "sd15_job-1.png.json",
        "link.png",
        "outside.png",
        "folder.png",
        "pipe.png",
        "notes.txt",
        "fake.png",
        "~/secret.png",
        "%2e%2e/secret.png",
    ],
    ids=lambda name: repr(name[:24]),
)
def test_no_name_leads_out_of_the_folder_or_to_what_is_no_picture(
    gallery: Gallery, paths: Paths, name: str
) -> None:
    out = paths.drop_out
    put(paths)
    (paths.project_root / "secret.png").write_bytes(encoded())
    (out / "link.png").symlink_to(out / "sd15_job-1.png")
    (out / "outside.png").symlink_to(paths.project_root / "secret.png")
    (out / "folder.png").mkdir()
    (out / "sub").mkdir()
    (out / "sub" / "inner.png").write_bytes(encoded())
    (out / ".hidden.png").write_bytes(encoded())
    os.mkfifo(out / "pipe.png")
    (out / "notes.txt").write_bytes(encoded())
    (out / "fake.png").write_text("<script>alert(1)</script>")
    (out / "line\nbreak.png").write_bytes(encoded())
    assert files(gallery) == ["sd15_job-1.png"]
    for ask in (gallery.get, gallery.path, gallery.open, gallery.recipe, gallery.thumbnail):
        with pytest.raises(ImageNotFound):
            ask(name)
    for act in (gallery.favourite, gallery.use_as_input):
        with pytest.raises(ImageNotFound):
            act(name)
    with pytest.raises(ImageNotFound):
        gallery.zip([name], io.BytesIO())
    before = sorted(path.name for path in out.iterdir())
    assert gallery.trash([name]) == [] or name == "fake.png"
    gallery.restore([name])
    assert sorted(path.name for path in out.iterdir() if path.name != ".trash") == before


@pytest.mark.parametrize(
    "name",
    [
        "a b.png",
        "орёл 🦅.png",
        "<img src=x onerror=alert(1)>.png",
        "screenshot 3.14\u202fPM.png",
        "\u202egnp.exe.png",
        "100%25.png",
        "a#b?c&d.png",
        "'\".png",
        "--help.png",
        "a.png.png",
    ],
)
def test_a_strange_but_possible_name_works_everywhere(
    gallery: Gallery, paths: Paths, name: str
) -> None:
    (paths.drop_out / name).write_bytes(encoded())
    assert files(gallery) == [name]
    assert gallery.thumbnail(name)[:4] == b"RIFF"
    assert gallery.favourite(name).favourite
    assert gallery.trash([name]) == [name]
    assert files(gallery) == []
    assert gallery.restore([name]) == [name]
    assert files(gallery, favourite=True) == [name]
    copied = paths.drop_in / gallery.use_as_input(name)
    assert copied.read_bytes() == encoded()
    assert copied.name.isascii()
    out = io.BytesIO()
    gallery.zip([name], out)
    assert zipfile.ZipFile(out).namelist() == [name]


def test_a_name_that_is_no_text_is_left_alone(gallery: Gallery, paths: Paths) -> None:
    with open(os.fsencode(paths.drop_out) + b"/\xff\xfe.png", "wb") as file:  # noqa: PTH123 - bytes
        file.write(encoded())
    put(paths)
    assert files(gallery) == ["sd15_job-1.png"]


def test_a_symlinked_trash_takes_nothing(gallery: Gallery, paths: Paths, tmp_path: Path) -> None:
    name = put(paths)
    (tmp_path / "elsewhere").mkdir()
    (paths.drop_out / ".trash").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreError) as caught:
        gallery.trash([name])
    assert caught.value.remedy
    assert files(gallery) == [name]
    assert gallery.trashed() == []


# ------------------------------------------------------------------------------ damaged pictures


def test_a_truncated_picture_is_listed_but_has_no_thumbnail(gallery: Gallery, paths: Paths) -> None:
    data = encoded("JPEG", size=(800, 600))
    (paths.drop_out / "cut.jpg").write_bytes(data[: len(data) // 2])
    noise = os.urandom(50_000)
    (paths.drop_out / "noise.png").write_bytes(encoded()[:16] + noise)
    images = {image.file: image for image in gallery.page()[0]}
    assert (images["cut.jpg"].width, images["cut.jpg"].height) == (800, 600)
    assert images["noise.png"].size == 50_016
    for name in images:
        with pytest.raises(ImageInvalid) as caught:
            gallery.thumbnail(name)
        assert caught.value.remedy
    assert gallery.trash(list(images)) == list(images)  # what is broken can be thrown away


def test_a_picture_that_claims_to_be_huge_is_not_decoded(gallery: Gallery, paths: Paths) -> None:
    data = bytearray(encoded())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (paths.drop_out / "bomb.png").write_bytes(bytes(data))
    assert files(gallery) == ["bomb.png"]
    with pytest.raises(ImageInvalid):
        gallery.thumbnail("bomb.png")


def test_what_is_still_being_written_appears_when_it_is_whole(
    gallery: Gallery, paths: Paths
) -> None:
    path = paths.drop_out / "copy.png"
    path.write_bytes(b"")
    assert files(gallery) == []
    os.utime(paths.drop_out, (1, 1))  # the folder's time says nothing from here on
    assert files(gallery) == []
    rewrite(path, encoded())
    assert files(gallery) == ["copy.png"]
    rewrite(path, encoded()[:20])
    assert gallery.get("copy.png").size == 20
    rewrite(path, b"no picture any more")
    assert files(gallery) == []
    rewrite(path, encoded(size=(10, 10)))
    assert gallery.get("copy.png").width == 10


def test_a_picture_changed_in_place_has_another_version_and_thumbnail(
    gallery: Gallery, paths: Paths
) -> None:
    path = paths.drop_out / "edited.png"
    path.write_bytes(encoded(color="red"))
    before, small = gallery.get("edited.png"), gallery.thumbnail("edited.png")
    rewrite(path, encoded(color="blue", size=(64, 64)))
    [after], _ = gallery.page()
    assert after.version != before.version
    assert (after.width, after.height) == (64, 64)
    assert gallery.thumbnail("edited.png") != small


def test_a_sidecar_that_comes_later_is_read(gallery: Gallery, paths: Paths) -> None:
    name = put(paths, format="WEBP", prompt="late")
    (paths.drop_out / name).write_bytes(encoded("WEBP"))  # as version 0.1 left it: without a recipe
    said = sidecar(paths.drop_out / name).read_bytes()
    sidecar(paths.drop_out / name).unlink()
    before = gallery.get(name)
    assert before.job_id is None
    sidecar(paths.drop_out / name).write_bytes(said)
    [after], _ = gallery.page()
    assert (after.job_id, after.prompt) == ("job-1", "late")
    assert after.version == before.version  # the picture is the same


# ------------------------------------------------------------------------------ what can be deleted


def test_a_deleted_index_comes_back_with_its_favourites(gallery: Gallery, paths: Paths) -> None:
    names = [put(paths, f"job-{n}") for n in range(3)]
    gallery.favourite(names[1])
    assert files(gallery, favourite=True) == [names[1]]
    (paths.data / "gallery.db").unlink()
    assert files(gallery, favourite=True) == [names[1]]
    assert sorted(files(gallery)) == sorted(names)
    assert (paths.data / "gallery.db").exists()


@pytest.mark.parametrize("damage", [b"", b"garbage" * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_index_is_made_anew(paths: Paths, damage: bytes) -> None:
    name = put(paths)
    (paths.data / "gallery.db").write_bytes(damage)
    gallery = Gallery(paths)
    assert files(gallery) == [name]
    rewrite(paths.data / "gallery.db", damage)  # and while it is open
    put(paths, "job-2")
    assert len(files(gallery)) == 2
    gallery.close()


def test_the_index_of_another_version_or_folder_is_made_anew(
    gallery: Gallery, paths: Paths, tmp_path: Path
) -> None:
    name = put(paths)
    assert files(gallery) == [name]
    gallery.close()
    with sqlite3.connect(paths.data / "gallery.db") as db:
        db.execute("pragma user_version = 99")
    db.close()
    assert files(gallery) == [name]
    (tmp_path / "other").mkdir()
    moved = Gallery(paths.model_copy(update={"drop_out": tmp_path / "other"}))
    assert files(moved) == []
    moved.close()


def test_an_index_that_cannot_be_written_is_kept_in_memory(paths: Paths) -> None:
    name = put(paths)
    (paths.data / "gallery.db").mkdir()  # root may write any file, but not a folder
    (paths.data / "gallery.lock").mkdir()
    gallery = Gallery(paths)
    assert files(gallery) == [name]
    put(paths, "job-2")
    assert len(files(gallery)) == 2
    gallery.close()


def test_thumbnails_are_kept_and_come_back_when_deleted_or_damaged(
    gallery: Gallery, paths: Paths
) -> None:
    name = put(paths)
    made = gallery.thumbnail(name)
    with Image.open(io.BytesIO(made)) as small:
        assert (small.format, small.size) == ("WEBP", (48, 32))  # never enlarged
    [kept] = (paths.data / "thumbnails").rglob("*.webp")
    assert kept.read_bytes() == made
    for damage in (b"", made[:-1], b"<html>"):
        kept.write_bytes(damage)
        assert gallery.thumbnail(name) == made
    kept.unlink()
    kept.parent.rmdir()
    kept.parent.parent.rmdir()
    assert gallery.thumbnail(name) == made
    with Image.open(io.BytesIO(gallery.thumbnail(name, side=16))) as small:
        assert small.size == (16, 11)


def test_a_thumbnail_that_cannot_be_kept_is_shown(gallery: Gallery, paths: Paths) -> None:
    (paths.data / "thumbnails").write_text("a file in the way")
    assert gallery.thumbnail(put(paths))[:4] == b"RIFF"


def test_the_thumbnails_of_a_picture_that_is_gone_go_too(gallery: Gallery, paths: Paths) -> None:
    name, other = put(paths), put(paths, "job-2")
    for each in (name, other):
        gallery.thumbnail(each)
    (paths.drop_out / name).unlink()
    assert files(gallery) == [other]
    assert len(list((paths.data / "thumbnails").rglob("*.webp"))) == 1


def test_transparency_stays_in_the_thumbnail(gallery: Gallery, paths: Paths) -> None:
    out = io.BytesIO()
    Image.new("RGBA", (300, 300), (255, 0, 0, 0)).save(out, "PNG")
    (paths.drop_out / "clear.png").write_bytes(out.getvalue())
    out = io.BytesIO()
    Image.new("P", (300, 300), 0).save(out, "PNG", transparency=0)
    (paths.drop_out / "palette.png").write_bytes(out.getvalue())
    for name in ("clear.png", "palette.png"):
        with Image.open(io.BytesIO(gallery.thumbnail(name))) as small:
            assert small.size == (200, 200)
            assert small.convert("RGBA").getpixel((100, 100))[3] == 0  # type: ignore[index]


# ------------------------------------------------------------------------------ favourites


def test_a_mark_is_seen_by_every_gallery_and_can_be_taken_back(
    gallery: Gallery, paths: Paths
) -> None:
    name, other = put(paths), put(paths, "job-2")
    second = Gallery(paths)
    assert second.page(favourite=True) == ([], 0)
    assert gallery.favourite(name).favourite
    assert gallery.favourite(name).favourite  # twice is once
    assert files(second, favourite=True) == [name]
    assert files(second, favourite=False) == [other]
    assert not second.favourite(name, False).favourite
    assert not second.favourite(name, False).favourite
    assert files(gallery, favourite=True) == []
    second.close()


def test_a_mark_stays_with_a_picture_through_the_trash(gallery: Gallery, paths: Paths) -> None:
    name = put(paths)
    gallery.favourite(name)
    gallery.trash([name])
    assert files(gallery, favourite=True) == []
    gallery.restore([name])
    assert files(gallery, favourite=True) == [name]


# ------------------------------------------------------------------------------ the trash


def test_what_was_thrown_away_comes_back_as_it_was(gallery: Gallery, paths: Paths) -> None:
    names = [put(paths, f"job-{n}") for n in range(3)]
    before = {path.name: path.read_bytes() for path in paths.drop_out.iterdir()}
    images = gallery.page()[0]
    assert gallery.trash([names[0], "missing.png", names[2], names[0]]) == [names[0], names[2]]
    assert files(gallery) == [names[1]]
    assert [(each.file, each.deleted_at) for each in gallery.trashed()] == [
        (names[0], NOW),
        (names[2], NOW),
    ]
    assert [gallery.trashed_path(each).read_bytes() for each in gallery.trashed()] == [
        before[names[0]],
        before[names[2]],
    ]
    with pytest.raises(ImageNotFound):
        gallery.get(names[0])
    assert gallery.restore(["missing.png", *names]) == [names[0], names[2]]
    after = {path.name: path.read_bytes() for path in paths.drop_out.iterdir() if path.is_file()}
    assert after == before
    assert gallery.page()[0] == images
    assert gallery.trashed() == []
    assert gallery.restore(names) == []


def test_restoring_never_overwrites(gallery: Gallery, paths: Paths) -> None:
    name = put(paths, color="red")
    gallery.trash([name])
    assert put(paths, color="blue") == name
    blue, beside = (paths.drop_out / name).read_bytes(), sidecar(paths.drop_out / name).read_bytes()
    assert gallery.restore([name]) == []
    assert (paths.drop_out / name).read_bytes() == blue
    assert sidecar(paths.drop_out / name).read_bytes() == beside
    assert [each.file for each in gallery.trashed()] == [name]  # still there


def test_the_last_of_several_deletions_under_one_name_is_undone_first(
    gallery: Gallery, paths: Paths
) -> None:
    contents = []
    for color in ("red", "green", "blue"):
        name = put(paths, color=color)
        contents.append((paths.drop_out / name).read_bytes())
        gallery.trash([name])
    assert len(gallery.trashed()) == 3
    for content in reversed(contents):
        assert gallery.restore([name]) == [name]
        assert (paths.drop_out / name).read_bytes() == content
        (paths.drop_out / name).unlink()


def test_no_path_leads_from_the_trash_to_anything_else(gallery: Gallery, paths: Paths) -> None:
    name = put(paths)
    gallery.trash([name])
    [kept] = gallery.trashed()
    wrong: list[dict[str, str]] = [
        {"batch": ".."},
        {"batch": "."},
        {"batch": "../.."},
        {"file": f"{name}.json"},
        {"file": "../../x.png"},
        {"batch": f"{kept.batch}-2"},
    ]
    for change in wrong:
        with pytest.raises(ImageNotFound):
            gallery.trashed_path(kept.model_copy(update=change))


def test_a_crash_between_picture_and_sidecar_can_be_undone(gallery: Gallery, paths: Paths) -> None:
    name = put(paths, prompt="both")
    said = sidecar(paths.drop_out / name).read_bytes()
    gallery.trash([name])
    sidecar(paths.drop_out / name).write_bytes(said)  # as if it had not been moved yet
    assert gallery.restore([name]) == [name]
    assert gallery.get(name).prompt == "both"
    assert sidecar(paths.drop_out / name).read_bytes() == said


def test_a_disk_that_refuses_to_move_says_so_and_keeps_the_picture(
    gallery: Gallery, paths: Paths
) -> None:
    name = put(paths)
    (paths.drop_out / ".trash").write_text("in the way")
    with pytest.raises(StoreError) as caught:
        gallery.trash([name])
    assert caught.value.remedy
    assert files(gallery) == [name]


# ------------------------------------------------------------------------------ taking away


def test_a_zip_made_in_parts_holds_pictures_and_recipes(gallery: Gallery, paths: Paths) -> None:
    names = [put(paths, "job-1"), put(paths, "job-2", format="WEBP")]
    (paths.drop_out / "old.png").write_bytes(encoded())
    os.utime(paths.drop_out / "old.png", (0, 0))  # 1970: before zip files begin
    parts = gallery.zipped([*names, "old.png", names[0]])
    with zipfile.ZipFile(io.BytesIO(b"".join(parts))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == [
            names[0], f"{names[0]}.json", names[1], f"{names[1]}.json", "old.png",
        ]  # fmt: skip
        assert archive.read(names[1]) == (paths.drop_out / names[1]).read_bytes()


def test_a_picture_deleted_while_the_zip_is_read_is_left_out(
    gallery: Gallery, paths: Paths
) -> None:
    names = [put(paths, f"job-{n}") for n in range(3)]
    parts = gallery.zipped(names)
    first = next(parts)
    gallery.trash([names[2]])
    with zipfile.ZipFile(io.BytesIO(b"".join([first, *parts]))) as archive:
        assert archive.testzip() is None
        assert [name for name in archive.namelist() if name.endswith(".png")] == names[:2]


def test_a_zip_with_a_missing_picture_is_not_begun(gallery: Gallery, paths: Paths) -> None:
    out = io.BytesIO()
    with pytest.raises(ImageNotFound):
        gallery.zip([put(paths), "missing.png"], out)
    assert out.getvalue() == b""


def test_an_input_is_copied_once_and_never_over_another(gallery: Gallery, paths: Paths) -> None:
    name = put(paths)
    (paths.drop_in / name).write_bytes(b"somebody's own")
    first = gallery.use_as_input(name)
    assert first == "sd15_job-1-2.png"
    assert gallery.use_as_input(name) == first
    assert (paths.drop_in / name).read_bytes() == b"somebody's own"
    assert (paths.drop_in / first).read_bytes() == (paths.drop_out / name).read_bytes()
    assert sorted(path.name for path in paths.drop_in.iterdir()) == sorted([name, first])


def test_a_folder_that_is_away_is_an_error_with_a_remedy_and_comes_back(
    gallery: Gallery, paths: Paths
) -> None:
    name = put(paths)
    assert files(gallery) == [name]
    paths.drop_out.rename(paths.drop_out.with_name("away"))
    with pytest.raises(StoreError) as caught:
        gallery.page()
    assert "dropOut" in caught.value.remedy
    paths.drop_out.with_name("away").rename(paths.drop_out)
    assert files(gallery) == [name]


# ------------------------------------------------------------------------------ being told


class Told:
    """What a watcher was told, and a way to wait for it."""

    def __init__(self) -> None:
        self.images: list[GalleryImage] = []
        self.calls = 0
        self._changed = threading.Condition()

    def __call__(self, images: list[GalleryImage]) -> None:
        with self._changed:
            self.images += images
            self.calls += 1
            self._changed.notify_all()

    def wait(self, condition: Any, timeout_s: float = 20.0) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout_s), self.images

    def names(self) -> set[str]:
        return {image.file for image in self.images}


@pytest.mark.parametrize("polling", [False, True])
def test_new_pictures_are_told_whoever_made_them(
    gallery: Gallery, paths: Paths, polling: bool
) -> None:
    old, told = put(paths), Told()
    subscription = gallery.watch(told, force_polling=polling)
    name = put(paths, "job-2", prompt="news")
    told.wait(lambda: name in told.names())
    assert old not in told.names()
    assert told.images[-1].prompt == "news"
    subscription.end()


def test_removals_marks_and_changes_in_place_are_told(gallery: Gallery, paths: Paths) -> None:
    name, told = put(paths), Told()
    subscription = gallery.watch(told)
    gallery.favourite(name)
    told.wait(lambda: any(image.favourite for image in told.images))
    rewrite(paths.drop_out / name, encoded(size=(99, 99)))
    told.wait(lambda: any(image.width == 99 for image in told.images))
    calls = told.calls
    gallery.trash([name])
    told.wait(lambda: told.calls > calls)
    subscription.end()


def test_a_failing_listener_does_not_silence_the_others(
    gallery: Gallery, paths: Paths, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_: list[GalleryImage]) -> None:
        raise RuntimeError("not my day")

    told = Told()
    subscriptions = [gallery.watch(fails), gallery.watch(told)]
    name = put(paths)
    told.wait(lambda: name in told.names())
    assert "not my day" in caplog.text
    for subscription in subscriptions:
        subscription.end()
        subscription.end()  # twice is once


def test_a_listener_survives_a_deleted_index(gallery: Gallery, paths: Paths) -> None:
    old, told = put(paths), Told()
    subscription = gallery.watch(told)
    (paths.data / "gallery.db").unlink()
    name = put(paths, "job-2")
    told.wait(lambda: told.calls > 0)  # with nothing but "look anew", perhaps
    third = put(paths, "job-3")
    told.wait(lambda: third in told.names())
    assert old not in told.names()
    assert sorted(files(gallery)) == sorted([old, name, third])
    subscription.end()


# ------------------------------------------------------------------------------ several at once


def test_threads_at_once_see_every_picture_and_one_thumbnail(
    gallery: Gallery, paths: Paths
) -> None:
    def work(number: int) -> None:
        name = put(paths, f"job-{number}")
        assert gallery.get(name).job_id == f"job-{number}"
        assert name in files(gallery, limit=100)
        gallery.thumbnail(name)
        gallery.favourite(name)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert gallery.page(favourite=True)[1] == 40


def _work_in_a_process(paths: Paths, number: int, ready: Any) -> None:
    gallery = Gallery(paths)
    gallery.page()
    ready.wait()
    for each in range(10):
        name = put(paths, f"job-{number}-{each}")
        assert gallery.get(name).job_id == f"job-{number}-{each}"
        gallery.favourite(name)
        gallery.thumbnail(name)
        if each % 2:
            assert gallery.trash([name]) == [name]
        if each == 7:
            (paths.data / "gallery.db").unlink(missing_ok=True)
        gallery.page(text="fox")
    gallery.close()


def test_processes_at_once_agree_in_the_end(gallery: Gallery, paths: Paths) -> None:
    gallery.page()
    ready = FORK.Barrier(3)
    workers = [FORK.Process(target=_work_in_a_process, args=(paths, n, ready)) for n in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
        assert worker.exitcode == 0
    there = sorted(path.name for path in paths.drop_out.glob("*.png"))
    assert len(there) == 15
    assert sorted(files(gallery)) == sorted(files(gallery, favourite=True)) == there
    assert len(gallery.restore([f"sd15_job-0-{n}.png" for n in range(10)])) == 5
    assert gallery.page()[1] == 20


def test_one_of_two_who_throw_the_same_picture_away_has_it(gallery: Gallery, paths: Paths) -> None:
    second = Gallery(paths, now=lambda: NOW)
    for number in range(20):
        name = put(paths, f"job-{number}")
        with ThreadPoolExecutor(2) as pool:
            moved = list(pool.map(lambda each, name=name: each.trash([name]), (gallery, second)))
        assert sorted(map(len, moved)) == [0, 1]
        with ThreadPoolExecutor(2) as pool:
            back = list(pool.map(lambda each, name=name: each.restore([name]), (gallery, second)))
        assert sorted(map(len, back)) == [0, 1]
        assert gallery.get(name).job_id == f"job-{number}"
    second.close()


def test_nothing_that_is_not_a_picture_is_written_into_the_folder(
    gallery: Gallery, paths: Paths
) -> None:
    name = put(paths)
    gallery.thumbnail(name)
    gallery.favourite(name)
    assert sorted(path.name for path in paths.drop_out.iterdir()) == [name, f"{name}.json"]
    mode = (paths.data / "gallery.db").stat().st_mode
    assert stat.S_ISREG(mode)
