"""A module imports only from rows below its own, and outside packages only where they belong (DESIGN.md, layers).

Read from the syntax tree, not from running modules: an import inside a function counts, one for annotations does not.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "orchestrator"
# Rows of DESIGN.md from the lowest; a row of it that has an order inside is several here
ROWS: list[set[str]] = [
    {"errors", "headers"},
    {"files", "locks"},
    {"databases"},
    {"paths"},
    {"settings"},
    {"jobs"},
    {"retry", "prompts", "backends"},
    # know the backends: what they cost, how ComfyUI runs them, what smaller picture they make
    {"spending", "workflows", "diagnosis"},
    {"recipes"},  # say them in the words of others
    {"images", "logs", "measures"},
    {
        "store",
        "inputs",
        "models",
        "ledger",
        "translation",
        "connectors",
        "embedded",
        "plots",
        "catalogue",
    },
    {"offers", "notify", "surroundings"},  # what can be chosen, asked of all servers
    {"attempts"},  # what a worker does with one job at one service
    {"worker", "health", "gallery", "statistics"},
    {"services", "monitor"},  # the guardian may ask how ComfyUI is started
    {"guardian", "cluster", "handles"},
    {"tables"},
    {"batch"},
    {"lab"},
    {"remedies", "nodes"},  # carries out what a diagnosis offers; what the servers of a lab can run
    {"server", "widgets"},
    {"cli"},
    {"__main__"},
]
ROW = {name: number for number, names in enumerate(ROWS) for name in names}
# beside the ladder: the highest row each may import
BESIDE = {"engine": ROW["settings"], "parts": ROW["settings"], "testing": ROW["lab"]}
COMPOSERS = {
    "lab",
    "server",
    "widgets",
    "cli",
    "guardian",
    "testing",
}  # they may start what stands beside
ABOVE_ALL = {"__init__"}  # the package's own front: shows what others made
HOMES = {
    "httpx": {"connectors", "models", "parts", "testing"},
    "websockets": {"connectors"},
    "tornado": {"server", "engine", "testing"},
    "jupyter_server": {"server"},
    "ipywidgets": {"widgets"},
    "anywidget": {"widgets"},
    "papermill": {"batch"},
    "distributed": {"cluster"},
    "dask": {"cluster"},
}
SLOW = {"pandas", "matplotlib"}  # half a second each: never while a module is imported
PURE = {"retry", "diagnosis", "spending", "prompts", "backends", "workflows", "recipes", "jobs"}
IMPURE = {"asyncio", "httpx", "socket", "subprocess", "time", "threading", "tornado"}

# an import is a statement: none is inside an expression, which most nodes are
HOLDS_STATEMENTS = (ast.stmt, ast.ExceptHandler, ast.match_case)

FILES = sorted(PACKAGE.rglob("*.py"))


def unit(file: Path) -> str:
    """The module or folder package that a file belongs to."""
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def is_for_annotations(node: ast.If) -> bool:
    test = node.test
    name = test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", None)
    return name == "TYPE_CHECKING"


def imports(tree: ast.AST, *, at_import: bool = False) -> Iterator[tuple[str, int]]:
    """Each module that is imported, with its line; with `at_import` only while the file itself is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and is_for_annotations(node):
            for other in node.orelse:
                yield from imports(ast.Module([other], []), at_import=at_import)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            module = node.module or ""
            yield module, node.lineno
            # `from orchestrator import jobs` names a module; `from orchestrator.jobs import Job` does not
            if module == "orchestrator":
                yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, HOLDS_STATEMENTS) and not (
            at_import and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ):
            yield from imports(node, at_import=at_import)


def parsed(file: Path) -> ast.Module:
    return tree_of(file.read_text("utf-8"))


@cache
def tree_of(source: str) -> ast.Module:
    """Every file is asked four questions, and parsed once."""
    return ast.parse(source)


