"""What the tests of the notebooks share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from kernels import VARIABLES, Kernel


@pytest.fixture(scope="package")
def kernel() -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch:
        for variable in VARIABLES:
            patch.delenv(variable, raising=False)
        kernel = Kernel()
        kernel.run(nbformat.v4.new_notebook(), Path.cwd() / "paths.json")
    yield kernel
    kernel.end()


@pytest.fixture
def lab_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A lab that the kernels of this test find, without anybody's services or keys."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    file = tmp_path / "paths.json"
    file.write_text("{}")
    monkeypatch.setenv("ORCHESTRATOR_PATHS", str(file))
    return file
