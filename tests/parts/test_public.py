"""The public view: nothing in it tells who sells."""

from __future__ import annotations

import json
import re
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from offers import ladder, offer

from orchestrator.parts.merge import Merger
from orchestrator.parts.public import public
from orchestrator.parts.rates import Rates
from orchestrator.parts.values import Offer, Part, RegionPrice


def part_of(*offers: Offer) -> Part:
    merger = Merger(quantity=10)
    merger.add(offers)
    (part,) = merger.parts()
    return part


def test_the_public_sees_one_price_a_region() -> None:
    part = part_of(
        offer(),
        offer(sku="2", breaks=ladder((1, "0.08"))),
        offer(sku="3", stock=0, breaks=ladder((1, "0.01"))),
        offer(
            source="tme",
            seller="TME",
            sku="t",
            region="Europe",
            breaks=ladder((1, "0.43"), currency="EUR"),
        ),
    )
    seen = public(part, rates=Rates.offline())
    assert seen.prices == (
        RegionPrice(
            region="Americas",
            unit_price=Decimal("0.08"),
            currency="USD",
            quantity=10,
            in_stock=True,
        ),
        RegionPrice(
            region="Europe", unit_price=Decimal("0.5"), currency="USD", quantity=10, in_stock=True
        ),
    )
    assert [price.currency for price in public(part).prices] == ["USD", "EUR"]


def test_a_region_without_stock_says_so() -> None:
    (price,) = public(part_of(offer(stock=0))).prices
    assert not price.in_stock


def test_names_and_numbers_hidden_in_texts_are_cut_out() -> None:
    part = part_of(
        offer(
            description="NPN from Digi-Key Electronics, see https://www.digikey.com/x (2N3904FS-ND) TO-92",
            category="DIGI KEY > Transistors",
            params={"Mouser Part Number": "512-2N3904", "Power": "625mW", "Link": "www.tme.eu/x"},
        )
    )
    seen = public(part)
    assert seen.params == {"Power": "625mW"}
    assert seen.category == "> Transistors"
    assert seen.description == "NPN from Electronics, see ( ) TO-92"


def test_a_short_name_is_found_as_a_word_only() -> None:
    part = part_of(
        offer(source="tme", seller="TME", description="treatment of TME stock, narrow, Arrow")
    )
    assert public(part).description == "treatment of stock, narrow, Arrow"


def test_a_makers_number_that_begins_with_a_sellers_name_is_left_whole() -> None:
    part = part_of(offer(source="tme", seller="TME", mpn="TME 0505S", manufacturer="Traco Power"))
    assert public(part).mpn == "TME 0505S"


def test_a_sku_that_is_the_part_number_stays() -> None:
    part = part_of(offer(source="tme", seller="TME", sku="2N3904BU"))
    assert public(part).mpn == "2N3904BU"


def test_two_halves_of_a_name_do_not_meet_when_a_third_is_cut_out_between_them() -> None:
    part = part_of(offer(description="a DigiDigiKeyKey b Mou\u200bser c"))
    seen = public(part).description.casefold()
    assert "digikey" not in re.sub(r"\W", "", seen)
    assert "mouser" not in seen


def test_a_key_that_tells_is_replaced_by_one_that_is_as_stable() -> None:
    part = part_of(offer(manufacturer="Farnell", seller="Farnell", source="farnell"))
    assert public(part).key == public(part).key
    assert "farnell" not in public(part).model_dump_json().casefold()


NAMES = [
    "DigiKey",
    "Digi-Key Electronics",
    "Mouser Electronics",
    "Farnell",
    "TME",
    "Shop & Sons",
    "ООО Ромашка",
    "Arrow",
]
SKUS = ["2N3904FS-ND", "512-77", "157.437", "SKU+1", "я-12/3", "(a|b)*"]
WORDS = st.sampled_from(
    [*NAMES, *SKUS, "digikey", "oemsecrets", "https://x.example/p?q=512-77", "NPN", "TO-92", ", "]
)
TEXTS = st.lists(WORDS, max_size=6).map(" ".join) | st.lists(WORDS, max_size=4).map("".join)


@given(
    st.lists(
        st.builds(
            offer,
            source=st.sampled_from(["digikey", "mouser", "tme", "farnell", "oemsecrets", "efind"]),
            seller=st.sampled_from(NAMES),
            region=st.sampled_from(["Americas", "Europe", "Digi-Key land"]),
            sku=st.sampled_from(SKUS),
            mpn=st.just("2N3904BU"),
            manufacturer=st.just("onsemi"),
            description=TEXTS,
            category=st.none() | TEXTS,
            package=st.none() | TEXTS,
            packaging=st.none() | TEXTS,
            url=st.just("https://x.example/p?q=512-77"),
            datasheet_url=st.just("https://media.example/d.pdf"),
            params=st.dictionaries(TEXTS.filter(bool), TEXTS, max_size=3),
            warnings=st.lists(TEXTS, max_size=1).map(tuple),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_seller_sku_address_or_source_of_any_offer_is_seen(offers: list[Offer]) -> None:
    part = part_of(*offers)
    seen = json.dumps(public(part).model_dump(mode="json"), ensure_ascii=False).casefold()
    for one in part.offers:
        for secret in (one.seller, one.sku, one.source, one.url or "", one.datasheet_url or ""):
            if len(secret) < 6:
                found = re.search(rf"(?<![^\W_]){re.escape(secret.casefold())}(?![^\W_])", seen)
                assert not found, (secret, seen)
            else:
                assert secret.casefold() not in seen, (secret, seen)
    assert "://" not in seen
