"""The test files themselves: pytest imports them by their bare names, so no two may share one."""

from __future__ import annotations

from pathlib import Path


def test_no_two_test_files_have_one_name() -> None:
    files = list(Path(__file__).parents[1].rglob("*.py"))
    bare = [
        file.name
        for file in files
        if not (file.parent / "__init__.py").exists()
        and not file.stem.startswith("__")
        and file.name != "conftest.py"
    ]
    assert [name for name in set(bare) if bare.count(name) > 1] == []
