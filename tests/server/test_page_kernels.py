"""What makes a page quick: its frame is sent before a kernel is asked for, and a kernel may wait already."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import pytest
from served_lab import TOKEN, ServedLab, until

from orchestrator.server.page_handler import FRAME_ENDS

GRACE_S = 8.0  # longer than a page takes to be built
KERNEL = re.compile(r'"kernelId": "([0-9a-f-]{36})"')


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedLab]:
    lab = ServedLab(tmp_path_factory.mktemp("lab"), orphan_grace_s=GRACE_S)
    yield lab
    lab.stop()


def visit(served: ServedLab) -> tuple[str, str]:
    """The first piece of the dashboard that arrives, and the whole of it."""
    headers = {"Authorization": f"token {TOKEN}"}
    with served.http.stream("GET", "/dashboard", headers=headers, timeout=60) as reply:
        assert reply.headers["cache-control"] == "no-cache, no-store, must-revalidate"
        assert reply.headers["content-type"].startswith("text/html")
        pieces = list(reply.iter_text())
    return pieces[0], "".join(pieces)


def spare(served: ServedLab) -> str | None:
    sessions = served.api("GET", "/api/sessions")
    return next(
        (s["kernel"]["id"] for s in sessions if s["name"] == "orchestrator-page-spare"), None
    )


def test_the_frame_is_the_first_thing_that_the_second_visitor_gets_and_comes_once(
    served: ServedLab,
) -> None:
    _, first = visit(served)
    piece, second = visit(served)
    assert "frame-skeleton" in piece
    assert "kernelId" not in piece
    assert second.partition(FRAME_ENDS)[0] == first.partition(FRAME_ENDS)[0]
    assert [second.count(once) for once in ("<header", FRAME_ENDS, "</html>")] == [1, 1, 1]
    assert KERNEL.findall(second) != KERNEL.findall(first)


def test_a_visitor_gets_the_kernel_that_waits_and_another_takes_its_place(
    served: ServedLab,
) -> None:
    waiting: list[str | None] = []

    def is_taken() -> bool:  # it may be importing still
        waiting.append(spare(served))
        return KERNEL.findall(visit(served)[1])[0] in waiting

    until(lambda: spare(served) is not None, 60)
    until(is_taken, 60)
    until(lambda: spare(served) not in {None, *waiting}, 60)


def test_a_kernel_that_waited_goes_with_its_page_like_any_other(served: ServedLab) -> None:
    until(lambda: not served.page_kernels(), 60)


def test_a_page_whose_kernel_dies_before_it_answers_says_so(served: ServedLab) -> None:
    if (waiting := spare(served)) is not None:
        served.api("DELETE", f"/api/kernels/{waiting}")
    said: list[str] = []
    visitor = threading.Thread(target=lambda: said.append(visit(served)[1]))
    others = served.page_kernels()
    visitor.start()
    until(lambda: bool(served.page_kernels() - others), 30)
    (kernel,) = served.page_kernels() - others
    for process in served.family():
        if any(kernel in word for word in process.cmdline()):
            process.kill()
    visitor.join(60)
    assert "The page could not be started" in said[0]
