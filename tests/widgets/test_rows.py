"""What a page shows of a job."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from orchestrator.errors import InvalidTransition
from orchestrator.jobs import Failure, Job, Phase, Progress, Resolved, Status
from orchestrator.remedies import may_pay_again
from orchestrator.testing import make_job
from orchestrator.widgets.rows import actions, label, live, row, settings

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOVES = {
    "run": lambda job: job.release(now=NOW),
    "cancel": lambda job: job.cancel(now=NOW),
    "retry": lambda job: job.release(now=NOW),
}
BROKEN = Failure(kind="unreachable", message="It is away", remedy="Start it.")


def running() -> Job:
    claimed = make_job().claim(worker="w", host="h", slot=None, now=NOW)
    return claimed.begin_attempt(service="bfl", host="api", now=NOW)


def failed(*, ambiguous: bool = False) -> Job:
    return running().fail(BROKEN, now=NOW, ambiguous=ambiguous)


STATES = {
    "draft": make_job(status=Status.CREATED, hold=True),
    "dropped in": make_job(status=Status.CREATED),
    "queued": make_job(),
    "held": make_job().claim(worker="w", host="h", slot=None, now=NOW).put_aside(BROKEN),
    "running": running(),
    "failed": failed(),
    "cancelled": make_job().cancel(now=NOW),
    "done": running().finish(["/x/a.png"], now=NOW),
}


@pytest.mark.parametrize("state", STATES)
def test_a_job_has_the_buttons_that_would_do_something_and_no_others(state: str) -> None:
    job, offered = STATES[state], set(actions(STATES[state]))
    for action in offered & set(MOVES):
        assert MOVES[action](job) is not job
    if not offered & {"run", "retry"}:
        with pytest.raises(InvalidTransition):
            job.release(now=NOW)
    if "cancel" not in offered:
        with pytest.raises(InvalidTransition):
            job.cancel(now=NOW)
    assert ("delete" in offered) is job.is_terminal
    assert {"raise", "lower"} <= offered or job.is_terminal or job.status is Status.RUNNING
    assert "duplicate" in offered


def test_a_held_job_tells_why_and_what_to_do_and_not_that_it_is_tried_again() -> None:
    shown = row(STATES["held"])
    assert (shown["label"], shown["failure"]["text"]) == ("held", "Held. It is away")
    assert shown["failure"]["remedy"] == "Start it."
    assert row(STATES["held"].release(now=NOW))["failure"] is None
    assert label(STATES["draft"]) == "draft"


def test_a_job_that_is_being_cancelled_says_so_and_cannot_be_cancelled_again() -> None:
    cancelling = running().cancel(now=NOW)
    assert label(cancelling) == "cancelling"
    assert actions(cancelling) == ["duplicate"]


def test_a_done_job_without_pictures_has_nothing_to_view() -> None:
    assert actions(running().finish([], now=NOW)) == ["duplicate", "delete"]


def test_a_priority_at_its_end_goes_only_the_other_way() -> None:
    assert "raise" not in actions(make_job(priority=1000))
    assert "lower" not in actions(make_job(priority=-1000))


def test_only_an_attempt_that_may_have_been_paid_needs_a_second_click() -> None:
    assert may_pay_again(failed(ambiguous=True))
    assert not may_pay_again(failed())
    assert not may_pay_again(running().with_attempt(phase=Phase.AMBIGUOUS))


def test_a_failure_keeps_its_remedy_and_one_that_is_tried_again_says_so() -> None:
    shown = row(failed())["failure"]
    assert (shown["text"], shown["remedy"]) == ("It is away", "Start it.")
    again = row(running().requeue(BROKEN, delay_s=2, now=NOW))["failure"]
    assert again["text"] == "Will be tried again. It is away"


def test_a_prompt_stays_text_on_one_line_and_is_whole_on_hover() -> None:
    prompt = "<img src=x onerror=alert(1)>\n\x1b[31m" + "very " * 30 + "red"
    shown = row(make_job(prompt))
    assert shown["prompt"].startswith("<img src=x onerror=alert(1)> [31m")
    assert len(shown["prompt"]) == 50
    assert shown["prompt"].endswith("…")
    assert shown["whole"].endswith("very red")
    assert "\n" not in shown["whole"]


@pytest.mark.parametrize("state", STATES)
def test_a_row_can_be_sent_as_json(state: str) -> None:
    assert json.loads(json.dumps(row(STATES[state]))) == row(STATES[state])


def test_a_job_of_a_backend_that_is_not_known_any_more_is_still_shown() -> None:
    assert row(make_job(backend="sd99"))["backend"] == "sd99"


def test_progress_says_nothing_that_the_service_did_not_say() -> None:
    assert live(None) is None
    told = live(Progress(text="waiting on the server"))
    assert told == {"fraction": 0.0, "step": None, "steps": None, "text": "waiting on the server"}


def test_progress_stays_within_its_bar() -> None:
    shown = [live(Progress(fraction=fraction)) for fraction in (-1.0, 7.0)]
    assert [each and each["fraction"] for each in shown] == [0.0, 1.0]


def test_the_seed_is_named_first_and_the_old_system_s_names_are_understood() -> None:
    job = make_job(params={"samplerName": "euler", "seed": 0, "steps": 4, "unknown": "x"})
    assert settings(job) == [["seed", "0"], ["steps", "4"], ["sampler", "euler"]]


def test_lists_are_said_in_words() -> None:
    loras = [{"name": "<b>ink", "strength": 0.8}, {"name": "fog"}, "odd"]
    job = make_job(params={"loras": loras, "styles": ["Anime", "Photo"]})
    assert settings(job) == [["styles", "Anime, Photo"], ["LoRAs", "<b>ink 0.8, fog 1, odd"]]


def test_a_row_says_what_was_sent_only_when_it_was_something_else() -> None:
    job = make_job("a __colour__ fox")
    assert row(job)["sent"] == ""
    assert row(job.having(resolved=Resolved(prompt="a red\nfox")))["sent"] == "a red fox"


def test_a_film_is_known_by_its_backend_or_its_file() -> None:
    film = running().finish(["/x/a.MP4"], now=NOW)
    assert row(film)["moves"]
    assert row(make_job(backend="svd"))["moves"]
    assert not row(STATES["done"])["moves"]


def test_a_job_put_aside_says_why_and_can_be_run() -> None:
    aside = make_job().claim(worker="w", host="h", slot=None, now=NOW).put_aside(BROKEN)
    shown = row(aside)
    assert shown["label"] == "held"
    assert shown["failure"]["text"] == "Held. It is away"
    assert shown["actions"][0] == "run"
