"""Jobs and labs for tests, in one line each."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from orchestrator import backends
from orchestrator.jobs import Job
from orchestrator.lab import Lab
from orchestrator.paths import Paths
from orchestrator.settings import Settings
from orchestrator.testing.bfl import KEY


def make_job(prompt: str = "a red fox", *, backend: str = "sd15", **fields: Any) -> Job:
    """A job that could be stored, small and quick to paint. `fields` are any of a job's: `params`, `status`, …"""
    known = backends.BACKENDS.get(backend)
    size = {} if known and known.paid else {"width": 64, "height": 64, "steps": 1}
    quick = {**size, "seed": 1}
    job = Job.new(backend=backend, prompt=prompt, params=quick, now=datetime.now(UTC))
    return job.having(**fields)


def make_lab(
    folder: Path,
    *,
    comfy_url: str | None = None,
    bfl_url: str | None = None,
    budget_usd: str = "5.00",
) -> Lab:
    """A lab in a folder, made when missing, that knows these services and no others, whatever the environment says.

    `comfy_url` may name several servers, comma-separated; without it nothing answers. The key is `KEY`;
    `budget_usd` is what paid pictures may cost on a day.
    Its .env.local says the same, so that a process started with ORCHESTRATOR_PATHS finds them too.
    """
    paths = Paths.init(folder)
    said = {
        "BFL_API_KEY": KEY,
        "BFL_BASE_URL": bfl_url or "http://127.0.0.1:9",
        "COMFY_URL": comfy_url or "http://127.0.0.1:9",
        "ORCHESTRATOR_BUDGET_PER_DAY": budget_usd,
        "ORCHESTRATOR_CONFIRM_ABOVE": "1.00",
    }
    lines = "".join(f"{name}={value}\n" for name, value in said.items())
    paths.env_file.write_text(lines, encoding="utf-8")
    settings = Settings(
        bfl_api_key=SecretStr(KEY),
        bfl_base_url=said["BFL_BASE_URL"],
        comfy_url=said["COMFY_URL"],
        orchestrator_budget_per_day=Decimal(budget_usd),
        orchestrator_confirm_above=Decimal("1.00"),
    )
    return Lab(paths, settings)
