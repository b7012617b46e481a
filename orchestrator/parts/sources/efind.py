"""Russian suppliers that answer in the XML of efind.ru and ChipFind: each address of EFIND_URLS is one seller."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlsplit
from xml.etree import ElementTree as ET

from pydantic import SecretStr

from orchestrator.parts import safexml
from orchestrator.parts.errors import SourceError, SourceSchema
from orchestrator.parts.keys import Keys, SourceSettings
from orchestrator.parts.sources.base import Limit, Meter, Request
from orchestrator.parts.sources.http import Client
from orchestrator.parts.sources.reading import count, link, money, text
from orchestrator.parts.sources.told import breaks, currency
from orchestrator.parts.values import Offer

LINES = 20  # the convention: no more than twenty lines in an answer
SIZE_LIMIT = 2**20
PLACE, PARAMETER = "{part}", "search"  # where an address wants the part; without it, this parameter
MISSING = (
    "Needs EFIND_URLS: addresses at which suppliers answer in the XML of efind.ru, as each supplier "
    "tells its customers."
)
HIDDEN_STEPS = "further prices at quantities the supplier does not state: {prices}"

_PROLOG = re.compile(r"^\s*<\?xml[^>]*?encoding\s*=\s*[\"']([\w.:-]+)[\"'][^>]*\?>", re.IGNORECASE)
_ANY_PROLOG = re.compile(r"^\s*<\?xml[^>]*\?>")
_BARE_AND = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d+|#x[0-9a-fA-F]+);)")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_CHARSETS = ("utf-8", "windows-1251", "cp1251", "koi8-r")


class Efind:
    """Asks every supplier at the same time; one that fails takes nothing from the others."""

    name = "efind"
    title = "efind suppliers"
    version = "1"
    limits: Sequence[Limit] = (Limit(calls=60, window_s=60),)  # a courtesy: none is published
    batch = 1

    def __init__(
        self,
        keys: Keys,
        meter: Meter,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._clock = clock
        settings = keys.source(self.name)
        self._suppliers = [_Supplier(url, settings, meter) for url in keys.efind_urls]
        self.scope = " ".join(sorted(supplier.host for supplier in self._suppliers))

    @property
    def missing(self) -> str | None:
        """None with an address at least."""
        return None if self._suppliers else MISSING

    def cost(self, request: Request) -> int:
        """One call a supplier and part."""
        return len(self._suppliers) * len(_wanted(request))

    async def search(self, request: Request) -> AsyncIterator[Sequence[Offer]]:
        """Each supplier's offers as they come. Raises what the last one raised, if all of them failed."""
        asked = [
            asyncio.create_task(supplier.ask(part), name=f"efind {supplier.host}")
            for part in _wanted(request)
            for supplier in self._suppliers
        ]
        failed: SourceError | None = None
        answered = False
        try:
            for task in asyncio.as_completed(asked):
                try:
                    seller, page = await task
                    offers = parse(page, seller=seller, fetched_at=self._clock())
                except SourceError as error:
                    failed = error
                    continue
                answered = True
                if offers:
                    yield offers
        finally:
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if failed is not None and not answered:
            raise failed

    async def close(self) -> None:
        """Give back the connections."""
        for supplier in self._suppliers:
            await supplier.close()


class _Supplier:
    """One address; its query may hold a key, so all of it is kept out of what is said aloud."""

    def __init__(self, url: str, settings: SourceSettings, meter: Meter) -> None:
        parts = urlsplit(url)
        self.host = parts.hostname or ""
        self._path = parts.path or "/"
        self._query = parse_qsl(parts.query, keep_blank_values=True)
        secrets = [SecretStr(value) for _, value in self._query if value and value != PLACE]
        self._client = Client(
            Efind.name,
            title=self.host,
            base_url=f"{parts.scheme}://{parts.netloc}",
            settings=SourceSettings(Efind.name, None, settings.proxy),
            meter=meter,
            secrets=secrets,
        )

    async def ask(self, part: str) -> tuple[str, bytes]:
        """The seller's name and what it answers."""
        placed = [(name, value.replace(PLACE, part)) for name, value in self._query]
        if placed == self._query:
            placed.append((PARAMETER, part))
        answer = await self._client.call("GET", self._path, params=placed)
        return self.host, answer.content

    async def close(self) -> None:
        await self._client.close()


