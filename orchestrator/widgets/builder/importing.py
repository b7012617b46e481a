"""A workflow out of a file that was dropped on the editor: JSON, or a picture that says how it was made."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.errors import ImageInvalid, WorkflowUnreadable
from orchestrator.recipes import ForeignRecipe, Recipe, png
from orchestrator.recipes.embedding import PAGE, WORKFLOW, recipe_in
from orchestrator.recipes.kinds import DAMAGE
from orchestrator.widgets.builder.document import decoded, parsed
from orchestrator.workflows.ui import Format, Plans, draw, format_of

PNG = b"\x89PNG\r\n\x1a\n"


def workflow_in(data: bytes) -> str:
    """The text of the workflow in a file, UI format before API format. Raises WorkflowUnreadable."""
    if data[:1].isspace() or data[:1] in (b"{", b"\xef"):
        return decoded(data)
    if data.startswith(PNG):
        try:
            texts = png.texts(data)
        except (ImageInvalid, *DAMAGE):
            texts = {}
        for key in (PAGE, WORKFLOW):
            if _is_workflow(texts.get(key, "")):
                return texts[key]
    found = recipe_in(data)
    workflow = found.workflow if isinstance(found, Recipe | ForeignRecipe) else None
    if not workflow:
        raise WorkflowUnreadable(
            "The file holds no workflow",
            remedy="Drop a workflow's JSON file, or a picture with one inside.",
        )
    return json.dumps(workflow, ensure_ascii=False)


def as_ui(text: str, plans: Plans) -> tuple[str, list[dict[str, Any]]]:
    """A workflow's text in UI format, as it is if it is in it; else laid out by us, with what that loses.

    Raises WorkflowUnreadable.
    """
    document = parsed(text)
    if format_of(document) is Format.UI:
        return text, []
    drawn = draw(document, plans)
    lost = [
        {
            "path": [each.node],
            "input": each.input,
            "type": "conversion",
            "message": each.message,
            "severity": "warning",
        }
        for each in drawn.warnings
    ]
    return json.dumps(drawn.document, ensure_ascii=False), lost


def _is_workflow(text: str) -> bool:
    try:
        format_of(parsed(text))
    except WorkflowUnreadable:
        return False
    return True
