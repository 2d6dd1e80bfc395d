"""`torchcross transfer rank`: which source, how sure, against which rule; and bad input."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from tests.command_line import refused, run
from tests.transfer.study_files import study_text, write_study
from torchcross.data import TaskSource
from torchcross.experiment.source_ranking import SourceRanking
from torchcross.experiment.source_ranking_tables import ranking_text
from torchcross.experiment.studies import CollectionData
from torchcross.metrics.score import Score
from torchcross.transfer.source_choice import ScoreHalves
from torchcross.transfer.source_scores import SourceScores

NAMES = {"oct/disease class", "pneumonia/pneumonia presence"}
REPTILE = "[reptile]\niterations = 1\nmeta_batch = 1\nways = 2\nshots = 2"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = study_text(sources=("scratch", "oct", "reptile:oct"), more=REPTILE)
    return write_study(tmp_path_factory.mktemp("rank"), ["oct", "pneumonia", "derm"], text)


def command(folder: Path, *more: object) -> tuple[object, ...]:
    return (
        *("transfer", "rank", "--data", folder / "data", "--target", "derm", "--channels", "1"),
        *("--backbone", "conv4", "--set", "source_training.epochs=1", "--jobs", "1"),
        *("--networks", folder / "networks", "--scores", "knn,leep", "--halves", "4", *more),
    )


@pytest.mark.slow
def test_a_ranking_before_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "derm.csv"
    sources = ("--sources", "all,scratch", "--out", out)
    status, shown, said = run(capsys, *command(folder, *sources))
    assert status == 0
    assert "a network (conv4) is trained on each of 2 datasets" in said
    assert "95 % of 4 random halves of these images" in shown
    assert "±" not in shown
    # Both were learned from 60 images.
    assert "were learned from equally many images" in shown
    assert "the static rule" in shown
    rows = list(csv.DictReader(io.StringIO(out.read_text(encoding="utf-8"))))
    assert {row["source"] for row in rows} == {*NAMES, "scratch"}
    of_knn = [row for row in rows if row["score"] == "knn"]
    assert [float(row["value"]) for row in of_knn] == sorted(
        (float(row["value"]) for row in of_knn), reverse=True
    )
    assert sum(float(row["share_best"]) for row in of_knn) == pytest.approx(1)
    (without_head,) = [row for row in rows if row["score"] == "leep" and not row["value"]]
    assert without_head["source"] == "scratch"
    assert "SourceModel" not in without_head["reason"]
    # The networks are kept, and the numbers are the same.
    status, again, said = run(capsys, *command(folder, *sources, "--out", folder / "derm.json"))
    assert (status, again) == (0, shown)
    assert "2 of 2 parts are there" in said
    record = json.loads((folder / "derm.json").read_text(encoding="utf-8"))
    assert record["rules"] == {}
    assert record["choices"]["knn"]["source"] == of_knn[0]["source"]


@pytest.mark.slow
def test_networks_and_the_static_rule_of_a_study(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = folder / "study"
    run(capsys, "transfer", "run", folder / "study.toml", "--out", study, "--jobs", "1")
    before = (study / "study.json").read_bytes()
    ranking = ("transfer", "rank", "--data", folder / "data", "--study", study)
    largest = ("--largest", "oct/disease class")
    status, shown, _ = run(capsys, *ranking, "--target", "derm", "--scores", "knn", *largest)
    assert status == 0
    assert "reptile:oct/disease class" in shown
    assert "[static]" in shown
    assert "[largest]" in shown
    assert "the rule 'largest' takes" in shown
    assert f"the report of {study} says whether one does there" in shown
    assert "oct/disease class" in shown
    assert (study / "study.json").read_bytes() == before
    # What the study learned from is no source for itself.
    wrong = [
        (("--target", "oct"), "there is ['scratch'] (oct/disease class is the target"),
        (("--target", "oct"), "; reptile:oct/disease class is the target)"),
        (("--target", "oct", "--sources", "reptile:oct"), "it is the target"),
        (("--target", "derm", "--sources", "pneumonia"), "no source of the study is called"),
        (("--target", "oct", "--sources", "oct"), "it is the target"),
        (("--target", "derm", "--channels", "3"), "has images of 1 channel,"),
        (("--target", "derm", "--sources", "oct"), "needs two sources or more"),
        (("--target", "derm", "--backbone", "conv4"), "with networks of its own"),
    ]
    for options, message in wrong:
        assert message in refused(capsys, *ranking, *options)


def test_a_choice_that_the_halves_do_not_share_is_not_sure() -> None:
    scores = {"knn": {"oct": Score(0.8), "derm": Score(0.7)}}
    numbers = np.array([[0.5, 0.6], [0.5, 0.6], [0.7, 0.6], [0.5, 0.6]])
    halves = {"knn": ScoreHalves(("oct", "derm"), numbers)}
    of_sources = SourceScores("source 't'", scores, "source", 40, halves)
    ranking = SourceRanking(of_sources, {"static": "oct", "largest": "derm"}, {}, ())
    text = ranking_text(ranking)
    assert (
        "  -> oct, highest on all images; in the halves derm is first more often (75 % against"
        " 25 %): not sure; the rule 'static' takes oct too; the rule 'largest' takes derm, which"
        " scores lower in 25 % of the halves\n"
    ) in text
    assert "in a study of your own" in text


# Nothing else is wrong, so that there would be a training.
GOOD = ("--sources", "oct,scratch")
WRONG = [
    (("--sources", "derm"), "it is the target"),
    (("--sources", "reptile:derm"), "it is the target"),
    ((*GOOD, "--scores", "logm"), "no score is called 'logm'"),
    ((*GOOD, "--halves", "-1"), "halves=-1"),
    ((*GOOD, "--set", "source_training.patience=1", "--set", "source_training.stop_by=f2"), "'f2'"),
    (("--sources", "octt"), "octt"),
    (("--sources", "mine=none.pth"), "which is no file"),
    (("--out", "table.txt"), "ends in .csv or .json"),
    (("--set", "fine_tuning.lr=1"), "a setting of model, study, source_training or reptile"),
    (("--set", "source_training.epoch=1"), "did you mean"),
    (("--largest", "imagenet"), "no source is called 'imagenet'"),
    (("--sources", "oct"), "there is ['oct/disease class']; give more with --sources"),
    (("--results", "none.csv"), "cannot be read"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_what_is_refused(
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    never = folder / "never"
    sources = () if "--sources" in options else ("--sources", "scratch")
    shown = refused(capsys, *command(folder, "--networks", never, *sources, *options))
    assert message in shown
    assert not never.exists()


def test_a_source_with_images_of_the_target_that_are_not_scored_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The train split is scored, and the source has images of the test split."""
    whole = CollectionData.open

    def open_dataset(data: CollectionData, name: str) -> TaskSource:
        return data.part("derm", "test") if name.startswith("oct") else whole(data, name)

    monkeypatch.setattr(CollectionData, "open", open_dataset)
    never = folder / "never"
    shown = refused(capsys, *command(folder, "--networks", never, *GOOD))
    assert "of its images are images of the target too" in shown
    assert not never.exists()


@pytest.mark.parametrize("option", [("--jobs", "4"), ("--networks", "here")])
def test_what_is_for_trainings_is_refused_beside_a_study(
    capsys: pytest.CaptureFixture[str], option: tuple[str, str]
) -> None:
    ranking = ("transfer", "rank", "--data", "none", "--target", "derm", "--study", "study")
    said = refused(capsys, *ranking, *option)
    assert f"{option[0]} is for networks that are trained here" in said
