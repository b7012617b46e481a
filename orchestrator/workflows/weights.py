"""Which of a server's files a request is made with. What is not there is complained of, all of it at once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from orchestrator.backends import ImageParams, Lora, SdxlParams
from orchestrator.errors import MissingCheckpoint, MissingModel
from orchestrator.workflows.checkpoints import choose_checkpoint, family_of
from orchestrator.workflows.complaints import Complaint
from orchestrator.workflows.names import listed, near_matches, same_names, shown
from orchestrator.workflows.offered import (
    CHECKPOINTS,
    ENCODERS,
    LORAS,
    UPSCALERS,
    VAES,
    Offered,
    Shelf,
)

# SD 3's three text encoders; of the largest, first the file that most machines can hold
ENCODER_NAMES = (r"clip[-_]?l(?![a-z])", r"clip[-_]?g(?![a-z])", r"t5[-_]?xxl")
SMALLER = (r"fp8.*scaled", r"fp8", r"fp16", r"")
# The makers' own files of SD 3 leave the text encoders out; other people's that hold them mostly say so.
BARE = re.compile(r"(^|[\\/])sd3(\.5)?_(medium|large|large_turbo)\.safetensors$", re.IGNORECASE)
ALL_IN_ONE = re.compile(r"incl_clips|fp8_scaled|all[-_]?in[-_]?one|(?<![a-z])aio(?![a-z])", re.I)

STILLS = ("sdxl", "sd15")


@dataclass(frozen=True)
class Weights:
    """The files of one picture, as the server spells them; `encoders` and `vae` where not the checkpoint's own."""

    checkpoint: str
    encoders: tuple[str, ...] = ()
    vae: str | None = None
    loras: tuple[Lora, ...] = ()
    refiner: str | None = None
    upscaler: str | None = None


class Chooser:
    """Picks files of one server. `complaints` says what was not there; `told` are the names it was asked for by."""

    def __init__(self, offered: Offered) -> None:
        self.offered = offered
        self.complaints: list[Complaint] = []
        self.told: set[str] = set()

    def weights(self, family: str, params: ImageParams) -> Weights:
        """The files for a picture."""
        encoders = self._encoders() if family == "sd35" else ()
        checkpoint = (
            self._sd35(params.checkpoint, encoders)
            if family == "sd35"
            else self.checkpoint(family, params.checkpoint)
        )
        refiner = params.refiner if isinstance(params, SdxlParams) else None
        return Weights(
            checkpoint=checkpoint,
            encoders=() if ALL_IN_ONE.search(checkpoint) else encoders,
            vae=self._file(VAES, params.vae) if params.vae else None,
            loras=tuple(
                Lora(name=self._file(LORAS, lora.name), strength=lora.strength)
                for lora in params.loras
            ),
            refiner=self.checkpoint("refiner", refiner) if refiner else None,
            upscaler=self._file(UPSCALERS, params.upscaler) if params.upscaler else None,
        )

    def checkpoint(self, family: str, wanted: str | None, *, shelf: Shelf = CHECKPOINTS) -> str:
        """A checkpoint of a family; what was wanted, if there is none."""
        if not self.offered.has(shelf.class_type):
            return self._unknown(wanted)  # the missing node is what has to be told
        try:
            return self._choose(family, self.offered.listed(shelf), wanted)
        except MissingCheckpoint as error:
            self.complaints.append(Complaint(MissingCheckpoint, error.message, error.remedy))
            return self._unknown(wanted)

    def family_of_stills(self, wanted: str | None) -> str:
        """What paints a video's first picture: the family of the wanted checkpoint, else the best there is."""
        names, families = self.offered.listed(CHECKPOINTS), self.offered.families
        if wanted is not None:
            family = next((family_of(name, families) for name in same_names(wanted, names)), None)
            return family if family in ("sd15", "sd35") else STILLS[0]
        for family in STILLS:
            with suppress(MissingCheckpoint):
                self._choose(family, names, None)
                return family
        return STILLS[0]

    def _choose(self, family: str, names: Sequence[str], wanted: str | None) -> str:
        families, corrupt = self.offered.families, self.offered.corrupt
        return choose_checkpoint(family, names, wanted, families=families, corrupt=corrupt)

    def _sd35(self, wanted: str | None, encoders: tuple[str, ...]) -> str:
        """A checkpoint of SD 3 that can be run with the text encoders there are."""
        if not encoders and wanted is None:
            names = [n for n in self.offered.listed(CHECKPOINTS) if not BARE.search(n)]
            with suppress(MissingCheckpoint):
                return self._choose("sd35", names, None)
        chosen = self.checkpoint("sd35", wanted)
        if not encoders and BARE.search(chosen) and chosen not in self.told:
            has = listed(self.offered.listed(ENCODERS))
            self.complaints.append(
                Complaint(
                    MissingModel,
                    f"{shown(chosen)} comes without text encoders, and the server does not have all three: "
                    f"clip_l, clip_g and t5xxl; it has {has}",
                    f"Put them into the server's folder {ENCODERS.folder} (`orchestrator models pull clip-l`, "
                    "`clip-g`, `t5xxl-fp8`), or use a checkpoint that holds them.",
                )
            )
        return chosen

    def _encoders(self) -> tuple[str, ...]:
        """SD 3's text encoders, in the order of their names above; none unless all are there."""
        names = self.offered.listed(ENCODERS)
        found = (
            next(
                (n for size in SMALLER for n in names if re.search(f"{encoder}.*{size}", n, re.I)),
                None,
            )
            for encoder in ENCODER_NAMES
        )
        whole = tuple(name for name in found if name is not None)
        return whole if len(whole) == len(ENCODER_NAMES) else ()

    def _file(self, shelf: Shelf, wanted: str) -> str:
        """A file as the server spells it; what was wanted, if it has none such."""
        names = self.offered.listed(shelf)
        found = same_names(wanted, names)
        if len(found) == 1 or not self.offered.has(shelf.class_type):
            return found[0] if found else wanted
        if found:
            text = f"Several files on the server are the {shelf.title} {shown(wanted)}: {listed(found)}"
            remedy = "Name one of them in full."
        else:
            near = near_matches(wanted, names)
            hint = f"; did you mean {listed(near)}?" if near else ""
            text = f"The server has no {shelf.title} {shown(wanted)}{hint}; it has {listed(names)}"
            remedy = shelf.remedy
        self.complaints.append(Complaint(MissingModel, text, remedy))
        return self._unknown(wanted)

    def _unknown(self, wanted: str | None) -> str:
        """The name that stands in the graph for a file that is not there."""
        self.told.add(wanted or "")
        return wanted or ""
