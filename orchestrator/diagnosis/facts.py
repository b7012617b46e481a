"""What the rules ask of a failed job, and the words they fill their sentences with."""

from __future__ import annotations

import ntpath
import re
from collections.abc import Mapping

from orchestrator.backends import BACKENDS
from orchestrator.diagnosis.smaller import smaller, value_of
from orchestrator.diagnosis.values import (
    OTHER_CHECKPOINT,
    OTHER_SAMPLER,
    RESTART_SERVICE,
    RETRY,
    RETRY_SMALLER,
    VERIFY_MODEL,
    Action,
    Facts,
)
from orchestrator.jobs import one_line

MAX_WORD = 160  # characters of a name in a sentence
MODEL_FILE = re.compile(
    r"[^\s'\"():;,]{1,200}\.(?:safetensors|sft|ckpt|pth?|gguf)\b", re.IGNORECASE
)
LOW = 500_000_000  # bytes; as in a health report
# of a sentence that is about no job in particular
GENERAL: Mapping[str, str] = {
    "host": "the server",
    "backend": "the backend",
    "checkpoint": "the checkpoint",
    "sampler": "that sampler",
    "smaller": "half the batch, or half the area (704x704 instead of 1024x1024)",
    "asked": "what was asked for",
    "queue": "several",
    "place": "a folder of paths.json",
    "path": "the file named in the message",
    "free": "little",
    "proxies": "HTTP_PROXY, HTTPS_PROXY",
    "times": "several",
    "kind": "of an unknown kind",
    "job": "ID",
}


def blanks(facts: Facts) -> dict[str, str]:
    """The words for the places of a rule's sentences."""
    job, context = facts.job, facts.context
    place = place_named(facts)
    free = context.free.get(place) if place else None
    found = {
        "host": host(facts),
        "backend": job.backend,
        "checkpoint": checkpoint(facts),
        "sampler": value_of(job, "sampler"),
        "smaller": smaller_text(facts),
        "asked": size_text(facts),
        "queue": context.queue_length,
        "place": f"the place {place} ({context.places[place]})" if place else None,
        "path": path_named(facts),
        "free": f"{free // 1_000_000} MB" if free is not None else None,
        "proxies": ", ".join(context.proxies),
        "times": deaths(facts),
        "kind": facts.failure.kind,
        "job": job.id,
    }
    said = {key: one_line(str(word))[:MAX_WORD] for key, word in found.items() if word is not None}
    return {**GENERAL, **{key: word for key, word in said.items() if word}}


def sentence(text: str) -> str:
    """Text that begins as a sentence does, where a general word stands in front; a name keeps its letters."""
    return f"T{text[1:]}" if text.startswith("the ") else text


# ------------------------------------------------------------------------------ asked of a job


def host(facts: Facts) -> str | None:
    """The service's host."""
    attempt = facts.job.attempt
    return facts.context.host or (attempt.host if attempt else None)


def is_paid(facts: Facts) -> bool:
    """Whether the job's service is a paid one."""
    known = BACKENDS.get(facts.job.backend)
    return known is not None and known.paid


def is_free(facts: Facts) -> bool:
    """Whether the job runs at a ComfyUI server."""
    return not is_paid(facts)


def checkpoint(facts: Facts) -> str | None:
    """The model file that the message names, else the checkpoint that was asked for."""
    found = MODEL_FILE.search(facts.failure.message)
    return found[0] if found else value_of(facts.job, "checkpoint")


def size_text(facts: Facts) -> str | None:
    """The picture that was asked for, as `1024x1024`, with its batch."""
    wide, high = value_of(facts.job, "width"), value_of(facts.job, "height")
    batch = value_of(facts.job, "batch_size")
    if wide is None or high is None:
        return None
    return f"{wide}x{high}" + (f", {batch} at once" if batch not in (None, 1, "1") else "")


def smaller_text(facts: Facts) -> str | None:
    """The smaller picture to try, in words."""
    match smaller(facts.job):
        case {"batch_size": batch}:
            return f"{batch} at once" if batch > 1 else "one picture at a time"
        case {"hires_scale": _}:
            return "no second pass (hiresScale)"
        case {"width": wide, "height": high}:
            return f"{wide}x{high}"
        case {"frames": frames}:
            return f"{frames} frames"
    return None


