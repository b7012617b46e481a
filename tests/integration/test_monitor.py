"""The monitor tells what happens to the jobs: once, safely, and whatever becomes of the disk or of the monitor."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import importlib.util
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from orchestrator import remedies
from orchestrator.cli import app
from orchestrator.connectors import webhook
from orchestrator.diagnosis import Action
from orchestrator.errors import RequestInvalid, ServiceBroken, SettingsInvalid
from orchestrator.files import Disk
from orchestrator.health import HealthReport, ServiceHealth, monitor_file
from orchestrator.jobs import Failure, Job, Status
from orchestrator.lab import Lab
from orchestrator.logs import Redactor
from orchestrator.monitor import LINES, STORY, Entry, Journal, Monitor
from orchestrator.monitor.entries import Writing
from orchestrator.notify import Message, Notifier, Quiet, addresses
from orchestrator.settings import Settings
from orchestrator.testing import CHECKPOINTS, KEY, Engine, make_job, make_lab

HEADING = re.compile(r"^### \[\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\] (.+)$", re.MULTILINE)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with make_lab(tmp_path) as lab:
        yield lab


def lines(lab: Lab, event: str = "job") -> list[dict[str, Any]]:
    path = lab.paths.logs / LINES
    if not path.exists():
        return []
    said = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    return [line for line in said if line["event"] == event]


def story(lab: Lab) -> str:
    return (lab.paths.logs / STORY).read_text("utf-8")


async def until(is_so: Callable[[], object], *, timeout_s: float = 15) -> None:
    async with asyncio.timeout(timeout_s):
        while not is_so():
            await asyncio.sleep(0.02)


class Sent:
    """A place for messages that keeps them."""

    def __init__(self, *, fails: bool = False) -> None:
        self.messages: list[Message] = []
        self.fails = fails

    async def __call__(self, message: Message) -> None:
        self.messages.append(message)
        if self.fails:
            raise ConnectionError("https://user:hunter2@example.com")


@contextlib.asynccontextmanager
async def monitoring(lab: Lab, **options: Any) -> AsyncIterator[Monitor]:
    monitor = Monitor(lab.store, paths=lab.paths, settings=lab.settings, **options)
    task = asyncio.create_task(monitor.run())
    try:
        seen = len(lines(lab, "heartbeat"))
        await until(lambda: len(lines(lab, "heartbeat")) > seen or task.done())
        yield monitor
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def fail(lab: Lab, job: Job, kind: str, message: str) -> Job:
    failure = Failure(kind=kind, message=message)
    return lab.store.update(job.id, lambda job: job.fail(failure, now=lab.store.now()))


# ------------------------------------------------------------------------------ the story


def test_a_job_that_fails_is_told_in_the_format_of_the_map(lab: Lab) -> None:
    async def run() -> None:
        async with monitoring(lab):
            job = await asyncio.to_thread(lab.submit, "a red fox")
            await until(lambda: lines(lab))
            fail(lab, job, "corrupt_model", "SafetensorError: sdxl.safetensors")
            await until(lambda: len(lines(lab)) == 2)
        said = story(lab).partition(f"Job {job.id} Status Change")[2].partition("### ")[2]
        rows = [row.rstrip() for row in said.splitlines()]
        assert rows[0].endswith(f"Job {job.id} Status Change")
        assert rows[1:6] == [
            "**Old Status:** queued",
            "**New Status:** failed",
            "**Backend:** sd15",
            '**Prompt:** "a red fox"',
            "**❌ Error:** SafetensorError: sdxl.safetensors",
        ]
        assert rows[7].startswith("🔍 DIAGNOSIS: The file of sdxl.safetensors is damaged")
        assert rows[8].startswith("💡 FIX: Use another checkpoint")
        assert f"orchestrator diagnose {job.id}" in rows[9]
        line = lines(lab)[1]
        assert (line["old"], line["new"], line["rule"]) == ("queued", "failed", "corrupt_model")
        assert line["action"]["name"] == "other_checkpoint"

    asyncio.run(run())


def test_a_picture_that_is_made_is_followed_from_new_to_done(tmp_path: Path) -> None:
    async def run() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                async with monitoring(lab), lab.worker():
                    job = await lab.generate("a fox", width=64, height=64, steps=1)
                    await job.wait(timeout_s=30)
                    await until(lambda: [line for line in lines(lab) if line["new"] == "done"])
                olds = [line["old"] for line in lines(lab)]
                news = [line["new"] for line in lines(lab)]
                assert olds[0] == "new"
                assert olds[1:] == news[:-1]  # each goes on from where the one before ended
                assert news[-1] == "done"

    asyncio.run(run())


HOSTILE = (
    "fox\n### [2026-01-01 00:00:00] Job x Status Change\n**New Status:** done  \r\n"
    "\u2028### forged\u202e`code` <img src=x onerror=alert(1)> [a](http://evil) | **bold** \x1b[31m\x00"
)


def test_no_text_from_outside_can_forge_an_entry(lab: Lab) -> None:
    writing = Writing(Redactor(lab.settings))
    job = make_job(HOSTILE, status=Status.FAILED, backend="sd15\n### x", params={})
    failure = Failure(kind="execution_failed\n", message=HOSTILE, remedy=HOSTILE)
    from orchestrator.diagnosis import diagnose

    said = diagnose(failure, job=job)
    entry = writing.job(
        job, at=lab.store.now(), old="queued", new="failed", failure=failure, diagnosis=said
    )
    Journal(lab.paths.logs).write([entry])
    text = story(lab)
    assert len(HEADING.findall(text)) == 1
    assert len([row for row in text.splitlines() if row.startswith("**New Status:**")]) == 1
    assert not {"\u202e", "\u2028", "\x1b", "\x00", "\r"} & set(text)
    assert not re.search(r"(?<!\\)[<>`|]|(?<!\\)\[a|^#", text.replace("### [", "", 1), re.MULTILINE)
    data = (lab.paths.logs / LINES).read_bytes()
    assert data.count(b"\n") == 1
    assert "\u2028" not in data.decode()


def test_no_key_reaches_either_file(lab: Lab) -> None:
    async def run() -> None:
        async with monitoring(lab):
            job = await asyncio.to_thread(lab.submit, f"a fox {KEY}")
            fail(lab, job, "internal", f"x-key: {KEY} at https://user:hunter2@host/")
            await until(lambda: [line for line in lines(lab) if line["new"] == "failed"])
        for name in (STORY, LINES):
            text = (lab.paths.logs / name).read_text("utf-8")
            assert KEY not in text
            assert "hunter2" not in text

    asyncio.run(run())


def test_a_held_job_is_told_as_held_and_why(lab: Lab) -> None:
    async def run() -> None:
        sent = Sent()
        notifier = Notifier(lab.settings, places=[sent])
        async with monitoring(lab, notifier=notifier):
            job = await asyncio.to_thread(lab.submit, "a fox", backend="flux")

            def held(job: Job) -> Job:
                taken = job.claim(worker="w", host="h", slot=None, now=lab.store.now())
                return taken.put_aside(Failure(kind="over_budget", message="too much"))

            lab.store.update(job.id, held)
            await until(lambda: sent.messages)
        assert lines(lab)[-1]["new"] == "created (held)"
        assert lines(lab)[-1]["rule"] == "over_budget"
        assert sent.messages[0].kind == "budget"

    asyncio.run(run())


# ------------------------------------------------------------------------------ not twice, not lost


def test_a_restarted_monitor_tells_what_it_missed_and_nothing_twice(lab: Lab) -> None:
    async def run() -> None:
        old = await asyncio.to_thread(lab.submit, "before any monitor")
        async with monitoring(lab):
            told = await asyncio.to_thread(lab.submit, "told")
            await until(lambda: lines(lab))
        assert [line["job"] for line in lines(lab)] == [told.id]
        fail(lab, told, "timeout", "it took too long")
        fresh = await asyncio.to_thread(lab.submit, "while away")
        async with monitoring(lab):
            pass
        assert [(line["job"], line["old"], line["new"]) for line in lines(lab)[1:]] == [
            (told.id, "queued", "failed"),
            (fresh.id, "new", "queued"),
        ]
        async with monitoring(lab):
            pass
        assert len(lines(lab)) == 3
        assert old.id not in story(lab)

    asyncio.run(run())


def test_a_job_that_is_removed_or_made_unreadable_stops_nothing(lab: Lab) -> None:
    async def run() -> None:
        async with monitoring(lab, poll_s=0.2):
            gone = await asyncio.to_thread(lab.submit, "gone")
            broken = await asyncio.to_thread(lab.submit, "broken")
            await until(lambda: len(lines(lab)) == 2)
            lab.store.layout.job(gone.id).unlink()
            lab.store.layout.job(broken.id).write_bytes(b'{"half')
            await until(lambda: [line for line in lines(lab) if line["new"] == "removed"])
            after = await asyncio.to_thread(lab.submit, "after")
            await until(lambda: [line for line in lines(lab) if line["job"] == after.id])

    asyncio.run(run())


def test_a_change_is_found_where_no_event_comes(lab: Lab) -> None:
    async def run() -> None:
        async with monitoring(lab, poll_s=0.05):
            assert lab.store._watcher is not None
            lab.store._watcher.stop()  # as on a drive that sends no events
            lab.store._watcher._thread.join()
            with make_lab_again(lab) as other:
                job = await asyncio.to_thread(other.submit, "unheard")
            await until(lambda: [line for line in lines(lab) if line["job"] == job.id])

    asyncio.run(run())


def test_a_change_that_cannot_be_read_at_once_is_told_when_it_can(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    get, refused = lab.store.get, []

    def away(job_id: str) -> Job:
        if len(refused) < 2:
            refused.append(job_id)
            raise OSError(errno.ESTALE, "Stale file handle")
        return get(job_id)

    async def run() -> None:
        async with monitoring(lab, poll_s=0.05):
            monkeypatch.setattr(lab.store, "get", away)
            job = await asyncio.to_thread(lab.submit, "on a drive")
            await until(lambda: [line for line in lines(lab) if line["job"] == job.id])

    asyncio.run(run())
    assert len(refused) == 2


def make_lab_again(lab: Lab) -> Lab:
    return Lab(lab.paths, lab.settings)


def test_of_two_monitors_the_second_waits_for_the_first_to_go(lab: Lab) -> None:
    async def run() -> None:
        with make_lab_again(lab) as other:
            second = Monitor(other.store, paths=other.paths, settings=other.settings)
            async with monitoring(lab):
                waiting = asyncio.create_task(second.run())
                job = await asyncio.to_thread(lab.submit, "told once")
                await until(lambda: lines(lab))
                await asyncio.sleep(0.3)
                assert [line["job"] for line in lines(lab)] == [job.id]
                assert len(lines(lab, "started")) == 1
            await until(lambda: len(lines(lab, "started")) == 2)
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await waiting
            assert len(lines(lab)) == 1

    asyncio.run(run())


def test_the_monitor_shows_that_it_lives_and_takes_the_note_away_when_it_ends(lab: Lab) -> None:
    async def run() -> None:
        async with monitoring(lab):
            file = monitor_file(lab.paths)
            await until(file.exists)
            said = json.loads(file.read_bytes())
            assert said["pid"] == os.getpid()
            age = datetime.now(UTC) - datetime.fromisoformat(said["at"])
            assert age < timedelta(seconds=5)
            assert {"startedAt", "since"} <= said.keys()
        assert not file.exists()

    asyncio.run(run())


def test_the_heartbeat_counts_the_jobs_and_people_hear_only_of_new_figures(lab: Lab) -> None:
    async def run() -> None:
        lab.submit("one")
        async with monitoring(lab, heartbeat_s=0.05):
            await until(lambda: len(lines(lab, "heartbeat")) >= 4)
        beats = lines(lab, "heartbeat")
        assert beats[0]["counts"]["queued"] == 1
        assert beats[0]["oldestWaitingS"] >= 0
        assert story(lab).count("Heartbeat:") == 1

    asyncio.run(run())


# ------------------------------------------------------------------------------ files


def entry(n: int, size: int = 100) -> Entry:
    return Entry(
        f"- {n} {'x' * size}\n\n", {"at": "2026-01-01T00:00:00+00:00", "event": "x", "n": n}
    )


def test_the_files_are_begun_anew_when_they_are_large(tmp_path: Path) -> None:
    journal = Journal(tmp_path, max_bytes=1_000, kept=3)
    for n in range(200):
        journal.write([entry(n)])
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(name + end for name in (STORY, LINES) for end in ("", ".1", ".2", ".3"))
    assert all(path.stat().st_size <= 1_000 for path in tmp_path.iterdir())
    assert [line["n"] for line in journal.newest()][-1] == 199


class Full(Disk):
    """A disk that is full for a while."""

    is_full = False

    def append(self, path: Path | str, data: bytes) -> None:
        if self.is_full:
            raise OSError(28, "No space left on device")
        super().append(path, data)


def test_what_a_full_disk_refused_is_written_when_there_is_room(tmp_path: Path) -> None:
    disk = Full()
    journal = Journal(tmp_path, disk=disk)
    journal.write([entry(1)])
    disk.is_full = True
    for n in (2, 3):
        with pytest.raises(OSError, match="No space"):
            journal.write([entry(n)])
    disk.is_full = False
    journal.write([entry(4)])
    assert [line["n"] for line in journal.newest()] == [1, 2, 3, 4]


def test_a_torn_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / LINES).write_bytes(b'{"at": "2026-01-0')
    journal = Journal(tmp_path)
    journal.write([entry(7)])
    assert [line["n"] for line in Journal(tmp_path).newest()] == [7]


def test_a_full_disk_does_not_end_the_monitor(lab: Lab) -> None:
    async def run() -> None:
        disk = Full()
        journal = Journal(lab.paths.logs, disk=disk)
        async with monitoring(lab, journal=journal, heartbeat_s=0.2):
            disk.is_full = True
            first = await asyncio.to_thread(lab.submit, "first")
            await asyncio.sleep(0.3)
            assert not lines(lab)
            disk.is_full = False
            await until(lambda: [line for line in lines(lab) if line["job"] == first.id])

    asyncio.run(run())


# ------------------------------------------------------------------------------ services


def report(comfyui: str) -> HealthReport:
    well = ServiceHealth(status="running")
    there = ServiceHealth(status=comfyui, message="ComfyUI does not answer", remedy="Start it.")
    names = ("panel", "engine", "bfl", "worker", "monitor", "guardian")
    parts: dict[str, Any] = dict.fromkeys(names, well)
    return HealthReport.model_construct(**parts, comfyui=there, well=True, problems=[])


def test_a_service_that_goes_and_comes_back_is_told(lab: Lab) -> None:
    async def run() -> None:
        state = ["running"]

        async def health() -> HealthReport:
            return report(state[0])

        sent = Sent()
        options: dict[str, Any] = {"health": health, "services_s": 0.05}
        async with monitoring(lab, notifier=Notifier(lab.settings, places=[sent]), **options):
            await asyncio.sleep(0.2)
            state[0] = "stopped"
            await until(lambda: lines(lab, "service"))
            state[0] = "running"
            await until(lambda: len(lines(lab, "service")) == 2)
        told = [(line["service"], line["old"], line["new"]) for line in lines(lab, "service")]
        assert told == [("comfyui", "running", "stopped"), ("comfyui", "stopped", "running")]
        assert "💡 FIX: Start it." in story(lab)
        assert [message.kind for message in sent.messages] == ["service"]

    asyncio.run(run())


# ------------------------------------------------------------------------------ notifications


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_in_a_quiet_period_messages_are_counted_and_summed_up() -> None:
    clock = Clock()
    quiet = Quiet(period_s=60, clock=clock)
    assert quiet.lets(Message("failed", "one"))
    assert [quiet.lets(Message("failed", "more")) for _ in range(12)] == [False] * 12
    assert quiet.lets(Message("service", "another kind"))
    clock.now = 59
    assert quiet.due() == []
    clock.now = 60
    assert quiet.due() == [Message("failed", "12 more jobs failed")]
    assert not quiet.lets(Message("failed", "the summary began a new period"))
    clock.now = 120
    assert [message.title for message in quiet.due()] == ["1 more jobs failed"]
    clock.now = 1000
    assert quiet.lets(Message("failed", "a new one"))


def test_only_what_was_asked_for_is_told_and_a_place_that_fails_disturbs_nobody() -> None:
    async def run() -> None:
        settings = Settings(orchestrator_notify_on="failed, service", bfl_api_key=SecretStr(KEY))
        good, bad = Sent(), Sent(fails=True)
        notifier = Notifier(settings, places=[bad, good])
        sending = asyncio.create_task(notifier.run())
        notifier.tell(Message("done", "not wanted"))
        notifier.tell(Message("failed", f"a {KEY}\n# b", "x\x1b[31m\ny"))
        notifier.tell(Message("service", "after the failure"))
        await until(lambda: len(good.messages) == 2)
        sending.cancel()
        assert [message.kind for message in good.messages] == ["failed", "service"]
        assert KEY not in good.messages[0].title
        assert "\n" not in good.messages[0].title
        assert "\x1b" not in good.messages[0].body
        assert len(bad.messages) == 2

    asyncio.run(run())


def test_an_unknown_event_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with make_lab(tmp_path) as lab:
        lab.paths.env_file.write_text("ORCHESTRATOR_NOTIFY_ON=failed,doom\n")
        with pytest.raises(SettingsInvalid, match=r"budget, done, failed, service, not doom"):
            Settings.load(lab.paths)


def test_addresses_are_told_apart_where_a_scheme_follows() -> None:
    said = "webhook:https://a/b?c=1,2, desktop,mailto://u:p@h?to=x,y"
    settings = Settings(orchestrator_notify=SecretStr(said))
    assert addresses(settings) == ["webhook:https://a/b?c=1,2", "desktop", "mailto://u:p@h?to=x,y"]
    assert "mailto" not in repr(settings)


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    got: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(500 if "broken" in self.path else 200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"127.0.0.1:{server.server_port}", got
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_webhook_gets_the_message_without_apprise(
    inbox: tuple[str, list[dict[str, Any]]],
) -> None:
    async def run() -> None:
        address, got = inbox
        settings = Settings(orchestrator_notify=SecretStr(f"webhook:http://{address}/hook"))
        notifier = Notifier(settings)
        sending = asyncio.create_task(notifier.run())
        notifier.tell(Message("failed", "Job x is failed", "why"))
        await until(lambda: got)
        sending.cancel()
        assert got[0]["kind"] == "failed"
        assert got[0]["text"] == "Job x is failed\nwhy"
        with pytest.raises(ServiceBroken, match="answered 500") as caught:
            await webhook.post(f"http://{address}/broken?token=hunter2", {})
        assert "hunter2" not in str(caught.value)

    asyncio.run(run())


@pytest.mark.filterwarnings("default")  # Apprise's own
@pytest.mark.skipif(importlib.util.find_spec("apprise") is None, reason="needs Apprise")
def test_apprise_gets_the_message(inbox: tuple[str, list[dict[str, Any]]]) -> None:
    async def run() -> None:
        address, got = inbox
        notifier = Notifier(Settings(orchestrator_notify=SecretStr(f"json://{address}/hook")))
        sending = asyncio.create_task(notifier.run())
        notifier.tell(Message("failed", "Job x is failed", "why"))
        await until(lambda: got)
        sending.cancel()
        assert (got[0]["title"], got[0]["message"]) == ("Job x is failed", "why")

    asyncio.run(run())


def test_a_webhook_that_cannot_be_reached_is_told_without_its_address() -> None:
    async def run() -> None:
        def away(request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused", request=request)

        with pytest.raises(Exception, match="cannot be reached") as caught:
            await webhook.post(
                "https://hooks.example/T0KEN", {}, transport=httpx.MockTransport(away)
            )
        assert "T0KEN" not in str(caught.value)

    asyncio.run(run())


# ------------------------------------------------------------------------------ what is offered is done


def failed_job(lab: Lab, kind: str, message: str = "it failed", **params: Any) -> Job:
    job = lab.submit("a red fox", params={"seed": 7, **params})
    return fail(lab, job, kind, message)


def applied(lab: Lab, job: Job, *, name: str | None = None) -> remedies.Applied:
    async def run() -> remedies.Applied:
        said = await remedies.diagnosis_of(lab, job)
        action = next(each for each in said.actions if name in (None, each.name))
        return await remedies.apply(lab, job, action)

    return asyncio.run(run())


def test_retry_smaller_makes_a_new_job_of_half_the_area_and_leaves_the_old_one(lab: Lab) -> None:
    job = failed_job(lab, "out_of_memory", width=1024, height=1024, steps=9)
    done = applied(lab, job)
    assert done.job is not None
    assert done.job.status is Status.QUEUED
    assert done.job.params == {"seed": 7, "steps": 9, "width": 704, "height": 704}
    assert lab.job(job.id).status is Status.FAILED
    assert "704" in done.message


def test_retry_runs_the_very_job_again(lab: Lab) -> None:
    job = failed_job(lab, "timeout")
    done = applied(lab, job)
    assert done.job is not None
    assert (done.job.id, done.job.status) == (job.id, Status.QUEUED)


def test_another_checkpoint_and_sampler_are_the_nearest_the_server_offers(tmp_path: Path) -> None:
    async def run() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                job = failed_job(lab, "unknown_sampler", sampler="eulerr", scheduler="karras")
                said = await remedies.diagnosis_of(lab, job)
                assert said.action is not None
                done = await remedies.apply(lab, job, said.action)
                assert done.job is not None
                assert done.job.params["sampler"] == "euler"
                assert done.job.params["scheduler"] == "karras"
                job = failed_job(lab, "corrupt_model", "cannot read broken-sd15.safetensors")
                said = await remedies.diagnosis_of(lab, job)
                assert said.action is not None
                done = await remedies.apply(lab, job, said.action)
                assert done.job is not None
                assert done.job.params["checkpoint"] in CHECKPOINTS

    asyncio.run(run())


def test_no_other_checkpoint_is_said_and_how_to_get_one(lab: Lab) -> None:
    job = failed_job(lab, "missing_checkpoint")
    with pytest.raises(RequestInvalid, match="no other checkpoint") as caught:
        applied(lab, job)
    assert "models pull" in caught.value.remedy


def test_the_model_that_a_failure_names_is_looked_at(lab: Lab) -> None:
    folder = lab.paths.models_root / "checkpoints"
    folder.mkdir(parents=True)
    (folder / "sdxl.safetensors").write_bytes(b"\xff" * 100)
    job = failed_job(lab, "corrupt_model", "SafetensorError: sdxl.safetensors")
    done = applied(lab, job, name="verify_model")
    assert done.job is None
    assert "sdxl.safetensors is damaged" in done.message


def test_an_action_that_there_is_not_and_a_job_that_is_well_are_refused(lab: Lab) -> None:
    job = lab.submit("a fox")
    with pytest.raises(RequestInvalid, match="no action"):
        asyncio.run(remedies.apply(lab, job, Action("rm -rf", "Run")))
    smaller = Action("retry_smaller", "Smaller", {"width": 64, "height": 64})
    with pytest.raises(RequestInvalid, match="nothing to mend"):
        asyncio.run(remedies.apply(lab, job, smaller))
    bad = Action("restart_service", "Restart", {"service": "../x"})
    with pytest.raises(RequestInvalid, match="no service"):
        asyncio.run(remedies.apply(lab, job, bad))


def test_the_command_line_says_why_and_does_it(lab: Lab) -> None:
    job = failed_job(lab, "out_of_memory", width=1024, height=1024)

    def orchestrator(*words: str) -> Any:
        given = {"ORCHESTRATOR_PATHS": str(lab.paths.file)}
        ran = CliRunner().invoke(app, [*words, "--json"], env=given, catch_exceptions=False)
        assert ran.exit_code == 0, ran.stderr
        return json.loads(ran.stdout)

    said = orchestrator("diagnose", job.id)
    assert said["rule"] == "out_of_memory"
    assert said["action"]["params"] == {"width": 704, "height": 704}
    assert "applied" not in said
    done = orchestrator("diagnose", job.id[:30], "--apply")
    assert lab.job(done["applied"]["job"]).job.params["width"] == 704
