"""The report as JSON, in order, and as text."""

import json

import numpy as np
import pytest

from medimeta_adapter.audit import AuditReport, Finding, Severity, check
from medimeta_adapter.audit.findings import SHOWN, Findings
from medimeta_adapter.audit.render import as_text
from tests.medimeta.audit_folders import Folder


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """A root with errors, warnings and notes."""
    root = tmp_path_factory.mktemp("root")
    first = Folder(root, "eyes", channels=3)
    first.patients[60] = first.patients[0]
    first.images[4] = 9
    first.info["license"] = "CC BY-NC-SA 4.0 [draft]"
    first.labels["signs"][:, 2] = 0
    first.write()
    Folder(root, "lids", subjects=False).write()
    return root


@pytest.fixture(scope="module")
def report(spoilt):
    return check(spoilt)


def test_json_has_a_version_and_every_part(report, spoilt):
    found = json.loads(report.to_json())
    assert (found["schema"], found["schema_version"], found["root"]) == (
        "medimeta-audit",
        1,
        str(spoilt),
    )
    assert found["counts"] == report.counts
    assert set(found) == {
        *(
            "schema",
            "schema_version",
            "root",
            "counts",
            "shots",
            "queries",
            "looked_at",
            "findings",
            "datasets",
        )
    }
    first = found["findings"][0]
    assert set(first) == {
        "severity",
        "code",
        "dataset",
        "file",
        "field",
        "message",
        "count",
        "examples",
    }
    assert (first["severity"], first["code"], first["field"]) == (
        "error",
        "subjects-across-splits",
        "patient_id",
    )
    eyes = found["datasets"][0]
    assert (eyes["id"], eyes["samples"], eyes["input_size"], eyes["subjects"]) == (
        "eyes",
        90,
        [3, 16, 16],
        30,
    )
    assert eyes["license_terms"] == ["non-commercial", "share-alike"]
    assert [task["task"] for task in eyes["tasks"]] == ["sick", "what it is", "signs", "grade"]
    assert eyes["tasks"][2]["classes"][2] == {"name": "c", "samples": 0, "rarer": 0, "shots": -1}


def test_json_is_the_same_every_time_and_with_any_number_of_threads(report, spoilt):
    assert check(spoilt, workers=3).to_json() == report.to_json()


def test_the_worst_comes_first(report):
    ranks = [finding.severity.rank for finding in report.findings]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}
    assert (len(report.errors), len(report.warnings), len(report.notes)) == tuple(
        map(ranks.count, range(3))
    )


@pytest.mark.parametrize(
    ("found", "fails"),
    [
        ("error", ["error", "warning", "note"]),
        ("warning", ["warning", "note"]),
        ("note", ["note"]),
        (None, []),
    ],
)
def test_what_holds(found, fails):
    findings = () if found is None else (Finding(Severity(found), "code", "eyes", "message"),)
    report = AuditReport("root", (), findings, 5, 10, {})
    assert [
        level for level in ("error", "warning", "note") if not report.holds(Severity(level))
    ] == fails


def test_the_text_says_it_all(report):
    text = str(report)
    assert "Datasets" in text
    assert "Tasks: the most shots per class beside 10 queries per class" in text
    for finding in report.findings:
        assert all(word in text for word in (finding.dataset, *finding.message.split()[:4]))
    assert text.rstrip().endswith("1 error, 2 warnings, 3 notes")
    assert "[draft]" in text
    assert "\x1b" not in text
    assert all(len(line) <= 120 and line == line.rstrip() for line in text.splitlines())


def test_lines_of_a_message_are_indented():
    found = Finding(
        Severity.ERROR,
        "code",
        "eyes",
        "info.yaml:\n  line 1: one\n  line 2: two",
        examples=("a", "b"),
    )
    lines = str(AuditReport("root", (), (found,), 5, 10, {})).splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("error"))
    assert lines[start + 1 : start + 4] == [
        " " * 11 + "line 1: one",
        " " * 11 + "line 2: two [1]",
        " " * 9 + "a, b",
    ]


def test_narrow_text_stays_whole(report):
    text = as_text(report, width=80)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert "3x16x16" in text
    assert "3 of 3" in text
    assert "what it is" in " ".join(text.split())


def test_findings_keep_few_examples_and_count_all():
    findings = Findings()
    findings.note("code", "eyes", "message", count=1000, examples=np.arange(1000))
    (only,) = findings
    assert (only.count, only.examples) == (1000, tuple(map(str, range(SHOWN))))


def test_a_finding_without_cases_is_not_added():
    findings = Findings()
    findings.error("code", "eyes", "message", examples=[])
    findings.error("code", "eyes", "message", count=0)
    assert findings.in_order() == ()
    findings.error("code", "eyes", "message")
    findings.error("other", "eyes", "message", count=7, examples=["only one is known"])
    assert [finding.count for finding in findings.in_order()] == [1, 7]


def test_nothing_found():
    assert "No problems were found." in str(AuditReport("root", (), (), 5, 10, {}))
