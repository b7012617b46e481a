"""`orchestrator parts normalise`: queries in, one list out, whatever the file is like."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from orchestrator.cli import app

FIELDS = {"raw", "en", "type", "subtype", "mpn", "attrs", "alternatives", "confidence"}


def test_queries_come_back_in_their_order_with_every_field() -> None:
    told = CliRunner().invoke(app, ["parts", "normalise", "резистор 4к7", "NE555", "", "--json"])
    assert told.exit_code == 0
    said = json.loads(told.stdout)
    assert [each["raw"] for each in said] == ["резистор 4к7", "NE555", ""]
    assert all(set(each) == FIELDS for each in said)
    assert said[0]["attrs"] == {"resistance": 4700}


def test_a_file_with_a_mark_and_empty_lines_gives_its_queries(tmp_path: Path) -> None:
    file = tmp_path / "queries.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "диод 1N4007\r\n\r\nКТ315Б\r\n".encode() + b"\xff")
    told = CliRunner().invoke(app, ["parts", "normalise", "--file", str(file), "--json"])
    said = json.loads(told.stdout)
    assert [each["mpn"] for each in said[:2]] == ["1N4007", "KT315B"]
    assert "1 empty line" in told.stderr


def test_a_file_that_is_no_text_makes_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "rubbish"
    file.write_bytes(bytes(range(256)))
    told = CliRunner().invoke(app, ["parts", "normalise", "--file", str(file), "--json"])
    assert told.exit_code == 0
    json.loads(told.stdout)


def test_a_file_that_is_not_there_is_told_and_fails(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["parts", "normalise", "--file", str(tmp_path / "none")])
    assert told.exit_code == 1
    assert "Traceback" not in told.output


def test_lines_come_through_a_pipe() -> None:
    told = CliRunner().invoke(app, ["parts", "normalise", "-", "--json"], input="реле 12В\n")
    assert json.loads(told.stdout)[0]["attrs"] == {"voltage": 12}
