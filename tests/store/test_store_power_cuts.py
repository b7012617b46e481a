"""Every state in which a power cut could leave the disk, enumerated: nothing that was acknowledged is ever lost.

A disk records each operation of a job's whole life. A state is a prefix of them, minus names that no fsync of a folder
had made safe (a journal keeps their order), and with file contents that no fsync had made safe empty, half or whole.
The same check must find fault with disks that leave out one of the precautions, or it would prove nothing.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pytest
from lengths import LONG
from workbench import OLD_S, START, finish, make_job, opened, put_file, take, the_attempt

from orchestrator.errors import CorruptFile, JobNotFound
from orchestrator.files import Disk
from orchestrator.jobs import Phase
from orchestrator.store import Store

JUNK = b"\0junk\0"
MAX_CONTENTS = 64  # combinations of file contents looked at per set of names
NAMES = frozenset({"create", "rename", "unlink"})


class Op(NamedTuple):
    """One thing that was asked of the disk."""

    kind: str
    path: str
    to: str = ""
    data: bytes = b""


class RecordingDisk(Disk):
    """Does what it is told, and writes down each step in the order in which it was asked for."""

    def __init__(self) -> None:
        self.ops: list[Op] = []

    def note(self, kind: str, path: Path | str, to: Path | str = "", data: bytes = b"") -> None:
        self.ops.append(Op(kind, str(path), str(to), data))

    def write(self, path: Path | str, data: bytes) -> None:
        Path(path).write_bytes(data)
        self.note("create", path)
        self.note("data", path, data=data)
        self.note_sync(path)

    def note_sync(self, path: Path | str) -> None:
        self.note("fsync", path)

    def replace(self, source: Path | str, target: Path | str) -> None:
        Path(source).replace(target)
        self.note("rename", source, target)

    def unlink(self, path: Path | str) -> None:
        super().unlink(path)
        self.note("unlink", path)

    def sync_folder(self, path: Path | str) -> None:
        self.note("sync", path)

    def reserve(self, path: Path | str, size: int) -> None:
        super().reserve(path, size)
        self.note("create", path)
        self.note("data", path, data=b"\0" * size)
        self.note("fsync", path)

    def overwrite(self, path: Path | str, data: bytes) -> None:
        super().overwrite(path, data)
        self.note("data", path, data=data)
        self.note("fsync", path)


class NoFileSync(RecordingDisk):
    """Gives a file its name before its content is safe."""

    def note_sync(self, path: Path | str) -> None:
        pass


class NoFolderSync(RecordingDisk):
    """Acknowledges before the name is safe."""

    def sync_folder(self, path: Path | str) -> None:
        pass


class InPlace(RecordingDisk):
    """Writes over the old content, as a plain open(path, "w") does."""

    def replace(self, source: Path | str, target: Path | str) -> None:
        if "/tmp/" not in str(source):
            super().replace(source, target)
            return
        data = Path(source).read_bytes()
        self.note("unlink", source)
        self.note("truncate" if Path(target).exists() else "create", target)
        self.note("data", target, data=data)
        self.note("fsync", target)
        Path(source).replace(target)


@dataclass
class Promise:
    """What a caller was told, and how many operations had been asked for by then."""

    after: int
    what: str
    kept: Callable[[Store], bool]


@dataclass
class Life:
    """A recorded workload."""

    disk: RecordingDisk
    promises: list[Promise] = field(default_factory=list)

    def promise(self, what: str, kept: Callable[[Store], bool]) -> None:
        self.promises.append(Promise(len(self.disk.ops), what, kept))

    def at_least(self, job_id: str, revision: int, remote_id: str | None = None) -> None:
        def kept(store: Store) -> bool:
            job = store.get(job_id)
            had_id = job.attempt.remote_id if job.attempt else None
            return job.revision >= revision and had_id in {remote_id, remote_id or had_id}

        self.promise(f"{job_id} at revision {revision}", kept)


def live(root: Path, disk: RecordingDisk) -> Life:
    """Create, claim with an intent, receipt, submit, finish, archive, quarantine, cancel; then one more job."""
    life = Life(disk)
    with opened(root, disk=disk) as store:
        junk = put_file(root, "junk.json", JUNK)
        for kind in ("create", "data", "fsync"):
            disk.note(kind, junk, data=JUNK if kind == "data" else b"")
        disk.note("sync", root)
        life.promise("junk kept", lambda store: JUNK in _all_junk(store))
        life.at_least("a", store.create(make_job("a", priority=1)).revision)
        life.at_least("b", store.create(make_job("b")).revision)
        store.receipts.reserve("a.1")
        claim = take(store)
        life.at_least("a", claim.job.revision)
        store.receipts.write("a.1", {"id": "T"})
        life.promise("receipt", lambda store: store.receipts.read("a.1") == {"id": "T"})
        submitted = store.update(
            "a",
            lambda job: job.with_attempt(phase=Phase.SUBMITTED, remote_id="T"),
            fence=claim.fence,
        )
        life.at_least("a", submitted.revision, "T")
        life.at_least("b", store.update("b", lambda job: job.cancel(now=START)).revision)
        done = finish(store, claim)
        life.at_least("a", done.revision, "T")
        store.archive(["a"])
        life.at_least("a", done.revision, "T")
        life.at_least("c", store.create(make_job("c")).revision)
        assert the_attempt(store.get("a")).phase is Phase.PUBLISHED
        assert [path.name.split(".")[0] for path in store.quarantine.files()] == ["junk"]
    return life


def _all_junk(store: Store) -> list[bytes]:
    paths = [*store.quarantine.files(), store.layout.root / "junk.json"]
    return [path.read_bytes() for path in paths if path.exists()]


def cuts(ops: list[Op]) -> Iterator[tuple[int, dict[str, bytes]]]:
    """Each point at which the power may go, with what may be on the disk then: path -> content."""
    for end in range(len(ops) + 1):
        done = ops[:end]
        contents = _contents(done)
        names = [(number, op) for number, op in enumerate(done) if op.kind in NAMES]
        synced = max((number for number, op in enumerate(done) if op.kind == "sync"), default=-1)
        safe = sum(number < synced for number, _ in names)
        for kept in range(safe, len(names) + 1):
            there = _names(names[:kept])
            choices = [
                [(path, content) for content in dict.fromkeys(contents[file])]
                for path, file in there.items()
            ]
            for chosen in itertools.islice(itertools.product(*choices), MAX_CONTENTS):
                yield end, dict(chosen)


def _contents(ops: list[Op]) -> dict[int, list[bytes]]:
    """What each file, named by the operation that created it, may hold: all that was written since its last fsync."""
    files: dict[str, int] = {}
    may_hold: dict[int, list[bytes]] = {}
    for number, op in enumerate(ops):
        if op.kind == "create":
            files[op.path] = number
            may_hold[number] = [b""]
        elif op.kind == "truncate":
            may_hold[files[op.path]].append(b"")
        elif op.kind == "data":
            held = may_hold[files[op.path]]
            half = op.data[: len(op.data) // 2]
            held += [part + held[-1][len(part) :] for part in (half, op.data)]
        elif op.kind == "fsync":
            del may_hold[files[op.path]][:-1]
        elif op.kind == "rename":
            files[op.to] = files.pop(op.path)
        elif op.kind == "unlink":
            files.pop(op.path, None)
    return may_hold


def _names(ops: list[tuple[int, Op]]) -> dict[str, int]:
    there: dict[str, int] = {}
    for number, op in ops:
        if op.kind == "create":
            there[op.path] = number
        elif op.kind == "rename":
            there[op.to] = there.pop(op.path)
        else:
            there.pop(op.path, None)
    return there


def violations(
    life: Life, was: Path, root: Path, *, enough: int | None = None
) -> tuple[int, list[str]]:
    """How many different states there are, and what is wrong in those where something is.

    `enough`: with how many that are wrong the search ends; by default it goes on to the last state.
    """
    seen: set[tuple[object, ...]] = set()
    wrong: list[str] = []
    for end, files in cuts(life.disk.ops):
        promised = [promise for promise in life.promises if promise.after <= end]
        state = (len(promised), *sorted(files.items()))
        if state in seen:
            continue
        seen.add(state)
        _restore(files, was, root)
        with opened(root) as store:
            broken = [promise.what for promise in promised if not _is_kept(promise, store)]
            torn = [p.name for p in store.quarantine.files() if not p.name.startswith("junk")]
        if broken or torn:
            wrong.append(f"after {end} operations: lost {broken}, torn {torn}")
            if len(wrong) == enough:
                break
    return len(seen), wrong


def _restore(files: dict[str, bytes], was: Path, root: Path) -> None:
    for folder in (root, root / "_old", root / "_corrupt", root / ".lab" / "receipts"):
        for path in folder.glob("*") if folder.is_dir() else ():
            if path.is_file():
                path.unlink()
    shutil.rmtree(root / "_old", ignore_errors=True)
    (root / ".lab" / "index.db").unlink(missing_ok=True)
    for name, content in files.items():
        place = root / Path(name).relative_to(was)
        place.parent.mkdir(parents=True, exist_ok=True)
        put_file(place.parent, place.name, content, age_s=OLD_S)


def _is_kept(promise: Promise, store: Store) -> bool:
    try:
        return promise.kept(store)
    except (JobNotFound, CorruptFile):
        return False


def enumerated(
    tmp_path: Path, disk: RecordingDisk, *, enough: int | None = None
) -> tuple[int, list[str]]:
    life = live(tmp_path / "was", disk)
    return violations(life, tmp_path / "was", tmp_path / "after", enough=enough)


def test_no_power_cut_loses_what_was_acknowledged(tmp_path: Path) -> None:
    states, wrong = enumerated(tmp_path, RecordingDisk())
    assert wrong == []
    assert states >= 40


@pytest.mark.parametrize("careless", [NoFileSync, NoFolderSync, InPlace])
def test_a_disk_without_one_of_the_precautions_is_found_out(
    tmp_path: Path, careless: type[RecordingDisk]
) -> None:
    states, wrong = enumerated(tmp_path, careless(), enough=None if LONG else 1)
    print(f"{careless.__name__}: {len(wrong)} of {states} states lose something")
    assert wrong
