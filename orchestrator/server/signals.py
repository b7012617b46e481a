"""The signals that ask this process to end."""

from __future__ import annotations

import signal
from collections.abc import Callable

NAMES = (
    "SIGINT",
    "SIGTERM",
    "SIGHUP",
    "SIGBREAK",
)  # Ctrl-C, a service's stop, a closed terminal, Windows' Ctrl-Break


def on_signals(act: Callable[..., object]) -> None:
    """Call `act` for each of them. Under nohup a closed terminal does not ask."""
    for name in NAMES:
        number = getattr(signal, name, None)
        ignored = name == "SIGHUP" and number and signal.getsignal(number) is signal.SIG_IGN
        if number is not None and not ignored:
            signal.signal(number, act)
