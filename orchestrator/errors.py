"""Every exception the lab raises on purpose.

OrchestratorError
├── ConfigError                 something in paths.json or the environment is wrong
│   ├── PathsInvalid
│   ├── PathOutside
│   └── SettingsInvalid
├── RequestInvalid              the request can never work as it stands
│   ├── UnknownBackend
│   ├── ModelUnknown
│   ├── ConfirmationNeeded
│   ├── SavedWorkflowInvalid
│   ├── WorkflowUnreadable
│   ├── InputInvalid ── InputNotFound
│   └── ParamsInvalid ── StyleNotFound
├── StoreError                  the job store refuses or cannot
│   ├── JobNotFound
│   ├── ImageNotFound
│   ├── JobExists
│   ├── InvalidTransition
│   ├── Fenced
│   ├── CorruptFile
│   ├── StoreBusy
│   └── DiskFull
├── ImageInvalid                bytes that are not the image they claim to be
├── ModelError                  a model file is not to be had, or not what it should be
│   ├── ModelNotFound · ModelGated · ModelForbidden
│   ├── HubUnreachable · HubBusy · HubBroken
│   └── ModelCorrupt · ModelExists · ModelBusy
├── PlotsFailed                 matplotlib could not draw
├── AlreadyUp                   another server has these jobs
├── ServiceUnknown · ServiceRefused · ServiceManagerMissing · ServiceManagerFailed   of `orchestrator services`
├── JobFailed                   raised to whoever waited for a job that failed or was cancelled
└── ServiceError                a service refused, failed or is away; becomes a job's Failure
    ├── ServiceUnreachable · ServiceTimeout (PromptStalled) · RateLimited · ServiceBroken ── FileGone · UntrustedAddress
    ├── RequestRejected ── WorkflowRejected · MissingCheckpoint · MissingModel · MissingNode · UnknownSampler
    ├── ExecutionFailed ── OutOfMemory · CorruptModel
    ├── PromptVanished · Interrupted · NoImages
    ├── TranslationFailed           before a job is made: the prompt stays with its user
    ├── NotAuthorised (KeyMissing) · NoCredits (CreditsMissing) · BudgetExceeded · Moderated
    └── AmbiguousSubmit         a paid request that may or may not have been taken

A message says what is wrong; `remedy` says what to do about it. A class's docstring is its default message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class OrchestratorError(Exception):
    """Something in the lab went wrong."""

    remedy: str = "Look at the newest lines of the worker's log, in the folder `orchestrator paths` calls logs."

    def __init__(self, message: str | None = None, *, remedy: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())
        if remedy is not None:
            self.remedy = remedy

    @property
    def message(self) -> str:
        """What is wrong, in one sentence."""
        return str(self.args[0])


class ConfigError(OrchestratorError):
    """The configuration is wrong."""


class PathsInvalid(ConfigError):
    """paths.json cannot be used."""

    remedy = "Correct paths.json: a JSON object of folder names, relative to the file or absolute."


class PathOutside(ConfigError):
    """The path leads out of its folder."""

    remedy = "Name a file inside the folder, without `..`, a drive or a leading slash."


class SettingsInvalid(ConfigError):
    """An environment variable or a line of .env.local has a value that cannot be used."""

    remedy = "Correct the variable named in the message, in the environment or in .env.local."


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


class StoreError(OrchestratorError):
    """The job store cannot do that."""


class JobNotFound(StoreError):
    """There is no such job."""

    remedy = (
        "List the jobs with `orchestrator jobs`; an id may be shortened to its first characters."
    )


class ImageNotFound(StoreError):
    """There is no such picture."""

    remedy = (
        "It was renamed, moved or deleted; deleted pictures lie in `.trash` in the folder dropOut."
    )


class JobExists(StoreError):
    """A job with this id exists already."""

    remedy = "Nothing is lost: look the job up by its id, or submit with another id."


class InvalidTransition(StoreError):
    """The job's status does not allow that."""

    remedy = "Look at the job's status with `orchestrator jobs`."


class Fenced(StoreError):
    """Another worker has taken this job over; this worker's write is refused."""

    remedy = "Nothing to do: the other worker finishes the job."


class CorruptFile(StoreError):
    """The file does not hold a job."""

    remedy = (
        "Look at jobs/_corrupt: the file was moved there with a note; repair it and move it back."
    )


class StoreBusy(StoreError):
    """Another process has held this job's lock for too long."""

    remedy = (
        "Look for a stopped (suspended) orchestrator process and end it; its lock goes with it."
    )


