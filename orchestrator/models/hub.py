"""What Hugging Face says of a file, and where its bytes are. All use of huggingface_hub is here.

huggingface_hub 2 keeps no beginning of a download: its temporary file has a name of its own each time and is
removed on an error, so that a large model would start anew after every broken connection. It is therefore asked
for all but the bytes: addresses, metadata, tokens, errors and the layout of its cache.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from orchestrator.errors import (
    HubBroken,
    HubBusy,
    HubUnreachable,
    ModelError,
    ModelForbidden,
    ModelGated,
    ModelNotFound,
)
from orchestrator.jobs import one_line
from orchestrator.settings import Settings

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

DEFAULT_ENDPOINT = "https://huggingface.co"
SHA256 = re.compile(r"[0-9a-f]{64}")
AGENT = "orchestrator-lab"
HEAD_TIMEOUT_S = 30.0
MAX_SAID = 200  # letters of a server's own words


@dataclass(frozen=True, slots=True)
class Source:
    """A file of a repository, as asked for."""

    repo: str
    file: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{self.repo}:{self.file}"


@dataclass(frozen=True, slots=True)
class Remote:
    """A file as the server describes it. `headers` may hold a token: never shown."""

    source: Source
    commit: str
    etag: str
    size: int
    url: str
    headers: dict[str, str] = field(repr=False)

    @property
    def sha256(self) -> str | None:
        """The digest of the content; None for the rare file that is not stored as a large one."""
        return self.etag if SHA256.fullmatch(self.etag) else None


class Hub:
    """Hugging Face, or the mirror at HF_ENDPOINT, with the token of HF_TOKEN or of `hf auth login`."""

    def __init__(self, settings: Settings, cache: Path) -> None:
        from huggingface_hub import get_token

        self.endpoint = (settings.hf_endpoint or DEFAULT_ENDPOINT).rstrip("/")
        self.cache = cache
        token = settings.hf_token.get_secret_value() if settings.hf_token is not None else None
        self._token = token or get_token()

    def describe(self, source: Source) -> Remote:
        """Ask for a file's commit, size and digest. Raises the ModelError that fits."""
        from huggingface_hub import get_hf_file_metadata, hf_hub_url

        with self._told(source.repo, source.file):
            address = hf_hub_url(
                source.repo, source.file, revision=source.revision, endpoint=self.endpoint
            )
            found = get_hf_file_metadata(
                address, token=self._token, timeout=HEAD_TIMEOUT_S, endpoint=self.endpoint
            )
        if not found.commit_hash or not found.etag or not found.size:
            raise HubBroken(
                f"{self._host} does not describe {source} as Hugging Face does",
                remedy="Set HF_ENDPOINT to a mirror of Hugging Face, or unset it.",
            )
        if not re.fullmatch(r"[\w.-]+", found.etag) or not re.fullmatch(r"\w+", found.commit_hash):
            raise HubBroken(f"{self._host} names {source} in a way that no file can be named")
        headers = {"user-agent": AGENT}
        if self._token and self._is_hub(found.location):
            # else it is the address of a store, signed for us: the token is no business of its
            headers["authorization"] = f"Bearer {self._token}"
        return Remote(source, found.commit_hash, found.etag, found.size, found.location, headers)

    def weights(self, repo: str, *, revision: str) -> list[str]:
        """The names of a repository's safetensors files. Raises the ModelError that fits."""
        from huggingface_hub import HfApi

        with self._told(repo):
            api = HfApi(endpoint=self.endpoint, token=self._token)
            names = api.list_repo_files(repo, revision=revision)
        return sorted(name for name in names if name.endswith(".safetensors"))

    def blob(self, remote: Remote) -> Path:
        """Where Hugging Face's cache keeps the content, whether or not it is there."""
        return self._folder(remote.source) / "blobs" / remote.etag

    def enter(self, remote: Remote) -> None:
        """Make the cache's own entry for a blob that is there, so that other programs find it too."""
        folder = self._folder(remote.source)
        pointer = folder / "snapshots" / remote.commit / Path(*remote.source.file.split("/"))
        try:
            pointer.parent.mkdir(parents=True, exist_ok=True)
            if not pointer.exists():
                pointer.unlink(missing_ok=True)
                pointer.symlink_to(os.path.relpath(self.blob(remote), pointer.parent))
            reference = folder / "refs" / Path(*remote.source.revision.split("/"))
            if remote.source.revision != remote.commit:
                reference.parent.mkdir(parents=True, exist_ok=True)
                reference.write_text(remote.commit, "utf-8")
        except OSError:
            return  # no symbolic links here: the cache is less useful to others, and that is all

    def _folder(self, source: Source) -> Path:
        from huggingface_hub.file_download import repo_folder_name

        return self.cache / repo_folder_name(repo_id=source.repo, repo_type="model")

    @property
    def _host(self) -> str:
        return urlsplit(self.endpoint).netloc

    def _is_hub(self, url: str) -> bool:
        hosts = {urlsplit(self.endpoint)[:2], urlsplit(DEFAULT_ENDPOINT)[:2]}
        return urlsplit(url)[:2] in hosts

    @contextmanager
    def _told(self, repo: str, file: str | None = None) -> Iterator[None]:
        """huggingface_hub's errors, and those of whichever HTTP library it uses, as ours."""
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            OfflineModeIsEnabled,
        )

        # Its HTTP library changed twice (requests, httpx, httpx2); the common base of its errors did not.
        transport = cast("tuple[type[Exception], ...]", HfHubHTTPError.__bases__)
        try:
            yield
        except OfflineModeIsEnabled as error:
            raise HubUnreachable(
                "huggingface_hub is told to stay offline", remedy="Unset HF_HUB_OFFLINE."
            ) from error
        except HFValidationError as error:
            raise ModelNotFound(
                f"{one_line(repo)[:MAX_SAID]} is no name of a repository",
                remedy="Write it as OWNER/REPO:FILE.",
            ) from error
        except HfHubHTTPError as error:
            raise self._refusal(error, repo, file) from error
        except transport as error:
            raise HubUnreachable(f"{self._host} does not answer: {type(error).__name__}") from error

    def _refusal(self, error: HfHubHTTPError, repo: str, file: str | None) -> ModelError:
        status = error.response.status_code
        code = error.response.headers.get("x-error-code", "")
        what = f"{repo}:{file}" if file else repo
        return refusal(status, code=code, repo=repo, what=what, has_token=self._token is not None)


