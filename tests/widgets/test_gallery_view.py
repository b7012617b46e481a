"""The gallery's view: what it answers a page that asks for a part of the list, or that presses something."""

from __future__ import annotations

import asyncio
import base64
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from page import answers, connect, press, until
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from orchestrator.images import publish
from orchestrator.jobs import Failure, Job, Status
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.recipes import Recipe
from orchestrator.settings import Settings
from orchestrator.testing import make_job, make_lab
from orchestrator.widgets.gallery import HEAD, MOST, Gallery
from orchestrator.widgets.pictures import facts, job_state, sent

BEGAN = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
HOSTILE = '<img src=x onerror="alert(1)">\u202e\n\x1b[31m'


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        yield lab


def recipe(job: Job, *, minutes: int = 0, **fields: Any) -> Recipe:
    made = {
        "job_id": job.id,
        "attempt": 1,
        "index": 0,
        "backend": job.backend,
        "prompt": job.prompt,
        "params": job.params,
        "seed": job.params.get("seed"),
        "service": "comfyui",
        "host": "http://127.0.0.1:8188",
        "workflow": {"3": {"class_type": "KSampler", "inputs": {}}},
        "created_at": BEGAN + timedelta(minutes=minutes),
        "software": "orchestrator 0",
    }
    return Recipe.model_validate(made | fields)


def picture(
    lab: Lab, prompt: str, *, minutes: int = 0, backend: str = "sd15", **fields: Any
) -> tuple[Job, str]:
    """A done job with its picture in dropOut, as a worker leaves it."""
    job = make_job(prompt, backend=backend)
    made = recipe(job, minutes=minutes, **fields)
    published = publish(png(minutes), folder=lab.paths.drop_out, stem=job.id, recipe=made)
    claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    lab.store.create(claimed.finish([str(published.path)], now=job.created_at))
    return job, published.path.name


def stray(lab: Lab, name: str) -> str:
    (lab.paths.drop_out / name).write_bytes(png(99))
    return name


def png(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (8, 6), (shade % 256, 120, 160)).save(out, "PNG")
    return out.getvalue()


async def ask(view: Gallery, action: str, **message: Any) -> dict[str, Any]:
    """What the view answers to a question of its page."""
    key = f"{action}/{len(answers(view))}"
    press(view, action, key=key, **message)
    found: list[dict[str, Any]] = []

    def answered() -> bool:
        found[:] = [said for said, _ in answers(view) if said.get("key") == key]
        return bool(found)

    await until(answered)
    return found[0]


async def window(view: Gallery, **message: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (await ask(view, "window", **message))["answer"]
    return answer


def files(answer: dict[str, Any]) -> list[str]:
    return [item["file"] for item in answer["items"]]


# ------------------------------------------------------------------------------ the list


def test_the_page_is_sent_the_newest_pictures_without_asking(lab: Lab) -> None:
    async def story() -> None:
        names = [picture(lab, f"fox {n}", minutes=n)[1] for n in range(3)]
        view = Gallery(lab)
        await until(lambda: view.head)
        assert files(view.head) == names[::-1]
        assert view.head["total"] == 3
        assert view.backends == [["sd15", "SD 1.5"]]
        view.close()

    asyncio.run(story())


def test_a_window_is_the_part_of_the_list_that_was_asked_for(lab: Lab) -> None:
    async def story() -> None:
        names = [picture(lab, f"fox {n}", minutes=n)[1] for n in range(9)][::-1]
        view = Gallery(lab)
        said = await window(view, offset=2, limit=3)
        assert files(said) == names[2:5]
        assert (said["offset"], said["total"], said["fresh"]) == (2, 9, 0)
        view.close()

    asyncio.run(story())


def test_a_window_that_was_begun_keeps_its_places_when_a_new_picture_comes(lab: Lab) -> None:
    async def story() -> None:
        names = [picture(lab, f"fox {n}", minutes=n)[1] for n in range(4)][::-1]
        view = Gallery(lab)
        as_of = (await window(view, limit=2))["asOf"]
        picture(lab, "a newer fox", minutes=60)
        said = await window(view, asOf=as_of, offset=2, limit=2)
        assert files(said) == names[2:]
        assert (said["total"], said["fresh"]) == (4, 1)
        assert (await window(view, limit=1))["items"][0]["prompt"] == "a newer fox"
        view.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("filters", "shown"),
    [
        ({"backend": "sdxl"}, ["owl"]),
        ({"text": "RED fox"}, ["red fox"]),
        ({"favourite": True}, ["red fox"]),
        ({"owned": False}, ["stray.png"]),
        ({"since": (BEGAN + timedelta(minutes=1)).isoformat(), "owned": True}, ["owl"]),
        ({"until": (BEGAN + timedelta(minutes=1)).isoformat()}, ["red fox"]),
        ({"text": "nothing like it"}, []),
    ],
)
def test_filters_leave_only_what_they_name(
    lab: Lab, filters: dict[str, Any], shown: list[str]
) -> None:
    async def story() -> None:
        _, fox = picture(lab, "red fox", minutes=0)
        picture(lab, "owl", minutes=5, backend="sdxl")
        stray(lab, "stray.png")
        lab.gallery.favourite(fox)
        view = Gallery(lab)
        said = await window(view, filters=filters)
        assert [item["prompt"] or item["file"] for item in said["items"]] == shown
        view.close()

    asyncio.run(story())


