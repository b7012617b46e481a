"""The Builder: a visual editor of ComfyUI workflows. The kernel holds the document; pages show it and send changes."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar

import traitlets

from orchestrator.errors import OrchestratorError, RequestInvalid
from orchestrator.jobs import Failure, Job
from orchestrator.lab import Lab
from orchestrator.nodes import Known, ask
from orchestrator.widgets.builder import bundle
from orchestrator.widgets.builder.checking import Checked, check, kept_seed
from orchestrator.widgets.builder.document import Document, Stale, decoded, digest
from orchestrator.widgets.builder.folder import FileChanged, Folder
from orchestrator.widgets.builder.importing import as_ui, workflow_in
from orchestrator.widgets.builder.running import run_state
from orchestrator.widgets.builder.text import ChangeInvalid
from orchestrator.widgets.view import LiveView, Message, static
from orchestrator.workflows.ui import Plans

logger = logging.getLogger(__name__)

CHECK_S = 0.25  # after the last change
EMPTY = '{"last_node_id":0,"last_link_id":0,"nodes":[],"links":[],"groups":[],"config":{},"extra":{},"version":0.4}'
Answer = Callable[[Message], Awaitable[dict[str, Any]]]


class Builder(LiveView):
    """A canvas of nodes over one workflow file, with a palette, a list of what is wrong, and a test run."""

    pause_s: ClassVar[float] = 0.15

    run = traitlets.Dict().tag(sync=True)  # the test run, as `run_state` says it
    preview = traitlets.Bytes(b"").tag(sync=True)  # the newest preview of it

    def __init__(self, lab: Lab, name: str | None = None) -> None:
        """`name`: of the workflow to begin with, a file in `workflows` without its ending; by default an empty one."""
        self._folder = Folder(lab.paths.workflows)
        self._document = Document(EMPTY)
        self._state = ""  # digest of the file when it was read or written
        self._lost: list[dict[str, Any]] = []  # what of a file in API format cannot be shown
        self._known: Known | None = None
        self._asking = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._checking: asyncio.Task[None] | None = None
        self._places: dict[str, dict[str, list[str]]] = {}  # job -> node of its prompt -> place
        self._first = name
        super().__init__(lab)
        self._actions |= {
            "hello": self._hello,
            "edit": self._edit,
            "undo": self._undo,
            "redo": self._redo,
        }
        answers: dict[str, Answer] = {
            "files": self._files,
            "new": self._new,
            "open": self._open,
            "sample": self._sample,
            "import": self._import,
            "save": self._save,
            "rename": self._rename,
            "duplicate": self._duplicate,
            "trash": self._trash,
            "export": self._export,
            "text": self._text,
            "refresh": self._refresh,
            "run": self._run,
            "stop": self._stop,
        }
        self._actions |= {each: self._answering(work) for each, work in answers.items()}

    @traitlets.default("_esm")
    def _read_bundle(self) -> str:
        return bundle.script()

    @traitlets.default("_css")
    def _read_look(self) -> str:
        return static("lab.css") + bundle.style()

    @property
    def text(self) -> str:
        """The workflow as it is now, as JSON."""
        return self._document.text

    # ---------------------------------------------------------------- following a test run

    async def refresh(self) -> None:
        """Show how far the test run is."""
        job_id = self.run.get("job")
        if not job_id:
            return
        job: Job = (await asyncio.to_thread(self._lab.job, job_id)).job
        progress = await asyncio.to_thread(self._lab.store.progress.read, job_id)
        if self.run.get("job") != job_id:
            return  # another was begun meanwhile
        places = self._places.get(job_id, {})
        with self.hold_sync():
            self.preview = (progress.preview if progress else None) or b""
            self.run = run_state(job, progress, places)

    # ---------------------------------------------------------------- the document

    async def _hello(self, message: Message) -> None:
        """A page begins to show the editor."""
        to = str(message.get("page", ""))
        if self._first is not None:
            first, self._first = self._first, None
            to = ""  # another page may have been told meanwhile that there is nothing
            try:
                await self._read(first)
            except OrchestratorError as error:
                self.tell(error.message, error.remedy)
        self._tell_document(to=to)
        await self._tell_plans(anew=False)
        self._check_soon()

    async def _edit(self, message: Message) -> None:
        # no await before the change: messages are carried out in the order in which they came
        ops, page = message.get("ops"), str(message.get("page", ""))
        try:
            if not isinstance(ops, list) or not all(isinstance(op, dict) for op in ops):
                raise ChangeInvalid("A change is not a list of changes")
            self._document.change(ops, base=_base(message), kind=str(message.get("kind", ""))[:80])
        except (Stale, ChangeInvalid) as error:
            self._tell_document(to=page, why=f"{error.message}. {error.remedy}")
            return
        self.send(
            {
                "kind": "edited",
                "by": page,
                "ops": ops,
                "serial": message.get("serial"),
                **self._figures(),
            }
        )
        self._check_soon()

    async def _undo(self, message: Message) -> None:
        await self._back(message, self._document.undo)

    async def _redo(self, message: Message) -> None:
        await self._back(message, self._document.redo)

    async def _back(self, message: Message, move: Callable[..., None]) -> None:
        try:
            move(base=_base(message))
        except Stale as error:
            self._tell_document(
                to=str(message.get("page", "")), why=f"{error.message}. {error.remedy}"
            )
            return
        self._tell_document(why="", keep=True)
        self._check_soon()

    def _figures(self) -> dict[str, Any]:
        document = self._document
        return {
            "revision": document.revision,
            "name": document.name,
            "saved": document.is_saved,
            "undo": document.can_undo,
            "redo": document.can_redo,
        }

    def _tell_document(self, *, to: str = "", why: str = "", keep: bool = False) -> None:
        """The whole document to one page, or to all. `keep`: it is the same workflow, only older or newer."""
        self.send(
            {
                "kind": "document",
                "to": to,
                "text": self._document.text,
                "why": why,
                "keep": keep,
                **self._figures(),
            }
        )

    async def _tell_plans(self, *, anew: bool) -> None:
        async with self._asking:
            if self._known is None or anew or not self._known.is_live:
                self._known = await ask(self._lab)
        known = self._known
        plans = await asyncio.to_thread(known.plans.as_json)
        self.send(
            {
                "kind": "plans",
                "plans": plans,
                "host": known.host,
                "address": known.address,
                "live": known.is_live,
            }
        )

    @property
    def _plans(self) -> Plans:
        return self._known.plans if self._known else Plans({})

    # ---------------------------------------------------------------- checks

    def _check_soon(self) -> None:
        if self._checking is None or self._checking.done():
            self._checking = self.start(self._check_now(), name="Builder checks the workflow")

    async def _check_now(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            revision = self._document.revision
            try:
                checked = await self._check()
            except OrchestratorError as error:
                found = {"path": [], "input": "", "type": "unreadable", "message": error.message}
                self._tell_findings(revision, [found | {"severity": "error"}], {})
            else:
                self._tell_findings(revision, [*self._lost, *checked.findings], checked.place)
            if revision == self._document.revision:
                return

    async def _check(self) -> Checked:
        document = self._document.value()
        return await asyncio.to_thread(check, document, self._plans)

    def _tell_findings(
        self, revision: int, found: list[dict[str, Any]], place: dict[str, Any]
    ) -> None:
        self.send({"kind": "findings", "revision": revision, "findings": found, "prompt": place})

    # ---------------------------------------------------------------- answering

    def _answering(self, work: Answer) -> Callable[[Message], Awaitable[None]]:
        async def answer(message: Message) -> None:
            asked = {"kind": "answer", "key": str(message.get("key", ""))[:100]}
            try:
                said = await work(message)
            except OrchestratorError as error:
                conflict = isinstance(error, FileChanged)
                self.send(
                    asked | {"error": error.message, "remedy": error.remedy, "conflict": conflict}
                )
            except Exception as error:
                logger.exception("The Builder could not answer a page")
                failure = Failure.of(error)
                self.send(asked | {"error": failure.message, "remedy": failure.remedy})
            else:
                self.send(asked | {"answer": said})

        return answer

    async def _files(self, message: Message) -> dict[str, Any]:
        files = await asyncio.to_thread(self._folder.list)
        samples = await asyncio.to_thread(bundle.samples)
        told = [{"name": name, "text": text} for name, text in samples.items()]
        return {"files": files, "samples": told}

    async def _new(self, message: Message) -> dict[str, Any]:
        self._show(Document(EMPTY), state="")
        return {}

    async def _open(self, message: Message) -> dict[str, Any]:
        await self._read(str(message.get("name", "")))
        self._tell_document()
        self._check_soon()
        return {}

    async def _read(self, name: str) -> None:
        data = await asyncio.to_thread(self._folder.read, name)
        if self._known is None:
            await self._tell_plans(anew=False)
        text, lost = await asyncio.to_thread(as_ui, decoded(data), self._plans)
        document = Document(text, name=name, data=data)
        document.revision = self._document.revision + 1  # a change meant for the other one is stale
        self._document, self._state, self._lost = document, digest(data), lost

    async def _sample(self, message: Message) -> dict[str, Any]:
        name = str(message.get("name", ""))
        text = (await asyncio.to_thread(bundle.samples)).get(name)
        if text is None:
            raise RequestInvalid("There is no such template", remedy="Choose one of the list.")
        self._show(Document(text), state="")
        return {}

    async def _import(self, message: Message) -> dict[str, Any]:
        """A file that was dropped on the editor, or a text that was pasted."""
        buffers = message.get("buffers") or [str(message.get("text", "")).encode()]
        text = await asyncio.to_thread(workflow_in, bytes(buffers[0]))
        text, lost = await asyncio.to_thread(as_ui, text, self._plans)
        self._show(Document(text), state="", lost=lost)
        return {"suggested": Path(str(message.get("name", "workflow"))).stem[:100]}

    def _show(
        self, document: Document, *, state: str, lost: list[dict[str, Any]] | None = None
    ) -> None:
        document.revision = self._document.revision + 1  # a change meant for the other one is stale
        self._document, self._state, self._lost = document, state, lost or []
        self._tell_document()
        self._check_soon()

    async def _save(self, message: Message) -> dict[str, Any]:
        async with self._saving:  # the second of two would find a file that somebody has changed
            return await self._write(message)

    async def _write(self, message: Message) -> dict[str, Any]:
        document = self._document
        name = str(message.get("name") or document.name).strip()
        text, data = document.text, document.data()  # changes come while it is written
        was: str | None = self._state if name == document.name else ""
        if message.get("sure") is True:
            was = None
        prompt: dict[str, Any] | None = None
        if self._plans.object_info:
            try:
                prompt = (await self._check()).prompt
            except OrchestratorError as error:
                logger.warning("A workflow is saved that cannot be converted: %s", error.message)
        await asyncio.to_thread(self._folder.write, name, data, was=was, prompt=prompt or None)
        if self._document is document:
            document.note_saved(name, text, data)
            self._state = digest(data)
            self.send({"kind": "figures", **self._figures()})
        return {"name": name, "backend": bool(prompt)}

    async def _rename(self, message: Message) -> dict[str, Any]:
        old, new = str(message.get("name", "")), str(message.get("new", "")).strip()
        await asyncio.to_thread(self._folder.rename, old, new)
        if self._document.name == old:
            self._document.name = new
            self.send({"kind": "figures", **self._figures()})
        return await self._files(message)

    async def _duplicate(self, message: Message) -> dict[str, Any]:
        await asyncio.to_thread(self._folder.duplicate, str(message.get("name", "")))
        return await self._files(message)

    async def _trash(self, message: Message) -> dict[str, Any]:
        name = str(message.get("name", ""))
        await asyncio.to_thread(self._folder.trash, name)
        if self._document.name == name:
            self._state = ""
        return await self._files(message)

    async def _export(self, message: Message) -> dict[str, Any]:
        checked = await self._check()
        if not checked.prompt:
            raise RequestInvalid(
                "There is nothing to export", remedy="Add nodes that give out a result."
            )
        text = json.dumps(checked.prompt, ensure_ascii=False, indent=2)
        return {"text": text, "name": f"{self._document.name or 'workflow'}.api.json"}

    async def _text(self, message: Message) -> dict[str, Any]:
        return {"text": self._document.text}

    async def _refresh(self, message: Message) -> dict[str, Any]:
        await self._tell_plans(anew=True)
        self._check_soon()
        return {}

    # ---------------------------------------------------------------- the test run

    async def _run(self, message: Message) -> dict[str, Any]:
        checked = await self._check()
        self._tell_findings(
            self._document.revision, [*self._lost, *checked.findings], checked.place
        )
        if checked.errors and message.get("sure") is not True:
            some = "an error" if checked.errors == 1 else f"{checked.errors} errors"
            raise RequestInvalid(f"The workflow has {some}", remedy="The list says where.")
        prompt = (
            str(message.get("prompt", "")).strip() or str(checked.place.get("text", "")).strip()
        )
        job = await asyncio.to_thread(
            self._lab.submit_workflow,
            json.dumps(checked.prompt, ensure_ascii=False).encode(),
            name=self._document.name or "untitled workflow",
            prompt=prompt or "test",
            params=kept_seed(checked.prompt) if message.get("keep") is True else None,
        )
        self._places = {job.id: checked.inputs}
        self.preview = b""
        self.run = run_state(job, None, checked.inputs)
        return {"job": job.id}

    async def _stop(self, message: Message) -> dict[str, Any]:
        job_id = str(self.run.get("job", ""))
        if job_id:
            await asyncio.to_thread(self._lab.cancel, job_id)
        return {}


def _base(message: Message) -> int:
    base = message.get("base")
    return base if type(base) is int else -1
