"""One worker as a process of its own. Ends well on SIGTERM; can be told to die, or be faulty."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mutants import MUTANTS
from pydantic import SecretStr

from orchestrator.attempts import BFLService, ComfyUIService, Held, Till
from orchestrator.connectors.bfl import BFL
from orchestrator.connectors.comfyui import ComfyUI, Timing
from orchestrator.files import Disk
from orchestrator.jobs import Cost
from orchestrator.ledger import Ledger
from orchestrator.paths import Paths
from orchestrator.retry import RetryPolicy
from orchestrator.settings import Settings
from orchestrator.spending import Budget
from orchestrator.store import Store
from orchestrator.worker import Worker

POISON = "poison"


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class DeadlyDisk(Disk):
    """Its process dies as soon as a receipt is on it, before anybody can act on that."""

    def overwrite(self, path: Path | str, data: bytes) -> None:
        super().overwrite(path, data)
        die()


class DyingDisk(Disk):
    """Its process dies before, or after, the n-th write that has to do with a job or with money."""

    def __init__(self, at: int, *, before: bool) -> None:
        self._left = at
        self._before = before

    def _step(self, act: Callable[[], None]) -> None:
        self._left -= 1
        if self._left == 0 and self._before:
            die()
        act()
        if self._left == 0:
            die()

    def replace(self, source: Path | str, target: Path | str) -> None:
        if str(target).endswith(".json"):
            self._step(lambda: Disk.replace(self, source, target))
        else:
            super().replace(source, target)

    def reserve(self, path: Path | str, size: int) -> None:
        self._step(lambda: Disk.reserve(self, path, size))

    def overwrite(self, path: Path | str, data: bytes) -> None:
        self._step(lambda: Disk.overwrite(self, path, data))

    def append(self, path: Path | str, data: bytes) -> None:
        self._step(lambda: Disk.append(self, path, data))


class Poisoned(ComfyUIService):
    """A service at which one prompt kills the worker, after a while."""

    async def run(self, held: Held) -> tuple[list[str], Cost | None]:
        if held.job.prompt == POISON:
            await asyncio.sleep(0.3)
            die()
        return await super().run(held)


async def work(said: dict[str, Any]) -> None:
    paths = Paths.load(Path(said["paths"]))
    settings = Settings.load(paths)
    disk = DeadlyDisk() if said.get("die_at_receipt") else Disk()
    if step := said.get("die_at_step"):
        disk = DyingDisk(abs(step), before=step < 0)
    store = Store(
        paths.jobs,
        disk=disk,
        lease_s=said.get("lease_s", 15.0),
        max_crashes=said.get("max_crashes", 5),
    )
    timing = Timing(poll_interval_s=0.1, vanish_s=0.3, grace_s=5.0)
    clients = [ComfyUI(url, timing=timing) for url in settings.comfy_urls]
    bfl = BFL(settings.bfl_base_url, settings.bfl_api_key or SecretStr(""), poll_interval_s=0.1)
    budget = Budget(per_day=settings.orchestrator_budget_per_day)
    worker = Worker(
        store,
        [
            (Poisoned if said.get("poison") else ComfyUIService)(clients, paths=paths),
            BFLService(
                bfl,
                images=paths.drop_out,
                till=Till(Ledger(paths.data / "ledger.jsonl", disk=disk), budget, store),
                load_input=lambda name: (paths.drop_in / name).read_bytes(),
                late_receipt_s=said.get("late_receipt_s", 1.0),
            ),
        ],
        policy=RetryPolicy(base_s=0.1, cap_s=1.0, max_attempts=said.get("max_attempts", 3)),
    )
    running = asyncio.ensure_future(worker.run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        await running
    except asyncio.CancelledError:
        pass
    finally:
        store.close()


def main(said: dict[str, Any], environment: dict[str, str], log: str) -> None:
    """Be that worker, in a process that was made for it: what it says goes to the file `log`."""
    os.environ.clear()
    os.environ.update(environment)
    with Path(log).open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    logging.basicConfig(level=logging.WARNING)
    if said.get("mutant"):
        MUTANTS[said["mutant"]]()
    asyncio.run(work(said))
