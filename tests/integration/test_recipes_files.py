"""Recipes in files: other programs' readers find them, pixels stay, strangers' files are read or say nothing."""

from __future__ import annotations

import asyncio
import io
import json
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from typer.testing import CliRunner, Result

from orchestrator.cli import app
from orchestrator.errors import ImageInvalid, ImageNotFound, ParamsInvalid
from orchestrator.gallery import Gallery
from orchestrator.images import Published, find_recipe, publish, read_recipe, sidecar
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.recipes import ForeignRecipe, Recipe, parameters_text, recipe_in

WORKFLOW = {
    "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "v1-5.safetensors"}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 48, "height": 32, "batch_size": 1}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "орёл", "clip": ["4", 1]}},
    "3": {
        "class_type": "KSampler",
        "inputs": {
            "seed": 7,
            "steps": 20,
            "cfg": 7,
            "sampler_name": "euler_ancestral",
            "scheduler": "karras",
            "denoise": 1,
            "model": ["4", 0],
            "positive": ["6", 0],
            "negative": ["6", 0],
            "latent_image": ["5", 0],
        },
    },
    "9": {"class_type": "SaveImage", "inputs": {"images": ["3", 0]}},
}
PROMPT = 'орёл над горами, «Ü»: "x"\nsecond, line 🦅'
A1111 = "лиса, fox\nNegative prompt: плохо\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64"


def recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "job_id": "d888cd70-fda8-4a29-98b1-a316c3e8307b",
        "attempt": 1,
        "index": 0,
        "backend": "sd15",
        "prompt": PROMPT,
        "params": {"steps": 20},
        "seed": 7,
        "service": "comfyui",
        "host": "http://127.0.0.1:8188",
        "workflow": WORKFLOW,
        "created_at": datetime(2026, 11, 22, 12, tzinfo=UTC),
        "software": "orchestrator-lab 0.1.0",
    }
    return Recipe(**(values | changes))


