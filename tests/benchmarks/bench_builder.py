"""How long the Builder takes to open a large workflow, and how smoothly it is moved.

    python tests/benchmarks/bench_builder.py

Opens 300 nodes in headless Chromium, as users have it, and pans at a zoom of 0.8. A machine at work is slower.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "server")]

from browser import chromium  # noqa: E402
from served_lab import TOKEN, ServedLab  # noqa: E402

NODES = 300
INPUTS = (
    ("model", "MODEL"),
    ("positive", "CONDITIONING"),
    ("negative", "CONDITIONING"),
    ("latent_image", "LATENT"),
)
OPEN_MS, FRAMES = 2_500, 30.0

PAN = """async () => {
  const pane = document.querySelector(".react-flow__pane");
  const box = pane.getBoundingClientRect();
  const pressed = { bubbles: true, cancelable: true, view: window, button: 0, buttons: 1 };
  const at = (x) => ({ ...pressed, clientX: x, clientY: box.y + 5 });
  pane.dispatchEvent(new MouseEvent("mousedown", at(box.x + 300)));
  let frames = 0;
  const began = performance.now();
  while (performance.now() - began < 3000) {
    await new Promise(requestAnimationFrame);
    window.dispatchEvent(new MouseEvent("mousemove", at(box.x + 300 + 250 * Math.sin(frames / 20))));
    frames++;
  }
  window.dispatchEvent(new MouseEvent("mouseup", at(box.x + 300)));
  return (1000 * frames) / (performance.now() - began);
}"""


def workflow() -> dict[str, Any]:
    """Samplers one after the other in rows, each with the links of a real one."""
    nodes, links = [], []
    for number in range(1, NODES + 1):
        row, column = divmod(number - 1, 20)
        sampler = {
            "id": number,
            "type": "KSampler",
            "pos": [column * 340, row * 330],
            "size": [270, 262],
            "flags": {},
            "mode": 0,
            "inputs": [{"name": name, "type": kind, "link": None} for name, kind in INPUTS],
            "outputs": [{"name": "LATENT", "type": "LATENT", "links": []}],
            "widgets_values": [number, "fixed", 20, 8, "euler", "normal", 1],
        }  # fmt: skip
        if column:
            links.append([number, number - 1, 0, number, 3, "LATENT"])
            sampler["inputs"][3]["link"] = number  # type: ignore[index]
            nodes[-1]["outputs"][0]["links"].append(number)
        nodes.append(sampler)
    return {"nodes": nodes, "links": links, "groups": [], "version": 0.4}


def main() -> int:
    """Measure, print, and say whether it was quick enough."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        served = ServedLab(Path(folder), BFL_BASE_URL="http://127.0.0.1:9")
        try:
            (served.lab.paths.workflows / "large.json").write_text(json.dumps(workflow()))
            with chromium(Path(folder) / "profile") as context:
                page = context.new_page()
                page.goto(f"{served.url}/builder?token={TOKEN}")
                page.locator(".bd-fold").first.wait_for(timeout=90_000)
                page.get_by_role("button", name="Workflows").click()
                item = page.get_by_role("button", name="large").first
                item.wait_for(timeout=20_000)
                opened = page.evaluate(
                    """async () => {
                      const item = document.querySelector(".bd-open");
                      const began = performance.now();
                      item.click();
                      const frame = () => new Promise(requestAnimationFrame);
                      while (document.querySelectorAll(".react-flow__node").length < 300) await frame();
                      await frame();
                      return performance.now() - began;
                    }"""
                )
                far = page.evaluate(PAN)
                page.locator(".bd-canvas").focus()
                zoom = "document.querySelector('.react-flow__viewport').style.transform.match(/scale\\(([^)]+)/)[1]"
                while float(page.evaluate(zoom)) < 0.75:
                    page.keyboard.press("+")
                    page.wait_for_timeout(400)
                near = page.evaluate(PAN)
                print(f"{NODES} nodes open in {opened:.0f} ms (gate {OPEN_MS})")
                print(f"pan, all of them visible: {far:.0f} frames a second")
                print(
                    f"pan at zoom {float(page.evaluate(zoom)):.2f}: {near:.0f} (gate {FRAMES:.0f})"
                )
                return int(opened > OPEN_MS or near < FRAMES)
        finally:
            served.stop()


if __name__ == "__main__":
    sys.exit(main())
