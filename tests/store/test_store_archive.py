"""The archive: pages, counts and cold starts with many finished jobs.

3,000 here, 100,000 in the long form (`LAB_LONG=1 pytest tests/store`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from lengths import LONG
from workbench import START, finish, make_job, opened, put_file, take

from orchestrator.jobs import Failure, Status

JOBS = 100_000 if LONG else 3_000
MONTHS = ("2026-09", "2026-10", "")
STATUSES = (Status.DONE, Status.FAILED, Status.DONE)
ROUNDS = 9


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("many")
    template = make_job("ID", params={"seed": 1, "steps": 20}).to_json()
    for month in MONTHS:
        (root / "_old" / month).mkdir(parents=True, exist_ok=True)
    for number in range(JOBS):
        job_id = f"job-{number:06}"
        created = (START + timedelta(seconds=number)).strftime("%Y-%m-%dT%H:%M:%S.%fZ").encode()
        content = (
            template.replace(b'"ID"', f'"{job_id}"'.encode())
            .replace(b'"queued"', f'"{STATUSES[number % 3]}"'.encode())
            .replace(b"2026-11-22T12:00:00Z", created)
        )
        (root / "_old" / MONTHS[number % 3] / f"{job_id}.json").write_bytes(content)
    return root


def best_s(act: Callable[[], object]) -> float:
    """The best of some rounds: what the code costs, whatever else the machine does."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        times.append(time.perf_counter() - start)
    return min(times)


@pytest.mark.timeout(300)
def test_a_large_archive_is_indexed_once_and_then_answers_at_once(many: Path) -> None:
    (many / ".lab" / "index.db").unlink(missing_ok=True)
    with opened(many) as store:
        start = time.perf_counter()
        counts = store.counts()
        rebuild_s = time.perf_counter() - start
        assert counts == {Status.DONE: JOBS - JOBS // 3, Status.FAILED: JOBS // 3}
        page_s = best_s(lambda: store.page(limit=50))
        filtered_s = best_s(lambda: store.page(limit=50, status=Status.FAILED))
        counts_s = best_s(store.counts)
        jobs, total = store.page(limit=50, offset=100)
        assert total == JOBS
        assert [job.id for job in jobs] == [f"job-{JOBS - 101 - n:06}" for n in range(50)]
    start = time.perf_counter()
    with opened(many) as again:
        again.page(limit=50)
        again.counts()
    cold_s = time.perf_counter() - start
    print(
        f"{JOBS:,} archived: rebuild {rebuild_s:.2f} s, cold {cold_s * 1000:.0f} ms, page {page_s * 1000:.1f} ms, "
        f"filtered {filtered_s * 1000:.1f} ms, counts {counts_s * 1000:.1f} ms"
    )
    assert page_s <= 0.010  # 4 ms alone; two tests run at a time
    assert counts_s <= 0.020
    assert cold_s <= 1
    # 100,000 in 5 s by the benchmark, on a machine that does nothing else
    assert rebuild_s <= (15 if LONG else 5)


def test_jobs_that_others_put_into_the_archive_or_take_out_are_noticed(tmp_path: Path) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        for number in range(3):
            store.create(make_job(f"j{number}"))
            finish(store, take(store))
        assert store.page()[1] == 3
        other.refresh()
        other.archive(["j0", "j1"])
        store.refresh()
        assert store.page()[1] == 3
        month = other.get("j0").finished_at
        assert month is not None
        folder = tmp_path / "_old" / f"{month:%Y-%m}"
        (folder / "j0.json").unlink()
        put_file(folder, "old.json", make_job("old").having(status=Status.FAILED).to_json())
        assert sorted(job.id for job in store.page()[0]) == ["j1", "j2", "old"]
        assert +store.counts() == {Status.DONE: 2, Status.FAILED: 1}
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        assert [job.id for job in store.page()[0]] == ["j2"]
        assert +store.counts() == {Status.DONE: 1}


def test_jobs_of_several_time_zones_and_lengths_of_second_are_listed_by_time(
    tmp_path: Path,
) -> None:
    texts = {
        "e": "2026-11-22T13:00:02+00:00",
        "d": "2026-11-22T16:00:01.500+03:00",
        "c": "2026-11-22T13:00:01.250Z",
        "b": "2026-11-22T13:00:01Z",
        "a": "2026-11-22T13:00:00.999999Z",
    }
    for folder in ("", "_old"):
        (tmp_path / folder).mkdir(exist_ok=True)
        for name, text in texts.items():
            job = make_job(f"{name}{folder}").having(status=Status.DONE).to_json()
            content = job.replace(b"2026-11-22T12:00:00Z", text.encode())
            put_file(tmp_path / folder, f"{name}{folder}.json", content)
    with opened(tmp_path) as store:
        listed = [job.id for job in store.page()[0]]
        assert [job_id[0] for job_id in listed] == list("eeddccbbaa")


def test_a_job_that_another_process_ended_otherwise_is_not_archived_as_it_was(
    tmp_path: Path,
) -> None:
    with opened(tmp_path) as store, opened(tmp_path) as other:
        store.create(make_job("once"))
        failure = Failure(kind="oom", message="too large")
        store.update(
            "once", lambda job: job.having(status=Status.FAILED, failure=failure, finished_at=START)
        )
        other.update("once", lambda job: job.release(now=START).cancel(now=START))
        assert store.archive(["once"]) == []
        store.refresh(force=True)
        assert [job.id for job in store.archive(["once"])] == ["once"]
        assert store.counts() == {Status.CANCELLED: 1}
