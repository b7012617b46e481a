"""The form that asks for a picture."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

import traitlets

from orchestrator import backends, prompts
from orchestrator.backends import Backend
from orchestrator.errors import ConfirmationNeeded, OrchestratorError, ParamsInvalid
from orchestrator.jobs import Failure, Job, one_line
from orchestrator.lab import Lab
from orchestrator.spending import Estimate
from orchestrator.widgets.asking import (
    MOST,
    amount_of,
    asked_for,
    count_of,
    submitted,
    with_next_seed,
)
from orchestrator.widgets.choices import choices
from orchestrator.widgets.fields import (
    fields_of,
    typed_params,
)
from orchestrator.widgets.inputs import MAX_NAME, Uploads, looked_at, newest, shown
from orchestrator.widgets.money import cost_line, question
from orchestrator.widgets.rows import short_id
from orchestrator.widgets.view import Message, View, static

logger = logging.getLogger(__name__)

MAX_QUERY = 2000  # characters
OFFERS_S = (
    20.0  # between two looks at the backends: the lab remembers what its servers have for a minute
)
KEPT_INPUTS = 24  # pictures whose thumbnails a page has
SPOKEN = frozenset({"styles", "negative_prompt", "seed"})  # that the words depend on
PARTS = ("form_fields.js", "form_lists.js", "form_images.js", "form_money.js", "form.js")


class GenerationForm(View):
    """Asks for pictures with the parameters that the chosen backend takes. Ctrl+Enter is the button.

    On a page whose address says `?again=JOB` it opens with what that job was asked for, with `?vary=JOB` without
    its seed, with `?input=NAME` with that picture to begin with.
    """

    script = "form"

    # as `choices.choice` makes them
    backends: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    unavailable = traitlets.Dict().tag(sync=True)  # backend, or workflow file -> why it cannot run
    offers = traitlets.Dict().tag(sync=True)  # such as samplers -> their names on the servers
    styles: traitlets.List[dict[str, str]] = traitlets.List().tag(sync=True)  # name, prompt
    inputs = traitlets.Dict().tag(
        sync=True
    )  # an input picture's name -> as `inputs.shown` makes it
    most = traitlets.Int(MOST).tag(sync=True)
    # what is typed now: prompt, backend, hold, count, params
    values = traitlets.Dict().tag(sync=True)
    # number, ok, id, text, remedy; wrong: the names of fields to correct;
    # confirm: what it would cost, as `money.question` asks
    outcome = traitlets.Dict().tag(sync=True)

    def __init__(self, lab: Lab) -> None:
        key = lab.settings.bfl_api_key
        self._has_key = key is not None and bool(key.get_secret_value())
        found = choices(backends.BACKENDS.values(), has_key=self._has_key)
        super().__init__(backends=found, values=_typed(found[0]["name"]))
        self._lab = lab
        self.styles = self._read_styles()  # not later: the page would move under the hand
        self._uploads = Uploads(lab)
        self._actions |= {
            "generate": self._generate,
            "opened": self._opened,
            "upload": self._upload,
            "look": self._look,
            "newest": self._newest,
            "pick": self._pick,
            "words": self._words,
            "cost": self._cost,
        }
        self.live(self._ask_for_offers, name="GenerationForm asks what the server has")

    @traitlets.default("_esm")
    def _read_parts(self) -> str:
        return "".join(static(part) for part in ("shared.js", *PARTS))

    # ---------------------------------------------------------------- what there is to choose from

    async def _ask_for_offers(self) -> None:
        while self.is_seen:
            try:
                await self._learn()
            except OrchestratorError as error:
                logger.warning("The form offers the usual names: %s", error.message)
            await asyncio.sleep(OFFERS_S)

    async def _learn(self) -> None:
        known = await asyncio.to_thread(self._lab.catalogue.all)
        problems = dict(await asyncio.to_thread(self._lab.catalogue.problems))
        styles = await asyncio.to_thread(self._read_styles)
        found = await asyncio.to_thread(choices, known, has_key=self._has_key)
        with self.hold_sync():
            self.backends = found
            self.styles = styles
            self.unavailable = {name: one_line(why) for name, why in problems.items()}
        said = await self._lab.offers()
        with self.hold_sync():
            self.offers = {
                name: list(getattr(said, name))
                for name in ("samplers", "schedulers", "checkpoints", "loras", "vaes", "upscalers")
            }
            reasons = {**problems, **said.unavailable}
            self.unavailable = {name: one_line(why) for name, why in reasons.items()}

    def _read_styles(self) -> list[dict[str, str]]:
        try:
            found = self._lab.phrasebook.styles()
        except ParamsInvalid as error:  # a file of the user's; what is built in still helps
            logger.warning("The styles cannot be read: %s", error.message)
            found = list(prompts.BUILT_IN)
        return [{"name": style.name, "prompt": one_line(style.prompt)} for style in found]

    def _fields(self, backend: str) -> list[dict[str, Any]]:
        """The fields of a backend. Blocks. Raises UnknownBackend, SavedWorkflowInvalid, ParamsInvalid."""
        return fields_of(self._lab.catalogue.get(backend))

    # ---------------------------------------------------------------- opened for something

    def fill(self, job: Job, *, vary: bool = False) -> None:
        """Show what a job was asked for, ready to be asked for again; `vary` leaves the seed to be chosen anew.

        Blocks on the disk.
        """
        try:
            params = asked_for(job, self._fields(job.backend), self._lab.catalogue.get(job.backend))
        except OrchestratorError:
            self.values = _typed(self.values["backend"], prompt=job.prompt)
            self.tell(f"There is no backend {job.backend[:40]} any more", "Choose another one.")
            return
        if vary:
            params["seed"] = ""
        self.values = _typed(job.backend, prompt=job.prompt, params=params)
        what = "Another seed will be chosen." if vary else "The same seed makes the same picture."
        self.tell(f"Filled in from job {short_id(job.id)}", what, good=True)

    async def _opened(self, message: Message) -> None:
        asked = parse_qs(str(message.get("query", ""))[:MAX_QUERY])
        for word in ("again", "vary"):
            if job_id := asked.get(word):
                handle = await asyncio.to_thread(self._lab.job, job_id[0])
                await asyncio.to_thread(self.fill, handle.job, vary=word == "vary")
                return
        if name := asked.get("input"):
            await self._begin_with(name[0])

    async def _begin_with(self, name: str) -> None:
        """Show a picture as the one to begin with; with another backend if the chosen one takes none."""
        await self._show_input(name)
        typed = {**self.values}
        takers = [each["name"] for each in self.backends if _takes_image(each["fields"])]
        if typed["backend"] not in takers:
            typed |= {"backend": takers[0], "params": {}}
        self.values = {**typed, "params": {**typed["params"], "image": name}}
        self.tell(
            "This picture is what the next one begins with",
            "Describe what it should become.",
            good=True,
        )

    # ---------------------------------------------------------------- pictures to begin with

    async def _show_input(self, name: str) -> None:
        """Have a page know an input picture. Raises InputInvalid, InputNotFound."""
        self._remember(name, await asyncio.to_thread(shown, self._lab, name[:MAX_NAME]))

    def _remember(self, name: str, told: dict[str, Any]) -> None:
        kept = {key: value for key, value in self.inputs.items() if key != name}
        newest_first = [(name, told), *kept.items()][:KEPT_INPUTS]
        self.inputs = dict(newest_first)

    async def _look(self, message: Message) -> None:
        """A page has the name of a picture and wants to show it."""
        name = str(message.get("name", ""))[:MAX_NAME]
        if name and name not in self.inputs:
            self._remember(name, await asyncio.to_thread(looked_at, self._lab, name))

    async def _upload(self, message: Message) -> None:
        """The next piece of a picture; see `Uploads`."""
        asked = {"kind": "upload", "key": str(message.get("key", ""))[:100]}
        at, size = message.get("at"), message.get("size")
        piece = b"".join(map(bytes, message.get("buffers") or ()))

        async def take() -> dict[str, Any]:
            if type(at) is not int or type(size) is not int:
                raise ParamsInvalid
            sent_as = str(message.get("name", ""))[:MAX_NAME]
            name = await asyncio.to_thread(
                self._uploads.take, asked["key"], sent_as, piece, at=at, size=size
            )
            if name is not None:
                await self._show_input(name)
            return {"at": at + len(piece), "name": name or ""}

        await self._answer(asked, take())

    async def _newest(self, message: Message) -> None:
        asked = {"kind": "newest", "key": str(message.get("key", ""))[:100]}
        items, thumbs = await asyncio.to_thread(newest, self._lab)
        self.send(asked | {"items": items}, buffers=list(thumbs))

    async def _pick(self, message: Message) -> None:
        """A picture of dropOut is to be begun with: a copy in dropIn stays when it is thrown away."""
        asked = {"kind": "upload", "key": str(message.get("key", ""))[:100]}

        async def copied() -> dict[str, Any]:
            file = str(message.get("file", ""))
            name = await asyncio.to_thread(self._lab.gallery.use_as_input, file)
            await self._show_input(name)
            return {"at": 0, "name": name}

        await self._answer(asked, copied())

    async def _answer(self, asked: dict[str, Any], work: Awaitable[dict[str, Any]]) -> None:
        """Answer a page's question with what `work` says, or with why it could not."""
        try:
            said = await work
        except OrchestratorError as error:
            said = _refusal(error)
        except Exception as error:
            logger.exception("The form could not answer a page")
            said = _refusal(error)
        self.send(asked | said)

    # ---------------------------------------------------------------- before it is asked for

    async def _words(self, message: Message) -> None:
        """Say what would be sent for a prompt with styles, wildcards or in another language."""
        asked = {"kind": "words", "number": message.get("number")}
        await self._answer(asked, asyncio.to_thread(self._worded, message))

    def _worded(self, message: Message) -> dict[str, Any]:
        prompt, backend = str(message.get("prompt", "")), str(message.get("backend", ""))
        typed = typed_params(_params(message), self._fields(backend))
        spoken = {name: value for name, value in typed.items() if name in SPOKEN}
        if not prompt.strip():
            return {"prompt": ""}
        wording = self._lab.preview_prompt(prompt, backend=backend, params=spoken)
        if wording.resolved is None:
            return {"prompt": ""}
        ways = self._lab.phrasebook.count(prompt, styles=wording.styles)
        return {
            "prompt": wording.prompt,
            "negative": wording.negative_prompt if wording.changed_negative else "",
            "translated": wording.translated_from is not None,
            "notes": [one_line(note) for note in wording.notes],
            "ways": 1 if typed.get("seed") is not None else ways,
        }

    async def _cost(self, message: Message) -> None:
        """Say what the press of the button would cost."""
        asked = {"kind": "cost", "number": message.get("number")}
        await self._answer(asked, asyncio.to_thread(self._priced, message))

    def _priced(self, message: Message) -> dict[str, Any]:
        backend = str(message.get("backend", ""))
        typed = typed_params(_params(message), self._fields(backend))
        each = self._lab.estimate("a picture", backend=backend, params=typed)
        spending = self._lab.ledger.spending(self._lab.budget)
        return cost_line(each, count_of(message.get("count", 1)), spending)

    # ---------------------------------------------------------------- asked for

    async def _generate(self, message: Message) -> None:
        said: dict[str, Any]
        jobs: list[Job] = []
        hold = message.get("hold") is True
        try:
            await asyncio.to_thread(self._submit, message, jobs, hold=hold)
        except _Ask as ask:
            said = {"ok": False, "id": "", "text": "", "remedy": "", "confirm": ask.question}
        except Exception as error:
            if not isinstance(error, OrchestratorError):
                logger.exception("The form could not submit a job")
            refusal = _refusal(error)
            made = f"{len(jobs)} of the jobs were made. " if jobs else ""
            said = {
                "ok": False,
                "id": "",
                "text": made + refusal["error"],
                "remedy": refusal["remedy"],
                "wrong": list(error.fields) if isinstance(error, ParamsInvalid) else [],
            }
        else:
            said = {"ok": True, "remedy": "", **submitted(jobs, hold=hold)}
        self.outcome = {
            "number": message.get("number"),
            **said,
        }  # of the click, so that a page knows its answer

    def _submit(self, message: Message, jobs: list[Job], *, hold: bool) -> None:
        """Make the jobs of one press, adding each to `jobs`. Raises _Ask, and what `lab.submit` does."""
        backend, prompt = str(message.get("backend", "")), str(message.get("prompt", ""))
        count = count_of(message.get("count", 1))
        params = _params(message)
        known = self._lab.catalogue.get(backend)
        typed = typed_params(params, fields_of(known))
        if not hold:
            each = self._lab.estimate(prompt, backend=backend, params=typed)
            self._confirm(each, count, known, message.get("agreed"))
        for nth in range(count):
            job = self._lab.submit(
                prompt,
                backend=backend,
                params=with_next_seed(typed, nth, known),
                hold=hold,
                confirm=True,  # all of them were asked for together
            )
            jobs.append(job)

    def _confirm(self, each: Estimate, count: int, backend: Backend, agreed: Any) -> None:
        """Raises _Ask when the jobs of one press cost more than may be spent unasked, or than was `agreed` to."""
        confirmed = amount_of(agreed)
        total = each.usd * count
        try:
            self._lab.budget.batch(
                [each] * count, confirmed=confirmed is not None and total <= confirmed
            )
        except ConfirmationNeeded as error:
            spending = self._lab.ledger.spending(self._lab.budget)
            raise _Ask(question(each, count, backend.title, spending)) from error


class _Ask(Exception):
    """The page has to ask its user first."""

    def __init__(self, question: dict[str, Any]) -> None:
        super().__init__(question["title"])
        self.question = question


def _refusal(error: Exception) -> dict[str, Any]:
    failure = Failure.of(error)
    return {"error": failure.message, "remedy": failure.remedy}


def _params(message: Message) -> Mapping[str, Any]:
    params = message.get("params")
    if not isinstance(params, dict):
        raise ParamsInvalid
    return params


def _typed(
    backend: str, *, prompt: str = "", params: Mapping[str, str] | None = None
) -> dict[str, Any]:
    return {
        "prompt": prompt,
        "backend": backend,
        "hold": False,
        "count": "1",
        "params": dict(params or {}),
    }


def _takes_image(fields: Sequence[Mapping[str, Any]]) -> bool:
    return any(field["name"] == "image" for field in fields)
