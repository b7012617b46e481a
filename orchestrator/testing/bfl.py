"""A FLUX API that charges nothing, keeps a list of what it would have charged, and fails when told to."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import io
import json
import secrets
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from PIL import Image
from pydantic import ValidationError
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.web import Application, Finish, RequestHandler

from orchestrator.testing.bfl_models import MODELS, Asked, megapixels, shown_size

KEY = "fake-bfl-key"  # that FakeBFL and make_lab agree on
ACTIVE_TASKS = 24
SAMPLE_S = 600.0  # how long a picture's address is good


class Fault(StrEnum):
    """What FakeBFL can be told to do wrong. The comment says at which of its answers."""

    NO_CREDITS = "no_credits"  # POST: 402
    FORBIDDEN = "forbidden"  # POST: 403
    INVALID = "invalid"  # POST: 422, as for a value that is not taken any more
    RATE_LIMITED = "rate_limited"  # POST: 429, with Retry-After if `retry_after_s` is set
    BROKEN_BEFORE = "broken_before"  # POST: 500, nothing is charged
    BROKEN_AFTER = "broken_after"  # POST: charged, then 500
    COST_UNSAID = "cost_unsaid"  # POST: taken, and the answer does not say what it costs
    DROPPED = "dropped"  # POST: charged, then the connection is closed without an answer
    HELD = "held"  # POST: charged, and answered only after `resume`
    REQUEST_MODERATED = "request_moderated"  # task: the prompt is refused, after it was charged
    CONTENT_MODERATED = "content_moderated"  # task: the picture is held back
    TASK_ERROR = "task_error"  # task: ends with "Error"
    FORGOTTEN = "forgotten"  # task: "Task not found" for ever
    POLL_BROKEN = "poll_broken"  # poll: 500
    POLL_HANGS = "poll_hangs"  # poll: never answered
    SAMPLE_EXPIRED = "sample_expired"  # picture: 403, as after ten minutes
    SAMPLE_TRUNCATED = "sample_truncated"  # picture: half of its bytes
    SAMPLE_WRONG_TYPE = "sample_wrong_type"  # picture: a page that says so, with status 200
    SAMPLE_LARGER = "sample_larger"  # picture: twice as many bytes as its header announces


ENDINGS = {
    Fault.REQUEST_MODERATED: "Request Moderated",
    Fault.CONTENT_MODERATED: "Content Moderated",
    Fault.TASK_ERROR: "Error",
    Fault.FORGOTTEN: "Task not found",
}


@dataclass(frozen=True)
class Charge:
    """One picture on the bill."""

    task_id: str
    model: str
    prompt: str
    credits: float
    at: float  # seconds since the epoch


@dataclass
class _Task:
    charge: Charge
    asked: Asked
    ready_at: float
    ending: str = "Ready"

    def status(self, now: float) -> str:
        return self.ending if now >= self.ready_at else "Pending"


@dataclass
class FakeBFL:
    """A FLUX API on this machine. Use it as `async with FakeBFL() as bfl: … bfl.url`.

    Set the fields at any time. `charges` is what was paid for, `requests` counts what was asked, `leaks` the times
    the key was sent where it should not go: to the addresses of pictures.
    """

    port: int = 0  # any free one
    key: str = KEY
    credits: float = 1000.0
    picture_s: float = 0.05  # how long a task takes
    limit: int = ACTIVE_TASKS
    retry_after_s: float | None = None  # sent with a 429
    dearer: float = 0.0  # credits that a picture costs beyond the list
    charges: list[Charge] = field(default_factory=list)
    requests: Counter[str] = field(default_factory=Counter)
    most_active: int = 0
    leaks: int = 0
    url: str = ""

    def __post_init__(self) -> None:
        self._faults: Counter[Fault] = Counter()
        self._tasks: dict[str, _Task] = {}
        self._secret = secrets.token_bytes(16)
        self._resumed = asyncio.Event()
        self._closing = asyncio.Event()
        self._servers: list[HTTPServer] = []
        self._delivery = ""

    # ---------------------------------------------------------------- what a test says and asks

    def fail(self, fault: Fault, times: int = 1) -> None:
        """Show a fault at the next `times` answers of its kind."""
        self._faults[fault] += times

    def resume(self) -> None:
        """Answer the requests that were held."""
        self._resumed.set()
        self._resumed = asyncio.Event()

    def charged(self, prompt: str) -> int:
        """How many pictures with this prompt are on the bill."""
        return sum(charge.prompt == prompt for charge in self.charges)

    @property
    def active(self) -> int:
        """How many tasks are not finished."""
        now = time.monotonic()
        return sum(task.ready_at > now for task in self._tasks.values())

    # ---------------------------------------------------------------- life

    async def __aenter__(self) -> Self:
        self.url = self._listen(
            self.port,
            [
                (r"/v1/credits", _Credits),
                (r"/v1/get_result", _Result),
                (r"/v1/([a-z0-9./-]+)", _Submit),
                (r"/fake/charges", _Charges),
                (r"/fake/fail", _Fail),
            ],
        )
        # pictures lie on a host of their own at the real service; here on a port of their own
        self._delivery = self._listen(0, [(r"/pictures/([0-9a-f-]+)", _Sample)])
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._closing.set()
        self.resume()
        for server in self._servers:
            server.stop()
            await server.close_all_connections()

    def _listen(self, port: int, routes: list[tuple[str, type[RequestHandler]]]) -> str:
        app = Application(
            [(path, handler, {"bfl": self}) for path, handler in routes],
            log_function=lambda handler: None,
        )
        server = HTTPServer(app)
        sockets = bind_sockets(port, "127.0.0.1")
        server.add_sockets(sockets)
        self._servers.append(server)
        return f"http://127.0.0.1:{sockets[0].getsockname()[1]}"

    # ---------------------------------------------------------------- what the handlers use

    def _shows(self, fault: Fault) -> bool:
        self._faults[fault] -= (shown := self._faults[fault] > 0)
        return shown

    def _price(self, model: str, asked: Asked) -> float:
        return MODELS[model].credits(asked) + self.dearer

    def _refusal(self, model: str, asked: Asked) -> tuple[int, str] | None:
        """Why a request is turned down before anything is charged, if it is."""
        if self._shows(Fault.FORBIDDEN):
            return 403, "Forbidden"
        if self._shows(Fault.NO_CREDITS) or self.credits < self._price(model, asked):
            return 402, "Insufficient credits"
        if self._shows(Fault.RATE_LIMITED) or self.active >= self.limit:
            return 429, "Too many active tasks"
        if self._shows(Fault.BROKEN_BEFORE):
            return 500, "Internal Server Error"
        return None

    def _buy(self, model: str, asked: Asked) -> Charge:
        task_id, price = str(uuid.uuid4()), self._price(model, asked)
        charge = Charge(task_id, model, asked.prompt or "", price, time.time())
        self.credits = round(self.credits - price, 3)
        self.charges.append(charge)
        ending = next((said for fault, said in ENDINGS.items() if self._shows(fault)), "Ready")
        ready_at = time.monotonic() + self.picture_s
        self._tasks[task_id] = _Task(charge, asked, ready_at, ending)
        self.most_active = max(self.most_active, self.active)
        return charge

    def _signature(self, task_id: str, expires: str) -> str:
        return hmac.new(self._secret, f"{task_id} {expires}".encode(), hashlib.sha256).hexdigest()

    def _sample_url(self, task_id: str) -> str:
        expires = f"{time.time() + SAMPLE_S:.0f}"
        signature = self._signature(task_id, expires)
        return f"{self._delivery}/pictures/{task_id}?expires={expires}&signature={signature}"

    async def _wait_to(self, event: asyncio.Event) -> None:
        closing = asyncio.ensure_future(self._closing.wait())
        waiting = asyncio.ensure_future(event.wait())
        await asyncio.wait([closing, waiting], return_when=asyncio.FIRST_COMPLETED)
        for task in (closing, waiting):
            task.cancel()


def _picture(task: _Task) -> bytes:
    """The same small picture for the same seed and prompt."""
    size = shown_size(task.asked)
    pixels = hashlib.shake_128(f"{task.asked.seed} {task.asked.prompt}".encode()).digest(192)
    drawn = Image.frombytes("RGB", (8, 8), pixels).resize(size)
    buffer = io.BytesIO()
    drawn.save(buffer, task.asked.output_format)
    return buffer.getvalue()


class _Handler(RequestHandler):
    bfl: FakeBFL

    def initialize(self, bfl: FakeBFL) -> None:
        self.bfl = bfl

    def reply(self, document: Any, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(document))

    def refuse(self, status: int, detail: Any) -> None:
        self.reply({"detail": detail}, status)

    def drop(self) -> None:
        """Close the connection without an answer."""
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.close()
        raise Finish

    def has_key(self) -> bool:
        """Whether the request carries the key; refuses it otherwise."""
        good = secrets.compare_digest(self.request.headers.get("x-key", ""), self.bfl.key)
        if not good:
            self.refuse(403, "Not authenticated")
        return good


class _Submit(_Handler):
    async def post(self, model: str) -> None:
        bfl = self.bfl
        bfl.requests["submit"] += 1
        if not self.has_key():
            return
        if model not in MODELS:
            self.refuse(404, "Not Found")
            return
        try:
            asked = MODELS[model].asked.model_validate_json(self.request.body)
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)
            self.refuse(422, [{**each, "loc": ["body", *each["loc"]]} for each in found])
            return
        if bfl._shows(Fault.INVALID):
            said = {"loc": ["body", "aspect_ratio"], "msg": "Value not allowed", "type": "enum"}
            self.refuse(422, [said])
            return
        if refusal := bfl._refusal(model, asked):
            if refusal[0] == 429 and bfl.retry_after_s is not None:
                self.set_header("Retry-After", f"{bfl.retry_after_s:g}")
            self.refuse(*refusal)
            return
        charge = bfl._buy(model, asked)
        if bfl._shows(Fault.HELD):
            await bfl._wait_to(bfl._resumed)
        if bfl._shows(Fault.DROPPED):
            self.drop()
        if bfl._shows(Fault.BROKEN_AFTER):
            self.refuse(500, "Internal Server Error")
            return
        answer: dict[str, Any] = {
            "id": charge.task_id,
            "polling_url": f"{bfl.url}/v1/get_result?id={charge.task_id}",
        }
        if not bfl._shows(Fault.COST_UNSAID):
            answer |= {
                "cost": charge.credits,
                "input_mp": float(sum(map(megapixels, asked.inputs()))),
                "output_mp": float(megapixels(asked.size())),
            }
        self.reply(answer)


class _Result(_Handler):
    async def get(self) -> None:
        bfl = self.bfl
        bfl.requests["poll"] += 1
        if not self.has_key():
            return
        if bfl._shows(Fault.POLL_HANGS):
            await bfl._wait_to(bfl._closing)
        if bfl._shows(Fault.POLL_BROKEN):
            self.refuse(500, "Internal Server Error")
            return
        task_id = self.get_query_argument("id", "")
        task = bfl._tasks.get(task_id)
        status = task.status(time.monotonic()) if task else "Task not found"
        result = None
        if task and status == "Ready":
            result = {
                "sample": bfl._sample_url(task_id),
                "prompt": task.charge.prompt,
                "seed": task.asked.seed,
            }
        details = {"Moderation Reasons": ["Safety Filter"]} if "Moderated" in status else None
        self.reply(
            {
                "id": task_id,
                "status": status,
                "result": result,
                "progress": None,
                "details": details,
                "preview": None,
            }
        )


class _Sample(_Handler):
    async def get(self, task_id: str) -> None:
        bfl = self.bfl
        bfl.requests["picture"] += 1
        if "x-key" in self.request.headers:
            bfl.leaks += 1
            self.refuse(403, "A picture's address takes no key")
            return
        expires = self.get_query_argument("expires", "0")
        signature = self.get_query_argument("signature", "")
        task = bfl._tasks.get(task_id)
        good = hmac.compare_digest(signature, bfl._signature(task_id, expires))
        if (
            task is None
            or not good
            or float(expires) < time.time()
            or bfl._shows(Fault.SAMPLE_EXPIRED)
        ):
            self.refuse(403, "Signature expired")
            return
        data = _picture(task)
        if bfl._shows(Fault.SAMPLE_WRONG_TYPE):
            self.set_header("Content-Type", "text/html")
            self.finish("<html><body>We are sorry</body></html>")
            return
        if bfl._shows(Fault.SAMPLE_LARGER):
            await self._more_than_announced(data)
        self.set_header("Content-Type", f"image/{task.asked.output_format}")
        self.finish(data[: len(data) // 2] if bfl._shows(Fault.SAMPLE_TRUNCATED) else data)

    async def _more_than_announced(self, data: bytes) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data) // 2}\r\n\r\n"
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            with contextlib.suppress(StreamClosedError):
                await stream.write(head.encode() + data)
            stream.close()
        raise Finish


class _Credits(_Handler):
    def get(self) -> None:
        if self.has_key():
            self.reply({"credits": self.bfl.credits})


class _Charges(_Handler):
    """What a test in another process asks: what was charged."""

    def get(self) -> None:
        self.reply([asdict(charge) for charge in self.bfl.charges])


class _Fail(_Handler):
    """What a test in another process says: {"fault": "dropped", "times": 2}."""

    def post(self) -> None:
        said: Mapping[str, Any] = json.loads(self.request.body)
        self.bfl.fail(Fault(said["fault"]), int(said.get("times", 1)))
        self.reply({})
