"""How fast the pages are, in Chromium: `python tests/benchmarks/bench_pages.py`. Prints; asserts nothing.

Beside each opening stands the same notebook shown by Voilà alone, with its own template, taking turns.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil
from playwright.sync_api import BrowserContext, Error, Page

sys.path[:0] = [str(Path(__file__).parents[1] / "server"), str(Path(__file__).parent)]
from bench_gallery import fill  # noqa: E402
from browser import chromium  # noqa: E402
from served_lab import TOKEN, ServedLab, free_port, until  # noqa: E402

NOTEBOOK = Path(__file__).parents[2] / "dashboards" / "index.ipynb"
VISITORS = 5
CHANGES = 40
OPENINGS = 6
PICTURES = 10_000
WAIT_MS = 60_000
FORM = "textarea"
WATCH = """
() => {
  window.seen = {};
  const look = () => {
    for (const found of document.body.textContent.matchAll(/bench-\\d+/g))
      window.seen[found[0]] ??= performance.timeOrigin + performance.now();
  };
  new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
}
"""
PAINTED = "() => performance.getEntriesByName('first-contentful-paint')[0].startTime"


def report(what: str, value: str, target: str = "") -> None:
    print(f"{what:66} {value:>26}  {target}", flush=True)


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def pushes(served: ServedLab, pages: list[Page]) -> None:
    """From the rename of a job file by another process to the change of the page, on every page."""
    for page in pages:
        page.evaluate(WATCH)
    renamed: dict[str, float] = {}
    for number in range(CHANGES):
        job = served.lab.submit(f"bench-{number}", hold=True)
        file = served.lab.store.layout.job(job.id)
        renamed[f"bench-{number}"] = file.stat().st_ctime_ns / 1e6  # renaming sets it
        time.sleep(0.3 + number % 7 * 0.03)
    took: list[float] = []
    for page in pages:
        page.wait_for_function(
            f"() => Object.keys(window.seen).length >= {CHANGES}", timeout=WAIT_MS
        )
        seen = page.evaluate("() => window.seen")
        took += [seen[name] - at for name, at in renamed.items()]
    said = f"p50 {statistics.median(took):.0f}, p95 {percentile(took, 0.95):.0f} ms"
    report(f"job file renamed → DOM changed, {len(pages)} visitors", said, "<= 50, 150")


def opening(context: BrowserContext, url: str, usable: str) -> tuple[float, float]:
    """Milliseconds to the first paint, and until `usable` is visible."""
    page = context.new_page()
    page.goto(url, wait_until="commit")
    page.wait_for_selector(usable, timeout=WAIT_MS)
    at = page.evaluate("() => performance.now()")
    painted = page.evaluate(PAINTED)
    page.close(run_before_unload=True)
    return painted, at


@contextmanager
def bare_voila(paths: Path) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "voila", str(NOTEBOOK), "--no-browser", f"--port={port}"]
    environment = {**os.environ, "ORCHESTRATOR_PATHS": str(paths)}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    # cookies know no ports: the other server's would be sent here
    url = f"http://localhost:{port}/"
    try:
        until(lambda: answers(url), 60)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}voila/static/voila.js", timeout=5).status_code < 500
    except httpx.HTTPError:
        return False


def openings(served: ServedLab, context: BrowserContext) -> None:
    dashboard = f"{served.url}/dashboard"
    _, first = opening(context, f"{dashboard}?token={TOKEN}", FORM)
    report("dashboard, first visit after start: form usable", f"{first / 1e3:.2f} s", "<= 5")
    ours, bare = [], []
    with bare_voila(served.lab.paths.file) as url:
        opening(context, url, FORM)
        for _ in range(OPENINGS):
            ours.append(opening(context, dashboard, FORM))
            bare.append(opening(context, url, FORM))
    for name, target, times in [("ours", "<= 0.4, 1.8", ours), ("bare Voilà", "", bare)]:
        painted = statistics.median(paint for paint, _ in times)
        usable = statistics.median(at for _, at in times)
        said = f"{painted / 1e3:.2f} s, {usable / 1e3:.2f} s"
        report(f"dashboard, warm: painted, form usable: {name}", said, target)


def kernels(served: ServedLab) -> list[psutil.Process]:
    """The processes of the pages' kernels."""
    worker = served.worker()
    found = []
    for process in served.family():
        command = process.cmdline()
        if process.pid != worker and any("ipykernel" in part for part in command):
            found.append(process)
    return found


def gone(served: ServedLab, what: str, leave: Callable[[], object]) -> None:
    assert served.page_kernels()
    leave()
    took = until(lambda: not served.page_kernels(), 120)
    report(f"page kernels gone after {what}", f"{took:.1f} s", "<= 60")


def canvas(served: ServedLab, context: BrowserContext) -> None:
    fill(served.lab.paths.drop_out, PICTURES)
    took = []
    for _ in range(4):
        page = context.new_page()
        page.goto(f"{served.url}/canvas", wait_until="commit")
        page.wait_for_selector(".lab-canvas-grid, [role=grid]", timeout=WAIT_MS)
        usable = page.evaluate("() => performance.now()")
        page.wait_for_function(
            "() => [...document.images].filter((i) => i.src.includes('/thumbnail') && i.complete"
            " && i.naturalWidth).length >= 9",
            polling=10,
            timeout=WAIT_MS,
        )
        took.append(page.evaluate("() => performance.now()") - usable)
        page.close(run_before_unload=True)
    report(
        f"first 9 of {PICTURES:,} thumbnails after the grid is there, first visit",
        f"{took[0]:.0f} ms",
        "<= 700",
    )
    report("the same, warm", f"{statistics.median(took[1:]):.0f} ms", "<= 700")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        served = ServedLab(folder)
        try:
            with chromium(folder / "profile") as context:
                openings(served, context)
                pages = []
                for _ in range(VISITORS):
                    pages.append(context.new_page())
                    pages[-1].goto(f"{served.url}/dashboard")
                    pages[-1].wait_for_selector(FORM, timeout=WAIT_MS)
                time.sleep(3)
                memory = [process.memory_full_info().uss / 1e6 for process in kernels(served)]
                pushes(served, pages)
                report("a visitor's kernel, USS", f"{statistics.median(memory):.0f} MB", "<= 60")
                gone(served, f"{VISITORS} tabs were closed", lambda: close(pages))
                page = context.new_page()
                page.goto(f"{served.url}/dashboard")
                page.wait_for_selector(FORM, timeout=WAIT_MS)
                gone(served, "a tab was killed", lambda: crash(page))
                reply = httpx.get(f"{served.url}/dashboard", headers=served.token, timeout=60)
                reply.raise_for_status()
                gone(served, "curl", lambda: None)
                canvas(served, context)
        finally:
            served.stop()


def close(pages: list[Page]) -> None:
    for page in pages:
        page.close(run_before_unload=True)


def crash(page: Page) -> None:
    """As the system kills a tab: without a last word to the server."""
    with suppress(Error):  # a tab that has crashed answers nothing
        page.goto("chrome://crash", timeout=3_000)


if __name__ == "__main__":
    main()
