"""The lab as a script holds it: submitting, tables, and jobs that have been archived meanwhile."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import orjson
import pytest

from orchestrator.errors import InvalidTransition, JobFailed, JobNotFound, ParamsInvalid
from orchestrator.files import Disk
from orchestrator.jobs import Failure, Job, Status
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.testing import make_lab

FAILURE = Failure(kind="invalid", message="no such thing", remedy="ask for another")


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with make_lab(tmp_path, comfy_url="http://127.0.0.1:9") as lab:
        yield lab


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A lab that is told of no service."""
    monkeypatch.delenv("COMFY_URL", raising=False)
    Paths.init(tmp_path)
    with Lab.open(tmp_path) as lab:
        yield lab


def failed_and_archived(lab: Lab) -> Job:
    job = lab.submit("a fox")
    lab.store.update(job.id, lambda job: job.fail(FAILURE, now=lab.store.now()))
    assert [moved.id for moved in lab.store.archive([job.id])] == [job.id]
    return job


def test_an_archived_job_can_be_retried_and_is_then_a_job_like_any_other(lab: Lab) -> None:
    job = failed_and_archived(lab)
    assert lab.retry(job.id[:20]).status is Status.QUEUED
    assert [found.id for found in lab.page()[0]] == [job.id]
    assert lab.page()[1] == 1
    assert lab.store.layout.job(job.id).exists()
    assert not list(lab.store.layout.old.rglob(f"{job.id}.json"))


def test_a_retry_holds_although_a_worker_archives_the_job_again_in_between(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = failed_and_archived(lab)
    unarchive = lab.store.unarchive

    def and_a_worker_tidies(job_id: str) -> bool:
        found = unarchive(job_id)
        monkeypatch.undo()
        assert lab.store.archive([job_id])
        return found

    monkeypatch.setattr(lab.store, "unarchive", and_a_worker_tidies)
    assert lab.retry(job.id).status is Status.QUEUED


def test_an_archived_job_that_cannot_be_changed_stays_in_the_archive(lab: Lab) -> None:
    job = failed_and_archived(lab)
    with pytest.raises(InvalidTransition):
        lab.cancel(job.id)
    assert not lab.store.layout.job(job.id).exists()
    with pytest.raises(JobNotFound):
        lab.retry("0" * 36)


def test_a_create_whose_answer_was_lost_is_stored_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Disk.sync_folder, []

    def fails_once(disk: Disk, path: Path | str) -> None:
        calls.append(path)
        if len(calls) == 1:
            raise OSError("the share went away for a moment")
        real(disk, path)

    with make_lab(tmp_path, comfy_url="http://127.0.0.1:9") as lab:
        monkeypatch.setattr(Disk, "sync_folder", fails_once)
        job = lab.submit("a fox")
        assert lab.page()[1] == 1
        assert lab.store.get(job.id).prompt == "a fox"


def test_the_tables_name_jobs_their_pictures_and_their_failures(bare: Lab) -> None:
    async def work() -> None:
        async with bare.worker():  # no ComfyUI is named: the embedded engine is started
            made = await bare.image("a fox", steps=1, width=64, height=64, seed=7)
            with pytest.raises(JobFailed, match="eulr") as failed:
                await bare.image("an owl", sampler="eulr")
        assert failed.value.remedy
        assert made.recipe is not None
        assert (made.recipe.prompt, made.recipe.seed) == ("a fox", 7)
        jobs, images = bare.jobs(), bare.images()
        assert list(jobs["status"]) == ["failed", "done"]
        assert "eulr" in jobs["failure"][0]
        assert list(images["file"]) == [str(made.path)]
        assert (images["width"][0], images["height"][0], images["seed"][0]) == (64, 64, 7)
        assert images["job"][0] == jobs["id"][1]

    asyncio.run(work())


def test_the_address_of_an_engine_that_is_gone_is_not_believed(bare: Lab) -> None:
    said = bare.paths.data / "engine.json"
    said.write_bytes(orjson.dumps({"url": "http://127.0.0.1:9", "pid": 2**22 + 1}))
    assert bare.comfy_hosts() == ["http://127.0.0.1:8188"]  # no process has so high an id
    said.write_bytes(orjson.dumps({"url": "http://127.0.0.1:9", "pid": os.getpid()}))
    assert bare.comfy_hosts() == ["http://127.0.0.1:9"]


@pytest.mark.parametrize("end", ["in order", "killed"])
def test_a_job_is_done_although_whoever_started_the_engine_ends(bare: Lab, end: str) -> None:
    async def work() -> Job:
        with Lab.open(bare.paths.file) as first:
            engine = await asyncio.to_thread(first.start_engine)
            async with bare.worker():
                job = await bare.generate("a fox", steps=1000)
                while (now := job.progress()) is None or not now.step:
                    await asyncio.sleep(0.05)
                if end == "in order":
                    first.stop_engine(engine)
                else:  # nobody has tidied up, and a process with so high an id has never been
                    said = {"url": engine.url, "pid": engine.pid, "owner": 2**22 + 1}
                    (bare.paths.data / "engine.json").write_bytes(orjson.dumps(said))
                    engine.stop()
                assert bare.comfy_hosts() != [engine.url]
                done = (await job.wait(timeout_s=60)).job
                assert bare.comfy_hosts() == [engine.url]  # the address is the same
        return done

    job = asyncio.run(work())
    assert (job.status, len(job.attempts)) == (Status.DONE, 2)
    assert not (bare.paths.data / "engine.json").exists()


def test_a_job_file_cannot_name_a_picture_outside_its_folder(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(b"key")
    (lab.paths.drop_out / "link.png").symlink_to(tmp_path / "secret.png")
    (lab.paths.drop_out / "own.png").write_bytes(b"picture")
    for file in ("../../secret.png", str(tmp_path / "secret.png"), "link.png", "..", "", "a\0b"):
        assert lab.picture_path(file) is None
    # the old system wrote such paths; its pictures were moved along
    assert lab.picture_path("F:\\Drop\\out\\own.png") == lab.paths.drop_out / "own.png"


@pytest.mark.parametrize("amount", ["NaN", "-0.06", "Infinity"])
def test_a_purchase_is_corrected_by_an_amount_of_money_only(tmp_path: Path, amount: str) -> None:
    with make_lab(tmp_path) as lab, pytest.raises(ParamsInvalid, match="amount"):
        lab.correct_spending("any", Decimal(amount))
