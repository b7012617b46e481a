"""Merging: nothing merges that is not the same, and the order of arrival never shows."""

from __future__ import annotations

import csv
import random
from datetime import date, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from offers import NOW, ladder, offer

from orchestrator.parts.merge import Merger, part_key, seller_key
from orchestrator.parts.mpn import MAKERS, manufacturer_key, manufacturer_name, mpn_key
from orchestrator.parts.values import Lifecycle, Offer, Part


def merged(*offers: Offer, **how: Any) -> list[Part]:
    merger = Merger(**how)
    merger.add(offers)
    return merger.parts()


# part numbers and makers


def test_part_numbers_are_the_same_whatever_their_letters_and_separators() -> None:
    same = [
        ("STM32F103С8Т6", "stm32f103c8t6"),
        ("2N3904 PBFREE", "2N3904-PBFREE"),
        ("ＢＣ547", "BC547"),
    ]
    for one, other in same:
        assert mpn_key(one) == mpn_key(other)


def test_part_numbers_that_mean_other_things_are_not_the_same() -> None:
    different = [
        ("LM317T", "LM317TR"),
        ("MAX232CPE", "MAX232CPE+"),
        ("LT1763CS8#TR", "LT1763CS8TR"),
        ("RC0603FR-071.5K", "RC0603FR-0715K"),
        ("1.5KE15A", "15KE15A"),
        ("КТ315Б", "КТ315В"),
        ("LM358P", "LM358P/NOPB"),
    ]
    for one, other in different:
        assert mpn_key(one) != mpn_key(other), one


def test_makers_are_the_same_by_the_table() -> None:
    for name in (
        "onsemi / Fairchild",
        "ON Semiconductor",
        "ONSEMI",
        "Fairchild Semiconductor Corp.",
    ):
        assert manufacturer_key(name) == "onsemi"
    assert manufacturer_key("DIOTEC SEMICONDUCTOR") == manufacturer_key("DIOTEC")
    assert manufacturer_key("Central Semiconductor Corp") == manufacturer_key("CENTRAL SEMI")
    assert manufacturer_key("Wurth Elektronik") == manufacturer_key(
        "Würth Elektronik eiSos GmbH & Co. KG"
    )
    assert manufacturer_name("TEXAS INSTRUMENTS INC") == "Texas Instruments"


def test_makers_that_only_sound_alike_stay_apart() -> None:
    assert manufacturer_key("KEMET") != manufacturer_key("YAGEO")
    assert manufacturer_key("Nexperia") != manufacturer_key("NXP")
    assert manufacturer_key("Acme Semiconductor") != manufacturer_key("Acme Electronics")


def test_an_acquisition_counts_from_its_day() -> None:
    assert manufacturer_key("Fairchild", on=date(2016, 9, 18)) == "fairchild"
    assert manufacturer_key("Fairchild", on=date(2016, 9, 19)) == "onsemi"


def test_nobody_is_no_maker() -> None:
    for name in (None, "", " ", "-", "N/A", "Unknown", "No Name"):
        assert manufacturer_key(name) is None


def test_the_table_of_makers_is_one_direction_and_dated() -> None:
    with MAKERS.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 60
    kept = {row["maker"] for row in rows}
    for row in rows:
        assert bool(row["since"]) == (row["kind"] == "acquired"), row
        assert row["kind"] != "acquired" or row["alias"] not in {
            name.casefold() for name in kept
        }, row
        assert manufacturer_name(row["alias"]) == row["maker"], row


# merging


def test_two_sources_of_one_part_are_one_part() -> None:
    parts = merged(
        offer(source="digikey", manufacturer="onsemi"),
        offer(source="mouser", seller="Mouser", sku="512-1", manufacturer="onsemi / Fairchild"),
        offer(source="tme", seller="TME", sku="2N3904BU", manufacturer="ONSEMI", region="Europe"),
    )
    assert [(part.key, len(part.offers)) for part in parts] == [("onsemi:2N3904BU", 3)]
    assert parts[0].confirmed


def test_the_same_number_of_two_makers_is_two_parts() -> None:
    assert len(merged(offer(manufacturer="Diotec"), offer(manufacturer="Rectron", sku="2"))) == 2


def test_an_unknown_maker_never_merges_with_a_known_one() -> None:
    parts = merged(offer(), offer(source="efind", seller="Shop", sku="x", manufacturer=None))
    assert [part.confirmed for part in parts].count(False) == 1
    assert len(parts) == 2


def test_several_packagings_stay_several_offers() -> None:
    tape, reel = offer(sku="CT", packaging="Cut Tape"), offer(sku="TR", packaging="Tape & Reel")
    assert len(merged(tape, reel)[0].offers) == 2


def test_an_aggregators_copy_goes_when_the_seller_itself_answered() -> None:
    copy = offer(source="oemsecrets", seller="Digi-Key Electronics", sku="2N3904FS-ND")
    other = offer(source="oemsecrets", seller="Arrow", sku="A1")
    again = offer(source="oemstrade", seller="Arrow Electronics", sku="A1")
    assert len(merged(copy)[0].offers) == 1
    kept = merged(offer(), copy, other, again)[0].offers
    assert {(o.source, o.seller) for o in kept} == {("digikey", "DigiKey"), ("oemsecrets", "Arrow")}


def test_sellers_are_known_however_they_are_written() -> None:
    assert seller_key("Digi-Key Electronics") == seller_key("DIGIKEY")
    assert seller_key("Transfer Multisort Elektronik") == seller_key("TME")
    assert seller_key("Newark") != seller_key("Farnell")


