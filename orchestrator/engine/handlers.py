"""The HTTP routes: each reads the request, asks the engine, and answers as ComfyUI does."""

from __future__ import annotations

import io
import json
import mimetypes
import re
from typing import TYPE_CHECKING, Any
from uuid import UUID

from PIL import Image, UnidentifiedImageError
from tornado.web import Finish, HTTPError, RequestHandler

from orchestrator.engine import jobs
from orchestrator.engine.door import guard
from orchestrator.engine.folders import TYPES, PathRefused
from orchestrator.engine.sockets import SocketHandler
from orchestrator.engine.weights import FILES

if TYPE_CHECKING:
    from orchestrator.engine.engine import Engine

JSON = Any
# What a browser would run; sent as a download instead.
ACTIVE = frozenset(
    {"text/html", "application/xhtml+xml", "image/svg+xml", "text/javascript", "text/xml", "text/css",
     "application/javascript", "application/xml"}
)  # fmt: skip


class Handler(RequestHandler):
    """What every route shares: the guard at the door and JSON answers."""

    engine: Engine

    def initialize(self, engine: Engine) -> None:
        self.engine = engine

    async def prepare(self) -> None:
        await guard(self, self.engine)

    def reply(self, body: JSON, status: int = 200) -> None:
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(body))

    def body(self) -> JSON:
        """The request's JSON; an empty body is an empty object."""
        try:
            return json.loads(self.request.body or b"{}")
        except (ValueError, RecursionError) as exc:
            raise HTTPError(400, reason="The body is not JSON") from exc

    def body_object(self) -> dict[str, JSON]:
        body = self.body()
        return body if isinstance(body, dict) else {}

    def number(self, name: str, default: int | None) -> int | None:
        text = self.get_query_argument(name, "")
        if not text:
            return default
        try:
            return int(text)
        except ValueError as exc:
            raise HTTPError(400, reason=f"{name} is not a number") from exc

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{status_code}: {self._reason}")

    def drop(self) -> None:
        """Close the connection without an answer."""
        stream = getattr(self.request.connection, "stream", None)
        if stream is not None:
            stream.close()
        raise Finish


class PromptHandler(Handler):
    def get(self) -> None:
        self.reply({"exec_info": {"queue_remaining": self.engine.queue.remaining()}})

    def post(self) -> None:
        try:
            body = self.body()
        except HTTPError:
            body = None
        answer, status = self.engine.submit(body if isinstance(body, dict) else {})
        if status == 200 and self.engine.faults.take_drop_prompt_answer():
            self.drop()
        self.reply(answer, status)


class QueueHandler(Handler):
    def get(self) -> None:
        running, pending = self.engine.queue.snapshot()
        self.reply(
            {
                "queue_running": [item.to_json() for item in running],
                "queue_pending": [item.to_json() for item in pending],
            }
        )

    def post(self) -> None:
        body = self.body_object()
        if body.get("clear"):
            self.engine.queue.clear()
        self.engine.queue.delete(_names(body.get("delete")))


class InterruptHandler(Handler):
    def post(self) -> None:
        prompt_id = self.body_object().get("prompt_id")
        self.engine.queue.interrupt(str(prompt_id) if prompt_id else None)


class HistoryHandler(Handler):
    def get(self, prompt_id: str | None = None) -> None:
        if prompt_id is not None:
            done = self.engine.queue.done(prompt_id)
            self.reply({prompt_id: done.to_json()} if done else {})
            return
        found = list(self.engine.queue.history().items())
        most, offset = self.number("max_items", None), self.number("offset", -1) or 0
        if most is not None:
            start = max(0, len(found) - most) if offset < 0 else offset
            found = found[start : start + most]
        self.reply({prompt_id: done.to_json() for prompt_id, done in found})

    def post(self) -> None:
        body = self.body_object()
        if body.get("clear"):
            self.engine.queue.drop_history()
        self.engine.queue.drop_history(_names(body.get("delete")))


