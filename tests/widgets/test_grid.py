"""The grid panel and the comparison on a real store, and the measures that they and a batch's table show."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from page import answers, connect, press, until
from PIL import Image

from orchestrator.batch import Batch
from orchestrator.errors import RequestInvalid
from orchestrator.handles import Picture
from orchestrator.jobs import Job, Status
from orchestrator.lab import Lab
from orchestrator.testing import make_lab
from orchestrator.widgets import Compare, GridPanel
from orchestrator.widgets.sheets import table

GRID = {
    "name": "foxes",
    "prompts": "a fox",
    "backend": "sd15",
    "axes": [{"name": "cfg", "values": "4, 7"}, {"name": "seed", "values": "1..3"}],
    "params": {},
}
SHADES = ("red", "teal", "gold", "grey", "navy", "plum")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    connect(monkeypatch)
    with make_lab(tmp_path) as lab:
        yield lab


def watch(lab: Lab, story: Callable[[GridPanel], Awaitable[None]]) -> None:
    """Tell a story to a panel, and close it."""

    async def told() -> None:
        panel = GridPanel(lab)
        await story(panel)
        panel.close()

    asyncio.run(told())


async def asked(view: Any, action: str, **content: Any) -> tuple[dict[str, Any], list[bytes]]:
    """What the view answers."""
    key = f"{action}/{len(answers(view))}"

    def mine() -> list[tuple[dict[str, Any], list[bytes]]]:
        return [each for each in answers(view) if each[0].get("key") == key]

    press(view, action, key=key, **content)
    await until(mine)
    return mine()[0]


def painted(lab: Lab, batch: Batch) -> None:
    """Have every job done, each with a picture of its own."""
    for number, job in enumerate(batch.jobs()):
        path = lab.paths.drop_out / f"{number}-{job.id}.png"
        Image.effect_noise((32, 32), 10 * number).convert("RGB").save(path)
        if number % 2:
            Image.new("RGB", (32, 32), SHADES[number % 6]).save(path)
        lab.store.update(job.id, finished(path))


def finished(path: Path) -> Callable[[Job], Job]:
    def change(job: Job) -> Job:
        claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
        return claimed.finish([str(path)], now=job.created_at)

    return change


def six(lab: Lab, prompt: str = "a fox") -> Batch:
    return lab.grid(prompt, cfg=[4, 7], seed=[1, 2, 3], name="foxes").submit()


def test_a_plan_is_told_and_stores_nothing_and_a_run_is_the_batch(lab: Lab) -> None:
    async def story(panel: GridPanel) -> None:
        said = (await asked(panel, "plan", grid=GRID))[0]["answer"]
        assert (said["jobs"], said["missing"], said["shape"]) == (6, 6, "2 cfg × 3 seed")
        assert (said["paid"], said["money"], said["seconds"]) == (False, "", None)
        assert lab.batches() == []
        assert (await asked(panel, "run", grid=GRID))[0]["answer"] == {"name": "foxes", "jobs": 6}
        again = (await asked(panel, "plan", grid=GRID))[0]["answer"]
        assert (again["missing"], again["had"]) == (0, {"queued": 6})
        press(panel, "open", name="foxes")
        await until(lambda: len(panel.cells) == 6)
        assert panel.sheet["columns"] == ["seed 1", "seed 2", "seed 3"]
        painted(lab, lab.batch("foxes"))
        await until(lambda: all(cell["file"] for cell in panel.cells.values()))
        assert panel.batches[0]["counts"] == {"done": 6}

    watch(lab, story)


def test_money_is_asked_for_and_no_more_is_spent_than_was_agreed_to(lab: Lab) -> None:
    async def story(panel: GridPanel) -> None:
        paid = {**GRID, "backend": "flux", "axes": [{"name": "seed", "values": "1..30"}]}
        question = (await asked(panel, "run", grid=paid))[0]["answer"]["confirm"]
        assert question["amount"] == "1.80"
        for agreed in ("1.79", "nonsense", True, "-5"):
            said = (await asked(panel, "run", grid=paid, agreed=agreed))[0]["answer"]
            assert "confirm" in said
        assert lab.batches() == []
        await asked(panel, "run", grid=paid, agreed="1.80")
        assert len(lab.batch("foxes")) == 30

    watch(lab, story)


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ("plan", {}),
        ("plan", {"grid": {**GRID, "backend": "<b>"}}),
        ("plan", {"grid": {**GRID, "name": "../../etc"}}),
        ("plan", {"grid": {**GRID, "axes": [{"name": "cfg", "values": "-1"}]}}),
        ("run", {"grid": []}),
        ("change", {"name": "nope", "what": "cancel"}),
        ("change", {"name": "foxes", "what": "burn"}),
        ("change", {"name": ["foxes"], "what": "pause"}),
        ("download", {"name": "../../paths"}),
        ("favourite", {"file": "../../paths.json", "on": True}),
    ],
)
def test_nonsense_is_refused_with_a_remedy(lab: Lab, action: str, message: dict[str, Any]) -> None:
    six(lab)

    async def story(panel: GridPanel) -> None:
        said = (await asked(panel, action, **message))[0]
        assert said["error"]
        assert said["remedy"]
        assert lab.batch("foxes").progress().counts == {Status.QUEUED: 6}

    watch(lab, story)


def test_thumbnails_come_for_what_can_be_read_only(lab: Lab) -> None:
    batch = six(lab)
    painted(lab, batch)
    files = [Path(job.result.files[0]).name for job in batch.jobs() if job.result]
    (lab.paths.drop_out / files[1]).write_bytes(b"damaged")

    async def story(panel: GridPanel) -> None:
        names = [files[0], files[1], "../paths.json", "gone.png"]
        said, data = await asked(panel, "thumbs", files=names)
        assert said["answer"]["files"] == [files[0]]
        assert Image.open(io.BytesIO(data[0])).format == "WEBP"

    watch(lab, story)


def test_a_spreadsheet_carries_nothing_out(lab: Lab) -> None:
    batch = lab.grid(["=1+1", "@a\nb", '"x",y'], seed=[1, 2], name="foxes").submit()
    rows = list(csv.DictReader(io.StringIO(table(batch).decode("utf-8-sig"))))
    assert [row["prompt"] for row in rows[::2]] == ["'=1+1", "'@a\nb", '"x",y']
    assert [row["seed"] for row in rows] == ["1", "2"] * 3


def test_the_measures_of_a_batch_are_computed_once_and_come_back_when_deleted(lab: Lab) -> None:
    batch = six(lab)
    assert batch.measures()["entropy"].isna().all()
    painted(lab, batch)
    frame = batch.frame(measures=True)
    assert frame["cfg"].tolist() == [4, 4, 4, 7, 7, 7]
    assert frame["sharpness"].tolist()[1::2] == [0, 0, 0]
    assert frame["sharpness"].iloc[2] > 100
    assert frame["distance"].iloc[0] == 0
    kept = lab.paths.data / "measures.json"
    said = json.loads(kept.read_bytes())
    name = Path(frame["file"].iloc[0]).name
    said[name]["entropy"] = 5.5
    kept.write_text(json.dumps(said))
    assert batch.measures()["entropy"].iloc[0] == 5.5  # from the file
    Image.new("RGB", (40, 40), "red").save(lab.paths.drop_out / name)
    assert batch.measures()["entropy"].iloc[0] == 0  # of the picture as it is now
    for damage in ("", "{", "[]", '{"x": 3}', json.dumps({name: {"phash": "zz"}})):
        kept.write_text(damage)
        assert batch.measures()["entropy"].notna().all()
    kept.unlink()
    (lab.paths.drop_out / name).write_bytes(b"damaged")
    assert batch.measures()["entropy"].isna().tolist() == [True] + [False] * 5


def test_a_plot_takes_any_column_of_numbers_and_names_are_no_formulas(lab: Lab) -> None:
    batch = lab.grid(["$x_{", "_hidden", "x" * 5000], seed=[1, 2], name="foxes").submit()
    assert batch.plot("entropy", by="seed").png().startswith(b"\x89PNG")  # nothing is there yet
    painted(lab, batch)
    for plot in (batch.plot("entropy"), batch.plot("seconds", x="seed", by="prompt")):
        assert Image.open(io.BytesIO(plot.png())).width > 400
    for wrong in ({"measure": "beauty"}, {"measure": "entropy", "x": "y"}, {"measure": "prompt"}):
        with pytest.raises(RequestInvalid) as caught:
            batch.plot(**wrong)
        assert caught.value.remedy


def test_a_comparison_knows_its_pictures_and_marks_favourites_as_the_gallery_does(lab: Lab) -> None:
    batch = six(lab)

    async def story() -> None:
        view = Compare(batch)
        await until(lambda: view.ready)
        assert view.items == []
        painted(lab, batch)
        await until(lambda: len(view.items) == 6)
        assert view.items[4]["label"] == "cfg 7 · seed 2"
        file = view.items[4]["file"]
        assert (await asked(view, "favourite", file=file, on=True))[0]["answer"]["on"] is True
        await until(lambda: view.favourites == [file])
        assert lab.gallery.get(file).favourite
        assert "error" in (await asked(view, "favourite", file="../paths.json", on=True))[0]
        view.close()
        picture = Picture(lab.paths.drop_out / file, batch.jobs()[4])
        with pytest.raises(RequestInvalid, match="Whose pictures"):
            Compare([picture])
        other = Compare([picture, lab.job(batch.jobs()[0].id)])
        await until(lambda: len(other.items) == 2)
        assert other.items[0]["file"] == file
        other.close()

    asyncio.run(story())
