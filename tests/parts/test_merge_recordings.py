"""What four distributors really answered for 2N3904, merged: no false pair, and hardly a true one missed."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from orchestrator.parts.merge import Merger
from orchestrator.parts.ru import attributes
from orchestrator.parts.sources import digikey_wire, farnell_wire, mouser, tme_v1
from orchestrator.parts.values import Offer

FOLDER = Path(__file__).parents[3] / "shared" / "recordings" / "parts"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recordings are not here")
AT = datetime(2026, 9, 20, tzinfo=UTC)

# By eye: who makes what a source calls so. Fairchild's parts are onsemi's since 2016.
MAKERS = {
    "onsemi": "onsemi",
    "ONSEMI": "onsemi",
    "onsemi / Fairchild": "onsemi",
    "Fairchild Semiconductor": "onsemi",
    "Diotec Semiconductor": "Diotec",
    "DIOTEC SEMICONDUCTOR": "Diotec",
    "DIOTEC": "Diotec",
    "Central Semiconductor Corp": "Central",
    "Central Semiconductor": "Central",
    "STMicroelectronics": "ST",
    "Rectron": "Rectron",
    "MULTICOMP PRO": "Multicomp",
    "MAGNATEC": "Magnatec",
    "LUGUANG ELECTRONIC": "LGE",
    "Lumimax Optoelectronic Technology": "Lumimax",
    "Shenzhen Slkormicro Semicon Co., Ltd.": "Slkor",
}


def recorded(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def offers() -> list[Offer]:
    products = recorded("tme-2N3904.json")["Data"]["ProductList"]
    return [
        *digikey_wire.parse(recorded("digikey-2N3904.json"), at=AT),
        *mouser.parse(recorded("mouser-2N3904.json"), at=AT),
        *farnell_wire.parse(recorded("farnell-2N3904.json"), store="uk.farnell.com", at=AT),
        *tme_v1.parse(products, {}, [], fetched_at=AT),
    ]


def pairs(groups: dict[Any, list[str]]) -> set[frozenset[str]]:
    return {frozenset(pair) for group in groups.values() for pair in combinations(sorted(group), 2)}


def test_four_sources_merge_without_a_false_pair_and_miss_hardly_a_true_one() -> None:
    told = offers()
    assert {offer.source for offer in told} == {"digikey", "mouser", "farnell", "tme"}
    merger = Merger(mpn="2N3904", attributes=attributes)
    merger.add(told)
    truth: dict[Any, list[str]] = {}
    for offer in told:
        maker = MAKERS[offer.manufacturer or ""]
        truth.setdefault((maker, offer.mpn.replace(" ", "")), []).append(
            f"{offer.source} {offer.sku}"
        )
    ours = {
        part.key: [f"{offer.source} {offer.sku}" for offer in part.offers]
        for part in merger.parts()
    }
    true, made = pairs(truth), pairs(ours)
    assert len(true) >= 30
    assert made - true == set()
    assert len(made & true) >= 0.95 * len(true)


def test_the_recorded_answers_merge_the_same_in_any_order() -> None:
    told, dice = offers(), random.Random(7)
    whole = None
    for _ in range(10):
        dice.shuffle(told)
        merger = Merger(mpn="2N3904", quantity=10, attributes=attributes)
        for start in range(0, len(told), 7):
            merger.add(told[start : start + 7])
        whole = whole or merger.parts()
        assert merger.parts() == whole
