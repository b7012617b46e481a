"""What the monitor writes of one event: a section of Markdown, and a line of JSON. No text from outside can make
either look like more than one entry."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator.diagnosis import Diagnosis
from orchestrator.jobs import Failure, Job, Status
from orchestrator.logs import Redactor

MAX_PROMPT, MAX_TEXT = 200, 600  # characters
# what begins something in Markdown or HTML; an underscore only where it is not inside a word
MARKUP = re.compile(r"[\\`*\[\]<>#|~&!{}]|(?<![^\W_])_|_(?![^\W_])")
UNKNOWN = "unknown"  # the status of a job before it was first seen


@dataclass(frozen=True)
class Entry:
    """One event. `story` is empty for what only programs need."""

    story: str
    document: Mapping[str, Any]


class Writing:
    """Makes entries whose texts are safe: one line each, without keys, without markup, not too long."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor

    def job(
        self,
        job: Job,
        *,
        at: datetime,
        old: str,
        new: str,
        failure: Failure | None,
        diagnosis: Diagnosis | None,
    ) -> Entry:
        """A job whose status changed; `failure` with its `diagnosis`, where there is one."""
        rows = [
            f"**Old Status:** {self._shown(old)}",
            f"**New Status:** {self._shown(new)}",
            f"**Backend:** {self._shown(job.backend)}",
            f'**Prompt:** "{self._shown(job.prompt, MAX_PROMPT)}"',
        ]
        document: dict[str, Any] = {
            "at": at.isoformat(),
            "event": "job",
            "job": job.id,
            "revision": job.revision,
            "attempts": len(job.attempts),
            "old": self._plain(old),
            "new": self._plain(new),
            "backend": self._plain(job.backend),
            "prompt": self._plain(job.prompt, MAX_PROMPT),
        }
        advice = []
        if failure is not None:
            kind, message = self._plain(failure.kind, 60), self._plain(failure.message)
            rows.append(f"**❌ Error:** {self._shown(failure.message)}")
            document["error"] = {"kind": kind, "message": message}
        if diagnosis is not None:
            step = diagnosis.step
            if job.status is Status.QUEUED and failure is not None:
                step = "Nothing to do yet: it is tried again by itself"
            document |= {
                "diagnosis": self._plain(diagnosis.cause),
                "fix": self._plain(diagnosis.remedy),
                "rule": diagnosis.rule,
                "action": self._redactor.plain(diagnosis.action.document())
                if diagnosis.action
                else None,
            }
            advice = _advice(
                self._shown(diagnosis.cause), self._shown(diagnosis.remedy), self._shown(step)
            )
        return Entry(
            _section(at, f"Job {self._shown(job.id)} Status Change", rows, advice), document
        )

    def removed(self, job_id: str, *, at: datetime, old: str) -> Entry:
        """A job whose file went before it had ended."""
        rows = [f"**Old Status:** {self._shown(old)}", "**New Status:** removed"]
        document = {
            "at": at.isoformat(),
            "event": "job",
            "job": self._plain(job_id),
            "old": self._plain(old),
            "new": "removed",
        }
        return Entry(_section(at, f"Job {self._shown(job_id)} Status Change", rows, []), document)

    def service(
        self, name: str, *, at: datetime, old: str, new: str, message: str, remedy: str
    ) -> Entry:
        """A service that went or came back."""
        rows = [f"**Old Status:** {old}", f"**New Status:** {new}"]
        if message:
            rows.append(f"**{'❌ Error' if new == 'stopped' else 'Says'}:** {self._shown(message)}")
        advice = []
        if new == "stopped":
            restart = f"Look with `orchestrator health`; the guardian restarts {name} where it may"
            advice = _advice(
                f"The service {name} does not run", self._shown(remedy), self._shown(restart)
            )
        document = {
            "at": at.isoformat(),
            "event": "service",
            "service": name,
            "old": old,
            "new": new,
            "message": self._plain(message),
            "fix": self._plain(remedy),
        }
        return Entry(_section(at, f"Service {name} Status Change", rows, advice), document)

    def heartbeat(
        self, *, at: datetime, counts: Mapping[str, int], oldest_s: float | None, told: bool
    ) -> Entry:
        """A sign of life with how many jobs have which status; people are told only of new figures (`told`)."""
        said = ", ".join(f"{n} {status}" for status, n in counts.items() if n) or "no jobs yet"
        document = {
            "at": at.isoformat(),
            "event": "heartbeat",
            "counts": dict(counts),
            "oldestWaitingS": oldest_s,
        }
        return Entry(f"- [{_clock(at)}] Heartbeat: {said}\n\n" if told else "", document)

    def event(self, name: str, *, at: datetime, pid: int) -> Entry:
        """That the monitor began or ended."""
        document = {"at": at.isoformat(), "event": name, "pid": pid}
        return Entry(f"- [{_clock(at)}] Monitor {name} (pid {pid})\n\n", document)

    def _plain(self, text: str, limit: int = MAX_TEXT) -> str:
        plain = str(self._redactor.plain(text))
        return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"

    def _shown(self, text: str, limit: int = MAX_TEXT) -> str:
        plain = self._plain(text, limit).replace('"', "'")
        # commands of our own stand in backticks: those of others are escaped like the rest
        return MARKUP.sub(r"\\\g<0>", plain)


def _section(at: datetime, title: str, rows: list[str], advice: list[str]) -> str:
    below = ["", *advice] if advice else []
    return "\n".join([f"### [{_clock(at)}] {title}", *(f"{row}  " for row in rows), *below, "", ""])


def _advice(cause: str, remedy: str, step: str) -> list[str]:
    return [f"🔍 DIAGNOSIS: {cause}  ", f"💡 FIX: {remedy}  ", f"📝 ACTION: {step}  "]


def _clock(at: datetime) -> str:
    return f"{at.astimezone():%Y-%m-%d %H:%M:%S}"
