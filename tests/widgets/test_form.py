"""The form: what is typed becomes a job on the disk, or a remedy on the page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from page import connect, press, until

from orchestrator import backends
from orchestrator.jobs import Job, Status
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.testing import Engine, make_job, make_lab
from orchestrator.widgets import GenerationForm
from orchestrator.widgets.form import asked_for, choice, typed_params, with_next_seed


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


def stored(lab: Lab) -> list[Job]:
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
        ({"count": "51"}, "How many = 51", "Correct"),
        ({"count": "0"}, "How many = 0", "Correct"),
        ({"count": "-1"}, "How many = -1", "Correct"),
        ({"count": "1e9"}, "How many = 1e9", "Correct"),
        ({"count": True}, "How many = True", "Correct"),
        ({"count": ""}, "How many", "Correct"),
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


# ------------------------------------------------------------------------------ several at once


def test_several_jobs_of_one_press_have_seeds_that_go_up_from_the_typed_one(lab: Lab) -> None:
    said = generate(lab, count="3", params={"seed": "41"})
    assert sorted(job.params["seed"] for job in stored(lab)) == [41, 42, 43]
    assert said["text"] == "3 jobs are in the queue"


def test_several_jobs_without_a_seed_have_one_each(lab: Lab) -> None:
    said = generate(lab, count=4, hold=True)
    jobs = stored(lab)
    assert len({job.params["seed"] for job in jobs}) == 4
    assert all(job.hold for job in jobs)
    assert "drafts" in said["text"]


@pytest.mark.parametrize(
    ("backend", "last"), [("sd15", 2**64 - 1), ("sdxl", 2**64 - 1), ("flux", 2**32 - 1)]
)
def test_a_seed_after_the_last_one_is_the_first(backend: str, last: int) -> None:
    seeds = [with_next_seed({"seed": last}, nth, backend)["seed"] for nth in range(3)]
    assert seeds == [last, 0, 1]
    backends.parse(backends.get(backend), {"seed": seeds[1]})


# ------------------------------------------------------------------------------ asked again


def opened(lab: Lab, query: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Open the page at an address; returns what the form shows and says."""

    async def page() -> tuple[dict[str, Any], dict[str, Any]]:
        form = GenerationForm(lab)
        press(form, "opened", query=query)
        await until(lambda: form.notice)
        form.close()
        return dict(form.values), dict(form.notice)

    return asyncio.run(page())


def ask_as_shown(lab: Lab, shown: dict[str, Any]) -> Job:
    before = {job.id for job in stored(lab)}
    assert generate(lab, **shown)["ok"]
    (job,) = [job for job in stored(lab) if job.id not in before]
    return job


ASKED = [
    ("sd15", {"seed": 2**64 - 1, "steps": 3, "negativePrompt": "blur", "checkpoint": "x.safetensors"}),
    ("sdxl", {"seed": 0, "samplerName": "Euler a", "cfg": 1.5, "batch_size": 2}),
    ("flux", {"seed": 9, "aspect_ratio": "16:9", "raw": True, "safety_tolerance": 0}),
    ("flux", {"width": 640, "height": 480}),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "params"), ASKED)
def test_a_page_opened_for_a_job_asks_for_the_same_again(
    lab: Lab, backend: str, params: dict[str, Any]
) -> None:
    job = lab.submit("a fox\nat <b>dawn</b>", backend=backend, params=params)
    shown, said = opened(lab, f"again={job.id}")
    assert said["good"]
    twin = ask_as_shown(lab, shown)
    assert (twin.prompt, twin.backend) == (job.prompt, job.backend)
    kind = backends.get(backend)
    one, other = (backends.parse(kind, each.params).model_dump() for each in (job, twin))
    if "aspect_ratio" in one:  # what is sent; the size only chose it
        one, other = ({**each, "width": 0, "height": 0} for each in (one, other))
    assert one == other


@pytest.mark.parametrize(("backend", "params"), ASKED)
def test_a_page_opened_to_vary_a_job_chooses_another_seed(
    lab: Lab, backend: str, params: dict[str, Any]
) -> None:
    job = lab.submit("a fox", backend=backend, params=params)
    shown, _ = opened(lab, f"vary={job.id}&x=1")
    assert shown["params"]["seed"] == ""
    assert ask_as_shown(lab, shown).params["seed"] != job.params["seed"]


def test_a_job_of_a_backend_that_has_gone_keeps_its_prompt(lab: Lab) -> None:
    job = lab.store.create(make_job("an old one", backend="sd99"))
    shown, said = opened(lab, f"again={job.id}")
    assert shown["prompt"] == "an old one"
    assert shown["backend"] == "sd15"
    assert not said["good"]


def test_an_old_job_s_bad_parameters_are_shown_to_be_corrected(lab: Lab) -> None:
    job = make_job("an old one", params={"steps": "many", "width": 513, "priority": [1]})
    assert asked_for(job) == {"steps": "many", "width": "513"}


@pytest.mark.parametrize("job_id", ["nothing", "../x", "%00", "a" * 3000])
def test_a_page_opened_for_a_job_that_is_not_there_says_so(lab: Lab, job_id: str) -> None:
    shown, said = opened(lab, f"again={job_id}")
    assert shown["prompt"] == ""
    assert not said["good"]


def test_the_form_offers_what_the_server_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)

    async def story() -> None:
        async with Engine() as engine:
            with make_lab(tmp_path, comfy_url=engine.url) as lab:
                form = GenerationForm(lab)
                await until(lambda: form.offers)
                offers = await lab.offers()
                assert form.offers["sampler"] == list(offers.samplers)
                assert form.offers["scheduler"] == list(offers.schedulers)
                form.close()

    asyncio.run(story())


def test_a_key_never_reaches_the_page(lab: Lab, tmp_path: Path) -> None:
    key = "key-that-nobody-may-see"
    settings = Settings.model_validate({"bfl_api_key": key, "comfy_url": "http://127.0.0.1:9"})

    async def state() -> str:
        with Lab(Paths.init(tmp_path), settings) as keyed:
            return repr(GenerationForm(keyed).get_state())

    assert key not in asyncio.run(state())
