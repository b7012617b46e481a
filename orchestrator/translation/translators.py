"""Who translates prompts: Argos Translate on this machine, or a command of the user."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any, Protocol

import psutil

from orchestrator.errors import TranslationFailed
from orchestrator.files import WINDOWS
from orchestrator.jobs import MAX_PROMPT, one_line
from orchestrator.settings import ARGOS, COMMAND, OFF

SOURCE = "ru"  # what Cyrillic letters are taken for
TIMEOUT_S = 60.0  # a model is loaded first
MAX_OUTPUT = 16 * MAX_PROMPT  # bytes
SHOWN_ERROR = 200  # characters of what a command complained
OUR_SECRETS = ("BFL_API_KEY", "ORCHESTRATOR_TOKEN")  # no business of a translator's

INSTALL = (
    "Install it where the lab runs: `pip install 'orchestrator-lab[translate]'`, then "
    "`argospm update` and `argospm install translate-ru_en` (about 100 MB); or set ORCHESTRATOR_TRANSLATE=off."
)
FETCH = (
    "Download it where the lab runs: `argospm update`, then `argospm install translate-{source}_{to}` "
    "(about 100 MB); or set ORCHESTRATOR_TRANSLATE=off."
)
BY_HAND = (
    "Nothing was submitted. Try the command of ORCHESTRATOR_TRANSLATE by hand: it gets the prompt on standard input, "
    "in UTF-8, and is to write the translation to standard output. `off` sends prompts as they are."
)


class Translator(Protocol):
    """What turns a text into another language."""

    name: str  # what is remembered of one is not asked of another

    async def translate(self, text: str, *, to: str = "en") -> str:
        """The text in the language `to` (ISO 639-1). Raises TranslationFailed."""
        ...


def translator_of(setting: str) -> Translator | None:
    """The translator that ORCHESTRATOR_TRANSLATE names; None for "off". Raises TranslationFailed for a command line
    that cannot be read."""
    if setting == OFF:
        return None
    if setting == ARGOS:
        return ArgosTranslator()
    return CommandTranslator(setting.removeprefix(COMMAND))


class CommandTranslator:
    """A program that gets the text on standard input and writes the translation to standard output, both in UTF-8."""

    def __init__(self, command: str, *, timeout_s: float = TIMEOUT_S) -> None:
        """`command` is divided as a shell would, but no shell sees it, nor the prompt. Raises TranslationFailed."""
        self.name = COMMAND + command
        self._timeout_s = timeout_s
        try:
            self._command = _words(command)
        except ValueError as error:
            raise TranslationFailed(
                f"The command of ORCHESTRATOR_TRANSLATE cannot be read: {error}", remedy=BY_HAND
            ) from error

    async def translate(self, text: str, *, to: str = "en") -> str:
        """What the command makes of the text; `to` is in its environment as TRANSLATE_TO.

        Raises TranslationFailed when it does not start, fails, takes too long, or says nothing that is text.
        """
        return await asyncio.to_thread(self._run, text, to)

    def _run(self, text: str, to: str) -> str:
        # not asyncio's subprocesses: the event loop of a notebook on Windows has none
        with tempfile.TemporaryFile() as complaints:
            try:
                process = subprocess.Popen(
                    self._command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                    env=_environment(to),
                    start_new_session=True,  # so that all it starts can be ended with it
                )
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                raise self._failed(f"does not start: {reason}") from error
            said, in_time = _talk(process, text.encode(), timeout_s=self._timeout_s)
            complaints.seek(0)
            lines = complaints.read(1_000_000).decode(errors="replace").strip().splitlines()
        if not in_time:
            raise self._failed(f"took more than {self._timeout_s:g} s")
        if len(said) > MAX_OUTPUT:
            raise self._failed(f"wrote more than {MAX_OUTPUT:,} bytes")
        if process.returncode:
            last = f": {one_line(lines[-1])[:SHOWN_ERROR]}" if lines else ""
            raise self._failed(f"failed with exit code {process.returncode}{last}")
        try:
            return said.removeprefix(b"\xef\xbb\xbf").decode().strip()
        except UnicodeDecodeError as error:
            raise self._failed("wrote something that is not UTF-8") from error

    def _failed(self, what: str) -> TranslationFailed:
        # its words are not shown: a command line may have a key in it
        name = one_line(self._command[0])[:100] if self._command else ""
        return TranslationFailed(f"The translator {name} {what}", remedy=BY_HAND)


def _words(command: str) -> list[str]:
    if not WINDOWS:
        return shlex.split(command)
    # there a backslash divides folders
    words = shlex.split(command, posix=False)
    return [w[1:-1] if len(w) > 1 and w[0] == w[-1] and w[0] in "\"'" else w for w in words]


def _environment(to: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name.upper() not in OUR_SECRETS}
    # a Python program on Windows would read and write the system's code page
    return kept | {"PYTHONIOENCODING": "utf-8", "TRANSLATE_TO": to}


def _talk(process: subprocess.Popen[bytes], data: bytes, *, timeout_s: float) -> tuple[bytes, bool]:
    """Give a process its input and read its output; returns it, and whether the process ended in time by itself."""
    late = threading.Event()

    def give_up() -> None:
        late.set()
        _end(process)

    def feed() -> None:
        assert process.stdin is not None
        with contextlib.suppress(OSError), process.stdin:  # it need not read what it does not want
            process.stdin.write(data)

    timer = threading.Timer(timeout_s, give_up)
    feeder = threading.Thread(target=feed, name="text for the translator")
    timer.start()
    feeder.start()
    try:
        assert process.stdout is not None
        said = process.stdout.read(MAX_OUTPUT + 1)
        if len(said) > MAX_OUTPUT:
            _end(process)
        process.wait()
    finally:
        timer.cancel()
        timer.join()
        if process.poll() is None:
            _end(process)
            process.wait()
        feeder.join()
        assert process.stdout is not None
        process.stdout.close()
    return said, not late.is_set()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process with all that it started: one of these would hold its output open."""
    if sys.platform != "win32":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                child.kill()
    process.kill()


class ArgosTranslator:
    """Argos Translate: models that run on this machine, without a network."""

    name = ARGOS

    async def translate(self, text: str, *, to: str = "en") -> str:
        """Raises TranslationFailed, which says how to install the program and the language that is missing."""
        return await asyncio.to_thread(self._translate, text, to)

    def _translate(self, text: str, to: str) -> str:
        try:
            argos = importlib.import_module("argostranslate.translate")
        except ImportError as error:
            raise TranslationFailed("Argos Translate is not installed", remedy=INSTALL) from error
        pair = _pair(argos, to) or _pair(_refreshed(argos), to)
        if pair is None:
            raise TranslationFailed(
                f"Argos Translate has no model from {SOURCE} to {to}",
                remedy=FETCH.format(source=SOURCE, to=to),
            )
        try:
            return str(pair.translate(text)).strip()
        except Exception as error:  # whatever its models and their libraries raise
            reason = one_line(f"{type(error).__name__}: {error}")[:SHOWN_ERROR]
            raise TranslationFailed(f"Argos Translate failed: {reason}") from error


def _pair(argos: Any, to: str) -> Any | None:
    languages = {language.code: language for language in argos.get_installed_languages()}
    if SOURCE not in languages or to not in languages:
        return None
    return languages[SOURCE].get_translation(languages[to])


def _refreshed(argos: Any) -> Any:
    """Argos, having forgotten which models it knew: one may have been installed since."""
    if forget := getattr(argos.get_installed_languages, "cache_clear", None):
        forget()
    return argos
