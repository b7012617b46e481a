"""A recipe as a request to make the picture once more: whose words ever it is in, in those of a backend. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic.alias_generators import to_camel

from orchestrator import backends
from orchestrator.backends import MAX_SIDE, MIN_SIDE, SIDE_STEP, Backend
from orchestrator.backends.words import OTHER_NAMES, squashed
from orchestrator.errors import ParamsInvalid
from orchestrator.jobs import Resolved, one_line
from orchestrator.recipes.graphs import read_workflow
from orchestrator.recipes.recipe import ForeignRecipe, Recipe
from orchestrator.workflows import family_of

FALLBACK = "sd15"
FAMILIES = {
    "sd15": "sd15",
    "sdxl": "sdxl",
    "sd3": "sd35",
    "svd": "svd",
}  # of a checkpoint -> backend
CHOSEN = ("checkpoint", "stillCheckpoint")  # that the lab chooses by itself where none is named
OF_AN_IMAGE = ("image", "mask", "denoise")
WORDING = frozenset({"negativeprompt", "styles"})  # parameters that are part of what is resolved
TRIES = 3


class Repeat(NamedTuple):
    """What to ask for, and what will not be as it was."""

    backend: str
    prompt: str
    params: dict[str, Any]
    notes: tuple[str, ...]
    resolved: Resolved | None = None  # what is to be sent for the prompt
    literal: bool = True  # the prompt is sent as it stands: it has been resolved already


def repeated(recipe: Recipe | ForeignRecipe, changes: Mapping[str, Any]) -> Repeat:
    """The request that makes a picture again, with `changes` of its parameters, of `prompt` or of `backend`.

    A parameter that is changed to None is chosen anew. A checkpoint that was chosen by itself is named, so that the
    same one is used. Raises ParamsInvalid when the file has no prompt, UnknownBackend.
    """
    changes = dict(changes)
    said = changes.pop("prompt", None)
    prompt = said or recipe.prompt
    wanted = changes.pop("backend", None)
    if not prompt.strip():
        raise ParamsInvalid(
            "The file does not say its prompt", remedy="Say it: again(path, prompt='…')."
        )
    if isinstance(recipe, Recipe):
        made = _ours(recipe, wanted)
    else:
        begins = {
            key: value for key, value in changes.items() if key in {"image", "mask"} and value
        }
        made = _foreign(recipe, wanted, begins)
    params = dict(made.params)
    for name, value in changes.items():
        params = {key: old for key, old in params.items() if _canonical(key) != _canonical(name)}
        if value is not None:
            params[name] = value
    made = made._replace(prompt=prompt, params=params)
    if said or any(_canonical(name) in WORDING for name in changes):
        return made._replace(resolved=None, literal=False)
    return made


def _ours(recipe: Recipe, wanted: str | None) -> Repeat:
    params = dict(recipe.params)
    if recipe.seed is not None:
        params = {key: value for key, value in params.items() if _canonical(key) != "seed"}
        params["seed"] = recipe.seed
    reading = read_workflow(recipe.workflow) if recipe.workflow is not None else None
    if (backend := backends.BACKENDS.get(recipe.backend)) is not None:
        for name in CHOSEN:
            used = reading.params.get(name) if reading else None
            if used and name in _fields(backend) and not _has(params, name):
                params[name] = used
    if wanted is None or wanted == recipe.backend:
        made = Repeat(recipe.backend, recipe.prompt, params, ())
    else:  # checkpoints of another family
        params = {key: value for key, value in params.items() if key not in CHOSEN}
        made = _fitted(backends.get(wanted), recipe.prompt, params, [], {})
    return made._replace(resolved=recipe.resolved)


def _foreign(recipe: ForeignRecipe, wanted: str | None, begins: Mapping[str, Any]) -> Repeat:
    notes = [one_line(f"The picture {note}") for note in recipe.notes]
    name, why = (wanted, None) if wanted is not None else _backend_for(recipe)
    if why:
        notes.append(why)
    params = dict(recipe.params)
    for key in OF_AN_IMAGE:
        if key in params and not begins:
            del params[key]
    for side in ("width", "height"):
        if (said := params.get(side)) is not None:
            params[side] = min(max(round(said / SIDE_STEP) * SIDE_STEP, MIN_SIDE), MAX_SIDE)
            if params[side] != said:
                notes.append(f"The picture's {side} of {said} pixels is taken as {params[side]}")
    return _fitted(backends.get(name), recipe.prompt, params, notes, begins)


def _backend_for(recipe: ForeignRecipe) -> tuple[str, str | None]:
    """The backend for a stranger's picture, and what is doubtful about it. Never one that costs money."""
    checkpoint = recipe.params.get("checkpoint")
    family = family_of(str(checkpoint)) if checkpoint else None
    backend = FAMILIES.get(family or "")
    if backend is not None and backend in backends.BACKENDS:
        return backend, None
    shown = one_line(str(checkpoint))[:100]
    made_with = f"was made with {shown}" if checkpoint else "does not say its checkpoint"
    return FALLBACK, f"The picture {made_with}; {FALLBACK} is taken: name another with backend=…"


def _fitted(
    backend: Backend,
    prompt: str,
    params: dict[str, Any],
    notes: list[str],
    begins: Mapping[str, Any],
) -> Repeat:
    """With the parameters that the backend takes beside those it is to begin with; a note for the others."""
    fields = {_canonical(name) for name in _fields(backend)}
    unknown = [key for key in params if _canonical(key) not in fields]
    kept = {key: value for key, value in params.items() if key not in unknown}
    for _ in range(TRIES):
        try:
            backends.parse(backend, {**kept, **begins})
            break
        except ParamsInvalid as error:
            # by the word that the caller used, shown in one line
            bad = [key for key in kept if one_line(key) in error.fields]
            unknown += bad
            kept = {key: value for key, value in kept.items() if key not in bad}
    if unknown:
        notes.append(f"{backend.name} does not take what the picture says of: {', '.join(unknown)}")
    return Repeat(backend.name, prompt, kept, tuple(notes))


def _fields(backend: Backend) -> set[str]:
    return {to_camel(name) for name in backend.params.model_fields}


def _has(params: Mapping[str, Any], name: str) -> bool:
    return any(_canonical(key) == _canonical(name) for key in params)


def _canonical(name: str) -> str:
    word = squashed(name)
    return squashed(OTHER_NAMES.get(word, word))
