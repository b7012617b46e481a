"""A run as JUnit XML, which every CI shows: a test case for each job."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

# what XML 1.0 has no way to say
FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, kw_only=True)
class Case:
    """One job: `problem` is None unless it failed."""

    id: str
    name: str
    status: str
    seconds: float
    kind: str | None = None
    problem: str | None = None
    remedy: str | None = None

    def failed(self, *, kind: str, problem: str, remedy: str) -> Case:
        """The case with what went wrong."""
        return replace(self, kind=kind, problem=problem, remedy=remedy)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A batch, and the notebook that made it."""

    name: str
    notebook: str
    cases: Sequence[Case]

    @property
    def counts(self) -> Mapping[str, int]:
        """How many of its jobs have which status."""
        return dict(sorted(Counter(case.status for case in self.cases).items()))


def junit(suites: Sequence[Suite], *, name: str, error: str | None) -> bytes:
    """The document. `error`: what the notebook itself failed with, if it did."""
    root = ET.Element("testsuites", name=_legal(name))
    for suite in suites:
        cases = suite.cases
        each = ET.SubElement(
            root,
            "testsuite",
            name=_legal(suite.name),
            tests=str(len(cases)),
            failures=str(sum(case.problem is not None for case in cases)),
            errors="0",
            skipped=str(sum(_is_skipped(case) for case in cases)),
            time=f"{sum(case.seconds for case in cases):.3f}",
        )
        for case in cases:
            _add(each, case, classname=f"{suite.notebook}.{suite.name}")
    if error is not None:
        each = ET.SubElement(
            root, "testsuite", name="notebook", tests="1", failures="0", errors="1", skipped="0"
        )
        case_element = ET.SubElement(each, "testcase", name="runs to its end", classname="notebook")
        ET.SubElement(case_element, "error", message=_legal(error))
    ET.indent(root)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _add(suite: ET.Element, case: Case, *, classname: str) -> None:
    element = ET.SubElement(
        suite,
        "testcase",
        name=_legal(case.name),
        classname=_legal(classname),
        time=f"{case.seconds:.3f}",
    )
    if case.problem is not None:
        failure = ET.SubElement(
            element, "failure", message=_legal(case.problem), type=_legal(case.kind or "")
        )
        failure.text = _legal(f"{case.problem}\n{case.remedy or ''}\njob {case.id}")
    elif _is_skipped(case):
        ET.SubElement(element, "skipped", message=_legal(f"the job was {case.status}"))


def _is_skipped(case: Case) -> bool:
    return case.problem is None and case.status in {"cancelled", "removed"}


def _legal(text: str) -> str:
    return FORBIDDEN.sub("�", text)
