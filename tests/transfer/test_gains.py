"""Gains in percent: a baseline of 0 or less has none, whatever the source reached."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.report.reading import read_page
from tests.transfer.study_data import BACKBONE
from torchcross.transfer.page import check_baseline
from torchcross.transfer.published import published_contents, write_published_page
from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.studies import StudyDesign, StudyFolder, StudySettings, study_contents

kappas = st.floats(-1, 1).map(lambda value: round(value, 3))


def results_of(scratch: list[float], photos: list[float]) -> StudyResults:
    """Two sources of one target, with a value for each fold."""
    return StudyResults.of_cells(
        StudyCell(source, "grades", fold, 0, value)
        for source, values in {"scratch": scratch, "photos": photos}.items()
        for fold, value in enumerate(values)
    )


@given(base=kappas, value=kappas)
def test_a_gain_has_the_sign_of_the_difference_or_is_missing(base: float, value: float) -> None:
    results = results_of([base], [value])
    gain = float(results.gains("scratch")[1, 0, 0, 0])
    difference = float(results.gains("scratch", measure="difference")[1, 0, 0, 0])
    assert math.isnan(gain) == (base <= 0)
    if base > 0:
        assert np.sign(gain) == np.sign(difference)
        assert gain == pytest.approx(difference / base, abs=1e-9)


def test_one_fold_without_a_ratio_leaves_the_pair_without_a_gain() -> None:
    results = results_of([0.02, -0.02, 0.1], [0.55, 0.55, 0.55])
    assert math.isnan(results.transferability()["photos", "grades"])
    difference = results.transferability(measure="difference")["photos", "grades"]
    assert difference == pytest.approx(0.55 - 0.1 / 3)
    # Of the means, the baseline is above 0.
    assert results.transferability(over="means")["photos", "grades"] == pytest.approx(15.5)


def test_a_metric_that_may_be_below_0_has_no_baseline_of_its_own() -> None:
    results = results_of([0.1], [0.2])
    assert check_baseline(None, results, "auroc") == "scratch"
    assert check_baseline(None, results, "my own") == "scratch"
    assert check_baseline(None, results, "qwk") == ""
    assert check_baseline("scratch", results, "qwk") == "scratch"


def test_a_study_of_kappas_shows_values_unless_gains_are_asked_for(tmp_path: Path) -> None:
    design = StudyDesign(sources=("photos", "scratch"), targets=("grades",), folds=2)
    study = StudyFolder(
        tmp_path, StudySettings(study=replace(design, metric="qwk"), backbone=BACKBONE)
    )
    study.begin({})
    assert study_contents(study).baseline == ""
    assert study_contents(study, metric="auroc").baseline == "scratch"
    assert study_contents(study, baseline="scratch").baseline == "scratch"


KAPPAS = """source,target,fold,qwk
scratch,a,0,.2
scratch,a,1,.1
scratch,b,0,.02
scratch,b,1,-.02
photos,a,0,.4
photos,a,1,.3
photos,b,0,.55
photos,b,1,.55
"""


def test_a_page_counts_the_pairs_without_a_gain(tmp_path: Path) -> None:
    table = tmp_path / "kappas.csv"
    table.write_text(KAPPAS, encoding="utf-8")
    assert published_contents(table).baseline == ""
    path = write_published_page(table, tmp_path, baseline="scratch")
    text = read_page(path.read_text(encoding="utf-8")).by_id("results").text
    assert "No gain in percent for 1 of 2 pairs (photos → b): a value of scratch there is 0" in text
    assert "+150.0" in text
    text = write_published_page(table, tmp_path).read_text(encoding="utf-8")
    assert "No gain in percent" not in text
    assert "+150.0" not in text
