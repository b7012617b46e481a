"""A job and every move its status may make."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson
from pydantic import AwareDatetime, Field, ValidationError

from orchestrator.errors import CorruptFile, Fenced, InvalidTransition
from orchestrator.jobs.ids import new_id
from orchestrator.jobs.limits import MAX_DEPTH, check_params, check_prompt, fits
from orchestrator.jobs.status import TERMINAL, TRANSITIONS, Phase, Status
from orchestrator.jobs.values import (
    Attempt,
    Backoff,
    Cost,
    Failure,
    Lease,
    Resolved,
    Result,
    Value,
    one_line,
)

MAX_LOGS = 30  # newest lines kept in the job file, which should stay under 4 kB
MAX_LOG_LINE = 300  # characters
MAX_PRIORITY = 1000
MAX_CRASHES = 5  # workers that may die on one job before it is given up


class Job(Value):
    """One request for images, from submission to a terminal status. Read it; change it by the methods below."""

    id: str
    revision: int = 0
    fence: int = 0
    status: Status
    backend: str
    prompt: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    resolved: Resolved | None = None  # not in the file when the prompt is sent as it was typed
    workflow: str | None = None  # the saved one as it was when the job was made: a blob's name
    priority: int = 0
    hold: bool = False
    batch: str | None = None
    created_at: AwareDatetime
    started_at: AwareDatetime | None = None
    finished_at: AwareDatetime | None = None
    not_before: Backoff | None = None
    retried_count: int = 0
    crashes: int = 0
    progress: float | None = None
    cancel_requested: bool = False
    attempts: list[Attempt] = Field(default_factory=list)
    lease: Lease | None = None
    result: Result | None = None
    failure: Failure | None = None
    logs: list[str] = Field(default_factory=list)

    # ---------------------------------------------------------------- reading

    @classmethod
    def new(
        cls,
        *,
        backend: str,
        prompt: str,
        params: Mapping[str, Any],
        now: datetime,
        hold: bool = False,
        priority: int = 0,
        batch: str | None = None,
        id: str | None = None,
        workflow: str | None = None,
        resolved: Resolved | None = None,
    ) -> Job:
        """A fresh job: a draft with `hold`, otherwise queued; `priority` is clipped as by `prioritised`.

        Raises ParamsInvalid when it is too large.
        """
        check_prompt(prompt)
        check_params(params)
        return cls(
            id=id or new_id(now),
            status=Status.CREATED if hold else Status.QUEUED,
            backend=backend,
            prompt=prompt,
            params=dict(params),
            resolved=resolved,
            priority=_placed(priority),
            hold=hold,
            workflow=workflow,
            batch=batch,
            created_at=now,
        )

    @classmethod
    def from_json(cls, data: bytes, *, id: str) -> Job:
        """Read a job file, ours or the old system's. Raises CorruptFile when it does not hold the job `id`."""
        try:
            document = orjson.loads(data)
            if data.count(b"[") + data.count(b"{") > MAX_DEPTH and not fits(document):
                raise CorruptFile(f"not a job: nested more than {MAX_DEPTH} deep")
            job = cls.model_validate(document)
        except orjson.JSONDecodeError as error:
            raise CorruptFile(f"not JSON: {error}") from error
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the document"
            raise CorruptFile(f"not a job: {where}: {first['msg']}") from error
        if job.id != id:
            raise CorruptFile(f"the file is named {id}, the job in it {job.id[:80]!r}")
        return job

    def to_json(self) -> bytes:
        """The content of the job's file."""
        return to_json(self.to_document())

    def to_document(self) -> dict[str, Any]:
        """The job as its file says it."""
        document = self.model_dump(mode="json", by_alias=True)
        if self.resolved is None:
            del document["resolved"]
        return document

    @property
    def text(self) -> str:
        """The prompt as it is sent: `prompt` is what the user typed."""
        return self.resolved.prompt if self.resolved else self.prompt

    @property
    def sent_params(self) -> dict[str, Any]:
        """The parameters as they go with `text`: with the resolved negative prompt, the styles being in both."""
        if self.resolved is None:
            return self.params
        said = self.resolved.negative_prompt
        done = {"styles"} if said is None else {"styles", "negativeprompt"}
        plain = {key: key.replace("_", "").replace("-", "").casefold() for key in self.params}
        kept = {key: value for key, value in self.params.items() if plain[key] not in done}
        return kept if said is None else kept | {"negativePrompt": said}

    @property
    def is_terminal(self) -> bool:
        """Whether the job has come to an end."""
        return self.status in TERMINAL

    @property
    def is_held(self) -> bool:
        """Whether a worker has put the job aside until somebody has it run; `failure` says why."""
        return self.status is Status.CREATED and self.hold and self.failure is not None

    @property
    def is_waiting(self) -> bool:
        """Whether a worker may take the job, once its pause is over."""
        return self.status is Status.QUEUED or (self.status is Status.CREATED and not self.hold)

    def is_due(self, now: datetime) -> bool:
        """Whether a waiting job's pause is over."""
        return self.not_before is None or self.not_before.is_over(now)

    @property
    def attempt(self) -> Attempt | None:
        """The newest attempt."""
        return self.attempts[-1] if self.attempts else None

    @property
    def open_attempt(self) -> Attempt | None:
        """The attempt that a service may still be working on."""
        return self.attempt if self.attempt and self.attempt.is_open else None

    @property
    def is_ambiguous(self) -> bool:
        """Whether the newest attempt may have been paid for without leaving an id."""
        return self.attempt is not None and self.attempt.phase is Phase.AMBIGUOUS

    @property
    def may_hold_a_purchase(self) -> bool:
        """Whether a retry may still fetch, or learn of, something that was paid for."""
        return self.status is not Status.DONE and (
            self.is_ambiguous or self.open_attempt is not None
        )

    @property
    def order(self) -> tuple[int, str, str]:
        """The key by which waiting jobs are taken: those with remote work first, then priority, then age."""
        urgency = -1_000_000 if self.open_attempt else 0
        return (urgency - self.priority, self.created_at.astimezone(UTC).isoformat(), self.id)

    # ---------------------------------------------------------------- moves; each returns a new value

    def _move(self, to: Status, **changes: Any) -> Job:
        if to not in TRANSITIONS[self.status]:
            raise InvalidTransition(f"Job {self.id} is {self.status}: it cannot become {to}")
        return self.having(status=to, **changes)

    def logged(self, line: str) -> Job:
        """With one more line in its log."""
        return self.having(logs=[*self.logs, one_line(line)[:MAX_LOG_LINE]][-MAX_LOGS:])

    def claim(self, *, worker: str, host: str, slot: str | None, now: datetime) -> Job:
        """Taken by a worker. The new fence shuts out whoever held it before."""
        fence = self.fence + 1
        return self._move(
            Status.RUNNING,
            fence=fence,
            lease=Lease(worker=worker, host=host, fence=fence, slot=slot),
            started_at=self.started_at or now,
            not_before=None,
            hold=False,
        )

    def begin_attempt(
        self,
        *,
        service: str,
        host: str,
        now: datetime,
        remote_id: str | None = None,
        receipt: str | None = None,
    ) -> Job:
        """With a new attempt in phase INTENT, to be on disk before the service hears of it."""
        attempt = Attempt(
            number=len(self.attempts) + 1,
            service=service,
            host=host,
            remote_id=remote_id,
            slot=self.lease.slot if self.lease else None,
            receipt=receipt,
            started_at=now,
        )
        begun = self.having(
            attempts=[*self.attempts, attempt], retried_count=self.retried_count + 1
        )
        return begun.logged(f"[worker] start execution (attempt {attempt.number}) on {host}")

    def with_attempt(self, **changes: Any) -> Job:
        """With fields of its newest attempt changed."""
        return self.having(attempts=[*self.attempts[:-1], self.attempts[-1].having(**changes)])

    def found(self, *, remote_id: str, polling_url: str, cost: Cost | None) -> Job:
        """With what a service had answered to a request, although the answer had seemed lost."""
        return self.with_attempt(
            phase=Phase.SUBMITTED,
            remote_id=remote_id,
            polling_url=polling_url,
            cost=cost,
            finished_at=None,
            failure=None,
        ).logged(f"[worker] FLUX task submitted: {remote_id}")

    def _end_attempt(self, now: datetime, **changes: Any) -> Job:
        return self.with_attempt(finished_at=now, **changes) if self.open_attempt else self

    def finish(self, files: list[str], *, now: datetime, cost: Cost | None = None) -> Job:
        """Done, with its pictures."""
        ended = self._end_attempt(now, phase=Phase.PUBLISHED)
        return ended._move(
            Status.DONE,
            result=Result(file=files[0] if files else None, files=files, cost=cost),
            failure=None,
            progress=1.0,
            lease=None,
            finished_at=now,
            cancel_requested=False,
        ).logged("[worker] completed")

    def fail(
        self,
        failure: Failure,
        *,
        now: datetime,
        ambiguous: bool = False,
        keep_attempt: bool = False,
    ) -> Job:
        """Failed for good, until somebody says retry.

        `ambiguous`: the attempt may have been paid for. `keep_attempt`: the service may still hold its picture,
        so a retry asks for that one instead of beginning anew.
        """
        ended = self
        if not keep_attempt:
            changes = {"phase": Phase.AMBIGUOUS} if ambiguous else {}
            ended = self._end_attempt(now, failure=failure, **changes)
        cost = ended.attempt.cost if ended.attempt else None
        return ended._move(
            Status.FAILED,
            failure=failure,
            result=Result(error=failure.message, cost=cost),
            lease=None,
            finished_at=now,
        ).logged(f"[worker] error: {failure.message}")

    def requeue(
        self, failure: Failure, *, delay_s: float, now: datetime, keep_attempt: bool = False
    ) -> Job:
        """Back in the queue for another try after a pause: a new attempt, or the same one asked for again."""
        ended = (
            self.having(retried_count=self.retried_count + 1)
            if keep_attempt and self.open_attempt
            else self._end_attempt(now, failure=failure)
        )
        return ended._move(
            Status.QUEUED,
            failure=failure,
            lease=None,
            progress=None,
            not_before=Backoff(written=now, delay=delay_s),
        ).logged(f"[worker] {failure.kind}: {failure.message}; again in {delay_s:.1f} s")

    def put_aside(self, failure: Failure) -> Job:
        """Held, before anything of it was sent, until somebody has it run: what is missing only a person can give."""
        held = self._move(
            Status.CREATED,
            hold=True,
            failure=failure,
            lease=None,
            progress=None,
            started_at=self.started_at if self.attempts else None,
        )
        return held.logged(f"[worker] held: {failure.kind}: {failure.message}")

    def hand_back(self) -> Job:
        """Back in the queue as it is, because its worker stops. An open attempt stays open, to be adopted."""
        return self._move(Status.QUEUED, lease=None).logged("[worker] stopped; handed back")

    def recover(self, *, now: datetime, max_crashes: int = MAX_CRASHES) -> Job:
        """Taken from a worker that died or hangs: the fence shuts it out, an open attempt waits to be adopted."""
        crashes = self.crashes + 1
        freed = self.having(fence=self.fence + 1, lease=None, crashes=crashes)
        if self.lease is None:  # the old system kept none: nobody can tell what became of the job
            failure = Failure(
                kind="abandoned",
                message="The job was running when its program ended; what became of it is unknown",
                remedy="Look for its picture; run the job again if there is none.",
            )
            return freed.fail(failure, now=now, keep_attempt=True)
        if crashes > max_crashes:
            failure = Failure(
                kind="poison",
                message=f"{crashes} workers died while they ran this job",
                remedy="Look at the worker's log for what this job does to it, then run the job again.",
            )
            return freed.fail(failure, now=now, keep_attempt=True)
        return freed._move(Status.QUEUED).logged("[worker] worker lost; waiting for another")

    def drop_attempt(self, *, now: datetime) -> Job:
        """With its open attempt over, because nothing of it reached the service."""
        return self._end_attempt(now)

    def cancel(self, *, now: datetime, by_owner: bool = False, keep_attempt: bool = False) -> Job:
        """Cancelled, or marked so that the worker that has it (or will adopt it) cancels it at its service.

        `by_owner`: said by the worker that holds the job and has dealt with the service. `keep_attempt`: it has
        been paid for, or may have been: a retry asks for that picture instead of buying another.
        Raises InvalidTransition when the job has ended.
        """
        if self.is_terminal:
            raise InvalidTransition(f"Job {self.id} is {self.status}: there is nothing to cancel")
        if not by_owner and (self.status is Status.RUNNING or self.open_attempt):
            return self.having(cancel_requested=True, not_before=None)
        cost = self.attempt.cost if self.attempt else None
        ended = self if keep_attempt else self._end_attempt(now)
        return ended._move(
            Status.CANCELLED,
            lease=None,
            finished_at=now,
            cancel_requested=False,
            not_before=None,
            result=Result(cost=cost) if cost else None,
        ).logged("[lab] cancelled")

    def release(self, *, now: datetime) -> Job:
        """Run a draft, or an ended job once more. A paid attempt of unknown outcome stays on record.

        Raises InvalidTransition when the job is queued, running or done.
        """
        if self.is_waiting or self.status is Status.RUNNING:
            raise InvalidTransition(f"Job {self.id} is {self.status} already")
        return self._move(
            Status.QUEUED,
            hold=False,
            failure=None,
            result=None,
            progress=None,
            finished_at=None,
            not_before=None,
            cancel_requested=False,
            retried_count=0,
            crashes=0,
        ).logged("[lab] released")

    def prioritised(self, priority: int) -> Job:
        """With another place in the queue: a higher priority, 1000 at most, is taken first.

        Raises InvalidTransition when it has ended.
        """
        if self.is_terminal:
            raise InvalidTransition(f"Job {self.id} is {self.status}: it is not in the queue")
        kept = _placed(priority)
        return self if kept == self.priority else self.having(priority=kept)

    def ended(self) -> Job:
        """Itself, if it has come to an end. Raises InvalidTransition otherwise."""
        if not self.is_terminal:
            raise InvalidTransition(
                f"Job {self.id} is {self.status}: only an ended job can be removed",
                remedy="Cancel it first.",
            )
        return self

    def owned(self, fence: int) -> Job:
        """Itself, if whoever claimed it with `fence` still holds it. Raises Fenced otherwise."""
        if self.status is not Status.RUNNING or self.fence != fence:
            raise Fenced(f"Job {self.id} is {self.status} with fence {self.fence}, not {fence}")
        return self


def _placed(priority: int) -> int:
    return max(-MAX_PRIORITY, min(MAX_PRIORITY, priority))


def to_json(document: Mapping[str, Any]) -> bytes:
    """The content of a job file."""
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)
