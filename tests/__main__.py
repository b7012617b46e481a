"""Every check of the project, as `python -m tests`: format, lint, types, tests, notebooks.

Ends with 0 only if all of them pass; a failing one does not keep the others from running. Tests that fail are run
once more, alone and with what they compared, and that is said: most run two to four at a time, and some have
promises of milliseconds to keep.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from tests.lengths import LONG

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
# whole labs, browsers and kill -9: other processes than the tests own, which are what takes their time
LABS = ["tests/acceptance", "tests/browser", "tests/cluster", "tests/server"]
TESTS_FAILED = 1  # pytest's exit code for that; others say that it did not run as it should
TOGETHER = [f"--ignore={folder}" for folder in [*LABS, "tests/torture"]]
# everything is killed: these need the machine for themselves
FIRE = ["tests/acceptance/test_campaign.py", "tests/torture"]
EVENLY = ["-n", "4", "--dist", "worksteal"]  # on two cores: of four, two mostly wait for something
BY_FILE = ["--dist", "loadfile"]  # those of a file share a lab, a browser or a kernel
TWO, THREE = ["-n", "2", *BY_FILE], ["-n", "3", *BY_FILE]
# plugins that no test here uses, and that take seconds of every process to import
BARE = ["-p", "no:nbval", "-p", "no:schemathesis"]
# nobody looks into the assertions of tests that pass, and to prepare them takes each process 6 s in a fresh clone
UNEXPLAINED = ["--assert=plain", "--showlocals"]
ASIDE = {"types"}  # on one processor, while the next check goes on
CHECKS: dict[str, list[str]] = {
    "format": ["ruff", "format", "--check", "."],
    "lint": ["ruff", "check", "."],
    "types": ["mypy", "orchestrator"],
    "notebooks": [
        *("pytest", "--nbval-lax", "-q", "-p", "no:schemathesis"),
        *(*TWO, "notebooks"),
        *(["dashboards"] if LONG else []),  # the browser tests open each of them
    ],
    "tests": ["pytest", "-q", *BARE, *UNEXPLAINED, *EVENLY, "tests", *TOGETHER],
    "tests of whole labs": [
        *("pytest", "-q", *BARE, *UNEXPLAINED, *THREE, *LABS),
        *(f"--ignore={each}" for each in FIRE),
    ],
    "tests under fire": ["pytest", "-q", *BARE, *UNEXPLAINED, *TWO, *FIRE],
}


def quick_place() -> str | None:
    """Where thousands of labs of hundreds of files are made quickest: in memory, if there is plenty of it.

    None is the system's own place for temporary files.
    """
    memory = Path("/dev/shm")
    if not memory.is_dir():
        return None
    where = os.statvfs(memory)
    free = min(where.f_bavail * where.f_frsize, psutil.virtual_memory().available)
    may_run = not where.f_flag & os.ST_NOEXEC  # some tests make programs
    return str(memory) if free > 6_000_000_000 and may_run else None


class Check:
    """One of the checks: begun when it is made. What goes on beside another says nothing before that one is over."""

    def __init__(self, name: str, environment: dict[str, str], lab: Path) -> None:
        self.name = name
        self._command = list(CHECKS[name])
        self._environment = environment
        self._is_tests = name.startswith("tests")
        if self._is_tests:
            self._command += ["-o", f"cache_dir={lab / 'cache'}"]
        self._heading = f"── {name}: {' '.join(CHECKS[name])}"
        self._began = time.monotonic()
        if name in ASIDE:
            self._said = lab / f"{name}.txt"
            with self._said.open("wb") as said:
                self._process = self._run(self._command, stdout=said, stderr=said)
        else:
            print(self._heading, flush=True)
            self._process = self._run(self._command)

    def _run(self, command: list[str], **options: Any) -> subprocess.Popen[bytes]:
        command = [PYTHON, "-m", *command]
        return subprocess.Popen(command, cwd=ROOT, env=self._environment, **options)

    def passes(self) -> bool:
        """Whether it passes, when it has ended."""
        code = self._process.wait()
        if self.name in ASIDE:
            print(self._heading, self._said.read_text("utf-8", "replace"), sep="\n", flush=True)
        if code == TESTS_FAILED and self._is_tests:
            print(f"── {self.name}: those that failed, once more, alone and explained", flush=True)
            again = [
                word for word in self._command if word not in {*EVENLY, *TWO, *THREE, *UNEXPLAINED}
            ]
            code = self._run([*again, "--last-failed"]).wait()
        print(f"── {self.name}: {time.monotonic() - self._began:.0f} s\n", flush=True)
        return code == 0


def main() -> int:
    """Run the checks in a lab of their own; returns the number of those that failed."""
    failed = []
    place = quick_place()
    with tempfile.TemporaryDirectory(prefix="lab-", dir=place, ignore_cleanup_errors=True) as lab:
        Path(lab, "paths.json").write_text("{}")
        environment = {**os.environ, "ORCHESTRATOR_PATHS": str(Path(lab, "paths.json"))}
        # kernels start twice as fast when they find compiled modules
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        # matplotlib lists the fonts of the machine once for all labs, which takes seconds
        environment["MPLCONFIGDIR"] = str(Path(lab, "matplotlib"))
        for variable in (
            "COMFY_URL",
            "BFL_API_KEY",
            "BFL_BASE_URL",
            "ORCHESTRATOR_TOKEN",
            "ORCHESTRATOR_CLUSTER",
        ):
            environment.pop(variable, None)  # nobody's servers or money are for tests
        if place is not None:
            environment["TMPDIR"] = lab
        aside: list[Check] = []
        for name in CHECKS:
            check = Check(name, environment, Path(lab))
            if name in ASIDE:
                aside.append(check)
                continue
            failed += [each.name for each in [check, *aside] if not each.passes()]
            aside.clear()
    print(f"failed: {', '.join(failed)}" if failed else "all checks passed")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
