"""How long to wait for a prompt: every decision with the time given."""

from __future__ import annotations

import pytest

from orchestrator.connectors.comfyui_vigil import QUICK_S, Timing, Vigil
from orchestrator.connectors.comfyui_wire import (
    RUNNING,
    UNKNOWN,
    RemoteFile,
    RemoteState,
    RemoteStatus,
)
from orchestrator.errors import (
    Interrupted,
    NoImages,
    NotAuthorised,
    OutOfMemory,
    PromptVanished,
    RateLimited,
    ServiceBroken,
    ServiceTimeout,
    ServiceUnreachable,
)

TIMING = Timing()
PENDING = RemoteState(RemoteStatus.PENDING)
FILE = RemoteFile("a.png", "", "output", "images")


def vigil(*, armed: bool = True) -> Vigil:
    return Vigil("id", timing=TIMING, now=0.0, armed=armed)


def test_an_armed_vigil_leaves_the_server_alone_until_the_first_poll() -> None:
    assert vigil(armed=True).next_look_s(0.0) == TIMING.poll_interval_s
    assert vigil(armed=False).next_look_s(0.0) == 0.0


def test_without_the_socket_the_looks_start_quick_and_settle_at_the_interval() -> None:
    watch, now, pauses = vigil(armed=False), 0.0, []
    for _ in range(8):
        now += watch.next_look_s(now)
        watch.saw(RUNNING, now)
        pauses.append(watch.next_look_s(now))
    assert pauses[0] == QUICK_S
    assert pauses == sorted(pauses)
    assert pauses[-1] == TIMING.poll_interval_s


def test_looks_become_rare_while_the_socket_is_lively_and_frequent_when_it_falls_silent() -> None:
    watch, now = vigil(), 0.0
    for _ in range(6):
        now += watch.next_look_s(now)
        watch.heard(now)
        watch.saw(RUNNING, now)
    assert watch.next_look_s(now) == TIMING.lively_interval_s
    now += TIMING.lively_interval_s
    watch.saw(RUNNING, now)
    assert watch.next_look_s(now) == TIMING.poll_interval_s


def test_an_end_told_by_the_socket_is_looked_at_once() -> None:
    watch = vigil()
    watch.hurry(0.3)
    assert watch.next_look_s(0.3) == 0.0
    watch.saw(RUNNING, 0.3)  # the server has not noted it yet
    assert watch.next_look_s(0.3) == pytest.approx(QUICK_S)


def test_what_is_done_gives_its_files() -> None:
    assert vigil().saw(RemoteState(RemoteStatus.DONE, files=(FILE,)), 1.0) == (FILE,)


def test_what_is_done_without_a_file_made_no_images() -> None:
    with pytest.raises(NoImages):
        vigil().saw(RemoteState(RemoteStatus.DONE), 1.0)


def test_what_failed_raises_the_servers_own_error() -> None:
    error = OutOfMemory("at node 3")
    with pytest.raises(OutOfMemory) as caught:
        vigil().saw(RemoteState(RemoteStatus.FAILED, error=error), 1.0)
    assert caught.value is error


def test_what_was_cancelled_was_interrupted() -> None:
    with pytest.raises(Interrupted):
        vigil().saw(RemoteState(RemoteStatus.CANCELLED), 1.0)


def test_a_prompt_vanished_only_if_two_looks_apart_find_no_trace() -> None:
    watch = vigil()
    watch.saw(UNKNOWN, 1.0)
    assert watch.next_look_s(1.0) <= TIMING.vanish_s
    watch.saw(UNKNOWN, 1.0 + TIMING.vanish_s / 2)
    with pytest.raises(PromptVanished):
        watch.saw(UNKNOWN, 1.0 + TIMING.vanish_s)


def test_a_trace_in_between_forgives_an_unknown() -> None:
    watch = vigil()
    watch.saw(UNKNOWN, 1.0)
    watch.saw(PENDING, 2.0)
    watch.saw(UNKNOWN, 3.0)
    watch.heard(4.0)
    watch.saw(UNKNOWN, 5.0)


def test_a_prompt_that_we_cancelled_while_pending_is_interrupted_and_not_vanished() -> None:
    watch = vigil()
    watch.cancelled = True
    with pytest.raises(Interrupted):
        watch.saw(UNKNOWN, 1.0)


def test_a_server_that_is_away_gets_its_grace_and_no_more() -> None:
    watch = vigil()
    watch.failed(ServiceUnreachable("refused"), 10.0)
    watch.failed(ServiceBroken("502"), 10.0 + TIMING.grace_s - 1)
    with pytest.raises(ServiceUnreachable):
        watch.failed(ServiceUnreachable("refused"), 10.0 + TIMING.grace_s)


@pytest.mark.parametrize("back", ["an answer", "an event"])
def test_a_server_that_came_back_gets_its_grace_anew(back: str) -> None:
    watch = vigil()
    watch.failed(ServiceUnreachable("refused"), 0.0)
    if back == "an answer":
        watch.saw(RUNNING, 20.0)
    else:
        watch.heard(20.0)
    watch.failed(ServiceUnreachable("refused"), TIMING.grace_s)


def test_a_server_that_takes_connections_and_is_deaf_gets_the_patience_of_a_slow_step() -> None:
    watch = vigil()
    watch.failed(ServiceTimeout("deaf"), 0.0)
    watch.failed(ServiceTimeout("deaf"), TIMING.stall_s - 1)
    with pytest.raises(ServiceTimeout):
        watch.failed(ServiceTimeout("deaf"), TIMING.stall_s)


def test_a_refusal_that_cannot_mend_itself_is_raised_at_once() -> None:
    with pytest.raises(NotAuthorised):
        vigil().failed(NotAuthorised("401"), 0.0)


def test_a_server_that_asks_for_a_pause_gets_it() -> None:
    watch = vigil()
    watch.failed(RateLimited("429", retry_after_s=7.0), 0.0)
    assert watch.next_look_s(0.0) == 7.0


def test_a_prompt_that_runs_without_any_change_has_stalled() -> None:
    watch = vigil()
    watch.saw(RUNNING, 1.0)
    watch.saw(RUNNING, TIMING.stall_s)
    with pytest.raises(ServiceTimeout, match="without any progress"):
        watch.saw(RUNNING, 1.0 + TIMING.stall_s)


def test_progress_on_the_socket_puts_off_the_stall() -> None:
    watch = vigil()
    watch.saw(RUNNING, 1.0)
    watch.heard(TIMING.stall_s)
    watch.saw(RUNNING, 2 * TIMING.stall_s - 1)


def test_a_prompt_may_be_pending_for_ever() -> None:
    watch = vigil()
    watch.saw(PENDING, 1.0)
    watch.saw(PENDING, 100 * TIMING.stall_s)
