"""The notebooks of many jobs: each in an empty lab of its own, without a server."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest
from jupyter_core.utils import run_sync
from kernels import Kernel, parameterized
from lengths import LONG
from nbformat.v4 import new_code_cell, new_notebook
from PIL import Image

from orchestrator import Lab, Status
from orchestrator.batch.batch import BATCH_KIND
from orchestrator.batch.report import Report
from orchestrator.errors import RequestInvalid

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SMALL = {"width": 64, "height": 64, "steps": 1}

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the Jupyter libraries are not ours


def shown(notebook: Any, cell_id: str) -> list[Any]:
    return [output for cell in notebook.cells if cell.id == cell_id for output in cell.outputs]


def picture(output: Any) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))


def test_a_grid_is_a_picture_for_each_pair_of_values_a_plot_and_a_comparison(
    lab_file: Path, kernel: Kernel
) -> None:
    values = {"x_values": [4, 9], "y_values": [1, 2, 3]}
    file = NOTEBOOKS / "grid.ipynb"
    done = kernel.run(parameterized(file, **values, settings=SMALL, name="xy"), lab_file)
    (sheet,), (plot,), (view,) = (shown(done, cell) for cell in ("sheet", "plot", "compare"))
    assert picture(sheet).width > 2 * 192
    assert len(picture(plot).convert("RGB").getcolors(1 << 20) or []) > 10
    assert "application/vnd.jupyter.widget-view+json" in view.data
    assert shown(done, "run")[0].data[BATCH_KIND]["name"] == "xy"
    with Lab.open(lab_file) as lab:
        batch = lab.batch("xy")
        assert batch.progress().counts == {Status.DONE: 6}
        frame = batch.frame(measures=True)
        assert list(frame.columns[:2]) == ["seed", "cfg"]
        assert frame["entropy"].between(0.5, 8).all()
        assert frame["distance"].iloc[0] == 0


def test_backends_are_compared_by_what_they_took_and_made(lab_file: Path, kernel: Kernel) -> None:
    file = NOTEBOOKS / "compare-backends.ipynb"
    given = {"backends": ["sd15", "sd35"], "seeds": 1, "settings": SMALL}
    done = kernel.run(parameterized(file, **given), lab_file)
    (numbers,) = shown(done, "numbers")
    assert "sd15" in numbers.data["text/plain"]
    assert "sd35" in numbers.data["text/plain"]
    (plot,) = shown(done, "plot")
    assert picture(plot).width > 400
    with Lab.open(lab_file) as lab:
        (batch,) = lab.batches()
        assert batch.progress().counts == {Status.DONE: 2}


def test_a_report_tells_what_failed_with_its_remedy(lab_file: Path, kernel: Kernel) -> None:
    with Lab.open(lab_file) as lab:
        lab.grid("a fox", seed=[1, 2], **SMALL).submit().cancel()
        lab.grid("<b>an owl</b>", checkpoint="nobody-has-this.safetensors", **SMALL).submit()
        (failing,) = (job for job in lab.page()[0] if job.status is Status.QUEUED)
        work_off(lab)
        assert lab.job(failing.id).status is Status.FAILED
    done = kernel.run(parameterized(NOTEBOOKS / "report.ipynb", period="all", rows=2), lab_file)
    (failures,) = shown(done, "failures")
    assert "checkpoint" in failures.data["text/html"]
    assert shown(done, "history")[0].data["text/html"].count("<tr") == 3
    assert "<b>an owl" not in shown(done, "history")[0].data["text/html"]
    (drawn,) = shown(done, "jobs-plot")
    assert drawn.data["image/svg+xml"].startswith("<?xml")


def test_a_report_of_an_empty_lab_is_empty_and_of_no_period_refused(lab_file: Path) -> None:
    with Lab.open(lab_file) as lab:
        report = Report(lab, "24h")
        assert report.summary()["jobs"].tolist() == [0]
        assert len(report.backends()) == len(report.failures()) == len(report.spending()) == 0
        assert report.plot("jobs").svg is None
        with pytest.raises(RequestInvalid, match="no period"):
            Report(lab, "a year")


def work_off(lab: Lab) -> None:
    async def work() -> None:
        async with lab.working():
            for batch in lab.batches():
                await batch.wait(progress=False, timeout_s=60)

    asyncio.run(work())


@pytest.mark.skipif(
    not LONG, reason="of plans in tests/worker/test_batches.py; here in the long form"
)
def test_two_runs_of_one_notebook_at_once_double_nothing(lab_file: Path, kernel: Kernel) -> None:
    kernels = [kernel, Kernel()]
    imported = "from orchestrator import Lab\nLab.open().close()"

    async def both() -> None:
        await asyncio.gather(
            *(
                each.execute(new_notebook(cells=[new_code_cell(imported)]), lab_file)
                for each in kernels
            )
        )
        given = {"seeds": 3, "width": 64, "height": 64, "steps": 1}
        batches = [parameterized(NOTEBOOKS / "batch.ipynb", **given) for _ in kernels]
        await asyncio.gather(
            *(each.execute(batch, lab_file) for each, batch in zip(kernels, batches, strict=True))
        )

    try:
        run_sync(both)()
    finally:
        kernels[1].end()
    with Lab.open(lab_file) as lab:
        jobs, total = lab.page()
        assert total == 6
        assert [(job.status, len(job.attempts)) for job in jobs] == [(Status.DONE, 1)] * 6
        assert len(list(lab.paths.drop_out.glob("*.png"))) == 6
