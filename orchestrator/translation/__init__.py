"""From what a user typed to what is sent: styles, then wildcards, then translation.

Files and programs stand here; what they mean is decided in `orchestrator.prompts`.
"""

from __future__ import annotations

from orchestrator.translation.phrasebook import Phrasebook, Wording
from orchestrator.translation.phrases import to_english
from orchestrator.translation.translators import (
    ArgosTranslator,
    CommandTranslator,
    Translator,
    translator_of,
)
from orchestrator.translation.wildcards import Wildcards

__all__ = [
    "ArgosTranslator",
    "CommandTranslator",
    "Phrasebook",
    "Translator",
    "Wildcards",
    "Wording",
    "to_english",
    "translator_of",
]