def noise(seed: int = 1, mode: str = "RGB") -> Image.Image:
    bands = len(mode)
    pixels = np.random.default_rng(seed).integers(0, 256, (32, 48, bands), dtype=np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()


def animated(lossless: bool = True, **options: Any) -> bytes:
    frames = [noise(n) for n in range(1, 4)]
    return encoded(
        frames[0],
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=100,
        lossless=lossless,
        **options,
    )


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content


def film(
    *, width: int = 64, height: int = 48, offset: int | None = None, texts: bytes = b""
) -> bytes:
    """A film as far as its structure goes: one track of one sample, which nobody here decodes."""
    start = box(b"ftyp", b"isom", bytes(4), b"isomavc1")
    pixels = box(b"mdat", bytes(range(100)))
    track = box(
        b"trak",
        box(b"tkhd", bytes(76), struct.pack(">II", width << 16, height << 16)),
        box(
            b"mdia",
            box(b"hdlr", bytes(8), b"vide", bytes(13)),
            box(
                b"minf",
                box(
                    b"stbl",
                    box(b"stco", struct.pack(">III", 0, 1, offset or len(start) + 8)),
                ),
            ),
        ),
    )
    return start + pixels + box(b"moov", box(b"mvhd", bytes(100)), track, texts)


MAKERS: dict[str, Callable[[], bytes]] = {
    "png": lambda: encoded(noise(), "PNG"),
    "png-alpha": lambda: encoded(noise(mode="RGBA"), "PNG"),
    "jpeg": lambda: encoded(noise(), "JPEG"),
    "webp-lossy": lambda: encoded(noise(), "WEBP"),
    "webp-lossless": lambda: encoded(noise(), "WEBP", lossless=True),
    "webp-lossy-alpha": lambda: encoded(noise(mode="RGBA"), "WEBP"),
    "webp-lossless-alpha": lambda: encoded(noise(mode="RGBA"), "WEBP", lossless=True),
    "webp-animated": animated,
    "webp-animated-lossy": lambda: animated(lossless=False),
}
WEBPS = [name for name in MAKERS if name.startswith("webp")]


def put(data: bytes, folder: Path, **changes: Any) -> Published:
    return publish(data, folder=folder, stem="eagle", recipe=recipe(**changes))


def frames(data: bytes) -> Iterator[tuple[str, tuple[int, int], bytes]]:
    with Image.open(io.BytesIO(data)) as image:
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            image.load()
            yield image.mode, image.size, image.tobytes()


# ------------------------------------------------------------------------------ what others read


@pytest.mark.parametrize("name", list(MAKERS))
def test_not_a_pixel_changes_in_any_frame(name: str, tmp_path: Path) -> None:
    data = MAKERS[name]()
    published = put(data, tmp_path)
    content = published.path.read_bytes()
    assert content != data
    assert list(frames(content)) == list(frames(data))
    assert (published.width, published.height) == (48, 32)


@pytest.mark.parametrize("name", list(MAKERS))
def test_the_recipe_is_in_the_file_itself(name: str, tmp_path: Path) -> None:
    published = put(MAKERS[name](), tmp_path)
    sidecar(published.path).unlink()
    assert read_recipe(published.path) == recipe()
    assert find_recipe(published.path) == recipe()


def comment_of(path: Path) -> str:
    """As AUTOMATIC1111 (piexif) and Civitai read it: UTF-16, big-endian, whatever the header says."""
    with Image.open(path) as image:
        raw = image.getexif().get_ifd(0x8769)[0x9286]
    assert raw.startswith(b"UNICODE\0")
    return str(raw[8:].decode("utf-16-be"))


@pytest.mark.parametrize("name", list(MAKERS))
def test_other_programs_find_the_parameters(name: str, tmp_path: Path) -> None:
    path = put(MAKERS[name](), tmp_path).path
    if path.suffix == ".png":
        with Image.open(path) as image:
            assert isinstance(image, PngImagePlugin.PngImageFile)
            image.load()
            said = str(image.text["parameters"])
    else:
        said = comment_of(path)
    assert said == parameters_text(recipe())
    assert said.startswith(PROMPT + "\n")
    assert said.split("\n")[-1] == (
        "Steps: 20, Sampler: Euler a, Schedule type: Karras, CFG scale: 7, Seed: 7, Size: 48x32, "
        "Model: v1-5, Version: orchestrator-lab 0.1.0"
    )


def page_reads_png(data: bytes) -> dict[str, str]:
    """By the rules of ComfyUI's page: tEXt and iTXt, both taken for UTF-8, iTXt never compressed."""
    found, at = {}, 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        name, content = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        if name in {b"tEXt", b"iTXt"}:
            key, _, text = content.partition(b"\0")
            if name == b"iTXt":
                text = text[2:].split(b"\0", 2)[2]
            found[key.decode("latin-1")] = text.decode()
        at += 12 + length
    return found


def page_reads_webp(data: bytes, *, pads: bool) -> dict[str, str]:
    """By the rules of ComfyUI's page: texts of the first IFD, cut at the first colon. Old pages forget to pad."""
    at, found = 12, {}
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at + 4)
        if data[at : at + 4] == b"EXIF":
            exif = data[at + 8 : at + 8 + length]
            exif = exif[6:] if exif.startswith(b"Exif\0\0") else exif
            order = "<" if exif[:2] == b"II" else ">"
            (start,) = struct.unpack_from(f"{order}I", exif, 4)
            (count,) = struct.unpack_from(f"{order}H", exif, start)
            for n in range(count):
                _, kind, size, where = struct.unpack_from(f"{order}HHII", exif, start + 2 + n * 12)
                if kind == 2:
                    key, _, text = exif[where : where + size - 1].decode().partition(":")
                    found[key] = text
            break
        at += 8 + length + (length % 2 if pads else 0)
    return found


def test_comfyuis_page_opens_our_png(tmp_path: Path) -> None:
    found = page_reads_png(put(encoded(noise(), "PNG"), tmp_path).path.read_bytes())
    assert json.loads(found["prompt"]) == WORKFLOW
    assert found["parameters"].startswith(PROMPT)
    assert json.loads(found["orchestrator"])["prompt"] == PROMPT


@pytest.mark.parametrize("pads", [True, False], ids=["new page", "old page"])
@pytest.mark.parametrize("name", WEBPS)
def test_comfyuis_page_opens_our_webp(name: str, pads: bool, tmp_path: Path) -> None:
    data = put(MAKERS[name](), tmp_path).path.read_bytes()
    assert json.loads(page_reads_webp(data, pads=pads)["prompt"]) == WORKFLOW


