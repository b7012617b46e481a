"""The backends as a page offers them: those that are free, the user's own workflows, those that cost money. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator import backends
from orchestrator.backends import SAVED, Backend
from orchestrator.jobs import one_line
from orchestrator.spending import estimate
from orchestrator.widgets.fields import fields_of
from orchestrator.widgets.money import dollars

FREE, OWN, PAID = "Free, on this machine", "Your workflows", "Paid, FLUX of BFL"
GROUPS = (FREE, OWN, PAID)
NO_KEY = "There is no BFL_API_KEY: put yours into .env.local and restart the lab. Until then its jobs are held."
SHOWN = 60  # characters of a title: a workflow's is its file's name


def group(backend: Backend) -> str:
    """Which of the groups a backend is in."""
    if backend.paid:
        return PAID
    return OWN if backend.model == SAVED else FREE


def choices(known: Iterable[Backend], *, has_key: bool) -> list[dict[str, Any]]:
    """The backends as the form offers them, in their groups; it opens with the first, which costs nothing."""
    found = [choice(backend, has_key=has_key) for backend in known]
    return sorted(found, key=lambda each: GROUPS.index(each["group"]))


def choice(backend: Backend, *, has_key: bool) -> dict[str, Any]:
    """A backend as the form offers it: in words, with the fields it takes and their defaults."""
    price = estimate(backend, backends.parse(backend, {})) if backend.paid else None
    return {
        "name": backend.name,
        "title": one_line(backend.title)[:SHOWN],
        "group": group(backend),
        "size": _size(backend.defaults),
        "price": backend.price,
        "each": dollars(price.usd) if price else "",
        "paid": backend.paid,
        "note": NO_KEY if backend.service == "bfl" and not has_key else "",
        "max_seed": str(backend.max_seed),  # as text: a JavaScript number may not hold it
        "fields": fields_of(backend),
    }


def title(name: str, known: Mapping[str, Backend] = backends.BACKENDS) -> str:
    """A backend's name for people."""
    backend = known.get(name)
    return backend.title if backend else one_line(name)[:SHOWN]


def _size(defaults: Mapping[str, Any]) -> str:
    """The size of a picture; a saved workflow may keep its own to itself."""
    sides = [defaults.get(side) for side in ("width", "height")]
    return "×".join(map(str, sides)) if all(sides) else ""
