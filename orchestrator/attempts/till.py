"""The one door for money: set aside before a request is sent, written down when it was bought, freed when it was not.

After a crash between any two steps the job files and the receipts say what became of a purchase:

    reserved, and its job has no such attempt          nothing was sent                 released
    reserved, the attempt ended before it was sent     nothing was sent                 released
    reserved, and there is an answer on record         bought                           charged
    reserved, and nobody knows                         perhaps bought                   stays, and is shown
    an attempt with a cost, and no such line           bought                           charged
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from enum import Enum

from orchestrator import backends
from orchestrator.attempts.held import Held
from orchestrator.errors import CorruptFile, JobNotFound, OrchestratorError
from orchestrator.jobs import Attempt, Job, Phase, Status
from orchestrator.ledger import Ledger, Purchase
from orchestrator.spending import NOTHING, Budget, Estimate, day_of, usd_of
from orchestrator.store import Store

logger = logging.getLogger(__name__)

SERVICE = "bfl"
PAGE = 500  # jobs of the archive read at once


class Verdict(Enum):
    """What is known of a purchase that was reserved."""

    OPEN = "open"  # its worker may be at it, or nobody knows
    NOT_BOUGHT = "not bought"
    BOUGHT = "bought"


class Till:
    """The door of one store: its ledger, and what may be spent."""

    def __init__(self, ledger: Ledger, budget: Budget, store: Store) -> None:
        self.ledger = ledger
        self.budget = budget
        self._store = store

    # ---------------------------------------------------------------- one purchase

    async def reserve(self, held: Held, key: str, estimate: Estimate) -> Purchase:
        """Set aside what a picture is going to cost. Raises BudgetExceeded, StoreBusy, DiskFull."""
        purchase = Purchase(
            key=key,
            job=held.job.id,
            fence=held.fence,
            backend=held.job.backend,
            model=estimate.model,
            usd=estimate.usd,
        )
        await held.call(self.settle, of_job=held.job.id)  # what a worker that died set aside for it
        what = f"A picture by {held.job.backend}"
        return await held.call(self.ledger.reserve, purchase, budget=self.budget, what=what)

    async def release(self, held: Held, key: str) -> None:
        """Free what was set aside: nothing was bought."""
        try:
            await held.call(self.ledger.release, key)
        except (OrchestratorError, OSError):  # `reconcile` finds out
            logger.exception("Could not free what was reserved for job %s", held.job.id)

    async def charge(self, held: Held, attempt: Attempt, credits: float | None) -> None:
        """Write down what the service charged; what was reserved if it does not say. Says nothing the second time."""
        usd = usd_of(credits) if credits is not None else None
        try:
            await held.call(self.ledger.charge, purchase_of(held.job, attempt), usd)
        except (OrchestratorError, OSError):  # reserved it stays, and `reconcile` finds out
            logger.exception("Could not write down what job %s has cost", held.job.id)

    # ---------------------------------------------------------------- after crashes

    def reconcile(self) -> None:
        """Bring the ledger up to what all jobs and receipts say; for the start of a worker.

        Jobs were archived long after their purchases were settled: those are read only for a ledger that is lost, or
        younger than they are.
        """
        jobs = self._store.snapshot()
        if self.ledger.is_new():
            jobs += self._archived()
        self.ledger.charge_all(bill for job in jobs for bill in _bills(job))
        self.settle()

    def settle(self, *, of_job: str | None = None) -> None:
        """Find out what became of the purchases that are reserved, those `of_job` or all: of those there are few."""
        for reserved in self.ledger.totals().reserved.values():
            if of_job is not None and reserved.job != of_job:
                continue
            job: Job | None = None
            with suppress(JobNotFound, CorruptFile):
                job = self._store.get(reserved.job)  # from the disk: only that counts
            verdict, usd = self._verdict(reserved, job)
            if verdict is Verdict.BOUGHT:
                self.ledger.charge(reserved, usd)
            elif verdict is Verdict.NOT_BOUGHT:
                self.ledger.release(reserved.key)

    def _verdict(self, reserved: Purchase, job: Job | None) -> tuple[Verdict, Decimal | None]:
        said = self._store.receipts.read(reserved.key)
        if said is not None:
            credits = said.get("credits")
            return Verdict.BOUGHT, None if credits is None else usd_of(credits)
        if job is None:  # deleted: nobody can tell
            return Verdict.OPEN, None
        return judged(reserved, job)

    def _archived(self) -> Iterator[Job]:
        for backend in (each.name for each in backends.BACKENDS.values() if each.paid):
            offset = 0
            while page := self._store.page(backend=backend, limit=PAGE, offset=offset)[0]:
                yield from page
                offset += PAGE


def _bills(job: Job) -> Iterator[tuple[Purchase, Decimal]]:
    """What a job has paid for, by its own file."""
    for attempt in job.attempts:
        if attempt.service == SERVICE and attempt.cost is not None:
            yield purchase_of(job, attempt), usd_of(attempt.cost.credits)


def judged(reserved: Purchase, job: Job) -> tuple[Verdict, Decimal | None]:
    """What a job's file says of a purchase that was reserved, and what it has cost; None: as reserved."""
    attempt = next((each for each in job.attempts if each.receipt == reserved.key), None)
    if attempt is None:
        # whoever reserved it may not have begun the attempt yet; with an older fence it never can
        is_at_it = job.status is Status.RUNNING and job.fence == reserved.fence
        return (Verdict.OPEN if is_at_it else Verdict.NOT_BOUGHT), None
    if attempt.cost is not None:
        return Verdict.BOUGHT, usd_of(attempt.cost.credits)
    if attempt.phase in {Phase.SUBMITTED, Phase.READY, Phase.PUBLISHED}:
        return Verdict.BOUGHT, None
    is_over = attempt.phase is Phase.INTENT and not attempt.is_open
    if is_over and not (attempt.failure and attempt.failure.kind == "internal"):
        return Verdict.NOT_BOUGHT, None
    return Verdict.OPEN, None


def purchase_of(job: Job, attempt: Attempt) -> Purchase:
    """An attempt as the ledger knows it."""
    known = backends.BACKENDS.get(job.backend)
    return Purchase(
        key=attempt.receipt or f"{job.id}.{attempt.number}",
        job=job.id,
        fence=job.fence,
        backend=job.backend,
        model=known.model if known else "",
        usd=NOTHING,
        day=day_of(attempt.started_at),
    )
