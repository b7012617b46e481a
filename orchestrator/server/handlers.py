"""What every REST handler of the lab is made of: who may come in, what may be sent, and how is answered."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import orjson
from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from pydantic import BaseModel, ValidationError
from tornado import web

from orchestrator.errors import OrchestratorError
from orchestrator.jobs import one_line
from orchestrator.lab import Lab
from orchestrator.server.limits import MAX_BODY, MAX_DRAINED
from orchestrator.server.panel import Panel
from orchestrator.server.refusals import Refusal

METHODS = ("get", "head", "post", "put", "patch", "delete")
# what stands for a method that a route does not have
MISSING = web.RequestHandler._unimplemented_method
SAFE = {"GET", "HEAD", "OPTIONS"}
MAX_SHOWN = 100  # characters of a caller's own words that an answer repeats
# pydantic's words for the common mistakes are for programmers
WORDS = {
    "missing": "is missing",
    "extra_forbidden": "is not a field of this request",
    "model_attributes_type": "must be a JSON object",
    "model_type": "must be a JSON object",
}
BODY_REMEDY = "Send one JSON object with the fields that /api/openapi.json lists for this route."
QUERY_REMEDY = (
    "Correct what stands after `?` in the address; /api/openapi.json says what this route takes."
)

logger = logging.getLogger(__name__)
Method = Callable[..., Awaitable[None] | None]
Model = TypeVar("Model", bound=BaseModel)
T = TypeVar("T")


def _guarded(method: Method) -> Method:
    """A handler's method for whoever has the token, whose errors become answers."""

    @functools.wraps(method)
    async def answer(self: LabHandler, *args: str, **kwargs: str) -> None:
        self.take_body()
        try:
            await _maybe(method(self, *args, **kwargs))
        except (OrchestratorError, OSError) as error:
            refusal = Refusal.of(error)
            if refusal.status_code >= 500:
                logger.warning("%s: %s", self.request.method, one_line(str(error)))
            raise refusal from error

    return web.authenticated(authorized(answer))