class DiskFull(StoreError):
    """The disk that holds the jobs is full."""

    remedy = "Free some space (`orchestrator paths` shows how much each folder's disk has) and try again."


class ImageInvalid(OrchestratorError):
    """The bytes are not a picture that can be read."""

    remedy = "Run the job again; if it happens again, look at the picture in the service's own output folder."


class ModelError(OrchestratorError):
    """The model could not be fetched."""

    remedy = "Try again: what has arrived is kept, and the download goes on from there."


class ModelUnknown(RequestInvalid):
    """No model is known by that name."""

    remedy = (
        "List the known names with `orchestrator models pull`, or name a file as OWNER/REPO:FILE."
    )


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


class PlotsFailed(OrchestratorError):
    """The plots could not be drawn."""

    remedy = (
        "The figures beside them are right. Try `python -c 'import matplotlib'` where the lab runs."
    )


class ClusterMissing(ConfigError):
    """The packages for a cluster are not installed."""

    remedy = "Install them where the lab runs and on the workers: pip install 'orchestrator-lab[cluster]'"


class ClusterFailed(OrchestratorError):
    """A process of the cluster did not start."""

    remedy = "Read the end of its log, which the message names."


class AlreadyUp(OrchestratorError):
    """Another server has these jobs."""

    remedy = "Open that one's page, or end it first."


class ServiceUnknown(ConfigError):
    """There is no such service."""

    remedy = "`orchestrator services status` lists them."


class ServiceRefused(ConfigError):
    """A service cannot be described to the service manager, or belongs to another lab."""

    remedy = "Move the lab to a folder with a plainer name, and install again."


class ServiceManagerMissing(OrchestratorError):
    """This machine has no service manager that the lab knows."""

    remedy = "Run `orchestrator up` instead, in a terminal that stays open."


class ServiceManagerFailed(OrchestratorError):
    """The service manager could not do what it was asked."""

    remedy = "Look at what it said, and at the file service-NAME.log in the folder of logs."


class JobFailed(OrchestratorError):
    """The job ended without a picture."""


