"""Translations that were made before: the same prompt is submitted many times, and a translator takes seconds."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path

import orjson

from orchestrator.errors import CorruptFile, DiskFull
from orchestrator.files import read_json, write_whole
from orchestrator.translation.translators import Translator

logger = logging.getLogger(__name__)

MAX_ENTRIES = 1_000
MAX_BYTES = 1_000_000  # of the file
FILE = "translations.json"


class Memory:
    """A file of translations, the oldest going first. Losing it costs nothing but time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._known: dict[str, str] = {}

    def recall(self, key: str) -> str | None:
        """What was noted under a key, by whichever process of the lab."""
        with self._lock:
            return self._read().get(key)

    def note(self, key: str, said: str) -> None:
        """Remember a translation. A file that cannot be written is only logged."""
        with self._lock:
            known = dict(self._read())
            known.pop(key, None)
            known[key] = said
            entries = list(known.items())[-MAX_ENTRIES:]
            data = orjson.dumps(dict(entries))
            while len(data) > MAX_BYTES and len(entries) > 1:
                entries = entries[len(entries) // 2 :]
                data = orjson.dumps(dict(entries))
            try:
                write_whole(self._path, data, durable=False)
            except (OSError, DiskFull) as error:
                logger.warning("A translation was not remembered: %s", error)

    def _read(self) -> Mapping[str, str]:
        try:
            state = self._path.stat()
            signature = (state.st_mtime_ns, state.st_size)
            if signature != self._seen:
                said = read_json(self._path)
                pairs = said.items() if isinstance(said, dict) else ()
                self._known = {key: text for key, text in pairs if isinstance(text, str)}
                self._seen = signature
        except (OSError, CorruptFile):
            self._known, self._seen = {}, None
        return self._known


class Remembering:
    """A translator that is not asked the same twice."""

    def __init__(self, translator: Translator, memory: Memory) -> None:
        self.name = translator.name
        self._translator = translator
        self._memory = memory

    async def translate(self, text: str, *, to: str = "en") -> str:
        """Raises TranslationFailed; failures are not remembered."""
        # a digest: neither a long prompt twice nor a key in a command line belongs into the file
        key = blake2b(f"{self.name}\0{to}\0{text}".encode(), digest_size=16).hexdigest()
        if (known := self._memory.recall(key)) is not None:
            return known
        said = await self._translator.translate(text, to=to)
        if said.strip():
            self._memory.note(key, said)
        return said
