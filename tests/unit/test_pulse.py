"""Whether the monitor lives is judged by whether its note is renewed, whatever the clock on the wall says."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.health import Note, Pulse

STALE_S = 15.0
NOW = datetime(2026, 11, 23, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


def renew(file: Path, at: datetime, *, pid: int | None = None) -> None:
    Note(os.getpid() if pid is None else pid, at, NOW).write(file)


@pytest.mark.parametrize("jump", [timedelta(hours=-1), timedelta(days=1)])
def test_a_monitor_that_renews_its_note_lives_through_every_jump_of_the_clock(
    tmp_path: Path, jump: timedelta
) -> None:
    file, clock = tmp_path / "monitor.json", Clock()
    pulse = Pulse(file, stale_s=STALE_S, clock=clock)
    renew(file, NOW)
    assert pulse.beats()
    for n in range(10):
        clock.now += 10.0
        renew(file, NOW + jump + timedelta(seconds=10 * n))
        assert pulse.beats()


def test_a_note_that_is_renewed_no_more_is_dead_after_its_time_and_not_before(
    tmp_path: Path,
) -> None:
    file, clock = tmp_path / "monitor.json", Clock()
    pulse = Pulse(file, stale_s=STALE_S, clock=clock)
    renew(file, NOW)
    assert pulse.beats()
    clock.now += STALE_S - 1
    assert pulse.beats()
    clock.now += 1
    assert not pulse.beats()
    renew(file, NOW)  # by one whose clock stands still, which is no life either
    assert not pulse.beats()
    renew(file, NOW - timedelta(seconds=1))
    assert pulse.beats()


def test_a_note_whose_process_is_gone_is_dead_at_once(tmp_path: Path) -> None:
    file = tmp_path / "monitor.json"
    assert not Pulse(file).beats()
    renew(file, NOW, pid=2**22 + 1)
    assert not Pulse(file).beats()
