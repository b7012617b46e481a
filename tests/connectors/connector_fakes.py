"""Far ends for the connectors' tests: a scripted ComfyUI and a scripted FLUX API, as callables and as real servers."""

from __future__ import annotations

import asyncio
import json
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import tornado.httpserver
import tornado.web
import tornado.websocket

PNG = b"\x89PNG\r\n\x1a\n" + b"picture" * 20
JPEG = b"\xff\xd8\xff" + b"preview" * 20
SAMPLERS = ["euler", "euler_ancestral", "heun", *(f"other_{n}" for n in range(20))]
OBJECT_INFO = {
    "CheckpointLoaderSimple": {
        "input": {"required": {"ckpt_name": [["v1-5-pruned.safetensors", "sd_xl.safetensors"], {}]}}
    },
    "KSampler": {"input": {"required": {"sampler_name": ["COMBO", {"options": SAMPLERS}]}}},
    "EmptyLatentImage": {"input": {"required": {"width": ["INT", {"min": 16}]}}},
    "VAEDecode": {"input": {}},
    "SaveImage": {"input": {}},
}


def new_id() -> str:
    return str(uuid.uuid4())


def workflow(steps: int = 4) -> dict[str, Any]:
    return {
        "3": {"class_type": "KSampler", "inputs": {"steps": steps, "latent_image": ["5", 0]}},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "x.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64}},
        "8": {"class_type": "VAEDecode", "inputs": {}},
        "9": {"class_type": "SaveImage", "inputs": {}},
    }


def saved(filename: str = "lab_00001_.png", type: str = "output") -> dict[str, str]:
    return {"filename": filename, "subfolder": "", "type": type}


def status(text: str, *messages: tuple[str, dict[str, Any]]) -> dict[str, Any]:
    listed = [[event, {"timestamp": 1, **data}] for event, data in messages]
    return {"status_str": text, "completed": text == "success", "messages": listed}


def history_entry(
    outputs: dict[str, Any] | None = None, said: dict[str, Any] | None = None
) -> dict[str, Any]:
    done = {"9": {"images": [saved()]}} if outputs is None else outputs
    return {"prompt": [], "outputs": done, "status": said or status("success"), "meta": {}}


def failed_entry(exception_type: str, message: str, node: str = "KSampler") -> dict[str, Any]:
    data = {
        "node_id": "3",
        "node_type": node,
        "exception_type": exception_type,
        "exception_message": message,
        "traceback": ["  File …"],
        "current_inputs": {"ckpt_name": ["broken.safetensors"]},
    }
    return history_entry({}, status("error", ("execution_start", {}), ("execution_error", data)))


def queue_item(prompt_id: str, number: float = 0) -> list[Any]:
    return [number, prompt_id, workflow(), {"client_id": "c"}, ["9"]]


class ComfyApp:
    """A ComfyUI server as an httpx handler. `modern` has /api/jobs, as 0.27; otherwise it is as 0.3.64."""

    def __init__(self, *, modern: bool = True) -> None:
        self.modern = modern
        self.running: list[list[Any]] = []
        self.pending: list[list[Any]] = []
        self.history: dict[str, Any] = {}
        self.requests: list[httpx.Request] = []
        self.script: dict[str, list[httpx.Response | Exception]] = {}  # path -> next answers
        self.on_prompt: Callable[[str], None] = self.finish
        self.on_request: Callable[[httpx.Request], None] = lambda request: None
        self.deaf_to_interrupts = False

    def finish(self, prompt_id: str) -> None:
        """End a prompt well, as if it had run."""
        self.forget(prompt_id)
        self.history[prompt_id] = history_entry()

    def enqueue(self, prompt_id: str) -> None:
        self.pending.append(queue_item(prompt_id, len(self.pending)))

    def begin(self, prompt_id: str) -> None:
        self.forget(prompt_id)
        self.running.append(queue_item(prompt_id))

    def forget(self, prompt_id: str) -> None:
        self.running = [item for item in self.running if item[1] != prompt_id]
        self.pending = [item for item in self.pending if item[1] != prompt_id]

    def paths(self) -> list[str]:
        return [f"{request.method} {request.url.path}" for request in self.requests]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.on_request(request)
        path = request.url.path
        if self.script.get(path):
            answer = self.script[path].pop(0)
            if isinstance(answer, Exception):
                raise answer
            return answer
        body = json.loads(request.content) if request.content else {}
        return self.route(request, path, body)

    def route(self, request: httpx.Request, path: str, body: dict[str, Any]) -> httpx.Response:
        match request.method, path.strip("/").split("/"):
            case "POST", ["prompt"]:
                self.on_prompt(body["prompt_id"])
                return ok({"prompt_id": body["prompt_id"], "number": 0, "node_errors": {}})
            case "GET", ["prompt"]:
                return ok({"exec_info": {"queue_remaining": len(self.pending)}})
            case "GET", ["queue"]:
                return ok({"queue_running": self.running, "queue_pending": self.pending})
            case "POST", ["queue"]:
                self.pending = [item for item in self.pending if item[1] not in body["delete"]]
                return httpx.Response(200)
            case "POST", ["interrupt"]:
                assert body.get("prompt_id"), "the global interrupt stops other people's work"
                self.interrupt(body["prompt_id"])
                return httpx.Response(200)
            case "GET", ["history", id]:
                return ok({id: self.history[id]} if id in self.history else {})
            case "GET", ["object_info"]:
                return ok(OBJECT_INFO)
            case "GET", ["models", "checkpoints"]:
                return ok(["from-the-folder.safetensors"])
            case "GET", ["system_stats"]:
                return ok({"system": {"comfyui_version": "0.27.0", "new": 1}, "devices": []})
            case "GET", ["view"]:
                return httpx.Response(200, content=PNG)
            case "GET", ["api", "jobs"] if self.modern:
                return ok({"jobs": [], "pagination": {}})
            case "GET", ["api", "jobs", id] if self.modern:
                return self.job(id)
            case "POST", ["api", "jobs", id, "cancel"] if self.modern:
                before = len(self.pending) + len(self.running)
                self.pending = [item for item in self.pending if item[1] != id]
                self.interrupt(id)
                return ok({"cancelled": len(self.pending) + len(self.running) < before})
        return httpx.Response(404 if request.method == "GET" else 405, text="404: Not Found")

    def interrupt(self, prompt_id: str) -> None:
        if self.deaf_to_interrupts or all(item[1] != prompt_id for item in self.running):
            return
        self.forget(prompt_id)
        said = status("error", ("execution_interrupted", {"node_type": "KSampler"}))
        self.history[prompt_id] = history_entry({}, said)

    def job(self, id: str) -> httpx.Response:
        if any(item[1] == id for item in self.running):
            return ok({"id": id, "status": "in_progress", "outputs_count": 0})
        if any(item[1] == id for item in self.pending):
            return ok({"id": id, "status": "pending", "outputs_count": 0})
        if id not in self.history:
            return httpx.Response(404, json={"error": "Job not found"})
        entry = self.history[id]
        messages = dict(entry["status"]["messages"])
        said = (
            "cancelled"
            if "execution_interrupted" in messages
            else "failed"
            if entry["status"]["status_str"] == "error"
            else "completed"
        )
        document = {"id": id, "status": said, "outputs": entry["outputs"]}
        if said == "failed" and "execution_error" in messages:
            document["execution_error"] = messages["execution_error"]
        return ok({**document, "execution_status": entry["status"]})


