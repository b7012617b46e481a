"""Through its proxy or not at all."""

from __future__ import annotations

import asyncio
import builtins
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from fakes.meters import CountingMeter
from fakes.server import FakeProxy, FakeServer, Reply
from pydantic import SecretStr

from orchestrator.parts.errors import SourceProxy
from orchestrator.parts.keys import SourceSettings
from orchestrator.parts.sources.connection import is_loopback
from orchestrator.parts.sources.http import Answer, Client


@pytest.fixture
def proxy() -> Iterator[FakeServer]:
    with FakeProxy() as proxy:
        proxy.route("GET", "/", Reply({"through": "proxy"}))
        yield proxy


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address where nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{free.getsockname()[1]}"


def ask(base_url: str, proxy: str) -> Answer:
    async def go() -> Answer:
        client = Client(
            "shop",
            base_url=base_url,
            settings=SourceSettings("shop", proxy=SecretStr(proxy)),
            meter=CountingMeter(),
            timeout_s=5.0,
        )
        try:
            return await client.call("GET", "/search")
        finally:
            await client.close()

    return asyncio.run(go())


def test_a_proxy_is_used_for_a_distributor(proxy: FakeServer) -> None:
    assert ask("http://distributor.invalid", proxy.url).json() == {"through": "proxy"}
    assert [(each.host, each.path) for each in proxy.asked] == [("distributor.invalid", "/search")]


def test_a_name_and_password_reach_the_proxy(proxy: FakeServer) -> None:
    ask("http://distributor.invalid", proxy.url.replace("//", "//me:secret@"))
    assert proxy.asked[0].headers["proxy-authorization"].startswith("Basic ")


def test_https_goes_through_the_proxy_as_a_tunnel_or_fails(proxy: FakeServer) -> None:
    proxy.route("CONNECT", "/", Reply("no", 502))
    with pytest.raises(SourceProxy):
        ask("https://distributor.invalid", proxy.url)
    assert [each.method for each in proxy.asked] == ["CONNECT"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_is_down_is_told_and_nothing_goes_direct(
    nobody: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked_up: list[Any] = []
    real = socket.getaddrinfo

    def lookup(host: Any, *rest: Any, **more: Any) -> Any:
        looked_up.append(host)
        return real(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    with pytest.raises(SourceProxy) as caught:
        ask(f"{scheme}://distributor.invalid", nobody)
    assert not any("distributor" in str(host) for host in looked_up)
    assert "nothing went out" in (SourceProxy.__doc__ or "")
    assert "shop" in caught.value.message


def test_a_proxy_that_wants_a_password_is_told(proxy: FakeServer) -> None:
    proxy.always("/", Reply("who are you", 407))
    with pytest.raises(SourceProxy, match="password"):
        ask("http://distributor.invalid", proxy.url)


def test_loopback_is_never_proxied(proxy: FakeServer) -> None:
    with FakeServer() as server:
        server.route("GET", "/", Reply({"direct": True}))
        assert ask(server.url, proxy.url).json() == {"direct": True}
        assert ask(f"http://localhost:{server.port}", proxy.url).json() == {"direct": True}
    assert proxy.calls() == 0


def test_the_environment_brings_no_proxy(
    proxy: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("ALL_PROXY", proxy.url)

    async def go() -> None:
        with FakeServer() as server:
            server.route("GET", "/", Reply({}))
            client = Client(
                "shop", base_url=server.url, settings=SourceSettings("shop"), meter=CountingMeter()
            )
            await client.call("GET", "/")
            await client.close()

    asyncio.run(go())
    assert proxy.calls() == 0


def test_socks_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **more: Any) -> Any:
        if name == "socksio":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SourceProxy) as caught:
        ask("http://distributor.invalid", "socks5://127.0.0.1:40000")
    assert "orchestrator-lab[socks]" in caught.value.remedy


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.2",
        "127.1",
        "2130706433",
        "0x7f.1",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
    ],
)
def test_every_way_to_write_this_machine_is_loopback(host: str) -> None:
    assert is_loopback(f"http://{host}:8080/x")


@pytest.mark.parametrize(
    "host", ["128.0.0.1", "api.example", "localhost.example", "[::2]", "10.0.0.1"]
)
def test_other_machines_are_not_loopback(host: str) -> None:
    assert not is_loopback(f"http://{host}/")
