"""Calls are counted before they are made, for all processes; no window is ever gone over."""

from __future__ import annotations

import asyncio
import multiprocessing
import random
from collections import Counter, deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from search_far_ends import START, Clock

from orchestrator.parts.database import Database
from orchestrator.parts.errors import SourceError, SourceQuota, SourceRate
from orchestrator.parts.quota import Quota, Use, using
from orchestrator.parts.sources.base import Limit

DAY = Limit(calls=1000, window_s=86400)


class Counting:
    """A server that counts, and knows when it was called too often."""

    def __init__(self, limits: list[Limit]) -> None:
        self.limits = limits
        self.calls: deque[float] = deque()
        self.days: Counter[str] = Counter()
        self.too_many = 0

    def call(self, at: datetime) -> None:
        now = at.timestamp()
        self.calls.append(now)
        self.days[at.date().isoformat()] += 1
        while self.calls[0] <= now - max(
            one.window_s for one in self.limits if one.window_s < 86400
        ):
            self.calls.popleft()
        for one in self.limits:
            if one.window_s >= 86400:
                is_over = self.days[at.date().isoformat()] > one.calls
            else:
                is_over = sum(call > now - one.window_s for call in self.calls) > one.calls
            self.too_many += is_over


def a_quota(folder: Path, clock: Clock, limits: list[Limit]) -> Quota:
    async def sleep(seconds: float) -> None:
        clock.move(seconds)

    quota = Quota(
        Database(folder / "parts.sqlite"),
        now=clock,
        clock=lambda: clock.time.timestamp(),
        sleep=sleep,
    )
    quota.meter("x", limits)
    return quota


async def take(quota: Quota, *, interactive: bool = True, calls: int = 1) -> None:
    await quota.take("x", calls, interactive=interactive, deadline=None)


def test_in_a_day_of_eight_clients_no_limit_is_ever_gone_over(tmp_path: Path) -> None:
    limits = [Limit(calls=2, window_s=1), Limit(calls=30, window_s=60), DAY]
    server, clock, dice = Counting(limits), Clock(), random.Random(5)
    clients = [a_quota(tmp_path, clock, limits) for _ in range(8)]  # a connection each
    refused: Counter[str] = Counter()

    async def work() -> None:
        end = START.timestamp() + 86400
        while clock().timestamp() < end:
            for _ in range(dice.choice([1, 1, 5, 60])):  # bursts beside quiet
                try:
                    await take(dice.choice(clients))
                except SourceError as error:
                    refused[error.kind] += 1
                    clock.move(dice.choice([0, 0.01, 0.3]))
                else:
                    server.call(clock())
            clock.move(dice.expovariate(1 / 300))

    asyncio.run(work())
    assert server.too_many == 0
    assert sum(server.days.values()) > 1000  # and yet most of what is allowed was used
    assert max(server.days.values()) == 1000
    assert refused["quota"] > 0
    assert refused["rate"] > 0
    for client in clients:
        client._database.close()


def _client(folder: Path, count: int, made: Any) -> None:
    async def work() -> int:
        quota = Quota(Database(folder / "parts.sqlite"))
        meter = quota.meter("x", [Limit(calls=100, window_s=3600), DAY])
        done = 0
        for _ in range(count):
            try:
                await meter.take()
            except SourceRate:
                continue
            done += 1
        return done

    made.put(asyncio.run(work()))


def test_eight_processes_at_once_make_no_more_calls_than_one_may(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("fork")
    made = spawn.Queue()
    clients = [spawn.Process(target=_client, args=(tmp_path, 40, made)) for _ in range(8)]
    for client in clients:
        client.start()
    total = sum(made.get(timeout=60) for _ in clients)
    for client in clients:
        client.join()
        client.close()
    made.close()
    made.join_thread()
    assert total == 100


def test_a_second_that_is_full_is_waited_for_and_a_minute_is_not(tmp_path: Path) -> None:
    clock = Clock()
    quota = a_quota(tmp_path, clock, [Limit(calls=1, window_s=1), Limit(calls=3, window_s=60)])

    async def work() -> None:
        for _ in range(3):
            await take(quota)
        assert 2.0 <= (clock() - START).total_seconds() <= 2.3
        with pytest.raises(SourceRate) as caught:
            await take(quota)
        assert 55 < (caught.value.retry_after_s or 0) < 60

    asyncio.run(work())
    quota._database.close()


def test_waiting_never_goes_beyond_the_deadline_of_the_search(tmp_path: Path) -> None:
    clock = Clock()
    quota = a_quota(tmp_path, clock, [Limit(calls=1, window_s=1)])

    async def work() -> None:
        meter = quota.meter("x", [Limit(calls=1, window_s=1)])
        with using(Use(deadline=clock().timestamp() + 0.5)) as use:
            await meter.take()
            with pytest.raises(SourceRate):
                await meter.take()
        assert use.calls == 1

    asyncio.run(work())
    assert clock() == START
    quota._database.close()


def test_batches_leave_a_fifth_of_the_day_to_people(tmp_path: Path) -> None:
    clock = Clock()
    quota = a_quota(tmp_path, clock, [DAY])

    async def work() -> None:
        await take(quota, interactive=False, calls=800)
        with pytest.raises(SourceQuota):
            await take(quota, interactive=False)
        assert str(quota.left("x")) == "200 of 1000 left today"
        await take(quota, calls=200)
        with pytest.raises(SourceQuota) as caught:
            await take(quota)
        assert caught.value.retry_after_s == 12 * 3600
        clock.move(12 * 3600)
        await take(quota)
        assert str(quota.left("x")) == "999 of 1000 left today"

    asyncio.run(work())
    quota._database.close()


def test_what_the_headers_tell_holds_when_it_leaves_less(tmp_path: Path) -> None:
    clock = Clock()
    quota = a_quota(tmp_path, clock, [Limit(calls=30, window_s=60), DAY])

    async def work() -> None:
        await take(quota)
        quota.told("x", window_s=86400, limit=1000, remaining=12)
        assert quota.left("x").left == 12
        # told late: not more than before
        quota.told("x", window_s=86400, limit=1000, remaining=500)
        assert quota.left("x").left == 12
        quota.told("x", window_s=86400, limit=5000, remaining=None)
        assert str(quota.left("x")) == "4012 of 5000 left today"
        quota.told("x", window_s=60, limit=30, remaining=0)  # others use the same key
        with pytest.raises(SourceRate):
            await take(quota)
        clock.move(61)
        await take(quota)
        for nonsense in (-5, 0, 10**12):
            quota.told("x", window_s=86400, limit=nonsense, remaining=1)
        assert quota.left("x").limit == 5000

    asyncio.run(work())
    quota._database.close()


def test_a_clock_that_is_put_back_does_not_shut_a_window_for_long(tmp_path: Path) -> None:
    clock = Clock(datetime(2027, 1, 1, tzinfo=UTC))
    quota = a_quota(tmp_path, clock, [Limit(calls=1, window_s=60)])

    async def work() -> None:
        await take(quota)
        clock.time = START
        await take(quota)

    asyncio.run(work())
    quota._database.close()


def test_more_calls_than_a_window_ever_allows_are_refused_without_a_time(tmp_path: Path) -> None:
    quota = a_quota(tmp_path, Clock(), [Limit(calls=3, window_s=60)])
    with pytest.raises(SourceRate) as caught:
        asyncio.run(take(quota, calls=4))
    assert caught.value.retry_after_s is None
    quota._database.close()
