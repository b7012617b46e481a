"""Two tabs on one workflow: of two changes one is refused and said, and no file is overwritten unseen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from browser import nothing_thrown, require_chromium

require_chromium()

from playwright.sync_api import BrowserContext, Page, TimeoutError, WebSocketRoute, expect
from served_lab import TOKEN, ServedLab, until

from orchestrator.widgets.builder import bundle

if not (bundle.MADE / "builder.js").is_file():
    pytest.skip("the Builder's editor was not built (hatch_build.py)", allow_module_level=True)

CELL = "from orchestrator import Lab\nfrom orchestrator.widgets import Builder\nBuilder(Lab.open(), 'both')"
NOTE: dict[str, Any] = {
    "id": 1,
    "type": "Note",
    "pos": [0, 0],
    "size": [300, 200],
    "widgets_values": ["of nobody"],
}
WORKFLOW = json.dumps({"nodes": [NOTE], "links": [], "version": 0.4})


@pytest.fixture
def tabs(browser: BrowserContext) -> Iterator[tuple[Page, Page]]:
    first, second = browser.new_page(), browser.new_page()
    with nothing_thrown(first), nothing_thrown(second):
        yield first, second
    for page in (first, second):
        page.close(run_before_unload=False)


def write_note(page: Page, text: str) -> None:
    field = page.locator('.react-flow__node[data-id="1"] textarea')
    field.fill(text)
    page.locator(".bd-canvas").focus()


def _text(said: str | bytes) -> str:
    return said if isinstance(said, str) else said.decode("utf-8", "replace")


def test_the_later_save_of_two_tabs_is_asked_about_and_overwrites_nothing_unseen(
    tabs: tuple[Page, Page], served: ServedLab
) -> None:
    file = served.lab.paths.workflows / "both.json"
    file.write_text(WORKFLOW, "utf-8")
    for number, page in enumerate(tabs):
        page.goto(f"{served.url}/builder?token={TOKEN}&workflow=both")
        expect(page.locator(".bd-title-of")).to_contain_text("both")
        expect(page.get_by_text("of nobody")).to_be_visible()
        write_note(page, f"of tab {number}")
    first, second = tabs
    first.keyboard.press("Control+s")
    until(lambda: "of tab 0" in file.read_text("utf-8"), 20)
    kept = file.read_bytes()
    second.keyboard.press("Control+s")
    dialog = second.get_by_role("dialog", name=re.compile("was changed on the disk"))
    expect(dialog).to_be_visible()
    dialog.get_by_role("option", name="Do not save").click()
    expect(dialog).to_have_count(0)
    assert file.read_bytes() == kept
    expect(second.get_by_text("of tab 1")).to_be_visible()  # and nothing of it is lost
    expect(second.get_by_label("not saved", exact=True)).to_be_visible()


@pytest.mark.timeout(300)
def test_a_change_of_a_tab_that_did_not_hear_of_another_is_refused_and_said(
    tabs: tuple[Page, Page], served: ServedLab
) -> None:
    """Both show one `Builder` of one kernel; what the kernel says to the second tab comes late."""
    (served.lab.paths.workflows / "both.json").write_text(WORKFLOW, "utf-8")
    cell = {"cell_type": "code", "id": "one", "source": CELL, "metadata": {}, "outputs": []}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": [cell | {"execution_count": None}],
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    file = served.lab.paths.project_root / "tabs.ipynb"
    file.write_text(json.dumps(notebook), "utf-8")
    held: list[tuple[WebSocketRoute, str | bytes]] = []
    is_late = False

    def late(socket: WebSocketRoute) -> None:
        server = socket.connect_to_server()
        server.on_message(
            lambda said: held.append((socket, said)) if is_late else socket.send(said)
        )

    first, second = tabs
    second.route_web_socket(re.compile("/api/kernels/.*/channels"), late)
    address = f"{served.url}/lab/tree/tabs.ipynb?token={TOKEN}&reset"
    first.goto(address)
    first.get_by_text("| Idle").wait_for(timeout=60_000)  # the kernel is there
    first.locator(".jp-Notebook .jp-CodeCell").first.click(position={"x": 200, "y": 12})
    first.keyboard.press("Control+Enter")
    expect(first.get_by_text("of nobody")).to_be_visible(timeout=90_000)
    first.locator(".jp-Notebook .jp-CodeCell").first.click(position={"x": 200, "y": 12})
    first.keyboard.press("Control+s")
    until(lambda: "widget-view" in file.read_text("utf-8"), 20)
    for _ in range(8):  # JupyterLab does not always bring a widget back that another tab has shown
        second.goto(address)
        with suppress(TimeoutError):
            second.get_by_text("of nobody").wait_for(timeout=10_000)
            break

    write_note(first, "of the first")  # the other tab hears of it
    expect(second.get_by_text("of the first")).to_be_visible()
    is_late = True
    write_note(first, "of the first again")
    expect(first.get_by_role("button", name="Undo")).to_be_enabled()
    write_note(second, "of the second")
    for _ in range(200):  # its change arrives, and what is said of it does not yet
        if any("changed meanwhile" in _text(said) for _, said in held):
            break
        second.wait_for_timeout(100)
    expect(second.get_by_text("of the second")).to_be_visible()
    is_late = False
    for socket, said in held:
        socket.send(said)
    expect(second.get_by_role("alert")).to_contain_text("changed meanwhile, in another tab")
    expect(second.get_by_text("of the first again")).to_be_visible()
    expect(first.get_by_text("of the first again")).to_be_visible()
    expect(second.get_by_text("of the second")).to_have_count(0)
    write_note(second, "of the second, knowing")  # and goes on from there
    expect(first.get_by_text("of the second, knowing")).to_be_visible()
