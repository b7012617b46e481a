"""The history: jobs as a table, archived ones included; and the command that archives.

10,000 jobs here, 100,000 in the long form (`LAB_LONG=1`).
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from lengths import LONG
from typer.testing import CliRunner

from orchestrator.cli import app
from orchestrator.errors import RequestInvalid
from orchestrator.jobs import Failure, Job, Result, Status
from orchestrator.lab import Lab
from orchestrator.lab.history import moment
from orchestrator.testing import make_lab

MANY = 100_000 if LONG else 3_000
START = datetime(2026, 11, 22, 12, tzinfo=UTC)
NO = Failure(kind="invalid", message="no such thing", remedy="ask for another")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with make_lab(tmp_path, comfy_url="http://127.0.0.1:9") as lab:
        yield lab


def ended(lab: Lab, prompt: str, *, days_ago: float, failed: bool = False, **more: Any) -> Job:
    """A job that was made, and ended, so long ago."""
    job = lab.submit(prompt, **more)
    then = lab.store.now() - timedelta(days=days_ago)
    document = job.to_document() | {
        "status": "failed" if failed else "done",
        "createdAt": then.isoformat(),
        "startedAt": then.isoformat(),
        "finishedAt": (then + timedelta(seconds=12.5)).isoformat(),
        "failure": NO.model_dump(mode="json", by_alias=True) if failed else None,
        "result": Result(file="a.png").model_dump(mode="json", by_alias=True),
    }
    lab.store.layout.job(job.id).write_text(json.dumps(document))
    lab.store.refresh()
    return lab.store.get(job.id)


def test_hot_and_archived_jobs_stand_in_one_table_with_the_same_columns(lab: Lab) -> None:
    old = ended(lab, "An Old FOX", days_ago=40, params={"seed": 7})
    new = ended(lab, "a new fox", days_ago=2, failed=True)
    waiting = lab.submit("waits")
    lab.store.archive([old.id])
    table = lab.history()
    assert list(table["id"]) == [waiting.id, new.id, old.id]
    assert list(table["archived"]) == [False, False, True]
    assert list(table["status"]) == ["queued", "failed", "done"]
    assert table["prompt"].iloc[2] == "An Old FOX"
    assert table["seed"].iloc[2] == 7
    assert table["seconds"].iloc[2] == 12.5
    assert table["file"].iloc[2] == "a.png"
    assert (table["failure"].iloc[1], table["remedy"].iloc[1]) == (NO.message, NO.remedy)
    assert table["created"].iloc[2] == old.created_at


def test_archiving_changes_nothing_of_a_row_but_where_it_is(lab: Lab) -> None:
    job = ended(lab, "A Fox, ÄÖ", days_ago=2, failed=True, params={"seed": 2**31, "steps": 4})
    before = lab.history().drop(columns="archived")
    lab.store.archive([job.id])
    after = lab.history().drop(columns="archived")
    assert before.to_dict("records") == after.to_dict("records")
    lab.store.layout.old.parent.joinpath(".lab", "index.db").unlink()  # read from the files
    again = lab.history().drop(columns="archived")
    assert after.to_dict("records") == again.to_dict("records")


def test_an_index_of_an_older_lab_is_made_anew(tmp_path: Path) -> None:
    with make_lab(tmp_path) as lab:
        job = ended(lab, "A fox", days_ago=40)
        lab.store.archive([job.id])
        file = lab.store.layout.old.parent / ".lab" / "index.db"
    db = sqlite3.connect(file)
    db.executescript(
        "drop table jobs; create table jobs (id text primary key, month text not null, status text not null, "
        "backend text not null, created text not null, prompt text not null) without rowid; pragma user_version = 0"
    )
    db.close()
    with make_lab(tmp_path) as lab:
        assert list(lab.history()["id"]) == [job.id]
        assert lab.store.counts()[Status.DONE] == 1


@pytest.mark.parametrize(
    ("wanted", "prompts"),
    [
        ({}, ["today", "week", "month"]),
        ({"since": "10d"}, ["today", "week"]),
        ({"until": "6d"}, ["week", "month"]),
        ({"since": "10d", "until": "1d"}, ["week"]),
        ({"status": "failed"}, ["week"]),
        ({"backend": "sdxl"}, ["month"]),
        ({"text": "MON"}, ["month"]),
        ({"limit": 2}, ["today", "week"]),
        ({"limit": 0}, []),
        ({"text": "nothing of the kind"}, []),
    ],
)
def test_a_history_is_narrowed(lab: Lab, wanted: dict[str, Any], prompts: list[str]) -> None:
    ended(lab, "today", days_ago=0.1)
    week = ended(lab, "week", days_ago=7, failed=True)
    month = ended(lab, "month", days_ago=30, backend="sdxl")
    for archived in ([], [month.id], [week.id]):
        lab.store.archive(archived)
        assert list(lab.history(**wanted)["prompt"]) == prompts


def test_a_job_that_another_process_archived_stands_once(lab: Lab) -> None:
    job = ended(lab, "a fox", days_ago=2)
    with make_lab(lab.paths.file.parent) as other:
        other.store.refresh()
        other.store.archive([job.id])
        rows = lab.store.history(limit=10)  # not refreshed: it has the job in mind still
    assert [row[0] for row in rows] == [job.id]


def test_nonsense_is_refused_with_a_remedy(lab: Lab) -> None:
    for wrong in ({"since": "yesterday"}, {"until": "99999999w"}, {"status": "gone"}):
        with pytest.raises(RequestInvalid) as raised:
            lab.history(**wrong)
        assert raised.value.remedy


def test_a_time_is_said_as_an_age_or_a_date() -> None:
    assert moment("7d", now=START) == START - timedelta(days=7)
    assert moment(" 90M ", now=START) == START - timedelta(minutes=90)
    assert moment("2026-11-01T10:00:00Z", now=START) == datetime(2026, 11, 1, 10, tzinfo=UTC)
    assert moment("2026-11-01", now=START) == datetime(2026, 11, 1).astimezone()
    assert moment(START, now=START) == START
    with pytest.raises(RequestInvalid):
        moment("-1d", now=START)


# ------------------------------------------------------------------------------ many


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with make_lab(tmp_path_factory.mktemp("many"), comfy_url="http://127.0.0.1:9") as lab:
        template = Job.new(
            id="ID", backend="sd15", prompt="A fox NUMBER", params={}, now=START
        ).to_document()
        template |= {"status": "done", "finishedAt": "2026-11-22T12:00:00Z"}
        text = json.dumps(template)
        for number in range(MANY):
            job_id = f"job-{number:06}"
            at = (START - timedelta(seconds=number)).isoformat()
            month = lab.store.layout.old / f"2026-{1 + number % 10:02}"
            month.mkdir(parents=True, exist_ok=True)
            content = text.replace('"ID"', f'"{job_id}"').replace("NUMBER", str(number))
            content = content.replace(json.dumps(template["createdAt"]), json.dumps(at))
            (month / f"{job_id}.json").write_text(content)
        lab.store.counts()  # the index is made
        yield lab


@pytest.mark.timeout(300)
def test_a_large_history_opens_no_file_and_does_not_slow_the_queue(many: Lab) -> None:
    def life() -> float:
        began = time.perf_counter()
        job = many.submit("quick")
        many.cancel(job.id)
        return time.perf_counter() - began

    alone = sorted(life() for _ in range(30))
    began = time.perf_counter()
    table = many.history(limit=MANY)
    took_s = time.perf_counter() - began
    assert len(table) == MANY
    assert table["created"].is_monotonic_decreasing
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            many.store.history(limit=MANY)

    reader = threading.Thread(target=read)
    reader.start()
    beside = sorted(life() for _ in range(30))
    done.set()
    reader.join()
    print(
        f"\n{MANY:,} jobs: history {took_s:.2f} s; a job's life in the queue: "
        f"{1000 * alone[15]:.1f} ms alone, {1000 * beside[15]:.1f} ms beside it (worst {1000 * beside[-1]:.0f})"
    )
    assert took_s < 5 * MANY / 100_000 + 1
    assert beside[15] < alone[15] + 0.1


def test_a_large_history_is_whole_and_in_order_across_its_chunks(many: Lab) -> None:
    rows = [row for row in many.store.history(limit=10 * MANY) if row[1] is not None]
    assert [row[0] for row in rows] == [f"job-{number:06}" for number in range(MANY)]
    (one,) = many.store.history(limit=5, text=f"fox {MANY - 1}")
    assert one[0] == f"job-{MANY - 1:06}"


# ------------------------------------------------------------------------------ the command


def call(lab: Lab, *arguments: str) -> Any:
    given = {"ORCHESTRATOR_PATHS": str(lab.paths.file)}
    return CliRunner().invoke(app, ["archive", *arguments], env=given, catch_exceptions=False)


def test_the_command_moves_what_ended_before_and_nothing_else(lab: Lab) -> None:
    old = ended(lab, "old", days_ago=9)
    new = ended(lab, "new", days_ago=2)
    waiting = lab.submit("waits")
    said = call(lab, "--before", "7d", "--dry-run", "--json")
    assert json.loads(said.stdout)["jobs"] == [old.id]
    assert lab.store.layout.job(old.id).exists()
    said = call(lab, "--before", "7d", "--json")
    assert (said.exit_code, json.loads(said.stdout)["jobs"]) == (0, [old.id])
    assert not lab.store.layout.job(old.id).exists()
    month = f"{lab.store.get(old.id).finished_at:%Y-%m}"
    assert (lab.store.layout.old / month / f"{old.id}.json").exists()
    assert lab.store.layout.job(new.id).exists()
    assert lab.store.layout.job(waiting.id).exists()
    assert set(lab.history()["id"]) == {old.id, new.id, waiting.id}
    assert "0 jobs" in call(lab, "--before", "7d").stdout


def test_the_command_refuses_what_is_no_time(lab: Lab) -> None:
    assert call(lab, "--before", "soon").exit_code == 2
