"""A kernel for one notebook after the other: it takes seconds to begin and to import what notebooks need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

VARIABLES = ("COMFY_URL", "BFL_API_KEY", "BFL_BASE_URL")
# nothing of another notebook, nor of its lab, is left; that each runs in a kernel of its own, nbval sees
BEGIN = """
%reset -f
import os
os.environ["ORCHESTRATOR_PATHS"] = {lab!r}
os.chdir({folder!r})
del os
"""


def parameterized(file: Path, **parameters: Any) -> Any:
    """A notebook with parameters, as papermill sets them."""
    return parameterize_notebook(load_notebook_node(str(file)), parameters)


class Kernel:
    """A kernel in which one notebook after the other is executed."""

    def __init__(self) -> None:
        self._client = NotebookClient(nbformat.v4.new_notebook(), timeout=60, kernel_name="python3")

    async def execute(self, notebook: Any, lab_file: Path) -> Any:
        """Execute a notebook in the folder of a lab; returns it with its outputs."""
        begin = BEGIN.format(lab=str(lab_file), folder=str(lab_file.parent))
        notebook.cells.insert(0, nbformat.v4.new_code_cell(begin, id="begin"))
        self._client.nb = notebook
        await self._client.async_execute(cleanup_kc=False)
        return notebook

    def run(self, notebook: Any, lab_file: Path) -> Any:
        """The same, where no event loop runs."""
        return run_sync(self.execute)(notebook, lab_file)

    def end(self) -> None:
        if self._client.kc is not None:
            self._client._cleanup_kernel()
