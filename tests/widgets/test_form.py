"""The form: what is typed becomes a job on the disk, or a remedy on the page."""

from __future__ import annotations

import asyncio
import io
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from page import answers, connect, press, until
from PIL import Image

from orchestrator import backends
from orchestrator.jobs import Job, Status
from orchestrator.lab import Lab
from orchestrator.ledger import Purchase
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.store import Store
from orchestrator.testing import Engine, make_job, make_lab
from orchestrator.widgets import GenerationForm
from orchestrator.widgets.asking import asked_for, with_next_seed
from orchestrator.widgets.choices import choice
from orchestrator.widgets.fields import fields_of, typed_params


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


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ({"params": {"width": "513", "steps": "0", "cfg": "7"}}, {"width", "steps"}),
        ({"count": "0"}, {"count"}),
        ({"backend": "dalle"}, set()),
    ],
)
def test_a_page_is_told_which_fields_to_correct(
    lab: Lab, typed: dict[str, Any], wrong: set[str]
) -> None:
    assert set(generate(lab, **typed)["wrong"]) == wrong


@pytest.mark.parametrize("name", backends.BACKENDS)
def test_a_backend_s_fields_are_those_it_takes_with_its_own_defaults(name: str) -> None:
    backend = backends.get(name)
    fields = choice(backend, has_key=True)["fields"]
    typed = typed_params({field["name"]: field["value"] for field in fields}, fields)
    assert backends.parse(backend, typed) == backends.parse(backend, {})


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
    known = backends.get(backend)
    seeds = [with_next_seed({"seed": last}, nth, known)["seed"] for nth in range(3)]
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
    ("sd15", {"loras": [{"name": "a, b", "strength": 0.123456789}], "hires_scale": 1.23456789}),
    ("sdxl", {"loras": "a:-0.5, b", "clipSkip": 2, "refiner": "r", "refinerAt": 0.7}),
    ("svd", {"seed": 3, "minCfg": 1.5, "outputFormat": "mp4", "augmentation": 1e-5}),
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
    sd15 = backends.get("sd15")
    assert asked_for(job, fields_of(sd15), sd15) == {"steps": "many", "width": "513"}


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
                assert form.offers["samplers"] == list(offers.samplers)
                assert form.offers["checkpoints"] == list(offers.checkpoints)
                form.close()

    asyncio.run(story())


# ------------------------------------------------------------------------------ money


def priced(tmp_path: Path, **settings: str) -> Lab:
    said = {"bfl_api_key": "k", "comfy_url": "http://127.0.0.1:9", **settings}
    return Lab(Paths.init(tmp_path), Settings.model_validate(said))


def test_the_jobs_of_one_press_are_confirmed_together_before_any_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)
    with priced(tmp_path, orchestrator_confirm_above="0.10") as lab:
        said = generate(lab, backend="flux", count="2")  # each alone is below
        assert not said["ok"]
        assert said["confirm"]["amount"] == "0.12"
        assert stored(lab) == []
        agreed = generate(lab, backend="flux", count="2", agreed="0.12")
        assert agreed["ok"]
        assert len(stored(lab)) == 2


@pytest.mark.parametrize("agreed", ["0.11", "", "NaN", "Infinity", "-1", True, 1, None, "x" * 99])
def test_what_was_not_agreed_to_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, agreed: Any
) -> None:
    connect(monkeypatch)
    with priced(tmp_path, orchestrator_confirm_above="0.10") as lab:
        assert "confirm" in generate(lab, backend="flux", count="2", agreed=agreed)
        assert stored(lab) == []


def test_below_the_limit_and_for_drafts_nothing_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)
    with priced(tmp_path, orchestrator_confirm_above="0.10") as lab:
        assert generate(lab, backend="flux")["ok"]
        assert generate(lab, backend="flux", count="9", hold=True)["ok"]
        assert generate(lab, backend="sd15", count="9")["ok"]