def parse(page: bytes, *, seller: str, fetched_at: datetime) -> list[Offer]:
    """Offers out of `<data><line>…`, the first twenty lines of it.

    Raises SourceSchema for anything else, and for a document with declarations of its own: an entity may be a bomb.
    """
    if len(page) > SIZE_LIMIT:
        raise SourceSchema(f"{seller} sent more than an answer in this XML may hold")
    words = _ANY_PROLOG.sub("", _decoded(page), count=1)
    try:
        root = safexml.read(_NOT_XML.sub(" ", _BARE_AND.sub("&amp;", words)).strip().encode())
    except ValueError:
        root = None
    if root is None or root.tag.lower() != "data":
        raise SourceSchema(f"{seller} answered with something that is not the XML of efind")
    offers = [_offer(line, seller, fetched_at) for line in root.findall("line")[:LINES]]
    return [offer for offer in offers if offer is not None]


def _decoded(page: bytes) -> str:
    page = page.removeprefix(b"\xef\xbb\xbf")
    prolog = _PROLOG.match(page[:200].decode("ascii", "replace"))
    charset = prolog[1].lower() if prolog else "utf-8"
    if charset not in _CHARSETS:
        charset = "utf-8"
    try:
        return page.decode(charset)
    except UnicodeDecodeError:
        # many say utf-8, or nothing, and send what Windows has
        return page.decode("windows-1251", "replace")


def _offer(line: ET.Element, seller: str, fetched_at: datetime) -> Offer | None:
    told = {child.tag.lower(): text(child.text) for child in line}
    mpn = told.get("part", "")
    if not mpn:
        return None
    code = currency(told.get("cur") or "RUR")
    prices = [_price(told.get(name)) for name in ("p1", "p2", "p3")]
    further = [f"{price} {code}" for price in prices[1:] if price and code and price != prices[0]]
    return Offer(
        source=Efind.name,
        seller=seller,
        region="Russia",
        sku=mpn,
        mpn=mpn,
        manufacturer=told.get("mfg") or None,
        description=told.get("note", ""),
        stock=_stock(told),
        # the retail price; where the others begin is not told
        breaks=breaks([(1, prices[0])], code)[0],
        datasheet_url=link(told.get("pdf")),
        image_url=link(told.get("img")),
        fetched_at=fetched_at,
        warnings=(HIDDEN_STEPS.format(prices=", ".join(further)),) if further else (),
    )


def _price(told: str | None) -> str | None:
    """A price as people write it there: `12,50`, `1 250.00`."""
    plain = (told or "").replace(" ", "").replace(",", ".")
    return plain if money(plain) else None


def _stock(told: dict[str, str]) -> int | None:
    """Pieces, where they are told; `instock` alone only says yes or no."""
    pieces = count(told.get("stock"))
    if pieces is not None:
        return pieces
    return 0 if told.get("instock") == "0" else None


def _wanted(request: Request) -> list[str]:
    """What to ask for: part numbers, Soviet ones in Cyrillic as the shops there write them, else the words."""
    if request.mpns:
        return [cyrillic(mpn) or mpn for mpn in request.mpns]
    return [request.keyword] if request.keyword.strip() else []


_SOVIET = re.compile(
    r"(?:(?:(?:K|KR|KM|KN|KS|KB|EKR|OS)\d{4}|(?:K|KR|KM|KN|KS|KB|EKR|OS)?\d{3})[A-Z]{2}\d{1,3}|(?:[KG2]T|KP|2P|K[DSUV]|2[DSUV]|D|A[L]|AO[UTD])\d{2,4})"
    r"[A-Z]{0,2}"
)
_LETTERS = str.maketrans("ABVGDEZIKLMNOPRSTUF", "АБВГДЕЗИКЛМНОПРСТУФ")


def cyrillic(mpn: str) -> str | None:
    """`KT315B` as `КТ315Б`; None for a part number that is no Soviet one, or has a letter with two readings."""
    if not _SOVIET.fullmatch(mpn):
        return None
    written = mpn.translate(_LETTERS)
    return None if re.search("[A-Z]", written) else written
