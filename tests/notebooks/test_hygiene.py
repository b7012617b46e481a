"""Notebooks stay thin: a title, literals, calls. What needs more is a missing function of the package."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted([*ROOT.glob("notebooks/**/*.ipynb"), *ROOT.glob("dashboards/**/*.ipynb")])
LOGIC = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.While, ast.Try)
FOREIGN = {"asyncio", "httpx", "nest_asyncio", "os", "pathlib", "subprocess", "sys", "threading"}
MAX_LINES = 10


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: str(path.relative_to(ROOT)))
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    path: Path = request.param
    if ".ipynb_checkpoints" in path.parts:
        pytest.skip("an editor's copy")
    return nbformat.read(path, as_version=nbformat.NO_CONVERT)


def code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def nodes(notebook: nbformat.NotebookNode) -> list[ast.AST]:
    return [node for cell in code(notebook) for node in ast.walk(ast.parse(cell.source))]


def test_there_are_notebooks() -> None:
    names = {path.name for path in NOTEBOOKS}
    assert {"index.ipynb", "quickstart.ipynb"} <= names


def test_is_valid_in_format_4_5_with_ids(notebook: nbformat.NotebookNode) -> None:
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_is_committed_without_outputs(notebook: nbformat.NotebookNode) -> None:
    assert not any(cell.outputs or cell.execution_count for cell in code(notebook))


def test_runs_on_any_python(notebook: nbformat.NotebookNode) -> None:
    assert notebook.metadata.kernelspec.name == "python3"
    assert "version" not in notebook.metadata.get("language_info", {})
    assert "widgets" not in notebook.metadata


def test_opens_with_a_title(notebook: nbformat.NotebookNode) -> None:
    assert notebook.cells[0].cell_type == "markdown"
    assert notebook.cells[0].source.startswith("# ")


def test_parameters_are_annotated_literals_with_help_in_one_cell(
    notebook: nbformat.NotebookNode,
) -> None:
    tagged = [cell for cell in code(notebook) if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) <= 1
    for cell in tagged:
        for statement in ast.parse(cell.source).body:
            assert isinstance(statement, ast.AnnAssign)
            assert statement.value is not None
            ast.literal_eval(statement.value)
        assert all("  # " in line for line in cell.source.splitlines())


def test_defines_nothing(notebook: nbformat.NotebookNode) -> None:
    assert not [node for node in nodes(notebook) if isinstance(node, LOGIC)]


def test_reaches_neither_files_nor_the_system_nor_private_names(
    notebook: nbformat.NotebookNode,
) -> None:
    for node in nodes(notebook):
        if isinstance(node, ast.Import):
            assert not {alias.name.split(".")[0] for alias in node.names} & FOREIGN
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in FOREIGN
        if isinstance(node, ast.Attribute):
            assert not node.attr.startswith("_")
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert "/" not in node.value
            assert "\\" not in node.value


def test_cells_are_short(notebook: nbformat.NotebookNode) -> None:
    assert max(len(cell.source.splitlines()) for cell in code(notebook)) <= MAX_LINES


def test_a_page_is_a_title_a_lab_and_one_view() -> None:
    for path in ROOT.glob("dashboards/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert [cell["cell_type"] for cell in cells] == ["markdown", "code", "code"], path.name