def answered(lab: Lab, action: str, **message: Any) -> dict[str, Any]:
    """What the form answers to a question of its page."""

    async def asked() -> dict[str, Any]:
        form = GenerationForm(lab)
        press(form, action, **message)
        await until(lambda: answers(form))
        said = answers(form)[0][0]
        form.close()
        return said

    return asyncio.run(asked())


def test_the_price_follows_the_parameters_and_the_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)
    with priced(tmp_path) as lab:
        bought = Purchase(key="k", job="j", fence=1, backend="flux", model="m", usd=Decimal("0.30"))
        lab.ledger.charge(lab.ledger.reserve(bought, budget=lab.budget), None)
        small = answered(lab, "cost", backend="flux-2-pro", params={}, count=9, number=4)
        assert (small["kind"], small["number"]) == ("cost", 4)
        assert small["text"] == "$0.03 each, $0.27 for 9"
        assert "$0.30 of $5.00" in small["today"]
        size = {"width": "2048", "height": "2048"}
        assert answered(lab, "cost", backend="flux-2-pro", params=size, count=1)["text"] == "$0.075"
        assert "error" in answered(
            lab, "cost", backend="flux-2-pro", params={"width": "x"}, count=1
        )
        assert "error" in answered(lab, "cost", backend="dalle", params={}, count=1)


# ------------------------------------------------------------------------------ words


def test_the_preview_is_what_is_sent(lab: Lab) -> None:
    asked = {"prompt": "a {red|blue|green} fox", "backend": "sd15"}
    params = {"styles": '["Anime"]', "seed": "11", "width": "not a number"}
    said = answered(lab, "words", params=params, number=1, **asked)
    generate(lab, **asked, params={"styles": '["Anime"]', "seed": "11"})
    (job,) = stored(lab)
    assert said["prompt"] == job.text
    assert said["ways"] == 1
    assert job.params["styles"] == ["Anime"]
    assert answered(lab, "words", params={}, number=1, **asked)["ways"] == 3


@pytest.mark.parametrize(
    ("prompt", "params", "said"),
    [
        ("a fox", {}, ""),
        ("  ", {"styles": '["Anime"]'}, ""),
        ("a fox", {"styles": '["No such style"]'}, None),
        ("a __nothing__ fox", {}, None),
    ],
)
def test_a_prompt_that_is_sent_as_it_stands_has_no_preview_and_a_bad_one_a_reason(
    lab: Lab, prompt: str, params: dict[str, str], said: str | None
) -> None:
    answer = answered(lab, "words", prompt=prompt, backend="sd15", params=params, number=1)
    assert answer.get("prompt") == said
    assert ("error" in answer) is (said is None)


# ------------------------------------------------------------------------------ pictures to begin with


def png(side: int = 40) -> bytes:
    out = io.BytesIO()
    Image.effect_noise((side, side), 50).save(out, "PNG")
    return out.getvalue()


def sent_in_pieces(lab: Lab, data: bytes, *, piece: int, name: str) -> list[dict[str, Any]]:
    """What the form answers to the pieces of a picture, one after the other."""

    async def sent() -> list[dict[str, Any]]:
        form = GenerationForm(lab)
        at = 0
        while True:
            message = {"action": "upload", "key": "k", "name": name, "size": len(data), "at": at}
            before = len(answers(form))
            form._handle_custom_msg(message, [memoryview(data[at : at + piece])])
            await until(lambda before=before: len(answers(form)) > before)  # type: ignore[misc]
            said = answers(form)[-1][0]
            if "error" in said or said["name"]:
                break
            at = said["at"]
        everything = [said for said, _ in answers(form)]
        form.close()
        return everything

    return asyncio.run(sent())


@pytest.mark.parametrize("piece", [100, 10_000])
def test_a_picture_that_comes_in_pieces_is_stored_whole_under_a_safe_name(
    lab: Lab, piece: int
) -> None:
    data = png()
    said = sent_in_pieces(lab, data, piece=piece, name="../../<b>.png")
    name = said[-1]["name"]
    assert "/" not in name
    assert (lab.paths.drop_in / name).read_bytes() == data
    assert list(lab.paths.drop_in.iterdir()) == [lab.paths.drop_in / name]