def test_a_job_s_pictures_are_found_by_its_id_and_its_state_is_told(lab: Lab) -> None:
    async def story() -> None:
        job, name = picture(lab, "red fox")
        picture(lab, "owl", minutes=5)
        waiting = lab.submit("a slow owl")
        view = Gallery(lab, job_id=waiting.id)
        await until(lambda: view.jobs)
        assert "queued" in view.jobs[waiting.id]["text"]
        assert files(await window(view, filters={"job": waiting.id})) == []
        assert files(await window(view, filters={"job": job.id})) == [name]
        await view.redraw()
        assert view.jobs[job.id]["label"] == "done"
        view.close()

    asyncio.run(story())


def test_a_file_that_no_job_made_says_so(lab: Lab) -> None:
    async def story() -> None:
        name = stray(lab, "holiday.png")
        view = Gallery(lab)
        said = await window(view)
        assert [(item["file"], item["owned"]) for item in said["items"]] == [(name, False)]
        told = (await ask(view, "recipe", file=name))["answer"]
        assert "No job on record" in told["note"]
        assert not told["repeatable"]
        view.close()

    asyncio.run(story())


def test_all_names_of_a_list_can_be_had_for_choosing_everything(lab: Lab) -> None:
    async def story() -> None:
        names = [picture(lab, f"fox {n}", minutes=n)[1] for n in range(5)][::-1]
        view = Gallery(lab)
        assert (await ask(view, "names"))["answer"]["names"] == names
        assert (await ask(view, "names", offset=1, limit=2))["answer"]["names"] == names[1:3]
        view.close()

    asyncio.run(story())


def test_a_page_cannot_have_the_whole_list_in_one_answer(lab: Lab) -> None:
    async def story() -> None:
        data = png(1)
        for n in range(MOST + 10):
            (lab.paths.drop_out / f"{n}.png").write_bytes(data)
        view = Gallery(lab)
        said = await window(view, limit=100_000)
        assert (len(said["items"]), said["total"]) == (MOST, MOST + 10)
        await until(lambda: view.head)
        assert len(view.head["items"]) == HEAD
        view.close()

    asyncio.run(story())


@pytest.mark.parametrize("message", [{"offset": -1}, {"asOf": "yesterday"}, {"filters": 7}])
def test_a_question_that_makes_no_sense_is_refused_with_a_remedy(
    lab: Lab, message: dict[str, Any]
) -> None:
    async def story() -> None:
        view = Gallery(lab)
        said = await ask(view, "window", **message)
        assert said["error"]
        assert said["remedy"]
        view.close()

    asyncio.run(story())


# ------------------------------------------------------------------------------ by itself


def test_a_new_picture_and_a_deleted_one_are_told_without_being_asked(lab: Lab) -> None:
    async def story() -> None:
        view = Gallery(lab)
        await until(lambda: view.revision)
        before = view.revision
        name = stray(lab, "new.png")
        await until(lambda: view.revision > before and files(view.head) == [name])
        (lab.paths.drop_out / name).unlink()
        await until(lambda: files(view.head) == [])
        view.close()

    asyncio.run(story())


def test_a_mark_on_a_picture_far_down_is_told_to_every_page(lab: Lab) -> None:
    async def story() -> None:
        data = png(1)
        for n in range(HEAD + 5):
            (lab.paths.drop_out / f"{n:03}.png").write_bytes(data)
        view = Gallery(lab)
        await until(lambda: view.revision)
        last = (await window(view, offset=HEAD + 4))["items"][0]["file"]
        before = view.revision
        lab.gallery.favourite(last)
        await until(lambda: view.revision > before)
        view.close()

    asyncio.run(story())


def test_closing_the_view_ends_its_tasks_and_its_watching(lab: Lab) -> None:
    async def story() -> None:
        before = asyncio.all_tasks()
        view = Gallery(lab)
        await until(lambda: view.head)
        view.close()
        await until(lambda: asyncio.all_tasks() == before)

    asyncio.run(story())


