"""What the health report, the cards and the forms know of a cluster. Scheduler, workers and engine are real, and all
in this process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from inside import in_loop, scheduler, without_secrets, worker

from orchestrator.cluster import looking
from orchestrator.cluster.link import seen
from orchestrator.health import HealthReport
from orchestrator.lab import Lab
from orchestrator.server.texts import health_document, statuses
from orchestrator.testing import Engine, make_lab
from orchestrator.widgets.services import cards

__all__ = ["without_secrets"]
NOBODY = "tcp://127.0.0.1:9"


def lab_on(folder: Path, address: str) -> Lab:
    lab = make_lab(folder)
    lab.settings = lab.settings.on_cluster(address)
    return lab


async def looked_at(lab: Lab) -> HealthReport:
    with lab:
        return await lab.health()


@in_loop
async def test_while_the_scheduler_is_away_the_report_says_what_to_start_and_the_forms_the_usual_names(
    tmp_path: Path,
) -> None:
    report, offers = await asyncio.gather(  # each waits for seconds
        looked_at(lab_on(tmp_path, NOBODY)), looking.offers(NOBODY, backends=[])
    )
    assert "euler" in offers.samplers
    assert offers.unavailable == {}
    assert report.comfyui.status == "stopped"
    assert NOBODY in report.comfyui.message
    assert "orchestrator cluster scheduler --port 9" in (report.comfyui.remedy or "")
    assert any("cluster scheduler --port 9" in problem for problem in report.problems)
    assert report.engine.status == "unknown"  # nobody starts one here
    assert not report.well


@in_loop
async def test_a_scheduler_without_workers_is_red_and_says_how_to_start_one(tmp_path: Path) -> None:
    async with scheduler() as at:
        report = await looked_at(lab_on(tmp_path, at.address))
    assert report.comfyui.status == "stopped"
    assert f"orchestrator cluster worker {at.address}" in (report.comfyui.remedy or "")


@in_loop
async def test_each_worker_is_a_host_of_the_report_with_its_place_and_its_tags(
    tmp_path: Path,
) -> None:
    async with (
        scheduler() as at,
        Engine() as first,
        Engine() as second,
        worker(at, first, "sd15"),
        worker(at, second, "sdxl"),
    ):
        report = await looked_at(lab_on(tmp_path, at.address))
        places = {each.place for each in seen(at.identity())}
    hosts = report.comfyui.hosts or []
    assert report.comfyui.status == "running"
    assert report.comfyui.message == f"2 workers at {at.address}"
    assert {host.url for host in hosts} == places
    assert [host.status for host in hosts] == ["running", "running"]
    assert any(
        "sd15" in host.message and "sdxl" not in host.message.split(",")[0] for host in hosts
    )
    # the pages and the stream show every one of them
    shown = [card for card in cards(report) if card["title"] == "ComfyUI"]
    assert len(shown) == 2
    assert sum(name.startswith("comfyui http") for name in statuses(report)) == 2
    document = health_document(report)
    assert set(document["comfyui"]) <= {"status", "message", "url", "port", "hosts"}


@in_loop
async def test_a_worker_whose_comfyui_went_away_is_red_and_the_others_are_not(
    tmp_path: Path,
) -> None:
    async with (
        scheduler() as at,
        Engine() as well,
        worker(at, well),
        Engine() as ill,
        worker(at, ill),
    ):
        (address,) = [
            each.address
            for each in seen(at.identity())
            if each.place.rpartition(":")[2] == ill.url.rpartition(":")[2]
        ]
        # what the worker says of itself when its server does not answer
        at.handle_worker_status_change("paused", address, "test")
        report = await looked_at(lab_on(tmp_path, at.address))
    first, second = report.comfyui.hosts or []
    assert report.comfyui.status == "running"
    assert (first.status, second.status) == ("stopped", "running")
    assert "does not answer" in first.message
    assert first.message in report.comfyui.message
    assert "Start that ComfyUI" in (first.remedy or "")


@in_loop
async def test_the_forms_offer_what_the_servers_beside_the_workers_have(tmp_path: Path) -> None:
    async with scheduler() as at, Engine() as engine, worker(at, engine, "sd15"):
        with lab_on(tmp_path, at.address) as lab:
            offers = await lab.offers()
        with make_lab(tmp_path / "plain", comfy_url=engine.url) as plain:
            directly = await plain.offers()
    assert offers.checkpoints == directly.checkpoints != ()
    assert offers.samplers == directly.samplers
    assert offers.loras == directly.loras
    # by its tags, as when a job is sent: this worker takes one backend, whatever its server has
    assert "sd15" not in offers.unavailable
    assert "model:sdxl" in offers.unavailable["sdxl"]
    assert "flux" not in offers.unavailable
