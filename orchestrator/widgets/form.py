"""The form that asks for a picture."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import traitlets

from orchestrator import backends
from orchestrator.backends import (
    MAX_BATCH,
    MAX_BFL_SEED,
    MAX_CFG,
    MAX_COMFYUI_SEED,
    MAX_SIDE,
    MIN_SIDE,
    RATIOS,
    SIDE_STEP,
    Backend,
)
from orchestrator.errors import OrchestratorError, ParamsInvalid
from orchestrator.jobs import Failure, Job
from orchestrator.lab import Lab
from orchestrator.widgets.rows import short_id
from orchestrator.widgets.view import Message, View
from orchestrator.workflows.samplers import USUAL_SAMPLERS, USUAL_SCHEDULERS

logger = logging.getLogger(__name__)

MOST = 50  # jobs of one press
MAX_QUERY = 2000  # characters
OFFERS_S = 300.0  # a ComfyUI is seldom given another sampler
FORM_STEPS = 150  # more steps than this change nothing that can be seen
NO_KEY = "There is no BFL_API_KEY: put yours into .env.local and restart the lab."
WHOLE = re.compile(r"\d{1,20}")
BROKEN = re.compile(r"\d{1,9}\.\d{1,9}")
SIDE = {"kind": "number", "min": MIN_SIDE, "max": MAX_SIDE, "step": SIDE_STEP}
# in the order of the form; a backend shows those it takes. Limits guide a field's arrows: `backends.parse` judges
FIELDS: tuple[dict[str, Any], ...] = (
    {"name": "aspect_ratio", "label": "Shape", "kind": "choice", "options": RATIOS},
    {"name": "width", "label": "Width", **SIDE},
    {"name": "height", "label": "Height", **SIDE},
    {"name": "steps", "label": "Steps", "kind": "number", "min": 1, "max": FORM_STEPS, "step": 1},
    {"name": "cfg", "label": "CFG", "kind": "number", "min": 0, "max": MAX_CFG, "step": 0.5},
    {"name": "seed", "label": "Seed", "kind": "seed"},
    {"name": "sampler", "label": "Sampler", "kind": "choice", "options": USUAL_SAMPLERS},
    {"name": "scheduler", "label": "Scheduler", "kind": "choice", "options": USUAL_SCHEDULERS},
    {"name": "batch_size", "label": "Pictures per job", "kind": "number", "min": 1, "max": MAX_BATCH, "step": 1},
    {"name": "negative_prompt", "label": "Negative prompt", "kind": "text"},
)  # fmt: skip


class GenerationForm(View):
    """Asks for pictures with the parameters that the chosen backend takes. Ctrl+Enter is the button.

    On a page whose address says `?again=JOB` it opens with what that job was asked for, with `?vary=JOB` without
    its seed.
    """

    script = "form"

    # as `choice` makes them
    backends: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    offers = traitlets.Dict().tag(
        sync=True
    )  # a field's name -> its choices, as the server has them
    most = traitlets.Int(MOST).tag(sync=True)
    # what is typed now: prompt, backend, hold, count, params
    values = traitlets.Dict().tag(sync=True)
    outcome = traitlets.Dict().tag(sync=True)  # number, ok, id, text, remedy

    def __init__(self, lab: Lab) -> None:
        key = lab.settings.bfl_api_key
        has_key = key is not None and bool(key.get_secret_value())
        choices = [choice(backend, has_key=has_key) for backend in _cheapest_first()]
        super().__init__(backends=choices, values=_typed(choices[0]["name"]))
        self._lab = lab
        self._actions |= {"generate": self._generate, "opened": self._opened}
        self.live(self._ask_for_offers, name="GenerationForm asks what the server has")

    def fill(self, job: Job, *, vary: bool = False) -> None:
        """Show what a job was asked for, ready to be asked for again; `vary` leaves the seed to be chosen anew."""
        if job.backend not in backends.BACKENDS:
            self.values = _typed(self.values["backend"], prompt=job.prompt)
            self.tell(f"There is no backend {job.backend[:40]} any more", "Choose another one.")
            return
        params = asked_for(job)
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
                self.fill(handle.job, vary=word == "vary")
                return

    async def _ask_for_offers(self) -> None:
        while self.is_seen:
            try:
                said = await self._lab.offers()
                self.offers = {"sampler": list(said.samplers), "scheduler": list(said.schedulers)}
            except OrchestratorError as error:
                logger.warning("The form offers the usual samplers: %s", error.message)
            await asyncio.sleep(OFFERS_S)

    async def _generate(self, message: Message) -> None:
        number = message.get("number")  # of the click, so that a page knows its answer
        hold = message.get("hold") is True
        jobs: list[Job] = []
        try:
            params = message.get("params")
            if not isinstance(params, dict):
                raise ParamsInvalid
            backend, typed = str(message.get("backend", "")), typed_params(params)
            for nth in range(_count(message.get("count", 1))):
                job = await asyncio.to_thread(
                    self._lab.submit,
                    str(message.get("prompt", "")),
                    backend=backend,
                    params=with_next_seed(typed, nth, backend),
                    hold=hold,
                )
                jobs.append(job)
        except Exception as error:
            if not isinstance(error, OrchestratorError):
                logger.exception("The form could not submit a job")
            failure = Failure.of(error)
            made = f"{len(jobs)} of the jobs were made. " if jobs else ""
            said = {"ok": False, "id": "", "text": made + failure.message, "remedy": failure.remedy}
        else:
            said = {"ok": True, "remedy": "", **_submitted(jobs, hold=hold)}
        self.outcome = {"number": number, **said}


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


def _submitted(jobs: list[Job], *, hold: bool) -> dict[str, str]:
    if len(jobs) == 1:
        text = "is kept as a draft: press Run in the queue" if hold else "is in the queue"
        return {"id": short_id(jobs[0].id), "text": text}
    what = "drafts are kept: press Run in the queue" if hold else "jobs are in the queue"
    return {"id": "", "text": f"{len(jobs)} {what}"}


def _cheapest_first() -> list[Backend]:
    """The form opens with a backend that costs nothing."""
    return sorted(backends.BACKENDS.values(), key=lambda backend: backend.paid)


def choice(backend: Backend, *, has_key: bool) -> dict[str, Any]:
    """A backend as the form offers it: in words, with the fields it takes and their defaults."""
    defaults = backends.parse(backend, {}).model_dump()
    if "aspect_ratio" in defaults:  # FLUX makes shapes, not sizes
        del defaults["width"], defaults["height"]
    note = NO_KEY if backend.service == "bfl" and not has_key else ""
    return {
        "name": backend.name,
        "title": backend.title,
        "size": f"{backend.defaults['width']}×{backend.defaults['height']}",
        "price": backend.price,
        "paid": backend.paid,
        "note": note,
        "max_seed": str(backend.max_seed),  # as text: a JavaScript number may not hold it
        "fields": [
            {**field, "value": _text(defaults[field["name"]])}
            for field in FIELDS
            if field["name"] in defaults
        ],
    }


def typed_params(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, as parameters: numbers as numbers, nothing for a field left empty."""
    numbers = {field["name"] for field in FIELDS if field["kind"] in {"number", "seed"}}
    given = {str(name): value for name, value in typed.items() if str(value).strip()}
    return {name: _number(value) if name in numbers else value for name, value in given.items()}