# ------------------------------------------------------------------------------ deeds


def test_again_asks_for_the_same_with_the_same_seed_and_vary_with_another(
    lab: Lab,
) -> None:
    async def story() -> None:
        job, name = picture(lab, "red fox", seed=2**60)
        view = Gallery(lab)
        again = (await ask(view, "again", file=name))["answer"]
        vary = (await ask(view, "vary", file=name))["answer"]
        same, other = lab.store.get(again["id"]), lab.store.get(vary["id"])
        assert same.id != job.id
        assert (same.prompt, same.backend, same.status) == ("red fox", "sd15", Status.QUEUED)
        assert same.params == job.params | {"seed": 2**60}
        assert again["seed"] == str(2**60)  # text: a JavaScript number would round it
        assert other.params.keys() == job.params.keys()
        assert other.params["seed"] != 2**60
        assert other.params["width"] == job.params["width"]
        view.close()

    asyncio.run(story())


def test_what_was_sent_for_a_prompt_is_sent_once_more_whatever_its_wildcards_say_now(
    lab: Lab,
) -> None:
    async def story() -> None:
        said = {"prompt": "a red fox, ink", "styles": ["Ink"], "negativePrompt": "blur"}
        _, name = picture(lab, "a __colour__ fox", resolved=said, seed=5)
        view = Gallery(lab)
        told = (await ask(view, "recipe", file=name))["answer"]
        assert (told["prompt"], told["sent"]) == ("a __colour__ fox", "a red fox, ink")
        again = (await ask(view, "again", file=name))["answer"]
        assert lab.job(again["id"]).job.text == "a red fox, ink"
        view.close()

    asyncio.run(story())


def test_a_picture_of_another_program_is_made_again_with_a_word_on_what_will_differ(
    lab: Lab,
) -> None:
    async def story() -> None:
        info = PngInfo()
        info.add_text(
            "parameters",
            "a fox\nNegative prompt: blur\nSteps: 7, Sampler: Euler a, Seed: 9, Size: 64x64",
        )
        Image.new("RGB", (64, 64)).save(lab.paths.drop_out / "theirs.png", pnginfo=info)
        view = Gallery(lab)
        told = (await ask(view, "recipe", file="theirs.png"))["answer"]
        assert told["repeatable"]
        assert ["steps", "7"] in told["facts"]
        again = (await ask(view, "again", file="theirs.png"))["answer"]
        assert again["seed"] == "9"
        assert any("checkpoint" in note for note in again["notes"])
        view.close()

    asyncio.run(story())


def test_a_film_cannot_be_begun_with(lab: Lab) -> None:
    async def story() -> None:
        box = b"\0\0\0\x14ftypisom\0\0\0\0isom"
        (lab.paths.drop_out / "film.mp4").write_bytes(box)
        view = Gallery(lab)
        (shown,) = (await window(view))["items"]
        assert shown["film"]
        assert shown["moves"]
        assert "film" in (await ask(view, "use", file="film.mp4"))["error"]
        assert list(lab.paths.drop_in.iterdir()) == []
        view.close()

    asyncio.run(story())


def test_a_price_that_was_agreed_to_needs_no_other_confirmation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(monkeypatch)
    said = {"comfy_url": "http://127.0.0.1:9", "orchestrator_confirm_above": "0.01"}
    with Lab(Paths.init(tmp_path), Settings.model_validate(said)) as lab:

        async def story() -> None:
            _, name = picture(lab, "a dear fox", backend="flux", params={"aspect_ratio": "1:1"})
            view = Gallery(lab)
            assert (await ask(view, "recipe", file=name))["answer"]["price"] == "$0.06"
            assert "more than $0.01" in (await ask(view, "again", file=name))["error"]
            assert "answer" in await ask(view, "again", file=name, sure=True)
            view.close()

        asyncio.run(story())


def test_what_has_no_recipe_cannot_be_made_again(lab: Lab) -> None:
    async def story() -> None:
        name = stray(lab, "holiday.png")
        view = Gallery(lab)
        said = await ask(view, "again", file=name)
        assert "how this picture was made" in said["error"]
        assert said["remedy"]
        assert lab.page()[1] == 0
        view.close()

    asyncio.run(story())


def test_use_as_input_copies_the_picture_and_says_its_name(lab: Lab) -> None:
    async def story() -> None:
        _, name = picture(lab, "red fox")
        view = Gallery(lab)
        said = (await ask(view, "use", file=name))["answer"]
        copied = lab.paths.drop_in / said["name"]
        assert copied.read_bytes() == (lab.paths.drop_out / name).read_bytes()
        view.close()

    asyncio.run(story())


