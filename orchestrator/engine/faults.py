"""Faults the engine can be told to show, and the ledger of what it ran: for tests of those who must survive them."""

from __future__ import annotations

import threading
import time
from dataclasses import asdict, dataclass, field, fields
from typing import Any

JSON = Any


@dataclass
class PromptError:
    """The next `count` prompts fail while running."""

    exception_type: str = "torch.OutOfMemoryError"
    exception_message: str = "Allocation on device 0 would exceed allowed memory. (out of memory)"
    count: int = 1
    # the class to fail at; without one, or where it does not run, the first node fails
    node: str | None = None


@dataclass
class HttpStatus:
    """The next `count` requests to a path are answered with this status."""

    status: int = 500
    path: str = "/"  # a prefix, without /api
    count: int = 1


@dataclass
class Hang:
    """The next `count` requests to a path are never answered."""

    path: str = "/"  # a prefix, without /api
    count: int = 1


@dataclass
class Faults:
    """What shall go wrong. Set the fields at any time; counts fall as faults are shown."""

    step_delay_s: float = 0.0  # each sampler step takes this much longer
    latency_s: float = 0.0  # every answer comes this much later
    prompt_error: PromptError | None = None
    http_status: HttpStatus | None = None
    hang: Hang | None = None
    # POST /prompt is accepted, then the connection closed without an answer
    drop_prompt_answer: int = 0
    corrupt_view: int = 0  # /view answers half of the bytes
    silent_sockets: bool = False  # nothing is said on websockets

    def __post_init__(self) -> None:
        self._lock = threading.Lock()

    def update(self, wanted: dict[str, JSON]) -> None:
        """Take settings as JSON; raises ValueError, changing nothing, when one is unknown or of a wrong shape."""
        given = {**asdict(self), **wanted} if not wanted.get("reset") else asdict(Faults())
        given.pop("reset", None)
        unknown = set(given) - {f.name for f in fields(self)}
        if unknown:
            raise ValueError(f"Unknown faults: {', '.join(sorted(unknown))}")
        try:
            for name, kind in (
                ("prompt_error", PromptError),
                ("http_status", HttpStatus),
                ("hang", Hang),
            ):
                given[name] = kind(**given[name]) if given[name] else None
            for name in ("step_delay_s", "latency_s"):
                given[name] = float(given[name])
            for name in ("drop_prompt_answer", "corrupt_view"):
                given[name] = int(given[name])
        except TypeError as exc:
            raise ValueError(f"A fault has a wrong shape: {exc}") from exc
        for name, value in given.items():
            setattr(self, name, value)

    def to_json(self) -> dict[str, JSON]:
        return asdict(self)

    def take_prompt_error(self) -> PromptError | None:
        with self._lock:
            return self.prompt_error if _spend(self.prompt_error) else None

    def take_http_status(self, path: str) -> int | None:
        fault = self.http_status
        return fault.status if fault and path.startswith(fault.path) and _spend(fault) else None

    def take_hang(self, path: str) -> bool:
        return self.hang is not None and path.startswith(self.hang.path) and _spend(self.hang)

    def take_drop_prompt_answer(self) -> bool:
        self.drop_prompt_answer -= (wanted := self.drop_prompt_answer > 0)
        return wanted

    def take_corrupt_view(self) -> bool:
        self.corrupt_view -= (wanted := self.corrupt_view > 0)
        return wanted


def _spend(fault: PromptError | HttpStatus | Hang | None) -> bool:
    if fault is None or fault.count <= 0:
        return False
    fault.count -= 1
    return True


@dataclass
class Entry:
    """One execution of a prompt."""

    prompt_id: str
    started: float  # seconds since the epoch
    finished: float | None = None
    outcome: str | None = None  # "success", "error" or "interrupted"

    def finish(self, outcome: str) -> None:
        self.finished, self.outcome = time.time(), outcome


@dataclass
class Ledger:
    """Every execution since the engine was made; unlike the history it survives `forget`."""

    entries: list[Entry] = field(default_factory=list)

    def begin(self, prompt_id: str) -> Entry:
        entry = Entry(prompt_id, time.time())
        self.entries.append(entry)
        return entry

    def count(self, prompt_id: str) -> int:
        """How many times this prompt was executed."""
        return sum(entry.prompt_id == prompt_id for entry in self.entries)

    def to_json(self) -> list[dict[str, JSON]]:
        return [asdict(entry) for entry in list(self.entries)]
