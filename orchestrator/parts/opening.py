"""Where a search is put together from paths.json, the keys and the sources."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import SecretStr

from orchestrator.parts.database import Database
from orchestrator.parts.engine import Search
from orchestrator.parts.keys import Keys, SourceSettings
from orchestrator.parts.quota import Quota
from orchestrator.parts.rates import Rates, download
from orchestrator.parts.sources.all import sources
from orchestrator.parts.sources.http import Client
from orchestrator.parts.sources.redaction import MASK, quiet_logs
from orchestrator.paths import Paths

FILE = "parts.sqlite"
RATES = "rates"  # folder in data/
MIN_SECRET = 4  # characters; masking shorter ones would only garble prices and names


def open_search(paths: Paths | None = None) -> Search:
    """The search of a checkout (None: the one found from here), with all its sources. Nothing is sent yet.

    Raises PathsInvalid and SourceSettingInvalid.
    """
    paths = paths or Paths.find()
    keys = Keys.load(paths)
    quiet_logs()
    database = Database(paths.data / FILE)
    quota = Quota(database)
    found = sources(keys, quota.meter)
    return Search(
        found,
        database=database,
        quota=quota,
        rates=Rates.load(rates_folder(paths)),
        currency=keys.parts_currency,
        fingerprints={source.name: fingerprint(keys, source.name) for source in found},
        redact=redactor(keys),
    )


async def update_rates(paths: Paths | None = None) -> tuple[Rates, list[str]]:
    """Fetch today's exchange rates; returns those that there are then, and in words which bank did not give them."""
    paths = paths or Paths.find()
    database = Database(paths.data / FILE)
    meter = Quota(database).meter(RATES)

    async def fetch(url: str) -> bytes:
        bank = SourceSettings(RATES)
        client = Client(RATES, title="The bank", base_url=url, settings=bank, meter=meter)
        try:
            return (await client.call("GET", "", counted=False)).content
        finally:
            await client.close()

    try:
        return await download(rates_folder(paths), fetch)
    finally:
        database.close()


def rates_folder(paths: Paths) -> Path:
    """Where downloaded exchange rates lie."""
    return paths.data / RATES


def fingerprint(keys: Keys, source: str) -> str:
    """Something that changes when a source's settings do. Too short for a key to be found from it."""
    told = [f"{name}={value}" for name, value in _settings(keys) if source in name]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:8]


def redactor(keys: Keys) -> Callable[[str], str]:
    """What masks the keys in a text."""
    secrets = {
        value
        for name, field in keys
        if isinstance(field, SecretStr)
        for value in [field.get_secret_value()]
        if len(value) >= MIN_SECRET and not name.startswith("parts_proxy")
    }
    longest_first = sorted(secrets, key=len, reverse=True)

    def redact(text: str) -> str:
        for secret in longest_first:
            if secret in text:
                text = text.replace(secret, MASK)
        return text

    return redact


def _settings(keys: Keys) -> Iterator[tuple[str, str]]:
    for name, value in keys:
        yield name, value.get_secret_value() if isinstance(value, SecretStr) else str(value)
