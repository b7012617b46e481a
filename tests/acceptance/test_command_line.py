"""The command line as its users and their scripts meet it: processes, exit codes, standard output."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from commands import command
from PIL import Image

from orchestrator.cli import app

ROOT = Path(__file__).resolve().parents[2]
KEY = "bfl-key-that-nobody-may-see"


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "paths.json").write_text("{}")
    return tmp_path


def call(lab: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if k not in {"COMFY_URL", "BFL_API_KEY"}}
    environment |= {"ORCHESTRATOR_PATHS": str(lab / "paths.json")} | variables
    return command(lab, *arguments, environment=environment)


@dataclass(frozen=True)
class InVain:
    """Commands whose servers are not there: they take seconds, in which they wait to try again."""

    lab: Path
    comfyui: Future[subprocess.CompletedProcess[str]]
    flux: Future[subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module", autouse=True)
def in_vain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InVain]:
    """Begun with the first test, for those that want to know how they end."""
    comfyui, flux = (tmp_path_factory.mktemp(name) for name in ("no-comfyui", "no-flux"))
    for lab in (comfyui, flux):
        (lab / "paths.json").write_text("{}")
    asked = ("generate", "x", "--wait", "--json")
    nobody = "http://127.0.0.1:9"
    secret = {"BFL_API_KEY": KEY, "BFL_BASE_URL": nobody, "LOG_LEVEL": "DEBUG"}
    with ThreadPoolExecutor(2) as pool:
        yield InVain(
            flux,
            pool.submit(call, comfyui, *asked, COMFY_URL=nobody, LOG_LEVEL="ERROR"),
            pool.submit(call, flux, *asked, "--backend", "flux", **secret),
        )


def document(done: subprocess.CompletedProcess[str]) -> Any:
    return json.loads(done.stdout)  # all of standard output, or this fails


def fox(lab: Path, seed: int, **params: int) -> dict[str, Any]:
    asked = [f"--param={name}={value}" for name, value in {"seed": seed, **params}.items()]
    done = call(lab, "generate", "a red fox", "--backend", "sd15", "--wait", "--json", *asked)
    assert done.returncode == 0, done.stderr
    return document(done)


def pixels(job: dict[str, Any]) -> bytes:
    with Image.open(job["result"]["file"]) as image:
        return image.tobytes()


def test_a_module_of_python_is_the_same_command(lab: Path) -> None:
    said = [sys.executable, "-m", "orchestrator", "jobs", "--json"]
    environment = {**os.environ, "ORCHESTRATOR_PATHS": str(lab / "paths.json")}
    done = subprocess.run(said, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert document(done) == {"jobs": [], "total": 0}


def test_generate_and_wait_makes_a_png_that_carries_its_recipe(lab: Path) -> None:
    job = fox(lab, seed=7, steps=8)
    assert (job["status"], job["backend"], job["prompt"]) == ("done", "sd15", "a red fox")
    assert job["result"]["files"] == [job["result"]["file"]]
    with Image.open(job["result"]["file"]) as image:
        image.load()
        assert (image.format, image.size) == ("PNG", (512, 512))
        recipe = json.loads(image.text["orchestrator"])
        workflow = json.loads(image.text["prompt"])
    assert (recipe["jobId"], recipe["prompt"], recipe["seed"]) == (job["id"], "a red fox", 7)
    assert recipe["params"]["steps"] == 8
    assert "KSampler" in {node["class_type"] for node in workflow.values()}
    beside = json.loads(Path(job["result"]["file"] + ".json").read_bytes())
    assert (beside["jobId"], beside["width"], beside["height"]) == (job["id"], 512, 512)


def test_the_same_seed_makes_the_same_pixels_and_another_seed_others(lab: Path) -> None:
    first, again, other = (fox(lab, seed, steps=2, width=64, height=64) for seed in (7, 7, 8))
    assert pixels(first) == pixels(again) != pixels(other)
    assert len({job["result"]["file"] for job in (first, again, other)}) == 3


def test_a_draft_waits_until_it_is_run_and_a_cancelled_job_can_be_retried(lab: Path) -> None:
    draft = document(call(lab, "generate", "an owl", "--hold", "--json"))
    assert (draft["status"], draft["hold"]) == ("created", True)
    assert draft["params"]["seed"] >= 0, "a seed is chosen and stored"
    released = document(call(lab, "run", draft["id"], "--json"))
    assert (released["status"], released["hold"]) == ("queued", False)
    assert call(lab, "run", draft["id"]).returncode == 1, "it waits already"
    assert document(call(lab, "cancel", draft["id"][:23], "--json"))["status"] == "cancelled"
    assert document(call(lab, "retry", draft["id"], "--json"))["status"] == "queued"
    listed = document(call(lab, "jobs", "--status", "queued", "--json"))
    assert ([job["id"] for job in listed["jobs"]], listed["total"]) == ([draft["id"]], 1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("generate", "x", "--backend", "nope"), "Invalid backend"),
        (("generate", "x", "--param", "stepz=3"), "did you mean steps"),
        (("generate", "x", "--param", "steps"), "name=value"),
        (("generate", "x", "--param", "width=13"), "width"),
        (("generate", " "), "prompt is empty"),
        (("generate", "x", "--hold", "--wait"), "exclude"),
        (("generate", "x", "--hold", "--priority", "1001"), "--priority"),
        (("jobs", "--status", "lost"), "lost"),
        (("jobs", "--limit", "9" * 23), "--limit"),
        (("jobs", "--offset", "9" * 23), "--offset"),
        (("up", "--port", "65536"), "--port"),
        (("engine", "--port", "-1"), "--port"),
        (("batch", "run", "nowhere.ipynb", "--timeout", "0.5"), "--timeout"),
        (("cluster", "workers", "nonsense"), "tcp://"),
        (("cancel", "../../etc/passwd"), "not the id of a job"),
        (("cancel", "01a2"), "no job"),
        (("frobnicate",), "frobnicate"),
    ],
)
def test_wrong_usage_ends_with_2_says_why_and_stores_nothing(
    lab: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = call(lab, *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert not list(lab.glob("jobs/*.json"))


def test_a_server_that_is_not_there_fails_the_job_with_a_kind_and_a_remedy(in_vain: InVain) -> None:
    done = in_vain.comfyui.result()
    assert done.returncode == 1
    job = document(done)
    assert (job["status"], job["failure"]["kind"]) == ("failed", "unreachable")
    assert "COMFY_URL" in job["failure"]["remedy"]
    assert len(job["attempts"]) == 3


def test_a_dry_run_tells_the_price_and_a_dear_request_wants_a_yes(lab: Path) -> None:
    dear = ("generate", "x", "--backend", "flux-2-max", "--param", "width=2048")
    said = document(call(lab, *dear, "--dry-run", "--json", ORCHESTRATOR_CONFIRM_ABOVE="0.09"))
    assert (said["amount"], said["credits"], said["needsConfirmation"]) == ("0.10", "10", True)
    refused = call(lab, *dear, ORCHESTRATOR_CONFIRM_ABOVE="0.09")
    assert refused.returncode == 2
    assert "$0.10" in refused.stderr
    assert "--yes" in refused.stderr
    assert not list(lab.glob("jobs/*.json"))
    assert call(lab, *dear, "--yes", ORCHESTRATOR_CONFIRM_ABOVE="0.09").returncode == 0
    assert len(list(lab.glob("jobs/*.json"))) == 1
    spent = document(call(lab, "spending", "--json", ORCHESTRATOR_BUDGET_PER_DAY="2.50"))
    assert (spent["spentToday"], spent["leftToday"], spent["credits"]) == ("0.00", "2.50", None)
    assert "no purchase" in call(lab, "spending", "--correct", "x=0").stderr.lower()


def test_flux_without_a_key_is_held_at_once_and_no_key_is_ever_shown(
    lab: Path, in_vain: InVain
) -> None:
    alone = call(lab, "generate", "x", "--backend", "flux", "--wait", "--json")
    assert alone.returncode == 1
    keyless = document(alone)
    assert (keyless["status"], keyless["hold"]) == ("created", True)
    assert keyless["failure"]["kind"] == "no_key"
    told = call(lab, "generate", "x", "--backend", "flux", "--wait")
    assert "BFL_API_KEY" in told.stderr
    refused = in_vain.flux.result()
    assert document(refused)["failure"]["kind"] == "unreachable"
    health = call(lab, "health", "--json", BFL_API_KEY=KEY, BFL_BASE_URL="http://127.0.0.1:9")
    everything = [refused.stdout, refused.stderr, health.stdout, health.stderr]
    files = [path for folder in (lab, in_vain.lab) for path in folder.rglob("*") if path.is_file()]
    assert any(path.suffix == ".log" for path in files)
    everything += [path.read_text(errors="replace") for path in files]
    assert not any(KEY in text for text in everything)


def test_health_ends_with_1_and_names_what_is_down_and_how_to_mend_it(lab: Path) -> None:
    done = call(lab, "health", "--json", COMFY_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    report = document(done)
    assert report["comfyui"]["status"] == report["worker"]["status"] == "stopped"
    assert any("COMFY_URL" in problem for problem in report["problems"])
    assert any("orchestrator worker" in problem for problem in report["problems"])


def test_paths_creates_what_is_missing_and_says_what_it_found(lab: Path) -> None:
    (lab / "paths.json").write_text('{"dropOut": "pictures\\\\out"}')
    done = call(lab, "paths", "--json")
    assert done.returncode == 0
    places = document(done)["places"]
    assert places["dropOut"] == {
        "path": str(lab / "pictures" / "out"),
        "exists": True,
        "writable": True,
        "problem": None,
    }
    assert (lab / "pictures" / "out").is_dir()
    (lab / "paths.json").write_text('{"jobs": "Q:\\\\Jobs"}')
    refused = call(lab, "paths")
    assert refused.returncode == 2
    assert "drive Q: is not on this machine" in refused.stdout + refused.stderr


OBJECT_INFO = {
    "Blank": {
        "input": {"required": {"width": ["INT", {"default": 512, "min": 16}]}},
        "output": ["IMAGE"],
        "output_node": False,
    },
    "Save": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True},
}


def saved(lab: Path, name: str, content: object) -> str:
    (lab / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return name


def test_a_workflow_of_the_editor_is_converted_and_validated(lab: Path) -> None:
    server = ("--object-info", saved(lab, "info.json", OBJECT_INFO), "--json")
    links = [[1, 1, 0, 2, 0, "IMAGE"]]
    nodes = [
        {"id": 1, "type": "Blank", "widgets_values": [8]},
        {"id": 2, "type": "Save", "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]},
    ]
    drawn = saved(lab, "drawn.json", {"nodes": nodes, "links": links})
    done = call(lab, "workflow", "convert", drawn, *server)
    assert done.returncode == 0, done.stderr
    prompt = document(done)["prompt"]
    assert prompt["1"]["inputs"] == {"width": 8}
    assert prompt["2"]["inputs"] == {"images": ["1", 0]}
    assert document(done)["warnings"] == []
    for file in (drawn, saved(lab, "api.json", prompt)):
        refused = call(lab, "workflow", "validate", file, *server)
        assert refused.returncode == 1
        (error,) = document(refused)["errors"]
        assert error.pop("message") == "8 is smaller than 16"
        assert error == {"node": "1", "input": "width", "type": "value_smaller_than_min"}
    prompt["1"]["inputs"]["width"] = 512
    well = call(lab, "workflow", "validate", saved(lab, "well.json", prompt), *server)
    assert well.returncode == 0
    assert document(well) == {"errors": []}


def test_a_workflow_that_is_none_is_wrong_usage_and_an_empty_one_a_failure(lab: Path) -> None:
    server = ("--object-info", saved(lab, "info.json", OBJECT_INFO), "--json")
    for file in (saved(lab, "bad.json", "{"), saved(lab, "deep.json", "[" * 99_999), "none.json"):
        done = call(lab, "workflow", "convert", file, *server)
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr
    empty = saved(lab, "empty.json", {"nodes": [], "links": []})
    assert call(lab, "workflow", "convert", empty, *server).returncode == 1


def test_the_readme_names_the_commands_that_there_are() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    contract = readme[readme.index("**Command line**") : readme.index("**Environment**")]
    said = set(re.findall(r"[a-z]+", " ".join(re.findall(r"`([^`]+)`", contract))))
    commands = {c.name or c.callback.__name__ for c in app.registered_commands if c.callback}
    assert commands <= said