def test_what_comfyui_wrote_into_an_animation_stays_beside_ours(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0110], exif[0x010F] = f"prompt:{json.dumps(WORKFLOW)}", 'workflow:{"nodes": []}'
    path = put(animated(exif=exif), tmp_path, workflow=None).path
    found = page_reads_webp(path.read_bytes(), pads=True)
    assert found == {"prompt": json.dumps(WORKFLOW), "workflow": '{"nodes": []}'}
    sidecar(path).unlink()
    assert read_recipe(path) == recipe()  # an adopted prompt: the workflow is ComfyUI's own
    assert comment_of(path).startswith(PROMPT)


@pytest.mark.parametrize("name", ["jpeg", "webp-lossy", "webp-animated", "png"])
def test_a_picture_made_from_a_published_one_tells_of_itself(name: str, tmp_path: Path) -> None:
    first = put(MAKERS[name](), tmp_path).path
    second = put(first.read_bytes(), tmp_path, prompt="a fox", job_id="second").path
    sidecar(second).unlink()
    found = find_recipe(second)
    assert isinstance(found, Recipe)
    assert found.prompt == "a fox"
    said = recipe_in(
        second.read_bytes()
        .replace(b"lab:recipe", b"lab:nothin")
        .replace(b"orchestrator\0", b"orchestrat0r\0")
    )
    if name != "png":  # there the checksum is wrong now
        assert isinstance(said, ForeignRecipe)
        assert said.prompt in {"a fox", "орёл"}
        assert said.text is None or said.text.startswith("a fox")


