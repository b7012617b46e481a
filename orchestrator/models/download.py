"""Fetch model files from Hugging Face: resumable, verified, and in their folder only when they are whole.

    pulls = Puller(paths, settings)
    for wanted in pulls.wanted("sdxl"):
        plan = pulls.plan(wanted)
        pulls.pull(plan, progress)

Bytes go to hfCache, in the layout of Hugging Face's own cache, as `blobs/DIGEST.incomplete`, which outlives a broken
connection and a killed process. When the SHA-256 and the header are right the blob gets its name there, and appears
in modelsRoot as a hard link; where the two are on different disks it is moved.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from orchestrator.errors import (
    DiskFull,
    ModelCorrupt,
    ModelExists,
    ModelNotFound,
    ModelUnknown,
)
from orchestrator.files import DISK
from orchestrator.jobs import one_line
from orchestrator.models import hashes, transfer
from orchestrator.models.families import Kind
from orchestrator.models.faults import Fault
from orchestrator.models.file import SAFE, ModelFile, verify
from orchestrator.models.hub import Hub, Remote, Source
from orchestrator.models.known import KNOWN, Known
from orchestrator.models.places import places
from orchestrator.models.placing import Progress, alone, free_bytes, place, size_text, sync
from orchestrator.paths import Paths, inside
from orchestrator.settings import Settings

REPO_FILE = re.compile(r"^(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?(:(?P<file>.+))?$")
SPARE_BYTES = 64 << 20  # that a download leaves on the disk
PART = ".incomplete"  # what Hugging Face's own tools take for a beginning, and remove with `hf cache prune`
FOLDERS = {
    Kind.CHECKPOINT: "checkpoints",
    Kind.DIFFUSION_MODEL: "diffusion_models",
    Kind.LORA: "loras",
    Kind.VAE: "vae",
    Kind.TEXT_ENCODER: "text_encoders",
    Kind.CLIP_VISION: "clip_vision",
    Kind.UPSCALER: "upscale_models",
    Kind.CONTROLNET: "controlnet",
    Kind.EMBEDDING: "embeddings",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file somebody asked for. `folder` None is decided by what it turns out to be."""

    source: Source
    folder: str | None
    known: Known | None = None

    @property
    def name(self) -> str:
        """The file's name in its folder."""
        return PurePosixPath(self.source.file).name


@dataclass(frozen=True, slots=True)
class Plan:
    """What a pull would do. `remote` None: the file is there already, and nothing is asked or done."""

    wanted: Wanted
    target: Path | None  # None until it is known what the file is
    remote: Remote | None
    have_bytes: int  # of the download, from before
    free_bytes: int

    @property
    def is_present(self) -> bool:
        """Whether there is nothing to do."""
        return self.remote is None

    @property
    def missing_bytes(self) -> int:
        """How many bytes are to be fetched."""
        return 0 if self.remote is None else self.remote.size - self.have_bytes


@dataclass(frozen=True, slots=True)
class Pulled:
    """A model that is in its folder. `fetched_bytes` 0: it was there already."""

    file: ModelFile
    sha256: str | None
    fetched_bytes: int


