"""The section of results by class and subgroup, and its tables as CSV."""

from __future__ import annotations

import csv
import io
import math
import re

import numpy as np
import pytest

from tests.statistics.test_by_class import predictions_of
from tests.targets.tables import TARGETS
from torchcross.report import ImageResults, class_values_csv, confusions_csv
from torchcross.report.by_class import by_class_section
from torchcross.statistics import Subgroups, class_values, confusion_matrix
from torchcross.targets import MultiClass

LABELS = np.arange(24) % 4


@pytest.fixture(scope="module")
def results():
    target = MultiClass(["<b>none</b>", "mild", "much", "=most"])
    predictions = predictions_of(target, labels=LABELS, subjects=np.arange(200) // 2)
    codes = np.where(np.arange(200) < 8, 1, 0)
    values = class_values([predictions], subgroups=[Subgroups("sex", ("F", "M"), codes)])
    return ImageResults(values, [confusion_matrix([predictions])], 0.9)


def test_the_meaning_of_columns_is_printed_too(results):
    """A fold that is closed is not printed: paper has the same words open."""
    html = by_class_section(results)
    folded, printed = re.findall(r"<dl class=\"choices\">.*?</dl>", html, re.DOTALL)
    assert folded == printed
    assert re.search(r'<details class="screen"><summary>What the columns mean</summary><dl', html)
    assert re.search(r'<div class="paper"><p[^>]*>What the columns mean:</p><dl', html)


def test_the_section_has_every_value(results):
    html = by_class_section(results)
    assert len(re.findall(r"<details open[^>]*><summary>toys/any<span[^>]*> 5 shots", html)) == 1
    assert "By class; intervals over episodes" in html
    assert "By class and sex; intervals over episodes" in html
    assert "at 90 % specificity (%)" in html
    for value in results.values:
        if not math.isnan(value.interval.mean):
            assert f"{value.interval.mean * 100:.1f}" in html
    refused = [value for value in results.values if "too few images" in value.interval.note]
    assert html.count(">too few</td>") == len(refused) > 0
    (matrix,) = results.confusions
    shares = re.findall(r'shade(\d+)" title="(\d+) predictions">([\d.]+)<', html)
    assert [int(count) for _, count, _ in shares] == matrix.counts.ravel().tolist()
    for (shade, _, text), share in zip(shares, matrix.share.ravel(), strict=True):
        assert text == f"{share * 100:.1f}"
        assert int(shade) == round(share * 10)


def test_names_are_text(results):
    html = by_class_section(results)
    assert "<b>none" not in html
    assert "&lt;b&gt;none" in html


def test_a_class_stands_beside_itself_in_another_subgroup(results):
    html = by_class_section(results)
    rows = re.findall(r'<th scope="row">([^<]+)</th><td>any</td><td>([FM])</td>', html)
    assert [group for _, group in rows] == ["F", "M"] * 4
    assert [name for name, _ in rows][::2] == [name for name, _ in rows][1::2]


def test_a_run_without_predictions_says_why():
    html = by_class_section(ImageResults(absent="none are stored: evaluation.predictions is 0"))
    assert "No predictions of single images: none are stored" in html
    assert "<table" not in html


def test_tables_hold_every_digit(results):
    rows = list(csv.DictReader(io.StringIO(class_values_csv(results.values))))
    assert len(rows) == len(results.values)
    for row, value in zip(rows, results.values, strict=True):
        mean = value.interval.mean
        assert row["value"] == ("" if math.isnan(mean) else repr(mean))
        assert (row["column"], row["group"], row["measure"]) == (
            value.column,
            value.group,
            value.measure,
        )
        assert int(row["images_with"]) == value.with_class
        assert int(row["subjects"]) == value.subjects
        assert row["note"] == value.interval.note
    assert {row["class"] for row in rows} == {"<b>none</b>", "mild", "much", "'=most"}
    counts = list(csv.DictReader(io.StringIO(confusions_csv(results.confusions))))
    assert sum(int(row["predictions"]) for row in counts) == results.confusions[0].counts.sum()


def test_several_labels_have_classes_and_no_confusion():
    predictions = predictions_of(TARGETS["multi-label"])
    html = by_class_section(ImageResults(class_values([predictions])))
    assert "cyst" in html
    assert "Confusion matrix" not in html


def test_the_legend_says_which_number_of_images_was_asked_for():
    predictions = predictions_of(TARGETS["binary"])
    values = class_values([predictions], fewest=5)
    html = by_class_section(ImageResults(values, fewest=5))
    assert "fewer than 5 different images" in html
