"""Many jobs at once: grids, and the batches they become."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from orchestrator.batch import Batch, Plan
from orchestrator.batch import files as row_files
from orchestrator.batch.plan import Planned
from orchestrator.batch.rows import (
    PROMPT,
    Row,
    checked_name,
    name_of,
    plain,
    rows,
    seed_of,
    split,
)
from orchestrator.errors import OrchestratorError, RequestInvalid
from orchestrator.jobs import Status
from orchestrator.lab.requests import Requests

if TYPE_CHECKING:
    from orchestrator.lab import Lab

TIMED = 50  # of the newest jobs of a backend, to reckon how long the next ones take


class Batches(Requests):
    """The part of the lab that takes many requests as one."""

    def grid(
        self,
        prompt: str | Sequence[str] | None = None,
        *,
        backend: str | Sequence[str] = "sd15",
        name: str | None = None,
        together: Sequence[Sequence[str]] = (),
        rows_from: Path | str | Iterable[Mapping[str, Any] | str] | None = None,
        priority: int = 0,
        **params: Any,
    ) -> Plan:
        """A batch of jobs, one for each combination of values: every parameter with several values is an axis.

            plan = lab.grid(["a cat", "a dog"], cfg=[4, 7], seed=range(4))   # 16 jobs
            batch = await plan.run()
            await batch.wait()

        Nothing is submitted before `plan.run()`. The same grid is the same batch: run again, it makes only what is
        missing. `name` names the batch; further values under the same name are added to it. `together`: axes that
        advance at once, as `[("width", "height")]`. `rows_from`: a CSV, Excel, JSONL, JSON or text file, or rows or
        prompts, each of which goes through the whole grid. Without a seed all rows have the same one, so that only
        the axes make a difference. Raises UnknownBackend, ParamsInvalid, RequestInvalid, InputInvalid.
        """
        asked = {"prompt": prompt, "backend": backend, **params}
        axes, fixed = split({key: value for key, value in asked.items() if value is not None})
        table = _table(rows_from)
        called = (
            name_of({"axes": axes, "fixed": fixed, "together": together, "table": table})
            if name is None
            else checked_name(name)
        )
        default = str(fixed.pop("backend", "sd15"))
        all_rows = list(rows(axes, fixed, together=together, table=table, backend=default))
        planned = {row.id(called): row for row in all_rows}
        checked = [self._plan(row, row_id, called) for row_id, row in planned.items()]
        columns = {
            key: _in_order(row[key] for row in table or () if key in row) for key in _keys(table)
        }
        return Plan(
            cast("Lab", self),  # only whole labs are made
            name=called,
            axes={**columns, **axes},
            rows=checked,
            same=len(all_rows) - len(planned),
            seconds=self._seconds([row for row in checked if row.is_missing]),
            priority=priority,
        )

    def batch(self, name: str) -> Batch:
        """A batch by its name. Raises JobNotFound."""
        return Batch.find(cast("Lab", self), name)

    def batches(self) -> list[Batch]:
        """Every batch, the newest first."""
        return Batch.all(cast("Lab", self))

    def _plan(self, row: Row, row_id: str, batch: str) -> Planned:
        asked = {"seed": seed_of(batch), **row.params}
        try:
            backend = self.catalogue.get(row.backend)
            if "seed" not in backend.params.model_fields:
                del asked["seed"]
            params, parsed = self._checked(row.prompt, row.backend, asked)
            estimate = self._estimate(backend, parsed)
        except OrchestratorError as error:
            where = ", ".join(f"{key}={value}" for key, value in row.at.items())
            if not where or not isinstance(error, RequestInvalid):
                raise
            raise RequestInvalid(
                f"{error.message} (in the row {where[:200]})", remedy=error.remedy
            ) from error
        job = self.store.many([row_id]).get(row_id)
        return Planned(row=row, id=row_id, params=params, parsed=parsed, estimate=estimate, job=job)

    def _seconds(self, missing: Sequence[Planned]) -> float | None:
        """How long the rows may take, by what their backends took; None when one of them was never timed."""
        total = 0.0
        for name in {row.row.backend for row in missing}:
            jobs, _ = self.store.page(status=Status.DONE, backend=name, limit=TIMED)
            took = [
                (job.finished_at - job.attempts[-1].started_at).total_seconds()
                for job in jobs
                if job.finished_at and job.attempts
            ]
            if not took:
                return None
            at_once = len(self.comfy_hosts()) if self.catalogue.service_of(name) == "comfyui" else 1
            count = sum(row.row.backend == name for row in missing)
            total += statistics.median(took) * count / max(1, at_once)
        return total


def _table(
    rows_from: Path | str | Iterable[Mapping[str, Any] | str] | None,
) -> list[dict[str, Any]] | None:
    if rows_from is None:
        return None
    if isinstance(rows_from, Path | str):
        return row_files.read(Path(rows_from))
    return [{PROMPT: row} if isinstance(row, str) else plain("A row", row) for row in rows_from]


def _keys(table: list[dict[str, Any]] | None) -> list[str]:
    return _in_order(key for row in table or () for key in row)


def _in_order(values: Iterable[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if value not in found:
            found.append(value)
    return found
