"""A picture on its way to a ComfyUI server: the body of POST /upload/image, and what its answer means."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from orchestrator.connectors.http import Reply, shown
from orchestrator.errors import RequestRejected, ServiceBroken

# of the server's input folder: what is ours can be found, and cleared away
SUBFOLDER = "orchestrator"
MAX_NAME = 120  # characters

UNSAFE = re.compile(r"[^\w.()+@ -]", re.ASCII)


@dataclass(frozen=True)
class Upload:
    """One multipart request."""

    name: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)

    @staticmethod
    def of(data: bytes, *, name: str) -> Upload:
        """The request for a picture. The server is asked to replace nothing of another content."""
        name = safe_name(name)
        request = httpx.Request(
            "POST",
            "http://upload",
            data={"type": "input", "subfolder": SUBFOLDER, "overwrite": "false"},
            files={"image": (name, data, "application/octet-stream")},
        )
        return Upload(name, request.read(), {"content-type": request.headers["content-type"]})

    def refusal(self, reply: Reply) -> RequestRejected:
        """The error for a picture that the server does not take."""
        told = f"{reply.service} at {reply.host} answered {reply.status}"
        if reply.status == 413:
            return RequestRejected(
                f"{told}: the picture {self.name} ({len(self.body) / 2**20:.1f} MB) is too large for it",
                remedy="Use a smaller picture, or start ComfyUI with a larger --max-upload-size "
                "(and look at the limit of a proxy in front of it).",
            )
        return RequestRejected(
            f"{told}: it does not take the picture {self.name}",
            remedy="Give the picture another name, such as input.png, and try again.",
        )


def safe_name(name: str) -> str:
    """The last part of a name, in characters that every file system and every header bears."""
    last = re.split(r"[/\\]", name)[-1]
    stem, dot, suffix = UNSAFE.sub("_", last).strip(" .").rpartition(".")
    if not dot:
        stem, suffix = suffix, "png"
    return f"{stem[:MAX_NAME] or 'image'}.{suffix[:10]}"


def stored_name(answer: Mapping[str, Any]) -> str:
    """What LoadImage takes for the file that the answer names. Raises ServiceBroken.

    LoadImage joins its value to the input folder, so that a subfolder stands before the name. A folder or a name that
    leads elsewhere, or would be read as a mark of another folder (`x [output]`), is no answer to an upload.
    """
    match answer:
        case {"name": str(name), "subfolder": str(subfolder), "type": "input"}:
            value = "/".join(part for part in (subfolder.replace("\\", "/"), name) if part)
            parts = value.split("/")
            inside = "" not in parts and ".." not in parts and ":" not in value
            if name and value.isprintable() and inside and not value.endswith("]"):
                return value
    raise ServiceBroken(
        f"What answers for ComfyUI does not say where it put the picture: {shown(str(dict(answer)))}"
    )
