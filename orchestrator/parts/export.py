"""Parts and quotes as tables: CSV for Excel, XLSX, and the fields that KiCad knows. No cell becomes a formula."""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal

from orchestrator.parts import xlsx
from orchestrator.parts.bom import Quote
from orchestrator.parts.public import public
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Part, PublicPart
from orchestrator.parts.xlsx import Cell

# what Excel, LibreOffice and Google begin a formula or a command with
FORMULA = frozenset("=+-@|%")
PARTS_HEAD = (
    "mpn", "manufacturer", "description", "package", "lifecycle", "rohs", "seller", "region", "sku", "stock",
    "lead_days", "moq", "multiple", "packaging", "buy", "unit_price", "total", "currency", "in_stock", "url",
    "datasheet_url",
)  # fmt: skip
PUBLIC_HEAD = (
    "mpn", "manufacturer", "description", "package", "lifecycle", "region", "quantity", "unit_price", "currency",
    "in_stock",
)  # fmt: skip
QUOTE_HEAD = (
    "designators", "per_board", "needed", "asked", "mpn", "manufacturer", "description", "seller", "sku", "buy",
    "unit_price", "total", "currency", "in_stock", "note",
)  # fmt: skip
KICAD_HEAD = (
    "Reference",
    "Qty",
    "Value",
    "Footprint",
    "Datasheet",
    "Manufacturer",
    "MPN",
    "Description",
)

Table = list[tuple[Cell, ...]]


def parts_table(
    parts: Iterable[Part], *, public_view: bool = False, rates: Rates | None = None
) -> Table:
    """A header and a line for each part with its best offer, or with `public_view` for each region's price."""
    if public_view:
        return public_table(public(part, rates=rates) for part in parts)
    return _lines(parts)


def _lines(parts: Iterable[Part]) -> Table:
    table: Table = [PARTS_HEAD]
    for part in parts:
        told: tuple[Cell, ...] = (
            part.mpn, part.manufacturer, part.description, part.package, part.lifecycle.value, part.rohs,
        )  # fmt: skip
        best = part.best
        if best is None:
            table.append((*told, *([None] * (len(PARTS_HEAD) - len(told) - 1)), part.datasheet_url))
            continue
        offer = best.offer
        table.append(
            (
                *told, offer.seller, offer.region, offer.sku, offer.stock, offer.lead_days, offer.moq, offer.multiple,
                offer.packaging, best.buy, best.unit_price, best.total, best.currency, best.in_stock, offer.url,
                part.datasheet_url,
            )
        )  # fmt: skip
    return table


def public_table(parts: Iterable[PublicPart]) -> Table:
    """A header and a line for each region's price of each part; a part without any has one line."""
    table: Table = [PUBLIC_HEAD]
    for seen in parts:
        told: tuple[Cell, ...] = (
            seen.mpn, seen.manufacturer, seen.description, seen.package, seen.lifecycle.value,
        )  # fmt: skip
        if not seen.prices:
            table.append((*told, *([None] * (len(PUBLIC_HEAD) - len(told)))))
        for price in seen.prices:
            table.append(
                (
                    *told,
                    price.region,
                    price.quantity,
                    price.unit_price,
                    price.currency,
                    price.in_stock,
                )
            )
    return table


def quote_table(quote: Quote, *, public_view: bool = False) -> Table:
    """A header, the lines of a quote, what was not matched, and the total. The public sees no seller and no SKU."""
    table: Table = [QUOTE_HEAD]
    for row in quote.rows:
        line, part, best = row.line, row.part, row.best
        seen = public(part) if part and public_view else None
        maker = seen.manufacturer if seen else part.manufacturer if part else None
        text = seen.description if seen else part.description if part else None
        offer = best.offer if best and not public_view else None
        table.append(
            (
                " ".join(line.designators), line.quantity, row.needed, line.asked, part.mpn if part else None, maker,
                text, offer.seller if offer else None, offer.sku if offer else None, best.buy if best else None,
                best.unit_price if best else None, best.total if best else None, quote.currency,
                best.in_stock if best else None, row.note,
            )
        )  # fmt: skip
    blank: list[Cell] = [None] * len(QUOTE_HEAD)
    blank[0], blank[11], blank[12] = "total", quote.total, quote.currency
    return [*table, tuple(blank)]


def kicad_table(quote: Quote) -> Table:
    """The fields of KiCad's symbols, a line for each part, to read back into a schematic. Names no seller."""
    table: Table = [KICAD_HEAD]
    for row in quote.rows:
        line = row.line
        seen = public(row.part) if row.part else None
        table.append(
            (
                ",".join(line.designators), line.quantity, line.value or line.asked, line.footprint,
                row.part.datasheet_url if row.part else None,
                seen.manufacturer if seen else line.manufacturer, seen.mpn if seen else line.mpn,
                seen.description if seen else line.description,
            )
        )  # fmt: skip
    return table


def to_csv(table: Iterable[Sequence[Cell]], *, delimiter: str = ",") -> bytes:
    """A table as CSV in UTF-8, with the mark by which Excel knows it."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\r\n")
    writer.writerows([_plain(cell) for cell in row] for row in table)
    return b"\xef\xbb\xbf" + text.getvalue().encode("utf-8", "replace")


def to_xlsx(table: Iterable[Sequence[Cell]], *, title: str = "parts") -> bytes:
    """A table as a workbook. Texts that look like formulas are marked here too: a workbook is often saved as CSV."""
    return xlsx.write(
        ([neutral(cell) if isinstance(cell, str) else cell for cell in row] for row in table),
        title=title,
    )


def neutral(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe goes before one that looks like it."""
    begins = unicodedata.normalize("NFKC", text).lstrip(" \u200b\ufeff\u2060")[:1]  # also ＝
    return "'" + text if begins and begins in FORMULA | {"\t", "\r", "\n", "\0"} else text


def _plain(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    return neutral(cell).replace("\0", "") if isinstance(cell, str) else str(cell)
