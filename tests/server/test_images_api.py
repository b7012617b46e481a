"""Pictures over REST: what a script with the token can do, and that nobody gets more than pictures."""

from __future__ import annotations

import io
import os
import socket
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from bare_server import BareServer
from PIL import Image
from served_lab import TOKEN

from orchestrator.images import publish
from orchestrator.recipes import Recipe
from orchestrator.server.images import FOR_EVER, ROUTES

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


@pytest.fixture
def drop_out(served: BareServer) -> Iterator[Path]:
    """An empty dropOut."""
    folder = served.lab.paths.drop_out
    yield folder
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()


def encoded(format: str = "PNG", *, side: int = 48) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (side, side), "teal").save(out, format)
    return out.getvalue()


def put(folder: Path, job_id: str = "job-1", *, format: str = "PNG", **changes: Any) -> str:
    """Publish a picture as a worker does; returns its name."""
    values: dict[str, Any] = {
        "job_id": job_id,
        "attempt": 1,
        "index": 0,
        "backend": "sd15",
        "prompt": "a red fox",
        "params": {"steps": 20},
        "seed": 1,
        "service": "comfyui",
        "host": "http://127.0.0.1:8188",
        "workflow": None,
        "created_at": NOW,
        "software": "tests",
    }
    recipe = Recipe(**(values | changes))
    stem = f"{recipe.backend}_{job_id}"
    return publish(encoded(format), folder=folder, stem=stem, recipe=recipe).path.name


def ask(served: BareServer, method: str, path: str, **options: Any) -> httpx.Response:
    """Any answer to somebody with the token."""
    headers = served.token | options.pop("headers", {})
    return served.http.request(method, path, headers=headers, **options)


def refused(reply: httpx.Response, status: int) -> dict[str, Any]:
    assert reply.status_code == status, reply.text
    said: dict[str, Any] = reply.json()
    assert said["success"] is False
    assert said["error"]
    assert said["remedy"]
    return said


# ------------------------------------------------------------------------------ lists


def test_a_picture_is_listed_with_its_job_and_its_addresses(
    served: BareServer, drop_out: Path
) -> None:
    name = put(drop_out, prompt="<script>alert('орёл')</script>")
    said = served.api("GET", "/api/images")
    [image] = said["images"]
    version = image.pop("version")
    assert said["total"] == 1
    assert image == {
        "file": name,
        "url": f"/api/images/{name}?v={version}",
        "thumbnail": f"/api/images/{name}/thumbnail?v={version}",
        "jobId": "job-1",
        "backend": "sd15",
        "prompt": "<script>alert('орёл')</script>",
        "createdAt": "2026-11-22T12:00:00Z",
        "size": (drop_out / name).stat().st_size,
        "width": 48,
        "height": 48,
        "favourite": False,
        "mime": "image/png",
    }
    assert ask(served, "GET", image["url"]).content == (drop_out / name).read_bytes()
    assert ask(served, "GET", image["thumbnail"]).headers["Content-Type"] == "image/webp"