def test_the_metadata_of_others_is_kept(tmp_path: Path) -> None:
    packet = (
        b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
        b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
        b'xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/x"/></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    )
    exif = Image.Exif()
    exif[0x0131] = "Some Camera"
    for format in ("JPEG", "WEBP"):
        path = put(encoded(noise(), format, xmp=packet, exif=exif), tmp_path, job_id=format).path
        with Image.open(path) as image:
            assert b'dc:format="image/x"' in image.info["xmp"]
            assert image.getexif()[0x0131] == "Some Camera"
        sidecar(path).unlink()
        assert read_recipe(path) == recipe(job_id=format)


def test_the_packet_is_well_formed_whatever_the_prompt_says(tmp_path: Path) -> None:
    import xml.etree.ElementTree as ET

    prompt = "<b>&amp; ]]> </lab:recipe> \x00\x1b\ufffe\ufffeй\u2028"
    path = put(encoded(noise(), "JPEG"), tmp_path, prompt=prompt).path
    with Image.open(path) as image:
        ET.fromstring(image.info["xmp"])
    sidecar(path).unlink()
    found = read_recipe(path)
    assert found is not None
    assert found.prompt == prompt


def test_a_webp_keeps_its_colour_profile_and_its_flags(tmp_path: Path) -> None:
    data = encoded(noise(mode="RGBA"), "WEBP", icc_profile=b"profile" * 11)
    content = put(data, tmp_path).path.read_bytes()
    with Image.open(io.BytesIO(content)) as image:
        assert image.info["icc_profile"] == b"profile" * 11
        assert image.mode == "RGBA"
    assert content[20] == 0x20 | 0x10 | 0x08 | 0x04


# ------------------------------------------------------------------------------ films


def test_a_film_is_published_with_its_size_and_recipe(tmp_path: Path) -> None:
    data = film(width=1024, height=576)
    published = put(data, tmp_path)
    assert published.path.suffix == ".mp4"
    assert (published.width, published.height, published.mime) == (1024, 576, "video/mp4")
    # nothing that the tables point to has moved
    assert published.path.read_bytes().startswith(data)
    sidecar(published.path).unlink()
    assert read_recipe(published.path) == recipe()


def test_a_film_is_published_once(tmp_path: Path) -> None:
    assert put(film(), tmp_path) == put(film(), tmp_path)
    assert put(film(), tmp_path, attempt=2).path.name == "eagle-2.mp4"


@pytest.mark.parametrize(
    "data",
    [
        film()[:20],
        film()[:-1],
        film()[: len(film()) // 2],
        film(width=0),
        film(width=20_000, height=20_000),
        film(offset=1_000_000),
        film().replace(b"vide", b"soun"),
        film().replace(b"stbl", b"free"),
        film().replace(b"moov", b"free"),
        film().replace(b"isom", b"heic", 1),
        b"\0\0\0\x10ftypisom\0\0\0\0" + b"\0\0\0\x08free" * 20_000,
    ],
)
def test_a_damaged_film_is_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ImageInvalid):
        put(data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def keyed_film(workflow: object) -> bytes:
    text = json.dumps(workflow).encode()
    meta = box(
        b"meta",
        bytes(4),
        box(b"hdlr", bytes(8), b"mdta", bytes(13)),
        box(b"keys", struct.pack(">II", 0, 1), box(b"mdta", b"prompt")),
        box(
            b"ilst",
            struct.pack(">I", 24 + len(text)) + struct.pack(">I", 1) + box(b"data", bytes(8), text),
        ),
    )
    return film(texts=box(b"udta", meta))


def test_the_workflow_in_comfyuis_film_is_read() -> None:
    found = recipe_in(keyed_film(WORKFLOW))
    assert isinstance(found, ForeignRecipe)
    assert (found.source, found.prompt) == ("comfyui", "орёл")


def test_the_gallery_shows_films_and_animations(tmp_path: Path) -> None:
    paths = Paths.init(tmp_path)
    paths.create()
    put(film(width=640, height=320), paths.drop_out)
    (paths.drop_out / "strangers.mp4").write_bytes(keyed_film(WORKFLOW))
    publish(animated(), folder=paths.drop_out, stem="moving", recipe=recipe(job_id="m"))
    with_gallery = Gallery(paths)
    try:
        images, total = with_gallery.page()
        shown = {image.file: image for image in images}
        assert total == 3
        made = shown["eagle.mp4"]
        assert (made.mime, made.width, made.height) == ("video/mp4", 640, 320)
        assert (made.prompt, made.backend) == (PROMPT, "sd15")
        stranger = shown["strangers.mp4"]
        assert (stranger.width, stranger.height, stranger.prompt) == (64, 48, "орёл")
        assert stranger.job_id is None
        sizes = {}
        for name in shown:
            with Image.open(io.BytesIO(with_gallery.thumbnail(name, side=160))) as small:
                sizes[name] = small.size
                assert small.format == "WEBP"
        assert sizes == {"eagle.mp4": (160, 80), "strangers.mp4": (64, 48), "moving.webp": (48, 32)}
    finally:
        with_gallery.close()


def test_a_damaged_animation_is_refused_in_whichever_frame_the_damage_is(tmp_path: Path) -> None:
    data = bytearray(animated())
    last = data.rfind(b"ANMF")
    data[last + 32 : last + 200] = bytes(168)
    with pytest.raises(ImageInvalid):
        put(bytes(data), tmp_path)


# ------------------------------------------------------------------------------ strangers' files


def with_text(*texts: tuple[str, str, bool]) -> bytes:
    info = PngImagePlugin.PngInfo()
    for key, text, packed in texts:
        info.add_text(key, text, zip=packed)
    return encoded(noise(), "PNG", pnginfo=info)


def with_comment(format: str, raw: bytes) -> bytes:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = raw
    return encoded(noise(), format, exif=exif)


@pytest.mark.parametrize(
    "data",
    [
        with_text(("parameters", A1111, False)),
        with_text(("parameters", A1111, True)),
        with_comment("JPEG", b"UNICODE\0" + A1111.encode("utf-16-be")),
        with_comment("JPEG", b"UNICODE\0" + A1111.encode("utf-16-le")),
        with_comment("WEBP", b"UNICODE\0" + A1111.encode("utf-16")),
        with_comment("WEBP", b"ASCII\0\0\0" + A1111.encode()),
        with_comment("JPEG", A1111.encode()),
    ],
)
def test_a_web_uis_picture_is_read_however_it_wrote(data: bytes) -> None:
    found = recipe_in(data)
    assert isinstance(found, ForeignRecipe)
    assert found.source == "a1111"
    assert found.prompt == "лиса, fox"
    assert found.text == A1111
    assert found.params["negativePrompt"] == "плохо"
    assert (found.params["sampler"], found.params["seed"]) == ("euler_ancestral", 5)


def test_comfyuis_pictures_are_read() -> None:
    exif = Image.Exif()
    exif[0x0110] = f"prompt:{json.dumps(WORKFLOW)}"
    both = json.dumps({"prompt": WORKFLOW, "workflow": {"nodes": []}})
    not_a_number = json.dumps(WORKFLOW | {"20": {"class_type": "X", "is_changed": [float("nan")]}})
    for data in (
        with_text(("prompt", json.dumps(WORKFLOW), False), ("workflow", "{}", False)),
        with_text(("prompt", not_a_number, False)),
        animated(exif=exif),
        with_comment("JPEG", b"UNICODE\0" + both.encode("utf-16-be")),
    ):
        found = recipe_in(data)
        assert isinstance(found, ForeignRecipe)
        assert (found.source, found.prompt) == ("comfyui", "орёл")
        assert (found.params["seed"], found.params["checkpoint"]) == (7, "v1-5.safetensors")


def old_png(stamp: dict[str, Any]) -> bytes:
    return with_text(
        ("orchestrator", json.dumps(stamp), False), ("prompt", json.dumps(WORKFLOW), False)
    )


def old_jpeg(stamp: dict[str, Any]) -> bytes:
    text = json.dumps(stamp | {"workflow": WORKFLOW}, ensure_ascii=False)
    return with_comment("JPEG", b"UNICODE\0" + text.encode("utf-16-be"))


@pytest.mark.parametrize("old", [old_png, old_jpeg])
def test_files_of_the_first_version_are_still_read(old: Callable[[dict[str, Any]], bytes]) -> None:
    stamp = {
        "jobId": recipe().job_id,
        "attempt": 1,
        "index": 0,
        "backend": "sd15",
        "prompt": PROMPT,
        "params": {"steps": 20},
        "seed": 7,
        "service": "comfyui",
        "host": "http://127.0.0.1:8188",
        "workflow": None,
        "createdAt": "2026-11-22T12:00:00Z",
        "software": "orchestrator-lab 0.1.0",
        "sourceDigest": "0" * 32,
    }
    assert recipe_in(old(stamp)) == recipe()


def chunk(name: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(name + content)
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", crc)


def with_chunk(name: bytes, content: bytes) -> bytes:
    data = encoded(noise(), "PNG")
    return data[:33] + chunk(name, content) + data[33:]


HOSTILE: dict[str, Callable[[], bytes]] = {
    "deep json": lambda: with_chunk(b"tEXt", b"prompt\0" + b'{"a":' * 500_000),
    "deep lists": lambda: with_chunk(
        b"tEXt", b'prompt\0{"1":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    ),
    "20 MB of text": lambda: with_chunk(b"tEXt", b"parameters\0" + b"Steps: 1, " * 2_000_000),
    "a bomb": lambda: with_chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(20_000_000), 9)),
    "a bomb in iTXt": lambda: with_chunk(
        b"iTXt", b"prompt\0\1\0\0\0" + zlib.compress(b"{" * 20_000_000, 9)
    ),
    "broken packing": lambda: with_chunk(b"zTXt", b"parameters\0\0no zlib"),
    "bare key": lambda: with_chunk(b"tEXt", b"parameters"),
    "broken checksum": lambda: with_chunk(b"tEXt", b"parameters\0" + A1111.encode()).replace(
        b"Euler a", b"Euler b"
    ),
    "a number": lambda: with_chunk(b"tEXt", b"prompt\x005"),
    "broken letters": lambda: with_chunk(b"tEXt", b'prompt\0{"\xff\xfe": 1}'),
    "ours, of something else": lambda: with_chunk(b"tEXt", b'orchestrator\0{"jobId": 5}'),
    "half": lambda: encoded(noise(), "PNG")[:100],
    "odd UTF-16": lambda: with_comment("JPEG", b"UNICODE\0\xd8\x00\xd8\x00\x41"),
    "empty comment": lambda: with_comment("WEBP", b""),
    "nothing": lambda: b"",
    "a web page": lambda: b"<html>",
    "half a film": lambda: keyed_film(WORKFLOW)[:-400],
    "film of lies": lambda: film(texts=box(b"udta", box(b"meta", b"\0" * 7))),
}


@pytest.mark.parametrize("name", list(HOSTILE))
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_hostile_file_says_nothing_and_says_it_soon(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(HOSTILE[name]())
    began = time.perf_counter()
    assert find_recipe(path) is None
    assert time.perf_counter() - began < 3


def test_damage_anywhere_is_no_exception() -> None:
    rng = np.random.default_rng(5)
    whole = [
        with_text(("parameters", A1111, False)),
        with_comment("JPEG", b"UNICODE\0" + A1111.encode("utf-16-be")),
        with_comment("WEBP", b"UNICODE\0" + A1111.encode("utf-16-be")),
        keyed_film(WORKFLOW),
    ]
    for data in whole:
        for _ in range(150):
            broken = bytearray(data)
            for at in rng.integers(0, len(data), 4):
                broken[at] = rng.integers(0, 256)
            found = recipe_in(bytes(broken[: rng.integers(1, len(data) + 1)]))
            assert found is None or isinstance(found, ForeignRecipe)


# ------------------------------------------------------------------------------ the lab and the command


def pixels(path: Path) -> list[tuple[str, tuple[int, int], bytes]]:
    return list(frames(path.read_bytes()))


def test_again_paints_the_same_pixels_and_another_seed_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMFY_URL", raising=False)
    Paths.init(tmp_path)

    async def work(lab: Lab) -> None:
        small = {"steps": 2, "width": 64, "height": 64}
        async with lab.worker():
            made = await lab.image(PROMPT, **small, sampler="Euler a", negative_prompt="плохо, да")
            sidecar(made.path).unlink()
            again = await (await lab.again(made.path)).picture()
            assert again.path != made.path
            assert pixels(again.path) == pixels(made.path)
            assert made.recipe is not None
            assert made.recipe.workflow is not None
            used = made.recipe.workflow["1"]["inputs"]["ckpt_name"]
            assert again.job.params["checkpoint"] == used
            other = await (await lab.again(made.path.name, seed=5, steps=3)).picture()
            assert pixels(other.path) != pixels(made.path)
            assert other.job.params["steps"] == 3

            moving = await lab.image("a fox", backend="svd", frames=2, seed=3, **small)
            twice = await (await lab.again(moving.path)).picture()
            assert moving.path.suffix == ".webp"
            assert len(pixels(moving.path)) == 2
            assert pixels(twice.path) == pixels(moving.path)

            # a stranger's picture that says the same: its words are mapped onto ours
            found = page_reads_png(made.path.read_bytes())
            for key in ("parameters", "prompt"):
                path = tmp_path / f"{key}.png"
                path.write_bytes(with_text((key, found[key], False)))
                foreign = lab.recipe(path)
                assert isinstance(foreign, ForeignRecipe)
                same = await (await lab.again(path)).picture()
                assert pixels(same.path) == pixels(made.path), key

    with Lab.open(tmp_path) as lab:
        asyncio.run(work(lab))


def test_a_doubtful_repetition_is_told_of(tmp_path: Path) -> None:
    Paths.init(tmp_path)
    path = tmp_path / "fox.png"
    path.write_bytes(with_text(("parameters", A1111, False)))
    with Lab.open(tmp_path) as lab:
        with pytest.warns(UserWarning, match="does not say its checkpoint"):
            handle = asyncio.run(lab.again(path, hold=True, width=128))
        assert handle.job.backend == "sd15"
        assert handle.job.prompt == "лиса, fox"
        assert handle.job.params["width"] == 128
        (tmp_path / "plain.png").write_bytes(encoded(noise(), "PNG"))
        assert lab.recipe(tmp_path / "plain.png") is None
        with pytest.raises(ParamsInvalid, match=r"plain\.png"):
            asyncio.run(lab.again(tmp_path / "plain.png"))
        with pytest.raises(ImageNotFound):
            lab.recipe("nothing.png")


def test_the_command_tells_how_a_picture_was_made(tmp_path: Path) -> None:
    ours = put(encoded(noise(), "JPEG"), tmp_path).path
    theirs, plain = tmp_path / "theirs.png", tmp_path / "plain.png"
    theirs.write_bytes(with_text(("parameters", A1111, False)))
    plain.write_bytes(encoded(noise(), "PNG"))

    def run(*args: str) -> Result:
        return CliRunner().invoke(app, ["recipe", *args], env={"COLUMNS": "200"})

    said = json.loads(run(str(ours), "--json").stdout)
    assert said["source"] == "orchestrator"
    assert said["recipe"]["workflow"] == WORKFLOW
    assert json.loads(run(str(theirs), "--json").stdout)["recipe"]["params"]["cfg"] == 7
    told = run(str(theirs))
    assert told.exit_code == 0
    assert "лиса, fox" in told.stdout
    assert "euler_ancestral" in told.stdout
    nothing = run(str(plain), "--json")
    assert (nothing.exit_code, json.loads(nothing.stdout)) == (1, {"source": None, "recipe": None})
    assert run(str(tmp_path / "no.png")).exit_code == 2
