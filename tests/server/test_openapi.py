"""The interface describes itself, and does what it says: Schemathesis tries it with hundreds of odd requests.

Requests for pictures are tried of one backend here; of all, and with thousands, in the long form (`LAB_LONG=1`).
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bare_server import BareServer
from lengths import LONG
from served_lab import TOKEN
from test_stream import put_picture

from orchestrator import backends
from orchestrator.server.openapi import document
from orchestrator.server.operations import operations, path_of
from orchestrator.server.rest import ROUTES

STREAM = "/api/stream"  # it never ends
UPLOADS = "/api/inputs"  # no schema says what a picture is; test_uploads.py tries it
# of each kind for each operation; the edges of every field come on top
EXAMPLES = 20 if LONG else 2
# the fields of the others are made of the same, and test_a_backends_parameters_... holds them against the description
TRIED = {"sd15"}
# no schema says which lists of values, or which files, make sense together: what fits it may be refused
FREE = [
    "POST /api/workflows/check",
    "POST /api/batches",
    "POST /api/batches/plan",
    "POST /api/parts/bom",
]
# methods that a route does not have: one answer serves all of them
METHODS = "" if LONG else '[phases.coverage]\nunexpected-methods = ["TRACE"]\n'
# its body is that of POST /api/batches
TWINS = () if LONG else ("POST /api/batches/plan",)
CONFIG = METHODS + "".join(
    f'[[operations]]\ninclude-name = "{name}"\nchecks.positive_data_acceptance.enabled = false\n'
    + ("phases.coverage.enabled = false\n" if name in TWINS else "")
    for name in FREE
)
# every request is sent twice more for that; test_rest_strangers.py tries each route and method without a token
UNCHECKED = () if LONG else ("--exclude-checks", "ignored_auth")
# what Hypothesis knows of Unicode takes seconds to be found out
KNOWN = {"HYPOTHESIS_STORAGE_DIRECTORY": str(Path(__file__).resolve().parents[2] / ".hypothesis")}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(
        tmp_path_factory.mktemp("lab"), writes=[1_000_000, 10], reads=[1_000_000, 10]
    )
    yield server
    server.stop()


def described() -> dict[str, Any]:
    return document(ROUTES)


def test_every_route_and_method_is_described() -> None:
    paths = described()["paths"]
    for pattern, handler in ROUTES:
        path = path_of("/" + pattern.lstrip("/"))[0]
        methods = {
            name
            for name in ("get", "post", "put", "patch", "delete")
            if name in vars(handler) or any(name in vars(base) for base in handler.__mro__[:2])
        }
        assert methods == set(operations(handler)) == set(paths[path]), path
    for path in ("/api/generate", "/api/jobs/{jobId}/run", "/api/images", STREAM, "/api/metrics"):
        assert path in paths


def test_every_operation_has_a_name_of_its_own() -> None:
    operations = [o for item in described()["paths"].values() for o in item.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    assert all(operation["summary"] for operation in operations)


def test_whatever_is_referred_to_is_there() -> None:
    made = described()
    schemas = made["components"]["schemas"]

    def look(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                assert value["$ref"].removeprefix("#/components/schemas/") in schemas
            for each in value.values():
                look(each)
        elif isinstance(value, list):
            for each in value:
                look(each)

    look(made)


@pytest.mark.parametrize("name", backends.BACKENDS)
def test_a_backends_parameters_are_described_with_their_limits(name: str) -> None:
    backend = backends.get(name)
    properties = described()["components"]["schemas"][f"{name.title()}Params"]["properties"]
    model = backend.params
    assert set(properties) == {field.alias for field in model.model_fields.values()}
    defaults = {key: said["default"] for key, said in properties.items() if "default" in said}
    assert backends.parse(backend, defaults, strict=True) == backends.parse(backend, {})
    if "steps" in properties and backend.service == "comfyui":
        assert properties["steps"]["anyOf"][0] == {
            "type": "integer",
            "minimum": 1,
            "maximum": backends.MAX_STEPS,
        }


def tried(said: dict[str, Any]) -> dict[str, Any]:
    """The description that Schemathesis gets: four of five of its requests would be for pictures of all backends."""
    body = said["components"]["schemas"]["GenerateBody"]
    named = {each["properties"]["backend"]["const"]: each for each in body["oneOf"]}
    body["oneOf"] = list(named.values()) if LONG else [named[name] for name in TRIED]
    return said


@pytest.mark.timeout(1200 if LONG else 400)
def test_schemathesis_finds_nothing(server: BareServer, tmp_path: Path) -> None:
    if importlib.util.find_spec("schemathesis") is None:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail("schemathesis is missing")
        pytest.skip("this test needs the package schemathesis")
    server.generate("something to find")
    put_picture(server.lab, "job-1")
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(tried(server.get("/api/openapi.json"))))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", str(description)),
            *("--url", server.url, "--header", f"Authorization: token {TOKEN}"),
            *(
                "--exclude-path",
                STREAM,
                "--exclude-path",
                UPLOADS,
                "--max-examples",
                str(EXAMPLES),
            ),
            *("--workers", "2", "--seed", "1", "--warnings", "off", "--request-timeout", "30"),
            *("--generation-database", "none", "--no-color", *UNCHECKED),
        ],
        cwd=tmp_path,
        env=os.environ | KNOWN,
        capture_output=True,
        text=True,
        check=False,
    )
    said = "\n".join(line[:400] for line in done.stdout.splitlines())
    assert done.returncode == 0, said[-6000:] + done.stderr[-2000:]
    assert "No issues found" in said
    assert "Traceback" not in server.said.read_text()