def test_lists_are_filtered_and_paged(served: BareServer, drop_out: Path) -> None:
    for number in range(5):
        backend = "flux" if number == 3 else "sd15"
        when = NOW + timedelta(minutes=number)
        put(drop_out, f"job-{number}", backend=backend, prompt=f"fox № {number}", created_at=when)
    (drop_out / "stranger.png").write_bytes(encoded())
    os.utime(drop_out / "stranger.png", (0, 0))

    def jobs(query: str) -> list[str | None]:
        return [each["jobId"] for each in served.api("GET", f"/api/images?{query}")["images"]]

    assert jobs("") == ["job-4", "job-3", "job-2", "job-1", "job-0", None]
    assert jobs("limit=2&offset=1") == ["job-3", "job-2"]
    assert served.api("GET", "/api/images?limit=1")["total"] == 6
    assert jobs("backend=flux") == ["job-3"]
    assert jobs("backend=nobody") == []
    assert jobs("backend=") == jobs("")  # a form that leaves it open
    assert jobs("text=FOX%20%E2%84%96%202") == ["job-2"]
    assert jobs("text=job-1") == ["job-1"]
    assert jobs("owned=false") == [None]
    assert jobs("favourite=true") == []
    assert jobs("since=2026-11-22T12:03:00Z") == ["job-4", "job-3"]
    assert jobs("since=2026-11-22T13:03:00+01:00") == ["job-4", "job-3"]  # a + that is a space
    assert jobs("since=2026-11-22T12:03:00&until=2026-11-22T12:04:00") == ["job-3"]
    assert jobs("until=2026-11-22") == [None]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=100000", "limit"),
        ("limit=ten", "limit"),
        ("offset=-1", "offset"),
        ("offset=99999999999999999999", "offset"),
        ("favourite=perhaps", "favourite"),
        ("since=yesterday", "since"),
        ("text=" + "x" * 12_000, "text"),
    ],
)
def test_a_question_that_makes_no_sense_names_its_field(
    served: BareServer, query: str, field: str
) -> None:
    said = refused(ask(served, "GET", f"/api/images?{query}"), 400)
    assert field in said["fields"]


# ------------------------------------------------------------------------------ bytes


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_bytes_come_with_their_type_and_can_be_nothing_else(
    served: BareServer, drop_out: Path, format: str
) -> None:
    name = put(drop_out, format=format)
    reply = ask(served, "GET", f"/api/images/{name}")
    assert reply.content == (drop_out / name).read_bytes()
    assert reply.headers["Content-Type"] == f"image/{format.lower()}"
    assert reply.headers["Content-Length"] == str(len(reply.content))
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert reply.headers["Content-Disposition"].startswith("inline")
    saved = ask(served, "GET", f"/api/images/{name}?download=1")
    assert saved.headers["Content-Disposition"].startswith(f'attachment; filename="{name}"')
    head = ask(served, "HEAD", f"/api/images/{name}")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(reply.content))
    assert head.headers["Content-Type"] == reply.headers["Content-Type"]


def test_a_picture_is_kept_for_ever_under_its_version_and_asked_for_otherwise(
    served: BareServer, drop_out: Path
) -> None:
    name = put(drop_out)
    [image] = served.api("GET", "/api/images")["images"]
    for url in (image["url"], image["thumbnail"]):
        first = ask(served, "GET", url)
        assert first.headers["Cache-Control"] == FOR_EVER
        plain = ask(served, "GET", url.partition("?")[0])
        assert "no-cache" in plain.headers["Cache-Control"]
        old = ask(served, "GET", url.partition("?")[0] + "?v=0123456789abcdef")
        assert "no-cache" in old.headers["Cache-Control"]
        etag = first.headers["Etag"]
        again = ask(served, "GET", url, headers={"If-None-Match": f'"other", {etag}'})
        assert (again.status_code, again.content) == (304, b"")
        assert ask(served, "GET", url, headers={"If-None-Match": '"other"'}).status_code == 200
    etag = ask(served, "GET", f"/api/images/{name}").headers["Etag"]
    (drop_out / name).write_bytes(encoded(side=64))
    changed = ask(served, "GET", f"/api/images/{name}", headers={"If-None-Match": etag})
    assert changed.status_code == 200
    assert changed.content == encoded(side=64)


def test_a_large_picture_comes_whole_and_may_be_left_in_the_middle(
    served: BareServer, drop_out: Path
) -> None:
    data = encoded() + os.urandom(8_000_000)
    (drop_out / "large.png").write_bytes(data)
    assert ask(served, "GET", "/api/images/large.png").content == data
    with socket.create_connection(("127.0.0.1", served.port)) as rude:
        rude.sendall(
            f"GET /api/images/large.png?token={TOKEN} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
        )
        rude.recv(1000)
    assert ask(served, "GET", "/api/images/large.png").content == data
    assert "Traceback" not in served.said.read_text()


