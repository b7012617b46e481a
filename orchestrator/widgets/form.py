"""The form that asks for a picture."""

from __future__ import annotations

import asyncio
from typing import Any

import traitlets

from orchestrator import backends
from orchestrator.backends import Backend
from orchestrator.errors import ParamsInvalid
from orchestrator.lab import Lab
from orchestrator.widgets.rows import short_id
from orchestrator.widgets.view import Message, View

# What every ComfyUI of the last years has; `lab.generate` takes any name the server knows.
SAMPLERS = (
    "euler", "euler_ancestral", "heun", "dpm_2", "dpm_2_ancestral", "lms", "dpmpp_2s_ancestral", "dpmpp_sde",
    "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "ddim", "uni_pc", "uni_pc_bh2", "lcm",
)  # fmt: skip
SCHEDULERS = ("normal", "karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta")
FORM_STEPS = 150  # more steps than this change nothing that can be seen


class GenerationForm(View):
    """Asks for a picture with the parameters that the chosen backend takes. Ctrl+Enter is the button."""

    script = "form"

    backends = traitlets.List().tag(sync=True)  # as `choice` makes them
    values = traitlets.Dict().tag(sync=True)  # what is typed now: prompt, backend, hold, params
    outcome = traitlets.Dict().tag(sync=True)  # number, ok, id, text, remedy

    def __init__(self, lab: Lab) -> None:
        has_key = lab.settings.bfl_api_key is not None
        choices = [choice(backend, has_key=has_key) for backend in _cheapest_first()]
        typed = {"prompt": "", "backend": choices[0]["name"], "hold": False, "params": {}}
        super().__init__(backends=choices, values=typed)
        self._lab = lab
        self._actions["generate"] = self._generate

    async def _generate(self, message: Message) -> None:
        try:
            params = message.get("params")
            if not isinstance(params, dict):
                raise ParamsInvalid
            hold = message.get("hold") is True
            handle = await self._lab.generate(
                str(message.get("prompt", "")),
                backend=str(message.get("backend", "")),
                hold=hold,
                **typed_params(params),
            )
        except Exception as error:
            failure = Failure.of(error)
