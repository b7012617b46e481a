"""Prompt styles: words with a name, put around a prompt or after it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from orchestrator.errors import ParamsInvalid, StyleNotFound
from orchestrator.jobs import MAX_PROMPT, one_line
from orchestrator.prompts.syntax import MAX_TEMPLATE

PLACE = "{prompt}"  # where the user's words go; a style without it comes after them
MAX_NAME = 255  # characters
SHOWN = 40  # names that a message lists


class Style(NamedTuple):
    """What a style adds."""

    name: str
    prompt: str
    negative_prompt: str = ""


BUILT_IN = (
    Style(
        "Cinematic",
        "cinematic still of {prompt}, film lighting, shallow depth of field, 35mm, subtle film grain",
        "cartoon, drawing, flat lighting, watermark",
    ),
    Style(
        "Photo",
        "photograph of {prompt}, natural light, sharp focus, true colours, fine detail",
        "painting, drawing, 3d render, oversaturated, watermark",
    ),
    Style(
        "Anime",
        "anime illustration of {prompt}, clean line work, cel shading, vivid colours",
        "photograph, realistic, 3d render, sketch",
    ),
    Style(
        "Watercolour",
        "watercolour painting of {prompt}, soft washes, visible paper texture, loose edges",
        "photograph, 3d render, hard outlines",
    ),
    Style(
        "Oil painting",
        "oil painting of {prompt}, visible brush strokes, rich pigments, canvas texture",
        "photograph, 3d render, flat colours",
    ),
    Style(
        "Line art",
        "black ink line art of {prompt}, clean contours, white background, no shading",
        "colour, photograph, gradient, blurry",
    ),
    Style(
        "Pixel art",
        "pixel art of {prompt}, limited palette, crisp square pixels, 16-bit game",
        "photograph, smooth gradients, blurry, antialiasing",
    ),
    Style(
        "3D render",
        "3d render of {prompt}, global illumination, physically based materials, studio backdrop",
        "drawing, sketch, grain, low poly",
    ),
    Style(
        "Product shot",
        "product photograph of {prompt}, seamless background, soft box lighting, centred",
        "people, clutter, text, watermark",
    ),
)


def styles_from_csv(text: str) -> list[Style]:
    """The styles of a styles.csv as A1111 writes it: name, prompt, negative_prompt. Rows without words divide the
    list there, and are left out. Raises ParamsInvalid."""
    rows = csv.DictReader(io.StringIO(text))
    try:
        names = rows.fieldnames or []
        if "name" not in names or not {"prompt", "text"} & set(names):
            raise ParamsInvalid("styles.csv must begin with the line: name,prompt,negative_prompt")
        return [
            style
            for row in rows
            # `text` is what the first versions of A1111 called it
            if (style := _style(row["name"], row.get("prompt") or row.get("text"), row))
        ]
    except csv.Error as error:
        raise ParamsInvalid(f"styles.csv, line {rows.line_num}: {error}") from error


def styles_from_json(document: Any) -> list[Style]:
    """The styles of a styles.json: {"name": "words"}, {"name": {"prompt": …, "negativePrompt": …}}, or a list of
    objects with a "name". Raises ParamsInvalid."""
    if isinstance(document, dict):
        pairs = list(document.items())
    elif isinstance(document, list) and all(isinstance(entry, dict) for entry in document):
        pairs = [(entry.get("name"), entry) for entry in document]
    else:
        raise ParamsInvalid("styles.json must hold an object of styles, or a list of them")
    found = []
    for name, said in pairs:
        entry = said if isinstance(said, dict) else {"prompt": said}
        texts = [name, entry.get("prompt", ""), _negative(entry) or ""]
        if not all(isinstance(text, str) for text in texts):
            raise ParamsInvalid(
                f"styles.json: the style {_shown(name)} must have texts: name, prompt, negativePrompt"
            )
        if style := _style(name, entry.get("prompt"), entry):
            found.append(style)
    return found


def _negative(entry: Mapping[Any, Any]) -> Any:
    return entry.get("negativePrompt") or entry.get("negative_prompt")


def _style(name: str | None, prompt: str | None, entry: Mapping[Any, Any]) -> Style | None:
    """A style, if it has a name and adds anything."""
    name, prompt = (name or "").strip(), (prompt or "").strip()
    negative = str(_negative(entry) or "").strip()
    if not name or not (prompt or negative):
        return None
    if max(len(name), len(prompt), len(negative)) > MAX_PROMPT or len(name) > MAX_NAME:
        raise ParamsInvalid(
            f"The style {_shown(name)} is too long: {MAX_PROMPT:,} characters are allowed"
        )
    return Style(name, prompt, negative)


def chosen(names: Sequence[str], offered: Iterable[Style]) -> list[Style]:
    """The styles of these names, each once, in this order; case does not count, and of two of one name the last
    offered is taken. Raises StyleNotFound, which names the nearest for every name that is none."""
    by_name = {style.name.casefold(): style for style in offered}
    wanted = dict.fromkeys(name.strip().casefold() for name in names if name.strip())
    unknown = [name for name in names if name.strip() and name.strip().casefold() not in by_name]
    if unknown:
        raise StyleNotFound(
            "; ".join(_unknown(name, by_name) for name in unknown),
            remedy=_remedy(by_name),
            fields={"styles": "has a name that is no style's"},
        )
    return [by_name[name] for name in wanted]


def _unknown(name: str, by_name: Mapping[str, Style]) -> str:
    near = get_close_matches(name.strip().casefold()[:MAX_NAME], by_name, n=2)
    hint = f"; did you mean {' or '.join(by_name[each].name for each in near)}?" if near else ""
    return f"There is no style {_shown(name)}{hint}"


def _remedy(by_name: Mapping[str, Style]) -> str:
    names = [style.name for style in by_name.values()]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"The styles are: {', '.join(names[:SHOWN])}{more}. Yours go into data/styles.json or data/styles.csv."


def applied(prompt: str, styles: Iterable[Style]) -> str:
    """A prompt in these styles, one after the other. Raises ParamsInvalid when that is far too long."""
    for style in styles:
        prompt = _merged(prompt, style.prompt)
    return prompt


def negative_applied(prompt: str, styles: Iterable[Style]) -> str:
    """A negative prompt with what these styles keep out of the picture."""
    for style in styles:
        prompt = _merged(prompt, style.negative_prompt)
    return prompt


def _merged(prompt: str, style: str) -> str:
    places = style.count(PLACE)
    # two places double it at each style
    if len(style) + max(places, 1) * len(prompt) > MAX_TEMPLATE:
        raise ParamsInvalid(
            f"With its styles the prompt has more than {MAX_TEMPLATE:,} characters",
            remedy="Leave out some of the styles.",
        )
    if places:
        return style.replace(PLACE, prompt)
    return ", ".join(text for text in (prompt.strip(), style) if text)


def _shown(name: object) -> str:
    return repr(one_line(str(name))[:60])
