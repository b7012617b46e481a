"""What has been understood of one query so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from orchestrator.parts.ru.tokens import Token
from orchestrator.parts.ru.types import Type
from orchestrator.parts.ru.values import plain

Attr = float | int | str


@dataclass(slots=True)
class Reading:
    """The tokens of a query, and what they turned out to say."""

    tokens: list[Token]
    type: Type | None = None
    mpn: str | None = None
    attrs: dict[str, Attr] = field(default_factory=dict)
    others: list[tuple[str, str]] = field(default_factory=list)
    voltages: list[Decimal] = field(default_factory=list)
    primary: str | None = None  # the value that names the part, first in `en`
    by_number: bool = False  # the type is known from the part number alone
    sure: float = 1.0

    @property
    def code(self) -> str | None:
        """What a bare code would be on this part: R, C, L or F (hertz)."""
        return self.type.code if self.type else None

    def doubt(self, factor: float) -> None:
        self.sure *= factor

    def also(self, reads: str, why: str) -> None:
        if (reads, why) not in self.others:
            self.others.append((reads, why))

    def take_mpn(
        self, token: Token, mpn: str, others: tuple[str, ...] = (), sure: float = 1.0
    ) -> None:
        self.mpn = mpn
        token.used, token.out = True, None
        self.doubt(sure)
        for other in others:
            self.also(other, "the letters can be read both ways")

    def put(self, attr: str, amount: Decimal | str) -> bool:
        """Keep the first of each attribute; whether it was taken. Another voltage is kept beside it."""
        if attr == "voltage" and isinstance(amount, Decimal):
            self.voltages.append(amount)
        if attr in self.attrs:
            return False
        self.attrs[attr] = amount if isinstance(amount, str) else plain(amount)
        return True

    def free(self) -> list[Token]:
        return [token for token in self.tokens if not token.used]
