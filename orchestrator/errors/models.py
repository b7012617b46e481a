"""Model files that are not to be had, or not what they should be."""

from __future__ import annotations

from orchestrator.errors.base import OrchestratorError


class ModelError(OrchestratorError):
    """The model could not be fetched."""

    remedy = "Try again: what has arrived is kept, and the download goes on from there."


class ModelNotFound(ModelError):
    """Hugging Face does not have that repository or file, or not for this account."""

    remedy = "Look the repository up at huggingface.co; a private one needs HF_TOKEN in .env.local."


class ModelGated(ModelError):
    """The model's licence has not been accepted with this account."""

    remedy = "Accept the licence on the model's page, then put an access token into .env.local as HF_TOKEN=hf_…"


class ModelForbidden(ModelError):
    """Hugging Face does not accept the token."""

    remedy = (
        "Put a valid access token (huggingface.co/settings/tokens) into .env.local as HF_TOKEN=hf_…"
    )


class HubUnreachable(ModelError):
    """Hugging Face does not answer."""

    remedy = "Look at the connection, and at HF_ENDPOINT if it is set; then run the same command again: it goes on."


class HubBusy(ModelError):
    """Hugging Face takes no more requests for now."""

    remedy = "Wait some minutes and run the same command again: it goes on. With HF_TOKEN set more is allowed."


class HubBroken(ModelError):
    """Hugging Face answered with an error of its own, or with something that makes no sense."""

    remedy = "Run the same command again later: it goes on. Look at HF_ENDPOINT if it is set."


class ModelCorrupt(ModelError):
    """What arrived is not the file that was published."""

    remedy = "Run the same command again: it starts anew. If it happens again, the mirror or a proxy is at fault."


class ModelExists(ModelError):
    """Another file of that name is in the folder."""

    remedy = "Move it away or rename it, or name another folder with --to."


class ModelBusy(ModelError):
    """Another process is downloading this file."""

    remedy = "Wait for it, or end it; what has arrived is kept."
