"""The ComfyUI client against a scripted server: submit, follow, fetch, cancel, ask; in both dialects."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from connector_fakes import (
    PNG,
    ComfyApp,
    failed_entry,
    history_entry,
    new_id,
    ok,
    saved,
    workflow,
)

from orchestrator.connectors.comfyui import ComfyUI, RemoteFile, RemoteStatus, Timing
from orchestrator.errors import (
    Interrupted,
    MissingCheckpoint,
    NotAuthorised,
    OutOfMemory,
    PromptVanished,
    RateLimited,
    RequestRejected,
    ServiceBroken,
    ServiceError,
    ServiceTimeout,
    ServiceUnreachable,
    UnknownSampler,
    WorkflowRejected,
)
from orchestrator.jobs import Progress

T = TypeVar("T")
QUICK = Timing(
    poll_interval_s=0.01,
    lively_interval_s=0.05,
    vanish_s=0.02,
    grace_s=0.1,
    stall_s=0.3,
    cancel_s=0.15,
)
URL = "http://comfy.test:8188"
FILE = RemoteFile("lab_00001_.png", "", "output", "images")

both = pytest.mark.parametrize("modern", [True, False], ids=["0.27", "0.3.64"])


def run(
    app: ComfyApp, action: Callable[[ComfyUI], Awaitable[T]], url: str = URL, **options: Any
) -> T:
    async def main() -> T:
        comfy = ComfyUI(url, transport=httpx.MockTransport(app), timing=QUICK, **options)
        try:
            return await action(comfy)
        finally:
            await comfy.close()

    return asyncio.run(main())


def submit(app: ComfyApp, prompt_id: str | None = None, **options: Any) -> None:
    graph = options.pop("workflow", workflow())
    run(app, lambda c: c.submit(graph, prompt_id=prompt_id or new_id(), **options))


def wait(app: ComfyApp, prompt_id: str) -> tuple[RemoteFile, ...]:
    return run(app, lambda c: c.wait(prompt_id, on_progress=lambda p: None))


# ---------------------------------------------------------------- submit


def test_a_prompt_is_sent_with_our_id_a_client_id_previews_and_the_png_info() -> None:
    app, id = ComfyApp(), new_id()
    submit(app, id, png_info={"lab": {"job": "1"}})
    (request,) = app.requests
    body = json.loads(request.content)
    assert body["prompt"] == workflow()
    assert body["prompt_id"] == id
    assert body["client_id"]
    assert body["extra_data"] == {"extra_pnginfo": {"lab": {"job": "1"}}, "preview_method": "auto"}


@pytest.mark.parametrize("id", ["not-a-uuid", "8FDF8A48-4D3F-4FE2-BB54-566B4931E238", ""])
def test_an_id_that_new_servers_refuse_is_never_sent(id: str) -> None:
    app = ComfyApp()
    with pytest.raises(ValueError, match=r"UUID|hexadecimal"):
        run(app, lambda c: c.submit(workflow(), prompt_id=id))
    assert not app.requests


def test_a_workflow_that_is_no_json_is_rejected_before_it_is_sent() -> None:
    app = ComfyApp()
    with pytest.raises(WorkflowRejected, match="JSON"):
        submit(app, workflow={"1": object()})
    assert not app.requests


def test_the_largest_seed_of_comfyui_arrives_unchanged() -> None:
    app = ComfyApp()
    submit(app, workflow={"1": {"class_type": "K", "inputs": {"seed": 2**64 - 1}}})
    assert b"18446744073709551615" in app.requests[0].content


@both
def test_a_server_that_gives_another_id_is_refused_and_its_prompt_called_back(modern: bool) -> None:
    app, other = ComfyApp(modern=modern), new_id()
    app.begin(other)
    app.script["/prompt"] = [ok({"prompt_id": other, "number": 0, "node_errors": {}})]
    with pytest.raises(ServiceBroken, match="another id") as caught:
        submit(app)
    assert "0.3.45" in caught.value.remedy
    assert not app.running


def test_a_workflow_taken_only_in_part_is_rejected_and_called_back() -> None:
    app, id = ComfyApp(), new_id()
    app.begin(id)
    errors = {"3": {"class_type": "KSampler", "errors": [{"type": "x", "message": "bad link"}]}}
    app.script["/prompt"] = [ok({"prompt_id": id, "number": 0, "node_errors": errors})]
    with pytest.raises(WorkflowRejected, match=r"KSampler \(node 3\): bad link"):
        submit(app, id)
    assert not app.running


def refusal(name: str, value: str) -> httpx.Response:
    extra = {"input_name": name, "input_config": None, "received_value": value}
    error = {"type": "value_not_in_list", "message": "Value not in list", "extra_info": extra}
    of_class = "CheckpointLoaderSimple" if name == "ckpt_name" else "KSampler"
    nodes = {"3": {"class_type": of_class, "errors": [error]}}
    return httpx.Response(400, json={"error": {"type": "failed"}, "node_errors": nodes})


@pytest.mark.parametrize(
    ("name", "value", "kind", "near"),
    [
        ("ckpt_name", "v1-5.safetensors", MissingCheckpoint, "v1-5-pruned.safetensors"),
        ("sampler_name", "euler_a", UnknownSampler, "euler_ancestral"),
    ],
)
def test_a_refusal_is_explained_by_what_the_server_has(
    name: str, value: str, kind: type[ServiceError], near: str
) -> None:
    app = ComfyApp()
    app.script["/prompt"] = [refusal(name, value)]
    with pytest.raises(kind, match=near):
        submit(app)
    assert app.paths() == ["POST /prompt", "GET /object_info"]


def test_a_refusal_is_told_also_when_object_info_is_broken() -> None:
    app = ComfyApp()
    app.script["/prompt"] = [refusal("sampler_name", "euler_a")]
    app.script["/object_info"] = [httpx.Response(500)]
    with pytest.raises(UnknownSampler, match="euler_a"):
        submit(app)


def test_a_400_that_is_no_json_is_a_rejected_workflow_with_its_text() -> None:
    app = ComfyApp()
    app.script["/prompt"] = [httpx.Response(400, text="Bad things\nhappened")]
    with pytest.raises(WorkflowRejected, match="Bad things happened"):
        submit(app)


@pytest.mark.parametrize(
    ("status", "headers", "kind", "after"),
    [
        (401, {}, NotAuthorised, None),
        (403, {}, NotAuthorised, None),
        (404, {}, ServiceBroken, None),  # not a ComfyUI
        (413, {}, RequestRejected, None),  # the same workflow will be too large again
        (418, {}, ServiceBroken, None),
        (429, {"retry-after": "5"}, RateLimited, 5.0),
        (302, {"location": "http://login.test"}, ServiceBroken, None),
        (500, {}, ServiceBroken, None),
        (502, {}, ServiceBroken, None),
        (503, {}, ServiceBroken, None),
        (503, {"retry-after": "9"}, RateLimited, 9.0),
    ],
)
def test_every_status_of_the_post_has_its_error(
    status: int, headers: dict[str, str], kind: type[ServiceError], after: float | None
) -> None:
    app = ComfyApp()
    app.script["/prompt"] = [httpx.Response(status, headers=headers, text="why")]
    with pytest.raises(ServiceError) as caught:
        submit(app)
    assert type(caught.value) is kind
    assert caught.value.retry_after_s == after
    assert str(status) in caught.value.message
    assert sum(path == "POST /prompt" for path in app.paths()) == 1


LOST = [httpx.ReadTimeout("x"), httpx.ReadError("x"), httpx.RemoteProtocolError("x")]


@both
@pytest.mark.parametrize("error", LOST, ids=lambda e: type(e).__name__)
def test_a_prompt_whose_answer_was_lost_is_found_by_its_id(modern: bool, error: Exception) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    app.begin(id)
    app.script["/prompt"] = [error]
    submit(app, id)
    assert sum(path == "POST /prompt" for path in app.paths()) == 1


def test_a_prompt_that_is_still_being_validated_is_found_at_the_second_look() -> None:
    app, id = ComfyApp(), new_id()
    app.script["/prompt"] = [httpx.ReadTimeout("x")]
    app.script[f"/api/jobs/{id}"] = [httpx.Response(404, json={"error": "Job not found"})]
    app.enqueue(id)
    looks: list[float] = []
    app.on_request = lambda request: looks.append(time.monotonic())
    submit(app, id)
    _, first, second = looks
    assert second - first >= QUICK.vanish_s


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (httpx.ReadTimeout("x"), ServiceTimeout),
        (httpx.ReadError("x"), ServiceUnreachable),
        (httpx.RemoteProtocolError("x"), ServiceBroken),
    ],
)
def test_a_prompt_without_a_trace_was_not_taken(error: Exception, kind: type[ServiceError]) -> None:
    app = ComfyApp()
    app.script["/prompt"] = [error]
    with pytest.raises(kind) as caught:
        submit(app)
    assert caught.value.retryable


def test_an_answer_that_cannot_be_read_is_as_good_as_lost() -> None:
    app, id = ComfyApp(), new_id()
    app.enqueue(id)
    app.script["/prompt"] = [httpx.Response(200, text='{"prompt_id": ')]
    submit(app, id)


def test_a_server_that_was_never_reached_is_not_asked_for_the_prompt() -> None:
    app = ComfyApp()
    app.script["/prompt"] = [httpx.ConnectError("refused")]
    with pytest.raises(ServiceUnreachable, match="refused"):
        submit(app)
    assert app.paths() == ["POST /prompt"]


# ---------------------------------------------------------------- state


@both
def test_every_stage_of_a_prompt_is_seen(modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()

    async def follow(comfy: ComfyUI) -> list[RemoteStatus]:
        seen = [(await comfy.state(id)).status]
        for step in (app.enqueue, app.begin, app.finish):
            step(id)
            seen.append((await comfy.state(id)).status)
        return seen

    stages = [RemoteStatus.UNKNOWN, RemoteStatus.PENDING, RemoteStatus.RUNNING, RemoteStatus.DONE]
    assert run(app, follow) == stages


def test_whether_the_server_has_jobs_is_asked_once_and_remembered() -> None:
    app, id = ComfyApp(modern=False), new_id()

    async def ask(comfy: ComfyUI) -> None:
        for _ in range(3):
            await comfy.state(id)

    run(app, ask)
    assert [path for path in app.paths() if "/api/jobs" in path] == [
        f"GET /api/jobs/{id}",
        "GET /api/jobs",
    ]


def test_a_job_not_found_is_not_taken_for_a_missing_route() -> None:
    app, id = ComfyApp(modern=True), new_id()
    assert run(app, lambda c: c.state(id)).status is RemoteStatus.UNKNOWN
    assert app.paths() == [f"GET /api/jobs/{id}"]


def test_an_old_server_is_asked_for_the_queue_before_the_history() -> None:
    """A prompt that ends between the two questions must not look lost."""
    app, id = ComfyApp(modern=False), new_id()
    app.begin(id)

    def finish_after_the_queue(request: httpx.Request) -> None:
        if request.url.path.startswith("/history"):
            app.finish(id)

    app.on_request = finish_after_the_queue
    assert run(app, lambda c: c.state(id)).status is RemoteStatus.RUNNING
    app.forget(id)
    assert run(app, lambda c: c.state(id)).status is RemoteStatus.DONE


def test_a_prompt_put_into_an_old_queue_in_between_is_seen() -> None:
    app, id = ComfyApp(modern=False), new_id()

    def arrive_late(request: httpx.Request) -> None:
        if request.url.path.startswith("/history"):
            app.enqueue(id)

    app.on_request = arrive_late
    state = run(app, lambda c: c.state(id))
    assert (state.status, state.queue_position) == (RemoteStatus.PENDING, 1)


@both
def test_an_id_cannot_lead_to_another_route(modern: bool) -> None:
    app = ComfyApp(modern=modern)
    with contextlib.suppress(ServiceError):
        run(app, lambda c: c.state("x/../../prompt?a=b#c"))
    asked = [request.url.raw_path for request in app.requests]
    assert asked[0] == b"/api/jobs/x%2F..%2F..%2Fprompt%3Fa%3Db%23c"
    assert not any(path.startswith((b"/prompt", b"/api/prompt")) for path in asked)


def test_a_server_in_trouble_is_an_error_and_not_a_lost_prompt() -> None:
    app, id = ComfyApp(), new_id()
    app.script[f"/api/jobs/{id}"] = [httpx.Response(500)]
    with pytest.raises(ServiceBroken):
        run(app, lambda c: c.state(id))


def test_some_other_program_on_the_port_is_not_taken_for_a_running_prompt() -> None:
    app, id = ComfyApp(), new_id()
    app.script[f"/api/jobs/{id}"] = [ok({"hello": "world"})]
    with pytest.raises(ServiceBroken):
        run(app, lambda c: c.state(id))


# ---------------------------------------------------------------- wait, by polling


@both
def test_a_prompt_is_waited_for_by_polling_alone(modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    app.on_prompt = app.enqueue
    looks = 0

    def go_on(request: httpx.Request) -> None:
        nonlocal looks
        looks += request.url.path in (f"/api/jobs/{id}", "/queue")
        {3: app.begin, 6: app.finish}.get(looks, lambda id: None)(id)

    app.on_request = go_on
    seen: list[Progress] = []

    async def work(comfy: ComfyUI) -> tuple[RemoteFile, ...]:
        await comfy.submit(workflow(), prompt_id=id)
        return await comfy.wait(id, on_progress=seen.append)

    assert run(app, work) == (FILE,)
    assert [progress.text for progress in seen] == ["waiting on the server", "running"]


@both
def test_a_prompt_submitted_before_a_restart_is_adopted_by_its_id(modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    app.finish(id)
    assert wait(app, id) == (FILE,)


@both
@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (failed_entry("torch.OutOfMemoryError", "too big"), OutOfMemory),
        (failed_entry("ValueError", "no"), ServiceError),
    ],
)
def test_a_failure_ends_the_wait_at_once(
    modern: bool, entry: dict[str, Any], kind: type[ServiceError]
) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    app.history[id] = entry
    with pytest.raises(kind):
        wait(app, id)


@both
def test_a_server_that_lost_the_prompt_lets_it_vanish(modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    with pytest.raises(PromptVanished, match=id):
        wait(app, id)


def test_a_server_that_is_away_for_a_moment_is_waited_out() -> None:
    app, id = ComfyApp(), new_id()
    app.finish(id)
    app.script[f"/api/jobs/{id}"] = [httpx.ConnectError("x"), httpx.Response(502)]
    assert wait(app, id) == (FILE,)


def test_a_server_that_stays_away_is_unreachable() -> None:
    app, id = ComfyApp(), new_id()
    app.script[f"/api/jobs/{id}"] = [httpx.ConnectError("x")] * 500
    with pytest.raises(ServiceUnreachable):
        wait(app, id)


def test_a_prompt_that_stalls_is_given_up() -> None:
    app, id = ComfyApp(), new_id()
    app.begin(id)
    with pytest.raises(ServiceTimeout):
        wait(app, id)


def test_the_happy_path_by_polling_asks_for_nothing_superfluous() -> None:
    app, id = ComfyApp(), new_id()

    async def work(comfy: ComfyUI) -> bytes:
        await comfy.submit(workflow(), prompt_id=id)
        (file,) = await comfy.wait(id, on_progress=lambda p: None)
        return await comfy.fetch(file)

    assert run(app, work) == PNG
    assert app.paths() == ["POST /prompt", f"GET /api/jobs/{id}", "GET /view"]


def test_an_error_in_the_callers_callback_reaches_the_caller() -> None:
    app, id = ComfyApp(), new_id()

    def fail(progress: Progress) -> None:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        run(app, lambda c: c.wait(id, on_progress=fail))


# ---------------------------------------------------------------- fetch


def test_hostile_file_names_travel_only_as_query_parameters() -> None:
    app = ComfyApp()
    hostile = RemoteFile("../../etc/passwd&type=input", "..\\..", "output", "images")
    assert run(app, lambda c: c.fetch(hostile)) == PNG
    (request,) = app.requests
    assert request.url.path == "/view"
    assert dict(request.url.params) == {
        "filename": hostile.filename,
        "subfolder": hostile.subfolder,
        "type": "output",
    }


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ServiceBroken),
        (403, ServiceBroken),
        (404, ServiceBroken),
        (500, ServiceBroken),
        (401, NotAuthorised),
    ],
)
def test_every_status_of_a_download_has_its_error(status: int, kind: type[ServiceError]) -> None:
    app = ComfyApp()
    app.script["/view"] = [httpx.Response(status)]
    with pytest.raises(kind):
        run(app, lambda c: c.fetch(FILE))


def test_an_empty_file_is_no_picture() -> None:
    app = ComfyApp()
    app.script["/view"] = [httpx.Response(200)]
    with pytest.raises(ServiceBroken, match="empty"):
        run(app, lambda c: c.fetch(FILE))


def test_a_download_that_breaks_off_is_tried_once_more() -> None:
    app = ComfyApp()
    app.script["/view"] = [httpx.RemoteProtocolError("incomplete")]
    assert run(app, lambda c: c.fetch(FILE)) == PNG
    app.script["/view"] = [httpx.ReadError("reset")] * 2
    with pytest.raises(ServiceUnreachable):
        run(app, lambda c: c.fetch(FILE))


def test_a_file_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ServiceBroken, match="more than"):
        run(ComfyApp(), lambda c: c.fetch(FILE), max_file_bytes=10)


# ---------------------------------------------------------------- cancel


@both
@pytest.mark.parametrize("stage", ["enqueue", "begin"])
def test_cancel_takes_one_prompt_off_and_leaves_the_others(modern: bool, stage: str) -> None:
    app, mine = ComfyApp(modern=modern), new_id()
    others = [new_id(), new_id()]
    app.begin(others[0])
    app.enqueue(others[1])
    getattr(app, stage)(mine)
    assert run(app, lambda c: c.cancel(mine)) is True
    assert [item[1] for item in app.running + app.pending] == others


def test_an_old_server_is_not_interrupted_while_something_else_runs() -> None:
    """Servers before 0.3.57 ignore the id and stop whatever runs."""
    app, mine = ComfyApp(modern=False), new_id()
    app.begin(new_id())
    app.enqueue(mine)
    assert run(app, lambda c: c.cancel(mine)) is True
    assert "POST /interrupt" not in app.paths()


@both
def test_cancel_of_a_prompt_that_does_not_heed_it_is_told(modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    app.begin(id)
    app.deaf_to_interrupts = True
    assert run(app, lambda c: c.cancel(id)) is False


@both
def test_cancel_of_what_is_done_or_unknown_finds_it_off(modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    assert run(app, lambda c: c.cancel(id)) is True
    app.finish(id)
    assert run(app, lambda c: c.cancel(id)) is True


def test_a_server_with_jobs_but_without_their_cancel_is_cancelled_the_old_way() -> None:
    app, id = ComfyApp(), new_id()
    app.begin(id)
    app.script[f"/api/jobs/{id}/cancel"] = [httpx.Response(405)]
    assert run(app, lambda c: c.cancel(id)) is True
    assert "POST /interrupt" in app.paths()


@both
@pytest.mark.parametrize("stage", ["enqueue", "begin"])
def test_a_wait_for_what_is_cancelled_beside_it_ends_as_interrupted(
    modern: bool, stage: str
) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    getattr(app, stage)(id)

    async def both_at_once(comfy: ComfyUI) -> None:
        waiting = asyncio.create_task(comfy.wait(id, on_progress=lambda p: None))
        await asyncio.sleep(0)
        assert await comfy.cancel(id)
        with pytest.raises(Interrupted):
            await waiting

    run(app, both_at_once)


# ---------------------------------------------------------------- the server itself


def test_object_info_is_remembered_for_a_while() -> None:
    app = ComfyApp()

    async def ask(comfy: ComfyUI) -> list[str]:
        await comfy.object_info()
        return (await comfy.object_info()).options("KSampler", "sampler_name")

    assert "euler" in run(app, ask)
    assert app.paths() == ["GET /object_info"]


def test_checkpoints_come_from_object_info_or_else_from_the_folder() -> None:
    app = ComfyApp()
    assert run(app, ComfyUI.checkpoints) == ["v1-5-pruned.safetensors", "sd_xl.safetensors"]
    for broken in (httpx.Response(500), ok({}), httpx.ReadTimeout("x")):
        app.script["/object_info"] = [broken]
        assert run(app, ComfyUI.checkpoints) == ["from-the-folder.safetensors"]


def test_system_stats_ignore_what_they_do_not_know() -> None:
    app = ComfyApp()
    app.enqueue(new_id())
    stats = run(app, ComfyUI.system_stats)
    assert (stats.version, stats.queue_remaining, stats.embedded_engine) == ("0.27.0", 1, False)


@pytest.mark.parametrize("stats", [{"devices": [3]}, {"system": {"ram_total": "much"}}])
def test_system_stats_of_an_unknown_form_are_a_broken_service(stats: dict[str, Any]) -> None:
    app = ComfyApp()
    app.script["/system_stats"] = [ok(stats)]
    with pytest.raises(ServiceBroken):
        run(app, ComfyUI.system_stats)


def test_a_password_in_the_address_is_sent_and_never_shown() -> None:
    app = ComfyApp()
    app.script["/queue"] = [httpx.Response(500)]
    url = "http://me:hidden@comfy.test/prefix/"

    async def ask(comfy: ComfyUI) -> str:
        assert "hidden" not in repr(comfy)
        with pytest.raises(ServiceError) as caught:
            await comfy.system_stats()
        return caught.value.message

    assert "hidden" not in run(app, ask, url)
    assert app.requests[0].headers["authorization"].startswith("Basic ")
    assert app.requests[0].url.path == "/prefix/system_stats"


@both
def test_several_images_of_several_nodes_are_all_returned(modern: bool) -> None:
    app, id = ComfyApp(modern=modern), new_id()
    outputs = {"10": {"images": [saved("b")]}, "9": {"images": [saved("a1"), saved("a2")]}}
    app.history[id] = history_entry(outputs)
    assert [file.filename for file in wait(app, id)] == ["a1", "a2", "b"]