def test_conflicts_are_kept_and_the_worst_lifecycle_shown() -> None:
    (part,) = merged(
        offer(lifecycle=Lifecycle.ACTIVE, package="TO-92", params={"Power": "625mW"}),
        offer(
            source="tme",
            seller="TME",
            sku="t",
            lifecycle=Lifecycle.OBSOLETE,
            package="to 92",
            params={"Power": "0.5W"},
            rohs=False,
        ),
        offer(source="mouser", seller="Mouser", sku="m", rohs=True),
    )
    assert part.lifecycle is Lifecycle.OBSOLETE
    assert part.rohs is False
    assert part.params == {"Power": "625mW"}
    told = {conflict.name: dict(conflict.told) for conflict in part.conflicts}
    assert told == {
        "Power": {"digikey": "625mW", "tme": "0.5W"},
        "lifecycle": {"digikey": "active", "tme": "obsolete"},
        "rohs": {"tme": "no", "mouser": "yes"},
    }


def test_the_makers_own_datasheet_comes_first_and_only_web_addresses_count() -> None:
    (part,) = merged(
        offer(datasheet_url="https://shop.example/d.pdf", image_url="javascript:alert(1)"),
        offer(source="tme", seller="TME", sku="t", datasheet_url="https://www.onsemi.com/d.pdf"),
    )
    assert part.datasheet_url == "https://www.onsemi.com/d.pdf"
    assert part.image_url is None


def test_the_best_offer_is_the_best_at_the_asked_quantity() -> None:
    few = offer(sku="few", breaks=ladder((1, "0.10")))
    many = offer(sku="many", breaks=ladder((1, "0.30"), (1000, "0.01")))
    (part,) = merged(few, many, quantity=2)
    assert part.best is not None
    assert part.best.offer.sku == "few"


def test_a_part_that_is_nowhere_in_stock_shows_its_price_and_says_so() -> None:
    (part,) = merged(offer(stock=0))
    assert part.best is not None
    assert not part.best.in_stock


def test_ranking_puts_the_asked_number_first_then_stock_then_price() -> None:
    parts = merged(
        offer(mpn="A", sku="a", breaks=ladder((1, "0.50"))),
        offer(mpn="B", sku="b", breaks=ladder((1, "0.20"))),
        offer(mpn="C", sku="c", stock=0, breaks=ladder((1, "0.01"))),
        offer(mpn="D", sku="d", stock=0, breaks=ladder((1, "9"))),
        offer(mpn="E", sku="e", breaks=()),
        mpn="d",
    )
    assert [part.mpn for part in parts] == ["D", "B", "A", "C", "E"]


def test_a_live_answer_replaces_the_cached_one_whichever_comes_first() -> None:
    cached = offer(fetched_at=NOW - timedelta(hours=3), stale=True, stock=1)
    for order in ([cached, offer()], [offer(), cached]):
        assert merged(*order)[0].offers == (offer(),)


def test_only_parts_that_changed_are_told() -> None:
    merger = Merger()
    assert len(merger.add([offer(), offer(mpn="OTHER", sku="o")])) == 2
    assert merger.add([offer()]) == []
    assert [part.mpn for part in merger.add([offer(mpn="OTHER", sku="p")])] == ["OTHER"]


OFFERS = st.builds(
    offer,
    source=st.sampled_from(["digikey", "mouser", "tme", "oemsecrets", "trustedparts", "efind"]),
    seller=st.sampled_from(["DigiKey", "Digi-Key", "Mouser", "TME", "Arrow", "Shop"]),
    sku=st.sampled_from(["1", "2", "3"]),
    mpn=st.sampled_from(["2N3904", "2n-3904", "2N3904BU", "2N3904ВU"]),
    manufacturer=st.sampled_from(
        ["onsemi", "Fairchild", "Diotec", "DIOTEC SEMICONDUCTOR", None, "-"]
    ),
    description=st.sampled_from(["", "NPN", "transistor"]),
    package=st.sampled_from([None, "TO-92", "TO 92", "SOT-23"]),
    lifecycle=st.sampled_from(list(Lifecycle)),
    rohs=st.sampled_from([None, True, False]),
    stock=st.sampled_from([None, 0, 5, 500]),
    lead_days=st.sampled_from([None, 3]),
    breaks=st.sampled_from(
        [(), ladder((1, "0.1")), ladder((1, "0.2"), (10, "0.05")), ladder((1, "9"), currency="RUB")]
    ),
    params=st.sampled_from([{}, {"Power": "1W"}, {"Power": "2W", "x": "-"}]),
    fetched_at=st.sampled_from([NOW, NOW - timedelta(hours=1)]),
)


@given(st.lists(OFFERS, max_size=14), st.randoms(use_true_random=False), st.integers(1, 20))
def test_any_order_of_any_portions_gives_the_same_parts(
    offers: list[Offer], dice: random.Random, quantity: int
) -> None:
    whole = merged(*offers, quantity=quantity, mpn="2N3904")
    merger = Merger(quantity=quantity, mpn="2N3904")
    folded: dict[str, Part] = {}
    rest = list(offers)
    dice.shuffle(rest)
    while rest:
        portion = dice.randint(1, 4)
        for part in merger.add(rest[:portion]):
            folded[part.key] = part
        rest = rest[portion:]
    assert merger.parts() == whole
    assert sorted(folded.values(), key=merger.order) == whole
    assert [part.model_dump_json() for part in merger.parts()] == [
        p.model_dump_json() for p in whole
    ]


@given(st.lists(OFFERS, max_size=14))
def test_offers_of_one_part_have_one_maker_and_one_number(offers: list[Offer]) -> None:
    for part in merged(*offers):
        assert {part_key(one) for one in part.offers} == {part.key}
        assert len({manufacturer_key(one.manufacturer) for one in part.offers}) == 1
