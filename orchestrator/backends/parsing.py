"""The parameters of a request, held against what its backend takes."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError
from pydantic.alias_generators import to_camel

from orchestrator.backends.backend import Backend
from orchestrator.backends.fields import Params
from orchestrator.backends.words import OTHER_NAMES, near, shown, shown_name, squashed
from orchestrator.errors import ParamsInvalid

MAX_PROBLEMS = 20  # told in one message


def parse(backend: Backend, params: Mapping[str, Any], *, strict: bool = False) -> Params:
    """The parameters of a request, checked, with the backend's defaults for those not given.

    Takes snake_case, camelCase and KSampler's names, and numbers and switches written as text, unless `strict`.
    None and (unless `strict`) empty text count as not given. For FLUX, `aspectRatio` wins over a width and height.
    Raises ParamsInvalid, which names every bad field, its value and what is allowed.
    """
    model = backend.params
    fields = {squashed(name): name for name in model.model_fields}
    known = fields | {old: new for old, new in OTHER_NAMES.items() if new in model.model_fields}
    given: dict[str, Any] = {}
    called: dict[str, str] = {}  # field -> the user's word for it
    problems: list[str] = []
    fields_said: dict[str, str] = {}
    unknown = False
    for key, value in params.items():
        field = known.get(squashed(key))
        if field is None:
            unknown = True
            alike = near(squashed(key), known, fields)
            hint = f"; did you mean {alike}?" if alike else ""
            problems.append(f"{shown_name(key)} is not a parameter of {backend.name}{hint}")
            fields_said[shown_name(key)] = f"is not a parameter of {backend.name}{hint}"
        elif value is None or (value == "" and not strict):
            continue
        elif field in given and given[field] != value:
            problems.append(f"{shown_name(key)} and {called[field]} are the same and differ")
            fields_said[shown_name(key)] = f"is the same as {called[field]}, and differs"
        else:
            given[field], called[field] = value, shown_name(key)
    try:
        parsed = model.model_validate(
            {**backend.defaults, **given}, strict=strict, context={"strict": strict}
        )
    except ValidationError as error:
        # a union reports one entry per member; the field is what counts
        bad = dict.fromkeys(str(entry["loc"][0]) for entry in error.errors(include_url=False))
        names = {to_camel(name): name for name in model.model_fields}
        for field in (names.get(name, name) for name in bad):
            allowed = model.model_fields[field].description
            problems.append(f"{called[field]} = {shown(given[field])}: must be {allowed}")
            fields_said[called[field]] = f"must be {allowed}"
        parsed = None
    for need in parsed.unmet() if parsed else ():
        lacks = f"says nothing without {to_camel(need.other)}"
        problems.append(f"{called[need.field]} = {shown(given[need.field])} {lacks}")
        fields_said[called[need.field]] = lacks
    if problems or parsed is None:
        own_first = sorted(model.model_fields, key=lambda name: name in Params.model_fields)
        remedy = f"{backend.title} takes: {', '.join(own_first)}." if unknown else None
        told = dict(list(fields_said.items())[:MAX_PROBLEMS])
        raise ParamsInvalid("; ".join(problems[:MAX_PROBLEMS]), remedy=remedy, fields=told)
    return parsed.completed(given)


def with_seed(params: Mapping[str, Any], backend: Backend, rng: random.Random) -> dict[str, Any]:
    """The user's parameters, with a seed chosen where there is none, so that a retry repeats the picture.

    No seed, None, an empty text and -1 mean "choose"; 0 is a seed like any other. Whatever else
    stands there is left for `parse` to judge. A backend without a seed (a saved workflow that has none) gets none.
    """
    if "seed" not in backend.params.model_fields:
        return dict(params)
    keys = [key for key in params if squashed(key) == "seed"]
    for key in keys:
        value = params[key]
        if value is not None and str(value).strip() not in {"", "-1"}:
            return dict(params)
    kept = {key: value for key, value in params.items() if key not in keys}
    return kept | {"seed": rng.randint(0, backend.max_seed)}
