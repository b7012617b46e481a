"""Failed jobs of a paid batch, run once more from the page: it asks for the price first."""

from __future__ import annotations

from browser import nothing_thrown, require_chromium

from orchestrator.jobs import Failure, Job, Status

require_chromium()

from playwright.sync_api import BrowserContext, expect
from served_lab import TOKEN, ServedLab, until


def failed(job: Job) -> Job:
    why = Failure(kind="timeout", message="It took too long", remedy="Try again.")
    claimed = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    return claimed.fail(why, now=job.created_at)


def test_a_paid_batch_is_retried_when_its_price_is_agreed_to(
    served: ServedLab, browser: BrowserContext
) -> None:
    lab = served.lab
    lab.pause("nothing is to be bought")
    try:
        batch = lab.grid("a fox", backend="flux", seed=range(30), name="dear").submit(confirm=True)
        for job in batch.jobs():
            lab.store.update(job.id, failed)
        page = browser.new_page()
        with nothing_thrown(page):
            page.goto(f"{served.url}/batches?token={TOKEN}")
            retry = page.get_by_role("button", name="Retry failed: dear")
            retry.click()
            box = page.locator("dialog[open]")
            expect(box).to_contain_text("Spend $1.80?")
            expect(box).to_contain_text("30 jobs with FLUX Ultra: $1.80.")
            page.keyboard.press("Enter")  # Cancel has the focus
            expect(box).to_have_count(0)
            assert batch.progress().counts == {Status.FAILED: 30}
            retry.click()
            box.get_by_role("button", name="Spend $1.80").click()
            until(lambda: batch.progress().counts == {Status.QUEUED: 30}, 20)
        page.close()
        assert batch.cancel() == 30
    finally:
        lab.resume()
