"""The gates of the Builder, over every template workflow: `python -m tests.builder.gates [--browser]`.

With `--browser` every template is opened, changed and restored by the page as well (some minutes); with
`--only-browser` nothing else is done, for templates that the recordings are not of.

Templates come from the package comfyui-workflow-templates-json (pinned in the extra `test`) or from the folder in
ORCHESTRATOR_TEMPLATES; what a server has and what the real front end made of the templates from the recordings beside
the checkout, or from `--oracle FOLDER` with one NAME.json for each of its conversions.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.workflows.ui import Plans, convert, draw, validate

RECORDINGS = Path(__file__).resolve().parents[3] / "shared" / "recordings" / "builder"
OBJECT_INFO = RECORDINGS / "object_info_0.27.0.json"
FRONT_END = RECORDINGS / "front-end-1.45.20-api.json"
PACKAGE = "comfyui_workflow_templates_json"
CAPTURED = "its 3D view is a picture that only a browser takes"
NO_CLASS = (
    "of nodes that are not installed the front end sends no class, the server could not name them"
)
# Where we differ from front end 1.45.20 on purpose, or cannot do as it does.
EXCEPTIONS = {
    "api_hunyuan3d_model2uv": CAPTURED,
    "api_hunyuan3d_part": CAPTURED,
    "api_hunyuan3d_retopo_uv": CAPTURED,
    "api_hunyuan3d_smart_topology": CAPTURED,
    "template_rob_realistic_2k_images_quick_variations": NO_CLASS,
    "templates_mjm_looped_restyler": NO_CLASS,
    "templates_rob_realistic_2k_images_quick_variations.app": NO_CLASS,
}
# Front ends 1.45.20 and 1.58.1 differ: values saved as null with a subgraph's node; the last two, unknown classes.
DISPUTED = (
    "Image_capybara_v0_1_image_edit",
    "Image_capybara_v0_1_text_to_image",
    "image_kandinsky5_t2i",
    "image_longcat_text_to_image",
    "image_newbieimage_exp0_1-t2i",
    "image_qwen_Image_2512_controlnet",
    "image_qwen_image_instantx_controlnet",
    "video_capybara_v0_1_image_to_video",
    "video_capybara_v0_1_video_edit",
    "video_ltx2_canny_to_video",
    "video_ltx2_i2v",
    "video_ltx2_i2v_distilled",
    "video_ltx2_i2v_lora",
    "video_ltx2_t2v_distilled",
    "template_rob_realistic_2k_images_quick_variations",
    "templates_rob_realistic_2k_images_quick_variations.app",
)
PREVIEWS = frozenset({"IMAGECOMPARE"})
# of nodes, over the 468; 3D views are sent by a browser alone, and are missing here: they stand among them all the same
TOLD_BY_THE_SERVER = 1_342


@dataclass
class Results:
    """What was found, by the names of the templates."""

    converted: int = 0
    equal: list[str] = field(default_factory=list)
    different: dict[str, list[str]] = field(default_factory=dict)
    unwarned: list[str] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)  # of all
    returned: list[str] = field(default_factory=list)  # API -> UI -> API made the same of it
    lost: dict[str, list[str]] = field(default_factory=dict)
    milliseconds: list[float] = field(default_factory=list)
    told: int = 0  # errors of nodes that the server would tell


def templates_folder() -> Path | None:
    """Where the template workflows are, or None."""
    if named := os.environ.get("ORCHESTRATOR_TEMPLATES"):
        return Path(named)
    found = importlib.util.find_spec(PACKAGE)
    return Path(found.origin).parent / "templates" if found and found.origin else None


def templates(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and document of each workflow; the indexes beside them are none."""
    for file in sorted(folder.glob("*.json")):
        document = json.loads(file.read_text("utf-8"))
        if isinstance(document, dict) and isinstance(document.get("nodes"), list):
            yield file.stem, document


def recorded(folder: Path | None) -> dict[str, Any]:
    """What the front end made of templates, by their names."""
    if folder is None:
        made: dict[str, Any] = json.loads(FRONT_END.read_text("utf-8"))
        return made
    return {file.stem: json.loads(file.read_text("utf-8")) for file in folder.glob("*.json")}


def differences(
    theirs: Mapping[str, Any], ours: Mapping[str, Any], info: Mapping[str, Any]
) -> list[str]:
    """In what two prompts differ that a server looks at."""
    one, other = _heard(theirs, info), _heard(ours, info)
    found = [f"node {node_id} is in one only" for node_id in one.keys() ^ other.keys()]
    for node_id in one.keys() & other.keys():
        names = one[node_id].keys() | other[node_id].keys()
        found += [
            f"{node_id}.{name}: {one[node_id].get(name)!r} and {other[node_id].get(name)!r}"
            for name in sorted(names)
            if json.dumps(one[node_id].get(name)) != json.dumps(other[node_id].get(name))
        ]
    return found