@pytest.fixture(scope="module", autouse=True)
def forgotten() -> Iterator[None]:
    """Millions of nodes, which would be in every later test's way."""
    yield
    tree_of.cache_clear()


def ours(file: Path) -> Iterator[tuple[str, int]]:
    """The units of this package that a file imports, but its own."""
    for module, line in imports(parsed(file)):
        parts = module.split(".")
        if parts[0] == "orchestrator" and len(parts) > 1 and parts[1] != unit(file):
            yield parts[1], line


def wrong_imports(file: Path) -> list[str]:
    own = unit(file)
    if own in ABOVE_ALL:
        return []
    highest = BESIDE.get(own, ROW.get(own, 0) - 1)
    beside = BESIDE.keys() if own in COMPOSERS else set()
    return [
        f"line {line}: {own} imports {other}"
        for other, line in ours(file)
        if other not in beside and ROW.get(other, len(ROWS)) > highest
    ]


def test_a_module_imports_only_from_rows_below_its_own() -> None:
    assert {str(file): wrong for file in FILES if (wrong := wrong_imports(file))} == {}


def test_every_module_has_its_row() -> None:
    assert {unit(file) for file in FILES} <= ROW.keys() | BESIDE.keys() | ABOVE_ALL


def test_an_outside_package_is_used_only_at_home() -> None:
    abroad = [
        f"{file}, line {line}: {module}"
        for file in FILES
        for module, line in imports(parsed(file))
        if unit(file) not in HOMES.get(module.split(".")[0], {unit(file)})
    ]
    assert abroad == []


def test_nothing_slow_is_imported_with_a_module() -> None:
    slow = [
        f"{file}, line {line}: {module}"
        for file in FILES
        for module, line in imports(parsed(file), at_import=True)
        if module.split(".")[0] in SLOW
    ]
    assert slow == []


@pytest.mark.parametrize("name", sorted(PURE))
def test_decisions_are_pure(name: str) -> None:
    for file in [file for file in FILES if unit(file) == name]:
        tree = parsed(file)
        assert not {module.split(".")[0] for module, _ in imports(tree)} & IMPURE, file
        calls = {node.func.id for node in ast.walk(tree) if is_named_call(node)}  # type: ignore[attr-defined]
        assert "open" not in calls, file
        said = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not said & {
            "utcnow",
            "today",
            "read_bytes",
            "write_bytes",
            "read_text",
            "write_text",
        }


def is_named_call(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name)


def test_the_reader_of_imports_sees_them_wherever_they_hide() -> None:
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import seen_by_checkers_only
else:
    import seen_a
try:
    import seen_b
except ImportError:
    from seen_c.d import e
def later():
    import seen_d
class Holder:
    import seen_e
    async def later(self):
        import seen_f
from orchestrator import seen_g
"""
    everywhere = {module for module, _ in imports(ast.parse(source))}
    assert {"seen_a", "seen_b", "seen_c.d", "seen_d", "seen_e", "seen_f"} <= everywhere
    assert "orchestrator.seen_g" in everywhere
    assert "seen_by_checkers_only" not in everywhere
    early = {module for module, _ in imports(ast.parse(source), at_import=True)}
    assert early == everywhere - {"seen_d", "seen_f"}


def test_a_wrong_import_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PACKAGE", tmp_path)
    for name, source, is_wrong in [
        ("jobs", "from orchestrator.files import write_whole", False),
        ("jobs", "from orchestrator import store", True),
        ("jobs", "def f():\n    from orchestrator.retry import x", True),
        ("retry", "from orchestrator.backends import x", True),
        ("store", "from orchestrator.store.layout import Layout", False),
        ("store", "from orchestrator.engine import x", True),
        ("engine", "from orchestrator.jobs import Job", True),
        ("engine", "from orchestrator.settings import Settings", False),
        ("worker", "from orchestrator.new_thing import x", True),
    ]:
        file = tmp_path / f"{name}.py"
        file.write_text(source)
        assert bool(wrong_imports(file)) is is_wrong, source
