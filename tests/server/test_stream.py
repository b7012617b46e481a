"""The stream of events: whatever changes is told once, in order, and nobody who was away for a moment misses any."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from bare_server import BareServer, eventually
from listener import Listener
from PIL import Image

from orchestrator.files import write_whole
from orchestrator.health import HealthReport
from orchestrator.images import publish
from orchestrator.jobs import Job, Progress
from orchestrator.lab import Lab
from orchestrator.recipes import Recipe
from orchestrator.server.broadcast import Broadcaster, Client

Listen = Callable[..., Listener]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"), kept=60, health_s=0.2)
    yield server
    server.stop()


@pytest.fixture
def listen(server: BareServer) -> Iterator[Listen]:
    open_: list[Listener] = []

    def begin(**options: Any) -> Listener:
        open_.append(Listener(server.url, server.token, **options))
        return open_[-1]

    yield begin
    for listener in open_:
        listener.close()


# ------------------------------------------------------------------------------ what is told


def test_a_job_is_told_of_from_its_making_to_its_removal(
    server: BareServer, listen: Listen
) -> None:
    listener = listen()
    assert listener.content_type.startswith("text/event-stream")
    assert listener.retry == "1000"
    job_id = server.generate("a red fox", hold=True)
    server.post(f"/api/jobs/{job_id}/cancel")
    listener.until(2)
    server.http.delete(f"/api/jobs/{job_id}")
    made, changed, removed = listener.until(3)
    assert [made.name, changed.name, removed.name] == ["job:created", "job:changed", "job:removed"]
    assert {event.job_id for event in (made, changed, removed)} == {job_id}
    assert made.data["job"]["prompt"] == "a red fox"
    assert made.data["job"]["status"] == "created"
    assert changed.data["job"]["status"] == "cancelled"
    assert "logs" not in changed.data["job"]


def test_what_another_process_does_is_told_as_well_and_soon(
    server: BareServer, listen: Listen
) -> None:
    listener = listen()
    job = server.lab.submit("made elsewhere", hold=True)
    began = time.monotonic()
    assert listener.until(1)[0].job_id == job.id
    assert time.monotonic() - began < 2  # 30 ms on a quiet machine; never the two seconds of a look
    server.lab.cancel(job.id)
    assert listener.until(2)[1].name == "job:changed"


def test_an_old_job_that_changes_is_not_told_as_a_new_one(
    server: BareServer, listen: Listen
) -> None:
    listen().close()  # the stream runs by now
    store = server.lab.store
    old = Job.new(
        backend="sd15", prompt="old", params={}, now=store.now() - timedelta(days=3), hold=True
    )
    store.create(old)
    listener = listen()
    store.update(old.id, lambda job: job.release(now=store.now()))
    assert [event.name for event in listener.until(1) if event.job_id == old.id] == ["job:changed"]


def test_the_same_thing_is_not_told_twice(server: BareServer, listen: Listen) -> None:
    listener = listen()
    job = server.lab.submit("once", hold=True)
    path = server.lab.store.layout.job(job.id)
    for _ in range(3):
        write_whole(path, path.read_bytes())
    server.generate("the last one", hold=True)
    events = listener.until(2)
    assert [event.job_id for event in events].count(job.id) == 1


def test_progress_is_told_four_times_a_second_at_most_and_its_last_word_always(
    server: BareServer, listen: Listen
) -> None:
    store = server.lab.store
    job = server.lab.submit("slowly")
    store.update(job.id, lambda j: j.claim(worker="w", host="h", slot=None, now=store.now()))
    listener = listen()
    began = time.monotonic()
    for n in range(100):
        store.progress.write(job.id, Progress(fraction=(n + 1) / 100), fence=1)
        time.sleep(0.01)
    took_s = time.monotonic() - began

    def arrived() -> bool:
        return any(event.data["job"]["progress"] == 1.0 for event in list(listener.events))

    eventually(arrived)
    assert len(listener.events) <= (took_s + 0.3) / 0.25 + 2
    store.update(job.id, lambda j: j.cancel(now=store.now(), by_owner=True))


def test_a_picture_is_told_of_with_its_addresses(server: BareServer, listen: Listen) -> None:
    listener = listen()
    file = put_picture(server.lab, "job-7")
    event = listener.until(1, "image:published", timeout_s=30)[0]
    image = event.data["image"]
    assert image["file"] == file
    assert image["jobId"] == "job-7"
    assert server.http.get(image["thumbnail"]).headers["Content-Type"] == "image/webp"
    assert server.http.get(image["url"]).status_code == 200


def test_a_pause_of_the_queue_is_told(server: BareServer, listen: Listen) -> None:
    listener = listen()
    server.lab.pause("lunch")
    assert listener.until(1, "queue:changed")[0].data["paused"]["reason"] == "lunch"
    server.lab.resume()
    assert listener.until(2, "queue:changed")[1].data == {"paused": None}


def test_a_preview_is_told_by_its_address_and_shown_only_while_the_job_runs(
    server: BareServer, listen: Listen
) -> None:
    store = server.lab.store
    job = server.lab.submit("with a preview")
    store.update(job.id, lambda j: j.claim(worker="w", host="h", slot=None, now=store.now()))
    listener = listen()
    shown = []
    for colour in ("red", "blue"):
        picture = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(picture, "JPEG")
        preview = picture.getvalue()
        said = Progress(fraction=0.5, step=2, steps=4, text="sampling", preview=preview)
        store.progress.write(job.id, said, fence=1)

        def newest() -> Any:
            told = [event.data.get("live") for event in list(listener.events)]
            return told[-1] if told else None

        before = shown[-1]["preview"] if shown else None
        eventually(lambda before=before: newest() and newest()["preview"] != before)
        shown.append(newest())
        answer = server.http.get(shown[-1]["preview"])
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.content == preview
    assert (shown[-1]["step"], shown[-1]["steps"], shown[-1]["text"]) == (2, 4, "sampling")
    store.update(job.id, lambda j: j.cancel(now=store.now(), by_owner=True))
    store.progress.clear(job.id)
    gone = server.http.get(shown[-1]["preview"])
    assert gone.status_code == 404
    assert gone.json()["remedy"]
    eventually(lambda: "live" not in list(listener.events)[-1].data)


def test_a_service_that_comes_or_goes_is_told(server: BareServer, listen: Listen) -> None:
    listener = listen()
    time.sleep(1.5)  # until it has looked once, to compare with
    presence = server.lab.store.presence(name="worker")
    try:
        event = listener.until(1, "health:changed")[0]
        assert event.data["worker"]["status"] == "running"
    finally:
        presence.end()
    assert listener.until(2, "health:changed")[1].data["worker"]["status"] == "stopped"


def test_nothing_is_lost_while_others_read_the_same_files(
    server: BareServer, listen: Listen
) -> None:
    listener = listen()
    done = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=server.url, headers=server.token) as http:
            while not done.is_set():
                http.get("/api/jobs")

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    try:
        jobs = [server.lab.submit(f"read {n}", hold=True) for n in range(60)]
        for job in jobs[::2]:
            server.lab.cancel(job.id)
        cancelled = {job.id for job in jobs[::2]}

        def told(status: str) -> set[str]:
            events = list(listener.events)
            return {e.job_id for e in events if e.data["job"].get("status") == status}

        eventually(lambda: told("cancelled") == cancelled)
        eventually(lambda: told("created") >= {job.id for job in jobs} - cancelled)
    finally:
        done.set()
        for reader in readers:
            reader.join()


# ------------------------------------------------------------------------------ coming back


def test_whoever_comes_back_gets_what_was_missed_and_no_more(
    server: BareServer, listen: Listen
) -> None:
    first = listen()
    seen = server.generate("seen", hold=True)
    last_id = first.until(1)[0].id
    first.close()
    missed = [server.generate(f"missed {n}", hold=True) for n in range(5)]
    again = listen(last_id=last_id)
    assert [event.job_id for event in again.until(5)] == missed
    by_query = listen(query={"lastEventId": last_id})
    assert [event.job_id for event in by_query.until(5)] == missed
    nothing = listen(last_id=again.last_id)
    newest = server.generate("newest", hold=True)
    assert [event.job_id for event in nothing.until(1)] == [newest]
    assert seen not in {event.job_id for event in again.events}


def test_the_opening_says_where_one_is_so_that_nothing_can_be_missed_before_the_first_event(
    server: BareServer, listen: Listen
) -> None:
    first = listen()
    first.close()
    assert first.last_id
    job_id = server.generate(hold=True)
    assert listen(last_id=first.last_id).until(1)[0].job_id == job_id


def test_whoever_is_cut_off_before_it_has_what_it_missed_still_misses_it(
    server: BareServer, listen: Listen
) -> None:
    first = listen()
    first.close()
    missed = [server.generate(f"missed {n}", hold=True) for n in range(2)]
    again = listen(last_id=first.last_id)
    assert [event.job_id for event in again.until(2)] == missed
    assert again.opened_at == first.last_id
    lost = listen(last_id="other-5")
    assert lost.until(1)[0].name == "reset"
    assert not lost.opened_at


@pytest.mark.parametrize(
    "last_id",
    ["", "0", "other-5", "-", "{epoch}-999999", "{epoch}-" + "9" * 5000, "{epoch}-x", "ж"],
    ids=lambda given: given[:14],
)
def test_an_id_that_is_not_known_means_begin_anew(
    server: BareServer, listen: Listen, last_id: str
) -> None:
    epoch = listen().last_id.partition("-")[0]
    given = last_id.replace("{epoch}", epoch)
    listener = listen(query={"lastEventId": given})
    job_id = server.generate(hold=True)
    first = listener.until(1)[0]
    if given:
        assert first.name == "reset"
        assert first.data["remedy"]
        assert listener.until(2)[1].job_id == job_id
    else:
        assert first.job_id == job_id


def test_whoever_was_away_for_too_long_is_told_to_begin_anew(
    server: BareServer, listen: Listen
) -> None:
    first = listen()
    first.close()
    for n in range(61):  # the server of these tests keeps 60
        server.generate(f"away {n}", hold=True)
    watcher = listen(last_id=first.last_id)
    assert watcher.until(1)[0].name == "reset"


# ------------------------------------------------------------------------------ many, slow, gone


def test_a_burst_reaches_everybody_whole_and_in_order(server: BareServer, listen: Listen) -> None:
    listeners = [listen() for _ in range(10)]
    made = [server.generate(f"burst {n}", hold=True) for n in range(50)]
    for listener in listeners:
        assert [event.job_id for event in listener.until(50, "job:created")] == made


def test_a_reader_that_is_too_slow_is_told_to_begin_anew_and_costs_no_more_memory() -> None:
    async def scenario() -> tuple[bool, bytes | None]:
        client = Client(backlog=10, cut=lambda: None)
        taken = [client.put([b"x" * 100]) for _ in range(11)]
        client.restart(b"reset")
        return all(taken[:10]) and not taken[10], await client.take()

    assert asyncio.run(scenario()) == (True, b"reset")


def test_a_slow_reader_holds_nobody_up(tmp_path: Path) -> None:
    async def scenario() -> tuple[int, bytes]:
        with Lab.open(write_paths(tmp_path)) as lab:
            stream = Broadcaster(lab, health=no_report, kept=5, backlog=20)
            slow, quick = [await stream.join(None, cut=lambda: None) for _ in range(2)]
            got = b""
            for n in range(60):
                await asyncio.to_thread(lab.submit, f"fox {n}", hold=True)
                while b'"fox %d"' % n not in got:
                    got += await quick.take() or b""
            left = await slow.take() or b""
            for client in (slow, quick):
                stream.leave(client)
            await stream.close()
            return got.count(b"event: job:created"), left

    count, left = asyncio.run(scenario())
    assert count == 60
    assert b"event: reset" in left
    assert left.count(b"event: job:created") <= 25


def test_a_quiet_stream_shows_that_it_lives_and_a_dead_reader_is_cut_off(tmp_path: Path) -> None:
    async def scenario() -> tuple[bytes, int]:
        with Lab.open(write_paths(tmp_path)) as lab:
            stream = Broadcaster(lab, health=no_report, ping_s=0.05)
            cut = asyncio.Event()
            reader = await stream.join(None, cut=lambda: None)
            await stream.join(None, cut=cut.set)  # it never takes anything
            got = b""
            while not cut.is_set():
                got += await reader.take() or b""
            left = stream.clients
            stream.leave(reader)
            await stream.close()
            return got, left

    got, left = asyncio.run(scenario())
    assert got.count(b": ping\n\n") >= 3
    assert left == 1


async def no_report() -> HealthReport:
    await asyncio.Event().wait()
    raise AssertionError("unreachable")


def test_clients_that_go_are_forgotten(server: BareServer, listen: Listen) -> None:
    def followers() -> int:
        text = server.http.get("/api/metrics").text
        line = next(x for x in text.splitlines() if x.startswith("orchestrator_stream_clients "))
        return int(float(line.split()[1]))

    eventually(lambda: followers() == 0)
    listeners = [listen() for _ in range(3)]
    assert followers() == 3
    for listener in listeners:
        listener.close()
    eventually(lambda: followers() == 0)


def test_a_stranger_hears_nothing(server: BareServer) -> None:
    reply = httpx.get(f"{server.url}/api/stream", timeout=10)
    assert reply.status_code == 403
    assert "event:" not in reply.text


def write_paths(folder: Path) -> Path:
    (folder / "paths.json").write_text("{}")
    return folder


def put_picture(lab: Lab, job_id: str) -> str:
    out = io.BytesIO()
    Image.new("RGB", (48, 48), "teal").save(out, "PNG")
    recipe = Recipe(
        job_id=job_id,
        attempt=1,
        index=0,
        backend="sd15",
        prompt="a red fox",
        params={"steps": 20},
        seed=1,
        service="comfyui",
        host="http://127.0.0.1:8188",
        workflow=None,
        created_at=lab.store.now(),
        software="tests",
    )
    return publish(
        out.getvalue(), folder=lab.paths.drop_out, stem=f"sd15_{job_id}", recipe=recipe
    ).path.name
