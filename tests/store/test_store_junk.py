"""Whatever lies in the jobs folder: it is set aside with a note or left alone, and nothing stops or hangs for it."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from lengths import LONG
from workbench import START, finish, make_job, needs_posix, opened, put_file, take, take_any

from orchestrator.errors import CorruptFile, JobNotFound
from orchestrator.jobs import Status
from orchestrator.store import Store

HANG_S = 20


def document(**changed: Any) -> bytes:
    """A queued job with some fields changed."""
    return orjson.dumps(orjson.loads(make_job("x").to_json()) | changed)


def nested(depth: int) -> bytes:
    return document()[:-1] + b',"foo":' + b"[" * depth + b"]" * depth + b"}"


JUNK = {
    "empty": b"",
    "cut off": b"{",
    "cut off in the middle": make_job("x").to_json()[:200],
    "NULs": b"\0" * 700,
    "random": os.urandom(900),
    "a list": b"[]",
    "null": b"null",
    "a number": b"7",
    "not UTF-8": document().replace(b"a fox", b"a f\xffx"),
    "UTF-16": document().decode().encode("utf-16"),
    "another's id": document(id="y"),
    "no id": b'{"status": "queued"}',
    "no status": b'{"id": "x", "backend": "sd15", "createdAt": "2026-01-01T00:00:00Z"}',
    "nested a bit too deep": nested(150),
    "nested too deep": nested(900),
    "nested absurdly": b"[" * 100_000,
    "a number that is none": document(priority=0)[:-1] + b',"priority":1e999}',
    "two documents": document() * 2,
    "a time that UTC does not have": document(createdAt="0001-01-01T00:00:00+14:00"),
}


def everything(store: Store) -> None:
    """All that a worker and a reader do with a folder."""
    store.refresh(force=True)
    while claim := take_any(store):
        finish(store, claim)
    store.recover()
    store.tidy()
    store.archive(store.ended_before(START + timedelta(days=9999), keep=0))
    store.page()
    store.counts()
    store.snapshot()
    for act in (store.get, store.resolve):
        with contextlib.suppress(JobNotFound, CorruptFile):
            act("x")


@pytest.mark.timeout(HANG_S)
@pytest.mark.parametrize("kind", JUNK)
def test_what_is_no_job_is_set_aside_with_a_note_and_good_jobs_go_on(
    tmp_path: Path, kind: str
) -> None:
    put_file(tmp_path, "x.json", JUNK[kind])
    with opened(tmp_path) as store:
        store.create(make_job("good"))
        everything(store)
        assert store.get("good").status is Status.DONE
        (aside,) = store.quarantine.files()
        assert aside.read_bytes() == JUNK[kind]
        note = aside.with_name(aside.name + ".txt").read_text("utf-8")
        assert "x.json was set aside" in note
        assert not (tmp_path / "x.json").exists()
        with pytest.raises(JobNotFound):
            store.get("x")


def test_a_page_does_not_count_what_it_has_just_set_aside(tmp_path: Path) -> None:
    put_file(tmp_path, "x.json", document(params=None))  # its head makes sense
    with opened(tmp_path) as store:
        store.create(make_job("good"))
        store.refresh(force=True)
        jobs, total = store.page()
        assert ([job.id for job in jobs], total) == (["good"], 1)


WRONG: list[Any] = ["x", -1, 1.5, [], {}, [1], {"a": 1}, None, True, "é\0\n", 10**19]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("status", ["created", "queued", "running", "done", "failed"])
def test_a_value_of_the_wrong_type_in_any_field_stops_nothing(tmp_path: Path, status: str) -> None:
    # every field has every value once or more; in the long form in each status
    statuses = ["created", "queued", "running", "done", "failed"]
    turn = statuses.index(status)
    fields = orjson.loads(make_job("x").to_json()).keys() - {"id"}
    with opened(tmp_path) as store:
        for number, field in enumerate(sorted(fields)):
            for value in WRONG if LONG else WRONG[(turn + number) % 3 :: 3]:
                content = document(**{"status": status, field: value})
                path = put_file(tmp_path, "x.json", content)
                everything(store)  # raises if it minds
                for left in (path, *(tmp_path / "_old").rglob("x.json")):
                    left.unlink(missing_ok=True)
        store.create(make_job("good"))
        assert take(store).job.id == "good"


def make_folder(path: Path) -> None:
    path.mkdir()


def make_link(path: Path) -> None:
    elsewhere = path.parent / "elsewhere"
    elsewhere.write_bytes(document())
    path.symlink_to(elsewhere)


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


def make_circle(path: Path) -> None:
    path.symlink_to(path)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    os.mknod(path, 0o140644)


@needs_posix
@pytest.mark.timeout(HANG_S)
@pytest.mark.parametrize("folder", [".", "_old", "_old/2026-11"])
@pytest.mark.parametrize(
    "make", [make_folder, make_link, make_dangling_link, make_circle, make_fifo, make_socket]
)
def test_what_is_no_plain_file_is_left_alone_and_never_opened(
    tmp_path: Path, make: Callable[[Path], None], folder: str
) -> None:
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    make(tmp_path / folder / "x.json")
    with opened(tmp_path) as store:
        store.create(make_job("good"))
        everything(store)
        assert store.get("good").status is Status.DONE
        assert os.path.lexists(tmp_path / folder / "x.json")
        assert store.quarantine.files() == []
        with pytest.raises(JobNotFound):
            store.update("x", lambda job: job.logged("x"))
        assert [job.id for job in store.page()[0]] == ["good"]


@pytest.mark.timeout(HANG_S)
def test_a_file_of_fifty_megabytes_is_set_aside_without_being_read(tmp_path: Path) -> None:
    path = put_file(tmp_path, "x.json", b"")
    os.truncate(path, 50_000_000)
    os.utime(path, (1, 1))
    with opened(tmp_path) as store:
        started = time.monotonic()
        everything(store)
        assert time.monotonic() - started < 5
        (aside,) = store.quarantine.files()
        assert aside.stat().st_size == 50_000_000


def test_a_file_that_is_still_being_written_is_left_alone_at_first(tmp_path: Path) -> None:
    whole = document()
    path = put_file(tmp_path, "x.json", whole[:100], age_s=0)
    with opened(tmp_path) as store:
        everything(store)
        assert path.exists()
        path.write_bytes(whole)
        assert store.refresh() == ["x"]
        assert take(store).job.id == "x"


def test_a_file_that_stays_half_written_is_set_aside_when_it_is_old(tmp_path: Path) -> None:
    path = put_file(tmp_path, "x.json", b"{", age_s=0)
    with opened(tmp_path) as store:
        store.refresh()
        assert path.exists()
        stamp = time.time() - 1
        os.utime(path, (stamp, stamp))
        store.refresh()  # nothing moved in the folder meanwhile
        assert not path.exists()
        assert len(store.quarantine.files()) == 1


@pytest.mark.parametrize("folder", ["_old", "_old/2026-11"])
@pytest.mark.parametrize("junk", [b"", b'{"id": "x"', b"[]", document(logs=7), document(id="y")])
def test_a_torn_file_of_the_archive_is_set_aside_and_counted_no_more(
    tmp_path: Path, junk: bytes, folder: str
) -> None:
    (tmp_path / folder).mkdir(parents=True)
    put_file(tmp_path / folder, "x.json", junk)
    with opened(tmp_path) as store:
        store.page()
        jobs, total = store.page()
        assert (jobs, total) == ([], 0)
        assert len(store.quarantine.files()) == 1
        with pytest.raises(JobNotFound):
            store.get("x")


@needs_posix
@pytest.mark.parametrize(
    "name", ["white space.json", "-rf.json", "..json", "...json", ".json", "a\nb.json", "ä.json"]
)
def test_a_name_that_no_job_can_have_is_set_aside_and_forges_no_log(
    tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    put_file(tmp_path, name, orjson.dumps(orjson.loads(document()) | {"id": name[:-5]}))
    with caplog.at_level(logging.INFO), opened(tmp_path) as store:
        everything(store)
        assert store.page() == ([], 0)
        assert len(store.quarantine.files()) == 1
    assert all("\n" not in record.getMessage() for record in caplog.records)


@needs_posix
def test_a_name_that_is_no_text_is_set_aside(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.json"
    with open(path, "wb") as file:  # noqa: PTH123 - pathlib has no bytes paths
        file.write(b"{")
    os.utime(path, (1, 1))
    with opened(tmp_path) as store:
        everything(store)
        assert len(store.quarantine.files()) == 1


@pytest.mark.parametrize(
    "damage", [b"", b"not SQLite", b"SQLite format 3\0" + b"\xff" * 8000, None]
)
def test_an_index_that_is_damaged_or_deleted_comes_back(
    tmp_path: Path, damage: bytes | None
) -> None:
    with opened(tmp_path) as store:
        for number in range(5):
            store.create(make_job(f"j{number}"))
            finish(store, take(store))
        store.archive([f"j{number}" for number in range(5)])
        assert store.counts()[Status.DONE] == 5
        index = store.layout.index
        if damage is None:
            index.unlink()
        else:
            index.write_bytes(damage)
        assert store.page()[1] == 5
        with opened(tmp_path) as fresh:
            assert fresh.counts()[Status.DONE] == 5
            assert len(fresh.page()[0]) == 5