def _heard(prompt: Mapping[str, Any], info: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By node the inputs that a server hears of, and its class."""
    heard = {}
    for node_id, node in prompt.items():
        kind = node.get("class_type")
        declared: dict[str, Any] = {}
        for group in info.get(kind, {}).get("input", {}).values():
            declared |= group if isinstance(group, dict) else {}
        dynamic = tuple(
            f"{n}." for n, spec in declared.items() if str(spec[0]).startswith("COMFY_")
        )
        heard[node_id] = {"class_type": kind} | {
            name: value
            for name, value in node["inputs"].items()
            if (isinstance(value, list) and len(value) == 2)
            or kind not in info
            or (name in declared and str(declared[name][0]) not in PREVIEWS)
            or name.startswith(dynamic)
            or kind == "CustomCombo"
        }
    return heard


def measure(folder: Path, info: dict[str, Any], oracle: Mapping[str, Any]) -> Results:
    """Convert every template, and hold what comes out against the front end."""
    plans = Plans(info)
    results = Results()
    for name, document in templates(folder):
        before = json.dumps(document)
        began = time.perf_counter()
        done = convert(document, plans)
        results.milliseconds.append((time.perf_counter() - began) * 1_000)
        assert json.dumps(document) == before, f"{name}: the document was changed"
        assert convert(document, plans) == done, f"{name}: a second conversion differs"
        results.converted += 1
        results.told += sum(each.told and bool(each.input) for each in validate(done.prompt, plans))
        if done.warnings:
            results.warned.add(name)
        if name in oracle:
            found = differences(oracle[name], done.prompt, info)
            if not found:
                results.equal.append(name)
            else:
                results.different[name] = found
                if not done.warnings:
                    results.unwarned.append(name)
        found = differences(*_drawn_and_back(done.prompt, plans), info)
        if found:
            results.lost[name] = found
        else:
            results.returned.append(name)
    return results


def _drawn_and_back(
    prompt: Mapping[str, Any], plans: Plans
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The prompt, and what comes of it by way of the editor; both under the ids of the first."""
    drawn = draw(prompt, plans).document
    ids = {str(node["id"]): node_id for node, node_id in zip(drawn["nodes"], prompt, strict=True)}
    back = convert(drawn, plans).prompt
    renamed = {
        ids[node_id]: node
        | {"inputs": {name: _renamed(value, ids) for name, value in node["inputs"].items()}}
        for node_id, node in back.items()
    }
    return dict(prompt), renamed


def _renamed(value: Any, ids: Mapping[str, str]) -> Any:
    return [ids[value[0]], value[1]] if isinstance(value, list) else value


def _in_browser(folder: Path, plans: Plans) -> bool:
    sys.path.append(str(Path(__file__).resolve().parent))
    import browser_gates

    files = sorted(folder.glob("*.json"))
    return browser_gates.report(browser_gates.measure(files, plans, progress=True))


def main() -> int:
    """Measure and print; 0 when every gate holds."""
    reader = argparse.ArgumentParser(description="The gates of the Builder's Python side.")
    reader.add_argument("--oracle", type=Path, help="a folder of conversions of the front end")
    reader.add_argument("--browser", action="store_true", help="open all of them in Chromium, too")
    reader.add_argument("--only-browser", action="store_true", help="do nothing else")
    chosen = reader.parse_args()
    folder = templates_folder()
    if folder is None or not OBJECT_INFO.exists():
        what = PACKAGE if folder is None else str(OBJECT_INFO)
        print(f"nothing was measured: there is no {what}")
        return 0
    info = json.loads(OBJECT_INFO.read_text("utf-8"))
    if chosen.only_browser:
        return 0 if _in_browser(folder, Plans(info)) else 1
    found = measure(folder, info, recorded(chosen.oracle))
    compared = len(found.equal) + len(found.different)
    times = sorted(found.milliseconds)
    print(
        f"{found.converted} templates converted, twice the same; {found.told} errors of nodes to "
        f"tell (server 0.27.0 told {TOLD_BY_THE_SERVER:,} of json 0.1.6)"
    )
    print(f"equal to the front end: {len(found.equal)} of {compared}")
    for name, lines in found.different.items():
        print(f"  {name}: {EXCEPTIONS.get(name, 'NOT KNOWN')}: {lines[0][:160]}")
    print(f"different without a warning: {len(found.unwarned)} {found.unwarned}")
    print(f"API -> UI -> API the same: {len(found.returned)} of {found.converted}")
    for name, lines in found.lost.items():
        print(f"  {name}: {lines[0][:160]}")
    p95 = times[int(len(times) * 0.95)]
    print(f"a conversion takes {statistics.median(times):.1f} ms (median), {p95:.1f} ms (p95)")
    unknown = found.different.keys() - EXCEPTIONS.keys()
    silent = (EXCEPTIONS.keys() | set(DISPUTED)) - found.warned
    print(
        f"{len(found.warned)} have warnings; of those where front ends differ without: {sorted(silent)}"
    )
    holds = not (unknown or silent or found.unwarned) and len(found.lost) <= 3
    if chosen.browser:
        holds &= _in_browser(folder, Plans(info))
    print("every gate holds" if holds else "A GATE DOES NOT HOLD")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
