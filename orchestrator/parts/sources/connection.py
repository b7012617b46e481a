"""What a connection stands on: which addresses are this machine, and whose certificates are trusted."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from functools import cache

import anyio
import httpx


def is_loopback(url: str) -> bool:
    """Whether an address is on this machine, in any way of writing it: 127.0.0.0/8, ::1, localhost, 127.1."""
    try:
        host = httpx.URL(url).host.rstrip(".").lower()
    except httpx.InvalidURL:
        return False
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return socket.inet_aton(host)[0] == 127  # short and hexadecimal forms
        except OSError:
            return False
    mapped = getattr(address, "ipv4_mapped", None)
    return address.is_loopback or (mapped is not None and mapped.is_loopback)


def is_tls(error: BaseException | None) -> bool:
    """Whether it was a certificate or the handshake that failed, anywhere in what led to an error."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


@cache
def prepare() -> None:
    """Have the parts of anyio imported that httpx would import at the first connection, in the event loop."""
    anyio.run(anyio.sleep, 0)


@cache
def trusting() -> ssl.SSLContext:
    """Trusts what certifi trusts, or SSL_CERT_FILE. Takes 60 ms the first time."""
    return httpx.create_ssl_context()


@cache
def trusting_nobody() -> ssl.SSLContext:
    """For a client of a plain http address, which never speaks TLS. Costs nothing."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
