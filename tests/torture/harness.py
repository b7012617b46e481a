"""Everything at once: workers and writers killed, junk in the folder, cancels, readers; then a verdict on the promises.

The processes are forked from this one, which has no threads, so that a killed one is back within milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import httpx
import orjson

sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))

from mutants import MUTANTS
from worker_process import work

from orchestrator.errors import JobExists, StoreError
from orchestrator.jobs import TERMINAL, Job, Phase, Status, prompt_id
from orchestrator.ledger import Ledger
from orchestrator.store import Store
from orchestrator.testing import make_job, make_lab

WORKERS, WRITERS, READERS, ENGINES = 3, 8, 2, 1
KILL_S, KILL_WRITER_S = 0.5, 0.1  # a writer is done within a second
JUNK, CANCELS = 40, 50
LEASE_S = 3.0
SETTLE_S = 1.5  # a file is set aside when it is older than half a second, at the next look
CONTENTS = (
    b"",
    b"{",
    b"\0" * 900,
    bytes(range(256)) * 2,
    b"[]",
    b"null",
    b'{"id": 1}',
    b'{"id": "another", "status": "queued", "backend": "sd15", "createdAt": "2026-11-22T12:00:00Z"}',
)


@dataclass
class Verdict:
    """What came of a run. `broken` names the promises that were not kept."""

    jobs: int
    seed: int
    mutant: str
    seconds: float = 0.0
    worker_kills: int = 0
    writer_kills: int = 0
    states: dict[str, int] = field(default_factory=dict)
    taken_over: int = 0  # jobs that ended well although a worker died on them
    lost: list[str] = field(default_factory=list)  # acknowledged, and not there
    unended: list[str] = field(default_factory=list)
    paid_twice: list[str] = field(default_factory=list)
    # the ledger says another price than the bill
    misbooked: list[str] = field(default_factory=list)
    painted_again: list[str] = field(default_factory=list)  # although they had been finished
    done_without_picture: list[str] = field(default_factory=list)
    ambiguous: int = 0  # shown to the user, with a failure that says so
    ambiguous_and_paid: int = 0
    unexplained: list[str] = field(default_factory=list)  # failed in any other way
    junk: int = 0
    quarantined: int = 0
    skipped: list[str] = field(default_factory=list)  # what is no file, and must still be there
    reads: int = 0
    torn: int = 0
    cancels_asked: int = 0

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept."""
        kept = {
            "nothing acknowledged is lost": not self.lost,
            "every job ends": not self.unended,
            "nothing is paid twice": not self.paid_twice,
            "the ledger is the bill": not self.misbooked,
            "nothing that was painted is painted again": not self.painted_again,
            "a job that is done has its picture": not self.done_without_picture,
            "what fails is explained": not self.unexplained,
            "junk is set aside": self.quarantined == self.junk,
            "what is no file is let alone": self.skipped == ["dir.json", "fifo.json", "link.json"],
            "nobody reads half a job": self.torn == 0 and self.reads > 0,
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]

    def to_json(self) -> str:
        """The verdict for another program."""
        return json.dumps({**vars(self), "broken": self.broken})


def fork(act: Callable[[], object]) -> int:
    """Do something in a child process; returns its id."""
    child = os.fork()
    if child == 0:
        _act_and_exit(act)
    return child


def _act_and_exit(act: Callable[[], object]) -> NoReturn:
    code = 1
    try:
        act()
        code = 0
    except BaseException:  # noqa: BLE001 - the child must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


# ------------------------------------------------------------------------------ who takes part


def run_worker(paths: Path, mutant: str) -> None:
    if mutant:
        MUTANTS[mutant]()
    said = {
        "paths": str(paths),
        "lease_s": LEASE_S,
        "late_receipt_s": 1.0,
        "max_crashes": 1000,  # they are killed for other reasons
        "max_attempts": 20,
    }
    asyncio.run(work(said))


def write_jobs(root: Path, ids: list[str], acknowledged: Path, mutant: str) -> None:
    """Store jobs, and say of each that it is stored."""
    if mutant:
        MUTANTS[mutant]()
    store, rng = Store(root), random.Random(os.getpid())
    with acknowledged.open("a", buffering=1) as said:
        for job_id in ids:
            backend = "flux" if int(job_id[-4:]) % 2 else "sd15"
            with contextlib.suppress(JobExists):  # stored, and killed before it could say so
                # the prompt names the job, so that the bill does
                store.create(make_job(job_id, backend=backend, id=job_id))
            said.write(f"{job_id}\n")
            time.sleep(rng.uniform(0, 0.02))


def read_jobs(root: Path, said: Path) -> None:
    """Read every job file again and again; say how many, and how many made no sense."""
    reads = torn = 0
    while True:
        for entry in os.scandir(root):
            if not entry.name.startswith("j") or not entry.is_file(follow_symlinks=False):
                continue
            try:
                torn += orjson.loads(Path(entry.path).read_bytes())["id"] != entry.name[:-5]
                reads += 1
            except FileNotFoundError:
                continue
            except (orjson.JSONDecodeError, KeyError, TypeError):
                torn += 1
        whole = said.with_suffix(".new")  # it is killed at any moment
        whole.write_text(f"{reads} {torn}")
        whole.replace(said)
        time.sleep(0.1)


