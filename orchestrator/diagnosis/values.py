"""What a diagnosis is made from and made of."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.jobs import Failure, Job

RETRY_SMALLER = "retry_smaller"
OTHER_CHECKPOINT = "other_checkpoint"
OTHER_SAMPLER = "other_sampler"
VERIFY_MODEL = "verify_model"
RESTART_SERVICE = "restart_service"
RETRY = "retry"
ACTIONS = frozenset(
    {RETRY_SMALLER, OTHER_CHECKPOINT, OTHER_SAMPLER, VERIFY_MODEL, RESTART_SERVICE, RETRY}
)

# Kinds that say little: for these the words of the message decide
VAGUE = frozenset(
    {"", "unclassified", "internal", "service_error", "service_broken", "execution_failed"}
)


@dataclass(frozen=True)
class Action:
    """Something a machine may do about a failure. `name` is one of ACTIONS, `title` a button's."""

    name: str
    title: str
    params: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """The action as JSON."""
        return {"name": self.name, "title": self.title, "params": dict(self.params)}


@dataclass(frozen=True)
class Context:
    """What is around a job, as far as somebody looked; None and nothing where nobody did.

    `queue_length`: prompts at the service. `places`: the folders of paths.json by key, `free`: bytes left on their
    disks. `proxies`: the names of the environment's variables that name one. `workers`: how many live.
    `pause`: why the queue is paused.
    """

    host: str | None = None
    queue_length: int | None = None
    places: Mapping[str, str] = field(default_factory=dict)
    free: Mapping[str, int] = field(default_factory=dict)
    proxies: tuple[str, ...] = ()
    workers: int | None = None
    pause: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    """`cause` and `remedy` are sentences; `step` is what to do first; `action` does it, where a machine can.

    `others` are further actions that may help. `rule` names the rule that spoke.
    """

    cause: str
    remedy: str
    action: Action | None = None
    others: tuple[Action, ...] = ()
    step: str = ""
    rule: str = ""

    @property
    def actions(self) -> tuple[Action, ...]:
        """Everything a machine may do, best first."""
        return (self.action, *self.others) if self.action else self.others

    def document(self) -> dict[str, Any]:
        """The diagnosis as JSON."""
        return {
            "rule": self.rule,
            "cause": self.cause,
            "remedy": self.remedy,
            "step": self.step,
            "action": self.action.document() if self.action else None,
            "others": [action.document() for action in self.others],
        }


@dataclass(frozen=True)
class Facts:
    """What a rule looks at."""

    failure: Failure
    job: Job
    context: Context


@dataclass(frozen=True)
class Rule:
    """One row of the table. It speaks for a failure whose kind is among `kinds` (and whose message has `words`), or
    whose kind says little and whose message has `text`; in both cases only if `when` agrees.

    `symptom` is what a user sees. `cause`, `remedy` and `step` may have the places of `facts.blanks`.
    `wins`: its remedy counts even where the failure brings one of its own. `names` are the actions it may offer.
    """

    name: str
    symptom: str
    cause: str
    remedy: str
    step: str = ""
    kinds: frozenset[str] = frozenset()
    words: re.Pattern[str] | None = None
    text: re.Pattern[str] | None = None
    when: Callable[[Facts], bool] | None = None
    offer: Callable[[Facts], tuple[Action, ...]] | None = None
    names: tuple[str, ...] = ()
    wins: bool = False

    def speaks_for(self, facts: Facts) -> bool:
        """Whether this is the rule for a failure, those above it having passed."""
        kind, message = facts.failure.kind, facts.failure.message
        known = kind in self.kinds and (self.words is None or bool(self.words.search(message)))
        guessed = kind in VAGUE and self.text is not None and bool(self.text.search(message))
        return (known or guessed) and (self.when is None or self.when(facts))
