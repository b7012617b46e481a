"""Several ComfyUI servers: a job goes where it can run and is done first, and a server that dies loses none."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest
from workshop import QUICK_JOB, Workshop, in_loop, until, workshop

from orchestrator.attempts.hosts import AWAY_S, LOAD_S, Hosts
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.jobs import Job, Status
from orchestrator.store import Kind
from orchestrator.testing import Engine
from orchestrator.workflows import Offered

SD15, SDXL = Kind("sd15"), Kind("sdxl")
ONE, TWO = "http://one:8188", "http://two:8188"


def known_hosts(**has: set[str]) -> Hosts:
    """Two servers that were looked at; `has` says which backends they can run."""

    async def asked(client: ComfyUI) -> Offered:
        raise AssertionError("nobody looks")

    def judge(kind: Kind, offered: Offered) -> str | None:
        return None if kind.backend in offered.classes else "it lacks the checkpoint"

    hosts = Hosts([ComfyUI(ONE), ComfyUI(TWO)], judge=judge, offered=asked, on_back=lambda: None)
    for url, backends in zip((ONE, TWO), has.values(), strict=False):
        host = hosts.get(url)
        assert host is not None
        host.offered = Offered({name: {} for name in backends})
    return hosts


def take_away(hosts: Hosts, url: str) -> None:
    host = hosts.get(url)
    assert host is not None
    host.away_until = time.monotonic() + AWAY_S


def set_host(hosts: Hosts, url: str, **fields: object) -> None:
    host = hosts.get(url)
    assert host is not None
    for name, value in fields.items():
        setattr(host, name, value)


def test_a_server_without_the_model_is_not_asked_while_another_has_it() -> None:
    hosts = known_hosts(one={"sd15"}, two={"sd15", "sdxl"})
    assert list(hosts.best(SDXL)) == [TWO]
    assert set(hosts.best(SD15)) == {ONE, TWO}


def test_where_no_server_has_the_model_the_job_goes_all_the_same_to_be_told_so() -> None:
    assert set(known_hosts(one={"sd15"}, two={"sd15"}).best(SDXL)) == {ONE, TWO}


def test_a_job_waits_for_the_only_server_that_has_its_model_while_that_is_away() -> None:
    hosts = known_hosts(one={"sd15"}, two={"sdxl"})
    take_away(hosts, TWO)
    assert list(hosts.best(SDXL)) == []
    assert list(hosts.best(SD15)) == [ONE]


def test_the_shorter_queue_comes_first() -> None:
    hosts = known_hosts(one={"sd15"}, two={"sd15"})
    set_host(hosts, ONE, queue=3)
    assert list(hosts.best(SD15)) == [TWO, ONE]
    set_host(hosts, TWO, queue=9)
    assert list(hosts.best(SD15)) == [ONE, TWO]


def test_a_loaded_checkpoint_is_worth_a_wait_as_long_as_loading_it_elsewhere() -> None:
    hosts = known_hosts(one={"sd15"}, two={"sd15"})
    set_host(hosts, ONE, sent=SD15, queue=1, job_s=LOAD_S - 1)
    set_host(hosts, TWO, sent=SDXL, job_s=LOAD_S - 1)
    assert list(hosts.best(SD15)) == [ONE, TWO]
    set_host(hosts, ONE, queue=3)
    assert list(hosts.best(SD15)) == [TWO, ONE]


def test_a_refusal_is_remembered_for_jobs_of_the_same_kind_only() -> None:
    hosts = known_hosts(one={"sd15"}, two={"sd15"})
    special = Kind("sd15", needs=("my-lora",))
    hosts.note_unable(ONE, special, "it has no my-lora")
    assert list(hosts.best(special)) == [TWO]
    assert set(hosts.best(SD15)) == {ONE, TWO}
    assert hosts.others_can(special, than=ONE)
    assert not hosts.others_can(special, than=TWO)


# ------------------------------------------------------------------------------ with real servers


def hosts_of(jobs: list[Job]) -> Counter[str]:
    return Counter(job.attempts[-1].host for job in jobs)


@in_loop
async def test_jobs_spread_by_the_speed_of_the_servers(tmp_path: Path) -> None:
    async with workshop(tmp_path, engines=3) as lab:
        speeds = (1.0, 2.0, 4.0)
        for engine, speed in zip(lab.engines, speeds, strict=True):
            engine.faults.step_delay_s = 0.8 / speed
        jobs = [await lab.submit(f"fox {n}", seed=n) for n in range(28)]
        async with lab.worker():
            ended = await lab.ended(*jobs)
        assert all(job.status is Status.DONE for job in ended)
        share = hosts_of(ended)
        for engine, speed in zip(lab.engines, speeds, strict=True):
            ideal = len(jobs) * speed / sum(speeds)
            assert share[engine.url] == pytest.approx(ideal, rel=0.2, abs=2)


@in_loop
async def test_a_server_that_dies_loses_no_job_and_none_is_painted_twice(tmp_path: Path) -> None:
    async with workshop(tmp_path, engines=3) as lab:
        for engine in lab.engines:
            engine.faults.step_delay_s = 0.05
        jobs = [await lab.submit(f"fox {n}", seed=n) for n in range(20)]
        async with lab.worker():
            await until(lambda: len(lab.engines[0].ledger.entries) > 3)
            await lab.engines[0].stop()
            ended = await lab.ended(*jobs)
        assert all(job.status is Status.DONE for job in ended)
        painted = Counter(
            entry.prompt_id
            for engine in lab.engines
            for entry in engine.ledger.entries
            if entry.outcome == "success"
        )
        assert set(painted.values()) == {1}
        files = [file for job in ended if job.result for file in job.result.files]
        assert len(files) == len(set(files)) == len(jobs)


async def _made(lab: Workshop, backend: str, **params: object) -> Job:
    job = await lab.lab.generate("a fox", backend=backend, **{**QUICK_JOB, "seed": 1, **params})
    return await lab.end(job)


@in_loop
async def test_a_job_goes_to_the_server_that_has_its_checkpoint(tmp_path: Path) -> None:
    first = Engine(checkpoints=["v1-5-pruned.safetensors"])
    second = Engine(checkpoints=["sd_xl_base_1.0.safetensors"])
    async with workshop(tmp_path, engines=[first, second]) as lab, lab.worker():
        made = await asyncio.gather(*(_made(lab, "sdxl") for _ in range(4)))
        assert set(hosts_of(list(made))) == {second.url}
        job = await _made(lab, "sd15", checkpoint="v1-5-pruned.safetensors")
        assert job.attempts[-1].host == first.url
        assert len(job.attempts) == 1
