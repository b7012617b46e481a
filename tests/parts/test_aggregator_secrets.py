"""Planted keys of TME and the aggregators come out nowhere, whatever the far end does."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from fakes import aggregators, faults, tme
from fakes.meters import CountingMeter
from fakes.server import Asked, FakeServer, Reply

from orchestrator.parts.errors import SourceError
from orchestrator.parts.keys import Keys
from orchestrator.parts.sources.base import Request, Source
from orchestrator.parts.sources.efind import Efind
from orchestrator.parts.sources.oemsecrets import OemSecrets
from orchestrator.parts.sources.tme import Tme
from orchestrator.parts.sources.trustedparts import TrustedParts


def echo(asked: Asked) -> Reply:
    told = json.dumps([asked.query, asked.headers, asked.body.decode("utf-8", "replace")])
    return Reply({"Status": told, "ErrorMessage": told, "status": told, "message": told}, 400)


FAULTS: dict[str, Reply | Callable[[Asked], Reply]] = {
    "echo": echo,
    "drop": faults.drop(),
    "malformed": faults.malformed(),
    "403": faults.not_allowed(),
    "500": faults.trouble(),
    "another shape": faults.another_shape(),
    "redirect": faults.elsewhere("http://elsewhere.invalid/?apiKey=planted"),
}
MAKERS: dict[str, tuple[Callable[[Keys, Any], Source], dict[str, str]]] = {
    "tme v2": (Tme, {}),
    "tme v1": (Tme, {"tme_api": "v1"}),
    "trustedparts": (TrustedParts, {}),
    "oemsecrets": (OemSecrets, {}),
    "efind": (Efind, {}),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", MAKERS)
def test_no_key_is_said_aloud(name: str, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    make, more = MAKERS[name]
    with FakeServer() as server:
        for method in ("GET", "POST"):
            server.route(method, "/", FAULTS[fault])
        values: dict[str, Any] = {
            "tme_token": tme.TOKEN, "tme_secret": tme.SECRET, "tme_base_url": server.url,
            "trustedparts_company_id": aggregators.COMPANY, "trustedparts_api_key": aggregators.KEY,
            "trustedparts_base_url": server.url, "oemsecrets_api_key": aggregators.SECRETS_KEY,
            "oemsecrets_base_url": server.url, "EFIND_URLS": f"{server.url}/x?key=planted-efind", **more,
        }  # fmt: skip
        source = make(Keys(_env_file=None, **values), CountingMeter())

        async def go() -> None:
            try:
                async for _ in source.search(Request(mpns=("AC-4K7",))):
                    pass
            finally:
                await source.close()

        with pytest.raises(SourceError) as caught:
            asyncio.run(go())
        assert server.asked
    said = "".join(traceback.format_exception(caught.value)) + caught.value.remedy + caplog.text
    assert "planted" not in said
