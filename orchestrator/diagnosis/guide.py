"""The troubleshooting guide of the README, made from the rules: it cannot say anything else than the lab does."""

from __future__ import annotations

from orchestrator.diagnosis.facts import GENERAL, sentence
from orchestrator.diagnosis.rules import RULES, UNKNOWN
from orchestrator.diagnosis.values import (
    OTHER_CHECKPOINT,
    OTHER_SAMPLER,
    RESTART_SERVICE,
    RETRY,
    RETRY_SMALLER,
    VERIFY_MODEL,
    Rule,
)

BEGIN, END = "<!-- troubleshooting -->", "<!-- /troubleshooting -->"
TITLES = {
    RETRY_SMALLER: "retry smaller",
    OTHER_CHECKPOINT: "another checkpoint",
    OTHER_SAMPLER: "the nearest sampler",
    VERIFY_MODEL: "check the model",
    RESTART_SERVICE: "restart the service",
    RETRY: "retry",
}


def guide() -> str:
    """The guide as a Markdown table, without a heading; ends with a line break."""
    rows = [
        "| What you see | Why | What to do | By itself |",
        "| --- | --- | --- | --- |",
        *(_row(rule) for rule in (*RULES, UNKNOWN)),
    ]
    return "\n".join(rows) + "\n"


def _row(rule: Rule) -> str:
    titles = ", ".join(TITLES[name] for name in rule.names)
    cells = (rule.symptom, rule.cause, rule.remedy, titles)
    said = (sentence(cell.format_map(GENERAL)).replace("|", "\\|") for cell in cells)
    return "| " + " | ".join(said) + " |"
