"""Why a job failed, and what to do about it: a table of rules, pure.

    said = diagnose(job.failure, job=job, context=context)
    said.cause, said.remedy, said.action      # the action is what a machine may do, or None

What is around a job (how long the queue at its service is, which disks have room) is given as a `Context`; who
carries an action out is `orchestrator.remedies`.
"""

from __future__ import annotations

from orchestrator.diagnosis.diagnose import diagnose
from orchestrator.diagnosis.guide import BEGIN, END, guide
from orchestrator.diagnosis.rules import RULES
from orchestrator.diagnosis.smaller import smaller
from orchestrator.diagnosis.values import ACTIONS, Action, Context, Diagnosis, Rule

__all__ = [
    "ACTIONS",
    "BEGIN",
    "END",
    "RULES",
    "Action",
    "Context",
    "Diagnosis",
    "Rule",
    "diagnose",
    "guide",
    "smaller",
]
