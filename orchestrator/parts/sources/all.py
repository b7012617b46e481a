"""Every source there is, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from orchestrator.parts.keys import Keys
from orchestrator.parts.sources.base import Limit, Meter, Source
from orchestrator.parts.sources.digikey import DigiKey
from orchestrator.parts.sources.efind import Efind
from orchestrator.parts.sources.farnell import Farnell
from orchestrator.parts.sources.mouser import Mouser
from orchestrator.parts.sources.oemsecrets import OemSecrets
from orchestrator.parts.sources.oemstrade import OemsTrade
from orchestrator.parts.sources.sample import Sample
from orchestrator.parts.sources.tme import Tme
from orchestrator.parts.sources.trustedparts import TrustedParts

LIVE = (DigiKey, Mouser, Farnell, Tme, TrustedParts, OemSecrets, OemsTrade, Efind)
BESIDE_REAL = (
    "Rests while a real source can be asked: made-up prices beside real ones would mislead."
)

MeterFor = Callable[[str, Sequence[Limit]], Meter]


def sources(keys: Keys, meter_for: MeterFor) -> list[Source]:
    """All sources, the sample first, each with a meter of its own.

    Those whose `missing` says something are to be shown with it and never called: they have no key, or, as the sample
    does beside any source that has one, they rest.
    """
    live: list[Source] = [make(keys, meter_for(make.name, make.limits)) for make in LIVE]
    real = any(source.missing is None for source in live)
    return [Sample(missing=BESIDE_REAL if real else None), *live]
