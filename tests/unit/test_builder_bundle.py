"""The browser side of the Builder: how it is packed, and that it can be built from any npm registry."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "orchestrator" / "widgets" / "builder"
SOURCES, MADE = FOLDER / "js", FOLDER / "static"
MOST = 200_000  # bytes, compressed as it is sent


def test_the_list_of_libraries_names_no_registry_and_every_version_and_hash() -> None:
    text = (SOURCES / "package-lock.json").read_text("utf-8")
    assert "://" not in text
    packages = json.loads(text)["packages"]
    assert all("integrity" in said for path, said in packages.items() if path)
    said = json.loads((SOURCES / "package.json").read_text("utf-8"))
    versions = [*said["dependencies"].values(), *said["devDependencies"].values()]
    assert all(version[0].isdigit() for version in versions)


@pytest.mark.skipif(not (MADE / "builder.js").is_file(), reason="the editor was not built")
def test_the_bundle_is_small_and_brings_the_notices_of_all_that_is_in_it() -> None:
    data = (MADE / "builder.js").read_bytes() + (MADE / "builder.css").read_bytes()
    assert len(gzip.compress(data)) <= MOST
    notices = (MADE / "LEGAL.txt").read_text("utf-8")
    for name in (
        "react ",
        "react-dom ",
        "@xyflow/react ",
        "@dagrejs/dagre ",
        "d3-zoom ",
        "zustand ",
    ):
        assert f"\n{name}" in notices
    assert b"cdn." not in data