def can_shrink(facts: Facts) -> bool:
    """Whether there is a smaller picture to ask for."""
    return smaller(facts.job) is not None


def deaths(facts: Facts) -> int:
    """How often the server lost the job's prompt, or went away with it; 0 when it never lost it."""
    kinds = [attempt.failure.kind for attempt in facts.job.attempts if attempt.failure]
    if facts.failure.kind != "vanished" and "vanished" not in kinds:
        return 0
    return sum(kind in {"vanished", "unreachable"} for kind in kinds)


def is_crash_loop(facts: Facts) -> bool:
    """Whether the server went away with this very job more than once."""
    return deaths(facts) > 1


def has_full_queue(facts: Facts) -> bool:
    """Whether the service has prompts of others to do."""
    return (facts.context.queue_length or 0) > 1


def has_empty_queue(facts: Facts) -> bool:
    """Whether the service has nothing to do."""
    return facts.context.queue_length == 0


def has_proxy(facts: Facts) -> bool:
    """Whether the environment names a proxy, and the message sounds like one."""
    return bool(facts.context.proxies)


def place_named(facts: Facts) -> str | None:
    """The place of paths.json that the message names or, with a full disk, the one with least room."""
    message, places = facts.failure.message.replace("\\\\", "\\"), facts.context.places
    within = [key for key, path in places.items() if path and path in message]
    if within:
        return max(within, key=lambda key: len(places[key]))
    low = [key for key, free in facts.context.free.items() if free < LOW and key in places]
    if low and "Errno 2]" not in message:
        return min(low, key=lambda key: facts.context.free[key])
    return None


def path_named(facts: Facts) -> str | None:
    """The file that a message of the operating system names."""
    found = re.search(r"['\"]((?:/|[A-Za-z]:[\\/]|\\\\)[^'\"]{1,300})['\"]", facts.failure.message)
    if found is None:
        return None
    return found[1] if len(found[1]) <= MAX_WORD else f"…{ntpath.basename(found[1])}"


# ------------------------------------------------------------------------------ offered


def retry(facts: Facts) -> tuple[Action, ...]:
    """Another attempt, as it is."""
    return (Action(RETRY, "Run it again"),)


def retry_smaller(facts: Facts) -> tuple[Action, ...]:
    """The job once more, smaller."""
    changes = smaller(facts.job)
    if changes is None:
        return ()
    return (Action(RETRY_SMALLER, f"Run it again with {smaller_text(facts)}", changes),)


def other_checkpoint(facts: Facts) -> tuple[Action, ...]:
    """The job once more with the nearest checkpoint that the server has."""
    unwanted = checkpoint(facts)
    return (
        Action(
            OTHER_CHECKPOINT,
            "Run it again with another checkpoint of the server",
            {"instead_of": unwanted} if unwanted else {},
        ),
    )


def verify_model(facts: Facts) -> tuple[Action, ...]:
    """A look at the model's file."""
    name = checkpoint(facts)
    title = f"Check {one_line(str(name))[:MAX_WORD]}" if name else "Check the models"
    return (Action(VERIFY_MODEL, title, {"model": name} if name else {}),)


def checkpoint_or_verify(facts: Facts) -> tuple[Action, ...]:
    """Another checkpoint at once; and a look at the damaged one."""
    return (*other_checkpoint(facts), *verify_model(facts))


def other_sampler(facts: Facts) -> tuple[Action, ...]:
    """The job once more with the nearest sampler and scheduler that the server has."""
    return (Action(OTHER_SAMPLER, "Run it again with the nearest sampler of the server"),)


def restart_comfyui(facts: Facts) -> tuple[Action, ...]:
    """A restart of the server; the job is run again as well."""
    return (Action(RESTART_SERVICE, "Restart ComfyUI", {"service": "comfyui"}), *retry(facts))


def start_worker(facts: Facts) -> tuple[Action, ...]:
    """A worker for a job that waits."""
    return (Action(RESTART_SERVICE, "Start the worker", {"service": "worker"}),)
