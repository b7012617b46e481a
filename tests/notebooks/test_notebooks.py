"""The notebooks as their users run them, each in a lab of its own."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from kernels import Kernel, parameterized
from PIL import Image

from orchestrator import Lab, Status

ROOT = Path(__file__).resolve().parents[2]
# what stands in a kernel after the page's cells have run, while its tasks go on
TASKS_ALIVE = """
import asyncio, json
await asyncio.sleep(1.2)
page = _
print(json.dumps({task.get_name(): task.done() for view in page.children for task in view.tasks}))
print(page.heartbeat.beat, [row["status"] for row in page.queue.rows])
"""

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the Jupyter libraries are not ours


def outputs(notebook: Any, cell_id: str) -> list[Any]:
    return [output for cell in notebook.cells if cell.id == cell_id for output in cell.outputs]


def test_the_quickstart_makes_a_picture_that_its_parameters_and_seed_repeat(
    lab_file: Path, kernel: Kernel
) -> None:
    file = ROOT / "notebooks" / "quickstart.ipynb"
    done = kernel.run(parameterized(file, prompt="a blue owl", seed=5, steps=2), lab_file)
    (shown,) = outputs(done, "show")
    with Image.open(io.BytesIO(base64.b64decode(shown.data["image/png"]))) as picture:
        assert picture.size == (512, 512)
        assert picture.format == "PNG"
        assert sum(map(bool, picture.convert("L").histogram())) > 20  # a picture, not a blank
    (same,) = outputs(done, "repeat")
    assert same.data["text/plain"] == "True"
    with Lab.open(lab_file) as lab:
        jobs, total = lab.page()
    assert total == 2
    assert {(job.prompt, job.params["seed"], job.status) for job in jobs} == {
        ("a blue owl", 5, Status.DONE)
    }


def test_a_job_in_a_notebook_shows_live_and_a_finished_one_its_picture(
    lab_file: Path, kernel: Kernel
) -> None:
    source = """
from orchestrator import Lab
lab = Lab.open()
waiting = await lab.generate("a fox", hold=True)
display(waiting)
async with lab.worker():
    done = await (await lab.generate("an owl", width=64, height=64, steps=1)).wait()
display(done)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source, id="only")])
    kernel.run(notebook, lab_file)
    shown = [set(output.data) for output in outputs(notebook, "only")]
    assert "application/vnd.jupyter.widget-view+json" in shown[0]
    assert "image/png" in shown[1]


def test_the_dashboard_s_tasks_live_on_after_its_cells(lab_file: Path, kernel: Kernel) -> None:
    with Lab.open(lab_file) as lab:
        lab.submit("a fox", hold=True)
    notebook = nbformat.read(ROOT / "dashboards" / "index.ipynb", as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(TASKS_ALIVE, id="last"))
    kernel.run(notebook, lab_file)
    (printed,) = outputs(notebook, "last")
    tasks, said = printed.text.splitlines()
    done = json.loads(tasks)
    for view in ("ServiceCards", "NewestImages", "QueuePanel"):
        assert done[f"{view} follows the lab"] is False
    assert done["Heartbeat"] is False
    beats, _, rows = said.partition(" ")
    assert int(beats) >= 1
    assert rows == "['created']"
