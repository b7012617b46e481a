"""What the operating system says of a process: that it lives, since when, and what it takes."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from orchestrator.store.workers import monotonic

LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# a process in one of these states does nothing, whatever its files say
IDLE_STATES = {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}

_LISTENERS: dict[int, psutil.Process] = {}  # port -> who listens there, for as long as that lives


def process(pid: int) -> dict[str, Any]:
    """Id, age and memory of a process of this machine, as far as this user may know."""
    try:
        found = psutil.Process(pid)
        memory = found.memory_info().rss
    except psutil.Error:  # gone by now, or nobody may ask
        return {"pid": pid}
    return {"pid": pid, "uptime_s": round(age_s(pid) or 0.0, 1), "memory": memory}


def halted(pid: int) -> str | None:
    """Why a process that exists does nothing: stopped by a signal or a debugger, or dead already. None if it may."""
    with contextlib.suppress(psutil.Error):
        status = psutil.Process(pid).status()
        return str(status) if status in IDLE_STATES else None
    return None


def age_s(pid: int) -> float | None:
    """How long a process has run; None when it does not. On Linux no change of the clock moves it."""
    with contextlib.suppress(psutil.Error):
        if (ticks := _ticks(pid)) is not None:
            return max(0.0, monotonic() - ticks / os.sysconf("SC_CLK_TCK"))
        return max(0.0, time.time() - psutil.Process(pid).create_time())
    return None


def born(pid: int) -> str | None:
    """What tells a process from every other that had its id or will: its start, by a clock that nobody sets, and on
    Linux, where that clock begins with the machine, since which boot. None when it does not run."""
    with contextlib.suppress(psutil.Error):
        if (ticks := _ticks(pid)) is not None:
            return f"{ticks} {_boot()}"
        return repr(psutil.Process(pid).create_time())
    return None


def _ticks(pid: int) -> int | None:
    """When a process started, in ticks since the machine did; None where the system does not count so.

    Raises psutil.NoSuchProcess.
    """
    if sys.platform != "linux":
        return None
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError as error:
        raise psutil.NoSuchProcess(pid) from error
    # the name before it, in brackets, may hold anything
    return int(said[said.rindex(b")") :].split()[20])


def _boot() -> str:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def port_of(url: str) -> int | None:
    """The port of an address; None for one that makes no sense."""
    try:
        parts = urlsplit(url)
        return parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None


def listener(url: str) -> dict[str, Any]:
    """Process id, age and memory of the program that serves an address of this machine, if this user may know."""
    port = port_of(url)
    if port is None or urlsplit(url).hostname not in LOOPBACK:
        return {}
    known = _LISTENERS.get(port)
    if known is None or not known.is_running():  # asking the system costs 5-80 ms
        known = _who_listens(port)
        if known is None:
            return {}
        _LISTENERS[port] = known
    return process(known.pid)


def _who_listens(port: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,):
                return psutil.Process(connection.pid) if connection.pid else None
    return None
