"""The workflow that is being edited: its JSON text, a revision, and the way back."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import RequestInvalid, WorkflowUnreadable
from orchestrator.widgets.builder.text import changed

MAX_BYTES = 20_000_000  # of a file
MAX_STEPS = 200  # back
MAX_KEPT = 80_000_000  # characters of all of them
JOINED_S = 1.5  # changes of one kind that follow each other this quickly are one step back
BOM = b"\xef\xbb\xbf"


class Stale(RequestInvalid):
    """A change was made to a document that has changed since."""

    remedy = "The page shows the newer one; make the change once more."


@dataclass(frozen=True, slots=True)
class Kept:
    """A text to go back to, and whether more changes join the one that came after it."""

    text: str
    kind: str
    at: float


class Document:
    """One workflow in UI format. Its text is the only truth; `revision` grows with every change, also back."""

    def __init__(self, text: str, *, name: str = "", data: bytes | None = None) -> None:
        """`data`: the bytes of its file, which are what is written as long as nothing has changed."""
        self.text = text
        self.name = name
        self.revision = 0
        self._opened = text
        self._data = data
        self._back: list[Kept] = []
        self._forth: list[str] = []
        self._saved: str | None = text if data is not None else None

    @property
    def can_undo(self) -> bool:
        """Whether there is a step to take back."""
        return bool(self._back)

    @property
    def can_redo(self) -> bool:
        """Whether a step was taken back that can be made again."""
        return bool(self._forth)

    @property
    def is_saved(self) -> bool:
        """Whether the file has this text."""
        return self.text == self._saved

    def value(self) -> dict[str, Any]:
        """The document as values. Raises WorkflowUnreadable."""
        return parsed(self.text)

    def data(self) -> bytes:
        """What to write: for a document that is as it was opened, the very bytes."""
        if self._data is not None and self.text == self._opened:
            return self._data
        return self.text.encode()

    def change(self, ops: Sequence[Mapping[str, Any]], *, base: int, kind: str = "") -> None:
        """Make changes to revision `base`. `kind`: those of one kind in quick succession are undone together.

        Raises Stale, ChangeInvalid.
        """
        self._check(base)
        text = changed(self.text, ops)
        now = time.monotonic()
        last = self._back[-1] if self._back else None
        joins = bool(kind) and last is not None and last.kind == kind and not self._forth
        if joins and last is not None and now - last.at < JOINED_S:
            self._back[-1] = Kept(last.text, kind, now)
        else:
            self._back.append(Kept(self.text, kind, now))
        self._forth.clear()
        self._move(text)
        kept = sum(len(each.text) for each in self._back)
        while len(self._back) > MAX_STEPS or (kept > MAX_KEPT and len(self._back) > 1):
            kept -= len(self._back.pop(0).text)

    def undo(self, *, base: int) -> None:
        """Go one step back, to the very text. Raises Stale."""
        self._check(base)
        if self._back:
            self._forth.append(self.text)
            self._move(self._back.pop().text)

    def redo(self, *, base: int) -> None:
        """Take a step back back. Raises Stale."""
        self._check(base)
        if self._forth:
            self._back.append(Kept(self.text, "", 0.0))
            self._move(self._forth.pop())

    def note_saved(self, name: str, text: str, data: bytes) -> None:
        """The file `name` has `data`, which is what `data()` returned when the text was `text`."""
        self.name = name
        self._data, self._opened, self._saved = data, text, text

    def _check(self, base: int) -> None:
        if base != self.revision:
            raise Stale("The workflow was changed meanwhile, in another tab or view")

    def _move(self, text: str) -> None:
        self.text = text
        self.revision += 1


def decoded(data: bytes) -> str:
    """The text of a file. Raises WorkflowUnreadable."""
    if len(data) > MAX_BYTES:
        raise WorkflowUnreadable(f"The file is larger than {MAX_BYTES:,} bytes")
    try:
        return data.removeprefix(BOM).decode()
    except UnicodeDecodeError:
        raise WorkflowUnreadable("The file is not JSON: it is no UTF-8 text") from None


def parsed(text: str) -> dict[str, Any]:
    """A text as the values of a JSON object. Raises WorkflowUnreadable."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise WorkflowUnreadable("The file is not JSON") from None
    if not isinstance(value, dict):
        raise WorkflowUnreadable("The file holds no workflow: it is not a JSON object")
    return value


def digest(data: bytes) -> str:
    """What tells two contents of a file apart."""
    return hashlib.sha256(data).hexdigest()
