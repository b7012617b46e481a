"""What makes a page quick: its frame is sent before a kernel is asked for, and a kernel may wait already."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import psutil
import pytest
from served_lab import TOKEN, ServedLab, until

from orchestrator.server.forked import CAN_FORK
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


def processes(served: ServedLab, kernels: set[str]) -> list[psutil.Process]:
    return [
        each
        for each in served.family()
        if any(kernel in word for word in each.cmdline() for kernel in kernels)
    ]


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
    with served.unopened():
        visitor.start()
        until(lambda: bool(processes(served, served.page_kernels() - others)), 30)
        for process in processes(served, served.page_kernels() - others):
            process.kill()
        visitor.join(60)
    assert "The page could not be started" in said[0]


def zygote(served: ServedLab) -> psutil.Process:
    (found,) = [p for p in served.family() if "orchestrator.widgets.zygote" in p.cmdline()]
    return found


@pytest.mark.skipif(not CAN_FORK, reason="here each kernel of a page starts by itself")
def test_pages_kernels_are_forks_that_share_their_memory_and_pages_go_on_without_their_parent(
    served: ServedLab,
) -> None:
    kernels = set(KERNEL.findall(visit(served)[1]))
    (kernel,) = processes(served, kernels)
    parent = kernel.parent()
    assert parent == zygote(served)
    assert kernel.memory_full_info().uss < 60_000_000
    parent.kill()
    until(lambda: not kernel.is_running(), 10)
    kernels = set(KERNEL.findall(visit(served)[1]))
    assert processes(served, kernels)[0].parent() == zygote(served) != parent


@pytest.mark.skipif(not CAN_FORK, reason="here each kernel of a page starts by itself")
def test_they_end_with_a_server_that_is_killed(served: ServedLab) -> None:
    left = [zygote(served), *zygote(served).children()]
    assert len(left) > 1
    served.process.kill()
    served.process.wait()
    assert psutil.wait_procs(left, timeout=10)[1] == []
