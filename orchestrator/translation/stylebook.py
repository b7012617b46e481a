"""The styles there are: the built-in ones, then those of data/styles.csv, then those of data/styles.json."""

from __future__ import annotations

from pathlib import Path

import orjson

from orchestrator.errors import ParamsInvalid
from orchestrator.prompts import BUILT_IN, Style, styles_from_csv, styles_from_json
from orchestrator.translation.texts import read_text

CSV, JSON = "styles.csv", "styles.json"


def read_styles(folder: Path) -> list[Style]:
    """All styles, each name once: a later one of the same name, whatever its case, takes the place of an earlier.

    Raises ParamsInvalid when a file is not what it should be.
    """
    found = [*BUILT_IN, *_of_csv(folder / CSV), *_of_json(folder / JSON)]
    return list({style.name.casefold(): style for style in found}.values())


def _of_csv(path: Path) -> list[Style]:
    try:
        return styles_from_csv(read_text(path, CSV))
    except FileNotFoundError:
        return []


def _of_json(path: Path) -> list[Style]:
    try:
        return styles_from_json(orjson.loads(read_text(path, JSON)))
    except FileNotFoundError:
        return []
    except orjson.JSONDecodeError as error:
        raise ParamsInvalid(
            f"styles.json is not JSON: {error}", remedy=f"Correct {path}."
        ) from error
