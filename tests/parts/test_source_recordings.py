"""What the real distributors answered; the numbers were read from the recordings by eye."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.parts.sources import digikey_wire, farnell_wire, mouser
from orchestrator.parts.values import Lifecycle, Offer

FOLDER = Path(__file__).parents[3] / "shared" / "recordings" / "parts"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the recordings are not here")


def recorded(name: str) -> Any:
    return json.loads((FOLDER / name).read_text("utf-8"))


def by_sku(offers: list[Offer]) -> dict[str, Offer]:
    found = {offer.sku: offer for offer in offers}
    assert len(found) == len(offers)
    return found


def ladder(offer: Offer) -> list[tuple[int, str]]:
    return [(step.quantity, str(step.unit_price)) for step in offer.breaks]


def test_digikey_2n3904() -> None:
    offers = by_sku(digikey_wire.parse(recorded("digikey-2N3904.json")))
    assert len(offers) == 20
    cut = offers["4878-2N3904CT-ND"]
    assert (cut.mpn, cut.manufacturer, cut.stock, cut.moq) == (
        "2N3904",
        "Diotec Semiconductor",
        5589,
        1,
    )
    assert (cut.packaging, cut.package, cut.lead_days) == ("Cut Tape (CT)", "TO-92", 35)
    assert ladder(cut) == [
        (1, "0.14"),
        (10, "0.083"),
        (100, "0.0512"),
        (500, "0.03702"),
        (1000, "0.0324"),
        (2000, "0.02849"),
    ]
    assert {step.currency for step in cut.breaks} == {"USD"}
    box = offers["4878-2N3904TB-ND"]
    assert (box.moq, box.stock, len(box.breaks)) == (4000, 4000, 9)
    assert ladder(box)[-1] == (400000, "0.01317")
    reel = offers["2N3904D26ZTR-ND"]
    assert (reel.mpn, reel.moq, reel.stock) == ("2N3904TFR", 2000, 12000)
    obsolete = offers["497-2395-ND"]
    assert (obsolete.lifecycle, obsolete.stock, obsolete.rohs) == (Lifecycle.OBSOLETE, 0, True)
    assert offers["2156-2N3904RM-ND"].seller == "Rochester Electronics, LLC (DigiKey Marketplace)"
    assert offers["2156-2N3904RM-ND"].rohs is False
    sheet = offers["4491-2N3904-ND"].datasheet_url
    assert sheet is not None
    assert sheet.startswith("https://mm.digikey.com/")
    assert cut.category == (
        "Discrete Semiconductor Products / Transistors / Bipolar (BJT) / Single Bipolar Transistors"
    )


def test_mouser_2n3904() -> None:
    offers = by_sku(mouser.parse(recorded("mouser-2N3904.json")))
    assert len(offers) == 5
    diotec = offers["637-2N3904"]
    assert (diotec.stock, diotec.lead_days, diotec.packaging) == (36728, 24, "Ammo Pack")
    assert ladder(diotec) == [
        (1, "0.13"),
        (10, "0.083"),
        (100, "0.052"),
        (500, "0.037"),
        (1000, "0.029"),
        (4000, "0.025"),
        (8000, "0.019"),
        (24000, "0.018"),
    ]
    rectron = offers["583-2N3904"]
    assert (rectron.manufacturer, rectron.stock, ladder(rectron)[3]) == (
        "Rectron",
        12239,
        (500, "0.069"),
    )
    gone = offers["863-2N3904"]
    assert (gone.lifecycle, gone.stock, gone.breaks, gone.lead_days) == (
        Lifecycle.OBSOLETE,
        0,
        (),
        None,
    )
    assert offers["512-2N3904TFR"].packaging == "Reel / Cut Tape"


def test_farnell_2n3904() -> None:
    offers = by_sku(farnell_wire.parse(recorded("farnell-2N3904.json"), store="uk.farnell.com"))
    assert len(offers) == 5
    multicomp = offers["1574370"]
    assert (multicomp.stock, multicomp.moq, multicomp.lead_days) == (191112, 5, 127)
    assert ladder(multicomp) == [
        (5, "0.12"),
        (10, "0.0961"),
        (100, "0.0687"),
        (500, "0.0481"),
        (1000, "0.0343"),
        (5000, "0.03"),
    ]
    assert multicomp.package == "TO-92"
    bulk = offers["4574466"]
    assert (bulk.moq, ladder(bulk)) == (4000, [(4000, "0.0207"), (12000, "0.0158")])
    assert offers["1208607"].lifecycle is Lifecycle.OBSOLETE
    assert offers["1700648"].mpn == "2N3904BU"


def test_every_element14_recording_parses() -> None:
    answers = {
        name: told
        for name, told in recorded("kicost-recordings.json").items()
        if name.startswith("element14/")
    }
    for name, told in answers.items():
        offers = farnell_wire.parse(told, store=name.rsplit("_", 1)[1])
        products = next(iter(told.values())).get("products", [])
        assert len(offers) == len(products), name
        assert all(offer.breaks[0].quantity >= offer.moq for offer in offers if offer.breaks), name
    newark = farnell_wire.parse(
        answers["element14/mpn_CRCW06033K30FKEA_www.newark.com"], store="www.newark.com"
    )
    first = by_sku(newark)["52K8376"]
    assert ladder(first) == [(1, "0.138"), (25, "0.05"), (50, "0.035"), (100, "0.02")]
    assert ({step.currency for step in first.breaks}, first.package) == ({"USD"}, "0603")
    full = by_sku(newark)["52K8377"]
    assert (full.moq, ladder(full), full.packaging) == (5000, [(5000, "0.006")], "Full Reel")
