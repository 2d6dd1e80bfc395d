"""The study of Reptile: three sources, two fractions, several seeds, on a target's own splits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.batchnorm import _BatchNorm

from torchcross import Task, TensorSource, backbones
from torchcross.data import class_fraction
from torchcross.errors import InputError, TorchcrossError
from torchcross.report.html import TableCell
from torchcross.statistics.prediction_errors import split_errors
from torchcross.targets import MultiClass, MultiLabel, Ordinal
from torchcross.transfer.studies import (
    SourcesByName,
    StudyDesign,
    StudyFolder,
    StudyReptile,
    StudyScores,
    StudySettings,
    StudyTraining,
    pair,
    run_study,
    study_contents,
    write_study_report,
)
from torchcross.transfer.studies.job import write_record
from torchcross.transfer.studies.reptile_source import (
    check_reptile_source,
    episodes_of,
    reptile_of,
    train_by_reptile,
)
from torchcross.transfer.studies.split_answer import split_answer
from torchcross.transfer.studies.split_report import (
    SourceComparison,
    compare_sources,
    seed_scores,
    split_tables,
)
from torchcross.transfer.studies.stored_settings import settings_of_plain
from torchcross.transfer.studies.training import renew_learner, train

TRAINING = StudyTraining(steps=4, batch_size=8, augment=False, class_weights=False)
REPTILE = StudyReptile(iterations=2, meta_batch=2, ways=3, shots=4)
SETTINGS = StudySettings(
    study=StudyDesign(
        sources=("scratch", "letters", "reptile:letters"),
        targets=("grades",),
        splits="own",
        fractions=(0.5, 1.0),
        seeds=(0, 1),
        source_seed=0,
        metric="qwk",
    ),
    backbone={"name": "conv4", "channels": 4, "bias": True},
    channels=1,
    source_training=TRAINING,
    fine_tuning=replace(TRAINING, validate_every=2, stop_by="qwk", batch_norm="identity"),
    reptile=REPTILE,
    scores=StudyScores(names=()),
)


def letters() -> TensorSource:
    images = torch.rand(60, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    task = Task("letters", MultiClass(list("abcdef")))
    return TensorSource(images, torch.arange(60) % 6, task, name="letters")


def eyes(count: int, seed: int) -> TensorSource:
    """Images in pairs, both of one subject, with grades."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    images = torch.rand(count, 1, 16, 16, generator=generator) + 0.3 * labels.view(-1, 1, 1, 1)
    task = Task("grades", Ordinal(["none", "some", "severe"]))
    groups = torch.arange(count) // 2
    return TensorSource(images, labels, task, groups=groups, name="grades")


def data() -> SourcesByName:
    parts: Mapping[str, TensorSource] = {
        "train": eyes(36, 2),
        "val": eyes(24, 3),
        "test": eyes(24, 4),
    }
    return SourcesByName({"letters": letters(), "grades": eyes(84, 5)}, {"grades": parts})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    out = tmp_path_factory.mktemp("reptile") / "out"
    with pytest.MonkeyPatch.context() as patch:
        # Resamples cost the most here.
        patch.setattr(pair, "split_errors", partial(split_errors, resamples=10))
        outcome = run_study(SETTINGS, data(), out)
    assert outcome.failures == ()
    write_study_report(outcome.folder)
    return outcome.folder


@pytest.mark.slow
def test_there_is_a_cell_for_each_source_fraction_and_seed(made: StudyFolder) -> None:
    assert len(list((made.path / "sources").iterdir())) == 2
    records = [record for _, record in made.pairs()]
    assert len(records) == 12
    assert all(record is not None and record["steps"] == 4 for record in records)
    half = [record for cell, record in made.pairs() if cell.fraction == 0.5]
    assert {record["images"]["training"] for record in half if record} == {18}
    assert {record["images"]["validation"] for record in half if record} == {12}
    assert {record["images"]["test"] for _, record in made.pairs() if record} == {24}
    for record in filter(None, records):
        assert record["errors"].keys() <= {*Ordinal.default_metrics, "qwk"}
        drawn = {"training", "validation"} if record["fraction"] == 0.5 else set()
        assert record.get("deviations", {}).keys() == drawn


