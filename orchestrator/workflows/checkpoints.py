"""Which of a server's checkpoints fits a backend. File names are all there is to go by."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.errors import MissingCheckpoint
from orchestrator.jobs import one_line
from orchestrator.workflows.names import near_matches, squashed

MAX_LISTED = 12  # names in a message

# Looked through from the top: a name with `flux` or `xl` in it may well say "v1.5" of itself.
FAMILIES = {
    "flux": r"(?<![a-z])flux|kontext",
    "svd": r"(?<![a-z])svd|stable[-_ ]?video|img2vid",
    "sd3": r"(?<![a-z])sd[-_ ]?v?3(?!\d{2})|stable[-_ ]?diffusion[-_ ]?v?3",
    "sd2": (
        r"(^|[\\/])((sd|stable[-_ ]?diffusion)[-_ ]?v?|v)2[-_.]?[01](?!\d)|(512-base|768-v)-ema"
    ),
    "video": r"(?<![a-z])(wan|ltxv?|mochi|cosmos|hunyuan)(?![a-z])|hunyuan[-_ ]?video",
    "transformer": r"(?<![a-z])(qwen|hidream|lumina|aura[-_ ]?flow|pixart|chroma(?![a-z])|kolors|z[-_]image)",
    "cascade": r"cascade|w[uü]rstchen",
    "audio": r"stable[-_ ]?audio|ace[-_ ]?step",
    "sdxl": r"sd[-_ ]?xl|xl(?![a-z])|xl(?=v\d|base|turbo|lightning)|pony|illustrious|noob[-_ ]?ai",
    "sd15": (
        r"sd[-_ ]?v?1[-_. ]?[45](?!\d)|(?<![a-z0-9.])v1[-_.]?[45](?!\d)"
        r"|stable[-_ ]?diffusion[-_ ]?v?1|dream[-_ ]?shaper|realistic[-_ ]?vision|deliberate"
        r"|anything[-_ ]?v|epic[-_ ]?realism|rev[-_ ]?animated|absolute[-_ ]?reality|majicmix"
    ),
}
TITLES = {"sd15": "SD 1.5", "sdxl": "SDXL"}
# One graph runs these; a checkpoint of another family fails in the middle of it.
TEXT_TO_IMAGE = frozenset(TITLES)
# Made for one use, or for a few steps at cfg 1: with a backend's defaults they give bad pictures.
SPECIAL = re.compile(
    r"refiner|in-?paint|pix2pix|unclip|turbo|lightning|hyper(?![-_ ]?real)|(?<![a-z])lcm(?![a-z])",
    re.IGNORECASE,
)
# The families' original files, preferred to what was made of them.
ORIGINAL = re.compile(r"(^|[\\/])(sd[-_])?(v1-5-pruned|sd_xl_base|sdxl[-_]base)", re.IGNORECASE)


def family_of(name: str) -> str | None:
    """The family that a checkpoint's file name speaks of, or None when it does not say."""
    for family, pattern in FAMILIES.items():
        if re.search(pattern, name, re.IGNORECASE):
            return family
    return None


def choose_checkpoint(family: str, offered: Sequence[str], wanted: str | None) -> str:
    """The checkpoint to use, as the server spells it.

    With `wanted`, that one: its folder, ending, case and separators may be left out as long as only
    one offered name fits. Without, one that is plainly of the family and of general use.
    Raises MissingCheckpoint, which lists what the server has.
    """
    if wanted is not None:
        return _wanted(family, offered, wanted)
    fitting = [name for name in offered if family_of(name) == family and not SPECIAL.search(name)]
    if not fitting and family == "sd15" and len(offered) == 1:
        # all there is, and nothing in its name speaks against it
        fitting = [n for n in offered if family_of(n) is None and not SPECIAL.search(n)]
    if not fitting:
        title = TITLES.get(family, family)
        raise MissingCheckpoint(
            f"No checkpoint on the server is plainly an {title} one; it has {_listed(offered)}"
        )
    return min(fitting, key=_preference)


def _preference(name: str) -> tuple[bool, bool, str, str]:
    safe = name.lower().endswith(".safetensors")  # the other format can carry code
    return (not ORIGINAL.search(name), not safe, name.casefold(), name)


def _wanted(family: str, offered: Sequence[str], wanted: str) -> str:
    shown = one_line(wanted)[:120]
    found = [wanted] if wanted in offered else []
    found = found or [name for name in offered if squashed(name) == squashed(wanted)]
    if len(found) > 1:
        raise MissingCheckpoint(
            f"Several checkpoints on the server are called {shown}: {_listed(found)}",
            remedy="Name one of them in full.",
        )
    if not found:
        near = near_matches(wanted, offered)
        hint = f"; did you mean {_listed(near)}?" if near else ""
        raise MissingCheckpoint(
            f"The server has no checkpoint {shown}{hint}; it has {_listed(offered)}"
        )
    actual = family_of(found[0])
    if family in TEXT_TO_IMAGE and actual is not None and actual not in TEXT_TO_IMAGE:
        raise MissingCheckpoint(
            f"The checkpoint {shown} is not an {TITLES[family]} one: its name says {actual}"
        )
    return found[0]


def _listed(names: Sequence[str]) -> str:
    """Names for a message: some of them, and how many more."""
    if not names:
        return "none"
    shown = ", ".join(one_line(name)[:120] for name in names[:MAX_LISTED])
    more = len(names) - MAX_LISTED
    return f"{shown} and {more} more" if more > 0 else shown
