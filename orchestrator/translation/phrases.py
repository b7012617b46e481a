"""A prompt in English: only its words go to the translator and come back to their places."""

from __future__ import annotations

from orchestrator.errors import TranslationFailed
from orchestrator.prompts import MAX_MASKS, Masked, is_foreign, letters, mask
from orchestrator.translation.translators import Translator


async def to_english(text: str, translator: Translator) -> str:
    """The text in English; as it is when it has no Cyrillic letters outside of quotes, tags and names of files.

    Weights, brackets, `<lora:…>`, words in quotes and line breaks come through as they are. The whole is translated
    at once, with placeholders for these; where the translator loses one, piece by piece. Raises TranslationFailed.
    """
    masked = mask(text)
    if not masked.is_foreign:
        return text
    said = await _whole(masked, translator)
    if said is None:
        said = masked.with_pieces([await _piece(piece, translator) for piece in masked.pieces])
    if not said.strip():
        raise TranslationFailed("The translator answered with nothing")
    if letters(said) >= letters(text):
        raise TranslationFailed("The translator gave the prompt back untranslated")
    return said


async def _whole(masked: Masked, translator: Translator) -> str | None:
    if len(masked.kept) > MAX_MASKS:
        return None
    return masked.restored(await translator.translate(masked.text))


async def _piece(piece: str, translator: Translator) -> str:
    return await translator.translate(piece.strip()) if is_foreign(piece) else piece
