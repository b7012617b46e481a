"""Attempts at the paid FLUX API: nothing is paid twice, and nothing that was paid is lost.

    reserve receipt → INTENT on disk → guard → POST → receipt → SUBMITTED on disk → poll → READY → fetch → publish

An intent without a receipt says that money may have been spent: it is never posted again by itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from orchestrator import backends
from orchestrator.attempts.held import Held, finish_even_if_cancelled
from orchestrator.attempts.pictures import publish, recipe_of
from orchestrator.connectors.bfl import BFL, Receipt
from orchestrator.errors import (
    AmbiguousSubmit,
    OrchestratorError,
    ServiceBroken,
    ServiceError,
)
from orchestrator.jobs import Cost, Job, Phase
from orchestrator.store import Lane

logger = logging.getLogger(__name__)

ACTIVE_TASKS = 24  # per account, says BFL; a 429 beyond
USD_PER_CREDIT = Decimal("0.01")
RECEIPT_POLL_S = 0.25


class BFLService:
    """The FLUX API as the worker sees it."""

    name = BFL.service

    def __init__(self, client: BFL, *, images: Path, late_receipt_s: float) -> None:
        """`late_receipt_s`: how long after a takeover the previous worker may still be paying; its POST's
        timeout and its lease."""
        self._client = client
        self._images = images
        self._late_receipt_s = late_receipt_s
        self._lane = Lane(self.name, client.base_url, ACTIVE_TASKS)

    def lanes(self, host: str | None) -> Sequence[Lane]:
        """One account, one lane."""
        return (self._lane,)

    def begin(self, job: Job, lane: Lane, now: datetime) -> Job:
        """Nothing yet: the receipt's space comes before the intent."""
        return job

    async def run(self, held: Held) -> tuple[list[str], Cost | None]:
        """Carry an attempt through from wherever the last worker left it."""
        attempt = held.job.open_attempt
        if attempt is None and not (held.job.is_ambiguous and await self._adopt_receipt(held)):
            await self._buy(held)
        elif attempt is not None and attempt.phase is Phase.INTENT:
            await self._await_receipt(held)
        return await self._collect(held)

    async def _buy(self, held: Held) -> None:
        job = held.job
        params = _params(job)
        body = backends.flux_body(params, job.prompt)
        # an intent that is cut off in the middle of a shutdown would be an attempt nobody can judge
        await finish_even_if_cancelled(self._pay(held, backends.get(job.backend).model, body))

    async def _pay(self, held: Held, model: str, body: dict[str, Any]) -> None:
        receipts, now = held.store.receipts, held.store.now()
        name = f"{held.job.id}.{len(held.job.attempts) + 1}-{held.fence}"
        try:
            await held.call(receipts.reserve, name)
            await held.update(
                lambda job: job.begin_attempt(
                    service=self.name, host=self._client.base_url, now=now, receipt=name
                )
            )
            receipt = await self._post(held, model, body)
        except AmbiguousSubmit:
            raise
        except (OrchestratorError, OSError):
            await held.call(receipts.remove, name)  # nothing was bought
            raise
        except asyncio.CancelledError:
            await held.call(receipts.remove, name)
            await held.update(lambda job: job.drop_attempt(now=held.store.now()))
            raise
        try:
            await held.call(receipts.write, name, _said(receipt))
        except OSError:  # the job file may still take it
            logger.exception("Could not write the receipt of a paid request")
        await self._note(held, receipt)

    async def _post(self, held: Held, model: str, body: dict[str, Any]) -> Receipt:
        if not held.may_pay():
            raise ServiceBroken(
                "The worker was held up for so long that another may have taken the job over",
                remedy="Nothing to do: nothing was sent, and the job is tried again.",
            )
        await held.update(lambda job: job)  # the fence, looked at once more
        if held.job.cancel_requested:  # in time: nothing was paid
            raise asyncio.CancelledError
        return await self._client.submit(model, body)

    async def _note(self, held: Held, receipt: Receipt) -> None:
        cost = _cost(receipt.cost_credits)
        await held.update(
            lambda job: job.found(remote_id=receipt.id, polling_url=receipt.polling_url, cost=cost)
        )
        if name := held.job.attempts[-1].receipt:
            await held.call(held.store.receipts.remove, name)

    async def _adopt_receipt(self, held: Held) -> bool:
        """Take over what a lost worker has bought; returns whether its receipt is there."""
        said = await held.call(held.store.receipts.read, held.job.attempts[-1].receipt)
        if said is not None:
            await self._note(held, _receipt(said))
        return said is not None

    async def _await_receipt(self, held: Held) -> None:
        """Find what a worker that was lost between intent and receipt has bought, or say that nobody knows."""
        # it may only have been asleep: it can still post, and its receipt is written without asking us
        for _ in range(max(1, round(self._late_receipt_s / RECEIPT_POLL_S))):
            if await self._adopt_receipt(held):
                return
            await asyncio.sleep(RECEIPT_POLL_S)
        raise AmbiguousSubmit(
            "A worker was lost while it sent the request, and no answer is on record"
        )

    async def _collect(self, held: Held) -> tuple[list[str], Cost | None]:
        attempt = held.job.attempts[-1]
        assert attempt.polling_url is not None  # written together with the phase
        sample = await self._client.wait(attempt.polling_url, on_progress=held.report)
        await held.update(lambda job: job.with_attempt(phase=Phase.READY))
        data = await self._client.fetch(sample)
        recipe = recipe_of(
            held.job,
            seed=_params(held.job).seed,
            workflow=None,
            index=0,
            now=held.store.now(),
        )
        file = await publish(held, data, folder=self._images, recipe=recipe)
        return [str(file.path)], attempt.cost

    async def cancel(self, job: Job) -> bool:
        """The API has no way to stop a task: what was bought stays on the bill, so it is kept for a retry.

        So is an intent of a lost worker, which nobody can tell from a purchase until its receipt is looked for.
        """
        return job.open_attempt is not None

    def keeps(self, job: Job, error: Exception, *, last: bool) -> bool:
        """Once the id is known, only the service's own verdict ends the attempt: anything else would pay again."""
        attempt = job.open_attempt
        known = attempt is not None and attempt.phase in {Phase.SUBMITTED, Phase.READY}
        return known and not (isinstance(error, ServiceError) and error.final)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _params(job: Job) -> backends.FluxParams:
    params = backends.parse(backends.get(job.backend), job.params)
    assert isinstance(params, backends.FluxParams)
    return params


def _cost(credits: float | None) -> Cost | None:
    if credits is None:
        return None
    amount = Decimal(str(credits)) * USD_PER_CREDIT
    return Cost(credits=credits, amount=str(amount.quantize(Decimal("0.01"))))


def _said(receipt: Receipt) -> dict[str, Any]:
    return {
        "id": receipt.id,
        "polling_url": receipt.polling_url,
        "credits": receipt.cost_credits,
    }


def _receipt(said: dict[str, Any]) -> Receipt:
    credits = said.get("credits")
    return Receipt(
        id=str(said.get("id")),
        polling_url=str(said.get("polling_url")),
        cost_credits=float(credits) if credits is not None else None,
    )
