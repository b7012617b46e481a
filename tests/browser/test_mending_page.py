"""A failed job's buttons in a real browser: what is pressed is done on the embedded engine, and said beside the job."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta

import pytest
from browser import nothing_thrown, require_chromium
from served_lab import TOKEN, ServedLab, until

from orchestrator.health import HealthHistory, HealthReport
from orchestrator.jobs import Failure, Job, Status
from orchestrator.testing import make_job

require_chromium()

from playwright.sync_api import Locator, Page, TimeoutError, expect

QUICK = {"steps": 1, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def open_page(served: ServedLab, tab: Page) -> Page:
    tab.goto(f"{served.url}/dashboard?token={TOKEN}")
    expect(tab.get_by_label("Prompt", exact=True)).to_be_visible()
    return tab


@pytest.fixture
def page(open_page: Page) -> Iterator[Page]:
    with nothing_thrown(open_page):
        yield open_page


def put(served: ServedLab, failure: Failure, **fields: object) -> Job:
    """A job that failed, as a worker leaves it."""
    job = make_job(**fields)  # type: ignore[arg-type]
    begun = job.claim(worker="w", host="h", slot=None, now=job.created_at)
    begun = begun.begin_attempt(service="comfyui", host="h", now=job.created_at)
    return served.lab.store.create(begun.fail(failure, now=job.created_at))


def box_of(page: Page, job: Job) -> Locator:
    return page.locator(f'.lab-row[data-id="{job.id}"] .lab-failure')


def newest_besides(served: ServedLab, *known: Job) -> Job | None:
    served.lab.store.refresh()
    ids = {job.id for job in known}
    jobs = sorted(served.lab.store.snapshot(), key=lambda job: job.id)
    return next((job for job in reversed(jobs) if job.id not in ids), None)


def test_an_unknown_sampler_is_replaced_by_the_nearest_and_the_picture_is_made(
    page: Page, served: ServedLab
) -> None:
    job = served.ended(served.lab.submit("a fox", params={**QUICK, "sampler": "eulr"}))
    assert (job.status, job.failure and job.failure.kind) == (Status.FAILED, "unknown_sampler")
    box = box_of(page, job)
    expect(box.locator(".lab-failure-cause")).to_contain_text("has no sampler")
    expect(box.locator(".lab-failure-remedy")).to_contain_text("sampler")
    button = box.get_by_role("button", name="nearest sampler")
    button.focus()
    page.keyboard.press("Enter")
    expect(box.locator(".lab-mend-said")).to_contain_text("with sampler euler")
    expect(page.locator(".lab-queue .lab-notice")).to_be_hidden()  # it is not said twice
    made = newest_besides(served, job)
    assert made is not None
    ended = served.ended(made)
    assert (ended.status, ended.params["sampler"]) == (Status.DONE, "euler")
    row = page.locator(f'.lab-row[data-id="{made.id}"]')
    expect(row).to_have_attribute("data-status", "done")
    expect(button).not_to_have_attribute("aria-disabled", "true")
    assert served.lab.store.get(job.id).status is Status.FAILED


def test_what_the_page_makes_up_is_refused_with_what_to_do(page: Page, served: ServedLab) -> None:
    job = put(served, Failure(kind="unknown_sampler", message="No sampler 'x'"))
    button = box_of(page, job).get_by_role("button", name="nearest sampler")
    button.wait_for()
    served.lab.store.update(job.id, lambda job: job.having(
        failure=Failure(kind="moderated", message="It was refused")
    ))  # fmt: skip
    # pressed before the page has the new diagnosis, or after: there is no button any more then
    if button.count():
        with contextlib.suppress(TimeoutError):
            button.click(timeout=2000, no_wait_after=True, force=True)
    expect(box_of(page, job)).to_contain_text("refused")


@pytest.fixture(scope="module")
def diagnostics(open_page: Page, served: ServedLab) -> Iterator[Page]:
    """The page of a lab whose services were looked at for ten hours, in which the worker was away once.

    The dashboard is left for it: nothing below needs that.
    """
    history = HealthHistory(served.lab.paths.data / "health.jsonl")
    report = HealthReport.model_validate(served.api("GET", "/api/health"))
    away = report.model_copy(
        update={"worker": report.worker.model_copy(update={"status": "stopped"})}
    )
    now = served.lab.store.now()
    for minutes in range(600, 0, -20):
        history.append(away if minutes == 200 else report, at=now - timedelta(minutes=minutes))
    open_page.goto(f"{served.url}/diagnostics")
    with nothing_thrown(open_page):
        yield open_page


def test_a_paid_job_is_not_run_again_by_one_click(diagnostics: Page, served: ServedLab) -> None:
    failure = Failure(kind="unreachable", message="It did not answer")
    page = diagnostics
    job = put(served, failure, backend="flux")
    item = page.get_by_role("region", name="Failures", exact=True).locator("li").filter(
        has_text="It did not answer"
    )  # fmt: skip
    expect(item).to_contain_text("Why:")
    button = item.locator('button[data-mend="retry"]')
    button.click()
    expect(button).to_contain_text("Pay ")
    assert served.lab.store.get(job.id).status is Status.FAILED
    button.click()
    until(lambda: served.lab.store.get(job.id).status is not Status.FAILED, 20)
    served.lab.cancel(job.id)


def test_the_last_day_of_the_services_is_a_table_and_two_plots(diagnostics: Page) -> None:
    page = diagnostics
    table = page.get_by_role("region", name="Services over the last day", exact=True)
    worker = table.locator("tbody tr").filter(has_text="Worker")
    expect(worker).to_contain_text("1")
    assert worker.locator(".lab-past-down").count() == 1
    assert worker.locator(".lab-past-up").count() > 20
    page.get_by_role("region", name="Over time", exact=True).scroll_into_view_if_needed()
    memory = page.locator('.lab-diag-plot img[alt^="Memory of the services"]')
    memory.first.wait_for(state="attached")