class ViewHandler(Handler):
    def get(self) -> None:
        name = self.get_query_argument("filename", "")
        if not name:
            raise HTTPError(404)
        if name.startswith("/") or ".." in name:
            raise HTTPError(400)
        type_ = self.get_query_argument("type", "output")
        if type_ not in TYPES:
            raise HTTPError(400)
        try:
            path = self.engine.folders.path(type_, self.get_query_argument("subfolder", ""), name)
        except PathRefused as exc:
            raise HTTPError(403) from exc
        if not path.is_file():
            raise HTTPError(404)
        data = path.read_bytes()
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        data, kind = _as_preview(data, self.get_query_argument("preview", "")) or (data, kind)
        disposition = "inline"
        if kind in ACTIVE:
            kind, disposition = "application/octet-stream", "attachment"
        if self.engine.faults.take_corrupt_view():
            data = data[: len(data) // 2]
        self.set_header("Content-Type", kind)
        self.set_header("X-Content-Type-Options", "nosniff")
        safe = re.sub(r'[^\x20-\x7e]|["\\]', "_", path.name)
        self.set_header("Content-Disposition", f'{disposition}; filename="{safe}"')
        self.finish(data)


def _as_preview(data: bytes, asked: str) -> tuple[bytes, str] | None:
    """The picture again as `webp;90` or `jpeg;80`, at its full size; None when nothing, or nothing known, is asked."""
    format_, _, quality = asked.partition(";")
    if format_ not in ("webp", "jpeg"):
        return None
    try:
        with Image.open(io.BytesIO(data)) as image:
            picture = image.convert("RGB")
    except (UnidentifiedImageError, OSError) as exc:
        raise HTTPError(400, reason="Not a picture") from exc
    buffer = io.BytesIO()
    picture.save(buffer, format_, quality=int(quality) if quality.isdecimal() else 90)
    return buffer.getvalue(), f"image/{format_}"


class UploadHandler(Handler):
    def post(self) -> None:
        files = self.request.files.get("image")
        type_ = self.get_body_argument("type", "input")
        if not files or not files[0]["filename"] or type_ not in TYPES:
            raise HTTPError(400)
        try:
            stored = self.engine.folders.upload(
                files[0]["body"],
                name=files[0]["filename"],
                type_=type_,
                subfolder=self.get_body_argument("subfolder", ""),
                overwrite=self.get_body_argument("overwrite", "") in ("true", "1"),
            )
        except PathRefused as exc:
            raise HTTPError(400) from exc
        self.reply(stored)


class ObjectInfoHandler(Handler):
    def get(self, class_type: str | None = None) -> None:
        table = self.engine.nodes()
        wanted = (
            table.values()
            if class_type is None
            else [n for n in table.values() if n.name == class_type]
        )
        self.reply({node.name: node.to_json(self.engine.dialect) for node in wanted})


class ModelsHandler(Handler):
    def get(self, folder: str | None = None) -> None:
        if folder is not None and folder not in FILES:
            raise HTTPError(404)
        self.reply(list(FILES) if folder is None else list(FILES[folder]))


class EmbeddingsHandler(Handler):
    def get(self) -> None:
        self.reply([])


class SystemStatsHandler(Handler):
    def get(self) -> None:
        self.reply(self.engine.system_stats())


class FeaturesHandler(Handler):
    def get(self) -> None:
        self.reply(self.engine.dialect.features)


class FreeHandler(Handler):
    def post(self) -> None:
        body = self.body_object()
        if body.get("unload_models") or body.get("free_memory"):
            self.engine.free()


class JobsHandler(Handler):
    def get(self) -> None:
        statuses = set(filter(None, self.get_query_argument("status", "").split(",")))
        if statuses - set(jobs.STATUSES):
            self.reply({"error": f"status must be among {', '.join(jobs.STATUSES)}"}, 400)
            return
        sort_by = self.get_query_argument("sort_by", "created_at")
        sort_order = self.get_query_argument("sort_order", "desc")
        if sort_by not in ("created_at", "execution_duration") or sort_order not in ("asc", "desc"):
            self.reply({"error": "sort_by or sort_order is not known"}, 400)
            return
        limit = self.number("limit", None)
        self.reply(
            jobs.listed(
                self.engine.queue,
                statuses=statuses or set(jobs.STATUSES),
                workflow_id=self.get_query_argument("workflow_id", "") or None,
                sort_by=sort_by,
                descending=sort_order == "desc",
                limit=None if limit is None else max(1, limit),
                offset=max(0, self.number("offset", 0) or 0),
            )
        )


class JobHandler(Handler):
    def get(self, prompt_id: str) -> None:
        job = jobs.find(self.engine.queue, prompt_id)
        if job is None:
            self.reply({"error": "Job not found"}, 404)
        else:
            self.reply(job)


class CancelJobHandler(Handler):
    def post(self, prompt_id: str) -> None:
        self.reply({"cancelled": self.engine.queue.cancel(prompt_id)})


class CancelJobsHandler(Handler):
    def post(self) -> None:
        asked = self.body_object().get("job_ids")
        if not isinstance(asked, list):
            self.reply({"error": "job_ids must be a list", "invalid_ids": []}, 400)
            return
        invalid = [job_id for job_id in asked if not is_canonical(job_id)]
        if invalid:
            self.reply({"error": "job_ids must be UUIDs", "invalid_ids": invalid}, 400)
            return
        cancelled = [self.engine.queue.cancel(job_id) for job_id in asked]
        self.reply({"cancelled": any(cancelled)})


class FaultsHandler(Handler):
    def get(self) -> None:
        self.reply(self.engine.faults.to_json())

    def post(self) -> None:
        wanted = self.body_object()
        forget, drop = wanted.pop("forget", False), wanted.pop("drop_sockets", False)
        try:
            self.engine.faults.update(wanted)
        except ValueError as exc:
            self.reply({"error": str(exc)}, 400)
            return
        if forget:
            self.engine.forget()
        if drop:
            self.engine.drop_sockets()
        self.reply(self.engine.faults.to_json())


class LedgerHandler(Handler):
    def get(self) -> None:
        self.reply(self.engine.ledger.to_json())


def is_canonical(prompt_id: JSON) -> bool:
    """A UUID as Python writes it: lowercase, with hyphens."""
    try:
        return isinstance(prompt_id, str) and str(UUID(prompt_id)) == prompt_id
    except ValueError:
        return False


def _names(value: JSON) -> list[str]:
    return [str(name) for name in value] if isinstance(value, list) else []


Route = tuple[str, type[RequestHandler]]

EVERYWHERE: tuple[Route, ...] = (
    (r"/prompt", PromptHandler),
    (r"/queue", QueueHandler),
    (r"/interrupt", InterruptHandler),
    (r"/history", HistoryHandler),
    (r"/history/([^/]+)", HistoryHandler),
    (r"/view", ViewHandler),
    (r"/upload/image", UploadHandler),
    (r"/object_info", ObjectInfoHandler),
    (r"/object_info/([^/]+)", ObjectInfoHandler),
    (r"/models", ModelsHandler),
    (r"/models/([^/]+)", ModelsHandler),
    (r"/embeddings", EmbeddingsHandler),
    (r"/system_stats", SystemStatsHandler),
    (r"/features", FeaturesHandler),
    (r"/free", FreeHandler),
    (r"/ws", SocketHandler),
)
JOBS: tuple[Route, ...] = (
    (r"/api/jobs", JobsHandler),
    (r"/api/jobs/cancel", CancelJobsHandler),
    (r"/api/jobs/([^/]+)", JobHandler),
    (r"/api/jobs/([^/]+)/cancel", CancelJobHandler),
)
TESTING: tuple[Route, ...] = (
    (r"/engine/faults", FaultsHandler),
    (r"/engine/ledger", LedgerHandler),
)
