"""The short form of `python tests/torture`: everything killed all the time, and every promise kept."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = int(os.environ.get("LAB_TORTURE_JOBS", "64"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills and forks are POSIX")
def test_no_job_is_lost_stuck_painted_or_paid_twice_while_everything_is_killed() -> None:
    # a process of its own, since it forks: threads of other tests must not be forked with it
    command = [sys.executable, str(Path(__file__).parent), f"--jobs={JOBS}", "--limit=90"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    verdict = json.loads(done.stdout)
    assert verdict["broken"] == [], verdict
    assert verdict["worker_kills"] >= 5
    assert verdict["taken_over"] > 0
    assert sum(verdict["states"].values()) == verdict["jobs"] == JOBS
    # each of them is shown with its reason, and none was paid for again
    assert verdict["states"].get("failed", 0) == verdict["ambiguous"]
