"""Every failure has a cause and a remedy; what a machine can do about it is offered with what it needs."""

from __future__ import annotations

import ast
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import diagnosis, errors
from orchestrator.diagnosis import ACTIONS, RULES, Action, Context, diagnose, guide, smaller
from orchestrator.diagnosis.guide import BEGIN, END
from orchestrator.diagnosis.smaller import smaller_size, with_values
from orchestrator.errors import OrchestratorError, RequestInvalid, ServiceError
from orchestrator.jobs import Attempt, Failure, Job, Result, Status
from orchestrator.testing import make_job

PACKAGE = Path(diagnosis.__file__).parent.parent
README = PACKAGE.parent / "README.md"
HOST = "http://127.0.0.1:8188"


def classes(kind: type[OrchestratorError]) -> Iterator[type[OrchestratorError]]:
    for below in kind.__subclasses__():
        # not those that another test makes for itself, nor those of the components search, which has no jobs
        if below.__module__.startswith(f"{errors.__name__}."):
            yield below
        yield from classes(below)


def failed(
    kind: str,
    message: str = "it failed",
    *,
    remedy: str = "",
    backend: str = "sd15",
    **fields: Any,
) -> Job:
    failure = Failure(kind=kind, message=message, remedy=remedy)
    return make_job(backend=backend, status=Status.FAILED, failure=failure, **fields)


def said_of(job: Job, **context: object) -> diagnosis.Diagnosis:
    return diagnose(job.failure, job=job, context=Context(**context))  # type: ignore[arg-type]


def kinds_written_in_the_code() -> set[str]:
    """Every literal kind of `Failure(kind="…")`, and of a class that has one."""
    found = set()
    for file in PACKAGE.rglob("*.py"):
        unit = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if unit in {"engine", "testing", "monitor", "diagnosis", "statistics"}:
            continue
        source = file.read_text("utf-8")
        if "kind=" not in source:
            continue  # most are not worth parsing
        for node in ast.walk(ast.parse(source)):
            is_failure = isinstance(node, ast.Call) and (
                (isinstance(node.func, ast.Name) and node.func.id == "Failure")
                or (isinstance(node.func, ast.Name) and node.func.id == "cls")
            )
            for keyword in node.keywords if is_failure else ():  # type: ignore[attr-defined]
                if keyword.arg == "kind" and isinstance(keyword.value, ast.Constant):
                    found.add(str(keyword.value.value))
    return found


# ------------------------------------------------------------------------------ the table is whole


@pytest.mark.parametrize(
    "kind", [ServiceError, *classes(ServiceError)], ids=lambda kind: kind.__name__
)
def test_every_failure_of_a_service_has_a_rule(kind: type[ServiceError]) -> None:
    job = make_job(status=Status.FAILED)
    said = diagnose(Failure.of(kind()), job=job)
    assert said.rule != "unknown"
    assert said.cause
    assert said.remedy
    assert said.step


@pytest.mark.parametrize(
    "kind",
    [kind for kind in classes(OrchestratorError) if not issubclass(kind, ServiceError)],
    ids=lambda kind: kind.__name__,
)
def test_every_error_of_the_lab_that_may_end_a_job_has_a_rule(
    kind: type[OrchestratorError],
) -> None:
    said = diagnose(Failure.of(kind("as it is")), job=make_job(status=Status.FAILED))
    if kind.__module__.startswith(f"{errors.__name__}.") or issubclass(kind, RequestInvalid):
        assert said.rule != "unknown"


def test_every_kind_that_the_code_writes_has_a_rule() -> None:
    kinds = kinds_written_in_the_code()
    assert {"poison", "abandoned", "internal"} <= kinds
    unknown = {kind for kind in kinds if said_of(failed(kind)).rule == "unknown"}
    assert not unknown


def test_every_rule_can_be_reached_and_says_something() -> None:
    names = [rule.name for rule in RULES]
    assert len(set(names)) == len(names)
    for rule in RULES:
        assert rule.kinds or rule.text, rule.name
        assert rule.symptom
        assert set(rule.names) <= ACTIONS
        assert bool(rule.names) == bool(rule.offer), rule.name


def test_an_unknown_failure_says_what_to_send_to_whom() -> None:
    said = said_of(failed("never_heard_of"))
    assert said.rule == "unknown"
    assert "maintainers" in said.remedy
    assert "orchestrator health --json" in said.remedy
    assert said.action is None


# ------------------------------------------------------------------------------ what is said