@pytest.mark.slow
def test_the_report_has_intervals_and_tests(made: StudyFolder) -> None:
    text = (made.path / "report.md").read_text(encoding="utf-8")
    assert "## qwk over the test split of grades" in text
    assert "| source | 50% | 100% |" in text
    assert "Each source was trained once, by seed 0" in text
    assert "BatchNorm in fine-tuning: identity" in text
    assert "of 6 comparisons are significant" in text
    assert "Reptile: 2 outer steps of 2 tasks" in text
    page = (made.path / "report.html").read_text(encoding="utf-8")
    for words in ("qwk over the test split", "Tests over seeds", "of 6 comparisons are"):
        assert words in page
    comparisons = compare_sources(made)
    assert len(comparisons) == 6
    assert comparisons[0].sources == ("scratch", "letters")
    scores = seed_scores(made)["scratch", "grades", 1.0]
    interval = scores.interval("qwk")
    assert interval is not None
    assert interval.mean == pytest.approx(np.mean(list(scores.values.values())))


@pytest.mark.slow
def test_another_metric_leads_the_tables_too(made: StudyFolder) -> None:
    contents = study_contents(made, metric="accuracy")
    table = contents.tables[0]
    assert table.title == "accuracy over the test split of grades"
    assert "with 95% intervals" in table.texts[0]
    cell = table.rows[0][2]
    mean = contents.results.matrix()["scratch", "grades"]
    assert isinstance(cell, TableCell)
    assert cell.text.startswith(f"{mean:.3f} [")
    assert compare_sources(made, "accuracy") != compare_sources(made)
    bare = split_tables(made, "weighted_auroc")[0]
    assert "without intervals: no error of weighted_auroc" in bare.texts[0]
    with pytest.raises(InputError, match="'grades' has no metric 'f2'"):
        split_tables(made, "f2")


@pytest.mark.slow
def test_the_folder_knows_its_settings(made: StudyFolder) -> None:
    file = made.path / "study.json"
    plain = json.loads(file.read_text(encoding="utf-8"))["settings"]
    assert settings_of_plain(plain, file) == SETTINGS


@pytest.mark.slow
def test_what_is_gone_is_made_again(made: StudyFolder) -> None:
    lost = sorted((made.path / "cells").iterdir())[3]
    before = lost.read_bytes()
    lost.unlink()
    assert run_study(SETTINGS, data(), made.path).failures == ()
    again, first = json.loads(lost.read_bytes()), json.loads(before)
    assert again["metrics"] == first["metrics"]


def test_a_smaller_fraction_is_part_of_a_larger_one_and_subjects_are_whole() -> None:
    source = eyes(36, 2)
    half, most = (class_fraction(source, share, seed=1).indices for share in (0.5, 0.8))
    assert set(half) < set(most)
    rest = np.setdiff1d(np.arange(36), half)
    assert not set(source.groups[half]) & set(source.groups[rest])


@pytest.mark.parametrize("how", ["identity", "fold"])
def test_fine_tuning_starts_without_batch_norm(tmp_path: Path, how: str) -> None:
    source = eyes(36, 2)
    network = backbones.conv4(4, in_channels=1, bias=True)
    settings = replace(TRAINING, steps=1, lr=1e-12, batch_norm=how)
    trained = train(
        network, source, settings, seed=0, channels=1, folder=tmp_path, renew=36
    ).learner.backbone
    assert not any(isinstance(layer, _BatchNorm) for layer in trained.modules())
    images = source.read(range(36)).double()
    features = trained.double()(images)
    # Folded, it is the network in evaluation mode, with statistics of the training part.
    expected = network.double().eval()(images)
    assert bool(torch.allclose(features, expected, atol=1e-6)) == (how == "fold")
    moved = network.layers[0].norm.running_mean.abs().sum()
    assert bool(moved > 0) == (how == "fold")


