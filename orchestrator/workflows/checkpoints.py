"""Which of a server's checkpoints fits a backend: by what stands in the file, else by what it is called."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from orchestrator.errors import MissingCheckpoint
from orchestrator.workflows.names import listed, near_matches, same_names, shown

# Looked through from the top: a name with `flux` or `xl` in it may well say "v1.5" of itself.
FAMILIES = {
    "flux": r"(?<![a-z])flux|kontext",
    "svd": r"(?<![a-z])svd|stable[-_ ]?video|img2vid",
    "sd35": r"(?<![a-z])sd[-_ ]?v?3(?!\d{2})|stable[-_ ]?diffusion[-_ ]?v?3",
    "sd2": (
        r"(^|[\\/])((sd|stable[-_ ]?diffusion)[-_ ]?v?|v)2[-_.]?[01](?!\d)|(512-base|768-v)-ema"
    ),
    "video": r"(?<![a-z])(wan|ltxv?|mochi|cosmos|hunyuan)(?![a-z])|hunyuan[-_ ]?video",
    "transformer": r"(?<![a-z])(qwen|hidream|lumina|aura[-_ ]?flow|pixart|chroma(?![a-z])|kolors|z[-_]image)",
    "cascade": r"cascade|w[uü]rstchen",
    "audio": r"stable[-_ ]?audio|ace[-_ ]?step",
    "refiner": r"xl[-_ ]?refiner",
    "sdxl": r"sd[-_ ]?xl|xl(?![a-z])|xl(?=v\d|base|turbo|lightning)|pony|illustrious|noob[-_ ]?ai",
    "sd15": (
        r"sd[-_ ]?v?1[-_. ]?[45](?!\d)|(?<![a-z0-9.])v1[-_.]?[45](?!\d)"
        r"|stable[-_ ]?diffusion[-_ ]?v?1|dream[-_ ]?shaper|realistic[-_ ]?vision|deliberate"
        r"|anything[-_ ]?v|epic[-_ ]?realism|rev[-_ ]?animated|absolute[-_ ]?reality|majicmix"
    ),
}
TITLES = {
    "sd15": "an SD 1.5 one",
    "sdxl": "an SDXL one",
    "sd35": "an SD 3.5 one",
    "svd": "a Stable Video Diffusion one",
    "refiner": "an SDXL refiner",
}
# what `orchestrator models pull` fetches for a family: files that need no other one
PULLED = {
    "sd15": "sd15",
    "sdxl": "sdxl",
    "sd35": "sd35-large-fp8",
    "svd": "svd",
    "refiner": "sdxl-refiner",
}
# Whose checkpoints a family's graph can run as well, when somebody wants it; others fail in the middle of it.
RUNS = {
    "sd15": {"sd15", "sdxl"},
    "sdxl": {"sd15", "sdxl"},
    "refiner": {"refiner", "sdxl"},
}
# Made for one use, or for a few steps at cfg 1: with a backend's defaults they give bad pictures.
SPECIAL = re.compile(
    r"in-?paint|pix2pix|unclip|turbo|lightning|hyper(?![-_ ]?real)|(?<![a-z])lcm(?![a-z])",
    re.IGNORECASE,
)
# The families' original files, preferred to what was made of them.
ORIGINAL = re.compile(
    r"(^|[\\/])((sd[-_])?(v1-5-pruned|sd_xl_(base|refiner)|sdxl[-_]base)|sd3\.5_(large|medium)|svd(_xt)?\.)",
    re.IGNORECASE,
)


def family_of(name: str, families: Mapping[str, str | None] | None = None) -> str | None:
    """The family of a checkpoint: what `families` knows of the file, else what its name speaks of, else None."""
    if (known := (families or {}).get(name)) is not None:
        return known
    for family, pattern in FAMILIES.items():
        if re.search(pattern, name, re.IGNORECASE):
            return family
    return None


def choose_checkpoint(
    family: str,
    offered: Sequence[str],
    wanted: str | None,
    *,
    families: Mapping[str, str | None] | None = None,
    corrupt: Mapping[str, str] | None = None,
) -> str:
    """The checkpoint to use, as the server spells it.

    With `wanted`, that one: its folder, ending, case and separators may be left out as long as only
    one offered name fits. Without, one that is plainly of the family and of general use. One that is `corrupt`
    (by name: what is wrong with it) is never chosen.
    Raises MissingCheckpoint, which lists what the server has.
    """
    corrupt = corrupt or {}
    if wanted is not None:
        return _wanted(family, offered, wanted, families=families, corrupt=corrupt)
    whole = [name for name in offered if name not in corrupt]
    fitting = [
        name for name in whole if family_of(name, families) == family and not SPECIAL.search(name)
    ]
    if not fitting and family == "sd15" and len(whole) == 1:
        # all there is, and nothing in it or its name speaks against it
        fitting = [n for n in whole if family_of(n, families) is None and not SPECIAL.search(n)]
    if not fitting:
        lacks = f"No checkpoint on the server is plainly {TITLES[family]}; it has {listed(whole)}"
        said = _damaged([name for name in offered if name in corrupt], corrupt)
        raise MissingCheckpoint(f"{lacks}{said}", remedy=how_to_get(family))
    return min(fitting, key=_preference)


def how_to_get(family: str) -> str:
    """What to do when there is no checkpoint of a family."""
    return (
        f"Put {TITLES[family]} into the server's folder models/checkpoints"
        f" (`orchestrator models pull {PULLED[family]}` fetches it), or name one it has."
    )


def _damaged(names: Sequence[str], corrupt: Mapping[str, str]) -> str:
    said = [f"{shown(name)} is damaged ({shown(corrupt[name])})" for name in names[:3]]
    return f"; {', '.join(said)}" if said else ""


def _preference(name: str) -> tuple[bool, bool, str, str]:
    safe = name.lower().endswith(".safetensors")  # the other format can carry code
    return (not ORIGINAL.search(name), not safe, name.casefold(), name)


def _wanted(
    family: str,
    offered: Sequence[str],
    wanted: str,
    *,
    families: Mapping[str, str | None] | None,
    corrupt: Mapping[str, str],
) -> str:
    found = same_names(wanted, offered)
    if len(found) > 1:
        raise MissingCheckpoint(
            f"Several checkpoints on the server are called {shown(wanted)}: {listed(found)}",
            remedy="Name one of them in full.",
        )
    if not found:
        near = near_matches(wanted, offered)
        hint = f"; did you mean {listed(near)}?" if near else ""
        raise MissingCheckpoint(
            f"The server has no checkpoint {shown(wanted)}{hint}; it has {listed(offered)}",
            remedy="Name one of those, or put the file into the server's folder models/checkpoints.",
        )
    name = found[0]
    if name in corrupt:
        raise MissingCheckpoint(
            f"The checkpoint {shown(name)} is damaged: {shown(corrupt[name])}",
            remedy="Download the file again, or choose another checkpoint.",
        )
    actual = family_of(name, families)
    # a family may have a variant behind a hyphen: sd15-inpaint
    if actual is not None and actual.partition("-")[0] not in RUNS.get(family, {family}):
        how = "the file" if (families or {}).get(name) else "its name"
        raise MissingCheckpoint(
            f"The checkpoint {shown(name)} is not {TITLES[family]}: {how} says {actual}",
            remedy=how_to_get(family),
        )
    return name
