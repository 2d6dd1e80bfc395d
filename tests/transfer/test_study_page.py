"""The page of a study from its folder: settings read back, and nothing made up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from tests.report.reading import read_page
from tests.transfer.study_data import BACKBONE, FAST
from torchcross.errors import InputError
from torchcross.report.text_escapes import markdown_text
from torchcross.statistics import mean_interval
from torchcross.transfer.page import StudyAnalysis, write_study_page
from torchcross.transfer.page.analysis import interval_ends, interval_text
from torchcross.transfer.page.result_section import answer, limitations
from torchcross.transfer.page.words import short_names
from torchcross.transfer.rankings import FEWEST_TARGETS
from torchcross.transfer.rankings.row import mean_text
from torchcross.transfer.studies import (
    StudyDesign,
    StudyFolder,
    StudyScores,
    StudySettings,
    StudyTraining,
    study_contents,
    write_study_report,
)
from torchcross.transfer.studies.job import write_record
from torchcross.transfer.studies.protocol import protocol_lines
from torchcross.transfer.studies.split_report import split_tables
from torchcross.transfer.studies.units import plain_settings

SETTINGS = StudySettings(
    study=StudyDesign(
        sources=("shapes", "scratch"),
        weights={"b": "places/b.pth", "a": "places/a.pth"},
        targets=("grades", "findings"),
        folds=2,
        seeds=(0, 1),
    ),
    backbone=BACKBONE,
    channels=1,
    source_training=FAST,
    scores=StudyScores(names=("logme", "leep"), task2vec=30),
)


def test_settings_are_read_back(tmp_path: Path) -> None:
    StudyFolder(tmp_path, SETTINGS).begin({"data shapes": "0123"})
    study = StudyFolder.open(tmp_path)
    assert study.settings == SETTINGS
    assert study.inputs() == {"data shapes": "0123"}
    assert study.settings.study.names == ("a", "b", "shapes", "scratch")


def test_a_study_of_before_some_settings_goes_on_with_their_defaults(tmp_path: Path) -> None:
    plain = plain_settings(SETTINGS)
    del plain["reptile"]
    for name in ("splits", "fractions", "source_seed"):
        del plain["study"][name]
    for name in ("steps", "validate_every", "batch_norm"):
        del plain["fine_tuning"][name]
    old = {"settings": plain, "inputs": {"data shapes": "0123"}}
    write_record(tmp_path / "study.json", old)
    another = replace(SETTINGS, study=replace(SETTINGS.study, fractions=(0.5,)))
    with pytest.raises(InputError, match=r"fractions was \[1.0\] and is \[0.5\]. Give"):
        StudyFolder(tmp_path, another).begin({})
    StudyFolder(tmp_path, SETTINGS).begin({"data shapes": "0123"})
    assert StudyFolder.open(tmp_path).settings == SETTINGS


def test_a_study_says_how_many_of_its_datasets_are_made_up(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, SETTINGS)
    study.begin({})
    assert not study.synthetic_caution()
    study.begin({}, ["grades", "shapes", "gone"])
    caution = "Synthetic data: 2 of 3 datasets are made up."
    assert caution in study_contents(study).cautions
    report = write_study_report(study).read_text(encoding="utf-8")
    assert f"- {caution}\n" in report


def test_a_study_that_has_just_begun_has_a_page(tmp_path: Path) -> None:
    StudyFolder(tmp_path, SETTINGS).begin({})
    answer = write_study_page(study_contents(StudyFolder.open(tmp_path)), tmp_path / "page.html")
    assert answer.startswith("No score can be compared")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    page = read_page(text)
    assert "32 of 32 cells are not done" in page.by_id("results").text
    assert "8 of 8 pairs are missing" in page.by_id("results").text
    assert "places" not in text


@pytest.mark.parametrize("self_pairs", [False, True])
def test_a_source_that_reptile_learned_from_the_target_is_a_self_pair(
    tmp_path: Path, self_pairs: bool
) -> None:
    """Without self-pairs it is not missing, with them it is marked."""
    names = ("scratch", "shapes", "reptile:shapes")
    design = StudyDesign(
        sources=names, targets=("shapes", "grades"), folds=2, self_pairs=self_pairs
    )
    scores = StudyScores(names=("logme",))
    study = StudyFolder(tmp_path, StudySettings(study=design, backbone=BACKBONE, scores=scores))
    study.begin({})
    for number, (pair, _) in enumerate(study.pairs()):
        value = {"value": 0.5 + 0.01 * number}
        record = {"metrics": {"auroc": value}, "scores": {"logme": value}, "images": {}}
        (tmp_path / pair.file).parent.mkdir(exist_ok=True)
        write_record(tmp_path / pair.file, record)
    write_study_page(study_contents(study), tmp_path / "page.html")
    page = read_page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "missing or lack" not in page.by_id("results").text
    assert page.by_id("results").text.count("†") == (3 if self_pairs else 0)
    assert page.by_id("targets").text.count("reptile:shapes†") == 1


@pytest.mark.parametrize(
    ("splits", "fractions", "note"),
    [
        ("folds", (1.0,), ""),
        ("folds", (0.07,), "Networks are fine-tuned on 7% of each training part"),
        ("own", (0.5, 0.125), "fine-tuned on 50% of each training part, the largest fraction"),
    ],
)
def test_report_and_page_name_the_fraction_that_they_are_about(
    tmp_path: Path, splits: Literal["folds", "own"], fractions: tuple[float, ...], note: str
) -> None:
    design = replace(SETTINGS.study, splits=splits, fractions=fractions)
    study = StudyFolder(tmp_path, replace(SETTINGS, study=design))
    study.begin({})
    report = write_study_report(study).read_text(encoding="utf-8")
    page = read_page((tmp_path / "report.html").read_text(encoding="utf-8"))
    for text in (report, page.by_id("results").text):
        assert note in text
        assert ("each training part" in text) == bool(note)


def test_fractions_are_not_rounded_to_whole_percent(tmp_path: Path) -> None:
    design = replace(SETTINGS.study, splits="own", fractions=(1 / 3, 0.335, 0.0625, 1.0))
    study = StudyFolder(tmp_path, replace(SETTINGS, study=design))
    study.begin({})
    columns = split_tables(study)[0].columns
    assert [each.name for each in columns] == ["source", "6.25%", "33.3%", "33.5%", "100%"]
    assert "6.25%, 33.3%, 33.5% and 100% of the training part" in "\n".join(
        protocol_lines(study.settings)
    )


def test_the_report_says_what_the_page_says(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, SETTINGS)
    study.begin({})
    analysis = StudyAnalysis(study_contents(study))
    report = write_study_report(study).read_text(encoding="utf-8")
    for text in (answer(analysis), *limitations(analysis)):
        assert markdown_text(text) in report
    assert "8 of 8 pairs are missing" in report
    assert "rule largest: not known. Not done: shapes, scratch. Files of weights" in report


def test_a_metric_that_is_better_small_leaves_no_report(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, replace(SETTINGS, study=replace(SETTINGS.study, metric="mae")))
    study.begin({})
    with pytest.raises(InputError, match="mae: smaller is better; give a metric"):
        write_study_report(study)
    assert [path.name for path in tmp_path.iterdir()] == ["study.json"]


PROTOCOLS: list[tuple[Mapping[str, Any], Mapping[str, Any], str]] = [
    ({}, {}, "- fine-tuning: 6 epochs of Adam at 0.001 (constant)"),
    ({}, {"weight_decay": 0.01}, "of AdamW at 0.001 with a weight decay of 0.01 (constant)"),
    (
        {},
        {"patience": 2, "validation": 0.2},
        "the best by auroc of the validation part (20% of the training part) each epoch",
    ),
    (
        {"splits": "own", "fractions": (0.5, 1.0)},
        {"validate_every": 10},
        "of the validation part (the target's own val split) each 10 steps",
    ),
    ({}, {}, "BatchNorm in fine-tuning: keep; its statistics are renewed on at most 1,024"),
    ({"renew": 0}, {}, "BatchNorm in fine-tuning: keep; its statistics stay as training left"),
    ({}, {"batch_norm": "identity"}, "BatchNorm in fine-tuning: identity: its layers are left"),
    ({}, {"batch_norm": "fold"}, "BatchNorm in fine-tuning: fold: its layers are folded into"),
    ({"fractions": (0.5,)}, {}, "- Fine-tuning learns from 50% of the training part"),
    (
        {"splits": "own", "fractions": (1.0, 0.5)},
        {},
        "- Fine-tuning learns from 50% and 100% of the training part of each target.",
    ),
]


@pytest.mark.parametrize(("design", "tuning", "words"), PROTOCOLS)
def test_the_protocol_says_what_was_done(
    design: Mapping[str, Any], tuning: Mapping[str, Any], words: str
) -> None:
    settings = replace(
        SETTINGS,
        study=replace(SETTINGS.study, **design),
        fine_tuning=StudyTraining(**tuning),
    )
    assert words in "\n".join(protocol_lines(settings))


def test_settings_that_cannot_be_read(tmp_path: Path) -> None:
    plain = plain_settings(SETTINGS)
    cases = {
        "the settings \\['fold'\\] are not known": {"study": {**plain["study"], "fold": 3}},
        "is no section of settings": {"fine_tuning": 3},
        "folds=1": {"study": {**plain["study"], "folds": 1}},
        "holds no settings": {"study": {**plain["study"], "weights": 3}},
    }
    for message, change in cases.items():
        write_record(tmp_path / "study.json", {"settings": {**plain, **change}, "inputs": {}})
        with pytest.raises(InputError, match=message):
            StudyFolder.open(tmp_path)


def test_what_a_page_cannot_lead_with(tmp_path: Path) -> None:
    StudyFolder(tmp_path, SETTINGS).begin({})
    study = StudyFolder.open(tmp_path)
    with pytest.raises(InputError, match="smaller is better"):
        study_contents(study, metric="mae")
    with pytest.raises(InputError, match="did you mean 'shapes'"):
        study_contents(study, baseline="shape")
    alone = StudyFolder(tmp_path, replace(SETTINGS, study=StudyDesign(targets=("grades",))))
    assert study_contents(alone).baseline == "scratch"


def test_two_folds_have_no_interval() -> None:
    two, three = mean_interval([0.5, 0.7]), mean_interval([0.5, 0.6, 0.7])
    assert interval_text(two) == "0.600"
    assert np.isnan(interval_ends(two)).all()
    assert interval_text(three) == "0.600 ± 0.248"
    assert interval_ends(three) == (three.low, three.high)
    assert interval_text(mean_interval([-1e-9, -1e-9, -1e-9]), 2, "+") == "+0.00 ± 0.00"


def test_means_over_fewer_than_six_targets_have_no_interval() -> None:
    five, six = (mean_interval(np.arange(count) / 10) for count in (5, 6))
    assert mean_text(five) == interval_text(five, fewest=FEWEST_TARGETS) == "0.200"
    assert mean_text(six) == interval_text(six, fewest=FEWEST_TARGETS) == "0.250 ± 0.196"


def test_short_names_are_those_of_datasets_where_no_two_have_the_same() -> None:
    names = ["a/one", "a/two", "b/one", "scratch"]
    assert list(short_names(names).values()) == ["a/one", "a/two", "b", "scratch"]