def test_thumbnails_are_webp_of_200_pixels(served: BareServer, drop_out: Path) -> None:
    (drop_out / "wide.jpg").write_bytes(encoded("JPEG", side=900))
    reply = ask(served, "GET", "/api/images/wide.jpg/thumbnail")
    assert reply.headers["Content-Type"] == "image/webp"
    with Image.open(io.BytesIO(reply.content)) as small:
        assert (small.format, small.size) == ("WEBP", (200, 200))


def test_a_damaged_picture_has_no_thumbnail_but_a_remedy(
    served: BareServer, drop_out: Path
) -> None:
    (drop_out / "cut.png").write_bytes(encoded()[:60])
    reply = ask(served, "GET", "/api/images/cut.png/thumbnail")
    refused(reply, 422)
    assert "immutable" not in reply.headers.get("Cache-Control", "")
    assert ask(served, "GET", "/api/images/cut.png").content == encoded()[:60]


@pytest.mark.parametrize(
    "name", ["орёл 🦅.png", "a#b?c&d.png", "100%25.png", '<b>"x".png', "+.png"]
)
def test_strange_names_go_through_addresses_and_headers(
    served: BareServer, drop_out: Path, name: str
) -> None:
    (drop_out / name).write_bytes(encoded())
    [image] = served.api("GET", "/api/images")["images"]
    assert image["file"] == name
    reply = ask(served, "GET", image["url"])
    assert reply.content == encoded()
    assert f"filename*=UTF-8''{quote(name, safe='')}" in reply.headers["Content-Disposition"]
    assert ask(served, "GET", image["thumbnail"]).status_code == 200
    assert ask(served, "DELETE", image["url"]).json()["trashed"] == [name]


@pytest.mark.parametrize(
    "name",
    [
        "missing.png",
        "..%2f..%2fpaths.json",
        "..%2fsecret.png",
        "%2e%2e%2fsecret.png",
        "..%5csecret.png",
        "%2fetc%2fpasswd",
        "secret.png%00.png",
        "outside.png",
        "page.png",
        "sd15_job-1.png.json",
        ".hidden.png",
        "x" * 3000 + ".png",
        "%0d%0aSet-Cookie:x.png",
    ],
)
def test_no_address_leads_to_anything_but_pictures_of_the_folder(
    served: BareServer, drop_out: Path, name: str
) -> None:
    put(drop_out)
    (drop_out.parent / "secret.png").write_bytes(encoded())
    (drop_out / "outside.png").symlink_to(drop_out.parent / "secret.png")
    (drop_out / ".hidden.png").write_bytes(encoded())
    (drop_out / "page.png").write_text("<script>alert(1)</script>")
    for method, path in (
        ("GET", ""),
        ("HEAD", ""),
        ("DELETE", ""),
        ("GET", "/thumbnail"),
        ("GET", "/recipe"),
        ("POST", "/favourite"),
        ("POST", "/restore"),
        ("POST", "/input"),
    ):
        if (method, name) == ("DELETE", "page.png"):
            continue  # what calls itself a picture may be thrown away
        reply = ask(served, method, f"/api/images/{name}{path}")
        assert reply.status_code == 404, (method, path, reply.text)
        if method != "HEAD":
            refused(reply, 404)
    assert (drop_out.parent / "secret.png").exists()
    assert served.api("GET", "/api/images")["total"] == 1


# ------------------------------------------------------------------------------ changing


def test_a_deleted_picture_can_be_restored_once(served: BareServer, drop_out: Path) -> None:
    name = put(drop_out)
    data = (drop_out / name).read_bytes()
    assert served.api("DELETE", f"/api/images/{name}") == {"success": True, "trashed": [name]}
    refused(ask(served, "GET", f"/api/images/{name}"), 404)
    refused(ask(served, "DELETE", f"/api/images/{name}"), 404)
    [kept] = served.api("GET", "/api/images/trash")["images"]
    assert (kept["file"], kept["size"]) == (name, len(data))
    assert served.api("POST", f"/api/images/{name}/restore")["image"]["jobId"] == "job-1"
    assert ask(served, "GET", f"/api/images/{name}").content == data
    refused(ask(served, "POST", f"/api/images/{name}/restore"), 404)


