"""Pictures sent over REST for a job to begin with."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx
import pytest
from bare_server import BareServer
from PIL import Image


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BareServer]:
    server = BareServer(tmp_path_factory.mktemp("lab"))
    yield server
    server.stop()


def png(color: str = "teal", side: int = 16) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), color).save(file, "PNG")
    return file.getvalue()


def send(server: BareServer, data: bytes, name: str = "") -> httpx.Response:
    headers = {"Content-Type": "image/png"}
    return server.http.post("/api/inputs", params={"name": name}, content=data, headers=headers)


def stored(server: BareServer) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in server.lab.paths.drop_in.iterdir()}


def test_a_picture_comes_as_the_body_or_in_a_form(server: BareServer) -> None:
    reply = send(server, png(), "../my fox.jpeg")
    assert (reply.status_code, reply.json()) == (201, {"name": "my-fox.png"})
    form = server.http.post("/api/inputs", files={"file": ("fox.png", png("red"), "image/png")})
    assert (form.status_code, form.json()) == (201, {"name": "fox.png"})
    assert send(server, png("blue"), "fox.png").json() == {"name": "fox-2.png"}
    assert send(server, png("red"), "fox.png").json() == {"name": "fox.png"}
    assert stored(server) == {
        "my-fox.png": png(),
        "fox.png": png("red"),
        "fox-2.png": png("blue"),
    }


@pytest.mark.parametrize("data", [b"", b"<svg/>", png()[:-9], b"x" * 5_000_000])
def test_what_is_no_picture_is_refused_with_a_remedy(server: BareServer, data: bytes) -> None:
    before = stored(server)
    reply = send(server, data, "x.png")
    assert reply.status_code == 400
    assert reply.json()["success"] is False
    assert reply.json()["remedy"]
    assert stored(server) == before


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--x\r\nbroken\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--x--\r\n"),
        ("multipart/form-data; boundary=x", b"--x\r\n" * 5_000 + b"--x--\r\n"),
    ],
)
def test_a_form_without_a_file_is_refused(server: BareServer, kind: str, body: bytes) -> None:
    reply = server.http.post("/api/inputs", content=body, headers={"Content-Type": kind})
    assert reply.status_code == 400
    assert "file" in reply.json()["remedy"]


def test_only_uploads_may_be_large_and_only_so_large(server: BareServer) -> None:
    large = png() + bytes(3_000_000)
    assert send(server, large, "large.png").status_code == 201
    assert server.http.post("/api/generate", content=large).status_code == 413
    too_large = send(server, png() + bytes(20_000_001), "larger.png")
    assert too_large.status_code == 400
    assert "20 MB" in too_large.json()["error"]
    assert send(server, bytes(21_000_000), "largest.png").status_code == 413
    assert server.get("/api/jobs")["total"] == 0


def test_an_upload_can_begin_a_job(server: BareServer) -> None:
    name = send(server, png("green"), "green.png").json()["name"]
    body = {"prompt": "x", "backend": "sd15", "hold": True, "params": {"image": name}}
    assert server.http.post("/api/generate", json=body).status_code == 201
    missing = server.http.post("/api/generate", json=body | {"params": {"image": "../secret.png"}})
    assert missing.status_code == 404
    assert "dropIn" in missing.json()["error"]
