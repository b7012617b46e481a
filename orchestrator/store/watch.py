"""Tells of changed jobs within milliseconds, and never trusts the system's events alone.

Measured: a burst of 30,000 changes while the reader was stopped lost nine events in ten without a word, and a user
may have used up the system's watches. So events are hints; the folder's own time, looked at every two seconds
and after every gap, is the truth; and where there are no events, the folder's time is polled.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from watchfiles._rust_notify import RustNotify

logger = logging.getLogger(__name__)

# how often the notifier looks for more: a change is told after two looks. Each wakes the interpreter, so that looking
# every millisecond takes 1.4 % of a core; a reader of a queue where nothing happens shall take less
STEP_MS = 1
IDLE_STEP_MS = 5
IDLE_AFTER_S = 2.0
DEBOUNCE_MS = 20  # at most this long until a steady stream of changes is told
WAKE_MS = 500
RECONCILE_S = 2.0
POLL_S = 0.1
RETRY_EVENTS_S = 60.0  # watches may be free again
# drives of Windows send no events to Linux on it
ON_WSL = "microsoft" in platform.uname().release.lower()
OnChange = Callable[[set[str]], None]


class Watcher:
    """A daemon thread that calls back with the names of files that may have changed.

    A thread of its own, not watchfiles' coroutine: that one's worker thread keeps a process from ending.
    `on_names` gets file names; `on_look` is called to compare everything, whether or not an event came.
    """

    def __init__(
        self,
        folders: Iterable[Path],
        *,
        on_names: OnChange,
        on_look: Callable[[], None],
        force_polling: bool = False,
    ) -> None:
        self._folders = [str(folder) for folder in folders]
        self._on_names = on_names
        self._on_look = on_look
        self._force_polling = force_polling or ON_WSL
        self._stop = threading.Event()
        self._looked = 0.0
        self.polling = self._force_polling
        self._thread = threading.Thread(target=self._run, name="watch jobs", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    @property
    def is_current(self) -> bool:
        """Whether events come, and everything was compared lately."""
        return not self.polling and time.monotonic() - self._looked < 2 * RECONCILE_S

    def stop(self) -> None:
        """Ask the thread to end; it notices within half a second."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            if not self._force_polling:
                self.polling = False
                try:
                    self._follow_events()
                except Exception as error:  # noqa: BLE001 - whatever the system lacks, polling works
                    if not self._stop.is_set():
                        logger.warning(
                            "No file events here (%s): polling the jobs folder instead", error
                        )
            if not self._stop.is_set():
                self.polling = True
                self._poll(until=None if self._force_polling else time.monotonic() + RETRY_EVENTS_S)

    def _follow_events(self) -> None:
        self._look()  # what changed before the watch was in place
        self._looked = 0.0  # and once more when it is: the two are not one step
        # the documented class below `watchfiles.watch`, whose step is fixed for good
        with RustNotify(self._folders, False, False, 0, False, True) as notifier:
            active = time.monotonic()
            while not self._stop.is_set():
                is_idle = time.monotonic() - active > IDLE_AFTER_S
                step_ms = IDLE_STEP_MS if is_idle else STEP_MS
                changes = notifier.watch(DEBOUNCE_MS, step_ms, WAKE_MS, self._stop)
                if isinstance(changes, set):
                    active = time.monotonic()
                    self._guard(partial(self._on_names, {path for _, path in changes}))
                elif changes != "timeout":  # told to stop
                    return
                if time.monotonic() - self._looked > RECONCILE_S:
                    self._look()

    def _poll(self, *, until: float | None) -> None:
        times: list[int] = []
        while not self._stop.wait(POLL_S) and (until is None or time.monotonic() < until):
            try:
                now = [os.stat(folder).st_mtime_ns for folder in self._folders]
            except OSError:
                continue  # a share that is away
            if now != times or time.monotonic() - self._looked > RECONCILE_S:
                times = now
                self._look()

    def _look(self) -> None:
        self._looked = time.monotonic()
        self._guard(self._on_look)

    def _guard(self, act: Callable[[], None]) -> None:
        """A watcher that dies leaves its reader blind without a word: log and go on."""
        try:
            act()
        except Exception:
            if not self._stop.is_set():
                logger.exception("Could not follow a change in the jobs folder")