@web.stream_request_body
class LabHandler(APIHandler):
    """Base of the REST handlers. Their methods are behind Jupyter's token or password, whatever they say.

    `panel` is what the handlers of one server share; without it there are no limits and no metrics.
    """

    auth_resource = "orchestrator"
    costly = False  # whether it counts with what changes something, however it is asked

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in METHODS:
            if vars(cls).get(name, MISSING) is not MISSING:
                setattr(cls, name, _guarded(vars(cls)[name]))
        if "get" in vars(cls) and "head" not in vars(cls):
            cls.head = cls.get  # Tornado leaves the body out

    def initialize(self, *, lab: Lab, panel: Panel | None = None) -> None:
        """Called by Tornado for each request."""
        self.lab = lab
        self.panel = panel
        self._began = time.perf_counter()
        self._received: list[bytes] = []
        self._received_bytes = 0
        self._is_read = False  # the whole request

    # ---------------------------------------------------------------- before the body is read

    async def prepare(self, **options: Any) -> None:
        """Let in whoever may come in, if not too often and with not too much."""
        connection: Any = self.request.connection
        connection.set_max_body_size(max(MAX_DRAINED, self.max_body))
        try:
            await self._admit(**options)
        except web.HTTPError as refusal:
            self._refuse_later(refusal)

    async def _admit(self, **options: Any) -> None:
        await super().prepare(**options)
        if self.current_user is None and self.request.method != "OPTIONS":
            raise web.HTTPError(403)
        if self.panel is not None:
            writing = self.costly or self.request.method not in SAFE
            wait_s = await self.panel.limits.wait_s(self.request.remote_ip or "", writing=writing)
            if wait_s is not None:
                raise Refusal(
                    429,
                    "Too many requests",
                    remedy=f"Wait {wait_s} s and send fewer at a time.",
                    headers={"Retry-After": str(wait_s)},
                )
        if self._announced() > self.max_body:
            raise _too_large(self.max_body)

    @property
    def max_body(self) -> int:
        """How many bytes may be sent."""
        return MAX_BODY

    def _announced(self) -> int:
        said = self.request.headers.get("Content-Length", "")
        return int(said) if said.isdigit() else 0

    def _refuse_later(self, refusal: web.HTTPError) -> None:
        """Refuse when the body has come, unless it is vast or waits to be asked for. Tornado closes the connection of
        a request that is answered before, and a client that is still sending may never see the answer."""
        if self._announced() > MAX_DRAINED or "Expect" in self.request.headers:
            raise refusal

        def refuse(*_: str, **__: str) -> None:
            self._is_read = True
            raise refusal

        self._received_bytes = self.max_body + 1  # keep nothing of it
        setattr(self, (self.request.method or "").lower(), refuse)

    def check_xsrf_cookie(self) -> None:
        """As Jupyter does it, but in words that help."""
        if hasattr(self, "_jupyter_current_user") and self.current_user is None:
            raise web.HTTPError(403)
        try:
            super().check_xsrf_cookie()
        except web.HTTPError as error:
            raise Refusal(
                403,
                "Not allowed: a page that does not carry the panel's XSRF token may not change anything",
                remedy="Send the header `Authorization: token …`, or from a page of the panel the header X-XSRFToken "
                "with the value of the cookie _xsrf.",
            ) from error

    def data_received(self, chunk: bytes) -> None:
        """Called by Tornado for each part of the body. Too much of it is counted, not kept."""
        self._received_bytes += len(chunk)
        if self._received_bytes <= self.max_body:
            self._received.append(chunk)
        else:
            self._received.clear()

    def take_body(self) -> None:
        """The whole body, where Tornado's and Jupyter's own methods look for it. Raises Refusal 413."""
        self._is_read = True
        if self._received_bytes > self.max_body:
            raise _too_large(self.max_body)
        self.request.body = b"".join(self._received)
        self._received.clear()

    # ---------------------------------------------------------------- reading the request

    def body(self, model: type[Model], *, optional: bool = False) -> Model:
        """The request's body as a value; with `optional` an empty one is an empty object. Raises Refusal 400."""
        data = self.request.body
        if optional and not data.strip():
            data = b"{}"
        try:
            document = orjson.loads(data)
        except orjson.JSONDecodeError as error:
            said = "The body is empty" if not data else f"The body is not JSON: {error}"
            raise Refusal(400, said, remedy=BODY_REMEDY) from error
        if not isinstance(document, dict):
            raise Refusal(400, "The body is not a JSON object", remedy=BODY_REMEDY)
        return self._parsed(model, document, remedy=BODY_REMEDY)

    def query(self, model: type[Model]) -> Model:
        """The part of the address after `?` as a value. Raises Refusal 400."""
        given = {
            name: self.get_query_argument(name)
            for name in model.model_fields
            if name in self.request.query_arguments
        }
        return self._parsed(model, given, remedy=QUERY_REMEDY)

    def _parsed(self, model: type[Model], document: dict[str, Any], *, remedy: str) -> Model:
        try:
            return model.model_validate(document)
        except ValidationError as error:
            fields: dict[str, str] = {}
            for entry in error.errors(
                include_url=False, include_input=False, include_context=False
            ):
                name = one_line(".".join(str(part) for part in entry["loc"][:1]))[:MAX_SHOWN]
                said = WORDS.get(entry["type"], entry["msg"]).removeprefix("Value error, ")
                fields.setdefault(name, said)
            said = "; ".join(f"{name}: {message}" for name, message in fields.items())
            raise Refusal(400, said, remedy=remedy, fields=fields) from error

    @staticmethod
    async def blocking(call: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """What a call that waits for the disk returns, without the server waiting as well."""
        return await asyncio.to_thread(call, *args, **kwargs)

    # ---------------------------------------------------------------- answering

    def reply(self, said: Any, *, status: int = 200) -> None:
        """Answer with JSON; orjson.Fragment may stand in it."""
        self.set_status(status)
        self.finish(said if isinstance(said, bytes) else orjson.dumps(said))

    def created(self, job_id: str, said: Any) -> None:
        """Answer that there is a new job."""
        self.set_header("Location", f"{self.base_url}api/jobs/{job_id}")
        self.reply(said, status=201)

    async def options(self, *args: str, **kwargs: str) -> None:  # type: ignore[override]
        """A browser's question before a request from another site's page, which carries no token, is answered as
        Jupyter does; to others: what may be done here."""
        asks = self.request.headers
        if self.current_user is None and "Access-Control-Request-Method" not in asks:
            raise web.HTTPError(403)
        self.set_header("Allow", self.allowed())
        super().options(*args, **kwargs)

    def allowed(self) -> str:
        """The methods of this route."""
        can = [name.upper() for name in METHODS if getattr(type(self), name) is not MISSING]
        return ", ".join([*can, "OPTIONS"])

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with an error: always the same shape, and never Python's words."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        refusal = Refusal.of(error, status=status_code)
        self.set_status(refusal.status_code)
        for name, value in refusal.headers.items():
            self.set_header(name, value)
        if refusal.status_code == 405:
            self.set_header("Allow", self.allowed())
        if not self._is_read:
            self.set_header("Connection", "close")  # Tornado does so; the client should know
        self.finish(refusal.body())

    def on_finish(self) -> None:
        """Called by Tornado when the answer is sent."""
        if self.panel is not None:
            self.panel.metrics.note(
                type(self).__name__.removesuffix("Handler").lower(),
                self.request.method or "",
                self.get_status(),
                time.perf_counter() - self._began,
            )


class UnknownHandler(LabHandler):
    """Whatever address of ours no other handler has."""

    async def get(self, *_: str) -> None:
        """There is nothing."""
        raise web.HTTPError(404)

    post = put = patch = delete = head = get


def _too_large(limit: int) -> Refusal:
    return Refusal(
        413,
        f"The request is larger than {limit:,} bytes",
        remedy="Send less: a prompt and its parameters take some kilobytes; pictures go by their file's name.",
    )


async def _maybe(answer: Awaitable[None] | None) -> None:
    if answer is not None:
        await answer
