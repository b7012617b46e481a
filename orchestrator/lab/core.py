"""What every part of the lab rests on: its places, its settings, its store, its ledger."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

import orjson
import psutil

from orchestrator.catalogue import Catalogue
from orchestrator.handles import JobHandle
from orchestrator.jobs import Job
from orchestrator.ledger import Ledger
from orchestrator.models import Library
from orchestrator.offers import Offers
from orchestrator.paths import Paths
from orchestrator.settings import DEFAULT_COMFY_URL, Settings
from orchestrator.spending import Budget
from orchestrator.store import Store
from orchestrator.translation import Phrasebook

if TYPE_CHECKING:  # what a page does not need is imported when it is asked for
    from orchestrator.gallery import Gallery
    from orchestrator.health import ServiceHealth
    from orchestrator.inputs import Limits
    from orchestrator.lab import Lab


class Core:
    """The places, the settings and the parts of one lab."""

    def __init__(self, paths: Paths, settings: Settings) -> None:
        self.paths = paths
        self.settings = settings
        paths.create()
        self.store = Store(paths.jobs)
        self.ledger = Ledger(paths.data / "ledger.jsonl", now=self.store.now)
        self.budget = Budget(
            per_day=settings.orchestrator_budget_per_day,
            confirm_above=settings.orchestrator_confirm_above,
        )
        self.catalogue = Catalogue(paths.workflows)
        self._rng = random.SystemRandom()
        self._offers: tuple[float, Offers] | None = None

    @classmethod
    def open(cls, paths: Path | str | None = None, *, cluster: str | None = None) -> Self:
        """The lab of a paths.json, or of the folder that has one; by default the one `Paths.find` finds.

        `cluster`: the Dask scheduler whose workers run the ComfyUI jobs, "tcp://HOST:PORT", in place of
        ORCHESTRATOR_CLUSTER. Raises ConfigError and its kinds.
        """
        if paths is None:
            found = Paths.find()
        else:
            path = Path(paths)
            found = Paths.load(path / "paths.json" if path.is_dir() else path)
        return cls(found, Settings.load(found).on_cluster(cluster))

    def close(self) -> None:
        """Close files."""
        self.store.close()
        self.ledger.close()
        if "gallery" in vars(self):
            self.gallery.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.paths.file)!r})"

    def _found(self, job_id: str) -> Job:
        self.store.refresh()
        return self.store.get(self.store.resolve(job_id))

    def _handle(self, job: Job) -> JobHandle:
        return JobHandle(cast("Lab", self), job)  # only whole labs are made

    @cached_property
    def phrasebook(self) -> Phrasebook:
        """The wildcards, styles and translations of the lab."""
        return Phrasebook(self.paths.data, translate=self.settings.orchestrator_translate)

    @cached_property
    def gallery(self) -> Gallery:
        """The pictures in dropOut, and what is known of them."""
        from orchestrator.gallery import Gallery

        return Gallery(self.paths)

    @cached_property
    def library(self) -> Library:
        """The model files of this machine."""
        return Library(self.paths)

    def comfy_hosts(self) -> list[str]:
        """The ComfyUI servers of the lab: those of COMFY_URL, else the embedded engine that is running, else the
        usual port. None on a cluster, whose workers alone reach theirs."""
        if self.settings.orchestrator_cluster is not None:
            return []
        if self.settings.comfy_urls:
            return self.settings.comfy_urls
        engine = self._engine_url()
        return [engine] if engine else [DEFAULT_COMFY_URL]

    @property
    def cluster_look(self) -> Callable[[], Awaitable[ServiceHealth]] | None:
        """What looks at the cluster that the ComfyUI jobs run on; None where there is none."""
        if (address := self.settings.orchestrator_cluster) is None:
            return None
        from orchestrator.cluster import looking

        return partial(looking.health, address)

    @property
    def _engine_file(self) -> Path:
        return self.paths.data / "engine.json"

    def _engine_url(self) -> str | None:
        try:
            said = orjson.loads(self._engine_file.read_bytes())
            return str(said["url"]) if psutil.pid_exists(int(said["pid"])) else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _noted_engine(self) -> str | None:
        """The address of the embedded engine, which it keeps while it is being started again."""
        try:
            return str(orjson.loads(self._engine_file.read_bytes())["url"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @cached_property
    def limits(self) -> Limits:
        """How large an input picture may be."""
        from orchestrator.inputs import Limits

        return Limits.of(self.settings)

    def _load_input(self, name: str) -> bytes:
        from orchestrator import inputs

        return inputs.load(name, paths=self.paths, limits=self.limits).data