def test_a_deleted_picture_is_in_the_trash_with_a_small_picture_and_comes_back(lab: Lab) -> None:
    async def story() -> None:
        _, name = picture(lab, "red fox")
        view = Gallery(lab)
        assert (await ask(view, "trash", files=[name]))["answer"]["files"] == [name]
        assert (await window(view))["total"] == 0
        await until(lambda: view.trashed == 1)
        (thrown,) = (await window(view, filters={"trash": True}))["items"]
        small = base64.b64decode(thrown["thumb"].partition(",")[2])
        assert Image.open(io.BytesIO(small)).format == "WEBP"
        names = (await ask(view, "names", filters={"trash": True}))["answer"]["names"]
        assert names == [name]
        assert (await ask(view, "restore", files=names))["answer"]["files"] == [name]
        assert files(await window(view)) == [name]
        assert "Nothing was put back" in (await ask(view, "restore", files=[name]))["error"]
        view.close()

    asyncio.run(story())


def test_marking_several_leaves_out_those_that_are_gone(lab: Lab) -> None:
    async def story() -> None:
        _, name = picture(lab, "red fox")
        view = Gallery(lab)
        said = await ask(view, "favourite", files=["gone.png", name], on=True)
        assert said["answer"]["files"] == [name]
        assert lab.gallery.get(name).favourite
        assert (await ask(view, "favourite", files=["gone.png"], on=True))["error"]
        await ask(view, "favourite", files=[name], on=False)
        assert not lab.gallery.get(name).favourite
        view.close()

    asyncio.run(story())


@pytest.mark.parametrize("name", ["../secret.png", "/etc/passwd", "", "gone.png", "a\0b.png"])
def test_a_name_that_leads_elsewhere_is_no_picture(lab: Lab, name: str) -> None:
    async def story() -> None:
        (lab.paths.drop_out.parent / "secret.png").write_bytes(png(1))
        view = Gallery(lab)
        for action in ("recipe", "again", "use"):
            assert "no picture" in (await ask(view, action, file=name))["error"]
        assert (await ask(view, "trash", files=[name]))["answer"]["files"] == []
        view.close()

    asyncio.run(story())


# ------------------------------------------------------------------------------ words


def test_a_recipe_is_told_in_words_and_whole(lab: Lab) -> None:
    async def story() -> None:
        job, name = picture(lab, HOSTILE + "x" * 400, seed=2**63)
        view = Gallery(lab)
        said = (await ask(view, "recipe", file=name))["answer"]
        told = dict(said["facts"])
        assert said["prompt"] == HOSTILE + "x" * 400
        assert told["seed"] == str(2**63)
        assert told["backend"] == "SD 1.5"
        assert told["job"] == job.id
        assert told["width"] == "64"
        assert "KSampler" in said["text"]
        assert said["repeatable"]
        assert said["price"] == ""
        (item,) = (await window(view))["items"]
        assert len(item["prompt"]) == 300
        assert "\n" not in item["prompt"]
        view.close()

    asyncio.run(story())


def test_a_recipe_of_a_paid_backend_tells_the_price_and_one_of_an_unknown_backend_cannot_be_repeated(
    lab: Lab,
) -> None:
    async def story() -> None:
        _, paid = picture(lab, "fox", backend="flux")
        _, unknown = picture(lab, "owl", backend="dalle")
        view = Gallery(lab)
        assert "$" in (await ask(view, "recipe", file=paid))["answer"]["price"]
        said = (await ask(view, "recipe", file=unknown))["answer"]
        assert not said["repeatable"]
        assert said["note"]
        view.close()

    asyncio.run(story())


def test_facts_take_whatever_a_recipe_holds() -> None:
    strange = {"params": {"Seed": 1, "loras": [{"a": 1}], HOSTILE: None, "steps": 0}, "seed": None}
    assert [name for name, _ in facts(strange)] == ["LoRAs", "steps"]
    assert facts({}) == []
    odd: list[dict[str, Any]] = [
        {"resolved": 7},
        {"workflow": "x"},
        {"workflow": {"1": 2}, "resolved": {"prompt": None}},
    ]
    for recipe in odd:
        assert facts(recipe) == []
        assert sent(recipe) == ""


def test_a_job_without_pictures_says_why() -> None:
    failure = Failure(kind="x", message="The GPU is full", remedy="Ask for less.")
    job = make_job("fox").claim(worker="w", host="h", slot=None, now=BEGAN)
    said = job_state(job.fail(failure, now=BEGAN).having(status=Status.FAILED))
    assert "GPU is full" in said["text"]
    assert said["remedy"] == "Ask for less."
    assert "cancelled" in job_state(make_job("fox").cancel(now=BEGAN))["text"]
