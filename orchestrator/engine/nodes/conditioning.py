"""Nodes that say what is wanted."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.engine import wording
from orchestrator.engine.nodes.node import Node, Result, Run, Server, number
from orchestrator.engine.weights import Clip
from orchestrator.engine.wording import Conditionings


def nodes(server: Server) -> list[Node]:
    said = server.said
    plain = said("conditioning", "model/conditioning")
    advanced = said("advanced/conditioning", "model/conditioning/transform")
    part = {"step": 0.001}
    return [
        Node(
            "CLIPTextEncode",
            "CLIP Text Encode (Prompt)",
            plain,
            {"text": ["STRING", {"multiline": True, "dynamicPrompts": True}], "clip": ["CLIP", {}]},
            ("CONDITIONING",),
            _encode,
        ),
        Node(
            "ConditioningZeroOut",
            said("ConditioningZeroOut", "Conditioning Zero Out"),
            advanced,
            {"conditioning": ["CONDITIONING"]},
            ("CONDITIONING",),
            _zero_out,
        ),
        Node(
            "ConditioningSetTimestepRange",
            "ConditioningSetTimestepRange",
            advanced,
            {
                "conditioning": ["CONDITIONING"],
                "start": ["FLOAT", number(0.0, 0.0, 1.0) | part],
                "end": ["FLOAT", number(1.0, 0.0, 1.0) | part],
            },
            ("CONDITIONING",),
            _set_range,
        ),
        Node(
            "ConditioningCombine",
            "Conditioning (Combine)",
            said("conditioning", "model/conditioning/transform"),
            {"conditioning_1": ["CONDITIONING"], "conditioning_2": ["CONDITIONING"]},
            ("CONDITIONING",),
            lambda run, conditioning_1, conditioning_2: Result((conditioning_1 + conditioning_2,)),
        ),
    ]


def _encode(run: Run, *, text: str, clip: Clip | None) -> Result:
    if clip is None:
        raise RuntimeError(
            "There is no text encoder (CLIP) in this checkpoint: it makes videos of pictures. "
            "Take the CLIP from another checkpoint or from a CLIP loader."
        )
    return Result(((wording.encode(text, clip.lineage, style=clip.style),),))


def _zero_out(run: Run, *, conditioning: Conditionings) -> Result:
    emptied = (
        replace(wording.nothing(video=c.video), start=c.start, end=c.end) for c in conditioning
    )
    return Result((tuple(emptied),))


def _set_range(run: Run, *, conditioning: Conditionings, start: float, end: float) -> Result:
    return Result((tuple(replace(c, start=start, end=end) for c in conditioning),))
