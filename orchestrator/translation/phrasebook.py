"""What is sent for a prompt: everything that turns one into the other, for one lab."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from orchestrator import prompts
from orchestrator.errors import ParamsInvalid
from orchestrator.jobs import Resolved, check_prompt
from orchestrator.prompts import Style
from orchestrator.translation.memory import FILE, Memory, Remembering
from orchestrator.translation.phrases import to_english
from orchestrator.translation.stylebook import read_styles
from orchestrator.translation.translators import SOURCE, Translator, translator_of
from orchestrator.translation.wildcards import Wildcards

FOLDER = "wildcards"  # in the lab's data


@dataclass(frozen=True, kw_only=True)
class Wording:
    """What is sent for a prompt, and how it came about."""

    typed: str
    prompt: str  # what is sent
    negative_prompt: str
    seed: int
    styles: tuple[str, ...] = ()
    original: str | None = None  # the prompt before it was translated
    translated_from: str | None = None  # ISO 639-1
    notes: tuple[str, ...] = ()  # what its author may not have meant
    changed_negative: bool = False

    @property
    def resolved(self) -> Resolved | None:
        """What a job keeps of it; None when what is sent is what was typed."""
        if self.prompt == self.typed and not self.changed_negative and not self.styles:
            return None
        return Resolved(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt if self.changed_negative else None,
            original=self.original,
            translated_from=self.translated_from,
            styles=list(self.styles),
        )


class Phrasebook:
    """The wildcards, styles and translations of a lab. Nothing is read before it is needed.

    `data/wildcards` holds the wildcard files, `data/styles.csv` and `data/styles.json` the user's own styles,
    `data/translations.json` what was translated before.
    """

    def __init__(self, data: Path, *, translate: str) -> None:
        """`translate` is what ORCHESTRATOR_TRANSLATE says."""
        self._data = data
        self._translate = translate
        self.wildcards = Wildcards(data / FOLDER)

    @cached_property
    def _translator(self) -> Translator | None:
        translator = translator_of(self._translate)
        memory = Memory(self._data / FILE)
        return Remembering(translator, memory) if translator else None

    def styles(self) -> list[Style]:
        """The styles there are. Raises ParamsInvalid."""
        return read_styles(self._data)

    def wording(
        self,
        typed: str,
        *,
        seed: int,
        negative_prompt: str | None = "",
        styles: Sequence[str] = (),
    ) -> Wording:
        """What is sent for a prompt: styles, then wildcards, then translation, in the order that users expect.

        `negative_prompt` None: the backend takes none. Blocks, while it translates for seconds.
        Raises ParamsInvalid, TranslationFailed.
        """
        check_prompt(typed)
        worn = self._worn(styles)
        negative = negative_prompt or ""
        notes: list[str] = []
        prompt = self._drawn(prompts.applied(typed, worn), seed, "prompt", notes)
        if not prompt.strip():
            raise ParamsInvalid(
                f"With the seed {seed} nothing is left of the prompt",
                remedy="Say what the picture should show: each option of the braces may be the whole prompt.",
            )
        if negative_prompt is None:
            notes += _left_out(worn)
            unwanted = ""
        else:
            check_prompt(negative)
            whole = prompts.negative_applied(negative, worn)
            unwanted = self._drawn(whole, seed, "negative prompt", notes)
        said, unwanted_said = self._translated(prompt, unwanted)
        translated = (said, unwanted_said) != (prompt, unwanted)
        return Wording(
            typed=typed,
            prompt=said,
            negative_prompt=unwanted_said,
            seed=seed,
            styles=tuple(style.name for style in worn),
            original=prompt if said != prompt else None,
            translated_from=SOURCE if translated else None,
            notes=tuple(dict.fromkeys(notes)),
            changed_negative=unwanted_said != negative,
        )

    def count(self, typed: str, *, styles: Sequence[str] = ()) -> int:
        """In how many ways a prompt may turn out; see `prompts.count`. Raises ParamsInvalid."""
        return prompts.count(prompts.applied(typed, self._worn(styles)), self.wildcards.now())

    def combinations(self, typed: str, limit: int, *, styles: Sequence[str] = ()) -> Iterator[str]:
        """The first of them, untranslated. Raises ParamsInvalid."""
        whole = prompts.applied(typed, self._worn(styles))
        return prompts.combinations(whole, limit, self.wildcards.now())

    def _worn(self, names: Sequence[str]) -> list[Style]:
        return prompts.chosen(names, self.styles()) if names else []

    def _drawn(self, template: str, seed: int, name: str, notes: list[str]) -> str:
        drawn = prompts.resolve(template, seed=seed, lookup=self.wildcards.now(), name=name)
        notes += drawn.notes
        return drawn.text

    def _translated(self, *texts: str) -> list[str]:
        if not any(map(prompts.is_foreign, texts)) or self._translator is None:
            return list(texts)
        # in a thread of its own: this one may be running an event loop, a notebook's
        with ThreadPoolExecutor(1, thread_name_prefix="translation") as pool:
            said = pool.submit(asyncio.run, _in_english(texts, self._translator)).result()
        for text in said:
            check_prompt(text)
        return said


async def _in_english(texts: Sequence[str], translator: Translator) -> list[str]:
    return [await to_english(text, translator) for text in texts]


def _left_out(styles: Sequence[Style]) -> list[str]:
    names = [style.name for style in styles if style.negative_prompt]
    if not names:
        return []
    return [f"The backend takes no negative prompt: that of {', '.join(names)} was left out"]
