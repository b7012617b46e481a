"""`orchestrator batch run` as CI meets it: a process, its exit code, and the folder that it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import forks
import nbformat
from commands import begun, command

from orchestrator.jobs import Status
from orchestrator.lab import Lab
from orchestrator.testing import Engine, make_lab

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
SMALL = ("-p", "width=64", "-p", "height=64", "-p", "steps=1")
HOSTILE = '<script>alert(1)</script> ]]> "&amp;" \u202e {{7*7}} \x1b[31m'
PATIENCE_S = 60.0
forks.preload("orchestrator.batch.runs", "papermill", "nbconvert")


@contextlib.asynccontextmanager
async def served(folder: Path) -> AsyncIterator[tuple[Lab, Engine]]:
    """A lab whose ComfyUI is an engine of this test's, which counts what it was asked for."""
    async with Engine() as engine:
        with make_lab(folder, comfy_url=engine.url) as lab:
            yield lab, engine


def variables(lab: Lab, engine: Engine) -> dict[str, str]:
    known = {k: v for k, v in os.environ.items() if k not in {"COMFY_URL", "BFL_API_KEY"}}
    return known | {"ORCHESTRATOR_PATHS": str(lab.paths.file), "COMFY_URL": engine.url}


async def ran(lab: Lab, engine: Engine, *arguments: str) -> tuple[int, str, str]:
    """The exit code, standard output and standard error of a run."""
    asked, environment = ("batch", "run", *arguments), variables(lab, engine)
    folder = lab.paths.file.parent
    done = await asyncio.to_thread(command, folder, *asked, environment=environment)
    return done.returncode, done.stdout, done.stderr


def runs(lab: Lab) -> list[Path]:
    return sorted((lab.paths.data / "runs").glob("*"))


def done(lab: Lab) -> int:
    lab.store.refresh()
    return lab.store.counts().get(Status.DONE, 0)


def test_jobs_that_are_killed_half_way_go_on_where_they_were(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (lab, engine):
            prompts = lab.paths.file.parent / "prompts.txt"
            prompts.write_text("\n".join(f"a fox, number {n}" for n in range(6)))
            asked = (str(NOTEBOOKS / "batch.ipynb"), "-p", f"prompts={prompts}", "-p", "seeds=4")
            # the engine is in this loop: it cannot paint them all before somebody looks
            engine.faults.step_delay_s = 0.1
            first = begun(
                *(tmp_path, "batch", "run", *asked, *SMALL),
                environment=variables(lab, engine),
                out=tmp_path / "out.txt",
                err=tmp_path / "err.txt",
            )
            try:
                async with asyncio.timeout(PATIENCE_S):
                    while done(lab) < 6:
                        await asyncio.sleep(0.02)
            finally:
                await asyncio.to_thread(first.close)  # which is kill -9
            engine.faults.step_delay_s = 0.0
            before = done(lab)
            assert before < 24
            made = [entry.prompt_id for entry in engine.ledger.entries]
            code, out, err = await ran(lab, engine, *asked, *SMALL, "--json")
            assert code == 0, err
            said = json.loads(out)
            assert said["batches"] == [{"name": lab.batches()[0].name, "jobs": 24, "done": 24}]
            assert done(lab) == 24
            every = [entry.prompt_id for entry in engine.ledger.entries]
            # what ran when the process died is adopted, or made once more: never what was done
            assert len(every) - len(made) <= 24 - before
            assert len(set(every)) <= 25
            assert len(every) <= 25
            folder = Path(said["folder"])
            assert {file.name for file in folder.iterdir()} == {
                "notebook.ipynb", "notebook.html", "summary.json", "junit.xml",
            }  # fmt: skip
            sheet = [
                output
                for cell in read(folder).cells
                if cell.id == "sheet"
                for output in cell.outputs
            ]
            assert "image/png" in sheet[0].data

    asyncio.run(story())


def read(folder: Path) -> Any:
    return nbformat.read(folder / "notebook.ipynb", as_version=4)  # type: ignore[no-untyped-call]


def test_what_is_mistyped_ends_it_before_a_kernel_starts(tmp_path: Path) -> None:
    cases = {
        "Did you mean seeds?": ["-p", "sedes=4"],
        "seeds=many is not a value": ["-p", "seeds=many"],
        "no share of jobs": ["--max-failures", "half"],
    }

    async def story() -> None:
        async with served(tmp_path) as (lab, engine):
            notebook = str(NOTEBOOKS / "batch.ipynb")
            for told, given in cases.items():
                asked = ("batch", "run", notebook, *given)
                ended = await asyncio.to_thread(
                    command, tmp_path, *asked, environment=variables(lab, engine)
                )
                assert ended.returncode == 2, ended.stderr
                assert told in " ".join(ended.stderr.split())
            assert runs(lab) == []
            assert engine.ledger.entries == []

    asyncio.run(story())


def test_more_failures_than_are_allowed_end_it_with_one_and_junit_names_them(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with served(tmp_path) as (lab, engine):
            asked = (
                str(NOTEBOOKS / "grid.ipynb"),
                *("-p", f"prompt={HOSTILE}", "-p", "x=checkpoint", "-p", "measure=seconds"),
                *("-p", "x_values=['no-such.safetensors', None]", "-p", "y_values=[1]"),
                *("-p", "settings={'width': 64, 'height': 64, 'steps': 1}", "-p", "name=half"),
            )
            # how many are allowed, to the edge, is test_batch_runs.py's
            code, _, err = await ran(lab, engine, *asked, "--max-failures", "40%")
            assert code == 1, err
            assert "no-such.safetensors" in err
            (folder,) = runs(lab)
            suites = ET.fromstring((folder / "junit.xml").read_bytes())
            failure = suites.find("testsuite/testcase/failure")
            assert failure is not None
            assert "no-such.safetensors" in str(failure.get("message"))
            assert len(suites.findall("testsuite/testcase")) == 2
            page = (folder / "notebook.html").read_text(encoding="utf-8")
            assert "<script>alert(1)" not in page
            assert "alert(1)" in page
            assert lab.batch("half").progress().counts == {Status.DONE: 1, Status.FAILED: 1}

    asyncio.run(story())


def test_a_notebook_that_fails_keeps_what_it_had_shown(tmp_path: Path) -> None:
    async def story() -> None:
        async with served(tmp_path) as (lab, engine):
            cells = [
                nbformat.v4.new_markdown_cell("# Broken", id="title"),
                nbformat.v4.new_code_cell("print('so far, so good')", id="good"),
                nbformat.v4.new_code_cell("raise ValueError('<b>no</b>')", id="bad"),
            ]
            broken = tmp_path / "broken.ipynb"
            kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
            nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), broken)
            code, _, err = await ran(lab, engine, str(broken))
            assert code == 1
            assert "ValueError: <b>no</b>" in err
            (folder,) = runs(lab)
            good = next(cell for cell in read(folder).cells if cell.id == "good")
            assert good.outputs[0].text == "so far, so good\n"
            summary = json.loads((folder / "summary.json").read_bytes())
            assert (summary["status"], summary["error"]) == ("failed", "ValueError: <b>no</b>")
            assert ET.fromstring((folder / "junit.xml").read_bytes()).find(".//error") is not None

    asyncio.run(story())
