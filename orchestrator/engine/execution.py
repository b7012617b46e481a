"""Running one prompt: nodes in order of dependency, outputs kept for the next, and every step told."""

from __future__ import annotations

import hashlib
import json
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from orchestrator.engine.faults import Faults, PromptError
from orchestrator.engine.folders import Folders, PathRefused
from orchestrator.engine.nodes import Node, Result
from orchestrator.engine.queue import Item, Outcome, now_ms
from orchestrator.engine.validation import links
from orchestrator.engine.wording import Floats

JSON = Any
PREVIEW_INTERVAL_S = 0.05  # a preview costs as much as several steps

Cache = dict[str, Result]


class Interrupted(Exception):
    """The prompt was told to stop."""


class ToldToFail(Exception):
    """An error shown on command, under another name."""

    def __init__(self, fault: PromptError) -> None:
        super().__init__(fault.exception_message)
        self.fault = fault


@dataclass(frozen=True)
class Audience:
    """Where a prompt's messages go: to one client, or, without a client id, some of them to everyone."""

    send: Callable[[str, dict[str, JSON], str | None], None]
    send_preview: Callable[[Floats, dict[str, JSON], str | None], None]


class Execution:
    """One prompt being run in the worker thread."""

    def __init__(
        self,
        item: Item,
        *,
        nodes: dict[str, Node],
        cache: Cache,
        folders: Folders,
        faults: Faults,
        audience: Audience,
        previews: bool,
        on_node: Callable[[str], None],
    ) -> None:
        self.folders = folders
        self.prompt, self.extra_data = item.prompt, item.extra_data
        self._item, self._nodes, self._cache = item, nodes, cache
        self._faults, self._audience, self._previews, self._on_node = (
            faults,
            audience,
            previews,
            on_node,
        )
        self._messages: list[tuple[str, dict[str, JSON]]] = []
        self._states: dict[str, dict[str, JSON]] = {}
        self._executed: list[str] = []
        self._now = ""  # the node being run
        self._next_preview = 0.0

    def run(self) -> Outcome:
        outputs: dict[str, JSON] = {}
        meta: dict[str, JSON] = {}
        self._event("execution_start", {})
        signatures = self._keep_what_is_used()
        held = [node_id for node_id in self.prompt if signatures.get(node_id) in self._cache]
        self._event("execution_cached", {"nodes": held})
        order = self._order(set(held))
        fault = self._faults.take_prompt_error()
        doomed = self._doomed(fault, order) if fault else None
        results = {node_id: self._cache[signatures[node_id]] for node_id in held}
        for node_id in order:
            self._now = node_id
            try:
                self._stop_if_told()
                if fault and node_id == doomed:
                    self._starts(node_id)
                    raise ToldToFail(fault)
                if node_id in results:
                    told = self._tell_kept(node_id, results[node_id])
                else:
                    results[node_id] = self._execute(node_id, results)
                    if signatures[node_id]:
                        self._cache[signatures[node_id]] = results[node_id]
                    told = True
            except Interrupted:
                return self._end_interrupted(outputs, meta)
            except Exception as exc:  # noqa: BLE001 - whatever a node raises becomes the prompt's error, as in ComfyUI
                return self._end_failed(exc, outputs, meta)
            if results[node_id].ui is not None and told:
                outputs[node_id] = results[node_id].ui
                meta[node_id] = {
                    "node_id": node_id,
                    "display_node": node_id,
                    "parent_node": None,
                    "real_node_id": node_id,
                }
        self._event("execution_success", {})
        return Outcome(True, outputs, meta, self._messages)

    def step(self, done: int, of: int, latent: Floats) -> None:
        """One sampler step is done; raises Interrupted when the prompt was told to stop."""
        if self._faults.step_delay_s:
            self._item.interrupted.wait(self._faults.step_delay_s)
        self._stop_if_told()
        self._progress(self._now, done, of, "running")
        if self._previews and (time.monotonic() >= self._next_preview or done == of):
            self._audience.send_preview(latent, self._whereabouts(self._now), self._item.client_id)
            self._next_preview = time.monotonic() + PREVIEW_INTERVAL_S
        self._send(
            "progress",
            {"value": done, "max": of, "prompt_id": self._item.prompt_id, "node": self._now},
        )

    def _stop_if_told(self) -> None:
        if self._item.interrupted.is_set():
            raise Interrupted

    def _execute(self, node_id: str, results: dict[str, Result]) -> Result:
        self._starts(node_id)
        entry = self.prompt[node_id]
        node = self._nodes[entry["class_type"]]
        linked = links(entry)
        values = {
            name: results[linked[name][0]].outputs[linked[name][1]]
            if name in linked
            else entry["inputs"][name]
            for name in node.inputs
        }
        result = node.execute(self, **values)
        self._executed.append(node_id)
        if result.ui is not None:
            self._tell_output(node_id, result.ui)
        state = self._states[node_id]
        self._progress(node_id, state["max"], state["max"], "finished")
        return result

    def _starts(self, node_id: str) -> None:
        self._on_node(node_id)
        self._progress(node_id, 0.0, 1.0, "running")
        if self._item.client_id is not None:
            body = {"node": node_id, "display_node": node_id, "prompt_id": self._item.prompt_id}
            self._send("executing", body)

    def _tell_kept(self, node_id: str, result: Result) -> bool:
        # ComfyUI tells, and keeps in the history, what a cached output made only when there is a client to tell.
        told = self._item.client_id is not None and result.ui is not None
        if told and result.ui is not None:
            self._tell_output(node_id, result.ui)
        self._progress(node_id, 1, 1, "finished")
        return told

    def _tell_output(self, node_id: str, ui: dict[str, JSON]) -> None:
        if self._item.client_id is not None:
            body = {"node": node_id, "display_node": node_id, "output": ui}
            self._send("executed", body | {"prompt_id": self._item.prompt_id})

    def _progress(self, node_id: str, value: float, of: float, state: str) -> None:
        where = self._whereabouts(node_id)
        self._states[node_id] = {
            "value": value,
            "max": of,
            "state": state,
            "node_id": node_id,
            "prompt_id": self._item.prompt_id,
            "display_node_id": where["display_node_id"],
            "parent_node_id": None,
            "real_node_id": where["real_node_id"],
        }
        body = {"prompt_id": self._item.prompt_id, "nodes": dict(self._states)}
        self._send("progress_state", body)

    def _whereabouts(self, node_id: str) -> dict[str, JSON]:
        return {
            "node_id": node_id,
            "prompt_id": self._item.prompt_id,
            "display_node_id": node_id,
            "parent_node_id": None,
            "real_node_id": node_id,
        }

    def _send(self, event: str, body: dict[str, JSON]) -> None:
        self._audience.send(event, body, self._item.client_id)

    def _event(self, event: str, body: dict[str, JSON], *, to_all: bool = False) -> None:
        body = {"prompt_id": self._item.prompt_id} | body | {"timestamp": now_ms()}
        if event == "execution_cached":
            body = {"nodes": body.pop("nodes")} | body
        self._messages.append((event, body))
        if self._item.client_id is not None or to_all:
            self._send(event, body)

    def _end_interrupted(self, outputs: dict[str, JSON], meta: dict[str, JSON]) -> Outcome:
        body = {
            "node_id": self._now,
            "node_type": self.prompt[self._now]["class_type"],
            "executed": self._executed,
        }
        self._event("execution_interrupted", body, to_all=True)
        return Outcome(False, outputs, meta, self._messages)

    def _end_failed(
        self, exc: Exception, outputs: dict[str, JSON], meta: dict[str, JSON]
    ) -> Outcome:
        entry = self.prompt[self._now]
        inputs = entry.get("inputs") or {}
        body = {
            "node_id": self._now,
            "node_type": entry["class_type"],
            "executed": self._executed,
            "exception_message": f"{exc}\n",
            "exception_type": _type_name(exc),
            "traceback": traceback.format_tb(exc.__traceback__),
            "current_inputs": {
                name: [value] for name, value in inputs.items() if not isinstance(value, list)
            },
            "current_outputs": list(self.prompt),
        }
        self._event("execution_error", body)
        return Outcome(False, outputs, meta, self._messages)

    def _doomed(self, fault: PromptError, order: list[str]) -> str:
        named = (n for n in order if self.prompt[n]["class_type"] == fault.node)
        return next(named, order[0])

    def _order(self, held: set[str]) -> list[str]:
        """What to run, and when: always the first node found whose sources are ready, as ComfyUI picks."""
        found: dict[str, set[str]] = {}
        waiting = list(self._item.outputs)
        while waiting:
            node_id = waiting.pop()
            if node_id not in found:
                sources = {link[0] for link in links(self.prompt[node_id]).values()}
                # What a kept node was made from is not needed again.
                found[node_id] = set() if node_id in held else sources - held
                waiting += [
                    link[0]
                    for link in links(self.prompt[node_id]).values()
                    if link[0] in found[node_id]
                ]
        order: list[str] = []
        while found:
            ready = next(n for n, sources in found.items() if not sources & found.keys())
            del found[ready]
            order.append(ready)
        return order

    def _keep_what_is_used(self) -> dict[str, str]:
        """Signatures of this prompt's nodes; the cache is cut down to them, as it holds the last prompt only."""
        signatures: dict[str, str] = {}
        for node_id in self._order(set()):
            signatures[node_id] = self._signature(node_id, signatures)
        used = set(signatures.values())
        for stale in [signature for signature in self._cache if signature not in used]:
            del self._cache[stale]
        return signatures

    def _signature(self, node_id: str, signatures: dict[str, str]) -> str:
        """What a node's result depends on: its class, its values and the signatures of its sources."""
        entry = self.prompt[node_id]
        linked = links(entry)
        inputs = entry.get("inputs") or {}
        values = {
            name: [signatures[linked[name][0]], linked[name][1]] if name in linked else value
            for name, value in inputs.items()
        }
        node = self._nodes[entry["class_type"]]
        extra = ""
        if node.depends_on is not None:
            try:
                extra = node.depends_on(inputs)
            except (OSError, PathRefused):
                return f"unreadable/{node_id}/{now_ms()}"  # so it is run, and tells why it fails
        text = json.dumps([entry["class_type"], values, extra], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _type_name(exc: Exception) -> str:
    if isinstance(exc, ToldToFail):
        return exc.fault.exception_type
    module = type(exc).__module__
    return type(exc).__qualname__ if module == "builtins" else f"{module}.{type(exc).__qualname__}"


class Worker:
    """The one thread that paints, so that the event loop stays free to answer."""

    def __init__(self, work: Callable[[], bool]) -> None:
        self._work = work
        self._thread = threading.Thread(target=self._loop, name="embedded engine", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _loop(self) -> None:
        while self._work():
            pass
