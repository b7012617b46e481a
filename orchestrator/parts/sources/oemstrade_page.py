"""The result page of OEMsTrade, taken apart: its rows with their attributes and texts, nothing interpreted."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

PAGE_LIMIT = 4 * 2**20  # characters; real pages have 120 to 420 thousand
ROWS_LIMIT = 2000
_VOID = frozenset({"br", "img", "input", "hr", "meta", "link", "wbr", "source", "col"})


@dataclass
class Step:
    """One line of a price list."""

    quantity: str = ""
    price: str = ""
    currency: str = ""


@dataclass
class Row:
    """One line of a distributor's table."""

    seller: str
    authorized: bool
    attrs: dict[str, str]
    sku: str = ""
    manufacturer: str = ""
    description: str = ""
    more: str = ""
    steps: list[Step] = field(default_factory=list)


def read(page: str) -> tuple[list[Row], bool]:
    """The rows, and whether it is a result page at all (also one that says that nothing was found)."""
    reader = _Reader()
    reader.feed(page[:PAGE_LIMIT])
    reader.close()
    return [row for row in reader.rows if row.seller], reader.known


class _Reader(HTMLParser):
    """Follows the few elements that matter; everything else may be nested as it likes."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.rows: list[Row] = []
        self.known = False
        self._seller = ""
        self._title = ""  # of the distributor, with what it says of its standing
        self._section: list[Row] = []
        self._row: Row | None = None
        self._into: list[tuple[str, str]] = []  # open elements with a name for their text
        self._seller_told = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        classes = set(named.get("class", "").split())
        if "no-results" in classes:
            self.known = True
        if tag in ("section", "div") and "distributor-results" in classes:
            self._end_section()
            self.known = True
            self._seller = named.get("data-distributorname", "").strip()
            self._seller_told = bool(self._seller)
        elif tag == "tr" and "row" in classes and len(self.rows) < ROWS_LIMIT:
            self._end_row()
            seller = self._seller or named.get("data-distributor_name", "").strip()
            self._row = Row(seller=seller, authorized=False, attrs=named)
        if self._row is not None and tag == "li" and "multi-price" in classes:
            self._row.steps.append(Step())  # also those with `hide`: they are shown after a click
        if tag not in _VOID:
            self._into.append((tag, self._place(tag, classes, named)))

    def handle_endtag(self, tag: str) -> None:
        # An element that was never closed goes with the one around it.
        for place in range(len(self._into) - 1, -1, -1):
            if self._into[place][0] == tag:
                del self._into[place:]
                break
        if tag == "tr":
            self._end_row()
        elif tag == "section":
            self._end_section()

    def handle_data(self, data: str) -> None:
        place = next((name for _, name in reversed(self._into) if name), "")
        row = self._row
        if place == "title" and row is None:
            self._title += data
            if not self._seller_told:
                self._seller += data
        elif place == "standing" and row is None:
            self._title += f" {data}"
        elif row is None:
            return
        elif place == "sku":
            row.sku += data
        elif place == "manufacturer":
            row.manufacturer += data
        elif place == "description":
            row.description += data
        elif place == "more":
            row.more += f"{data} "
        elif place == "quantity" and row.steps:
            row.steps[-1].quantity += data
        elif place == "price" and row.steps and not row.steps[-1].price:
            row.steps[-1].price = data.strip().lstrip("$€£")

    def close(self) -> None:
        """End what the page left open."""
        super().close()
        self._end_section()

    def _place(self, tag: str, classes: set[str], named: dict[str, str]) -> str:
        """What the text inside an element is; empty: whatever it is in the element around it."""
        if tag in ("h2", "h3") and "distributor-title" in classes:
            return "title"
        if tag == "span" and self._into and any(name == "title" for _, name in self._into):
            return "standing"
        if self._row is None:
            return ""
        if "disti-number" in classes:
            return "sku"
        if "td-distributor-name" in classes:  # which holds the manufacturer
            return "manufacturer"
        if "td-description" in classes:
            return "description"
        if "additional-desc" in classes:
            return "more"
        if "list-left" in classes:
            return "quantity"
        if "list-right" in classes:
            if self._row.steps and named.get("data-baseprice"):
                self._row.steps[-1].price = named["data-baseprice"]
                self._row.steps[-1].currency = named.get("data-basecurrency", "")
            return "price"
        return "aside" if tag == "td" else ""

    def _end_row(self) -> None:
        if self._row is not None:
            self._section.append(self._row)
            self.rows.append(self._row)
            self._row = None

    def _end_section(self) -> None:
        """Give the section's rows what its title says; in older pages it is the only place that names the seller."""
        self._end_row()
        said = self._title.lower()
        authorized = "authorized" in said.replace("unauthorized", "").replace("non-authorized", "")
        for row in self._section:
            row.seller = " ".join(row.seller.split())
            row.authorized = authorized or "ecia" in said
        self._section, self._title, self._seller, self._seller_told = [], "", "", False
