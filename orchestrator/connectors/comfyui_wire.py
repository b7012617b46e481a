"""What a ComfyUI server says about a prompt, read into values. Two dialects: /api/jobs, and /queue with /history."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from orchestrator.connectors.http import shown
from orchestrator.errors import (
    CorruptModel,
    ExecutionFailed,
    Interrupted,
    OutOfMemory,
    ServiceBroken,
    ServiceError,
)

MAX_MESSAGE = 400  # characters of a node's own error message

OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|allocation on device|not enough memory|\bMemoryError\b", re.I
)
CORRUPT = re.compile(
    r"SafetensorError|deserializing header|HeaderTooLarge|HeaderTooSmall|MetadataIncompleteBuffer"
    r"|PytorchStreamReader|UnpicklingError|invalid load key|unexpected EOF|Ran out of input",
    re.I,
)


class RemoteStatus(StrEnum):
    """Where a prompt stands on its server. UNKNOWN: the server has no trace of it."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class RemoteFile:
    """A file on the server. Its names are the server's: for /view only, never for a path here."""

    filename: str
    subfolder: str
    type: str  # "output" or "temp"
    kind: str  # the list it stood in: "images", "gifs", "video", "audio"


@dataclass(frozen=True)
class RemoteState:
    """One look at a prompt. `queue_position` counts the pending prompts from 1, where the server tells."""

    status: RemoteStatus
    files: tuple[RemoteFile, ...] = ()
    error: ServiceError | None = None
    queue_position: int | None = None


UNKNOWN = RemoteState(RemoteStatus.UNKNOWN)
RUNNING = RemoteState(RemoteStatus.RUNNING)


def from_job(job: Mapping[str, Any]) -> RemoteState:
    """The state in an answer of GET /api/jobs/{id} (ComfyUI 0.6 and newer). Raises ServiceBroken."""
    match job.get("status"):
        case "pending":
            return RemoteState(RemoteStatus.PENDING)
        case "completed" | "failed" | "cancelled" as said:
            state = ended(job.get("outputs"), job.get("execution_status"))
            return state if said == "completed" else _ended_badly(state, said, job)
        case str():
            return RUNNING  # "in_progress", or a stage that later servers may add before the end
        case _:
            raise ServiceBroken("What answers for ComfyUI describes no job at /api/jobs")


def _ended_badly(state: RemoteState, said: str, job: Mapping[str, Any]) -> RemoteState:
    if said == "cancelled" or state.status is RemoteStatus.CANCELLED:
        return RemoteState(RemoteStatus.CANCELLED, error=state.error or Interrupted())
    details = job.get("execution_error")
    if isinstance(details, Mapping):
        return RemoteState(RemoteStatus.FAILED, error=execution_error(details))
    return RemoteState(RemoteStatus.FAILED, error=state.error or _unexplained())


def from_history(entry: Mapping[str, Any]) -> RemoteState:
    """The state in a prompt's entry of GET /history/{id}."""
    return ended(entry.get("outputs"), entry.get("status"))


def from_queue(queue: Mapping[str, Any], prompt_id: str) -> RemoteState | None:
    """The state of a prompt in an answer of GET /queue; None when it is not in it. Raises ServiceBroken.

    An item is [number, prompt_id, workflow, extra_data, outputs]; the lowest number runs next.
    """
    if not isinstance(queue.get("queue_running"), list):
        raise ServiceBroken("What answers for ComfyUI describes no queue at /queue")
    if any(_id(item) == prompt_id for item in _items(queue.get("queue_running"))):
        return RUNNING
    pending = _items(queue.get("queue_pending"))
    mine = next((_number(item) for item in pending if _id(item) == prompt_id), None)
    if mine is None:
        return None
    position = 1 + sum(_number(item) < mine for item in pending)
    return RemoteState(RemoteStatus.PENDING, queue_position=position)


def _items(value: Any) -> list[list[Any]]:
    return [item for item in value if isinstance(item, list)] if isinstance(value, list) else []


def _id(item: list[Any]) -> Any:
    return item[1] if len(item) > 1 else None


