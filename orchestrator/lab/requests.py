"""Asking for pictures: the request checked, its price told, its prompt worded, its job written."""

from __future__ import annotations

import asyncio
import contextlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from orchestrator import backends
from orchestrator.backends.flux import BFLParams
from orchestrator.connectors.comfyui import ComfyUI
from orchestrator.errors import (
    ImageNotFound,
    JobExists,
    ParamsInvalid,
)
from orchestrator.handles import JobHandle, Picture
from orchestrator.images import find_recipe
from orchestrator.jobs import Job, Resolved
from orchestrator.lab.core import Core
from orchestrator.recipes import ForeignRecipe, Recipe, repeated
from orchestrator.spending import Estimate, estimate
from orchestrator.translation import Wording
from orchestrator.workflows import SavedWorkflow


class Requests(Core):
    """The part of the lab that takes requests."""

    async def generate(
        self,
        prompt: str,
        *,
        backend: str = "sd15",
        hold: bool = False,
        priority: int = 0,
        confirm: bool = False,
        **params: Any,
    ) -> JobHandle:
        """Submit a job; a worker makes the picture. `params` are the backend's: steps, seed, width, …

        `confirm` agrees to what it costs, however much. Raises UnknownBackend, ParamsInvalid, InputInvalid,
        ConfirmationNeeded, DiskFull.
        """
        job = await asyncio.to_thread(
            self.submit,
            prompt,
            backend=backend,
            params=params,
            hold=hold,
            priority=priority,
            confirm=confirm,
        )
        return self._handle(job)

    async def image(self, prompt: str, **options: Any) -> Picture:
        """Submit a job and wait for its first picture; takes what `generate` takes. Raises JobFailed as well."""
        return await (await self.generate(prompt, **options)).picture()

    def submit(
        self,
        prompt: str,
        *,
        backend: str = "sd15",
        params: dict[str, Any] | None = None,
        hold: bool = False,
        priority: int = 0,
        literal: bool = False,
        resolved: Resolved | None = None,
        confirm: bool = False,
    ) -> Job:
        """Submit a job, blocking for some milliseconds, or for as long as a translation takes; see `generate`.

        `literal`: the prompt is sent as it stands, and so is the negative prompt: no styles, wildcards, translation.
        `resolved`: what is sent instead, decided before.
        A draft needs no `confirm`: to run it is one.
        """
        seeded, parsed = self._checked(prompt, backend, params)
        if not hold:
            said = self._estimate(self.catalogue.get(backend), parsed)
            self.budget.confirm([said], confirmed=confirm)
        return self._create(
            self.job_of(
                prompt,
                backend=backend,
                params=seeded,
                parsed=parsed,
                hold=hold,
                priority=priority,
                literal=literal,
                resolved=resolved,
            )
        )

    def job_of(
        self,
        prompt: str,
        *,
        backend: str,
        params: Mapping[str, Any],
        parsed: backends.Params,
        hold: bool = False,
        priority: int = 0,
        literal: bool = False,
        resolved: Resolved | None = None,
        batch: str | None = None,
        id: str | None = None,
    ) -> Job:
        """The job that a checked request becomes, its prompt worded; nothing is stored. See `submit`.

        `params` have a seed, `parsed` is what they were understood as.
        """
        wording = None if literal or resolved else self._wording(prompt, parsed)
        job = Job.new(
            backend=backend,
            prompt=prompt,
            params=params,
            now=self.store.now(),
            hold=hold,
            priority=priority,
            workflow=self._kept_workflow(backend),
            resolved=wording.resolved if wording else resolved,
            batch=batch,
            id=id,
        )
        for note in wording.notes if wording else ():
            job = job.logged(f"[lab] {note}")
        return job

    def submit_workflow(
        self,
        document: bytes,
        *,
        name: str,
        prompt: str,
        params: dict[str, Any] | None = None,
        literal: bool = False,
    ) -> Job:
        """Submit a job for a workflow in API format that need not be a file, as it is now; blocks like `submit`.

        `name` is what the job says its backend is. Raises SavedWorkflowInvalid, ParamsInvalid, DiskFull.
        """
        saved = SavedWorkflow.read(orjson.loads(document), name=name)
        backend = saved.backend()
        seeded = dict(params or {})
        if "seed" in backend.params.model_fields:
            seeded = backends.with_seed(seeded, backend, self._rng)
        parsed = backends.parse(backend, seeded)
        wording = None if literal else self._wording(prompt, parsed)
        job = Job.new(
            backend=name,
            prompt=prompt,
            params=seeded,
            now=self.store.now(),
            workflow=self.store.blobs.put(document),
            resolved=wording.resolved if wording else None,
        )
        return self._create(job)

    def _checked(
        self, prompt: str, backend: str, params: dict[str, Any] | None
    ) -> tuple[dict[str, Any], backends.Params]:
        """The parameters of a request, with a seed, as given and as understood."""
        if not prompt.strip():
            raise ParamsInvalid("The prompt is empty", remedy="Say what the picture should show.")
        chosen = self.catalogue.get(backend)
        seeded = params or {}
        if "seed" in chosen.params.model_fields:  # a saved workflow may have none
            seeded = backends.with_seed(seeded, chosen, self._rng)
        parsed = backends.parse(chosen, seeded)
        for name in ("image", "mask"):  # told now what is wrong with it: the worker reads it again
            if (image := getattr(parsed, name, None)) and chosen.service == ComfyUI.service:
                from orchestrator import inputs

                inputs.check(image, paths=self.paths, limits=self.limits)
        return seeded, parsed

    def _kept_workflow(self, backend: str) -> str | None:
        """A saved workflow as it is now, kept for the job: the file may be changed before it runs."""
        saved = self.catalogue.saved(backend)
        return self.store.blobs.put(saved.data) if saved else None

    def _wording(self, prompt: str, params: backends.Params) -> Wording:
        seed: int | None = getattr(params, "seed", None)  # a saved workflow may have none
        return self.phrasebook.wording(
            prompt,
            seed=self._rng.randint(0, backends.MAX_CHOSEN_SEED) if seed is None else seed,
            negative_prompt=getattr(params, "negative_prompt", None),
            styles=params.styles,
        )

    def preview_prompt(
        self,
        prompt: str,
        *,
        backend: str = "sd15",
        params: dict[str, Any] | None = None,
        seed: int | None = None,
    ) -> Wording:
        """What `submit` would send for a prompt, with a seed of its own choice when none is given. Blocks like it.

        Raises UnknownBackend, ParamsInvalid, TranslationFailed.
        """
        asked = dict(params or {}) if seed is None else {**(params or {}), "seed": seed}
        return self._wording(prompt, self._checked(prompt, backend, asked)[1])

    def _create(self, job: Job) -> Job:
        try:
            return self.store.create(job)
        except OSError:  # a network drive may have done it and said no: the id tells
            with contextlib.suppress(JobExists):
                return self.store.create(job)
            return self.store.get(job.id)

    def duplicate(self, job_id: str) -> Job:
        """A draft that asks for the same as a job did, seed and all, whatever has become of wildcard files since.

        Raises JobNotFound, UnknownBackend, …
        """
        job = self._found(job_id)
        seeded, _ = self._checked(job.prompt, job.backend, job.params)
        return self._create(
            Job.new(
                backend=job.backend,
                prompt=job.prompt,
                params=seeded,
                now=self.store.now(),
                hold=True,
                priority=job.priority,
                workflow=job.workflow,
                resolved=job.resolved,
            )
        )

    def recipe(self, path: Path | str) -> Recipe | ForeignRecipe | None:
        """How a picture was made, by the lab, ComfyUI, AUTOMATIC1111 or a program that writes as they do.

        `path`: of any file, or the name of one in dropOut or dropIn. None when it does not say. Raises ImageNotFound.
        """
        named = Path(path)
        for place in (named, self.paths.drop_out / named, self.paths.drop_in / named):
            if place.is_file():
                return find_recipe(place)
        raise ImageNotFound(
            f"There is no file {str(path)[:200]!r}, nor in dropOut or dropIn",
            remedy="Name the file in full; `orchestrator paths` shows where dropOut is.",
        )

    async def again(
        self,
        path: Path | str,
        *,
        hold: bool = False,
        priority: int = 0,
        confirm: bool = False,
        **changes: Any,
    ) -> JobHandle:
        """Submit a job that makes a picture once more, as its `recipe` says, with `changes`: seed, steps, prompt, …

        The same seed, size and words on the same checkpoint give the same pixels where the service is deterministic.
        A parameter changed to None is chosen anew; `backend` may be changed as well. What cannot be as it was is told
        as a warning. Raises ImageNotFound, ParamsInvalid, UnknownBackend and what `generate` does.
        """
        found = await asyncio.to_thread(self.recipe, path)
        if found is None:
            raise ParamsInvalid(
                f"{Path(path).name} does not say how it was made",
                remedy="Pictures of the lab, ComfyUI and AUTOMATIC1111 do, unless another program saved them anew.",
            )
        repeat = repeated(found, changes)
        for note in repeat.notes:
            warnings.warn(note, stacklevel=2)
        job = await asyncio.to_thread(
            self.submit,
            repeat.prompt,
            backend=repeat.backend,
            params=repeat.params,
            hold=hold,
            priority=priority,
            literal=repeat.literal,
            resolved=repeat.resolved,
            confirm=confirm,
        )
        return self._handle(job)

    def estimate(
        self, prompt: str, *, backend: str = "sd15", params: dict[str, Any] | None = None
    ) -> Estimate:
        """What a request is going to cost; nothing is sent or stored.

        Raises UnknownBackend, ParamsInvalid, InputInvalid.
        """
        return self._estimate(
            self.catalogue.get(backend), self._checked(prompt, backend, params)[1]
        )

    def _estimate(self, backend: backends.Backend, params: backends.Params) -> Estimate:
        from orchestrator.attempts.bfl import size_of

        names = params.images() if isinstance(params, BFLParams) else []
        sizes = [size_of(self._load_input(name), name=name) for name in names]
        return estimate(backend, params, images=sizes)
