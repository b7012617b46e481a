"""Many visitors at once, while the worker is killed and the server is restarted under them.

Two of them; ten in the long form (`LAB_LONG=1`), since each starts a browser's page and a kernel.
"""

from __future__ import annotations

import os
import re
import signal
import sys

import pytest
from browser import require_chromium
from lengths import LONG
from served_lab import TOKEN, ServedLab, until

from orchestrator.jobs import Status

require_chromium()

from playwright.sync_api import BrowserContext, Page, expect

VISITORS = 10 if LONG else 2
BACK = 2 if LONG else 1  # who come back after the restart
PATIENCE_MS = 180_000  # each page starts a kernel
QUICK = {"steps": 2, "width": 64, "height": 64}


def shows(page: Page, prompt: str) -> None:
    expect(page.get_by_role("listitem").filter(has_text=prompt).first).to_contain_text(
        "done", timeout=PATIENCE_MS
    )


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
@pytest.mark.timeout(700)
def test_all_visitors_see_everything_through_a_killed_worker_and_a_restarted_server(
    served: ServedLab, browser: BrowserContext
) -> None:
    pages = [browser.new_page() for _ in range(VISITORS)]
    for page in pages:
        page.goto(f"{served.url}/dashboard?token={TOKEN}", wait_until="commit")
    for page in pages:
        expect(page.get_by_label("Prompt", exact=True)).to_be_visible(timeout=PATIENCE_MS)

    killed = served.worker()
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    job = served.lab.submit("seen by all", params=QUICK)
    assert served.ended(job, timeout_s=60).status is Status.DONE
    for page in pages:
        shows(page, "seen by all")

    served.process.signal(signal.SIGTERM)
    assert served.process.wait(30) == 0
    for page in pages:
        page.bring_to_front()  # a hidden page does not ask
        expect(page.get_by_role("alert").filter(visible=True).first).to_contain_text(
            re.compile("does not answer|session", re.IGNORECASE), timeout=PATIENCE_MS
        )
    served.again()
    for page in pages[:BACK]:
        page.bring_to_front()
        page.get_by_role("button", name="Reload").filter(visible=True).first.click(
            timeout=PATIENCE_MS
        )
        shows(page, "seen by all")
    for page in pages[BACK:]:
        page.close()
    again = served.lab.submit("after the restart", params=QUICK)
    for page in pages[:BACK]:
        shows(page, "after the restart")
    assert served.lab.store.get(again.id).status is Status.DONE
    until(lambda: len(served.page_kernels()) <= BACK, 60)