def ok(document: Any) -> httpx.Response:
    return httpx.Response(200, json=document)


class ComfyServer:
    """A ComfyApp behind a real port, with a websocket that says what a test tells it to."""

    def __init__(self, app: ComfyApp) -> None:
        self.app = app
        self.url = ""
        self.sockets: list[tornado.websocket.WebSocketHandler] = []
        self.heard: list[str | bytes] = []  # what clients said on their sockets
        self.opened = asyncio.Event()
        self.client_ids: list[str] = []
        self.refuses_sockets = False

    def say(self, message: dict[str, Any] | bytes | str) -> None:
        for handler in self.sockets:
            if isinstance(message, bytes):
                handler.write_message(message, binary=True)
            else:
                text = message if isinstance(message, str) else json.dumps(message)
                handler.write_message(text)

    def event(self, event: str, prompt_id: str, **data: Any) -> None:
        self.say({"type": event, "data": {"prompt_id": prompt_id, **data}})

    def drop(self) -> None:
        for handler in self.sockets:
            handler.close()


@asynccontextmanager
async def serving(app: ComfyApp, *, sockets: bool = True) -> AsyncIterator[ComfyServer]:
    server = ComfyServer(app)
    server.refuses_sockets = not sockets

    class Routes(tornado.web.RequestHandler):
        async def handle(self) -> None:
            headers = dict(self.request.headers)
            url = f"http://test{self.request.uri}"
            request = httpx.Request(
                self.request.method or "", url, headers=headers, content=self.request.body
            )
            try:
                response = app(request)
            except httpx.RequestError:
                self.request.connection.stream.close()  # type: ignore[union-attr]
                return
            self.set_status(response.status_code)
            await self.finish(response.content)

        get = post = handle

    class Events(tornado.websocket.WebSocketHandler):
        def prepare(self) -> None:
            if server.refuses_sockets:
                raise tornado.web.HTTPError(404)

        def open(self, *args: str, **kwargs: str) -> None:
            server.client_ids.append(self.get_argument("clientId"))
            server.sockets.append(self)
            server.opened.set()

        def on_message(self, message: str | bytes) -> None:
            server.heard.append(message)

        def on_close(self) -> None:
            server.sockets.remove(self)

    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    listening.setblocking(False)
    server.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    application = tornado.web.Application(
        [("/ws", Events), ("/.*", Routes)], log_function=lambda handler: None
    )
    http = tornado.httpserver.HTTPServer(application)
    http.add_socket(listening)
    try:
        yield server
    finally:
        http.stop()
        server.drop()
        await http.close_all_connections()


class FluxApp:
    """The FLUX API as an httpx handler: scripted answers per path, every request kept."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.script: dict[str, list[httpx.Response | Exception]] = {}

    def answer(self, path: str, *answers: httpx.Response | Exception | dict[str, Any]) -> None:
        """Add answers for a path; the last one is repeated."""
        listed = [ok(a) if isinstance(a, dict) else a for a in answers]
        self.script.setdefault(path, []).extend(listed)

    def to(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == path]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self.script[request.url.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(
            answer.status_code, headers=answer.headers, stream=httpx.ByteStream(answer.read())
        )
