"""A labelled contact sheet of a batch: its last axis across, the others down. As PNG, and as an HTML page.

A cell whose job made no picture says why. Blocks on the disk: a picture is read and made small for each cell.
"""

from __future__ import annotations

import base64
import html
import importlib.util
import io
import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from PIL import Image, ImageDraw, ImageFont, ImageOps

from orchestrator.files import write_whole

CELL = 192  # pixels
GAP, MARGIN = 8, 16
LABEL_WIDE, LABEL_HIGH = 200, 44
FONT_SIZE = 14
MAX_LABEL = 300  # characters
MAX_SIDE = 30_000  # pixels of a sheet: viewers give up, and so does Pillow's reader
INK, MUTED, PAPER, EMPTY = "#15181e", "#59616e", "#ffffff", "#eef0f3"


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One job: its place, its first picture if it has one, and else what is to be said in its stead."""

    at: Mapping[str, Any]
    picture: Path | None
    words: str
    link: str | None = None


@dataclass(frozen=True)
class Grid:
    """Cells in rows and columns, with the labels of both. A corner that no job stands in is None."""

    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Cell | None]]]


class Sheet:
    """The contact sheet of a batch; shown in a cell, or saved."""

    def __init__(
        self, title: str, axes: Mapping[str, Sequence[Any]], cells: Sequence[Cell]
    ) -> None:
        self.title = title
        self.grid = arranged(axes, cells)

    def png(self, *, cell: int = CELL) -> bytes:
        """The sheet as a picture, `cell` pixels a side of each; smaller where it would be too large to look at."""
        across, down = len(self.grid.columns), len(self.grid.rows)
        room = (MAX_SIDE - LABEL_WIDE - 2 * MARGIN) // max(across, down, 1) - GAP
        side = max(16, min(cell, room))
        step = side + GAP
        size = (
            2 * MARGIN + LABEL_WIDE + across * step,
            2 * MARGIN + FONT_SIZE * 2 + LABEL_HIGH + down * step,
        )
        sheet = Image.new("RGB", size, PAPER)
        draw = ImageDraw.Draw(sheet)
        font = _font()
        draw.text((MARGIN, MARGIN), self.title, fill=INK, font=font)
        top = MARGIN + FONT_SIZE * 2 + LABEL_HIGH
        left = MARGIN + LABEL_WIDE
        for x, label in enumerate(self.grid.columns):
            spot = (left + x * step, top - LABEL_HIGH)
            draw.multiline_text(spot, _wrapped(label, side, 2), fill=INK, font=font)
        for y, (label, cells) in enumerate(self.grid.rows):
            lines = max(1, side // (FONT_SIZE + 4))
            words = _wrapped(label, LABEL_WIDE - GAP, lines)
            draw.multiline_text((MARGIN, top + y * step), words, fill=INK, font=font)
            for x, each in enumerate(cells):
                spot = (left + x * step, top + y * step)
                if each is not None:
                    _paint(sheet, draw, each, spot, side, font)
        out = io.BytesIO()
        sheet.save(out, "PNG")
        return out.getvalue()

    def html(self) -> str:
        """The sheet as a page that stands alone: the pictures are in it, small."""
        head = "".join(f"<th scope=col>{_shown(label)}</th>" for label in self.grid.columns)
        body = "".join(
            f"<tr><th scope=row>{_shown(label)}</th>{''.join(_table_cell(each) for each in cells)}</tr>"
            for label, cells in self.grid.rows
        )
        title = html.escape(self.title)
        return (
            "<!doctype html><html lang=en><meta charset=utf-8>"
            f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
            f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table></html>\n"
        )

    def save(self, path: Path | str) -> Path:
        """Write it, as a page where the name ends with .html, and as PNG otherwise. Raises OSError."""
        file = Path(path)
        data = self.html().encode() if file.suffix.lower() in {".html", ".htm"} else self.png()
        write_whole(file, data, durable=False)
        return file

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        shown = f"Sheet({self.title!r}, {len(self.grid.rows)} × {len(self.grid.columns)})"
        return {"image/png": self.png(), "text/plain": shown}


def arranged(axes: Mapping[str, Sequence[Any]], cells: Sequence[Cell]) -> Grid:
    """The last axis with several values across, the others down; without one, as nearly a square as can be."""
    varied = [name for name, values in axes.items() if len(values) > 1]
    if len(varied) < 2:
        return _square(varied, cells)
    across = varied[-1]
    columns = {_key([value]): place for place, value in enumerate(axes[across])}
    rows: dict[bytes, tuple[str, list[Cell | None]]] = {}
    for cell in cells:
        place = columns.get(_key([cell.at.get(across)]))
        if place is None:
            continue
        where = {name: cell.at.get(name) for name in varied[:-1]}
        _, row = rows.setdefault(_key(list(where.values())), (_label(where), [None] * len(columns)))
        row[place] = cell
    return Grid([f"{across} {_said(value)}" for value in axes[across]], list(rows.values()))


def _key(values: list[Any]) -> bytes:
    """A place by its values: their labels are cut short, and two may then look alike."""
    return orjson.dumps(values)


def _square(varied: Sequence[str], cells: Sequence[Cell]) -> Grid:
    wide = max(1, math.ceil(math.sqrt(len(cells))))
    rows = []
    for start in range(0, len(cells), wide):
        part: list[Cell | None] = list(cells[start : start + wide])
        first = cells[start]
        label = _label({name: first.at.get(name) for name in varied}) if varied else str(start + 1)
        rows.append((label + (" …" if len(part) > 1 else ""), part + [None] * (wide - len(part))))
    return Grid([""] * wide, rows)


def thumbnail(path: Path, side: int) -> Image.Image:
    """A picture made to fit a square, whole, the right way up. Raises OSError for what is none."""
    with Image.open(path) as picture:
        picture.draft("RGB", (side * 2, side * 2))
        upright = ImageOps.exif_transpose(picture).convert("RGB")
        return ImageOps.contain(upright, (side, side))


def _paint(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    cell: Cell,
    spot: tuple[int, int],
    side: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
) -> None:
    if cell.picture is not None:
        try:
            small = thumbnail(cell.picture, side)
        except (OSError, ValueError, Image.DecompressionBombError):
            cell = Cell(at=cell.at, picture=None, words="the picture cannot be read")
        else:
            offset = ((side - small.width) // 2, (side - small.height) // 2)
            sheet.paste(small, (spot[0] + offset[0], spot[1] + offset[1]))
            return
    draw.rectangle((*spot, spot[0] + side - 1, spot[1] + side - 1), fill=EMPTY)
    words = _wrapped(cell.words, side - 2 * GAP, max(1, side // (FONT_SIZE + 4) - 1))
    draw.multiline_text((spot[0] + GAP, spot[1] + GAP), words, fill=MUTED, font=font)


def _table_cell(cell: Cell | None) -> str:
    if cell is None:
        return "<td></td>"
    if cell.picture is not None:
        try:
            small = thumbnail(cell.picture, CELL)
        except (OSError, ValueError, Image.DecompressionBombError):
            return "<td class=none>the picture cannot be read</td>"
        out = io.BytesIO()
        small.save(out, "WEBP", quality=80)
        data = base64.b64encode(out.getvalue()).decode()
        said = html.escape(_label(cell.at), quote=True)
        return f'<td><img src="data:image/webp;base64,{data}" alt="{said}" title="{said}"></td>'
    return f"<td class=none>{html.escape(cell.words)}</td>"


def _label(at: Mapping[str, Any]) -> str:
    return "\n".join(
        _said(value) if name == "prompt" else f"{name} {_said(value)}" for name, value in at.items()
    )


def _said(value: Any) -> str:
    return " ".join(str(value).split())[:MAX_LABEL]


def _shown(label: str) -> str:
    return html.escape(label).replace("\n", "<br>")


def _wrapped(text: str, width: int, lines: int) -> str:
    """Text broken to fit, by the mean width of a letter."""
    letters = max(4, round(width / (FONT_SIZE * 0.55)))
    broken = list(_lines(text, letters))
    if len(broken) > lines:
        broken = [*broken[: lines - 1], broken[lines - 1][: letters - 1] + "…"]
    return "\n".join(broken)


def _lines(text: str, letters: int) -> Iterator[str]:
    for line in text.split("\n"):
        yield from textwrap.wrap(line, letters) or [""]


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    # matplotlib brings a font with most letters; looking for it need not import matplotlib
    spec = importlib.util.find_spec("matplotlib")
    if spec is not None and spec.origin is not None:
        file = Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), FONT_SIZE)
    make: Callable[..., ImageFont.FreeTypeFont | ImageFont.ImageFont] = ImageFont.load_default
    return make(size=FONT_SIZE)


STYLE = """
body{font:14px/1.4 system-ui,sans-serif;margin:24px;color:#15181e;background:#fff}
table{border-collapse:separate;border-spacing:8px}
th{font-weight:600;text-align:left;vertical-align:top;max-width:220px;overflow-wrap:anywhere}
td{width:192px;height:192px;text-align:center}
img{max-width:192px;max-height:192px;display:block;margin:auto}
.none{background:#eef0f3;color:#59616e;padding:8px;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#15181e;color:#eef0f3}.none{background:#262b33;color:#aab2bf}}
"""
