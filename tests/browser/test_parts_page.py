"""The page of components in a real browser: the sample first, then two fake distributors, then the public site."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from browser import nothing_thrown, require_chromium
from served_lab import TOKEN, ServedLab, free_port, until

require_chromium()

sys.path.append(str(Path(__file__).resolve().parent.parent / "parts"))
from fakes import faults, payloads, vendors
from fakes.server import FakeServer
from playwright.sync_api import BrowserContext, Locator, Page, expect

from orchestrator.widgets.parts import SCRIPTS
from orchestrator.widgets.view import static

ROOT = Path(__file__).resolve().parents[2]
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 390, "height": 844}
# the command, without the check of international addresses that jsonschema builds for seconds if it can
VOILA = """
import sys
sys.modules["rfc3987_syntax"] = None
from voila.app import main
main()
"""
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
BOM = "Designator;Qty;Manufacturer;MPN\nR1,R2;2;Yageo;RC0603FR-0710KL\nU9;1;;ZZ-NOT-A-PART\n"


@pytest.fixture(scope="module")
def open_page(served: ServedLab, tab: Page) -> Page:
    tab.set_viewport_size(DESKTOP)
    tab.goto(f"{served.url}/parts?token={TOKEN}")
    expect(tab.get_by_label("Search for", exact=True).first).to_be_visible()
    return tab


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    """The page, with nothing thrown while a test used it."""
    with nothing_thrown(open_page):
        yield open_page


def ask(page: Page, text: str, quantity: int | str = "") -> None:
    page.locator("input[name=query]").fill(text)
    page.locator("input[name=quantity]").fill(str(quantity))
    page.locator("input[name=query]").press("Enter")


def done(page: Page) -> None:
    expect(page.locator(".parts-clock")).to_contain_text("done in")


def lines(page: Page) -> Locator:
    return page.locator(".parts-table tbody tr")


def numbers(page: Page) -> list[str]:
    return page.locator(".parts-table .parts-name").all_inner_texts()


# ------------------------------------------------------------------------------ without any key


def test_without_a_key_the_page_says_which_are_missing_where_to_get_them_and_offers_examples(
    page: Page,
) -> None:
    expect(page.locator("nav [aria-current=page]")).to_have_text("Parts")
    expect(page.locator(".parts-is-sample")).to_contain_text("Sample data")
    lacking = page.locator(".parts-lacking")
    expect(lacking).to_contain_text("DigiKey")
    link = lacking.get_by_role("link", name="mouser.com/api-search")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    page.locator(".parts-examples").get_by_role("button", name="резистор 4к7 0603 1%").click()
    done(page)
    expect(page.locator(".parts-meant")).to_contain_text("4.7 kΩ")
    expect(lines(page).filter(has_text="RC0603FR-074K7L")).to_be_visible()


# before the page is drawn anew
CLEARED_AND_TYPED = """(field, text) => {
  [...document.querySelectorAll("button")].find((each) => each.textContent === "Clear filters").click();
  field.focus();
  field.value = text;
  field.dispatchEvent(new Event("change"));
}"""


def test_a_query_in_english_can_be_narrowed_sorted_and_narrowed_no_more(page: Page) -> None:
    ask(page, "capacitor 100n", 250)
    done(page)
    expect(page.locator("th.parts-price")).to_contain_text("Price at 250")
    every = numbers(page)
    assert len(every) >= 4
    page.locator(".parts-facet").get_by_text("0603", exact=True).click()
    expect(page.locator(".parts-count")).to_have_text(re.compile(r"^\d+ of \d+ parts$"))
    assert len(numbers(page)) < len(every)
    page.get_by_label("Voltage, at least").evaluate(CLEARED_AND_TYPED, "0,4kV")
    expect(lines(page)).to_have_count(1)
    page.get_by_role("button", name="Clear filters").click()
    page.locator("th.parts-price button").click()
    expect(page.locator("th.parts-price")).to_have_attribute("aria-sort", "ascending")
    units = [
        float(text.split()[0].replace(",", ""))
        for text in page.locator(".parts-unit").all_inner_texts()
    ]
    assert units == sorted(units)
    assert set(numbers(page)) == set(every)


def test_a_row_opens_all_its_offers_and_a_curve_and_escape_closes_them(page: Page) -> None:
    lines(page).first.locator(".parts-about").click()
    sheet = page.locator("dialog[open]")
    expect(sheet.locator(".parts-offer").first).to_contain_text("best at this quantity")
    assert sheet.locator(".parts-line").count() >= 1
    expect(sheet.locator(".parts-ladder tr.parts-used").first).to_be_visible()
    expect(sheet).to_contain_text("Price history")
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)


def test_up_to_four_parts_stand_side_by_side(page: Page) -> None:
    boxes = page.locator(".parts-table tbody .parts-pick input")
    for place in range(4):
        boxes.nth(place).check()
    expect(boxes.nth(4)).to_be_disabled()
    page.get_by_role("button", name="Compare 4").click()
    sheet = page.locator("dialog[open]")
    assert sheet.locator("thead th").count() == 4
    assert sheet.locator(".parts-differs").count() > 2
    page.keyboard.press("Escape")


def test_what_is_shown_is_saved_in_the_order_in_which_it_is_shown(
    page: Page, tmp_path: Path
) -> None:
    for name, begins in (("CSV", b"\xef\xbb\xbfmpn"), ("Excel", b"PK")):
        with page.expect_download() as waiting:
            page.get_by_role("button", name=name, exact=True).click()
        file = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(file)
        assert file.read_bytes().startswith(begins)
    saved = (tmp_path / "parts.csv").read_text("utf-8-sig").splitlines()
    assert [line.split(",")[0] for line in saved[1:]] == numbers(page)


def test_a_dropped_bill_of_materials_is_quoted_and_says_what_it_did_not_find(page: Page) -> None:
    page.get_by_role("button", name="Quote a bill of materials").click()
    page.get_by_label("Boards").fill("10")
    transfer = page.evaluate_handle(
        "text => { const t = new DataTransfer(); t.items.add(new File([text], 'bom.csv')); return t; }",
        BOM,
    )
    page.locator(".parts-drop").dispatch_event("drop", {"dataTransfer": transfer})
    expect(page.locator(".parts-total")).to_contain_text("1 of 2 lines found")
    row = page.locator(".parts-unmatched")
    expect(row).to_contain_text("ZZ-NOT-A-PART")
    expect(row).to_contain_text("No source knows")
    with page.expect_download() as waiting:
        page.locator(".parts-quote").get_by_role("button", name="Excel").click()
    assert waiting.value.suggested_filename == "quote.xlsx"
    page.get_by_role("button", name="RC0603FR-0710KL").click()  # leads to the search for it
    # not the clock: it may still tell of the search before
    expect(
        page.locator(".parts-table .parts-name").filter(has_text="RC0603FR-0710KL")
    ).to_be_visible()
    done(page)


@pytest.mark.parametrize("view", ["Quote a bill of materials", "Search"])
def test_a_phone_needs_no_sideways_scrolling(page: Page, view: str) -> None:
    page.set_viewport_size(PHONE)
    page.get_by_role("button", name=view, exact=True).first.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    if view == "Search":
        page.locator(".parts-name").first.click()
        expect(page.locator("dialog[open] .parts-offer").first).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        page.keyboard.press("Escape")
    page.set_viewport_size(DESKTOP)


# ------------------------------------------------------------------------------ with two distributors


@pytest.fixture(scope="module")
def far() -> Iterator[FakeServer]:
    with FakeServer() as server:
        part = payloads.mouser_part(
            "AC-4K7-0603",
            Description=HOSTILE,
            Manufacturer=f"Acme {HOSTILE}",
            DataSheetUrl="javascript:window.hacked=1",
        )
        vendors.mouser(server, [part])
        vendors.farnell(server)
        yield server


def test_results_stand_there_while_a_slow_source_is_out_and_hostile_names_are_text(
    page: Page, served: ServedLab, far: FakeServer
) -> None:
    (served.lab.paths.file.parent / ".env.local").write_text(
        f"MOUSER_API_KEY={vendors.MOUSER_KEY}\nMOUSER_BASE_URL={far.url}/mouser\n"
        f"FARNELL_API_KEY={vendors.FARNELL_KEY}\nFARNELL_BASE_URL={far.url}/farnell\n"
    )
    far.always("/farnell", faults.hang())
    page.goto(f"{served.url}/parts")
    expect(page.locator(".parts-lacking summary")).to_contain_text("6 sources")
    expect(page.locator(".parts-is-sample")).to_be_hidden()
    ask(page, "AC-4K7-0603", 10)
    expect(lines(page)).to_have_count(1)
    slow = page.locator(".parts-source").filter(has_text="Farnell")
    expect(slow).to_have_attribute("data-state", "asked")
    expect(page.locator(".parts-source").filter(has_text="Mouser")).to_contain_text("of 1000 left")
    expect(lines(page).locator(".parts-about")).to_have_text(HOSTILE)
    page.locator(".parts-name").click()
    expect(page.locator("dialog[open] .parts-offer")).to_contain_text("MOQ 5")
    expect(
        page.locator("dialog[open]").get_by_role("link", name="Open at the seller")
    ).to_be_visible()
    assert page.locator('a[href^="javascript"]').count() == 0
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator(".parts-clock")).to_have_text("stopped")
    until(far.gone.is_set, 10)
    assert page.evaluate("window.hacked") is None
    assert page.locator('img[src="x"]').count() == 0


def test_a_source_that_refuses_says_why_and_what_to_do(page: Page, far: FakeServer) -> None:
    far.always("/farnell", faults.farnell_bad_key())
    ask(page, "AC-9K9-0603")
    failure = page.locator(".parts-failures .lab-failure:visible")
    expect(failure).to_contain_text("Farnell")
    expect(failure).to_contain_text(".env.local")
    assert vendors.FARNELL_KEY not in page.content()
    far.always("/farnell", None)


# ------------------------------------------------------------------------------ thousands of rows


RENDER = """
async (script) => {
  const heard = {};
  const traits = { setup: { public: false, sample: false, currency: "USD", currencies: ["USD"], lacking: [] } };
  const model = {
    get: (name) => traits[name],
    on: (event, act) => (heard[event] = [...(heard[event] || []), act]),
    off() {},
    send() {},
  };
  const el = document.body.appendChild(document.createElement("div"));
  const view = await import(URL.createObjectURL(new Blob([script], { type: "text/javascript" })));
  view.default.render({ model, el });
  const news = (items) => heard["msg:custom"].forEach((act) => act({ kind: "news", number: 1, items }));
  const frame = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  const understood = { raw: "x", en: "x", chips: [], unknown: [], others: [] };
  news([{ t: "start", understood, sources: [], quantity: 1, currency: "USD" }]);
  const row = (n) => ({
    key: `k${n}`, rank: n, mpn: `PART-${n}`, manufacturer: `Maker ${n % 40}`, description: "a part", category: "",
    confirmed: true, package: `0${n % 9}03`, lifecycle: "active", sources: 1, offers: 1, conflicts: 0, lead: null,
    params: { resistance: `${(n % 97) + 1} kΩ`, tolerance: `±${(n % 5) + 1}%`, power: "100 mW" },
    stock: { Europe: n * 7 % 1000 }, pieces: n * 7 % 1000,
    price: {
      unit: String(((n * 31) % 1000) / 100 + 0.01), buy: 1, total: "1", in_stock: true, currency: "USD",
      region: "Europe", next: null,
    },
  });
  const took = [];
  const timed = async (act) => {
    const began = performance.now();
    act();
    await frame();
    took.push(performance.now() - began);
  };
  for (let start = 0; start < 2000; start += 100) {
    const items = Array.from({ length: 100 }, (_, n) => ({ t: "row", row: row(start + n) }));
    await timed(() => news(items));
  }
  await timed(() => el.querySelector("th.parts-price button").click());
  await timed(() => el.querySelector(".parts-facet input").click());
  took.sort((a, b) => a - b);
  return {
    rows: el.querySelectorAll("tbody tr").length,
    counted: el.querySelector(".parts-count").textContent,
    median: took[took.length >> 1],
    longest: took.at(-1),
  };
}
"""


def test_two_thousand_rows_are_drawn_sorted_and_narrowed_without_a_stop(
    browser: BrowserContext,
) -> None:
    page = browser.new_page()
    script = "".join(static(part) for part in ("shared.js", *SCRIPTS))
    told: Any = page.evaluate(RENDER, script)
    page.close()
    assert told["rows"] == 50
    assert told["counted"] == "50 of 2,000 parts"
    assert told["median"] < 250  # 20 ms on a quiet machine
    assert told["longest"] < 1500


# ------------------------------------------------------------------------------ the public site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The public notebook under plain Voilà, on a machine without keys."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "paths.json").write_text("{}")
    port = free_port()
    known = {name: value for name, value in os.environ.items() if name != "ADMIN_URL"}
    environment = {**known, "ORCHESTRATOR_PATHS": str(folder / "paths.json")}
    command = ["-c", VOILA, str(ROOT / "dashboards" / "site.ipynb"), "--no-browser"]
    with (folder / "said.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "--port", str(port), "--Voila.ip=127.0.0.1"],
            env={**environment, "PYTHONPATH": str(ROOT)},
            cwd=folder,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        assert process.poll() is None, (folder / "said.txt").read_text()
        try:
            return httpx.get(f"{url}/voila/static/voila.js", timeout=5).status_code < 500
        except httpx.HTTPError:
            return False

    try:
        until(answers, 60)
        yield url, folder
    finally:
        process.terminate()
        process.wait(20)


def test_the_public_site_shows_regions_and_prices_and_names_no_seller_anywhere(
    site: tuple[str, Path], browser: BrowserContext
) -> None:
    url, folder = site
    heard: list[str] = []
    page = browser.new_page()
    page.on("console", lambda message: heard.append(message.text))
    page.on("response", lambda response: heard.append(response.url))

    def note(socket: Any) -> None:
        for name in ("framereceived", "framesent"):
            socket.on(name, lambda frame: heard.append(str(frame)))

    page.on("websocket", note)
    with nothing_thrown(page):
        page.goto(url)
        expect(page.locator("input[name=query]")).to_be_visible()
        expect(page.get_by_role("button", name="Quote a bill of materials")).to_be_hidden()
        page.locator("select[name=currency]").select_option("RUB")
        for text, mpn in (("резистор 4к7 0603 1%", "RC0603FR-074K7L"), ("NE555P", "NE555P")):
            ask(page, text, 100)
            done(page)
            line = lines(page).filter(has_text=mpn)
            expect(line).to_contain_text("RUB")
            line.locator(".parts-name").click()
            expect(page.locator("dialog[open]")).to_contain_text("Prices by region")
            expect(page.locator("dialog[open]")).to_contain_text("Europe")
            heard.append(page.content())
            page.keyboard.press("Escape")
        with page.expect_download() as waiting:
            page.get_by_role("button", name="CSV").click()
        heard.append(Path(waiting.value.path()).read_text("utf-8-sig"))
    page.close()
    said = json.dumps(heard, ensure_ascii=False)
    assert "RC0603FR-074K7L" in said
    words = ["Sample Seller", "Offline sample", "A-NE555P", "B-NE555P", "A-RC0603", "C-RC0603"]
    words += ["digikey", "mouser", "farnell", "trustedparts", "oemsecrets", "oemstrade", "efind"]
    assert [word for word in words if word.casefold() in said.casefold()] == []
    assert not (folder / "jobs").exists()  # it is no lab, and opens none
