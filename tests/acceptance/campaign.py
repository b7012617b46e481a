"""Everything that can fall falls, every five seconds, under load; then a verdict on what was promised.

python -m tests.acceptance.campaign --minutes 10
python -m tests.acceptance.campaign --minutes 1 --seeds 1 2 --mutants

A real `orchestrator up` and a real `orchestrator guardian`, with a ComfyUI that the guardian starts from comfyRoot: the
embedded engine behind a wire that can be cut. Clock and disk are those of the machine, but for what `faults.c` does to
them; without a C compiler these two faults are left out, and that is said.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mmap
import os
import random
import shutil
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import orjson
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "benchmarks"))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "server"))

from bench_recovery import bare_kernel, p95
from served_lab import TOKEN, free_port

from orchestrator.diagnosis import diagnose
from orchestrator.errors import OrchestratorError
from orchestrator.jobs import TERMINAL, Job, Status, prompt_id
from orchestrator.lab import Lab
from orchestrator.services import RestartPolicy

HERE = Path(__file__).resolve().parent
EVERY_S = 5.0  # a fault
JOBS_PER_MINUTE = 20
LASTS_S = 4.0  # a wire that is cut, a disk that is full
AIM_S = 15.0  # to recover, on a machine on which a bare kernel starts within BARE_S
BARE_S = 0.8
LIMIT_S = 90.0  # after the last fault
STUCK_S = 30.0  # without any job that ends: nobody works them off any more
SERVICES = ("panel", "comfyui", "worker", "monitor", "guardian")
RUBBISH = (b"", b"{", b"\0" * 500, b"[]", b'{"id": 1}')
JUMPS_S = (20, 3600, -3600, 86_400, -7200)

COMFYUI = """
import asyncio, json, os, sys, threading, time, urllib.request
from pathlib import Path
from orchestrator.engine import serve

port = int(sys.argv[sys.argv.index("--port") + 1])
here = Path(__file__).parent

async def uncut():
    while (here / "cut").exists():
        await asyncio.sleep(0.05)

async def carry(reader, writer):
    try:
        while data := await reader.read(65536):
            await uncut()
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()

async def wire(inner):
    async def link(reader, writer):
        await uncut()
        engine_reader, engine_writer = await asyncio.open_connection("127.0.0.1", inner)
        await asyncio.gather(carry(reader, engine_writer), carry(engine_reader, writer))
    async with await asyncio.start_server(link, "127.0.0.1", port) as server:
        await server.serve_forever()

def tell(url):
    file = here / f"painted-{os.getpid()}.json"
    while True:
        time.sleep(0.2)
        with urllib.request.urlopen(f"{url}/engine/ledger") as reply:
            file.with_suffix(".new").write_bytes(reply.read())
        file.with_suffix(".new").replace(file)

def ready(url):
    inner = int(url.rpartition(":")[2])
    threading.Thread(target=asyncio.run, args=(wire(inner),), daemon=True).start()
    threading.Thread(target=tell, args=(url,), daemon=True).start()

serve(0, allow_faults=True, step_delay_s=0.25, ready=ready)
"""

IN_KERNEL = """
from orchestrator.server import supervisor
change = "import sys; sys.path.insert(0, {folder!r}); from mutants import MUTANTS; MUTANTS[{name!r}]()"
supervisor.IMPORT = change + chr(10) + supervisor.IMPORT
"""
NO_SUPERVISOR = """
from orchestrator.server.supervisor import Supervisor
act = Supervisor._act
async def once(self, *arguments, **options):
    if not self._begun:
        await act(self, *arguments, **options)
