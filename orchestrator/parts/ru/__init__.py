"""From a query in Russian (or English) to what it says, and from a source's parameters to the same terms."""

from __future__ import annotations

from orchestrator.parts.ru.attributes import attributes
from orchestrator.parts.ru.normalise import normalise

__all__ = ["attributes", "normalise"]