# ------------------------------------------------------------------------------ the run


class Torture:
    """One run in one folder."""

    def __init__(self, folder: Path, *, jobs: int, seed: int, mutant: str, limit_s: float) -> None:
        self._folder = folder
        self._rng = random.Random(seed)
        self._limit_s = limit_s
        self._mutant = mutant
        per_writer = jobs // WRITERS
        self._ids = {
            writer: [f"j{writer}-{n:04d}" for n in range(per_writer)] for writer in range(WRITERS)
        }
        self.verdict = Verdict(per_writer * WRITERS, seed, mutant)
        self._cancelled: set[str] = set()

    def run(self) -> Verdict:
        """Let everything loose until all jobs have ended, then look what became of them."""
        engine_command = ("orchestrator.engine", "--port=0", "--exit-with-parent", "--allow-faults")
        engines = [_service(*engine_command) for _ in range(ENGINES)]
        bfl = _service("orchestrator.testing", "--picture-seconds=0.2", "--credits=1e6")
        try:
            urls, bfl_url = [_url(engine) for engine in engines], _url(bfl)
            lab = make_lab(
                self._folder / "lab",
                comfy_url=",".join(urls),
                bfl_url=bfl_url,
                budget_usd="1000000",
            )
            self._root, self._paths, self._store = lab.paths.jobs, lab.paths.file, lab.store
            self._let_loose()
            with httpx.Client() as http:
                charges = http.get(f"{bfl_url}/fake/charges").json()
                ledgers = [http.get(f"{url}/engine/ledger").json() for url in urls]
            self._judge(charges, [entry for ledger in ledgers for entry in ledger])
            self.verdict.misbooked = _misbooked(lab.ledger, charges)
            lab.close()
        finally:
            for service in (*engines, bfl):
                service.communicate()
        return self.verdict

    def _let_loose(self) -> None:
        self._workers = [self._worker() for _ in range(WORKERS)]
        self._writers = {writer: self._writer(writer) for writer in self._ids}
        self._readers = [
            fork(lambda n=n: read_jobs(self._root, self._folder / f"reader{n}"))  # type: ignore[misc]
            for n in range(READERS)
        ]
        began = time.monotonic()
        kill_at, kill_writer_at = began + KILL_S, began + KILL_WRITER_S
        ended_at: float | None = None
        try:
            while (now := time.monotonic()) - began < self._limit_s:
                time.sleep(0.02)
                if now > kill_at:
                    kill_at = now + KILL_S
                    self._kill_a_worker()
                if now > kill_writer_at and self._writers:
                    kill_writer_at = now + KILL_WRITER_S
                    self._kill_a_writer()
                self._reap_writers()
                self._drop_junk()
                self._cancel_one()
                if ended_at is None and self._has_ended():
                    ended_at = now
                if ended_at is not None and now - ended_at > SETTLE_S and self._is_tidy():
                    break
        finally:
            self.verdict.seconds = round((ended_at or time.monotonic()) - began, 1)
            for child in (*self._workers, *self._writers.values(), *self._readers):
                end(child)

    def _worker(self) -> int:
        return fork(lambda: run_worker(self._paths, self._mutant))

    def _writer(self, writer: int) -> int:
        said = set(self._acknowledged(writer))
        rest = [job_id for job_id in self._ids[writer] if job_id not in said]
        acknowledged = self._folder / f"acknowledged{writer}"
        # a writer killed in the middle of a job's line begins a new one
        return fork(lambda: write_jobs(self._root, rest, acknowledged, self._mutant))

    def _acknowledged(self, writer: int) -> list[str]:
        try:
            lines = (self._folder / f"acknowledged{writer}").read_text().split("\n")
        except FileNotFoundError:
            return []
        return [line for line in lines[:-1] if line]

    def _kill_a_worker(self) -> None:
        n = self._rng.randrange(WORKERS)
        end(self._workers[n])
        self._workers[n] = self._worker()
        self.verdict.worker_kills += 1

    def _kill_a_writer(self) -> None:
        writer = self._rng.choice(list(self._writers))
        end(self._writers[writer])
        self._writers[writer] = self._writer(writer)
        self.verdict.writer_kills += 1

    def _reap_writers(self) -> None:
        for writer, child in list(self._writers.items()):
            if os.waitpid(child, os.WNOHANG)[0]:
                del self._writers[writer]

    def _drop_junk(self) -> None:
        if self.verdict.junk == JUNK or self._rng.random() > 0.2:
            return
        path = self._root / f"x{self.verdict.junk}.json"
        path.write_bytes(self._rng.choice(CONTENTS))
        self.verdict.junk += 1
        if self.verdict.junk == 5:
            (self._root / "dir.json").mkdir()
            (self._root / "link.json").symlink_to("/nonexistent")
            os.mkfifo(self._root / "fifo.json")

    def _cancel_one(self) -> None:
        if self.verdict.cancels_asked == CANCELS or self._rng.random() > 0.15:
            return
        said = self._acknowledged(self._rng.randrange(WRITERS))
        if not said:
            return
        job_id, now = self._rng.choice(said), self._store.now()
        # it may have ended; and if it is lost or torn, the verdict will tell
        with contextlib.suppress(StoreError):
            self._store.update(job_id, lambda job: job.cancel(now=now))
            self.verdict.cancels_asked += 1

    def _has_ended(self) -> bool:
        if self._writers or self.verdict.junk < JUNK:
            return False
        self._store.refresh()
        ended = sum(self._store.counts()[status] for status in TERMINAL)
        return ended >= self.verdict.jobs

    def _is_tidy(self) -> bool:
        return len(self._store.quarantine.files()) >= self.verdict.junk

    # -------------------------------------------------------------------------- the verdict

    def _judge(self, charges: list[dict[str, Any]], ledger: list[dict[str, Any]]) -> None:
        verdict = self.verdict
        paid = Counter(str(charge["prompt"]) for charge in charges)
        jobs: dict[str, Job] = {}
        for writer, ids in self._ids.items():
            said = set(self._acknowledged(writer))
            for job_id in ids:
                try:
                    jobs[job_id] = self._store.get(job_id)
                except Exception:  # noqa: BLE001 - gone or unreadable, it is lost
                    if job_id in said:
                        verdict.lost.append(job_id)
        verdict.states = dict(Counter(job.status.value for job in jobs.values()))
        verdict.unended = [job.id for job in jobs.values() if not job.is_terminal]
        verdict.paid_twice = [job_id for job_id, times in paid.items() if times > 1]
        verdict.painted_again = _painted_again(jobs, ledger)
        for job in jobs.values():
            if job.status is Status.DONE:
                verdict.taken_over += job.crashes > 0
                if not (job.result and job.result.file and Path(job.result.file).is_file()):
                    verdict.done_without_picture.append(job.id)
            elif job.status is Status.FAILED and job.failure:
                ambiguous = job.failure.kind == "ambiguous" and job.attempts[-1].phase is (
                    Phase.AMBIGUOUS
                )
                verdict.ambiguous += ambiguous
                verdict.ambiguous_and_paid += ambiguous and paid[job.id] > 0
                if not ambiguous:
                    verdict.unexplained.append(f"{job.id}: {job.failure.kind}")
        verdict.quarantined = sum(
            path.name.startswith("x") for path in self._store.quarantine.files()
        )
        names = {entry.name for entry in os.scandir(self._root)}
        verdict.skipped = sorted(names & {"dir.json", "fifo.json", "link.json"})
        for n in range(READERS):
            reads, torn = (self._folder / f"reader{n}").read_text().split()
            verdict.reads += int(reads)
            verdict.torn += int(torn)