def asked_for(job: Job) -> dict[str, str]:
    """What a job was asked for, as the form's text: the parameters that the form shows, and those that are not
    the backend's own defaults. Raises UnknownBackend."""
    backend = backends.get(job.backend)
    shown = {field["name"] for field in FIELDS}
    defaults = backends.parse(backend, {}).model_dump()
    try:
        given = backends.parse(backend, job.params).model_dump()
    except ParamsInvalid:  # an old job file: what it says is shown, and judged when it is asked for
        given = {str(name): value for name, value in job.params.items() if name in shown}
    if "aspect_ratio" in given:
        given = {name: value for name, value in given.items() if name not in {"width", "height"}}
    return {
        name: _text(value)
        for name, value in given.items()
        if name in shown or value != defaults.get(name)
    }


def with_next_seed(params: Mapping[str, Any], nth: int, backend: str) -> dict[str, Any]:
    """The parameters of the nth job of one press, from 0: a seed that was typed goes up by one for each."""
    seed = params.get("seed")
    if not isinstance(seed, int):
        return dict(params)  # none: each is chosen anew
    known = backends.BACKENDS.get(backend)
    most = MAX_BFL_SEED if known and known.service == "bfl" else MAX_COMFYUI_SEED
    return {**params, "seed": seed if nth == 0 else (seed + nth) % (most + 1)}


def _count(value: Any) -> int:
    number = _number(value)
    if type(number) is not int or not 1 <= number <= MOST:
        raise ParamsInvalid(
            f"How many = {str(value)[:20]}: must be a whole number from 1 to {MOST}",
            remedy="Correct the number.",
        )
    return number


def _number(value: Any) -> Any:
    text = str(value).strip()
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if BROKEN.fullmatch(text) else value


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
