"""What the REST interface answers when it cannot do what was asked: one shape, one table from errors to statuses."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from http import HTTPStatus

import orjson
from tornado import web

from orchestrator import errors
from orchestrator.errors import OrchestratorError, ParamsInvalid, ServiceError

logger = logging.getLogger(__name__)

# the first kind that an error is of decides
STATUSES: tuple[tuple[type[OrchestratorError], int], ...] = (
    (errors.InputNotFound, 404),
    (errors.StyleNotFound, 404),
    (errors.RequestInvalid, 400),
    (errors.PathOutside, 404),  # of a file's name in an address: no such file is ours
    (errors.JobNotFound, 404),
    (errors.ImageNotFound, 404),
    (errors.InvalidTransition, 409),
    (errors.JobExists, 409),
    (errors.Fenced, 409),
    (errors.CorruptFile, 404),  # it is set aside: no job any more
    (errors.StoreError, 503),  # busy, full, or a folder that is away
    (errors.ImageInvalid, 422),
    (errors.RateLimited, 429),
    (errors.ServiceUnreachable, 503),
    (errors.ServiceTimeout, 503),
    (errors.ServiceBroken, 503),
    (errors.NotAuthorised, 503),  # our key at the service, not the caller's at ours
    (errors.NoCredits, 503),
    (errors.ServiceError, 422),
)
BUSY_RETRY_S = 1.0
NOT_ALLOWED = "Not allowed: the request carries no valid token"
NOT_ALLOWED_REMEDY = (
    "Send the header `Authorization: token …` or `?token=…` with the token that `orchestrator up` printed, "
    "or log in at the panel's page."
)
REMEDIES: Mapping[int, str] = {
    400: "Correct the request and send it again; /api/openapi.json says what each route takes.",
    403: NOT_ALLOWED_REMEDY,
    404: "Look at /api/openapi.json for the routes there are, and at GET /api/jobs for the jobs.",
    405: "Use one of the methods that the header Allow names.",
}
FAULT = "The lab has a fault of its own"
FAULT_REMEDY = (
    "Please report it with the newest lines of the server's log, which lies in the folder `logs`."
)
DISK = "The lab cannot read or write its files"
DISK_REMEDY = "Look at `orchestrator health`: a folder may be away, full or not ours to write."


class Refusal(web.HTTPError):
    """An answer other than success. `fields` says what is wrong with which field of the request."""

    def __init__(
        self,
        status: int,
        error: str,
        *,
        remedy: str,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(status)
        self.error = error
        self.remedy = remedy
        self.fields = dict(fields or {})
        self.headers = dict(headers or {})

    @classmethod
    def of(cls, error: BaseException | None, *, status: int = 500) -> Refusal:
        """The answer to an exception; `status` is Tornado's where it has one of its own."""
        if isinstance(error, Refusal):
            return error
        if isinstance(error, OrchestratorError):
            return _of_ours(error)
        if isinstance(error, OSError):
            return cls(503, DISK, remedy=DISK_REMEDY)
        if isinstance(error, web.HTTPError):
            status = error.status_code
        if status == 403:
            return cls(403, NOT_ALLOWED, remedy=NOT_ALLOWED_REMEDY)
        if status == 500:
            return cls(500, FAULT, remedy=FAULT_REMEDY)
        return cls(status, _phrase(status), remedy=REMEDIES.get(status, REMEDIES[400]))

    def body(self) -> bytes:
        """The answer, as JSON."""
        said: dict[str, object] = {"success": False, "error": self.error, "remedy": self.remedy}
        if self.fields:
            said["fields"] = self.fields
        return orjson.dumps(said)


def status_of(error: OrchestratorError) -> int:
    """The status that an error of ours is answered with."""
    return next((code for kind, code in STATUSES if isinstance(error, kind)), 500)


def _of_ours(error: OrchestratorError) -> Refusal:
    status = status_of(error)
    wait_s = error.retry_after_s if isinstance(error, ServiceError) else None
    if wait_s is None and isinstance(error, errors.StoreBusy | errors.RateLimited):
        wait_s = BUSY_RETRY_S
    headers = {"Retry-After": str(max(1, math.ceil(wait_s)))} if wait_s is not None else {}
    fields = error.fields if isinstance(error, ParamsInvalid) else {}
    return Refusal(status, error.message, remedy=error.remedy, fields=fields, headers=headers)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "The request failed"
