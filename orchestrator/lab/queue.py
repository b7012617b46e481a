"""What can be done with jobs that are there, and with the queue as a whole."""

from __future__ import annotations

from collections.abc import Callable

from orchestrator.errors import JobNotFound
from orchestrator.jobs import Job
from orchestrator.lab.core import Core
from orchestrator.store import Pause

TRIES = 3  # at an archived job that a worker archives again before it is changed


class Queue(Core):
    """The part of the lab that changes jobs."""

    def run(self, job_id: str) -> Job:
        """Release a draft, or run an ended job again. Raises JobNotFound, InvalidTransition."""
        return self._change(job_id, lambda job: job.release(now=self.store.now()))

    def retry(self, job_id: str) -> Job:
        """A new attempt at a job that failed or was cancelled. Raises JobNotFound, InvalidTransition."""
        return self.run(job_id)

    def cancel(self, job_id: str) -> Job:
        """Cancel a job in any status but an ended one. Raises JobNotFound, InvalidTransition.

        A job that a service is working on is cancelled by the worker that has it, within a second.
        """
        return self._change(job_id, lambda job: job.cancel(now=self.store.now()))

    def prioritise(self, job_id: str, priority: int) -> Job:
        """Move a waiting job: higher priorities are taken first. Raises JobNotFound, InvalidTransition."""
        return self._change(job_id, lambda job: job.prioritised(priority))

    def delete(self, job_id: str) -> Job:
        """Remove an ended job from the list; its pictures stay. Raises JobNotFound, InvalidTransition."""
        self.store.refresh()
        return self.store.delete(self.store.resolve(job_id))

    def clear_ended(self) -> int:
        """Remove the ended jobs from the list and say how many. Pictures stay; so do jobs that may have been paid
        for without a picture."""
        self.store.refresh()
        return self.store.clear_ended()

    def pause(self, reason: str = "") -> Pause:
        """Have no worker of the lab take a job from now on; what runs goes on."""
        return self.store.pause(reason)

    def resume(self) -> None:
        """Have the workers take jobs again."""
        self.store.resume()

    def pause_note(self) -> Pause | None:
        """Since when and why the queue is paused; None when it is not."""
        return self.store.pause_note()

    def _change(self, job_id: str, change: Callable[[Job], Job]) -> Job:
        self.store.refresh()
        found = self.store.resolve(job_id)
        for _ in range(TRIES):
            try:
                return self.store.update(found, change)
            except JobNotFound:
                change(self.store.get(found))  # an archived job stays there if it cannot be changed
                self.store.unarchive(found)
        return self.store.update(found, change)
