"""The guardian in the server's process is looked after, too: it is brought back when it ends and when it hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

from orchestrator.lab import Lab
from orchestrator.server.guarding import Guarding


class Sleeper:
    """A guardian that does nothing, as long as it is let."""

    comfyuis: tuple[()] = ()
    is_in_charge = False

    def __init__(self) -> None:
        self.beat_at = 0.0
        self.begun = self.ended = 0
        self.act: Callable[[], None] = lambda: None

    async def run(self) -> None:
        self.begun += 1
        try:
            while True:
                self.act()
                await asyncio.sleep(0.02)
        finally:
            self.ended += 1


class OneGuardian:
    """A lab with that guardian."""

    def __init__(self, guardian: Sleeper) -> None:
        self._guardian = guardian

    def guardian(self, wards: Any) -> Sleeper:
        return self._guardian


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)


async def guarding(sleeper: Sleeper, story: Callable[[], Any], **options: Any) -> None:
    care = Guarding(cast("Lab", OneGuardian(sleeper)), **options)
    care.start()
    try:
        await story()
    finally:
        await care.stop()
    assert sleeper.ended == sleeper.begun


def test_a_guardian_that_ended_is_started_again() -> None:
    sleeper = Sleeper()

    def fail() -> None:
        sleeper.act = lambda: None
        raise ZeroDivisionError

    async def story() -> None:
        await until(lambda: sleeper.begun == 1)
        sleeper.act = fail
        await until(lambda: sleeper.begun == 2)

    asyncio.run(guarding(sleeper, story))


def test_a_guardian_whose_heart_stands_still_is_ended_and_started_again() -> None:
    sleeper = Sleeper()

    async def story() -> None:
        await until(lambda: sleeper.begun == 2)  # nobody lets its heart beat
        assert sleeper.ended == 1

    asyncio.run(guarding(sleeper, story, hangs_s=0.5))


def test_a_guardian_whose_heart_beats_is_left_alone() -> None:
    sleeper = Sleeper()

    def beat() -> None:
        sleeper.beat_at = time.monotonic()

    async def story() -> None:
        sleeper.act = beat
        await asyncio.sleep(2.5)
        assert sleeper.begun == 1

    asyncio.run(guarding(sleeper, story, hangs_s=0.5))