class ServiceError(OrchestratorError):
    """A service could not do what it was asked.

    Class attributes say what the rest of the lab needs to know of a kind of failure:
    `kind` is stored in the job, `retryable` says whether another try can help, `final` whether it is the
    service's own verdict on the attempt: after any other error it may still have, or be making, the picture.
    `holds` says that nothing was sent, and that the job is to wait until somebody has it run.
    """

    kind: ClassVar[str] = "service_error"
    retryable: ClassVar[bool] = False
    final: ClassVar[bool] = False
    holds: ClassVar[bool] = False

    def __init__(
        self,
        message: str | None = None,
        *,
        remedy: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.retry_after_s = retry_after_s


class ServiceUnreachable(ServiceError):
    """The service does not answer."""

    kind = "unreachable"
    retryable = True
    remedy = "Start the service, or correct its address in COMFY_URL; `orchestrator health` shows what answers."


class ServiceTimeout(ServiceError):
    """The service took longer than it was given."""

    kind = "timeout"
    retryable = True
    remedy = (
        "Look whether the service is still working (`orchestrator health`); restart it if it hangs."
    )


class PromptStalled(ServiceTimeout):
    """The server has shown no progress with the prompt for too long; it was taken off the server."""

    final = True


class ServiceBroken(ServiceError):
    """The service answered with an error of its own, or with something that makes no sense."""

    kind = "service_broken"
    retryable = True
    remedy = "Look at the service's own log; try again later."


class FileGone(ServiceBroken):
    """The server has named a file that it does not have any more."""

    final = True
    remedy = "The job is tried again. Do not clear the server's output folder while jobs run."


class UntrustedAddress(ServiceBroken):
    """The service named an address that is not its own."""

    kind = "untrusted_address"
    retryable = False
    remedy = "Do not send the request again, it may be paid for: check BFL_BASE_URL, and ask the service."


class RateLimited(ServiceError):
    """The service takes no more requests for now."""

    kind = "rate_limited"
    retryable = True
    remedy = "Nothing to do: the job is tried again after a pause."


class RequestRejected(ServiceError):
    """The service refused the request as invalid."""

    kind = "invalid"
    final = True
    remedy = "Correct the parameter named in the message and run the job again."


class WorkflowRejected(RequestRejected):
    """ComfyUI refused the workflow."""

    kind = "workflow_rejected"
    remedy = (
        "Correct the inputs named in the message; the server lists what it accepts at /object_info."
    )


class MissingCheckpoint(RequestRejected):
    """The server does not have a checkpoint that fits."""

    kind = "missing_checkpoint"
    remedy = "Put a checkpoint of that family into the server's models/checkpoints folder, or name one it has."


class MissingModel(RequestRejected):
    """The server does not have that LoRA, VAE, text encoder or upscale model."""

    kind = "missing_model"
    remedy = "Put the file into the folder of the server's models that is for its kind, or name one it has."


class MissingNode(RequestRejected):
    """The server lacks a node class that the workflow uses."""

    kind = "missing_node"
    remedy = "Install the custom node on the server, or update ComfyUI."


class WrongServer(ServiceError):
    """This server lacks what the job needs, and another one has it."""

    kind = "wrong_server"
    retryable = True
    remedy = "Nothing to do: the job goes to another server."


class UnknownSampler(RequestRejected):
    """The server does not have that sampler or scheduler."""

    kind = "unknown_sampler"
    remedy = "Choose one of the names in the message."


class ExecutionFailed(ServiceError):
    """The workflow failed while it ran."""

    kind = "execution_failed"
    final = True
    remedy = "Read the message: it is the node's own. The server's log has the traceback."


class OutOfMemory(ExecutionFailed):
    """The GPU ran out of memory."""

    kind = "out_of_memory"
    remedy = "Ask for a smaller picture or batch, or free the GPU's memory."


class CorruptModel(ExecutionFailed):
    """The checkpoint file is damaged."""

    kind = "corrupt_model"
    remedy = "Download the checkpoint again, or choose another one."


class PromptVanished(ServiceError):
    """The server no longer knows the prompt: it was restarted, or its queue was cleared."""

    kind = "vanished"
    final = True
    retryable = True
    remedy = (
        "Nothing to do if it happens once: the job is tried again. "
        "If it keeps happening, the server crashes: read its log."
    )


class NoWorkerFits(ServiceError):
    """No worker of the cluster has what the job needs."""

    kind = "no_worker"
    holds = True
    remedy = (
        "Start one: `orchestrator cluster worker tcp://… --comfy-url … --model NAME`, or put the model where a "
        "worker's ComfyUI finds it; then `orchestrator run ID`."
    )


class WorkersLost(ServiceError):
    """Worker after worker of the cluster died on the job."""

    kind = "workers_lost"
    retryable = True
    final = True
    remedy = "Look at the ends of the workers' logs: the job may need more memory than they have."


class StorageFailed(ServiceError):
    """The shared storage of the cluster cannot be used."""

    kind = "storage"
    retryable = True
    remedy = "Make sure that ORCHESTRATOR_CLUSTER_STORAGE names a place that this lab and all workers may write to."


class TranslationFailed(ServiceError):
    """The prompt could not be translated."""

    kind = "translation_failed"
    remedy = "Nothing was submitted. Write it in English, or set ORCHESTRATOR_TRANSLATE=off to send it as it is."


class Interrupted(ServiceError):
    """Somebody else interrupted the prompt on the server."""

    kind = "interrupted"
    final = True
    remedy = "Run the job again if the interruption was not meant for it."


class NoImages(ServiceError):
    """The workflow finished without making a picture."""

    kind = "no_images"
    final = True
    remedy = "Make sure that the workflow ends in a node that saves an image."


class NotAuthorised(ServiceError):
    """The service does not accept the key."""

    kind = "invalid_key"
    remedy = "Put a valid BFL_API_KEY into .env.local and restart the worker."


class KeyMissing(NotAuthorised):
    """There is no key for the service."""

    kind = "no_key"
    holds = True
    remedy = "Put a valid BFL_API_KEY into .env.local and restart the worker; then `orchestrator run ID`."


class NoCredits(ServiceError):
    """The account has no credits left."""

    kind = "no_credits"
    remedy = "Buy credits at the service's site, then run the job again."


class CreditsMissing(NoCredits):
    """The account has fewer credits left than the picture costs; nothing was sent."""

    holds = True


class BudgetExceeded(ServiceError):
    """The picture would cost more than the budget of the day has left; nothing was sent."""

    kind = "over_budget"
    holds = True
    remedy = (
        "Raise ORCHESTRATOR_BUDGET_PER_DAY and restart the worker, or wait until 00:00 UTC; "
        "then `orchestrator run ID`. `orchestrator spending` shows where the money went."
    )


class Moderated(ServiceError):
    """The service's moderation refused the prompt or the picture."""

    kind = "moderated"
    final = True
    remedy = "Change the prompt; the same one will be refused again."


class AmbiguousSubmit(ServiceError):
    """The request was sent but its answer never came: it may have been paid for."""

    kind = "ambiguous"
    final = True
    remedy = "Look at the account's usage. If the request was not taken, `orchestrator retry ID` pays for a new one."