def test_classes_come_in_any_order() -> None:
    feed = episodes_of(letters(), REPTILE, seed=3)
    episodes = list(feed.read(0, 8))
    names = [episode.task.classes for episode in episodes]
    assert any(list(each) != sorted(each) for each in names)
    for episode, again in zip(episodes, feed.read(0, 8), strict=True):
        assert episode.task == again.task
        plan, task = episode.plan, letters().task
        for part, rows in ((episode.support, plan.support), (episode.query, plan.query)):
            assert [episode.task.classes[code] for code in part.y] == [
                task.classes[code] for code in letters().targets(rows)
            ]
    (third,) = feed.read(2, 3)
    assert torch.equal(third.support.y, episodes[2].support.y)
    assert feed.fingerprint(2) != episodes_of(letters(), REPTILE, seed=4).fingerprint(2)


def test_a_source_of_several_labels_an_image_is_refused() -> None:
    target = MultiLabel(["left", "right"])
    source = TensorSource(torch.rand(9, 1, 16, 16), torch.ones(9, 2), Task("findings", target))
    with pytest.raises(InputError, match="'findings' are of any number of classes"):
        check_reptile_source(source, REPTILE)


@pytest.mark.slow
def test_a_source_has_the_statistics_that_it_predicts_with(tmp_path: Path) -> None:
    network = backbones.conv4(4, in_channels=1)
    settings = replace(REPTILE, iterations=1, meta_batch=1)
    options = {"seed": 0, "channels": 1, "folder": tmp_path}
    learner = train_by_reptile(network, letters(), settings, **options)
    norms = [layer for layer in learner.backbone.modules() if isinstance(layer, _BatchNorm)]
    before = [(norm.running_mean.clone(), norm.running_var.clone()) for norm in norms]
    assert all(bool(mean.abs().sum() > 0) for mean, _ in before)
    renew_learner(learner, letters(), 60, 64)
    for norm, (mean, variance) in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean)
        assert torch.equal(norm.running_var, variance)


def test_no_test_over_seeds_counts_a_source_that_was_learned_from_the_target(
    tmp_path: Path,
) -> None:
    names = ("scratch", "letters", "grades", "reptile:grades")
    design = replace(SETTINGS.study, sources=names, self_pairs=True)
    study = StudyFolder(tmp_path, replace(SETTINGS, study=design))
    (tmp_path / "cells").mkdir()
    for number, (cell, _) in enumerate(study.pairs()):
        record = {"metrics": {"qwk": {"value": 0.01 * number**2}}, "errors": {}}
        write_record(tmp_path / cell.file, record)
    assert {each.sources for each in compare_sources(study)} == {("scratch", "letters")}
    scores, _ = split_tables(study)
    assert [row[0] for row in scores.rows] == [*names[:2], "grades†", "reptile:grades†"]
    assert any(text.startswith("†: the source has seen") for text in scores.texts)
    none = StudyFolder(tmp_path, replace(SETTINGS, study=replace(design, self_pairs=False)))
    assert not any(text.startswith("†") for text in split_tables(none)[0].texts)


def test_the_answer_names_the_sources_that_tests_tell_apart() -> None:
    one = SourceComparison("eyes", 0.5, ("plain", "reptile"), -0.025, -4.4, 0.005, 0.003, 0.03)
    other = replace(one, fraction=1.0, difference=0.016, adjusted=0.5)
    assert split_answer([one, other], "qwk") == (
        "Two sources are told apart in 1 of 2 comparisons (qwk; Welch's test over training seeds,"
        " after Holm's method): reptile is 0.025 ahead of plain on eyes with 50% of the training"
        " part."
    )
    assert split_answer([other], "qwk").startswith(
        "No two sources are told apart in 1 comparison ("
    )
    assert "in 2 of 2 comparisons (" in split_answer([one, replace(one, target="x")], "qwk")
    assert split_answer([], "qwk") == ""


