"""The last day of the services, from the guardian's lines: what ran when, and what a plot of it is drawn from."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from orchestrator import plots
from orchestrator.widgets.past import STRIP, memory_in_words, past, waiting_in_words

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RUNNING = dict.fromkeys(("panel", "comfyui", "worker", "monitor", "guardian"), "running")


def line(minutes_ago: float, **more: Any) -> dict[str, Any]:
    """A line of the guardian's, so many minutes ago."""
    services = {**RUNNING, "engine": "unknown", "bfl": "unknown", **more.pop("services", {})}
    memory = {"panel": 150e6, "guardian": 150e6, "worker": 200e6}
    at = (NOW - timedelta(minutes=minutes_ago)).isoformat()
    return {"at": at, "services": services, "memory": memory, "oldestWaitingS": None, **more}


def named(found: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in found["services"]}


def test_a_service_that_fell_twice_says_how_long_it_was_up_and_when_it_was_not() -> None:
    down = {"services": {"worker": "stopped"}}
    lines = [line(m, **(down if m in {600, 599, 10} else {})) for m in range(1439, -1, -1)]
    found = past(lines, now=NOW)
    worker = named(found)["worker"]
    assert worker["falls"] == 2
    assert worker["up"] == (1440 - 3) / 1440
    assert len(worker["strip"]) == STRIP
    assert worker["strip"].count("m") == 2
    assert worker["strip"].count("u") == STRIP - 2
    assert named(found)["panel"]["strip"] == "u" * STRIP
    assert "engine" not in named(found)  # nobody needs it there
    assert found["looks"] == 1440


def test_a_stretch_in_which_nobody_looked_is_neither_up_nor_down() -> None:
    found = past([line(1430), line(2, services={"worker": "stopped"})], now=NOW)
    strip = named(found)["worker"]["strip"]
    assert (strip[0], strip[-1], set(strip[1:-1])) == ("u", "d", {"-"})


def test_older_lines_and_none_at_all_say_nothing() -> None:
    assert past([], now=NOW) == {}
    assert past([line(1500)], now=NOW) == {}


def test_services_of_one_process_are_one_line_of_the_plot_which_has_a_few_hundred_points() -> None:
    lines = [line(m, oldestWaitingS=600.0 if m == 30 else None) for m in range(1439, -1, -1)]
    found = past(lines, now=NOW)["plots"]
    assert set(found["memory"]) == {"Panel, Guardian", "Worker"}
    assert len(found["at"]) == len(found["waiting"]) == 288
    assert max(found["waiting"]) == 600.0
    assert "Worker 200 MB" in memory_in_words(found)
    assert "600 s" in waiting_in_words(found)


def test_lines_of_another_version_or_of_nonsense_break_nothing() -> None:
    odd = [{"at": NOW.isoformat(), "services": [1], "memory": {"worker": "much"}}]
    odd += [{"at": NOW.isoformat(), "services": {"worker": "<b>fine</b>", "panel": None}}]
    found = past(odd, now=NOW)
    assert found["services"] == []
    assert found["plots"]["memory"] == {}
    assert json.loads(json.dumps(found)) == found


def test_the_past_is_drawn_also_where_there_are_no_jobs(tmp_path: Path) -> None:
    import matplotlib as mpl  # half a second that no other worker need spend

    found = past([line(m) for m in (900, 60, 59, 0)], now=NOW)["plots"]
    drawn = plots.draw({"total": 0}, zone="Asia/Kolkata", cache=tmp_path, past=found)
    assert set(drawn) == {"memory", "waiting"}
    assert b"Worker" in drawn["memory"]["light"]
    assert drawn["memory"]["light"] != drawn["memory"]["dark"]
    nothing = past([{"at": NOW.isoformat()}], now=NOW)["plots"]
    with mpl.rc_context():  # as that process draws
        assert set(plots.drawings({"zone": "UTC", "past": nothing})) == {"memory", "waiting"}
