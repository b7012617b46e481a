"""The table: from what went wrong to why, and to what to do about it. The first rule that speaks for a failure wins."""

from __future__ import annotations

from orchestrator.diagnosis.rules_cluster import CLUSTER
from orchestrator.diagnosis.rules_lab import DISKS, REQUESTS, RUNNING
from orchestrator.diagnosis.rules_services import MODELS, MONEY, NETWORK
from orchestrator.diagnosis.values import Rule
from orchestrator.diagnosis.wording import AGAIN, REPORT

RULES: tuple[Rule, ...] = (*MODELS, *DISKS, *NETWORK, *MONEY, *CLUSTER, *REQUESTS, *RUNNING)
UNKNOWN = Rule(
    name="unknown",
    symptom="Anything else",
    cause="The failure is {kind}, which no rule of the lab knows.",
    remedy=f"Read the message. {REPORT}",
    step=f"Report it. {AGAIN}",
    wins=True,
)
