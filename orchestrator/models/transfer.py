"""The bytes of a large file: fetched in order into one file that survives any interruption, and goes on from there."""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import httpx

from orchestrator.errors import DiskFull, HubBroken, HubBusy, HubUnreachable
from orchestrator.files import is_full
from orchestrator.jobs import one_line
from orchestrator.models.hashes import Progress
from orchestrator.models.hub import Remote, refusal

TIMEOUT = httpx.Timeout(20.0, read=60.0)  # of one read: a slow line is no reason to give up
TRIES = 6  # in a row without a new byte
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 15.0)
LONGEST_WAIT_S = 120.0  # that a server may ask for

Locate = Callable[[], Remote]


class _Broken(Exception):
    """This try failed, another may not."""

    def __init__(self, reason: str, *, answered: bool = False, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answered = answered  # the server did, and it made no sense
        self.wait_s = wait_s


@cache
def _trusting() -> ssl.SSLContext:
    # 20 ms to load the certificates, so once for all files
    return httpx.create_ssl_context()


def fetch(
    locate: Locate,
    part: Path,
    progress: Progress,
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Remote:
    """Fill `part` with the file, from where it stands; what `locate` describes may change its address, not its size.

    Returns the description it was fetched by. Raises the ModelError that fits, DiskFull, OSError; the part stays.
    """
    remote = locate()
    failures = 0
    with httpx.Client(timeout=TIMEOUT, follow_redirects=True, verify=_trusting()) as client:
        while (have := _size(part)) != remote.size:
            if have > remote.size:
                part.unlink()  # of another file, or damaged: it can only be fetched anew
                continue
            try:
                _stream(client, remote, part, have, progress)
            except _Broken as broken:
                failures = 1 if _size(part) > have else failures + 1
                if failures >= TRIES:
                    raise _given_up(broken) from broken
                pause(broken.wait_s or PAUSES_S[min(failures, len(PAUSES_S)) - 1])
                remote = _again(locate, remote)  # signed addresses are good for an hour
    return remote


def _given_up(broken: _Broken) -> HubUnreachable | HubBusy | HubBroken:
    if "429" in broken.reason:
        return HubBusy()
    message = f"The download broke off {TRIES} times without a new byte: {broken.reason}"
    return HubBroken(message) if broken.answered else HubUnreachable(message)


def _again(locate: Locate, before: Remote) -> Remote:
    try:
        return locate()
    except (HubUnreachable, HubBroken, HubBusy):
        return before  # the next try tells whether it is still good


def _stream(
    client: httpx.Client, remote: Remote, part: Path, have: int, progress: Progress
) -> None:
    """One request: append what comes to the part. Raises _Broken when it ends early."""
    headers = {**remote.headers, "accept-encoding": "identity"}
    if have:
        headers["range"] = f"bytes={have}-"
    try:
        with client.stream("GET", remote.url, headers=headers) as response:
            start = _start(response, remote, have)
            _append(response, part, start, remote.size, progress)
    except httpx.HTTPError as error:
        raise _Broken(f"{type(error).__name__}") from error
    if _size(part) < remote.size:
        raise _Broken("the server closed the connection early")


def _start(response: httpx.Response, remote: Remote, have: int) -> int:
    """Where the answer's first byte belongs. Raises _Broken, or the ModelError that no other try would change."""
    status = response.status_code
    if status == 206:
        said = response.headers.get("content-range", "")
        if not said.startswith(f"bytes {have}-"):
            raise _Broken(
                f"the server answered with another range than asked for ({one_line(said)[:60]})",
                answered=True,
            )
        return have
    if status == 200:
        return 0  # it does not know ranges: all over again
    wait_s = _retry_after(response)
    is_store = "authorization" not in remote.headers and status == 403  # its address has run out
    if status in {429, 503} and (wait_s or 0.0) > LONGEST_WAIT_S:
        raise refusal(status, code="", repo="", what="", has_token=True, wait_s=wait_s)
    if status in {408, 416, 425, 429} or status >= 500 or is_store:
        wait_s = wait_s if wait_s is not None or status != 429 else PAUSES_S[-1]
        raise _Broken(f"the server answered with {status}", answered=True, wait_s=wait_s)
    raise refusal(
        status,
        code=response.headers.get("x-error-code", ""),
        repo=remote.source.repo,
        what=str(remote.source),
        has_token="authorization" in remote.headers,
    )


def _retry_after(response: httpx.Response) -> float | None:
    said = response.headers.get("retry-after", "").strip()
    return float(said) if said.isdigit() else None


def _append(
    response: httpx.Response, part: Path, start: int, size: int, progress: Progress
) -> None:
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
    descriptor = os.open(part, flags, 0o644)
    try:
        with open(descriptor, "wb", buffering=0, closefd=False) as file:
            file.truncate(start)
            file.seek(start)
            done = start
            progress(done, size)
            # as they come: a larger piece would be lost when it breaks off
            for chunk in response.iter_raw():
                if done + len(chunk) > size:
                    raise _Broken("the server sends more bytes than the file has", answered=True)
                rest = memoryview(chunk)
                while rest:
                    rest = rest[file.write(rest) or 0 :]
                done += len(chunk)
                progress(done, size)
    except OSError as error:
        if is_full(error):
            raise DiskFull(
                f"No space left for {part.name} on the disk of {part.parent}",
                remedy="Free some space and run the same command again: what has arrived is kept.",
            ) from error
        raise
    finally:
        os.close(descriptor)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
