"""The section on calibration, and its tables to take away."""

import csv
import io
from dataclasses import replace

import pytest

from tests.statistics.test_calibration import TARGETS, predictions_of, probabilities_and_labels
from torchcross.records import ALL_SHOTS
from torchcross.report.calibration import (
    CalibrationResult,
    calibration_csv,
    calibration_latex,
    calibration_markdown,
    calibration_section,
    reliability_csv,
)
from torchcross.statistics import calibration, calibration_intervals


def result(kind, name="ncm", rows=400):
    target = TARGETS[kind]
    some = [predictions_of(target, *probabilities_and_labels(target, rows), episodes=20)]
    return CalibrationResult(name, calibration(some), calibration_intervals(some))


@pytest.mark.parametrize("kind", TARGETS)
def test_the_section_has_a_table_and_a_plot(kind):
    each = result(kind, "<b>ncm & co</b>")
    text = calibration_section([each, result(kind, "other")], "")
    assert "<b>ncm" not in text
    assert f"{each.calibration.brier:.3f} ± {each.intervals.brier.half:.3f}" in text
    assert text.count("<svg") >= 3
    assert "15 bins of equal width" in text
    counts = each.calibration.reliability.counts
    if kind == "binary":
        counts = counts[1:]
    filled = (counts.sum(axis=0) > 0).sum()
    assert text.count(" predictions of ") == 2 * filled


def test_a_plot_of_two_classes_is_of_the_second():
    bins = result("binary").calibration.reliability
    text = calibration_section([result("binary")], "")
    at = int(bins.counts[1].argmax())
    hint = f"{100 * bins.share[1, at]:.0f} % of {bins.counts[1, at]:,} predictions of"
    assert hint in text


def test_it_says_which_numbers_are_good_and_names_them_by_what_they_hold():
    each = result("binary")
    page, markdown, latex = (
        make([each], *more)
        for make, more in (
            (calibration_section, [""]),
            (calibration_markdown, []),
            (calibration_latex, []),
        )
    )
    for text in (page, markdown, latex):
        assert text.count("log-likelihood") == text.count("negative log-likelihood") > 0
    assert "All of them are 0 for a predictor that is sure and right" in page
    assert "Brier score of 0.25" in page


def test_without_predictions_it_says_why():
    assert "No predictions of single images: none were asked for." in calibration_section(
        [], "none were asked for"
    )


def test_tables_to_take_away_have_every_number():
    results = [result(kind, "=1+1") for kind in TARGETS]
    rows = list(csv.DictReader(io.StringIO(calibration_csv(results))))
    assert len(rows) == 3 * len(TARGETS)
    assert float(rows[0]["value"]) == pytest.approx(results[0].calibration.brier, abs=1e-14)
    assert float(rows[2]["high"]) == results[0].intervals.ece.high
    assert not any(row["algorithm"].startswith("=") for row in rows)
    bins = list(csv.DictReader(io.StringIO(reliability_csv(results[:1]))))
    counts = results[0].calibration.reliability.counts
    assert sum(int(row["predictions"]) for row in bins) == counts.sum()
    assert all(row["shots"] == str(results[0].calibration.shots) for row in rows + bins)
    markdown, latex = calibration_markdown(results), calibration_latex(results)
    assert len(markdown.splitlines()) == 2 + len(results)
    assert latex.count("$\\pm$") == 3 * len(results)
    assert latex.startswith("\\begin{tabular}{lrlrrr}")


def test_tables_have_the_word_of_rows_that_learn_from_all_labels():
    usual = result("binary")
    whole = replace(usual, calibration=replace(usual.calibration, shots=ALL_SHOTS))
    for text in (calibration_csv([whole]), reliability_csv([whole])):
        assert {row["shots"] for row in csv.DictReader(io.StringIO(text))} == {"all"}
