"""Which job the lines that are logged are about, in this task and those it starts. Logs nothing by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context

#: Variable of the environment set by the service manager: the screen is a file that nobody rotates
SERVICE = "ORCHESTRATOR_SERVICE"

_job: ContextVar[str | None] = ContextVar("orchestrator_job", default=None)


@contextmanager
def about(job: str) -> Iterator[None]:
    """Lines logged inside, in tasks and threads started there too, name this job."""
    before = _job.set(job)
    try:
        yield
    finally:
        _job.reset(before)


def about_no_job() -> Context:
    """A context for a task that outlives the job that started it: its lines name none."""
    context = copy_context()
    context.run(_job.set, None)
    return context


def job_at_work() -> str | None:
    """The job that a line logged here is about."""
    return _job.get()
