"""What a health report says."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

LOW_DISK = 1_000_000_000  # bytes: some hundred pictures
LOW_SHARE = 0.02  # of a small disk, whose first thousand million bytes may be all it has


class Said(BaseModel):
    """Base of what a report is made of: camelCase in JSON."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)


class ServiceHealth(Said):
    """One service. `status` is running, stopped or unknown; `remedy` says what to do when it is not running."""

    status: str
    message: str = ""
    remedy: str | None = None
    url: str | None = None
    port: int | None = None
    version: str | None = None
    embedded_engine: bool | None = None
    queue_depth: int | None = None
    pid: int | None = None
    uptime_s: float | None = None
    memory: int | None = Field(default=None, description="resident bytes")
    hosts: list[ServiceHealth] | None = None
    circuit: str | None = Field(
        default=None, description="what its guardian does: open when it has given up hurrying"
    )
    restarts: int | None = Field(default=None, description="by the guardian, since that started")
    next_try_s: float | None = Field(
        default=None, description="until the guardian tries again, while its circuit is not closed"
    )
    bug_report: str | None = Field(
        default=None, description="the newest file about it in logs/reports, while it is given up"
    )

    @property
    def is_running(self) -> bool:
        """Whether it is known to run."""
        return self.status == "running"

    @property
    def is_given_up(self) -> bool:
        """Whether it is away, and restarting it did not help: its guardian only tries now and then."""
        return self.circuit in {"open", "half-open"} and not self.is_running


class PlaceHealth(Said):
    """A folder of paths.json. `free` and `total` are bytes of its disk."""

    key: str
    path: str
    exists: bool
    writable: bool
    free: int | None
    total: int | None = Field(default=None, description="bytes of its disk")
    problem: str | None = None


class QueueHealth(Said):
    """The jobs, counted; `oldest_waiting_s` is the age of the job that has waited longest."""

    counts: dict[str, int]
    oldest_waiting_s: float | None
    corrupt_files: int
    paused: str | None = Field(default=None, description="why no job is taken, while none is")


class ClockHealth(Said):
    """How far our clock is ahead of others', in seconds; None when nobody could be asked."""

    files_s: float | None = Field(default=None, description="of the disk the jobs are on")
    comfyui_s: float | None = Field(default=None, description="of the ComfyUI servers' worst")


class HealthReport(Said):
    """Everything, with the problems and their remedies in one list."""

    well: bool
    problems: list[str]
    panel: ServiceHealth
    comfyui: ServiceHealth
    engine: ServiceHealth
    bfl: ServiceHealth
    worker: ServiceHealth
    monitor: ServiceHealth
    guardian: ServiceHealth
    queue: QueueHealth
    clock: ClockHealth
    places: list[PlaceHealth]


def low_mark(total: int) -> int:
    """Below how many free bytes a disk of `total` bytes is nearly full."""
    return min(LOW_DISK, int(total * LOW_SHARE))
