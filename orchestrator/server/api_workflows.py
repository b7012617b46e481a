"""The route of workflow files: one as a server would be sent it, and what the lab's server would say of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from orchestrator import nodes
from orchestrator.server.api_models import Answer, Body
from orchestrator.server.handlers import LabHandler
from orchestrator.server.operations import Route, operation
from orchestrator.workflows.ui import convert, validate

MAX_WORKFLOW = 20_000_000  # bytes


class WorkflowBody(Body):
    """A workflow as ComfyUI saves it: of its editor, or in API format."""

    workflow: Annotated[dict[str, Any], Field(description="The content of the file.")]


class Remark(Answer):
    """What is wrong, or not certain. `node` is the prompt's, "" for the whole; `input` "" for the whole node."""

    node: str
    input: str
    type: str
    message: str


class Checked(Answer):
    """`prompt` is the workflow in API format, `errors` what the lab's server would refuse of it, `warnings` what is not
    certain about it. `host` is the server that was asked; empty when none answers: then what one had last counts."""

    success: Literal[True]
    prompt: dict[str, Any]
    errors: list[Remark]
    warnings: list[Remark]
    host: str


class CheckHandler(LabHandler):
    """`/api/workflows/check`"""

    @property
    def max_body(self) -> int:
        """A workflow of hundreds of nodes, with its notes."""
        return MAX_WORKFLOW

    @operation(
        "Convert a workflow to API format and check it: nothing is run or kept",
        tag="workflows",
        body=WorkflowBody,
        reply=Checked,
        refusals=(400,),
    )
    async def post(self) -> None:
        """The prompt, and what is wrong with it."""
        asked = self.body(WorkflowBody)
        known = await nodes.ask(self.lab)
        self.reply(await self.blocking(_checked, asked.workflow, known))


def _checked(workflow: dict[str, Any], known: nodes.Known) -> dict[str, Any]:
    conversion = convert(workflow, known.plans)
    found = validate(conversion.prompt, known.plans) if known.plans.object_info else []
    return {
        "success": True,
        "prompt": conversion.prompt,
        "errors": [each.as_json() for each in found if each.told],
        "warnings": [each.as_json() | {"type": "conversion"} for each in conversion.warnings],
        "host": known.host,
    }


ROUTES: list[Route] = [(r"/api/workflows/check", CheckHandler)]