@pytest.mark.parametrize(
    ("data", "named"),
    [(b"", "empty"), (b"%PDF-1", "PDF"), (png()[:99], "damaged")],
    ids=["empty", "another kind", "half of one"],
)
def test_what_is_no_picture_is_refused_with_what_it_is(lab: Lab, data: bytes, named: str) -> None:
    (said,) = sent_in_pieces(lab, data, piece=1000, name="a.png")
    assert named in said["error"]
    assert said["remedy"]
    assert list(lab.paths.drop_in.iterdir()) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"at": 5},
        {"size": 10**12},
        {"size": "9"},
        {"at": None},
        {"size": 3},  # less than comes
    ],
)
def test_pieces_that_do_not_fit_together_are_refused(lab: Lab, wrong: dict[str, Any]) -> None:
    async def story() -> None:
        form = GenerationForm(lab)
        message = {"action": "upload", "key": "k", "name": "a.png", "size": 50, "at": 0} | wrong
        form._handle_custom_msg(message, [memoryview(b"12345")])
        await until(lambda: answers(form))
        assert "error" in answers(form)[0][0]
        form.close()

    asyncio.run(story())


def test_a_page_opened_for_a_picture_begins_with_it(lab: Lab) -> None:
    (lab.paths.drop_in / "sea.png").write_bytes(png())
    shown, said = opened(lab, "input=sea.png")
    assert said["good"]
    assert shown["params"] == {"image": "sea.png"}
    job = ask_as_shown(lab, shown | {"prompt": "a storm"})
    assert job.params["image"] == "sea.png"


@pytest.mark.parametrize("name", ["nothing.png", "../x.png", "%00", ".env.local", "a" * 3000])
def test_a_page_opened_for_a_picture_that_is_not_there_says_so(lab: Lab, name: str) -> None:
    shown, said = opened(lab, f"input={name}")
    assert not said["good"]
    assert shown["params"] == {}


def test_a_picture_is_picked_from_the_newest_as_a_copy_that_stays(lab: Lab) -> None:
    (lab.paths.drop_out / "a.png").write_bytes(png())
    said = answered(lab, "pick", file="a.png", key="k")
    (lab.paths.drop_out / "a.png").unlink()
    assert (lab.paths.drop_in / said["name"]).is_file()
    assert "error" in answered(lab, "pick", file="../a.png", key="k")


def test_a_picture_of_a_filled_in_job_that_has_gone_says_so(lab: Lab) -> None:
    async def story() -> None:
        form = GenerationForm(lab)
        press(form, "look", name="gone.png")
        await until(lambda: "gone.png" in form.inputs)
        assert "no picture" in form.inputs["gone.png"]["problem"]
        form.close()

    asyncio.run(story())


# ------------------------------------------------------------------------------ what there is


def test_a_workflow_put_into_its_folder_is_offered_and_a_bad_one_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)
    with make_lab(tmp_path, comfy_url="http://127.0.0.1:9") as lab:
        (lab.paths.workflows / "odd.json").write_text("[]")

        async def story() -> None:
            form = GenerationForm(lab)
            await until(lambda: "odd" in form.unavailable)
            assert "odd" not in {each["name"] for each in form.backends}
            form.close()

        asyncio.run(story())


def test_a_broken_file_of_styles_leaves_those_that_are_built_in(lab: Lab) -> None:
    lab.paths.data.mkdir(exist_ok=True)
    (lab.paths.data / "styles.json").write_bytes(b"\xff")

    async def names() -> set[str]:
        form = GenerationForm(lab)
        form.close()
        return {style["name"] for style in form.styles}

    assert "Anime" in asyncio.run(names())


def test_a_key_never_reaches_the_page(lab: Lab, tmp_path: Path) -> None:
    key = "key-that-nobody-may-see"
    settings = Settings.model_validate({"bfl_api_key": key, "comfy_url": "http://127.0.0.1:9"})

    async def state() -> str:
        with Lab(Paths.init(tmp_path), settings) as keyed:
            return repr(GenerationForm(keyed).get_state())

    assert key not in asyncio.run(state())
