"""paths.json: read once, relative to itself, told exactly what is wrong; and names that stay in their folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import PathOutside, PathsInvalid
from orchestrator.paths import DEFAULTS, Paths, inside

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX paths")


def written(folder: Path, **entries: Any) -> Path:
    file = folder / "paths.json"
    file.write_bytes(orjson.dumps(entries))
    return file


def test_missing_keys_take_their_default_relative_to_the_file(tmp_path: Path) -> None:
    paths = Paths.load(written(tmp_path, jobs="elsewhere/jobs"))
    assert paths.jobs == tmp_path / "elsewhere" / "jobs"
    assert paths.drop_out == tmp_path / "drop" / "out"
    assert paths.project_root == tmp_path
    assert paths.comfy_root is None
    assert paths.env_file == tmp_path / ".env.local"


@pytest.mark.parametrize("key", DEFAULTS)
def test_every_key_may_be_absolute(tmp_path: Path, key: str) -> None:
    place = tmp_path / "somewhere"
    paths = Paths.load(written(tmp_path, **{key: str(place)}))
    assert dict(paths.items())[key] == place


@posix
def test_the_old_systems_windows_paths_are_found_where_wsl_mounts_them(tmp_path: Path) -> None:
    paths = Paths.load(
        written(
            tmp_path,
            dropOut="F:\\Drop\\out",
            projectRoot="C:\\Work\\Orchestrator",
            workflows="f:/Workflows",
            logs="sub\\logs",
        )
    )
    assert paths.drop_out == Path("/mnt/f/Drop/out")
    assert paths.project_root == Path("/mnt/c/Work/Orchestrator")
    assert paths.workflows == Path("/mnt/f/Workflows")
    assert paths.logs == tmp_path / "sub" / "logs"


@posix
def test_a_drive_this_machine_has_not_is_named(tmp_path: Path) -> None:
    letter = next(x for x in "qwzyx" if not Path("/mnt", x).exists())
    paths = Paths.load(written(tmp_path, dropOut=f"{letter}:\\Drop"))
    with pytest.raises(PathsInvalid, match=f"dropOut.*drive {letter.upper()}:"):
        paths.create()
    assert not Path("/mnt", letter).exists()
    (place,) = [place for place in paths.places() if place.key == "dropOut"]
    assert place.problem == f"drive {letter.upper()}: is not on this machine"


WRONG: list[tuple[Any, str]] = [
    (b"", "cannot be read"),
    (b"{", "cannot be read"),
    (b"[]", "must hold a JSON object"),
    (b"null", "must hold a JSON object"),
    (b'{"jbos": "x"}', "unknown key 'jbos'; did you mean jobs"),
    (b'{"zzzzzz": 1}', "unknown key 'zzzzzz'"),
    (b'{"jobs": 7}', "jobs in .* must be the name of a folder"),
    (b'{"jobs": ""}', "jobs in .* must be the name of a folder"),
    (b'{"jobs": "  "}', "jobs in .* must be the name of a folder"),
    (b'{"jobs": "a\\u0000b"}', "jobs in .* must be the name of a folder"),
    (b'{"jobs": null}', "needs a folder for jobs"),
    (b'{"jobs": ["a"]}', "jobs in .* must be the name of a folder"),
]


@pytest.mark.parametrize(("content", "message"), WRONG)
def test_a_file_that_cannot_be_used_says_what_is_wrong_and_where(
    tmp_path: Path, content: bytes, message: str
) -> None:
    file = tmp_path / "paths.json"
    file.write_bytes(content)
    with pytest.raises(PathsInvalid, match=message) as caught:
        Paths.load(file)
    assert str(file) in caught.value.message
    assert caught.value.remedy


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Notepad and PowerShell write one."""
    (tmp_path / "paths.json").write_bytes(b"\xef\xbb\xbf" + b'{"jobs": "x"}')
    assert Paths.load(tmp_path / "paths.json").jobs == tmp_path / "x"


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PathsInvalid) as caught:
        Paths.load(tmp_path / "paths.json")
    assert "--init" in caught.value.remedy