def test_restoring_over_another_picture_is_a_conflict(served: BareServer, drop_out: Path) -> None:
    name = put(drop_out)
    served.api("DELETE", f"/api/images/{name}")
    (drop_out / name).write_bytes(encoded(side=99))
    refused(ask(served, "POST", f"/api/images/{name}/restore"), 409)
    assert (drop_out / name).read_bytes() == encoded(side=99)


def test_many_are_thrown_away_at_once(served: BareServer, drop_out: Path) -> None:
    names = [put(drop_out, f"job-{n}") for n in range(3)]
    said = served.api("POST", "/api/images/trash", json={"files": [*names[:2], "missing.png"]})
    assert said == {"success": True, "trashed": names[:2]}
    assert served.api("GET", "/api/images")["total"] == 1


def test_a_favourite_is_marked_and_unmarked(served: BareServer, drop_out: Path) -> None:
    name = put(drop_out)
    path = f"/api/images/{name}/favourite"
    assert served.api("POST", path, json={"on": True})["image"]["favourite"] is True
    assert served.api("GET", "/api/images?favourite=true")["total"] == 1
    assert served.api("POST", path, json={"on": False})["image"]["favourite"] is False
    assert served.api("GET", "/api/images?favourite=true")["total"] == 0
    assert served.api("POST", path)["image"]["favourite"] is True  # curl -X POST
    wrong: list[Any] = [{"on": "perhaps"}, {"off": True}, [True], 7]
    for body in wrong:
        refused(ask(served, "POST", path, json=body), 400)
    refused(ask(served, "POST", path, content=b"{"), 400)


def test_the_recipe_is_told(served: BareServer, drop_out: Path) -> None:
    name = put(drop_out, params={"steps": 7})
    said = served.api("GET", f"/api/images/{name}/recipe")
    assert said["image"]["file"] == name
    assert said["recipe"]["params"] == {"steps": 7}
    (drop_out / "stranger.png").write_bytes(encoded())
    assert served.api("GET", "/api/images/stranger.png/recipe")["recipe"] is None


def test_a_picture_becomes_an_input(served: BareServer, drop_out: Path) -> None:
    name = put(drop_out)
    said = served.api("POST", f"/api/images/{name}/input")
    copied = served.lab.paths.drop_in / said["file"]
    assert copied.read_bytes() == (drop_out / name).read_bytes()


def test_a_zip_comes_while_it_is_made(served: BareServer, drop_out: Path) -> None:
    names = [put(drop_out, f"job-{n}") for n in range(2)]
    (drop_out / "large.png").write_bytes(encoded() + os.urandom(3_000_000))
    reply = ask(served, "POST", "/api/images/zip", json={"files": [*names, "large.png"]})
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "application/zip"
    assert ".zip" in reply.headers["Content-Disposition"]
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.testzip() is None
        assert [name for name in archive.namelist() if name.endswith(".png")] == [
            *names,
            "large.png",
        ]
    refused(ask(served, "POST", "/api/images/zip", json={"files": [names[0], "no.png"]}), 404)
    wrong: list[Any] = [
        {"files": []},
        {"files": "x.png"},
        {"files": [1]},
        {},
        {"files": ["x"] * 5000},
    ]
    for body in wrong:
        refused(ask(served, "POST", "/api/images/zip", json=body), 400)


# ------------------------------------------------------------------------------ who may


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in ROUTES])
def test_a_stranger_gets_no_picture_and_changes_nothing(
    served: BareServer, drop_out: Path, pattern: str
) -> None:
    name = put(drop_out)
    path = "/" + pattern.replace("([^/]+)", name)
    before = sorted(str(each) for each in drop_out.rglob("*"))
    for headers in ({}, {"Authorization": "token wrong"}):
        for method in ("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH"):
            reply = served.stranger.request(method, path, headers=headers)
            assert reply.status_code in {403, 405}, (method, reply.status_code)
            assert name not in reply.text
            assert "Etag" not in reply.headers
    assert sorted(str(each) for each in drop_out.rglob("*")) == before