Supervisor._act = once
"""
# what a mutant changes in the server, and the promises of which one must then be seen to be broken
MUTANTS = {
    "no_supervisor": (NO_SUPERVISOR, {"every fault is recovered from", "recovery is quick"}),
    "no_recovery": (
        IN_KERNEL.format(folder=str(HERE.parent / "worker"), name="no_recovery"),
        {"every job ends"},
    ),
}
UP = "import sys; from orchestrator.cli import main; sys.argv[1:1] = ['up', '--no-browser']; main()"


@dataclass
class Fault:
    """One thing that was done. `over_at` is when its cause was gone, `well_at` when all was well after it."""

    kind: str
    at: float
    over_at: float | None = None
    well_at: float | None = None

    @property
    def took_s(self) -> float | None:
        """How long everything took to be well again."""
        if self.over_at is None or self.well_at is None:
            return None
        return self.well_at - self.over_at


@dataclass
class Verdict:
    """What came of a run. `broken` names the promises that were not kept."""

    seed: int
    mutant: str
    seconds: float = 0.0
    load: float = 0.0
    bare_kernel_s: list[float] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)  # nothing was there to be struck
    left_out: list[str] = field(default_factory=list)
    recovery: dict[str, list[float]] = field(default_factory=dict)  # kind: p50, p95, seconds
    recovery_p95_s: float = 0.0
    aim_s: float = AIM_S
    never_well: list[str] = field(default_factory=list)
    jobs: int = 0
    states: dict[str, int] = field(default_factory=dict)
    taken_over: int = 0
    failed: dict[str, int] = field(default_factory=dict)  # by kind
    lost: list[str] = field(default_factory=list)
    unended: list[str] = field(default_factory=list)
    without_remedy: list[str] = field(default_factory=list)
    without_picture: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)  # pictures that no job, or two, have
    painted_twice: list[str] = field(default_factory=list)
    corrupted: int = 0
    quarantined: int = 0
    down: list[str] = field(default_factory=list)
    left_behind: list[str] = field(default_factory=list)  # processes after the end

    @property
    def broken(self) -> list[str]:
        """The promises that were not kept."""
        kept = {
            "nothing acknowledged is lost": not self.lost,
            "every job ends": not self.unended,
            "what fails has a remedy": not self.without_remedy,
            "a job that is done has its picture": not self.without_picture,
            "no picture is published twice": not self.doubled,
            "nothing that was painted is painted again": not self.painted_twice,
            "all services run": not self.down,
            "every fault is recovered from": not self.never_well,
            "recovery is quick": self.recovery_p95_s <= self.aim_s,
            "nothing stays behind": not self.left_behind,
        }
        return [promise for promise, is_kept in kept.items() if not is_kept]

    def to_json(self) -> str:
        """The verdict for another program."""
        return json.dumps({**vars(self), "broken": self.broken})


class Program:
    """One of the lab's programs, which the service manager brings back."""

    def __init__(self, command: list[str], *, folder: Path, log: Path, env: dict[str, str]) -> None:
        self._command, self._folder, self._log, self._env = command, folder, log, env
        self.process = self._start()
        self._back_at: float | None = None

    def _start(self) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                self._command,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def tend(self) -> None:
        """As the manager does: start it again after the pause of its policy."""
        if self.process.poll() is None:
            return
        now = time.monotonic()
        if self._back_at is None:
            self._back_at = now + RestartPolicy().delay_s
        elif now >= self._back_at:
            self._back_at, self.process = None, self._start()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Campaign:
    """One run in one folder."""

    def __init__(self, folder: Path, *, minutes: float, seed: int, mutant: str = "") -> None:
        self._seconds = 60 * minutes
        self._rng = random.Random(seed)
        self._kinds: dict[str, Callable[[], bool]] = {
            "worker kernel SIGKILL": lambda: self._signal(self._worker(), signal.SIGKILL),
            "worker SIGSTOP": lambda: self._signal(self._worker(), signal.SIGSTOP),
            "engine kill": lambda: self._signal(self._engine(), signal.SIGKILL),
            "engine hang": lambda: self._signal(self._engine(), signal.SIGSTOP),
            "guardian kill": lambda: self._signal(self._guardian.process.pid, signal.SIGKILL),
            "server kill": lambda: self._signal(self._up.process.pid, signal.SIGKILL),
            "network blackhole": self._cut,
            "disk full": self._fill,
            "job file corrupted": self._corrupt,
            "clock jump": self._jump,
        }
        self.verdict = Verdict(seed, mutant)
        self._folder = folder
        self._comfy = folder / "ComfyUI"
        self._acknowledged: dict[str, float] = {}  # id of a job: when
        self._corrupted: set[str] = set()
        self._faults: list[Fault] = []
        self._ending: list[tuple[float, Fault, Callable[[], object]]] = []
        self._is_over = threading.Event()
        self._began = time.monotonic()
        self._was_down: list[str] = []
        self._lock = threading.Lock()
        self._prepare(mutant)

    # -------------------------------------------------------------------------- the lab

    def _prepare(self, mutant: str) -> None:
        root = self._folder / "lab"
        root.mkdir()
        self._comfy.mkdir()
        (self._comfy / "main.py").write_text(COMFYUI)
        (root / "paths.json").write_text(json.dumps({"comfyRoot": str(self._comfy)}))
        port, self._comfy_port = free_port(), free_port()
        (root / ".env.local").write_text(
            f"COMFY_URL=http://127.0.0.1:{self._comfy_port}\nORCHESTRATOR_TOKEN={TOKEN}\n"
            f"ADMIN_URL=http://127.0.0.1:{port}\n"
        )
        unset = {"COMFY_URL", "BFL_API_KEY", "ADMIN_URL", "PYTHONDONTWRITEBYTECODE"}
        env = {key: value for key, value in os.environ.items() if key not in unset}
        env |= {"ORCHESTRATOR_PATHS": str(root / "paths.json")}
        env |= {"ORCHESTRATOR_CAMPAIGN": str(self._folder)}  # by which what it left is known
        env |= self._preloaded(root)
        self._lab = Lab.open(root)
        self._http = httpx.Client(
            base_url=f"http://127.0.0.1:{port}",
            timeout=6,
            headers={"Authorization": f"token {TOKEN}"},
        )
        change = MUTANTS[mutant][0] + "\n" if mutant else ""
        guardian = [sys.executable, "-m", "orchestrator", "guardian"]
        up = [sys.executable, "-c", change + UP]
        say = self._folder
        self._guardian = Program(guardian, folder=root, log=say / "guardian.txt", env=env)
        self._up = Program(up, folder=root, log=say / "up.txt", env=env)

    def _preloaded(self, root: Path) -> dict[str, str]:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None or not sys.platform.startswith("linux"):
            for kind in ("disk full", "clock jump"):
                del self._kinds[kind]
            self.verdict.left_out = ["disk full", "clock jump"]
            return {}
        library, switches = self._folder / "faults.so", self._folder / "switches"
        source = str(HERE / "faults.c")
        command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), source, "-ldl"]
        subprocess.run(command, check=True)
        switches.write_bytes(bytes(16))
        with switches.open("r+b") as file:
            self._switches = mmap.mmap(file.fileno(), 16)
        self._ahead_s = self._full = 0
        return {
            "LD_PRELOAD": str(library),
            "FAULTS_FILE": str(switches),
            "FAULTS_ROOT": str(root),
        }

    def run(self) -> Verdict:
        """Let it run, strike it, let it come to rest, and look what became of it."""
        self.verdict.bare_kernel_s.append(round(bare_kernel(), 2))
        threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._submit_all, self._watch)
        ]
        try:
            self._wait_until_well(60)
            for thread in threads:
                thread.start()
            self._strike_for(self._seconds)
            self._rest()
            self._is_over.set()
            for thread in threads:
                thread.join(30)
            self.verdict.bare_kernel_s.append(round(bare_kernel(), 2))
            self._judge()
        finally:
            self._is_over.set()
            for thread in threads:
                if thread.is_alive():
                    thread.join(30)
            self._end()
        return self.verdict

    def _end(self) -> None:
        self._http.close()
        self._lab.close()
        self._guardian.end()
        self._up.end()
        time.sleep(1)
        for process in self._processes():
            with contextlib.suppress(psutil.Error):
                command = " ".join(process.cmdline())
                if "main.py" not in command:  # a ComfyUI outlives its guardian, which is meant
                    self.verdict.left_behind.append(command[-120:])
                process.kill()

    def _processes(self) -> Iterator[psutil.Process]:
        """Those of this campaign."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("ORCHESTRATOR_CAMPAIGN") == str(self._folder):
                    yield process

    # -------------------------------------------------------------------------- the load

    def _submit_all(self) -> None:
        n = 0
        while not self._is_over.wait(60 / JOBS_PER_MINUTE):
            n += 1
            at = time.monotonic()
            # a lock that a stopped worker holds: whoever asked is told no, and nothing is promised
            with contextlib.suppress(OrchestratorError):
                job_id = self._submit(n)
                with self._lock:
                    self._acknowledged[job_id] = at

    def _submit(self, n: int) -> str:
        """Over REST; while there is no server, as a notebook does."""
        params = {"steps": 4, "width": 64, "height": 64}  # a second
        body = {"prompt": f"a fox, number {n}", "backend": "sd15", "params": params}
        with contextlib.suppress(httpx.HTTPError):
            reply = self._http.post("/api/generate", json=body, timeout=2)
            if reply.status_code == 201:
                return str(reply.json()["jobId"])
        return self._lab.submit(f"a fox, number {n}, by hand", params=params).id

    # -------------------------------------------------------------------------- the faults

    def _strike_for(self, seconds: float) -> None:
        began = time.monotonic()
        strike_at, bag = began + 1.0, list[str]()
        while time.monotonic() - began < seconds:
            self._tick()
            if time.monotonic() < strike_at:
                continue
            strike_at += EVERY_S
            if not bag:  # each comes up before one comes again
                bag = self._rng.sample(list(self._kinds), len(self._kinds))
            self._strike(bag.pop())
        self.verdict.seconds = round(time.monotonic() - began, 1)
        self.verdict.load = os.getloadavg()[0]

    def _tick(self) -> None:
        time.sleep(0.05)
        self._up.tend()
        self._guardian.tend()
        now = time.monotonic()
        for due in [each for each in self._ending if each[0] <= now]:
            self._ending.remove(due)
            due[2]()
            due[1].over_at = time.monotonic()

    def _strike(self, kind: str) -> None:
        fault = Fault(kind, time.monotonic())
        has_struck = self._kinds[kind]()
        self._tell(kind if has_struck else f"{kind}: nothing there")
        if not has_struck:
            missed = self.verdict.missed
            missed[kind] = missed.get(kind, 0) + 1
            return
        lasting = {"network blackhole": self._mend, "disk full": self._make_room}
        if kind in lasting:
            self._ending.append((fault.at + LASTS_S, fault, lasting[kind]))
        else:
            fault.over_at = time.monotonic()
        with self._lock:
            self._faults.append(fault)

    def _signal(self, pid: int | None, blow: int) -> bool:
        try:
            if pid is None or psutil.Process(pid).status() in {"zombie", "stopped"}:
                return False
            os.kill(pid, blow)
        except (psutil.Error, ProcessLookupError):
            return False
        return True

    def _worker(self) -> int | None:
        workers = self._lab.store.observer.workers()
        return next((w.pid for w in workers if w.alive), None)

    def _engine(self) -> int | None:
        try:
            said = self._lab.paths.data / f"comfyui-{self._comfy_port}.json"
            return int(orjson.loads(said.read_bytes())["pid"])
        except (OSError, ValueError):
            return None

    def _cut(self) -> bool:
        (self._comfy / "cut").touch()
        return True

    def _mend(self) -> None:
        (self._comfy / "cut").unlink(missing_ok=True)

    def _fill(self) -> bool:
        self._full = 1
        self._switch()
        return True

    def _make_room(self) -> None:
        self._full = 0
        self._switch()

    def _jump(self) -> bool:
        self._ahead_s = self._rng.choice([s for s in (*JUMPS_S, 0) if s != self._ahead_s])
        self._switch()
        return True

    def _switch(self) -> None:
        self._switches[:] = struct.pack("qq", self._ahead_s * 10**9, self._full)

    def _corrupt(self) -> bool:
        self._lab.store.refresh()
        at_rest = {Status.QUEUED, Status.DONE}
        jobs = [job.id for job in self._lab.store.snapshot() if job.status in at_rest]
        with self._lock:
            jobs = sorted(set(jobs) & self._acknowledged.keys() - self._corrupted)
        if not jobs:
            return False
        job_id = self._rng.choice(jobs)
        path = self._lab.paths.jobs / f"{job_id}.json"
        if not path.exists():  # in the archive, where no queue is
            return False
        self._corrupted.add(job_id)
        path.write_bytes(self._rng.choice(RUBBISH))
        return True

    # -------------------------------------------------------------------------- recovery

    def _tell(self, what: str) -> None:
        with (self._folder / "story.txt").open("a") as story:
            story.write(f"{time.monotonic() - self._began:6.1f} {what}\n")

    def _down(self) -> list[str]:
        """The services that do not run, as the lab itself says."""
        try:
            report = self._http.get("/api/health").raise_for_status().json()
        except (httpx.HTTPError, ValueError):
            return ["panel"]
        return [name for name in SERVICES if report[name]["status"] != "running"]

    def _wait_until_well(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while down := self._down():
            if time.monotonic() > end:
                raise AssertionError(f"{down} do not run:\n{(self._folder / 'up.txt').read_text()}")
            time.sleep(0.2)

    def _watch(self) -> None:
        while not self._is_over.wait(0.3):
            asked_at = time.monotonic()
            down = self._down()
            if down != self._was_down:
                self._was_down = down
                self._tell(f"down: {', '.join(down) or 'nothing'}")
            if down:
                continue
            with self._lock:
                # what is said may be a second old
                ill = [
                    fault
                    for fault in self._faults
                    if fault.well_at is None
                    and fault.over_at is not None
                    and asked_at - fault.over_at > 1.1
                ]
                recent = dict(self._acknowledged)
            for fault in ill:
                later = (job for job, at in recent.items() if at > (fault.over_at or 0.0))
                if any(self._is_done(job) for job in later):
                    fault.well_at = time.monotonic()
                    self._tell(f"recovered from {fault.kind} in {fault.took_s:.1f} s")

    def _is_done(self, job_id: str) -> bool:
        job = self._job(job_id)
        return job is not None and job.status is Status.DONE

    def _job(self, job_id: str) -> Job | None:
        try:
            return self._lab.job(job_id).job
        except Exception:  # noqa: BLE001 - gone or unreadable: the verdict tells
            return None

    def _rest(self) -> None:
        """Let everything come to an end that can: all is well again, then what waits is worked off."""
        end = time.monotonic() + LIMIT_S
        while time.monotonic() < end:
            self._tick()
            with self._lock:
                ill = any(fault.well_at is None for fault in self._faults)
            if not ill and not self._ending:
                break
            time.sleep(0.5)
        self._is_over.set()
        left, since = len(self._unended()), time.monotonic()
        while left and time.monotonic() - since < STUCK_S:
            self._tick()
            time.sleep(0.5)
            if (now := len(self._unended())) != left:
                left, since = now, time.monotonic()

    def _unended(self) -> list[str]:
        with self._lock:
            known = list(self._acknowledged)
        jobs = (self._job(each) for each in known)
        return [job.id for job in jobs if job is not None and job.status not in TERMINAL]

    # -------------------------------------------------------------------------- the verdict

    def _judge(self) -> None:
        verdict = self.verdict
        verdict.down = self._down()
        if verdict.down:
            time.sleep(3)
            verdict.down = self._down()
        self._judge_recovery()
        aside = {path.name.split(".")[0] for path in self._lab.store.quarantine.files()}
        verdict.corrupted = len(self._corrupted)
        verdict.quarantined = len(aside & self._corrupted)
        verdict.jobs = len(self._acknowledged)
        verdict.unended = self._unended()
        found = {job_id: self._job(job_id) for job_id in self._acknowledged}
        verdict.lost = [
            job_id for job_id, job in found.items() if job is None and job_id not in aside
        ]
        verdict.lost += sorted(aside - self._corrupted)  # set aside although nobody touched it
        jobs = [job for job in found.values() if job is not None]
        verdict.states = dict(Counter(job.status.value for job in jobs))
        for job in jobs:
            verdict.taken_over += job.status is Status.DONE and job.crashes > 0
            if job.status is Status.FAILED:
                kind = job.failure.kind if job.failure else "?"
                verdict.failed[kind] = verdict.failed.get(kind, 0) + 1
                if not diagnose(job.failure, job=job).remedy:
                    verdict.without_remedy.append(job.id)
        self._judge_pictures(aside)

    def _judge_pictures(self, aside: set[str]) -> None:
        verdict, owners = self.verdict, defaultdict(set)
        self._lab.store.refresh(force=True)
        jobs = {job.id: job for job in self._lab.store.snapshot()}
        jobs |= {j: job for j in self._acknowledged if (job := self._job(j)) is not None}
        for job in jobs.values():
            files = job.result.files if job.result else []
            for file in files:
                owners[Path(file).resolve()].add(job.id)
            if job.status is Status.DONE and (
                len(files) != 1 or not all(Path(file).is_file() for file in files)
            ):
                verdict.without_picture.append(job.id)
        there = {path.resolve() for path in self._lab.paths.drop_out.rglob("*.png")}
        spare = [path for path in there - owners.keys() if ".thumbs" not in str(path)]
        # the pictures of jobs whose files were spoilt are known by nobody any more
        verdict.doubled = [path.name for path in spare][len(aside) :]
        verdict.doubled += [str(path) for path, of in owners.items() if len(of) > 1]
        names = {prompt_id(j, n): j for j in (*jobs, *self._acknowledged) for n in range(1, 40)}
        for file in self._comfy.glob("painted-*.json"):
            painted = Counter(
                names.get(entry["prompt_id"], "?")
                for entry in orjson.loads(file.read_bytes())
                if entry["outcome"] == "success"
            )
            verdict.painted_twice += [j for j, n in painted.items() if n > 1 and j != "?"]

    def _judge_recovery(self) -> None:
        verdict, took = self.verdict, defaultdict(list)
        for fault in self._faults:
            verdict.faults[fault.kind] = verdict.faults.get(fault.kind, 0) + 1
            if fault.took_s is None:
                verdict.never_well.append(fault.kind)
            else:
                took[fault.kind].append(fault.took_s)
        verdict.recovery = {
            kind: [round(statistics.median(each), 1), round(p95(each), 1)]
            for kind, each in sorted(took.items())
        }
        every = [s for each in took.values() for s in each]
        verdict.recovery_p95_s = round(p95(every), 1) if every else 0.0
        # on a machine that has no time even for a bare kernel, everything takes longer
        slow = max(1.0, max(verdict.bare_kernel_s) / BARE_S)
        verdict.aim_s = round(AIM_S * slow, 1)


def campaign(*, minutes: float, seed: int, mutant: str = "", keep: Path | None = None) -> Verdict:
    """One run; see Verdict. `keep`: a folder that is not there yet, and stays."""
    with contextlib.ExitStack() as stack:
        if keep is None:
            made = tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True)
            folder = Path(stack.enter_context(made))
        else:
            keep.mkdir(parents=True)
            folder = keep
        return Campaign(folder, minutes=minutes, seed=seed, mutant=mutant).run()


def show(verdict: Verdict) -> None:
    """The figures for people, on the standard error."""
    lines = [
        f"{sum(verdict.faults.values())} faults in {verdict.seconds:.0f} s, {verdict.jobs} jobs, load "
        f"{verdict.load:.1f}, a bare kernel starts in {verdict.bare_kernel_s} s",
        f"{'time to recover, s':28}{'n':>4}{'p50':>7}{'p95':>7}",
        *(
            f"{kind:28}{verdict.faults[kind]:4}{half:7.1f}{most:7.1f}"
            for kind, (half, most) in verdict.recovery.items()
        ),
        f"{'all':28}{sum(verdict.faults.values()):4}{'':7}{verdict.recovery_p95_s:7.1f}",
        f"broken: {', '.join(verdict.broken) or 'nothing'}",
    ]
    sys.stderr.write("\n".join(lines) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--mutants", action="store_true", help="each, and all must be caught")
    parser.add_argument("--keep", type=Path, help="leave the folder of the (one) run here")
    args = parser.parse_args()
    failed = 0
    for seed in args.seeds:
        for mutant in MUTANTS if args.mutants else [""]:
            verdict = campaign(minutes=args.minutes, seed=seed, mutant=mutant, keep=args.keep)
            show(verdict)
            sys.stdout.write(verdict.to_json() + "\n")
            sys.stdout.flush()
            caught = bool(MUTANTS[mutant][1] & set(verdict.broken)) if mutant else False
            failed += not caught if mutant else bool(verdict.broken)
    return failed


if __name__ == "__main__":
    sys.exit(main())