def refusal(
    status: int, *, code: str, repo: str, what: str, has_token: bool, wait_s: float | None = None
) -> ModelError:
    """The error for a status code of Hugging Face; `code` is its X-Error-Code."""
    page = f"{DEFAULT_ENDPOINT}/{repo}"
    if code == "GatedRepo" or (status == 403 and has_token):
        then = "set HF_TOKEN in .env.local" if not has_token else "run the same command again"
        return ModelGated(
            f"{what} is given only to those who have accepted its licence",
            remedy=f"Sign in at {page}, accept the licence there, then {then} "
            "(a token is made at huggingface.co/settings/tokens; it needs read access to gated repositories).",
        )
    if status == 401 and has_token and code != "RepoNotFound":
        return ModelForbidden()
    if status in {401, 403, 404, 410}:
        # without a token it answers 401 for what does not exist, to tell nobody what is private
        hint = "" if has_token else ", or it is private and needs HF_TOKEN"
        kind = {"EntryNotFound": "file", "RevisionNotFound": "revision"}.get(
            code, "repository or file"
        )
        return ModelNotFound(f"Hugging Face has no such {kind}{hint}: {what}")
    if status == 429:
        later = f"; it asks to wait {wait_s:.0f} s" if wait_s else ""
        return HubBusy(f"Hugging Face takes no more requests for now{later}")
    return HubBroken(f"Hugging Face answered with {status} for {what}")
