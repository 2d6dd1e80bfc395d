"""A study of few pairs says once, in one line, what it cannot say."""

from __future__ import annotations

from pathlib import Path

from tests.report.reading import read_page
from tests.transfer.study_data import BACKBONE
from torchcross.transfer.page.lacking_correlations import lacking_correlation_lines
from torchcross.transfer.rankings import correlations, judge_scores
from torchcross.transfer.source_target import SourceTargetTable
from torchcross.transfer.studies import (
    StudyDesign,
    StudyFolder,
    StudyScores,
    StudySettings,
    write_study_report,
)
from torchcross.transfer.studies.job import write_record


def write_study(folder: Path, sources: tuple[str, ...], targets: tuple[str, ...]) -> StudyFolder:
    """A study whose cells hold made-up numbers."""
    study = StudyFolder(
        folder,
        StudySettings(
            study=StudyDesign(sources=sources, targets=targets, folds=2),
            backbone=BACKBONE,
            scores=StudyScores(names=("logme", "knn")),
        ),
    )
    study.begin({})
    (folder / "cells").mkdir()
    for number, (pair, _) in enumerate(study.pairs()):
        value = {"value": 0.5 + 0.01 * number + 0.003 * number**2}
        record = {
            "metrics": {"auroc": value},
            "scores": {"logme": value, "knn": value},
            "images": {},
        }
        write_record(folder / pair.file, record)
    return study


def test_one_pair_beside_the_baseline(tmp_path: Path) -> None:
    study = write_study(tmp_path, ("scratch", "derm"), ("oct",))
    report = write_study_report(study).read_text(encoding="utf-8")
    line = (
        "No correlation over 1 pair without self-pairs for logme and knn: fewer than three pairs"
        " have both numbers."
    )
    assert [part for part in report.splitlines() if "correlation" in part] == [f"- {line}"]
    section = read_page((tmp_path / "report.html").read_text(encoding="utf-8")).by_id("distances")
    assert section.text.count("No correlation") == 1
    assert line in section.text
    assert section.text.count("nothing to plot") == 2
    assert not section.all("svg")
    assert not section.all("table")


def test_scores_without_a_static_rule_are_not_listed_one_by_one(tmp_path: Path) -> None:
    study = write_study(tmp_path, ("scratch", "derm", "bus"), ("oct",))
    report = write_study_report(study).read_text(encoding="utf-8")
    assert "it needs two" in report
    assert "undefined against undefined" not in report
    ranks = [line for line in report.splitlines() if " ranks " in line and line.startswith("- ")]
    assert len(ranks) == 1
    assert ranks[0].startswith("- static ranks no sources of 'oct'")


def test_scores_of_pairs_that_the_static_rule_lacks_are_named_together() -> None:
    nothing = float("nan")
    names, targets = ["a", "b", "c", "d"], ["t", "u"]
    # Sources of one target each have no other target that the rule could take a mean of.
    values = [[0.5, nothing], [0.6, nothing], [nothing, 0.7], [nothing, 0.8]]
    reached = SourceTargetTable(names, targets, values)
    judgement = judge_scores({"x": reached, "y": reached}, reached, permutations=0)
    assert "x and y rank no pair that the static rule ranks too" in judgement.warnings
    assert not any("ranks 4 of 4" in text or "ranks 0" in text for text in judgement.warnings)


def test_plots_within_a_target_have_two_points_or_more(tmp_path: Path) -> None:
    study = write_study(tmp_path, ("scratch", "derm", "oct"), ("oct", "xray"))
    report = write_study_report(study).read_text(encoding="utf-8")
    assert "- logme: pearson " in report
    section = read_page((tmp_path / "report.html").read_text(encoding="utf-8")).by_id("distances")
    captions = [each.text for each in section.all("figcaption")]
    assert "xray" in captions
    assert "oct" not in captions


def test_within_targets_is_said_where_all_pairs_have_a_correlation() -> None:
    x = SourceTargetTable(["a"], ["t", "u", "v"], [[1, 2, 3]])
    y = SourceTargetTable(["a"], ["t", "u", "v"], [[1, 3, 2]])
    items = [("logme", item) for item in correlations(x, y)]
    assert list(lacking_correlation_lines(items)) == [
        "No correlation within targets, over 3 pairs without self-pairs for logme: there are too"
        " few pairs of each target."
    ]
    assert str(items[-1][1]) == (
        "no pearson correlation, within targets, over 3 pairs without self-pairs: there are too"
        " few pairs of each target"
    )


def test_many_names_are_counted() -> None:
    one = SourceTargetTable(["a"], ["t"], [[1]])
    (first, *_) = correlations(one, one)
    (line,) = lacking_correlation_lines([(f"s{number}", first) for number in range(9)])
    assert "for s0, s1, s2, s3, s4, s5 and 3 more: fewer" in line
