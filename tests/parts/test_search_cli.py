"""`orchestrator parts search` and `parts sources`, run as a user does, on a machine without a key."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from orchestrator import parts
from orchestrator.cli import app
from orchestrator.paths import Paths

ROOT = Path(__file__).parent.parent.parent
KEY = "planted-0123456789-key"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "paths.json").write_text("{}")
    return tmp_path


def run(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
    return subprocess.run(
        [sys.executable, "-m", "orchestrator", "parts", *words],
        cwd=site,
        env={
            **env,
            "ORCHESTRATOR_PATHS": str(site / "paths.json"),
            "PYTHONPATH": str(ROOT),
            "PYTHONIOENCODING": "utf-8",
            "COLUMNS": "160",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def told(site: Path, *words: str) -> Result:
    """What the command says, in this process."""
    env: dict[str, str | None] = {name: None for name in os.environ if "PROXY" in name.upper()}
    env |= {"ORCHESTRATOR_PATHS": str(site / "paths.json"), "COLUMNS": "160"}
    return CliRunner().invoke(app, ["parts", *words], env=env)


def test_a_machine_without_a_key_finds_something_and_says_where_keys_are_had(site: Path) -> None:
    done = run(site, "search", "NE555P", "--qty", "100", "--currency", "eur")
    assert done.returncode == 0, done.stderr
    assert "NE555P" in done.stdout
    assert "EUR for 100" in done.stdout
    assert "Understood:" in done.stderr
    assert "Not asked: Mouser" in done.stderr
    assert "MOUSER_API_KEY" in done.stderr


def test_json_is_one_document_with_the_query_the_parts_and_the_sources(site: Path) -> None:
    done = told(site, "search", "резистор 4к7 0603 1%", "--qty", "7", "--json")
    assert done.exit_code == 0, done.stderr
    document = json.loads(done.stdout)
    assert {"query", "parts", "sources"} <= document.keys()
    assert document["query"]["attrs"]["resistance"] == 4700
    assert document["parts"][0]["best"]["quantity"] == 7
    sample = next(one for one in document["sources"] if one["name"] == "sample")
    assert sample["count"] > 0
    assert next(one for one in document["sources"] if one["name"] == "mouser")["missing"]


def test_the_public_view_names_no_seller(site: Path) -> None:
    done = told(site, "search", "NE555P", "--public", "--json")
    assert done.exit_code == 0, done.stderr
    assert "sample" not in done.stdout.casefold()
    assert "seller" not in done.stdout.casefold()


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["zzqqxxyy0"], 1),
        ([" "], 2),
        (["NE555P", "--only", "nobody"], 2),
        (["NE555P", "--currency", "XQX"], 2),
        (["NE555P", "--qty", "0"], 2),
    ],
)
def test_the_exit_code_tells_nothing_found_from_wrong_usage(
    site: Path, words: Sequence[str], code: int
) -> None:
    done = told(site, "search", *words)
    assert done.exit_code == code, done.stderr
    assert isinstance(done.exception, SystemExit), done.exception


def test_sources_are_listed_with_their_keys_calls_and_state(site: Path) -> None:
    (site / ".env.local").write_text(f"MOUSER_API_KEY={KEY}\n")
    whole = parts.open(Paths.load(site / "paths.json"))
    for _ in range(5):
        whole.breaker.failed("mouser", "network", fingerprint=whole.fingerprint("mouser"))
    asyncio.run(whole.close())
    listed = {one["name"]: one for one in json.loads(told(site, "sources", "--json").stdout)}
    assert listed["mouser"]["missing"] is None
    assert listed["mouser"]["quota"] == "1000 of 1000 left today"
    assert listed["mouser"]["breaker"] == "open"
    assert "FARNELL_API_KEY" in listed["farnell"]["missing"]
    done = told(site, "sources", "--reset", "mouser")
    assert done.exit_code == 0
    assert "ready" in done.stdout
    said = done.stdout + done.stderr + json.dumps(listed)
    assert KEY not in said
    for file in (site / "data").iterdir():
        assert KEY.encode() not in file.read_bytes()
    assert told(site, "sources", "--reset", "nobody").exit_code == 2


def test_find_gives_a_table_of_offers(site: Path) -> None:
    paths = Paths.load(site / "paths.json")
    table = asyncio.run(parts.find("NE555P", quantity=50, currency="EUR", paths=paths))
    assert set(table["mpn"]) == {"NE555P"}
    assert set(table["currency"]) == {"EUR"}
    assert table["is_best"].sum() == 1
    best = table[table["is_best"]].iloc[0]
    assert best["total"] == min(table["total"])
    assert best["buy"] >= 50


def test_importing_the_package_brings_in_nothing_slow() -> None:
    code = "import sys, orchestrator.parts; print(sorted({'httpx', 'pydantic', 'pandas'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
