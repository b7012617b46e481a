"""The short form of `python -m tests.acceptance.campaign`: whatever falls, no job is lost and all is well again.

Four of the ten kinds of faults here, one every five seconds; all of them with LAB_CAMPAIGN_MINUTES=1.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MOST_S = 90.0  # longer, and something does not come back by itself
MINUTES = float(os.environ.get("LAB_CAMPAIGN_MINUTES", "0.3"))
# of ten kinds first: worker (halted), guardian, server, network. What must be there to be struck comes before the
# server falls, and what is mended soon after that, so that not all is still down at the end. A worker and an engine
# that are killed are test_up_falls.py's in the short form
SEED = 16328
STRIKES = int((60 * MINUTES - 1) // 5) + 1
KINDS = 10


@pytest.mark.skipif(not hasattr(os, "fork"), reason="SIGKILL and SIGSTOP are POSIX")
@pytest.mark.timeout(60 * MINUTES + 240)
def test_a_lab_in_which_everything_falls_loses_nothing_and_is_well_again() -> None:
    # a process of its own, so that what it leaves is known by its environment
    file = Path(__file__).parent / "campaign.py"
    command = [sys.executable, str(file), f"--minutes={MINUTES}", f"--seeds={SEED}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    verdict = json.loads(done.stdout)
    print(done.stderr)
    # the next fault falls before the last one is mended, so how quick it was is the long form's to judge
    assert set(verdict["broken"]) <= {"recovery is quick"}, done.stderr + done.stdout
    assert verdict["recovery_p95_s"] <= MOST_S, done.stderr
    # now and then nothing is there to be struck, or the machine is late
    assert sum(verdict["faults"].values()) >= 0.7 * STRIKES, verdict
    assert len(verdict["faults"]) + len(verdict["left_out"]) >= 0.7 * min(STRIKES, KINDS), verdict
    assert verdict["states"]["done"] >= verdict["jobs"] - verdict["corrupted"] - 2, verdict