def _number(item: list[Any]) -> float:
    number = item[0]
    return number if isinstance(number, int | float) else 0


def ended(outputs: Any, status: Any) -> RemoteState:
    """The state of a prompt that ran to an end, well or badly.

    The messages are read whatever `status_str` says: it can be stale after a scheduling error.
    """
    status = status if isinstance(status, Mapping) else {}
    for event, data in reversed(list(_messages(status))):
        if event == "execution_interrupted":
            where = shown(str(data.get("node_type", "")), limit=80)
            told = f"The prompt was interrupted on the server{f' in {where}' if where else ''}"
            return RemoteState(RemoteStatus.CANCELLED, error=Interrupted(told))
        if event == "execution_error":
            return RemoteState(RemoteStatus.FAILED, error=execution_error(data))
        if event == "execution_start":
            break  # what came before belongs to an earlier run under the same id
    if status.get("status_str") == "error":
        return RemoteState(RemoteStatus.FAILED, error=_unexplained())
    return RemoteState(RemoteStatus.DONE, files=files(outputs))


def _messages(status: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    messages = status.get("messages")
    for message in messages if isinstance(messages, list) else []:
        match message:
            case [str(event), dict(data)]:
                yield event, data


def _unexplained() -> ExecutionFailed:
    return ExecutionFailed("The server says that the workflow failed, and not why")


def execution_error(data: Mapping[str, Any]) -> ExecutionFailed:
    """The error in the data of an `execution_error` message: its node, exception type and text."""
    exception = shown(str(data.get("exception_type", "")), limit=120)
    text = shown(str(data.get("exception_message", "")), limit=MAX_MESSAGE)
    node = shown(str(data.get("node_type", "a node")), limit=80)
    place = f"{node} (node {shown(str(data.get('node_id', '?')), limit=20)})"
    evidence = f"{exception} {text}"
    if OUT_OF_MEMORY.search(evidence):
        return OutOfMemory(f"{place} ran out of memory: {exception}: {text}")
    if CORRUPT.search(evidence):
        name = _weights(data.get("current_inputs"))
        return CorruptModel(f"{place} cannot read {name}: {exception}: {text}")
    return ExecutionFailed(f"{place} failed: {exception}: {text}")


def _weights(inputs: Any) -> str:
    """The weights file among a failed node's inputs, whose values come as lists of one."""
    if isinstance(inputs, Mapping):
        for name, value in inputs.items():
            first = value[0] if isinstance(value, list) and value else value
            if str(name).endswith("_name") and isinstance(first, str):
                return shown(first, limit=120)
    return "its file"


def files(outputs: Any) -> tuple[RemoteFile, ...]:
    """All files of all output nodes, in the order of the nodes. Previews only if nothing was saved."""
    found: dict[tuple[str, str, str], RemoteFile] = {}
    nodes = outputs if isinstance(outputs, Mapping) else {}
    for node in sorted(nodes, key=_node_order):
        for file in _node_files(nodes[node]):
            found.setdefault((file.filename, file.subfolder, file.type), file)
    saved = tuple(file for file in found.values() if file.type == "output")
    return saved or tuple(file for file in found.values() if file.type == "temp")


def _node_files(output: Any) -> Iterator[RemoteFile]:
    for kind, entries in output.items() if isinstance(output, Mapping) else ():
        for entry in entries if isinstance(entries, list) else ():
            if not isinstance(entry, Mapping):
                continue
            match entry.get("filename"):
                case str(filename) if filename:
                    yield RemoteFile(
                        filename=filename,
                        subfolder=str(entry.get("subfolder") or ""),
                        type=str(entry.get("type") or "output"),
                        kind=str(kind),
                    )


def _node_order(node: Any) -> tuple[tuple[bool, int, str], ...]:
    """By number, also inside subgraphs ("12:3"); names come after numbers."""
    parts = re.split(r"[:.]", str(node))
    return tuple(
        (False, int(p), "") if p.isascii() and p.isdigit() and len(p) < 10 else (True, 0, p)
        for p in parts
    )
