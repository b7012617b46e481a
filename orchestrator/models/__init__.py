"""Model files: what they are, whether they are whole, and where to get them. Nothing here loads one.

    file = models.verify(path)          # kind, family, fault; milliseconds for any size
    for entry in models.Library(paths).files(): ...

`orchestrator.models.download` fetches the known ones.
"""

from __future__ import annotations

from orchestrator.models.families import Kind
from orchestrator.models.faults import Fault, Note
from orchestrator.models.file import ModelFile, verify
from orchestrator.models.hashes import Hashes
from orchestrator.models.known import KNOWN, Known
from orchestrator.models.library import Entry, Library

__all__ = [
    "KNOWN",
    "Entry",
    "Fault",
    "Hashes",
    "Kind",
    "Known",
    "Library",
    "ModelFile",
    "Note",
    "verify",
]