def _painted_again(jobs: dict[str, Job], ledger: list[dict[str, Any]]) -> list[str]:
    """Jobs whose prompt, or that of another attempt, ran after one had been finished."""
    owner = {prompt_id(job.id, number): job.id for job in jobs.values() for number in range(1, 30)}
    finished: set[str] = set()
    again = []
    for entry in sorted(ledger, key=lambda entry: float(entry["started"])):
        job_id = owner.get(entry["prompt_id"], "?")
        if job_id in finished:
            again.append(job_id)
        if entry["outcome"] == "success":
            finished.add(job_id)
    return again


def _misbooked(ledger: Ledger, charges: list[dict[str, Any]]) -> list[str]:
    """Jobs that the ledger has with another price than the bill, but for those of which nobody can tell."""
    booked: Counter[str] = Counter()  # credits
    for line in ledger.path.read_bytes().splitlines():
        said = orjson.loads(line)
        if said["event"] == "charged":
            booked[said["job"]] += round(100 * float(said["usd"]))
    undecided = {purchase.job for purchase in ledger.totals().reserved.values()}
    billed: Counter[str] = Counter()  # the prompt names the job
    for charge in charges:
        billed[str(charge["prompt"])] += round(charge["credits"])
    jobs = booked.keys() | billed.keys()
    return sorted(job for job in jobs - undecided if booked[job] != billed[job])


def _service(module: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _url(service: subprocess.Popen[str]) -> str:
    assert service.stdout is not None
    return service.stdout.readline().strip()


def torture(
    folder: Path, *, jobs: int, seed: int, mutant: str = "", limit_s: float = 75.0
) -> Verdict:
    """One run; see Verdict."""
    logging.basicConfig(filename=folder / "log", level=logging.WARNING)
    return Torture(folder, jobs=jobs, seed=seed, mutant=mutant, limit_s=limit_s).run()
