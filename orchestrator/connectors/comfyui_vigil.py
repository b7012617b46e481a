"""How long to wait for a prompt, and when to look: decisions only, with the time given."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.connectors.comfyui_wire import RemoteFile, RemoteState, RemoteStatus
from orchestrator.errors import (
    ExecutionFailed,
    Interrupted,
    NoImages,
    PromptVanished,
    ServiceError,
    ServiceTimeout,
    ServiceUnreachable,
)

QUICK_S = 0.05  # the first look after something happened that may have been the end


@dataclass(frozen=True)
class Timing:
    """How patient a connector is, in seconds."""

    poll_interval_s: float = 1.0  # ComfyUI answers from memory
    lively_interval_s: float = 5.0  # while the socket tells of the prompt
    # between the two looks that must both find no trace: a POST may be validating
    vanish_s: float = 1.0
    grace_s: float = 30.0  # a server that is being restarted
    stall_s: float = 600.0  # the slowest single step that is still work
    cancel_s: float = 10.0  # an interrupt is heeded between two sampler steps
    # the server must have let go of the old socket, or it forgets the new one with it
    reconnect_s: float = 0.25
    info_age_s: float = 30.0  # /object_info changes when somebody adds a model


class Vigil:
    """The wait for one prompt. Told what is seen and heard, it says when to look again, and gives up by raising.

    `armed`: the socket was open before the prompt was sent, so that its end cannot have been missed.
    """

    def __init__(self, prompt_id: str, *, timing: Timing, now: float, armed: bool) -> None:
        self._prompt_id = prompt_id
        self._timing = timing
        self._looked_at = now
        self._pause = timing.poll_interval_s if armed else 0.0
        self._not_before = now  # the server may ask for a pause
        self._heard_at: float | None = None
        self._changed_at = now
        self._seen: tuple[RemoteStatus, int | None] | None = None
        self._unknown_since: float | None = None
        self._away_since: float | None = None
        self.ended = False  # the socket said so
        self.cancelled = False  # we had it cancelled ourselves

    def next_look_s(self, now: float) -> float:
        """Seconds until the next look is due."""
        lively = (
            self._heard_at is not None and now - self._heard_at < self._timing.lively_interval_s
        )
        longest = self._timing.lively_interval_s if lively else self._timing.poll_interval_s
        due = max(self._looked_at + min(self._pause, longest), self._not_before)
        return max(0.0, due - now)

    def heard(self, now: float) -> None:
        """The socket told of the prompt."""
        self._heard_at = self._changed_at = now
        self._away_since = self._unknown_since = None

    def hurry(self, now: float, *, pause_s: float = 0.0) -> None:
        """Something happened that may have been the end: look after `pause_s`, then less and less often."""
        self._looked_at, self._pause = now, min(pause_s, self._timing.poll_interval_s)

    def saw(self, state: RemoteState, now: float) -> tuple[RemoteFile, ...] | None:
        """The server answered. Returns the files of a prompt that is done, None while it is not.

        Raises the error of one that failed, Interrupted, NoImages, PromptVanished, ServiceTimeout.
        """
        self._step_back(now)
        self._away_since = None
        if (state.status, state.queue_position) != self._seen:
            self._seen = (state.status, state.queue_position)
            self._changed_at = now
        if state.status is not RemoteStatus.UNKNOWN:
            self._unknown_since = None
        match state.status:
            case RemoteStatus.DONE:
                if not state.files:
                    raise NoImages
                return state.files
            case RemoteStatus.FAILED:
                raise state.error or ExecutionFailed()
            case RemoteStatus.CANCELLED:
                raise state.error or Interrupted()
            case RemoteStatus.UNKNOWN:
                self._miss(now)
            case RemoteStatus.RUNNING if now - self._changed_at >= self._timing.stall_s:
                raise ServiceTimeout(
                    f"The prompt has run for {self._timing.stall_s:.0f} s without any progress"
                )
        return None

    def failed(self, error: ServiceError, now: float) -> None:
        """A look failed. Raises when that cannot mend itself, or has lasted for too long."""
        self._step_back(now)
        self._not_before = now + min(error.retry_after_s or 0.0, self._timing.grace_s)
        if not error.retryable:
            raise error
        self._away_since = now if self._away_since is None else self._away_since
        away_s = now - self._away_since
        if isinstance(error, ServiceTimeout):
            # it takes connections, so it lives: a node that holds the interpreter makes it deaf
            if away_s >= self._timing.stall_s:
                raise error
        elif away_s >= self._timing.grace_s:
            raise ServiceUnreachable(f"{error.message}; for {away_s:.0f} s now") from error

    def _miss(self, now: float) -> None:
        if self.cancelled:
            raise Interrupted("The prompt was cancelled")
        if self._unknown_since is None:
            self._unknown_since = now
        elif now - self._unknown_since >= self._timing.vanish_s:
            raise PromptVanished(f"The server has no trace of prompt {self._prompt_id}")
        self._pause = min(self._pause, self._timing.vanish_s)

    def _step_back(self, now: float) -> None:
        self._looked_at = now
        self._pause = min(max(2 * self._pause, QUICK_S), self._timing.lively_interval_s)
