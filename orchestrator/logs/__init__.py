"""Where the lab's processes log, and what of it is shown.

A program calls `set_up` of `orchestrator.logs.writing` once, and has its records, and those of the libraries it uses,
become lines of JSON in a file of its own below `logs/`; on a terminal they are readable. That module is not imported
here: what it writes with takes 13 MB and 0.3 s of every process that only reads. A line that is logged while a job is
worked on names it: `job`.
"""

from __future__ import annotations

from orchestrator.logs.about import SERVICE, about, about_no_job
from orchestrator.logs.reading import MAX_LINE, STORY, LogFile, LogLine, files, newest, tail
from orchestrator.logs.redaction import Redactor, masked

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
    "tail",
]
