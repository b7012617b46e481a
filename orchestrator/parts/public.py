"""What the public sees of a part: region, unit price, currency, availability. No seller, no SKU, no address."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from orchestrator.parts import ladder
from orchestrator.parts.mpn import mpn_key
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Best, Offer, Part, PublicPart, RegionPrice

# Sellers that texts name even when no offer does (`Digi-Key Part Number`).
VENDORS = (
    "DigiKey", "Digi Key", "Mouser", "Farnell", "Newark", "element14", "TME", "Transfer Multisort", "Arrow Electronics",
    "Avnet", "RS Components", "Future Electronics", "Verical", "Rochester Electronics", "LCSC", "TTI", "Chip1Stop",
    "ChipFind", "ChipDip", "ЧипДип", "Чип и Дип", "Compel", "Компэл", "Promelec", "Промэлектроника", "Platan", "Платан",
    "Terraelectronica", "OnlineComponents", "Master Electronics", "Sager", "Distrelec", "Conrad", "Reichelt",
    "Octopart", "FindChips", "efind", "TrustedParts", "OEMsecrets", "OEMsTrade",
)  # fmt: skip
ADDRESS = re.compile(
    r"(?:[a-z][a-z0-9+.-]*:)?//\S*|\bwww\.\S*|\b[\w-]+(?:\.[\w-]+)*\.(?:com|net|org|eu|ru|de|uk|cn|io|tw|jp|kr)\b\S*",
    re.IGNORECASE,
)
SHORT = 6  # letters; a shorter name counts only as a word, or `Arrow` would be found in `narrow`
OURS = "sample"  # the source that we made is nobody's secret, and samples have a rate
BOUND = r"(?<![^\W_])"
NEVER = r"(?!)"
REGIONS = frozenset({"Americas", "Europe", "Asia", "Russia", "Global"})


def public(
    part: Part,
    *,
    quantity: int | None = None,
    currency: str | None = None,
    rates: Rates | None = None,
) -> PublicPart:
    """All that the public sees of a part, at the quantity and in the currency of its `best` unless told otherwise.

    One price a region, the cheapest that can be bought, else the cheapest that cannot and says so. Without `rates`
    prices stay in their own currencies, one a region and currency. Names of sellers and sources, SKUs and addresses
    that hide in texts are cut out; a parameter with one in it goes. A SKU that is the part number itself stays.
    """
    secrets, loud = _secrets(part)
    wanted = quantity or (part.best.quantity if part.best else 1)
    shown = currency or (part.best.currency if part.best and rates else None)
    # a part number is cut only for a name that no part number has: TME 0505S is made by Traco and sold by TME
    mpn = loud.clean(part.mpn) or "?"
    manufacturer = secrets.clean(part.manufacturer) or None
    key = part.key
    if loud.clean(key) != key:
        key = "part-" + hashlib.sha256(key.encode()).hexdigest()[:16]
    params = {
        name: value
        for name, value in part.params.items()
        if secrets.clean(name) == name and secrets.clean(value) == value
    }
    return PublicPart(
        key=key,
        mpn=mpn,
        manufacturer=manufacturer,
        description=secrets.clean(part.description),
        category=secrets.clean(part.category) or None,
        package=secrets.clean(part.package) or None,
        lifecycle=part.lifecycle,
        params=params,
        prices=tuple(_prices(part.offers, wanted, shown, rates)),
    )


def _prices(
    offers: Iterable[Offer], quantity: int, currency: str | None, rates: Rates | None
) -> list[RegionPrice]:
    found: dict[tuple[str, str], Best] = {}
    for offer in offers:
        own = offer.breaks[0].currency if offer.breaks else ""
        in_what = currency if currency and rates else own
        if currency and in_what != currency:
            continue
        way = ladder.best(offer, quantity, rates, in_what) or ladder.best(
            offer, quantity, rates, in_what, any_stock=True
        )
        if way is None:
            continue
        place = (offer.region if offer.region in REGIONS else "Global", in_what)
        known = found.get(place)
        if known is None or (not way.in_stock, way.total) < (not known.in_stock, known.total):
            found[place] = way
    return [
        RegionPrice(
            region=region,
            unit_price=way.unit_price,
            currency=in_what,
            quantity=way.buy,
            in_stock=way.in_stock,
        )
        for (region, in_what), way in sorted(found.items())
    ]


@dataclass(frozen=True)
class Secrets:
    """Patterns of what must not be seen, and the letters and digits one of which is in every text they find."""

    patterns: tuple[re.Pattern[str], ...]
    letters: frozenset[str]

    def clean(self, text: str | None) -> str:
        """The text without them; cut until nothing is found, as a cut can bring two halves of a name together."""
        plain = unicodedata.normalize("NFKC", text or "")
        clean = "".join(char for char in plain if unicodedata.category(char) not in {"Cf", "Cc"})
        while self._may_be_in(clean):
            cut = clean
            for pattern in self.patterns:
                cut = pattern.sub(" ", cut)
            cut = " ".join(cut.split())
            if cut == clean:
                break
            clean = cut
        return clean

    def _may_be_in(self, text: str) -> bool:
        """A quick look first: most texts have nothing in them."""
        if "//" in text or "." in text:  # an address
            return True
        letters = _letters(text)
        return any(secret in letters for secret in self.letters)


def _secrets(part: Part) -> tuple[Secrets, Secrets]:
    """What must not be seen: names and numbers of these offers, names known anyway; and the long names only."""
    own = mpn_key(part.mpn)
    names = {name for offer in part.offers for name in (offer.seller, offer.source)} - {OURS}
    skus = {offer.sku for offer in part.offers if mpn_key(offer.sku) not in {"", own}}
    known, known_long = _vendors()
    told, long = _of(names), _of(name for name in names if len(_letters(name)) >= SHORT)
    numbers = _any(_exact(sku) for sku in skus)
    every = Secrets(
        (ADDRESS, numbers, *told.patterns, *known.patterns),
        told.letters | known.letters | {_letters(sku) for sku in skus},
    )
    return every, Secrets(
        (ADDRESS, *long.patterns, *known_long.patterns), long.letters | known_long.letters
    )


@cache
def _vendors() -> tuple[Secrets, Secrets]:
    return _of(VENDORS), _of(name for name in VENDORS if len(_letters(name)) >= SHORT)


def _of(names: Iterable[str]) -> Secrets:
    telling = {name for name in names if _letters(name)}
    return Secrets((_any(_pattern(name) for name in telling),), frozenset(map(_letters, telling)))


def _letters(text: str) -> str:
    plain = unicodedata.normalize("NFKC", text).casefold()
    return "".join(char for char in plain if char.isalnum())


def _any(patterns: Iterable[str]) -> re.Pattern[str]:
    """Longer ones first: of `Digi-Key Electronics` nothing may stay when `Digi-Key` has gone."""
    ordered = sorted(set(patterns), key=lambda pattern: (-len(pattern), pattern))
    return re.compile("|".join(ordered) or NEVER, re.IGNORECASE)


def _pattern(name: str) -> str:
    """A name however its words are parted: `DigiKey`, `Digi-Key`, `DIGI KEY`."""
    plain = unicodedata.normalize("NFKC", name)
    words = re.findall(r"\w+", re.sub(r"(?<=[a-zа-яё])(?=[A-ZА-ЯЁ])", " ", plain))
    together = r"[\W_]*".join(re.escape(word) for word in words)
    return _bounded(together, sum(len(word) for word in words))


def _exact(sku: str) -> str:
    return _bounded(re.escape(unicodedata.normalize("NFKC", sku)), len(sku))


def _bounded(pattern: str, length: int) -> str:
    return pattern if length >= SHORT else rf"{BOUND}{pattern}(?![^\W_])"