# a failure as it is stored -> the rule that speaks, and the first action
CASES = [
    ("corrupt_model", "KSampler cannot read xl.safetensors", "corrupt_model", "other_checkpoint"),
    ("unclassified", "SafetensorError: HeaderTooLarge", "corrupt_model", "other_checkpoint"),
    ("missing_checkpoint", "no such", "missing_checkpoint", "other_checkpoint"),
    ("missing_node", "The server has no node X", "missing_node", None),
    ("unknown_sampler", "no such", "unknown_sampler", "other_sampler"),
    ("unreachable", "ComfyUI cannot be reached (ConnectError)", "refused", "restart_service"),
    ("unclassified", "connect ECONNREFUSED 127.0.0.1:8188", "refused", "restart_service"),
    ("unreachable", "(ConnectError: [Errno -2] Name or service not known)", "no_such_host", None),
    ("unreachable", "cannot be reached (ProxyError)", "proxy", None),
    ("service_broken", "answered 502 with something that is not JSON", "proxy", None),
    ("service_broken", "answered 500", "service_broken", "retry"),
    ("timeout", "took too long", "timeout", "retry"),
    ("unclassified", "Timeout waiting for ComfyUI", "timeout", "retry"),
    ("unclassified", "HTTP 404: Invalid API key", "invalid_key", None),
    ("unclassified", "Exceeded max retries (3)", "old_retries", "retry"),
    ("internal", "OSError: [Errno 28] No space left on device: '/a'", "disk_full", None),
    ("unclassified", "ENOENT: no such file or directory, open 'F:\\x'", "place_missing", None),
    ("internal", "PermissionError: [Errno 13] Permission denied: '/a'", "place_forbidden", None),
    ("internal", "KeyError: 'x'", "internal", None),
    ("ambiguous", "sent, and never answered", "ambiguous", None),
    ("vanished", "The server no longer knows the prompt", "vanished", "retry"),
    ("poison", "6 workers died while they ran this job", "poison", "retry"),
    ("moderated", "refused", "moderated", None),
    ("rate_limited", "429", "rate_limited", "retry"),
    ("no_credits", "402", "no_credits", None),
    ("over_budget", "over", "over_budget", None),
]


@pytest.mark.parametrize(("kind", "message", "rule", "action"), CASES)
def test_a_failure_is_told_by_the_rule_for_it(
    kind: str, message: str, rule: str, action: str | None
) -> None:
    said = said_of(failed(kind, message))
    assert (said.rule, said.action and said.action.name) == (rule, action)


def test_a_job_of_the_old_system_is_diagnosed_by_its_text() -> None:
    job = make_job(status=Status.FAILED, result=Result(error="connect ECONNREFUSED ::1:8188"))
    assert diagnose(None, job=job).rule == "refused"


def test_a_timeout_is_told_apart_by_the_queue_of_the_service() -> None:
    job = failed("timeout")
    full, empty = said_of(job, queue_length=7), said_of(job, queue_length=0)
    assert (full.rule, empty.rule) == ("timeout_full_queue", "timeout_empty_queue")
    assert "7" in full.cause
    assert empty.action == Action("restart_service", "Restart ComfyUI", {"service": "comfyui"})


def test_a_server_that_goes_away_again_and_again_is_a_crash_loop() -> None:
    job = failed("vanished")
    lost = [
        Attempt(
            number=n,
            service="comfyui",
            host=HOST,
            started_at=job.created_at,
            failure=Failure(kind=kind, message="gone"),
        )
        for n, kind in enumerate(["vanished", "unreachable", "vanished"], start=1)
    ]
    once, often = job.having(attempts=lost[:1]), job.having(attempts=lost)
    assert said_of(once).rule == "vanished"
    assert said_of(often).rule == "crash_loop"
    assert "3 times" in said_of(often).cause


@pytest.mark.parametrize("code", [errno.ENOENT, errno.ENOSPC, errno.EACCES])
def test_a_trouble_with_a_place_names_the_place(code: int) -> None:
    error = OSError(code, os.strerror(code), "/mnt/drop/out/a.png")
    failure = Failure.of(error)
    job = failed(failure.kind, failure.message)
    said = said_of(
        job, places={"projectRoot": "/mnt", "dropOut": "/mnt/drop/out"}, free={"dropOut": 5}
    )
    assert "dropOut (/mnt/drop/out)" in said.cause


def test_a_full_disk_without_a_name_is_the_place_with_least_room() -> None:
    job = failed("DiskFull", "The disk that holds the jobs is full.")
    places = {"jobs": "/jobs", "dropOut": "/out"}
    said = said_of(job, places=places, free={"jobs": 7_000_000, "dropOut": 10**12})
    assert "jobs (/jobs)" in said.cause
    assert "7 MB" in said.cause


