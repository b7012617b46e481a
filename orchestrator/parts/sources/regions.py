"""Where a seller is, from its name, its country or what an aggregator says: the only thing the public sees of it."""

from __future__ import annotations

AMERICAS, EUROPE, ASIA, RUSSIA, GLOBAL = "Americas", "Europe", "Asia", "Russia", "Global"

_WORDS = {
    AMERICAS: ("americas", "america", "north america", "south america", "usa", "us", "canada", "na"),
    EUROPE: ("europe", "emea", "eu", "uk", "european union", "silica", "abacus", "ebv"),
    ASIA: ("asia", "apac", "asia pacific", "china", "japan", "india", "hong kong", "singapore"),
    RUSSIA: ("russia", "cis"),
    GLOBAL: ("global", "worldwide"),
}  # fmt: skip
_COUNTRIES = {
    AMERICAS: "US CA MX BR AR CL",
    EUROPE: "GB UK DE FR IT ES PL NL BE AT CH SE NO DK FI IE CZ SK HU RO BG PT GR EE LV LT SI HR TR IL",
    ASIA: "CN HK TW JP KR SG MY TH IN VN PH ID AU NZ",
    RUSSIA: "RU BY KZ",
}
# Beginnings of names whose region the name itself does not say; the longest that fits decides.
_SELLERS = {
    AMERICAS: ("digikey", "digi-key", "mouser", "arrow", "newark", "future", "avnet", "tti", "verical",
               "sager", "rochester", "master electronics", "onlinecomponents", "allied", "rs (formerly",
               "heilind", "powell", "america ii", "bisco", "pei-genesis", "richardson", "quest",
               "symmetry", "waldom", "dgi", "steven engineering", "sparkfun", "adafruit"),
    EUROPE: ("tme", "transfer multisort", "farnell", "rs components", "rs", "rutronik", "conrad",
             "distrelec", "reichelt", "buerklin", "bürklin", "schukat", "wurth", "würth", "ozdisan",
             "anglia", "comet", "lemosint", "ebv", "avnet silica", "avnet abacus", "setron", "glyn"),
    ASIA: ("element14", "lcsc", "chip1stop", "chip one stop", "corestaff", "winsource", "win source",
           "utmel", "weyland", "szlcsc", "cytech", "marutsu", "rs components china", "wpg", "wt micro"),
    RUSSIA: ("chipdip", "чип и дип", "compel", "platan", "terraelectronica", "promelec"),
}  # fmt: skip


def region_of(seller: str, *, told: str = "", country: str = "") -> str:
    """The region of a seller: what is told of it comes before its country, then its name; `Global` if nothing says."""
    if (region := _of_words(told)) is not None:
        return region
    code = country.strip().upper()
    for region, codes in _COUNTRIES.items():
        if code and code in codes.split():
            return region
    name = " ".join(seller.casefold().split())
    if (region := _of_words(name)) is not None:
        return region
    best, length = GLOBAL, 0
    for region, beginnings in _SELLERS.items():
        for beginning in beginnings:
            if len(beginning) > length and _begins(name, beginning):
                best, length = region, len(beginning)
    return best


def _of_words(said: str) -> str | None:
    text = f" {' '.join(said.casefold().replace('-', ' ').replace('(', ' ').replace(')', ' ').split())} "
    for region, words in _WORDS.items():
        if any(f" {word} " in text for word in words):
            return region
    return None


def _begins(name: str, beginning: str) -> bool:
    rest = name[len(beginning) :]
    return name.startswith(beginning) and not rest[:1].isalpha()
