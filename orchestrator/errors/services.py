"""What services answer, or do not: kept in a job as its failure."""

from __future__ import annotations

from typing import ClassVar

from orchestrator.errors.base import OrchestratorError


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
