"""What paid pictures have cost, and what may still be spent."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from orchestrator.connectors.bfl import BFL
from orchestrator.errors import OrchestratorError, ParamsInvalid
from orchestrator.lab.core import Core
from orchestrator.ledger import Purchase
from orchestrator.spending import Spending

PROBE_S = 2.0


class Money(Core):
    """The part of the lab that keeps the books."""

    async def spending(self) -> Spending:
        """What paid pictures have cost by day and backend, what the budget leaves, and the service's credits."""
        credits = await self._credits()
        return await asyncio.to_thread(self.ledger.spending, self.budget, credits=credits)

    async def _credits(self) -> Decimal | None:
        """The credits of the account; None without a key, or when it does not say within seconds."""
        if self.settings.bfl_api_key is None:
            return None
        client = BFL(self.settings.bfl_base_url, self.settings.bfl_api_key)
        try:
            async with asyncio.timeout(PROBE_S):
                return Decimal(str(await client.credits()))
        except (OrchestratorError, TimeoutError):
            return None
        finally:
            await client.close()

    def correct_spending(self, key: str, usd: Decimal) -> None:
        """Say what a purchase of unknown outcome has cost, as the account's usage shows it; 0 when it was not made.

        `key` is that of one of `spending().undecided`. Raises ParamsInvalid for any other, and for what is no amount.
        """
        if not usd.is_finite() or usd < 0:
            raise ParamsInvalid(
                f"{usd} is not an amount of money",
                remedy="Give USD such as 0.06; 0 when nothing was charged.",
            )
        undecided: Purchase | None = self.ledger.totals().reserved.get(key)
        if undecided is None:
            raise ParamsInvalid(
                f"No purchase {key[:80]!r} is undecided",
                remedy="`orchestrator spending` lists them.",
            )
        self.ledger.correct(undecided, usd)
