"""Which tests go to the same process, where several share them."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadFileScheduling

# pages in one window, most of them of one lab: another process would start both once more
TOGETHER = ("tests/browser", "tests/server/test_up.py")


class ByNeighbours(LoadFileScheduling):  # type: ignore[misc]
    """The tests of a file go to one process, and so do those of the files that share what is dear."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        is_neighbour = any(PurePosixPath(file).is_relative_to(each) for each in TOGETHER)
        return "pages" if is_neighbour else file
