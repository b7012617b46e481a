"""Requests that can never work as they stand."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.errors.base import OrchestratorError


class RequestInvalid(OrchestratorError):
    """The request cannot be carried out as it stands."""

    remedy = "Correct the request and send it again."


class UnknownBackend(RequestInvalid):
    """Invalid backend"""


class ConfirmationNeeded(RequestInvalid):
    """The request costs more than may be spent without a word: it has to be confirmed."""

    remedy = (
        'To pay for it all the same: `--yes` on the command line, `confirm=True` in Python, `"confirm": true` '
        "over REST. ORCHESTRATOR_CONFIRM_ABOVE sets the limit."
    )


class ParamsInvalid(RequestInvalid):
    """A parameter has a name or a value that the backend does not take."""

    def __init__(
        self,
        message: str | None = None,
        *,
        remedy: str | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> None:
        """`fields`: what is wrong with each parameter, by the name the caller used."""
        super().__init__(message, remedy=remedy)
        self.fields = dict(fields or {})


class StyleNotFound(ParamsInvalid):
    """There is no prompt style of that name."""


class InputInvalid(RequestInvalid):
    """The picture to begin with cannot be used."""

    remedy = (
        "Name a PNG, JPEG or WebP picture in the folder that `orchestrator paths` calls dropIn."
    )


class InputNotFound(InputInvalid):
    """There is no such picture to begin with."""

    remedy = "Put it into the folder that `orchestrator paths` calls dropIn, or correct the name."


class SavedWorkflowInvalid(RequestInvalid):
    """The file does not hold a workflow that can be sent to ComfyUI."""

    remedy = (
        "In ComfyUI choose Workflow > Export (API), and put that file into the folder `workflows`."
    )


class WorkflowUnreadable(RequestInvalid):
    """The file holds no workflow that can be read."""

    remedy = "Save the workflow in ComfyUI once more, with Workflow > Save or with Workflow > Export (API)."


class ModelUnknown(RequestInvalid):
    """No model is known by that name."""

    remedy = (
        "List the known names with `orchestrator models pull`, or name a file as OWNER/REPO:FILE."
    )
