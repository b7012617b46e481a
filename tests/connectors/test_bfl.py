"""The client of the paid FLUX API: never pays twice, never shows its key, never goes where it should not."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import pytest
from connector_fakes import PNG, FluxApp
from pydantic import SecretStr

from orchestrator.connectors.bfl import BFL, Receipt
from orchestrator.errors import (
    AmbiguousSubmit,
    ExecutionFailed,
    Moderated,
    NoCredits,
    NotAuthorised,
    RateLimited,
    RequestRejected,
    ServiceBroken,
    ServiceError,
    ServiceTimeout,
    ServiceUnreachable,
    UntrustedAddress,
)
from orchestrator.jobs import Progress

T = TypeVar("T")
KEY = "bfl-very-secret-key"
BASE = "https://api.bfl.ai"
POLL = "https://api.eu2.bfl.ai/v1/get_result?id=task-1"
SAMPLE = "https://delivery-eu1.bfl.ai/results/task-1/sample.png?sig=signed-secret"
POST_PATH, POLL_PATH, SAMPLE_PATH = "/v1/flux-dev", "/v1/get_result", "/results/task-1/sample.png"
ACCEPTED = {"id": "task-1", "polling_url": POLL, "cost": 2.5}
READY = {"id": "task-1", "status": "Ready", "result": {"sample": SAMPLE}}


def run(
    app: Callable[[httpx.Request], httpx.Response],
    action: Callable[[BFL], Awaitable[T]],
    *,
    base: str = BASE,
    key: str = KEY,
    deadline_s: float = 5.0,
    **options: Any,
) -> T:
    async def main() -> T:
        bfl = BFL(
            base,
            SecretStr(key),
            transport=httpx.MockTransport(app),
            poll_interval_s=0.002,
            deadline_s=deadline_s,
            **{"not_found_s": 0.02, **options},
        )
        try:
            return await action(bfl)
        finally:
            await bfl.close()

    return asyncio.run(main())


def submit(app: FluxApp, model: str = "flux-dev", **options: Any) -> Receipt:
    return run(app, lambda b: b.submit(model, {"prompt": "an eagle"}), **options)


def wait(app: FluxApp, url: str = POLL, **options: Any) -> str:
    return run(app, lambda b: b.wait(url, on_progress=lambda p: None), **options)


def fetch(app: FluxApp, url: str = SAMPLE, **options: Any) -> bytes:
    return run(app, lambda b: b.fetch(url), **options)


@pytest.fixture
def app() -> FluxApp:
    return FluxApp()


# ---------------------------------------------------------------- submit


def test_a_submit_posts_once_with_the_key_and_gives_a_receipt(app: FluxApp) -> None:
    app.answer(POST_PATH, ACCEPTED)
    assert submit(app) == Receipt("task-1", POLL, 2.5)
    (request,) = app.requests
    assert (request.method, str(request.url)) == ("POST", f"{BASE}/v1/flux-dev")
    assert request.headers["x-key"] == KEY
    assert json.loads(request.content) == {"prompt": "an eagle"}


@pytest.mark.parametrize("cost", [None, "6", True, float("inf"), -1, [1]])
def test_a_cost_that_is_no_number_is_unknown(app: FluxApp, cost: Any) -> None:
    app.answer(POST_PATH, httpx.Response(200, text=json.dumps({**ACCEPTED, "cost": cost})))
    assert submit(app).cost_credits is None


def test_a_receipt_without_a_polling_url_asks_where_it_paid(app: FluxApp) -> None:
    app.answer(POST_PATH, {"id": "a/b&c"})
    assert submit(app).polling_url == f"{BASE}/v1/get_result?id=a%2Fb%26c"


def test_a_receipt_with_a_hostile_polling_url_is_still_a_receipt(app: FluxApp) -> None:
    """It is paid for: the caller must be able to save the id before anything else goes wrong."""
    app.answer(POST_PATH, {**ACCEPTED, "polling_url": "https://evil.test/steal"})
    assert submit(app).id == "task-1"


def detail(*items: dict[str, Any]) -> dict[str, Any]:
    return {"detail": list(items)}


FIELD = {"loc": ["body", "width"], "msg": "Input should be a multiple of 32", "type": "multiple_of"}
SAFETY = {"loc": ["body", "safety_tolerance"], "msg": "Input should be at most 6", "type": "le"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (400, {"detail": "Bad prompt"}, RequestRejected, "Bad prompt"),
        (422, detail(FIELD), RequestRejected, "width: Input should be a multiple of 32"),
        (
            422,
            detail(FIELD, SAFETY),
            RequestRejected,
            "safety_tolerance: Input should be at most 6",
        ),
        (422, {"detail": [3, {"loc": 7}]}, RequestRejected, "422"),
        (400, {"detail": "Request Moderated"}, Moderated, "Request Moderated"),
        (422, detail({"loc": ["body"], "msg": "prompt was flagged"}), Moderated, "flagged"),
        (401, {}, NotAuthorised, "key"),
        (402, {"detail": "Insufficient credits"}, NoCredits, "credits"),
        (403, {"detail": "Not authenticated"}, NotAuthorised, "key"),
        (404, {"detail": "Invalid API key"}, RequestRejected, "/v1/flux-dev"),
        (405, {}, RequestRejected, "405"),
        (413, {}, RequestRejected, "413"),
        (429, {"detail": "24 tasks"}, RateLimited, "too many"),
    ],
)
def test_a_no_is_told_apart_by_its_status(
    app: FluxApp, status: int, body: Any, kind: type[ServiceError], said: str
) -> None:
    app.answer(POST_PATH, httpx.Response(status, json=body, headers={"retry-after": "11"}))
    with pytest.raises(ServiceError) as caught:
        submit(app)
    assert type(caught.value) is kind
    assert said in caught.value.message
    assert caught.value.retry_after_s == (11.0 if kind is RateLimited else None)
    assert len(app.requests) == 1


NOT_SENT = [
    httpx.ConnectError("refused"),
    httpx.ConnectTimeout("x"),
    httpx.PoolTimeout("x"),
    httpx.ProxyError("x"),
]
PERHAPS_SENT: list[Exception | httpx.Response | dict[str, Any]] = [
    httpx.ReadTimeout("x"),
    httpx.WriteTimeout("x"),
    httpx.ReadError("reset"),
    httpx.WriteError("reset"),
    httpx.CloseError("x"),
    httpx.RemoteProtocolError("disconnected"),
    httpx.LocalProtocolError("x"),
    httpx.DecodingError("x"),
    httpx.Response(500),
    httpx.Response(502),
    httpx.Response(503, headers={"retry-after": "1"}),
    httpx.Response(504),
    httpx.Response(408),
    httpx.Response(302, headers={"location": f"{BASE}/v1/flux-dev"}),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, text='{"id": "task'),
    httpx.Response(200, text="[]"),
    httpx.Response(202),
    httpx.Response(200, headers={"content-length": "500"}, stream=httpx.ByteStream(b"{}")),
    {},
    {"id": None},
    {"id": ""},
    {"id": 3},
]


@pytest.mark.parametrize("error", NOT_SENT, ids=lambda e: type(e).__name__)
def test_what_was_never_sent_may_be_tried_again(app: FluxApp, error: Exception) -> None:
    app.answer(POST_PATH, error)
    with pytest.raises(ServiceUnreachable, match="nothing was sent") as caught:
        submit(app)
    assert caught.value.retryable
    assert "COMFY" not in caught.value.remedy


@pytest.mark.parametrize("answer", PERHAPS_SENT, ids=repr)
def test_what_may_have_been_paid_for_is_ambiguous_and_sent_once(app: FluxApp, answer: Any) -> None:
    app.answer(POST_PATH, answer)
    with pytest.raises(AmbiguousSubmit) as caught:
        submit(app)
    assert not caught.value.retryable
    assert len(app.requests) == 1


@pytest.mark.parametrize("key", ["", " ", "with space", "line\nbreak", "ключ"])
def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(
    app: FluxApp, key: str
) -> None:
    with pytest.raises(NotAuthorised) as caught:
        submit(app, key=key)
    assert not app.requests
    assert not key.strip() or key not in told(caught.value)


def test_a_body_that_is_no_json_is_rejected_before_anything_is_sent(app: FluxApp) -> None:
    with pytest.raises(RequestRejected):
        run(app, lambda b: b.submit("flux-dev", {"seed": object()}))
    assert not app.requests


@asynccontextmanager
async def raw_server(*answers: bytes) -> AsyncIterator[tuple[str, list[list[bytes]]]]:
    """A server on a real port, with what came on each connection. It hangs up after an answer cut short."""
    connections: list[list[bytes]] = []
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads: list[bytes] = []
        connections.append(heads)
        try:
            while left:
                heads.append(head := await reader.readuntil(b"\r\n\r\n"))
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                await reader.readexactly(length)
                writer.write(answer := left.pop(0))
                await writer.drain()
                if not answer.endswith(b"}"):
                    break
            else:
                await reader.read()  # keep the connection open, as servers do
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", connections
        server.close()


def response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def test_every_paid_request_goes_out_on_a_connection_of_its_own() -> None:
    async def main() -> list[int]:
        answer = response(json.dumps(ACCEPTED).encode())
        async with raw_server(answer, answer) as (url, connections):
            bfl = BFL(url, SecretStr(KEY))
            for _ in range(2):
                await bfl.submit("flux-dev", {})
            await bfl.close()
            return [len(heads) for heads in connections]

    assert asyncio.run(main()) == [1, 1]


@pytest.mark.parametrize("cut", [0, 10, 60], ids=["no answer", "half a head", "half a body"])
def test_an_answer_that_is_cut_off_on_the_wire_is_ambiguous(cut: int) -> None:
    async def main() -> list[int]:
        answer = response(json.dumps(ACCEPTED).encode())[:cut]
        async with raw_server(answer, answer) as (url, connections):
            bfl = BFL(url, SecretStr(KEY))
            with pytest.raises(AmbiguousSubmit):
                await bfl.submit("flux-dev", {})
            await bfl.close()
            return [len(heads) for heads in connections]

    assert asyncio.run(main()) == [1]


def test_a_port_nobody_listens_on_means_that_nothing_was_sent() -> None:
    async def main() -> None:
        async with raw_server() as (url, _):
            pass
        bfl = BFL(url, SecretStr(KEY))
        try:
            await bfl.submit("flux-dev", {})
        finally:
            await bfl.close()

    with pytest.raises(ServiceUnreachable):
        asyncio.run(main())


# ---------------------------------------------------------------- the polling address


@pytest.mark.parametrize(
    "url",
    [
        "https://api.bfl.ai/v1/get_result?id=1",
        "https://api.eu2.bfl.ai/v1/get_result?id=1",
        "https://API.BFL.AI/v1/get_result",
        "https://bfl.ai/x",
        "https://api.bfl.ai:443/x",
    ],
)
def test_the_services_own_addresses_are_trusted(app: FluxApp, url: str) -> None:
    async def ask(bfl: BFL) -> bool:
        return bfl.trusted(url)

    assert run(app, ask)


HOSTILE = [
    "",
    "task-1",
    "/v1/get_result",
    "//api.bfl.ai/x",
    "http://api.bfl.ai/x",  # not encrypted
    "https://api.bfl.ai:8443/x",
    "https://api.bfl.ai.evil.test/x",
    "https://evilbfl.ai/x",
    "https://bfl.ai.evil.test",
    "https://evil.test/api.bfl.ai",
    "https://evil.test#.bfl.ai",
    "https://evil.test?.bfl.ai",
    "https://api.bfl.ai@evil.test/x",
    "https://user:pass@api.bfl.ai/x",
    "https://evil.test\\.bfl.ai/x",
    "https://api.bfl.ai\\@evil.test/x",
    "https://evil.test%2f.bfl.ai@x/",
    "https://evil。test/x",
    "https://127.0.0.1/x",
    "https://[::1]/x",
    "ftp://api.bfl.ai/x",
    "javascript:alert(1)",
    "https://api.bfl.ai\n.evil.test/",
    "https://x:notaport/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_the_key_is_not_sent_to_any_other_address(app: FluxApp, url: str) -> None:
    with pytest.raises(UntrustedAddress) as caught:
        wait(app, url)
    assert not app.requests
    assert not caught.value.retryable  # a retry must not lead to another payment
    assert isinstance(caught.value, ServiceBroken)


def test_a_base_url_elsewhere_trusts_exactly_itself(app: FluxApp) -> None:
    async def ask(bfl: BFL) -> list[bool]:
        urls = ["http://127.0.0.1:9/x", "http://127.0.0.1:10/x", "https://127.0.0.1:9/x"]
        return [bfl.trusted(url) for url in urls]

    assert run(app, ask, base="http://127.0.0.1:9") == [True, False, False]


# ---------------------------------------------------------------- wait


def test_a_task_is_polled_with_the_key_until_it_is_ready(app: FluxApp) -> None:
    app.answer(POLL_PATH, {"status": "Pending", "progress": 0.4}, {"status": "Warming up"}, READY)
    seen: list[Progress] = []
    assert run(app, lambda b: b.wait(POLL, on_progress=seen.append)) == SAMPLE
    assert [(p.fraction, p.text) for p in seen] == [
        (0.4, "waiting on the service"),
        (0.0, "Warming up"),
    ]
    assert all(request.headers["x-key"] == KEY for request in app.requests)
    assert all(str(request.url) == POLL for request in app.requests)


@pytest.mark.parametrize(
    ("task", "kind", "said"),
    [
        ({"status": "Request Moderated"}, Moderated, "prompt"),
        (
            {"status": "Content Moderated", "details": {"Moderation Reasons": ["Violence"]}},
            Moderated,
            "Violence",
        ),
        (
            {"status": "Error", "details": {"error": "GPU fell off"}},
            ExecutionFailed,
            "GPU fell off",
        ),
        ({"status": "Failed", "details": "why\nnot"}, ExecutionFailed, "why not"),
        ({"status": "Task not found"}, ExecutionFailed, "does not know the task"),
        ({"status": "Ready", "result": None}, ServiceBroken, "not where"),
        ({"status": "Ready", "result": {"sample": 3}}, ServiceBroken, "not where"),
    ],
)
def test_every_status_that_is_an_end_has_its_error(
    app: FluxApp, task: dict[str, Any], kind: type[ServiceError], said: str
) -> None:
    app.answer(POLL_PATH, task)
    with pytest.raises(ServiceError) as caught:
        wait(app)
    assert type(caught.value) is kind
    assert said in caught.value.message


@pytest.mark.parametrize(
    "absent",
    [
        {"status": "Task not found"},
        httpx.Response(404, json={"status": "Task not found"}),
        httpx.Response(404, text="nothing here"),
    ],
)
def test_a_task_that_a_region_has_not_heard_of_yet_is_not_given_up(
    app: FluxApp, absent: Any
) -> None:
    app.answer(POLL_PATH, absent, absent, READY)
    # which need not pass: the third answer is the picture
    assert wait(app, not_found_s=30) == SAMPLE


def test_a_lost_task_is_not_paid_for_again_by_itself(app: FluxApp) -> None:
    app.answer(POLL_PATH, {"status": "Task not found"})
    with pytest.raises(ExecutionFailed) as caught:
        wait(app)
    assert not caught.value.retryable


PASSING: list[Exception | httpx.Response] = [
    httpx.ConnectError("x"),
    httpx.ReadTimeout("x"),
    httpx.RemoteProtocolError("x"),
    httpx.Response(429),
    httpx.Response(500),
    httpx.Response(502),
    httpx.Response(503, headers={"retry-after": "0"}),
    httpx.Response(302, headers={"location": "https://evil.test/"}),
    httpx.Response(200, text="<html>"),
    httpx.Response(200, json={"status": None}),
]


@pytest.mark.parametrize("trouble", PASSING, ids=repr)
def test_trouble_while_polling_is_waited_out(app: FluxApp, trouble: Any) -> None:
    app.answer(POLL_PATH, trouble, trouble, READY)
    assert wait(app) == SAMPLE
    assert all(request.url.host == "api.eu2.bfl.ai" for request in app.requests)


@pytest.mark.parametrize(
    "answer", [{"status": "Pending"}, {"status": "Dreaming"}, httpx.Response(500)]
)
def test_the_deadline_ends_the_wait_and_the_task_may_be_asked_for_again(
    app: FluxApp, answer: Any
) -> None:
    app.answer(POLL_PATH, answer)
    with pytest.raises(ServiceTimeout) as caught:
        wait(app, deadline_s=0.03)
    assert caught.value.retryable
    assert not app.to(POST_PATH)


def test_a_pause_beyond_the_deadline_is_not_waited_for(app: FluxApp) -> None:
    app.answer(POLL_PATH, httpx.Response(429, headers={"retry-after": "600"}))
    with pytest.raises(ServiceTimeout, match="429"):
        wait(app, deadline_s=1.0)
    assert len(app.requests) == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, NotAuthorised), (403, NotAuthorised), (400, RequestRejected), (422, RequestRejected)],
)
def test_a_refused_poll_ends_the_wait(app: FluxApp, status: int, kind: type[ServiceError]) -> None:
    app.answer(POLL_PATH, httpx.Response(status))
    with pytest.raises(kind):
        wait(app)


# ---------------------------------------------------------------- fetch


def test_the_picture_is_fetched_without_the_key(app: FluxApp) -> None:
    app.answer(SAMPLE_PATH, httpx.Response(200, content=PNG))
    assert fetch(app) == PNG
    (request,) = app.requests
    assert "x-key" not in request.headers
    assert KEY not in str(request.headers)


@pytest.mark.parametrize("url", [url for url in HOSTILE if "8443" not in url])
def test_a_picture_is_not_fetched_from_elsewhere(app: FluxApp, url: str) -> None:
    with pytest.raises(UntrustedAddress):
        fetch(app, url)
    assert not app.requests


def test_a_local_service_may_serve_its_pictures_on_another_port(app: FluxApp) -> None:
    app.answer("/x.png", httpx.Response(200, content=PNG))
    assert fetch(app, "http://127.0.0.1:7/x.png", base="http://127.0.0.1:9") == PNG


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_an_expired_address_may_be_asked_for_again(app: FluxApp, status: int) -> None:
    app.answer(SAMPLE_PATH, httpx.Response(status, text="Signature expired"))
    with pytest.raises(ServiceBroken, match="expired") as caught:
        fetch(app)
    assert caught.value.retryable


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (httpx.Response(500), ServiceBroken),
        (httpx.Response(429), RateLimited),
        (httpx.Response(503), RateLimited),
        (httpx.ReadTimeout("x"), ServiceTimeout),
        (httpx.ConnectError("x"), ServiceUnreachable),
        (httpx.Response(200), ServiceBroken),
    ],
)
def test_every_trouble_of_a_download_may_be_tried_again(
    app: FluxApp, answer: Any, kind: type[ServiceError]
) -> None:
    app.answer(SAMPLE_PATH, answer)
    with pytest.raises(kind) as caught:
        fetch(app)
    assert caught.value.retryable


def test_a_redirect_within_the_service_is_followed_without_the_key(app: FluxApp) -> None:
    there = httpx.Response(302, headers={"location": "/moved.png?sig=other"})
    app.answer(SAMPLE_PATH, there)
    app.answer("/moved.png", httpx.Response(200, content=PNG))
    assert fetch(app) == PNG
    assert not any("x-key" in request.headers for request in app.requests)


@pytest.mark.parametrize("location", ["https://evil.test/x.png", "http://delivery.bfl.ai/x.png"])
def test_a_redirect_out_of_the_service_is_refused(app: FluxApp, location: str) -> None:
    app.answer(SAMPLE_PATH, httpx.Response(302, headers={"location": location}))
    with pytest.raises(UntrustedAddress):
        fetch(app)
    assert len(app.requests) == 1


def test_redirects_in_a_circle_come_to_an_end(app: FluxApp) -> None:
    app.answer(SAMPLE_PATH, httpx.Response(302, headers={"location": SAMPLE}))
    with pytest.raises(ServiceBroken, match="without an end"):
        fetch(app)


def test_a_picture_beyond_the_limit_is_refused(app: FluxApp) -> None:
    app.answer(SAMPLE_PATH, httpx.Response(200, content=PNG))
    with pytest.raises(ServiceBroken, match="more than"):
        fetch(app, max_file_bytes=10)


# ---------------------------------------------------------------- credits


def test_the_credits_left_are_asked_with_the_key(app: FluxApp) -> None:
    app.answer("/v1/credits", {"credits": 12.5})
    assert run(app, BFL.credits) == 12.5
    assert app.requests[0].headers["x-key"] == KEY


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"credits": None}, ServiceBroken),
        ({}, ServiceBroken),
        (httpx.Response(403), NotAuthorised),
        (httpx.Response(500), ServiceBroken),
        (httpx.ConnectError("x"), ServiceUnreachable),
    ],
)
def test_credits_that_cannot_be_had_are_an_error(
    app: FluxApp, answer: Any, kind: type[ServiceError]
) -> None:
    app.answer("/v1/credits", answer)
    with pytest.raises(kind):
        run(app, BFL.credits)


# ---------------------------------------------------------------- secrets


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + str(vars(error))


def test_neither_errors_nor_logs_nor_reprs_show_the_key_or_a_signed_address(
    app: FluxApp, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    errors: list[BaseException] = []

    async def everything(bfl: BFL) -> None:
        assert KEY not in repr(bfl)
        for answers in [
            httpx.Response(status, text=f"no {status}") for status in (400, 401, 404, 429, 500)
        ] + [httpx.LocalProtocolError(f"Illegal header value {KEY!r}"), httpx.ReadError("x")]:
            app.script.clear()
            for path in (POST_PATH, POLL_PATH, SAMPLE_PATH, "/v1/credits"):
                app.answer(path, answers)
            for call in (
                bfl.submit("flux-dev", {}),
                bfl.wait(POLL, on_progress=lambda p: None),
                bfl.fetch(SAMPLE),
                bfl.credits(),
            ):
                try:
                    await call
                except ServiceError as error:
                    errors.append(error)

    run(app, everything, deadline_s=0.01)
    assert len(errors) == 28
    # what the library itself was made to say stands in the chain, and only there
    shown = [error.message + error.remedy + repr(error) for error in errors]  # type: ignore[attr-defined]
    assert not any(KEY in text or "signed-secret" in text for text in shown)
    assert KEY not in caplog.text
    assert "signed-secret" not in caplog.text
    assert "HTTP Request" in caplog.text  # the log is there, and clean


def test_a_real_exchange_leaves_no_key_in_any_log_at_any_level(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> None:
        async with raw_server(response(json.dumps(ACCEPTED).encode())) as (url, connections):
            bfl = BFL(url, SecretStr(KEY))
            await bfl.submit("flux-dev", {})
            await bfl.close()
            assert KEY.encode() in connections[0][0]

    asyncio.run(main())
    assert "httpcore" in {record.name.split(".")[0] for record in caplog.records}
    assert KEY not in caplog.text
