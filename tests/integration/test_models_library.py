"""All models of a machine: found in every folder, looked at once, and again only when they change."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from pathlib import Path

import pytest
from lengths import LONG
from model_files import SD15, SDXL, VAE, safetensors, sparse

from orchestrator.models import Fault, Hashes, Kind, Library
from orchestrator.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    (tmp_path / "paths.json").write_text('{"comfyRoot": "comfy"}')
    found = Paths.load(tmp_path / "paths.json")
    found.create()
    return found


def put(paths: Paths, name: str, content: bytes) -> Path:
    path = paths.file.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def names(library: Library) -> list[tuple[str, str]]:
    return [(entry.folder_type, entry.name) for entry in library.files()]


def test_models_are_listed_by_the_folder_and_name_comfyui_gives_them(paths: Paths) -> None:
    put(paths, "comfy/models/checkpoints/sub/a.safetensors", safetensors(SD15))
    put(paths, "models/vae/b.safetensors", safetensors(VAE))
    put(
        paths,
        "models/Lora/c.safetensors",
        safetensors({"x.lora_down.weight": (1, 2), "x.lora_up.weight": (2, 1)}),
    )
    put(paths, "models/loose.safetensors", safetensors(SDXL))
    put(paths, "models/vae/readme.md", b"no model")
    put(paths, "models/vae/.cache/huggingface/download/b.incomplete", b"no model either")
    library = Library(paths)
    assert names(library) == [
        ("", "loose.safetensors"),
        ("checkpoints", str(Path("sub", "a.safetensors"))),
        ("loras", "c.safetensors"),
        ("vae", "b.safetensors"),
    ]
    kinds = [entry.file.kind for entry in library.files()]
    assert kinds == [Kind.CHECKPOINT, Kind.CHECKPOINT, Kind.LORA, Kind.VAE]


def test_the_families_and_faults_of_checkpoints_are_told_by_name(paths: Paths) -> None:
    put(paths, "comfy/models/checkpoints/a.safetensors", safetensors(SD15))
    put(paths, "comfy/models/checkpoints/b.safetensors", safetensors(SDXL)[:-1])
    put(paths, "comfy/models/checkpoints/c.ckpt", b"\x80\x02}.")
    put(paths, "models/loras/d.safetensors", b"")
    library = Library(paths)
    assert library.families_by_name() == {"a.safetensors": "sd15", "c.ckpt": None}
    faults = library.faults_by_name()
    assert list(faults) == ["b.safetensors"]
    assert "cut off" in faults["b.safetensors"]


def test_what_lies_among_the_checkpoints_and_is_none_is_told_as_unfit(paths: Paths) -> None:
    put(paths, "models/checkpoints/a.safetensors", safetensors(VAE))
    bare = {name: shape for name, shape in SD15.items() if name.startswith("model.")}
    put(paths, "models/checkpoints/b.safetensors", safetensors(bare))
    library = Library(paths)
    assert library.families_by_name() == {}
    faults = library.faults_by_name()
    assert "vae" in faults["a.safetensors"]
    assert "diffusion model only" in faults["b.safetensors"]
    assert all(entry.file.is_whole for entry in library.files())


def test_of_two_checkpoints_with_one_name_comfyuis_counts(paths: Paths) -> None:
    put(paths, "comfy/models/checkpoints/a.safetensors", safetensors(SD15))
    put(paths, "models/checkpoints/a.safetensors", b"<html>")
    library = Library(paths)
    assert library.families_by_name() == {"a.safetensors": "sd15"}
    assert library.faults_by_name() == {}


def test_links_are_followed_and_circles_are_not(paths: Paths, tmp_path: Path) -> None:
    real = put(paths, "elsewhere/real.safetensors", safetensors(SD15))
    folder = paths.models_root / "checkpoints"
    folder.mkdir()
    (folder / "link.safetensors").symlink_to(real)
    (folder / "dir").symlink_to(real.parent)
    (folder / "circle").symlink_to(folder)
    (folder / "dangling.safetensors").symlink_to(tmp_path / "nothing")
    expected = [
        ("checkpoints", str(Path("dir", "real.safetensors"))),
        ("checkpoints", "link.safetensors"),
    ]
    assert names(Library(paths)) == expected


def test_a_changed_file_is_looked_at_again_and_others_are_not(paths: Paths) -> None:
    path = put(paths, "models/checkpoints/a.safetensors", safetensors(SD15))
    library = Library(paths)
    assert library.faults_by_name() == {}
    path.write_bytes(path.read_bytes()[:-1])
    assert list(library.faults_by_name()) == ["a.safetensors"]
    path.unlink()
    assert library.files() == []


def test_what_was_found_is_kept_for_the_next_process(paths: Paths) -> None:
    path = put(paths, "models/checkpoints/a.safetensors", safetensors(SDXL))
    before = Library(paths).files()
    state = path.stat()
    path.write_bytes(bytes(state.st_size))  # other bytes under the same size and time: nobody looks
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert Library(paths).files() == before


@pytest.mark.parametrize(
    "junk", [b"", b"{}", b"[]", b"nonsense", b'{"version":1,"files":{"/x":[1]}}']
)
def test_a_cache_of_no_use_is_made_again(paths: Paths, junk: bytes) -> None:
    put(paths, "models/checkpoints/a.safetensors", safetensors(SD15))
    (paths.data / "models-cache.json").write_bytes(junk)
    assert Library(paths).families_by_name() == {"a.safetensors": "sd15"}
    assert json.loads((paths.data / "models-cache.json").read_bytes())["files"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_stops_nothing(paths: Paths) -> None:
    path = put(paths, "models/checkpoints/a.safetensors", safetensors(SD15))
    put(paths, "models/checkpoints/b.safetensors", safetensors(SD15))
    path.chmod(0)
    library = Library(paths)
    assert library.files()[0].file.fault is Fault.UNREADABLE
    assert library.faults_by_name() == {}  # the server may be allowed to
    path.chmod(0o600)
    assert library.files()[0].file.is_whole


def test_an_unfinished_download_is_a_fault_until_its_mark_goes(paths: Paths) -> None:
    put(paths, "models/checkpoints/a.safetensors", safetensors(SD15))
    mark = put(paths, "models/checkpoints/a.safetensors.aria2", b"")
    library = Library(paths)
    assert library.files()[0].file.fault is Fault.PARTIAL_DOWNLOAD
    mark.unlink()
    assert library.files()[0].file.is_whole


def test_files_that_come_and_go_meanwhile_stop_nothing(paths: Paths) -> None:
    folder = paths.models_root / "loras"
    folder.mkdir()
    done = threading.Event()

    def churn() -> None:
        while not done.is_set():
            for number in range(20):
                path = folder / f"{number}.safetensors"
                path.write_bytes(safetensors(VAE))
                path.unlink()

    other = threading.Thread(target=churn)
    other.start()
    try:
        library = Library(paths)
        for _ in range(40):
            library.files()
    finally:
        done.set()
        other.join()


def test_a_hundred_files_of_a_gigabyte_would_be_verified_in_five_seconds(paths: Paths) -> None:
    """A fifth of them in one second here, all in the long form."""
    number = 100 if LONG else 20
    folder = paths.models_root / "checkpoints"
    folder.mkdir()
    shapes = SD15 | {
        f"model.diffusion_model.input_blocks.0.x{n}.weight": (250_000,) for n in range(2000)
    }
    sparse((folder / f"{each}.safetensors" for each in range(number)), shapes)
    assert (folder / "0.safetensors").stat().st_size > 10**9
    start = time.process_time()  # our own work: what else the machine does meanwhile is not its
    found = Library(paths).files()
    assert time.process_time() - start < number / 20
    assert len(found) == number
    assert all(entry.file.is_whole for entry in found)


def test_a_second_look_at_a_thousand_files_is_quick(paths: Paths) -> None:
    for number in range(1000):
        put(paths, f"models/loras/{number}.safetensors", safetensors(VAE))
    library = Library(paths)
    library.files()
    start = time.process_time()
    assert len(library.files()) == 1000
    assert time.process_time() - start < 0.5


# ---------------------------------------------------------------- hashes


def test_a_digest_is_measured_once_and_again_when_the_file_changes(paths: Paths) -> None:
    path = put(paths, "models/vae/a.safetensors", safetensors(VAE))
    hashes = Hashes(paths)
    read: list[int] = []
    digest = hashes.of(path, lambda done, size: read.append(done))
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read[-1] == path.stat().st_size
    read.clear()
    assert Hashes(paths).of(path, lambda done, size: read.append(done)) == digest
    assert read == []
    path.write_bytes(safetensors(VAE, fill=1))
    assert Hashes(paths).of(path) != digest


def test_a_published_digest_is_found_beside_the_file_in_the_cache_or_in_the_list(
    paths: Paths,
) -> None:
    content = safetensors(VAE)
    digest = hashlib.sha256(content).hexdigest()
    hashes = Hashes(paths)
    beside = put(paths, "models/vae/a.safetensors", content)
    assert hashes.published(beside) is None
    put(paths, "models/vae/a.safetensors.sha256", f"{digest.upper()}  a.safetensors\n".encode())
    assert hashes.published(beside) == digest
    blob = put(paths, f"cache/hf/models--x--y/blobs/{digest}", content)
    link = paths.models_root / "vae" / "b.safetensors"
    link.symlink_to(blob)
    assert hashes.published(link) == digest
    local = put(paths, "models/vae/c.safetensors", content)
    put(
        paths,
        "models/vae/.cache/huggingface/download/c.safetensors.metadata",
        f"{'0' * 40}\n{digest}\n1.5\n".encode(),
    )
    assert hashes.published(local) == digest
    known = put(paths, "models/upscale_models/RealESRGAN_x4plus.safetensors", b"")
    assert hashes.published(known) is None  # another version may go by the name
    os.truncate(known, 66_857_836)
    assert (
        hashes.published(known)
        == "37f9a931c215f040aa6d50f711f2cb115f713c46df1d0d6469a8bd7bfe9a60bb"
    )
