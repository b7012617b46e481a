"""What the second visitor of a page does not wait for again."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from nbformat.v4 import new_notebook
from traitlets.config import Config

from orchestrator.server import pages
from orchestrator.server.pages import PAGES, TEMPLATE
from orchestrator.server.templates import CompiledOnce
from orchestrator.testing import Engine

VISIT = """
import asyncio, sys
from orchestrator.widgets.warm import warm_up

async def visit():
    warm_up()
    before = set(sys.modules)
    from orchestrator import Lab
    from orchestrator.widgets import Dashboard

    with Lab.open() as lab:
        page = Dashboard(lab)
        while not page.form.offers:
            await asyncio.sleep(0.01)
        page.close()
    print(sorted(set(sys.modules) - before))

asyncio.run(visit())
"""


def test_templates_are_compiled_for_the_first_visitor_and_used_for_all() -> None:
    # a second to import: not in every process that only looks which tests there are
    from voila.exporter import VoilaExporter
    from voila.paths import collect_template_paths

    config = Config()
    pages.configure(config, list(PAGES))
    found = collect_template_paths(["voila", "nbconvert"], TEMPLATE)

    def visitors_own() -> VoilaExporter:
        exporter = VoilaExporter(config=config, template_paths=found, template_name=TEMPLATE)
        ours = [each for each in exporter._preprocessors if isinstance(each, CompiledOnce)]
        assert len(ours) == 1
        ours[0](new_notebook(), {})
        return exporter

    first, second = visitors_own(), visitors_own()
    assert first.environment is not second.environment
    codes = [
        {name: block.__code__ for name, block in exporter.template.blocks.items()}
        for exporter in (first, second)
    ]
    assert "body_header" in codes[0]
    assert all(code is codes[1][name] for name, code in codes[0].items())


def test_what_a_page_imports_was_imported_while_its_kernel_waited(tmp_path: Path) -> None:
    async def visit() -> tuple[bytes, bytes]:
        (tmp_path / "paths.json").write_text("{}")
        async with Engine() as engine:
            paths = str(tmp_path / "paths.json")
            visitor = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", VISIT),
                env=os.environ | {"ORCHESTRATOR_PATHS": paths, "COMFY_URL": engine.url},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            return await asyncio.wait_for(visitor.communicate(), 60)

    said, errors = asyncio.run(visit())
    assert said.decode().strip() == "[]", errors.decode()