class Puller:
    """Fetches models into modelsRoot."""

    def __init__(
        self,
        paths: Paths,
        settings: Settings,
        *,
        pause: Callable[[float], None] | None = None,
        free: Callable[[Path], int] | None = None,
    ) -> None:
        self._paths = paths
        self._hub = Hub(settings, paths.hf_cache)
        self._hashes = hashes.Hashes(paths)
        self._pause = pause
        self._free = free or free_bytes

    def wanted(self, name: str, *, to: str | None = None) -> list[Wanted]:
        """The files that a name stands for: a known short name and what it needs, or OWNER/REPO[@REVISION][:FILE].

        `to` is a folder below modelsRoot. Raises ModelUnknown, ModelNotFound, PathOutside, or what the Hub says.
        """
        if to is not None:
            inside(self._paths.models_root, to)
        if known := KNOWN.get(name.strip().lower()):
            first = Wanted(Source(known.repo, known.file), to or known.folder, known)
            needs = [KNOWN[need] for need in known.needs]
            return [first, *(Wanted(Source(k.repo, k.file), k.folder, k) for k in needs)]
        return [Wanted(self._source(name), to)]

    def plan(self, wanted: Wanted) -> Plan:
        """Find out what there is to do. Asks the Hub unless the file is there, whole and known as pulled from there.

        Raises ModelExists when another file is in its place, ModelCorrupt when the Hub's file is not the known one.
        """
        target = self._target(wanted.folder, wanted.name)
        free = self._free(self._paths.hf_cache)
        if target is not None and self._is_pulled(target, wanted):
            return Plan(wanted, target, None, 0, free)
        remote = self._described(wanted)
        if target is not None and self._is_present(target, wanted, remote):
            return Plan(wanted, target, None, 0, free)
        have = _size(self._hub.blob(remote)) or _size(self._part(remote))
        return Plan(wanted, target, remote, min(have, remote.size), free)

    def pull(self, plan: Plan, progress: Progress = lambda *_: None) -> Pulled:
        """Do it. Can be interrupted anywhere, killed even, and done again.

        Raises the ModelError that fits, DiskFull, OSError. What has arrived is kept, unless it is not the right file.
        """
        if plan.remote is None:
            assert plan.target is not None, "what is present has a place"
            return Pulled(verify(plan.target), self._hashes.remembered(plan.target), 0)
        blob = self._hub.blob(plan.remote)
        blob.parent.mkdir(parents=True, exist_ok=True)
        with alone(blob):
            self._check_space(plan)
            fetched = self._fill(plan, blob, progress)
            found = self._checked(plan, blob)
            target = plan.target or self._target(self._folder(found), plan.wanted.name)
            assert target is not None, "a folder was found"
            if plan.target is None and target.exists() and not self._may_replace(target):
                raise _other(target)
            self._hub.enter(plan.remote)
            place(blob, target, progress)
        source = f"{plan.remote.source.repo}@{plan.remote.commit}:{plan.remote.source.file}"
        if digest := plan.remote.sha256:
            self._hashes.remember(target, digest, source=source)
        return Pulled(replace(found, path=target), plan.remote.sha256, fetched)

    def hint(self, target: Path) -> str | None:
        """What is to be done for ComfyUI to see the file, or None if it does or is not here."""
        if self._paths.comfy_root is None:
            return None
        seen = [place.path.resolve() for place in places(self._paths) if place.seen_by_comfyui]
        if any(target.resolve().is_relative_to(folder) for folder in seen):
            return None
        kind = target.relative_to(self._paths.models_root).parts[0]
        return (
            f"ComfyUI does not look there. Let it, in {self._paths.comfy_root / 'extra_model_paths.yaml'}:\n"
            f"lab:\n    base_path: {self._paths.models_root}\n    {kind}: {kind}"
        )

    # ------------------------------------------------------------ what is asked for

    def _source(self, name: str) -> Source:
        match = REPO_FILE.match(name.strip())
        if match is None:
            near = ", ".join(KNOWN)
            raise ModelUnknown(f"No model is known as {one_line(name)[:100]!r}; known are {near}")
        repo, file, revision = match["repo"], match["file"], match["revision"] or "main"
        if file is None:
            file = self._only_file(repo, revision)
        parts = file.split("/")
        if not file.isprintable() or "\\" in file or any(part in {"", ".", ".."} for part in parts):
            raise ModelUnknown(f"{one_line(file)[:100]!r} is no name of a file in a repository")
        if PurePosixPath(file).suffix.lower() not in SAFE:
            raise ModelUnknown(
                f"{one_line(file)[:100]} is not a safetensors file",
                remedy="Only safetensors files are pulled: the other formats can carry code. "
                "Look for a safetensors version of the model.",
            )
        return Source(repo, file, revision)

    def _only_file(self, repo: str, revision: str) -> str:
        names = self._hub.weights(repo, revision=revision)
        top = [name for name in names if "/" not in name] or names
        if not top:
            raise ModelNotFound(
                f"{repo} has no safetensors file", remedy="Choose another repository."
            )
        if len(top) > 1:
            raise ModelUnknown(
                f"{repo} has several files: {', '.join(one_line(name) for name in top[:20])}",
                remedy=f"Name one, as {repo}:{top[0]}",
            )
        return top[0]

    def _described(self, wanted: Wanted) -> Remote:
        remote = self._hub.describe(wanted.source)
        expected = wanted.known.sha256 if wanted.known is not None else None
        if expected is not None and remote.sha256 != expected:
            raise ModelCorrupt(
                f"{self._hub.endpoint} offers another {wanted.name} than the one that was published",
                remedy="If HF_ENDPOINT is set, do not trust that mirror. Else the model was republished: pull it as "
                f"{wanted.source} if you want the new one.",
            )
        return remote

    # ------------------------------------------------------------ what is there

    def _target(self, folder: str | None, name: str) -> Path | None:
        if folder is None:
            return None
        return inside(self._paths.models_root, f"{folder}/{name}")

    def _folder(self, found: ModelFile) -> str:
        if found.kind is None:
            raise ModelUnknown(
                f"{found.path.name} is whole, but it is not plain what kind of model it is",
                remedy="Say where it belongs with --to, such as --to loras; it need not be fetched again.",
            )
        return FOLDERS[found.kind]

    def _is_pulled(self, target: Path, wanted: Wanted) -> bool:
        """Whether the file is what an earlier pull put there: no question to the Hub, no hashing."""
        source = self._hashes.source(target)
        if source is None or wanted.source.revision not in {"main", source.partition("@")[2][:40]}:
            return False
        repo, _, rest = source.partition("@")
        same = (repo, rest.partition(":")[2]) == (wanted.source.repo, wanted.source.file)
        return same and verify(target).is_whole

    def _is_present(self, target: Path, wanted: Wanted, remote: Remote) -> bool:
        """Whether the right file is there by other means. Raises ModelExists when it is another good one."""
        if not target.exists():
            return False
        digest = remote.sha256
        if digest is not None and target.stat().st_size == remote.size:
            if self._hashes.of(target) == digest and verify(target).is_whole:
                source = f"{remote.source.repo}@{remote.commit}:{remote.source.file}"
                self._hashes.remember(target, digest, source=source)
                return True
            return False  # same length, other bytes: a damaged copy, which the pull replaces
        if self._may_replace(target):
            return False
        raise _other(target)

    def _may_replace(self, target: Path) -> bool:
        """A damaged file is what a pull is there to replace; a good one is somebody's."""
        fault = verify(target).fault
        return fault is not None and fault is not Fault.UNREADABLE

    # ------------------------------------------------------------ doing it

    def _part(self, remote: Remote) -> Path:
        blob = self._hub.blob(remote)
        return blob.with_name(blob.name + PART)

    def _check_space(self, plan: Plan) -> None:
        assert plan.remote is not None, "there is something to fetch"
        cache, root = self._paths.hf_cache, self._paths.models_root
        root.mkdir(parents=True, exist_ok=True)
        needs = {cache: plan.missing_bytes}
        if cache.stat().st_dev != root.stat().st_dev:
            needs[root] = plan.remote.size
        for folder, needed in needs.items():
            free = self._free(folder)
            if needed and free < needed + SPARE_BYTES:
                raise DiskFull(
                    f"{plan.wanted.name} needs {size_text(needed)} in {folder}; {size_text(free)} are free there",
                    remedy="Free some space, or put the folder on another disk in paths.json; then run it again.",
                )

    def _fill(self, plan: Plan, blob: Path, progress: Progress) -> int:
        """Make the blob, if it is not there: fetched, hashed and on the disk. Returns how many bytes came."""
        remote, part = plan.remote, blob.with_name(blob.name + PART)
        assert remote is not None, "there is something to fetch"
        if _size(blob) == remote.size:
            if self._is_right(blob, remote, progress):
                return 0
            blob.unlink()
        fetched = 0
        for _ in range(2):  # a beginning from before may be damaged: the second time there is none
            begun = _size(part)
            options = {} if self._pause is None else {"pause": self._pause}
            transfer.fetch(
                lambda: self._same(plan),
                part,
                lambda done, size: progress("download", done, size),
                **options,
            )
            fetched += remote.size - begun
            if self._is_right(part, remote, progress):
                sync(part)
                DISK.replace(part, blob)
                return fetched
            part.unlink()
            if not begun:
                break
        raise ModelCorrupt(
            f"The bytes of {plan.wanted.source} that arrived are not those that were published"
        )

    def _same(self, plan: Plan) -> Remote:
        """The file as it was planned, at today's address: another commit has another file."""
        assert plan.remote is not None, "there is something to fetch"
        source = replace(plan.wanted.source, revision=plan.remote.commit)
        found = self._hub.describe(source)
        if found.etag != plan.remote.etag:
            raise ModelCorrupt(f"{plan.wanted.source} changed on the server meanwhile")
        return found

    def _is_right(self, path: Path, remote: Remote, progress: Progress) -> bool:
        if path.stat().st_size != remote.size:
            return False
        if remote.sha256 is None:
            return True  # a small file, whose digest is one of Git's; its header is checked
        return (
            hashes.sha256(path, lambda done, size: progress("verify", done, size)) == remote.sha256
        )

    def _checked(self, plan: Plan, blob: Path) -> ModelFile:
        """The blob, looked at under the name it is to have. Raises ModelCorrupt."""
        found = verify(blob, named=plan.wanted.name)
        if found.problem is not None:
            raise ModelCorrupt(
                f"{plan.wanted.source} arrived as it was published, but it is damaged: {found.problem}",
                remedy="The fault is in the repository: choose another one.",
            )
        return found


def _other(target: Path) -> ModelExists:
    return ModelExists(f"Another file is in its place: {target}")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