def test_a_proxy_is_suspected_only_where_there_is_one() -> None:
    job = failed("service_broken", "BFL answered 503")
    assert said_of(job).rule == "service_broken"
    assert said_of(job, proxies=("HTTPS_PROXY",)).rule == "proxy_in_the_way"


def test_a_remedy_made_for_the_failure_wins_over_the_usual_one() -> None:
    own = "Did you mean euler?"
    assert said_of(failed("unknown_sampler", remedy=own)).remedy == own
    usual = errors.UnknownSampler.remedy
    assert said_of(failed("unknown_sampler", remedy=usual)).remedy != usual


def test_what_stands_in_a_message_is_no_format() -> None:
    hostile = "{cause} {0} {host.__class__}/x.safetensors"
    said = said_of(failed("corrupt_model", hostile, backend="{job}"))
    assert "{host.__class__}/x.safetensors" in said.cause


def test_a_waiting_job_is_told_why_it_waits() -> None:
    job = make_job()
    assert diagnose(None, job=job, context=Context(workers=0)).rule == "no_worker"
    assert "lunch" in diagnose(None, job=job, context=Context(workers=1, pause="lunch")).cause
    assert diagnose(None, job=job, context=Context(workers=1)).rule == "waiting"


@pytest.mark.parametrize("status", list(Status))
def test_a_job_in_any_status_has_a_diagnosis(status: Status) -> None:
    assert diagnose(None, job=make_job(status=status)).cause
    assert diagnose(None, job=make_job(status=status, hold=True)).cause


# ------------------------------------------------------------------------------ smaller


def test_out_of_memory_offers_half_the_area_in_the_same_shape() -> None:
    job = failed("out_of_memory", params={"width": 1024, "height": 1024})
    said = said_of(job)
    assert said.action is not None
    assert said.action.name == "retry_smaller"
    assert said.action.params == {"width": 704, "height": 704}
    assert "704x704" in said.remedy
    assert "1024x1024" in said.cause


def test_a_size_that_was_not_asked_for_is_the_one_the_backend_takes_by_itself() -> None:
    assert smaller(make_job(backend="sdxl", params={})) == {"width": 704, "height": 704}


@pytest.mark.parametrize(
    ("params", "changes"),
    [
        ({"batchSize": "4", "width": 1024, "height": 1024}, {"batch_size": 2}),
        ({"batch-size": 3}, {"batch_size": 2}),
        ({"hires_scale": 2}, {"hires_scale": None, "hires_denoise": None, "hires_steps": None}),
        ({"width": 256, "height": 256}, None),
        ({"width": "wide", "height": None}, None),  # what is no number cannot be halved
    ],
)
def test_a_batch_goes_first_then_the_second_pass_then_the_size(
    params: dict[str, object], changes: dict[str, object] | None
) -> None:
    assert smaller(make_job(params=params)) == changes


def test_the_smaller_size_always_ends_and_keeps_shape_and_step() -> None:
    for wide in range(16, 4097, 104):
        for high in range(16, 4097, 120):
            size: tuple[int, int] | None = (wide, high)
            looks = 0
            while size is not None:
                next_size = smaller_size(*size)
                if next_size is not None:
                    assert next_size[0] * next_size[1] < size[0] * size[1]
                    assert next_size[0] % 8 == next_size[1] % 8 == 0
                size, looks = next_size, looks + 1
                assert looks < 12


def test_nothing_smaller_than_the_smallest_is_offered() -> None:
    said = said_of(failed("out_of_memory", params={"width": 256, "height": 256}))
    assert said.rule == "out_of_memory_smallest"
    assert "retry_smaller" not in {action.name for action in said.actions}


def test_a_parameter_is_changed_whatever_it_was_called() -> None:
    params = {"samplerName": "odd", "batch_size": 4, "steps": 9}
    assert with_values(params, sampler="euler", batch_size=None) == {"steps": 9, "sampler": "euler"}


# ------------------------------------------------------------------------------ the guide


def test_the_guide_has_a_row_for_every_rule_and_no_blanks() -> None:
    rows = guide().splitlines()
    assert len(rows) == len(RULES) + 3  # its head, and anything else
    assert all(row.replace("\\|", "").count("|") == 5 for row in rows)
    assert "{" not in guide()


def test_the_readme_says_what_the_rules_say() -> None:
    text = README.read_text("utf-8") if README.exists() else ""
    if BEGIN not in text:
        pytest.skip("README has no section for the guide")
    section = text.partition(BEGIN)[2].partition(END)[0]
    assert section.strip() == guide().strip()
