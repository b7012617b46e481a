"""What the lab says of itself: the figures of its jobs, its log's newest lines, its health."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import SecretStr

from orchestrator import health, logs, plots
from orchestrator.errors import PlotsFailed
from orchestrator.jobs import Failure, Job, Result, Status
from orchestrator.lab import Lab
from orchestrator.settings import Settings
from orchestrator.statistics import (
    GOAL,
    MAX_BUCKETS,
    MAX_JOBS,
    Fact,
    History,
    Statistics,
    Window,
    fact,
    quantile,
    summary,
)
from orchestrator.store import Store
from orchestrator.testing import make_job, make_lab

NOW = datetime(2026, 11, 22, 12, 30, tzinfo=UTC)
BROKEN = Failure(kind="moderated", message="It was refused", remedy="Change the prompt.")


def ended(
    *, ago: timedelta = timedelta(hours=1), took_s: float = 10, backend: str = "sd15", **rest: Any
) -> Job:
    """A job that is done, or failed with `failure`, submitted so long ago."""
    failure = rest.pop("failure", None)
    at = NOW - ago
    job = make_job(backend=backend, **rest).having(created_at=at)
    begun = job.claim(worker="w", host="h", slot=None, now=at).begin_attempt(
        service="comfyui", host="h", now=at
    )
    end = at + timedelta(seconds=took_s)
    return begun.fail(failure, now=end) if failure else begun.finish(["a.png"], now=end)


def figures(jobs: list[Job], *, window: Window = Window.DAY, **options: Any) -> Statistics:
    return summary(map(fact, jobs), window=window, now=NOW, **options)


# ------------------------------------------------------------------------------ figures


def test_an_empty_lab_has_figures_and_none_of_them_is_made_up() -> None:
    said = figures([])
    assert said.total == 0
    assert said.success_rate is None
    assert said.attempts_mean is None
    assert said.backends == []
    assert said.failures == []
    assert not said.cut


def test_a_cancelled_job_counts_neither_as_success_nor_as_failure() -> None:
    cancelled = make_job().cancel(now=NOW).having(created_at=NOW)
    said = figures([ended(), ended(), ended(), ended(failure=BROKEN), cancelled])
    assert said.success_rate == 0.75
    assert said.counts == {
        "created": 0,
        "queued": 0,
        "running": 0,
        "done": 3,
        "failed": 1,
        "cancelled": 1,
    }
    assert figures([cancelled]).success_rate is None
    assert said.goal == GOAL == 0.95


@pytest.mark.parametrize(
    ("window", "counted"), [(Window.DAY, 1), (Window.WEEK, 2), (Window.MONTH, 3), (Window.ALL, 4)]
)
def test_a_window_holds_the_jobs_submitted_within_it(window: Window, counted: int) -> None:
    jobs = [ended(ago=timedelta(days=days)) for days in (0.9, 6.9, 29.9, 400)]
    said = figures(jobs, window=window)
    assert said.total == counted
    assert sum(sum(bucket.counts.values()) for bucket in said.buckets) == counted


def test_durations_are_told_against_the_targets_of_the_map() -> None:
    jobs = [ended(took_s=seconds) for seconds in (10, 20, 30, 40)]
    (sd15,) = figures(jobs).backends
    assert (sd15.median_s, sd15.target_s, sd15.within_target) == (25, 30, 0.75)
    assert sd15.p95_s == pytest.approx(38.5)
    targets = {
        name: figures([ended(backend=name)]).backends[0].target_s for name in ("sdxl", "flux")
    }
    assert targets == {"sdxl": 60, "flux": 45}
    other = figures([ended().having(backend="mine")]).backends[0]
    assert (other.target_s, other.within_target, other.median_s) == (None, None, 10)


def test_a_job_run_again_days_later_was_not_at_it_for_days() -> None:
    failed = ended(ago=timedelta(days=3), failure=BROKEN)
    again = failed.release(now=NOW).claim(worker="w", host="h", slot=None, now=NOW)
    begun = again.begin_attempt(service="comfyui", host="h", now=NOW)
    done = begun.finish(["a.png"], now=NOW + timedelta(seconds=7))
    assert fact(done).duration_s == 7


def test_a_clock_that_was_set_back_makes_no_negative_duration() -> None:
    assert fact(ended(took_s=-5)).duration_s is None


def test_a_job_of_the_old_system_without_attempts_has_a_duration_and_a_failure() -> None:
    done = make_job().having(
        status=Status.DONE, started_at=NOW, finished_at=NOW + timedelta(seconds=4)
    )
    assert fact(done).duration_s == 4
    failed = done.having(status=Status.FAILED, result=Result(error="Comfy timeout"))
    (group,) = figures([failed.having(created_at=NOW)]).failures
    assert (group.kind, group.message) == ("unclassified", "Comfy timeout")
    assert group.remedy


def test_failures_are_grouped_by_kind_and_the_newest_tells_message_and_remedy() -> None:
    away = Failure(kind="unreachable", message="old words", remedy="Old.")
    newest = ended(
        ago=timedelta(minutes=5), failure=away.having(message="new words", remedy="New.")
    )
    jobs = [ended(failure=away), newest, ended(backend="flux", failure=away), ended(failure=BROKEN)]
    first, second = figures(jobs).failures
    assert (first.kind, first.count, first.job_id) == ("unreachable", 3, newest.id)
    assert (first.message, first.remedy) == ("new words", "New.")
    assert first.backends == ["sd15", "flux"]
    assert (second.kind, second.count) == ("moderated", 1)


def test_hostile_words_of_a_job_file_stay_on_one_short_line() -> None:
    hostile = Failure(kind="k\n" * 90, message="\x1b[31m\u202e<b>\n" + "x" * 5000, remedy="\0r")
    job = ended(failure=hostile).having(backend="\u202ebad\n" + "y" * 500)
    said = figures([job])
    (group,) = said.failures
    for text in (group.kind, group.message, group.remedy, *group.backends):
        assert text.isprintable()
        assert len(text) <= 500
    assert len(said.backends[0].backend) <= 60


def test_attempts_of_done_jobs_are_counted() -> None:
    job = ended()
    retried = job.having(attempts=[*job.attempts, *job.attempts, *job.attempts])
    said = figures([job, retried, ended(failure=BROKEN)])
    assert (said.attempts_mean, said.attempts_most) == (2, 3)


@pytest.mark.parametrize(
    ("ranked", "share", "value"),
    [
        ([], 0.5, None),
        ([7], 0.95, 7),
        ([1, 2], 0.5, 1.5),
        ([1, 2, 3], 0.5, 2),
        ([0, 10], 0.95, 9.5),
    ],
)
def test_a_quantile_lies_between_its_neighbours(
    ranked: list[float], share: float, value: float | None
) -> None:
    assert quantile(ranked, share) == value


# ------------------------------------------------------------------------------ over time


def test_hours_of_the_day_are_buckets_and_a_job_lies_in_the_hour_of_its_submission() -> None:
    said = figures([ended(ago=timedelta(minutes=31)), ended(ago=timedelta(minutes=29))])
    assert said.step_s == 3600
    assert len(said.buckets) == 25  # the window begins within the first
    last_two = [(bucket.start.hour, bucket.counts) for bucket in said.buckets[-2:]]
    assert last_two == [(11, {"done": 1}), (12, {"done": 1})]
    assert said.buckets[-1].medians_s == {"sd15": 10}


def test_days_begin_at_midnight_of_the_reader_also_where_summer_time_ends() -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 10, 27, 12, tzinfo=UTC)  # two days after the clocks went back
    said = summary([], window=Window.MONTH, now=now, zone=zone)
    assert {bucket.start.astimezone(zone).hour for bucket in said.buckets} == {0}
    gaps = {after.start - before.start for before, after in pairwise(said.buckets)}
    assert gaps == {timedelta(hours=24), timedelta(hours=25)}


@pytest.mark.parametrize(
    "when", [datetime(2026, 3, 29, 3, tzinfo=UTC), datetime(2026, 10, 25, 3, tzinfo=UTC)]
)
def test_no_hour_is_lost_or_doubled_when_the_clocks_change(when: datetime) -> None:
    facts = [
        Fact(str(n), Status.DONE, "sd15", when - timedelta(minutes=20 * n), None, 1.0, 1, None)
        for n in range(60)
    ]
    said = summary(facts, window=Window.DAY, now=when, zone=ZoneInfo("Europe/Berlin"))
    starts = [bucket.start for bucket in said.buckets]
    assert starts == sorted(set(starts))
    assert sum(bucket.counts["done"] for bucket in said.buckets if bucket.counts) == 60


@pytest.mark.parametrize("days", [0, 0.5, 3, 20, 59, 60, 61, 400, 5000])
def test_all_jobs_however_old_make_few_buckets(days: float) -> None:
    said = figures([ended(ago=timedelta(days=days)), ended()], window=Window.ALL)
    assert len(said.buckets) <= MAX_BUCKETS + 1
    assert sum(bucket.counts["done"] for bucket in said.buckets if bucket.counts) == 2


def test_a_job_from_the_future_lies_in_the_newest_bucket() -> None:
    said = figures([ended(ago=timedelta(hours=-3))])
    assert said.buckets[-1].counts == {"done": 1}


# ------------------------------------------------------------------------------ gathering


@pytest.fixture
def store(tmp_path: Path) -> Any:
    store = Store(tmp_path / "jobs")
    yield store
    store.close()


def test_archived_jobs_are_counted_once_wherever_they_go(store: Store) -> None:
    jobs = [store.create(ended(ago=timedelta(days=days))) for days in (1, 2, 3)]
    waiting = store.create(make_job())
    history = History(store)

    def ids() -> set[str]:
        facts, known = history.look()
        assert len(facts) == known == len({each.id for each in facts})
        return {each.id for each in facts}

    everything = {job.id for job in jobs} | {waiting.id}
    assert ids() == everything
    store.archive([job.id for job in jobs[:2]])
    assert ids() == everything
    store.unarchive(jobs[0].id)
    assert ids() == everything
    store.layout.job(waiting.id).unlink()
    assert ids() == everything - {waiting.id}
    path = next(store.layout.job(jobs[1].id).parent.glob(f"_old/*/{jobs[1].id}.json"))
    path.unlink()
    assert ids() == everything - {waiting.id, jobs[1].id}


def test_an_unchanged_archive_is_not_read_again(store: Store) -> None:
    jobs = [store.create(ended(ago=timedelta(hours=hours))) for hours in range(20)]
    store.archive([job.id for job in jobs])
    history = History(store)
    history.look()
    archived = sorted(store.layout.job("x").parent.glob("_old/*/*.json"))
    assert len(archived) == 20
    for path in archived:  # whoever read them would find no job
        stamp = path.stat()
        path.write_bytes(b" " * stamp.st_size)
        os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    store.create(make_job())
    assert len(history.look()[0]) == 21


def test_the_result_says_when_older_jobs_were_left_out() -> None:
    facts = [
        Fact(str(n), Status.DONE, "sd15", NOW - timedelta(minutes=n), NOW, 1.0, 1, None)
        for n in range(MAX_JOBS)
    ]
    said = summary(facts, window=Window.ALL, now=NOW, known=MAX_JOBS + 7)
    assert (said.cut, said.considered, said.known) == (True, MAX_JOBS, MAX_JOBS + 7)
    assert not summary(facts, window=Window.DAY, now=NOW, known=MAX_JOBS + 7).cut
    assert not summary(facts, window=Window.ALL, now=NOW, known=MAX_JOBS).cut


def test_a_file_that_holds_no_job_does_not_spoil_the_figures(store: Store) -> None:
    store.create(ended())
    bad = ended().to_json().replace(b'"attempts": [', b'"attempts": [7, ')
    job_id = json.loads(bad)["id"]
    store.layout.job(job_id).write_bytes(bad)
    facts, known = History(store).look()
    assert len(facts) == known == 1


# ------------------------------------------------------------------------------ plots


def test_a_process_of_its_own_draws_both_plots_for_both_themes(tmp_path: Path) -> None:
    jobs = [ended(ago=timedelta(hours=n), backend=b) for n in range(5) for b in ("sd15", "sdxl")]
    odd = [ended().having(backend="_<script>$x_1$</script>&")]
    said = figures([*jobs, *odd, ended(failure=BROKEN)]).model_dump(mode="json", by_alias=True)
    drawn = plots.draw(said, zone="Europe/Moscow", cache=tmp_path)
    assert {name: set(themes) for name, themes in drawn.items()} == {
        "jobs": {"light", "dark"},
        "durations": {"light", "dark"},
    }
    for themes in drawn.values():
        for svg in themes.values():
            assert b"<svg" in svg
            assert b"<script" not in svg
    assert b"sdxl" in drawn["durations"]["light"]
    assert plots.LIGHT["failed"].encode() in drawn["jobs"]["light"]
    assert plots.DARK["failed"].encode() in drawn["jobs"]["dark"]
    assert plots.LIGHT["failed"].encode() not in drawn["jobs"]["dark"]
    assert "matplotlib" not in sys.modules


def test_a_drawing_that_fails_says_why_and_what_to_do(tmp_path: Path) -> None:
    said = figures([ended()]).model_dump(mode="json", by_alias=True)
    with pytest.raises(PlotsFailed, match="Nowhere") as raised:
        plots.draw(said, zone="Nowhere/At_All", cache=tmp_path)
    assert "matplotlib" in raised.value.remedy


# ------------------------------------------------------------------------------ the log


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    with make_lab(tmp_path) as lab:
        yield lab


def test_only_the_end_of_a_log_is_read_and_half_a_line_is_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    with path.open("wb") as file:
        file.truncate(3_000_000_000)  # sparse: reading it all would take seconds and the memory
        file.seek(0, os.SEEK_END)
        file.write(b"secret-half\nfirst\nlast\n")
    began = time.monotonic()
    rows = logs.tail(path, 3)
    assert time.monotonic() - began < 1
    assert rows[1:] == ["first", "last"]
    assert "not read" in rows[0]
    assert "half" not in rows[0]


@pytest.mark.parametrize("data", [b"", b"\n"])
def test_an_empty_log_has_no_words(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(data)
    assert "".join(logs.tail(path)) == ""


def test_hostile_lines_are_made_safe_and_keep_their_indent(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"\tin\x1b[2J\rforged \xe2\x80\xaetxt \xff\x00\n" + b"x" * 9000 + b"\nno end")
    first, long, last = logs.tail(path)
    assert first.startswith("    in")
    assert all(row.isprintable() for row in (first, long, last))
    assert "\u202e" not in first
    assert len(long) == logs.MAX_LINE
    assert last == "no end"
    assert logs.tail(path, 1) == ["no end"]
    assert logs.tail(path, 0) == []


@pytest.mark.parametrize(
    "line",
    [
        "GET /api/jobs?token={} 200",
        "Authorization: Bearer {}",
        "authorization: token {}",
        '"x-key": "{}"',
        "HF_TOKEN={}",
        "{{'bfl_api_key': '{}'}}",
        "password = {}",
        "http://user:{}@host/",
        "Cookie: a=b; session={}",
        "plain words with the lab's own key KEY in them, and nothing of the kind of {}",
    ],
)
def test_what_looks_like_a_secret_is_masked(tmp_path: Path, line: str) -> None:
    settings = Settings(bfl_api_key=SecretStr("KEY"))
    secret = "hunter2" if "plain" not in line else "secrets"
    path = tmp_path / "a.log"
    path.write_text(line.format(secret) + "\n")
    (shown,) = logs.tail(path, settings=settings)
    assert "hunter2" not in shown
    assert "KEY" not in shown.replace("bfl_api_key", "")
    assert "****" in shown


def test_a_key_is_masked_before_a_long_line_is_cut(tmp_path: Path) -> None:
    key = "k" * 40
    path = tmp_path / "a.log"
    path.write_text("x" * (logs.MAX_LINE - 20) + key)
    (shown,) = logs.tail(path, settings=Settings(bfl_api_key=SecretStr(key)))
    assert "kk" not in shown


def test_a_hostile_line_does_not_keep_the_search_for_secrets_busy(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(
        "\n".join(word * (200_000 // len(word)) for word in ("a-", "token ", "http://"))
    )
    began = time.monotonic()
    logs.tail(path)
    assert time.monotonic() - began < 2


def test_log_files_are_listed_newest_first_without_links_and_other_files(lab: Lab) -> None:
    folder = lab.paths.logs
    for age, name in enumerate(["worker.log", "server.log", "worker.log.1"]):
        (folder / name).write_text("x\n")
        os.utime(folder / name, (1_000_000 - age, 1_000_000 - age))
    (folder / "notes.txt").write_text("x")
    (folder / "linked.log").symlink_to(lab.paths.env_file)
    (folder / "folder.log").mkdir()
    os.mkfifo(folder / "pipe.log")
    names = [file.name for file in logs.files(lab.paths)]
    assert names == ["worker.log", "server.log", "worker.log.1"]
    assert logs.newest(lab.paths, file="../.env.local") == []
    assert logs.newest(lab.paths, file="linked.log") == []


def test_lines_of_all_logs_are_told_in_the_order_they_were_written(lab: Lab) -> None:
    (lab.paths.logs / "worker.log").write_text(
        "2026-11-22 10:00:00,000 ERROR w: one\n    its traceback\n2026-11-22 10:00:02,000 INFO w: three\n"
    )
    (lab.paths.logs / "server.log").write_text("2026-11-22 10:00:01,000 INFO s: two\n")
    said = [(line.file, line.text.split(": ")[-1].strip()) for line in logs.newest(lab.paths)]
    assert said == [
        ("worker.log", "one"),
        ("worker.log", "its traceback"),
        ("server.log", "two"),
        ("worker.log", "three"),
    ]
    only = logs.newest(lab.paths, file="server.log")
    assert [line.file for line in only] == ["server.log"]
    assert len(logs.newest(lab.paths, 2)) == 2


def test_a_folder_of_logs_that_is_gone_is_an_empty_one(lab: Lab) -> None:
    lab.paths.logs.rmdir()
    assert logs.files(lab.paths) == []
    assert logs.newest(lab.paths) == []


# ------------------------------------------------------------------------------ health


def test_without_up_monitor_and_guardian_are_stopped_and_no_problem(lab: Lab) -> None:
    said = asyncio.run(lab.health())
    for service in (said.monitor, said.guardian):
        assert service.status == "stopped"
        assert "orchestrator up" in (service.remedy or "")
    assert not [problem for problem in said.problems if "onitor" in problem or "uardian" in problem]
    written = json.loads(said.model_dump_json(by_alias=True))
    assert {"panel", "comfyui", "bfl", "worker", "monitor", "guardian"} <= written.keys()


def test_a_panel_of_this_machine_tells_its_process_its_age_and_its_memory(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, make_lab(tmp_path) as lab:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
        settings = lab.settings.model_copy(update={"admin_url": address})
        said = asyncio.run(health.report(lab.paths, settings, lab.store, hosts=[]))
    assert said.panel.status == "running"
    assert said.panel.pid == os.getpid()
    assert said.panel.uptime_s is not None
    assert said.panel.memory is not None
    assert said.panel.memory > 1_000_000


def test_every_place_tells_the_room_on_its_disk(lab: Lab) -> None:
    for place in health.look_at(lab.paths):
        assert place.free is not None
        assert place.total is not None
        assert 0 <= place.free <= place.total
