"""Planted keys come out nowhere: not in an exception or what it holds, not in a log, not in an offer."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from fakes import faults, vendors
from fakes.meters import CountingMeter
from fakes.server import FakeServer, Reply
from pydantic import SecretStr

from orchestrator.parts.errors import SourceError
from orchestrator.parts.keys import Keys, SourceSettings
from orchestrator.parts.sources.base import Request, Source
from orchestrator.parts.sources.digikey import DigiKey
from orchestrator.parts.sources.farnell import Farnell
from orchestrator.parts.sources.http import Client
from orchestrator.parts.sources.mouser import Mouser
from orchestrator.parts.sources.redaction import clean

PLANTED = ("planted", "hunter2", "apiKey=")


def echo(asked: Any) -> Reply:
    """A server that says back all it was told."""
    told = json.dumps(
        [asked.path, asked.query, asked.headers, asked.body.decode("utf-8", "replace")]
    )
    return Reply(
        {"Errors": [{"Message": told}], "Fault": {"faultstring": told}, "detail": told}, 400
    )


FAULTS: dict[str, Reply | Callable[[Any], Reply]] = {
    "echo": echo,
    "drop": faults.drop(),
    "truncated": faults.truncated(),
    "malformed": faults.malformed(),
    "403": faults.not_served(),
    "500": faults.trouble(retry_after="0"),
    "redirect": faults.elsewhere("http://elsewhere.invalid/?apiKey=planted"),
    "bad key": faults.mouser_bad_key(vendors.MOUSER_KEY),
    "huge": faults.huge(),
}
MAKERS: dict[str, tuple[Callable[[Keys, Any], Source], str]] = {
    "digikey": (DigiKey, "POST"),
    "mouser": (Mouser, "POST"),
    "farnell": (Farnell, "GET"),
}


def everything(error: BaseException | None) -> str:
    """All that an exception says and carries along, and the variables of the frames that sent the request."""
    said: list[str] = []
    while error is not None:
        said += [str(error), repr(error), repr(vars(error)), *traceback.format_exception(error)]
        frames = traceback.TracebackException.from_exception(error, capture_locals=True)
        for frame in frames.stack:
            if frame.filename.endswith("sources/http.py"):
                said.append(repr(frame.locals))
        error = error.__cause__ or error.__context__
    return "\n".join(said)


def keys(base_url: str, **more: Any) -> Keys:
    return Keys(
        _env_file=None,
        digikey_client_id=vendors.DIGIKEY_ID,
        digikey_client_secret=vendors.DIGIKEY_SECRET,
        mouser_api_key=vendors.MOUSER_KEY,
        farnell_api_key=vendors.FARNELL_KEY,
        digikey_base_url=base_url,
        mouser_base_url=base_url,
        farnell_base_url=base_url,
        **more,
    )


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", MAKERS)
def test_no_failure_tells_a_key(name: str, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    maker, _ = MAKERS[name]

    async def go(base_url: str) -> None:
        source = maker(keys(base_url), CountingMeter())
        try:
            async for _ in source.search(Request(keyword="resistor")):
                pass
        finally:
            await source.close()

    with FakeServer() as server:
        token = {"access_token": "planted-bearer", "expires_in": 600}
        server.route("POST", "/v1/oauth2/token", Reply(token))
        for path in ("/products/", "/api/", "/catalog/"):
            reply = FAULTS[fault]
            for method in ("GET", "POST"):
                server.route(method, path, reply)
        with pytest.raises(SourceError) as caught:
            asyncio.run(go(server.url))
    told = everything(caught.value) + caplog.text + "".join(repr(vars(r)) for r in caplog.records)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert caplog.records
    for planted in PLANTED:
        assert planted not in told


def test_no_offer_holds_a_key() -> None:
    async def go(made: Source) -> list[str]:
        try:
            return [
                o.model_dump_json()
                async for portion in made.search(Request(keyword="x"))
                for o in portion
            ]
        finally:
            await made.close()

    with FakeServer() as server:
        fake = vendors.DigiKeyFake(server)
        all_keys = keys("http://127.0.0.1:1").model_copy(
            update={
                "digikey_base_url": fake.base_url,
                "mouser_base_url": vendors.mouser(server),
                "farnell_base_url": vendors.farnell(server),
            }
        )
        rows = [
            row
            for maker, _ in MAKERS.values()
            for row in asyncio.run(go(maker(all_keys, CountingMeter())))
        ]
    assert len(rows) == 4
    for planted in PLANTED:
        assert planted not in "\n".join(rows)


def test_a_proxys_password_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def go() -> None:
        client = Client(
            "shop",
            base_url="http://distributor.invalid",
            settings=SourceSettings("shop", proxy=SecretStr("http://me:hunter2@127.0.0.1:9")),
            meter=CountingMeter(),
        )
        try:
            await client.call("GET", "/x")
        finally:
            await client.close()

    with pytest.raises(SourceError) as caught:
        asyncio.run(go())
    assert "hunter2" not in everything(caught.value) + caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "GET https://a.example/x?apiKey=s3cr3t+%2F HTTP/1.1",
        "the key s3cr3t+/ is wrong",
        "the key s3cr3t%2B%2F is wrong",
        "http://user:s3cr3t@host/",
    ],
)
def test_a_foreign_text_loses_its_secrets(text: str) -> None:
    assert "s3cr3t" not in clean(text, [SecretStr("s3cr3t+/")])


def test_a_foreign_text_is_one_short_line() -> None:
    said = clean("a\nb\x1b[31m\u202e" + "x" * 1000)
    assert len(said) <= 200
    assert said.isprintable()
