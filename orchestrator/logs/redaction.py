"""What is secret, by value and by name, and text without it."""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

from pydantic import SecretStr

from orchestrator.jobs import one_line
from orchestrator.settings import COMMAND, MASK, SHORTEST_PASSWORD, Settings

# every repetition before the last is bounded: a hostile line must not keep the search busy
NAME = r"(?:proxy-)?authorization|x-key|[a-z_-]{0,40}(?:api[_-]?key|token|secret|password|passwd)"
QUOTE = r"""\\{0,2}["']"""
SECRET = re.compile(
    rf"(?i)\b({NAME})((?:{QUOTE})?[ \t]{{0,9}}[=:][ \t]{{0,9}}(?:b?{QUOTE})?)"
    r"""(?:(?:bearer|basic|token)[ \t]+)?[^\s"'&,;]+"""
)
# ('x-key', b'…'), as lists of headers are printed
PAIR = re.compile(rf"(?i)\b({NAME}|(?:set-)?cookie)({QUOTE}\s{{0,9}},\s{{0,9}}b?{QUOTE})[^\"']+")
COOKIE = re.compile(r"(?i)\b((?:set-)?cookie[\"']?\s{0,9}[=:]).+")
# http://user:password@…
USER_INFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]{0,20}://)[^\s/@]{1,300}@")
NAMED = re.compile(rf"(?i){NAME}|(?:set-)?cookie")
# variables of the environment that hold a secret of some other program
FOREIGN = re.compile(r"(?i).{0,80}(?:key|token|secret|password|passwd|credentials?)")
FOREIGN_LENGTH = 8  # a shorter one is a word that lines are full of
DEPTH = 6  # of a value that is looked into
MAX_ITEMS = 50
MAX_TEXT = 4_000  # characters of one value


def masked(text: str) -> str:
    """Text without whatever calls itself a key, a token or a password."""
    named = PAIR.sub(rf"\1\2{MASK}", SECRET.sub(rf"\1\2{MASK}", text))
    return USER_INFO.sub(rf"\1{MASK}@", COOKIE.sub(rf"\1 {MASK}", named))


class Redactor:
    """Takes the keys out of text: those this process knows, however they are written, and what is named like one."""

    def __init__(self, settings: Settings, *, environment: Mapping[str, str] | None = None) -> None:
        """`environment`: the process's own by default."""
        known = set(_of_settings(settings))
        for name, value in (os.environ if environment is None else environment).items():
            if len(value) >= FOREIGN_LENGTH and FOREIGN.fullmatch(name) and not _is_place(value):
                known.add(value)
            if name.lower().endswith("_proxy"):
                known.update(_of_addresses(value))
        spellings = {spelling for secret in known for spelling in _spellings(secret) if spelling}
        longest_first = sorted(spellings, key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if spellings else None

    def values(self, text: str) -> str:
        """Text without the keys this process knows."""
        return self._known.sub(MASK, text) if self._known else text

    def text(self, text: str) -> str:
        """Text without keys of any kind."""
        return masked(self.values(text))

    def plain(self, value: Any, *, name: str = "", depth: int = 0) -> Any:
        """A value as JSON knows it, without keys: what stands under a secret's name is masked whole."""
        if name and NAMED.fullmatch(name):
            return MASK
        if value is None or isinstance(value, bool | int | float):
            return value if self.values(str(value)) == str(value) else MASK
        if isinstance(value, Mapping) and depth < DEPTH:
            items = list(value.items())[:MAX_ITEMS]
            named = ((one_line(str(key))[:200], each) for key, each in items)
            return {self.text(k): self.plain(each, name=k, depth=depth + 1) for k, each in named}
        if isinstance(value, list | tuple | set | frozenset) and depth < DEPTH:
            if isinstance(value, tuple) and len(value) == 2 and NAMED.fullmatch(_word(value[0])):
                return [_word(value[0]), MASK]
            return [self.plain(each, depth=depth + 1) for each in list(value)[:MAX_ITEMS]]
        # keys before the cut, since a part of one is not found; patterns after it, since they are slow
        return masked(self.values(one_line(_word(value)))[:MAX_TEXT])


def _word(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _of_settings(settings: Settings) -> Iterator[str]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
            yield from _of_addresses(value.get_secret_value())
        elif isinstance(value, str):
            yield from _of_addresses(value)
    translate = settings.orchestrator_translate
    if translate.startswith(COMMAND):  # a command line, which may have a key in it
        yield translate[len(COMMAND) :]


def _of_addresses(text: str) -> Iterator[str]:
    """The passwords in the addresses of a text, as they stand there and as they are sent."""
    for user_info in re.findall(r"://([^\s/@]{1,300})@", text):
        user, _, password = user_info.partition(":")
        yield user_info
        yield password if len(password) >= SHORTEST_PASSWORD else ""
        yield b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode()


def _spellings(secret: str) -> Iterator[str]:
    """A key as it stands, in an address, in JSON and in a repr."""
    for text in (secret, unquote(secret)):
        yield text
        yield quote(text)
        yield quote(text, safe="")
        yield quote_plus(text)
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield repr(text)[1:-1]
        yield ascii(text)[1:-1]


def _is_place(value: str) -> bool:
    """Whether a variable only says where a secret lies, such as a file or a socket."""
    return value.startswith(("/", "~", ".")) or re.match(r"[A-Za-z]:[\\/]", value) is not None
