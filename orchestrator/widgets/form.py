"""The form that asks for a picture."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Mapping
from typing import Any

import traitlets

from orchestrator import backends
from orchestrator.backends import MAX_BATCH, MAX_CFG, MAX_SIDE, MIN_SIDE, RATIOS, SIDE_STEP, Backend
from orchestrator.errors import OrchestratorError, ParamsInvalid
from orchestrator.jobs import Failure
from orchestrator.lab import Lab
from orchestrator.widgets.rows import short_id
from orchestrator.widgets.view import Message, View

logger = logging.getLogger(__name__)

# What every ComfyUI of the last years has; `lab.generate` takes any name the server knows.
SAMPLERS = (
    "euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpmpp_2s_ancestral", "dpmpp_sde",
    "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "ddim", "uni_pc", "uni_pc_bh2", "lcm",
)  # fmt: skip
SCHEDULERS = ("normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta")
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
    {"name": "sampler", "label": "Sampler", "kind": "choice", "options": SAMPLERS},
    {"name": "scheduler", "label": "Scheduler", "kind": "choice", "options": SCHEDULERS},
    {"name": "batch_size", "label": "Pictures", "kind": "number", "min": 1, "max": MAX_BATCH, "step": 1},
    {"name": "negative_prompt", "label": "Negative prompt", "kind": "text"},
)  # fmt: skip


class GenerationForm(View):
    """Asks for a picture with the parameters that the chosen backend takes. Ctrl+Enter is the button."""

    script = "form"

    backends: traitlets.List[dict[str, Any]] = traitlets.List().tag(
        sync=True
    )  # as `choice` makes them
    values = traitlets.Dict().tag(sync=True)  # what is typed now: prompt, backend, hold, params
    outcome = traitlets.Dict().tag(sync=True)  # number, ok, id, text, remedy

    def __init__(self, lab: Lab) -> None:
        key = lab.settings.bfl_api_key
        has_key = key is not None and bool(key.get_secret_value())
        choices = [choice(backend, has_key=has_key) for backend in _cheapest_first()]
        typed = {"prompt": "", "backend": choices[0]["name"], "hold": False, "params": {}}
        super().__init__(backends=choices, values=typed)
        self._lab = lab
        self._actions["generate"] = self._generate

    async def _generate(self, message: Message) -> None:
        number = message.get("number")  # of the click, so that a page knows its answer
        hold = message.get("hold") is True
        try:
            params = message.get("params")
            if not isinstance(params, dict):
                raise ParamsInvalid
            job = await asyncio.to_thread(
                self._lab.submit,
                str(message.get("prompt", "")),
                backend=str(message.get("backend", "")),
                params=typed_params(params),
                hold=hold,
            )
        except Exception as error:
            if not isinstance(error, OrchestratorError):
                logger.exception("The form could not submit a job")
            failure = Failure.of(error)
            said = {"ok": False, "id": "", "text": failure.message, "remedy": failure.remedy}
        else:
            text = "is kept as a draft: press Run in the queue" if hold else "is in the queue"
            said = {"ok": True, "id": short_id(job.id), "text": text, "remedy": ""}
        self.outcome = {"number": number, **said}


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
        "size": f"{backend.width}×{backend.height}",
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


def _number(value: Any) -> Any:
    text = str(value).strip()
    if WHOLE.fullmatch(text):
        return int(text)
    return float(text) if BROKEN.fullmatch(text) else value


def _text(value: Any) -> str:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
