"""What a test of code that uses the lab needs: services that cost nothing and can be told to fail. Public and stable.

    async with Engine() as engine, FakeBFL() as bfl:
        lab = make_lab(tmp_path, comfy_url=engine.url, bfl_url=bfl.url)
        bfl.fail(Fault.DROPPED)  # the next request is charged, and its answer lost
        async with lab.worker():
            job = await (await lab.generate("a fox", backend="flux")).wait()
        assert len(bfl.charges) == 1

`Engine` is the embedded ComfyUI with its `Faults` and its `ledger` of what ran; `FakeBFL` the paid FLUX API as
docs.bfl.ai describes it, with a list of what it charged. `python -m orchestrator.testing` runs FakeBFL by itself.
"""

from __future__ import annotations

from orchestrator.engine import CHECKPOINTS, Engine, Faults, Hang, HttpStatus, PromptError
from orchestrator.testing.bfl import KEY, Charge, FakeBFL, Fault
from orchestrator.testing.labs import make_job, make_lab

__all__ = [
    "CHECKPOINTS",
    "KEY",
    "Charge",
    "Engine",
    "FakeBFL",
    "Fault",
    "Faults",
    "Hang",
    "HttpStatus",
    "PromptError",
    "make_job",
    "make_lab",
]
