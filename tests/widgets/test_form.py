"""The form: what is typed becomes a job on the disk, or a remedy on the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from page import connect, press, until

from orchestrator import backends
from orchestrator.jobs import Status
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.testing import make_lab
from orchestrator.widgets import GenerationForm
from orchestrator.widgets.form import choice, typed_params


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        yield lab


def generate(lab: Lab, **typed: Any) -> dict[str, Any]:
    """Press the button; returns what the form says."""

    async def pressed() -> dict[str, Any]:
        form = GenerationForm(lab)
        wanted = {"number": 7, "prompt": "a fox", "backend": "sd15", "hold": False, "params": {}}
        press(form, "generate", **wanted | typed)
        await until(lambda: form.outcome)
        form.close()
        return dict(form.outcome)

    return asyncio.run(pressed())


def stored(lab: Lab) -> list[Any]:
    """The jobs as another process finds them."""
    other = Store(lab.paths.jobs)
    other.refresh()
    jobs, _ = other.page()
    other.close()
    return jobs


def test_a_typed_request_is_a_job_on_the_disk_with_numbers_as_numbers(lab: Lab) -> None:
    typed = {"steps": "8", "cfg": "6.5", "seed": "18446744073709551615", "sampler": "heun"}
    said = generate(lab, params={**typed, "negative_prompt": "7", "width": ""})
    (job,) = stored(lab)
    assert said["ok"]
    assert said["number"] == 7
    assert job.id.startswith(said["id"])
    assert job.status is Status.QUEUED
    numbers = {"steps": 8, "cfg": 6.5, "seed": 2**64 - 1, "sampler": "heun"}
    assert job.params == {**numbers, "negative_prompt": "7"}


def test_an_empty_seed_is_chosen_and_stored(lab: Lab) -> None:
    generate(lab, params={"seed": " "})
    (job,) = stored(lab)
    assert isinstance(job.params["seed"], int)


def test_a_held_request_is_a_draft(lab: Lab) -> None:
    said = generate(lab, hold=True)
    (job,) = stored(lab)
    assert job.hold
    assert job.status is Status.CREATED
    assert "draft" in said["text"]


def test_a_hostile_prompt_is_stored_as_it_was_typed(lab: Lab) -> None:
    prompt = '<img src=x onerror="alert(1)"> ${7*7} {{7*7}} \'; DROP TABLE jobs; -- \u202e\nfox'
    generate(lab, prompt=prompt)
    (job,) = stored(lab)
    assert job.prompt == prompt


@pytest.mark.parametrize(
    ("typed", "named", "remedy"),
    [
        ({"prompt": "  "}, "prompt", "Say what"),
        ({"params": {"width": "513"}}, "width = 513", "Correct"),
        ({"params": {"steps": "many"}}, "steps", "Correct"),
        ({"params": {"priority": "9"}}, "priority is not a parameter", "takes"),
        ({"params": {"hold": "x", "prompt": "y", "backend": "z"}}, "hold", "takes"),
        ({"backend": "dalle"}, "nvalid backend", "Choose one of"),
        ({"prompt": "x" * 20_000}, "20,000", "Shorten"),
        ({"prompt": "\ud800"}, "JSON", ""),
    ],
)
def test_a_bad_request_is_told_with_its_remedy_and_makes_no_job(
    lab: Lab, typed: dict[str, Any], named: str, remedy: str
) -> None:
    said = generate(lab, **typed)
    assert not said["ok"]
    assert named in said["text"]
    assert remedy in said["remedy"]
    assert stored(lab) == []


@pytest.mark.parametrize("name", backends.BACKENDS)
def test_a_backend_s_fields_are_those_it_takes_with_its_own_defaults(name: str) -> None:
    backend = backends.get(name)
    fields = {field["name"]: field["value"] for field in choice(backend, has_key=True)["fields"]}
    typed = backends.parse(backend, typed_params(fields))
    assert typed == backends.parse(backend, {})


def test_flux_has_a_shape_instead_of_a_size_and_says_its_price() -> None:
    shown = choice(backends.get("flux"), has_key=False)
    names = {field["name"] for field in shown["fields"]}
    assert "aspect_ratio" in names
    assert not names & {"width", "height", "steps", "cfg", "sampler", "scheduler"}
    assert "$0.06" in shown["price"]
    assert "BFL_API_KEY" in shown["note"]


def test_the_form_opens_with_a_backend_that_costs_nothing(lab: Lab) -> None:
    async def opened() -> str:
        return str(GenerationForm(lab).values["backend"])

    assert not backends.get(asyncio.run(opened())).paid


def test_a_key_never_reaches_the_page(lab: Lab, tmp_path: Path) -> None:
    key = "key-that-nobody-may-see"
    settings = Settings.model_validate({"bfl_api_key": key, "comfy_url": "http://127.0.0.1:9"})

    async def state() -> str:
        with Lab(Paths.init(tmp_path), settings) as keyed:
            return repr(GenerationForm(keyed).get_state())

    assert key not in asyncio.run(state())