def test_the_file_named_by_the_variable_wins_then_the_nearest_above(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORCHESTRATOR_PATHS", raising=False)
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    near = Paths.init(tmp_path)
    named = Paths.init(tmp_path / "named")
    assert Paths.find(deep) == near
    monkeypatch.setenv("ORCHESTRATOR_PATHS", str(named.file))
    assert Paths.find(deep) == named


def test_init_writes_all_keys_once_and_never_over_a_file(tmp_path: Path) -> None:
    Paths.init(tmp_path)
    assert orjson.loads((tmp_path / "paths.json").read_bytes()) == DEFAULTS
    written(tmp_path, jobs="mine")
    assert Paths.init(tmp_path).jobs == tmp_path / "mine"


def test_create_makes_every_folder_but_somebodys_comfyui(tmp_path: Path) -> None:
    paths = Paths.load(written(tmp_path, comfyRoot="ComfyUI"))
    paths.create()
    missing = [place.key for place in paths.places() if not place.exists]
    assert missing == ["comfyRoot"]
    assert all(place.writable for place in paths.places() if place.exists)


def test_a_file_in_a_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "jobs").write_text("")
    paths = Paths.load(written(tmp_path))
    assert {p.key: p.problem for p in paths.places()}["jobs"] == "a file is in its place"
    with pytest.raises(PathsInvalid, match="jobs cannot be created"):
        paths.create()


@posix
def test_a_link_to_a_paths_file_is_relative_to_the_links_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "paths.json").symlink_to(written(tmp_path / "real"))
    assert Paths.load(tmp_path / "paths.json").jobs == tmp_path / "jobs"


# ---------------------------------------------------------------- names from outside

OUTSIDE = [
    "",
    ".",
    "./",
    "..",
    "../x",
    "a/../../x",
    "a\\..\\..\\x",
    "/etc/passwd",
    "\\\\server\\share",
    "//server/share",
    "C:\\x",
    "c:x",
    "C:/x",
    "x:stream",
    "a\0b",
    "a\nb",
    "con",
    "NUL.txt",
    "a/COM1",
    "lpt9.png",
    "\u202egnp.exe",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_name_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(PathOutside):
        inside(tmp_path, name)


@pytest.mark.parametrize(
    "name", ["a.png", "a/b.png", "a\\b.png", "ä ö.png", "...png", "a..b", "console"]
)
def test_a_name_inside_is_joined(tmp_path: Path, name: str) -> None:
    assert inside(tmp_path, name) == tmp_path.joinpath(*name.replace("\\", "/").split("/"))


@posix
def test_a_link_that_leads_out_is_refused_and_one_that_stays_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (tmp_path / "secret").write_text("")
    (folder / "real").mkdir()
    (folder / "out").symlink_to(tmp_path)
    (folder / "file").symlink_to(tmp_path / "secret")
    (folder / "to-real").symlink_to(folder / "real")
    for name in ("out/secret", "out", "file", "out/new.png"):
        with pytest.raises(PathOutside):
            inside(folder, name)
    assert inside(folder, "to-real/a.png") == folder / "to-real" / "a.png"


@posix
def test_a_folder_that_is_itself_a_link_is_fine(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert inside(tmp_path / "link", "a.png") == tmp_path / "link" / "a.png"


@posix
def test_a_circle_of_links_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "a")
    with pytest.raises(PathOutside):
        inside(tmp_path, "a/x")


@given(st.text(alphabet="a./\\:~ \0C\n", max_size=12))
def test_whatever_the_name_the_path_stays_inside_or_is_refused(name: str) -> None:
    folder = Path("/nowhere/folder") if os.name == "posix" else Path("C:/nowhere/folder")
    try:
        path = inside(folder, name)
    except PathOutside:
        return
    assert path.resolve().is_relative_to(folder)
    assert path != folder
