"""What a training of a study takes part in, and in which part of it: rows, weights, statistics."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.transfer.study_data import FAST, fast_settings, images_of
from torchcross import Task, TensorSource
from torchcross.backbones import conv4
from torchcross.errors import InfeasibleError
from torchcross.targets import Binary
from torchcross.transfer import scores
from torchcross.transfer.studies import StudyDesign, StudyScores, training
from torchcross.transfer.studies.pair import score_pair
from torchcross.transfer.studies.parts import TargetParts, fold_parts
from torchcross.transfer.studies.training import TrainedNetwork, train
from torchcross.transfer.studies.units import StudyPair

SETTINGS = fast_settings(
    StudyDesign(sources=("scratch",), targets=("grades",), folds=3, renew=64),
    StudyScores(names=("logme", "knn")),
)
PAIR = StudyPair("scratch", "grades", fold=1, seed=0)


class ReadRows(TensorSource):
    """A source that remembers the rows whose images were read, in order."""

    @classmethod
    def of(cls, source: TensorSource) -> ReadRows:
        images = source.images(np.arange(len(source)))
        reads = cls(images, source.labels, source.task, groups=source.groups, name=source.name)
        reads.rows.clear()
        return reads

    @cached_property
    def rows(self) -> list[int]:
        return []

    def images(self, indices: np.ndarray) -> torch.Tensor:
        self.rows.extend(np.asarray(indices).tolist())
        return super().images(indices)


class StopsAfter(ReadRows):
    """A source at which Ctrl-C is pressed once `left` images were read."""

    left = 10**9

    def images(self, indices: np.ndarray) -> torch.Tensor:
        if len(self.rows) > self.left:
            raise KeyboardInterrupt
        return super().images(indices)


def network() -> torch.nn.Module:
    return conv4(4, in_channels=1, seed=0)


def trained_on(source: TensorSource, folder: Path, **changes: object) -> TrainedNetwork:
    settings = replace(FAST, **changes)
    return train(network(), source, settings, seed=0, channels=1, folder=folder)


def weights_of(trained: TrainedNetwork) -> torch.Tensor:
    return torch.cat([value.flatten() for value in trained.learner.backbone.parameters()])


def by_class(labels: list[int]) -> TensorSource:
    """Images that are as bright as their label says, ordered by label."""
    codes = torch.tensor(labels)
    images = torch.rand(len(codes), 1, 16, 16, generator=torch.Generator().manual_seed(0))
    images += 3 * codes.reshape(-1, 1, 1, 1)
    return TensorSource(images, codes, Task("bright", Binary(["no", "yes"])))


def parts_of(target: TensorSource) -> TargetParts:
    rest, test = fold_parts(target, SETTINGS, PAIR.fold)
    return TargetParts(rest, None, test)


# -- which rows ------------------------------------------------------------------------------------


def test_no_image_of_the_test_fold_is_read_before_it_is_scored(tmp_path: Path) -> None:
    patient = replace(FAST, patience=1, validation=0.2)
    settings = replace(SETTINGS, fine_tuning=patient)
    target = ReadRows.of(images_of("grades"))
    rest, test = (set(part.indices.tolist()) for part in fold_parts(target, settings, PAIR.fold))
    score_pair(PAIR, settings, network(), None, parts_of(target), tmp_path)
    first = next(place for place, row in enumerate(target.rows) if row in test)
    assert set(target.rows[:first]) == rest
    assert set(target.rows[first:]) == test


def test_early_stopping_is_judged_by_subjects_that_are_not_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ReadRows.of(images_of("grades"))
    judged: set[int] = set()

    def predictions(trained: object, judge: TensorSource) -> object:
        before = len(source.rows)
        answer = predictions_of(trained, judge)
        judged.update(source.rows[before:])
        del source.rows[before:]
        return answer

    predictions_of = training.predictions_of
    monkeypatch.setattr(training, "predictions_of", predictions)
    trained = trained_on(source, tmp_path, patience=1, validation=0.2)
    learned = set(source.rows)
    assert len(judged) == trained.validation_images > 0
    assert learned | judged == set(range(60))
    subjects = [{int(source.groups[row]) for row in rows} for rows in (learned, judged)]
    assert not subjects[0] & subjects[1]


def test_a_class_that_the_validation_part_would_take_whole_is_refused(tmp_path: Path) -> None:
    source = by_class([0] * 30 + [1])
    with pytest.raises(InfeasibleError, match=r"every sample of \['yes'\]"):
        trained_on(source, tmp_path, patience=1, validation=0.97)


@pytest.mark.long
def test_a_cell_that_was_stopped_anywhere_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    settings = replace(SETTINGS, fine_tuning=replace(FAST, epochs=3, patience=2, validation=0.2))
    target = images_of("grades")
    whole = score_pair(PAIR, settings, network(), None, parts_of(target), tmp_path / "whole")
    # In the first epoch, in the last one, and when statistics are renewed.
    for images in (50, 130, 190):
        folder, stopped = tmp_path / str(images), StopsAfter.of(target)
        stopped.left = images
        with pytest.raises(KeyboardInterrupt):
            score_pair(PAIR, settings, network(), None, parts_of(stopped), folder)
        assert score_pair(PAIR, settings, network(), None, parts_of(target), folder) == whole


# -- what counts -----------------------------------------------------------------------------------


def test_class_weights_count_where_classes_are_not_balanced(tmp_path: Path) -> None:
    for labels, is_moved in (([0] * 30 + [1] * 10, True), ([0, 1] * 20, False)):
        source = by_class(labels)
        plain, weighted = (
            weights_of(trained_on(source, tmp_path / f"{is_moved}{flag}", class_weights=flag))
            for flag in (False, True)
        )
        assert torch.equal(plain, weighted) is not is_moved


def test_augmentation_counts(tmp_path: Path) -> None:
    source = images_of("grades")
    plain, augmented = (
        weights_of(trained_on(source, tmp_path / str(flag), augment=flag)) for flag in (False, True)
    )
    assert not torch.equal(plain, augmented)


# -- BatchNorm's statistics ------------------------------------------------------------------------


def test_renewed_statistics_are_those_of_all_classes_together(tmp_path: Path) -> None:
    source = by_class([0] * 32 + [1] * 32)
    trained = trained_on(source, tmp_path)
    trained.renew(source, 64, batch_size=64)
    whole = [value.clone() for value in trained.learner.backbone.buffers()]
    trained.renew(source, 64, batch_size=16)
    for one, other in zip(trained.learner.backbone.buffers(), whole, strict=True):
        if one.is_floating_point():
            assert torch.allclose(one, other, rtol=0.2)


@pytest.mark.parametrize(("count", "size"), [(33, 16), (3, 2), (2, 1), (1, 4)])
def test_any_number_of_images_renews_statistics(tmp_path: Path, count: int, size: int) -> None:
    source = by_class([0, 1] * 20)
    trained = trained_on(source, tmp_path)
    before = [value.clone() for value in trained.learner.backbone.buffers()]
    trained.renew(source, count, batch_size=size)
    after = list(trained.learner.backbone.buffers())
    assert not all(map(torch.equal, before, after))
    assert all(bool(value.isfinite().all()) for value in after)


def test_a_cell_is_scored_with_renewed_statistics(tmp_path: Path) -> None:
    target = images_of("grades")
    rest, test = fold_parts(target, SETTINGS, PAIR.fold)
    trained = trained_on(rest, tmp_path / "same")
    stale, fresh = (
        test.task.target.evaluate(trained.predictions(test)[1], test.targets(range(len(test))))
        for trained in renewals(trained, rest)
    )
    record = score_pair(PAIR, SETTINGS, network(), None, parts_of(target), tmp_path / "cell")
    values = {name: score.value for name, score in fresh.items()}
    assert values == {name: record["metrics"][name]["value"] for name in values}
    assert values != {name: score.value for name, score in stale.items()}


def renewals(trained: TrainedNetwork, part: TensorSource) -> object:
    """The network as training left it, then with renewed statistics."""
    yield trained
    trained.renew(part, SETTINGS.study.renew, FAST.batch_size)
    yield trained


def test_early_stopping_judges_the_network_that_is_scored(tmp_path: Path) -> None:
    rest, judge = fold_parts(images_of("grades"), SETTINGS, 0)
    patient = replace(FAST, patience=1)
    options = {"seed": 0, "channels": 1, "folder": tmp_path, "validation": judge}
    trained = train(network(), rest, patient, renew=SETTINGS.study.renew, **options)
    stale, fresh = (
        each.predictions(judge)[1].probabilities.clone() for each in renewals(trained, rest)
    )
    assert not torch.equal(stale, fresh)
    rows = range(len(judge))
    score = judge.task.target.evaluate(trained.predictions(judge)[1], judge.targets(rows))
    assert trained.result.best_score == score["auroc"].value
    options["folder"] = tmp_path / "as training left it"
    plain = train(network(), rest, patient, **options)
    assert torch.equal(plain.predictions(judge)[1].probabilities, stale)
    assert plain.result.best_score != score["auroc"].value


# -- scores ----------------------------------------------------------------------------------------


def test_scores_are_those_of_the_training_part_before_fine_tuning(tmp_path: Path) -> None:
    target = images_of("grades")
    record = score_pair(PAIR, SETTINGS, network(), None, parts_of(target), tmp_path)
    values = []
    for part in fold_parts(target, SETTINGS, PAIR.fold):
        rows = np.arange(len(part))
        with torch.no_grad():
            features = network().eval()(part.read(rows)).double().numpy()
        values.append(scores.logme(features, part.targets(rows).numpy(), part.task.target).value)
    assert record["scores"]["logme"]["value"] == pytest.approx(values[0], rel=1e-5)
    assert values[1] != pytest.approx(values[0], rel=1e-2)
