"""Where the lab's processes log, and what of it is shown.

A program calls `set_up` once. Its records, and those of the libraries it uses, become lines of JSON in a file of its
own below `logs/`; on a terminal they are readable. A line that is logged while a job is worked on names it: `job`.
"""

from __future__ import annotations

from orchestrator.logs.reading import MAX_LINE, STORY, LogFile, LogLine, files, newest, tail
from orchestrator.logs.redaction import Redactor, masked
from orchestrator.logs.writing import SERVICE, about, about_no_job, set_up, take_down

__all__ = [
    "MAX_LINE",
    "SERVICE",
    "STORY",
    "LogFile",
    "LogLine",
    "Redactor",
    "about",
    "about_no_job",
    "files",
    "masked",
    "newest",
    "set_up",
    "tail",
    "take_down",
]