def test_the_legend_says_why_means_have_no_interval(tmp_path: Path) -> None:
    study = StudyFolder(tmp_path, SETTINGS)
    (tmp_path / "cells").mkdir()
    known = {"qwk": {"error": 0.1, "method": "bootstrap over images"}}
    reason = {"qwk": {"reason": "one image", "method": "bootstrap over images"}}

    def legend(errors: dict[str, dict[str, dict[str, object]]]) -> str:
        for cell, _ in study.pairs():
            record = {"metrics": {"qwk": {"value": 0.5}}, "errors": errors[cell.source]}
            write_record(tmp_path / cell.file, record)
        return " ".join(map(str, split_tables(study)[0].texts))

    none = legend(dict.fromkeys(SETTINGS.study.names, reason))
    assert "without intervals: one image." in none
    some = legend(dict.fromkeys(SETTINGS.study.names, known) | {"letters": reason})
    assert "2 of 6 means have no interval: one image." in some


def test_the_learner_of_a_source_has_the_studys_network() -> None:
    learner = reptile_of(backbones.conv4(4, in_channels=1), REPTILE, seed=0, channels=1)
    assert learner.recipe.steps == 8
    assert learner.recipe.batch == 10
    assert learner.is_sequential


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reptile": {"ways": 7}}, "letters"),
        ({"reptile": {"shots": 11}}, "letters"),
        ({"study": {"metric": "f2"}}, "no metric is called 'f2'"),
        ({"study": {"metric": "mae"}}, "grades: the metric 'mae' is better the smaller.*qwk"),
        ({"fine_tuning": {"stop_by": "mae"}}, "grades: the metric 'mae' is better the smaller"),
        ({"fine_tuning": {"stop_by": "f2"}}, "no metric is called 'f2'"),
        ({"study": {"fractions": (0.01,)}}, "0.01 of 36 samples is none|has no sample"),
    ],
)
def test_what_cannot_be_studied_is_refused_first(
    change: Mapping[str, Mapping[str, object]], message: str, tmp_path: Path
) -> None:
    changed = {
        section: replace(getattr(SETTINGS, section), **values) for section, values in change.items()
    }
    with pytest.raises(TorchcrossError, match=message):
        run_study(replace(SETTINGS, **changed), data(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (partial(StudyDesign, targets=("t",), fractions=(1.5,)), "fractions has 1.5"),
        (partial(StudyDesign, targets=("t",), fractions=(1.0, 1.0)), "fractions have"),
        (partial(StudyDesign, targets=("t",), fractions=()), "no fractions"),
        (
            partial(StudyDesign, targets=("t",), fractions=(0.5, 1.0)),
            r"several fractions, \[0.5, 1.0\], are for splits='own'",
        ),
        (partial(StudyDesign, targets=("t",), sources=("reptile:",)), "names no dataset"),
        (
            partial(StudyDesign, targets=("t",), splits="own", target_images=9),
            "target_images=9 is for splits='folds'",
        ),
        (partial(StudyReptile, shots=1), "shots=1"),
        (partial(replace, SETTINGS, source_training=SETTINGS.fine_tuning), "sources keep theirs"),
        (
            partial(
                replace,
                SETTINGS,
                study=replace(SETTINGS.study, renew=0),
                fine_tuning=replace(TRAINING, batch_norm="fold"),
            ),
            "'fold' needs statistics",
        ),
    ],
)
def test_settings_that_mean_nothing_are_refused(make: partial[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_splits_that_a_dataset_does_not_have() -> None:
    with pytest.raises(InputError, match=r"'letters' has no split 'val'; give it in parts="):
        data().part("letters", "val")
