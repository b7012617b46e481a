"""What comes with the package for the browser: the editor, which hatch_build.py makes, and templates to begin with."""

from __future__ import annotations

from pathlib import Path

MADE = Path(__file__).parent / "static"
SAMPLES = Path(__file__).parent / "samples"
MISSING = """export default { render({ el }) {
  const node = document.createElement("p");
  node.setAttribute("role", "alert");
  node.textContent = "The Builder's editor was not built: Node.js or the npm registry could not be reached when the " +
    "lab was installed. Run “pip install --force-reinstall --no-deps” on the lab once more, in a checkout " +
    "“pip install -e .”, and reload this page.";
  el.append(node);
} };"""


def script() -> str:
    """The editor as a module; one that says what to do when it was not built."""
    made = MADE / "builder.js"
    return made.read_text("utf-8") if made.is_file() else MISSING


def style() -> str:
    """Its look."""
    made = MADE / "builder.css"
    return made.read_text("utf-8") if made.is_file() else ""


def samples() -> dict[str, str]:
    """The templates by their names, each as the text of a workflow."""
    return {file.stem: file.read_text("utf-8") for file in sorted(SAMPLES.glob("*.json"))}
