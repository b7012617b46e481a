"""Attempts at the paid FLUX API: nothing is paid twice, nothing that was paid is lost, and no more than the budget.

    set money aside → reserve receipt → INTENT on disk → guard → POST → receipt → charge → SUBMITTED on disk
    → poll → READY → fetch → publish

An intent without a receipt says that money may have been spent: it is never posted again by itself.
"""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator import backends
from orchestrator.attempts.held import Held, finish_even_if_cancelled
from orchestrator.attempts.pictures import publish, recipe_of
from orchestrator.attempts.till import Till
from orchestrator.backends.flux import BFLParams, encoded, flux_body
from orchestrator.connectors.bfl import BFL, Receipt
from orchestrator.errors import (
    AmbiguousSubmit,
    CreditsMissing,
    NoCredits,
    OrchestratorError,
    ParamsInvalid,
    ServiceBroken,
    ServiceError,
)
from orchestrator.jobs import Cost, Job, Phase
from orchestrator.spending import Estimate, estimate, money, plain, usd_of
from orchestrator.store import Kind, Lane

logger = logging.getLogger(__name__)

ACTIVE_TASKS = 24  # per account, says BFL; a 429 beyond
FEWER_TASKS = {"flux-kontext-max": 6}  # of them, by model
RECEIPT_POLL_S = 0.25
SETTLE_S = 5.0  # how often purchases of unknown outcome are looked at
LoadInput = Callable[[str], bytes]


class BFLService:
    """The FLUX API as the worker sees it."""

    name = BFL.service

    def __init__(
        self,
        client: BFL,
        *,
        images: Path,
        till: Till,
        load_input: LoadInput,
        late_receipt_s: float,
    ) -> None:
        """`late_receipt_s`: how long after a takeover the previous worker may still be paying; its POST's
        timeout and its lease. `load_input`: gives the bytes of an input image by its name."""
        self._client = client
        self._images = images
        self._till = till
        self._load_input = load_input
        self._late_receipt_s = late_receipt_s
        self._lane = Lane(self.name, client.base_url, ACTIVE_TASKS)
        self._fewer = {
            model: Lane(self.name, f"{client.base_url}/v1/{model}", limit)
            for model, limit in FEWER_TASKS.items()
        }
        self._is_out_of_credits = False
        self._settling: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Bring the ledger up to what the jobs say, and keep it so."""
        await self._reconciled(self._till.reconcile)
        self._settling = asyncio.create_task(self._settle(), name="settle the ledger")

    async def _settle(self) -> None:
        while True:
            await asyncio.sleep(SETTLE_S)
            await self._reconciled(self._till.settle)

    async def _reconciled(self, reconcile: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(reconcile)
        except (
            OrchestratorError,
            OSError,
        ) as error:  # a purchase that is only reserved counts as one
            logger.warning("The ledger could not be brought up to date: %s", error)

    def lanes(self, kind: Kind) -> Sequence[Lane]:
        """One account, one lane; models of which it may have fewer tasks at once have their own."""
        known = backends.BACKENDS.get(kind.backend)
        return (self._fewer.get(known.model, self._lane) if known else self._lane,)

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
        params, backend = _params(job), backends.get(job.backend)
        self._client.check_key()
        images, sizes = await held.call(self._inputs, params)
        said = estimate(backend, params, images=sizes)
        await self._check_credits(said)
        body = flux_body(params, job.text, images=images)
        # an intent that is cut off in the middle of a shutdown would be an attempt nobody can judge
        await finish_even_if_cancelled(self._pay(held, said, body))

    def _inputs(self, params: BFLParams) -> tuple[list[str], list[tuple[int, int]]]:
        """The images that go in, as base64, and their sizes in pixels. Raises ParamsInvalid, InputInvalid."""
        images, sizes = [], []
        for name in params.images():
            data = self._load_input(name)
            size = size_of(data, name=name)
            images.append(encoded(data, name=name, size=size))
            sizes.append(size)
        return images, sizes

    async def _check_credits(self, said: Estimate) -> None:
        """Once the account was found empty it is asked first, so that a whole queue does not run into it.

        Raises CreditsMissing.
        """
        if not self._is_out_of_credits:
            return
        try:
            left = Decimal(str(await self._client.credits()))
        except ServiceError as error:
            logger.info("The account does not say how many credits are left: %s", error)
            return
        if left < said.credits:
            raise CreditsMissing(
                f"The account has {plain(left)} credits left and the picture costs "
                f"{plain(said.credits)}: nothing was sent"
            )
        self._is_out_of_credits = False

    async def _pay(self, held: Held, said: Estimate, body: dict[str, Any]) -> None:
        """The one door through which money goes."""
        receipts, now = held.store.receipts, held.store.now()
        name = f"{held.job.id}.{len(held.job.attempts) + 1}-{held.fence}"
        await self._till.reserve(held, name, said)
        try:
            await held.call(receipts.reserve, name)
            await held.update(
                lambda job: job.begin_attempt(
                    service=self.name, host=self._client.base_url, now=now, receipt=name
                )
            )
            receipt = await self._post(held, said.model, body)
        except AmbiguousSubmit:
            raise  # what was set aside stays so: it may have been paid for
        except (OrchestratorError, OSError) as error:
            self._is_out_of_credits |= isinstance(error, NoCredits)
            await self._nothing_bought(held, name)
            raise
        except asyncio.CancelledError:
            await self._nothing_bought(held, name)
            await held.update(lambda job: job.drop_attempt(now=held.store.now()))
            raise
        try:
            await held.call(receipts.write, name, _said(receipt))
        except OSError:  # the job file may still take it
            logger.exception("Could not write the receipt of a paid request")
        await self._note(held, receipt)

    async def _nothing_bought(self, held: Held, name: str) -> None:
        await held.call(held.store.receipts.remove, name)
        await self._till.release(held, name)

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
        # without looking at the fence, like the receipt: whoever has the job now, this was paid for
        await self._till.charge(held, held.job.attempts[-1], receipt.cost_credits)
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

    async def call_back(self, job: Job) -> bool:
        """What was bought, or may have been, is kept for a retry."""
        return False

    def keeps(self, job: Job, error: Exception, *, last: bool) -> bool:
        """Once the id is known, only the service's own verdict ends the attempt: anything else would pay again."""
        attempt = job.open_attempt
        known = attempt is not None and attempt.phase in {Phase.SUBMITTED, Phase.READY}
        return known and not (isinstance(error, ServiceError) and error.final)

    async def close(self) -> None:
        """Close the connections."""
        if self._settling is not None:
            self._settling.cancel()
            await asyncio.wait([self._settling])
        await self._client.close()


def size_of(data: bytes, *, name: str) -> tuple[int, int]:
    """The width and height of an input image, in pixels. Raises ParamsInvalid when it is none."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise ParamsInvalid(
            f"The input {name} is no image that can be read", remedy="Choose another one."
        ) from error


def _params(job: Job) -> BFLParams:
    params = backends.parse(backends.get(job.backend), job.sent_params)
    assert isinstance(params, BFLParams)
    return params


def _cost(credits: float | None) -> Cost | None:
    if credits is None:
        return None
    return Cost(credits=credits, amount=money(usd_of(credits)))


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
