"""How much one client may ask, while the clock on the wall is set."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.server.limits import Limits, Rate


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize("jump_s", [-3600.0, 3600.0])
def test_a_client_that_was_refused_is_heard_when_the_clock_has_been_set(jump_s: float) -> None:
    wall, clock = Clock(1e9), Clock(50.0)
    limits = Limits(writes=Rate(2, 1000), wall=wall, clock=clock)

    async def story() -> list[bool]:
        said = [await limits.wait_s("a", writing=True) for _ in range(3)]
        wall.now += 5.0
        clock.now += 5.0
        said.append(await limits.wait_s("a", writing=True))
        wall.now += jump_s
        said += [await limits.wait_s("a", writing=True) for _ in range(3)]
        return [each is None for each in said]

    assert asyncio.run(story()) == [True, True, False, False, True, True, False]
