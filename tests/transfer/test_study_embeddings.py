"""The embeddings of a study see no test image, and the distances of a pair are over its folds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.transfer.study_data import fast_settings, images_of
from torchcross import TensorSource
from torchcross.transfer import distance, task2vec
from torchcross.transfer.studies import (
    SourcesByName,
    StudyDesign,
    StudyFolder,
    StudyScores,
    StudySettings,
)
from torchcross.transfer.studies.data import SPLITS
from torchcross.transfer.studies.job import StudyJob
from torchcross.transfer.studies.parts import fold_parts
from torchcross.transfer.studies.units import TaskEmbeddingWork, key_of, works_of

DESIGN = StudyDesign(sources=("shapes", "scratch"), targets=("grades",), folds=2)
SETTINGS = fast_settings(DESIGN, StudyScores(names=("logme",), task2vec=12))


def embed(settings: StudySettings, out: Path, *fold: int, target: TensorSource) -> dict:
    """What the study writes of a target's fold, or of its source."""
    data = SourcesByName({"grades": target, "shapes": images_of("shapes")})
    work = TaskEmbeddingWork("grades" if fold else "shapes", *fold)
    StudyJob(settings, data, str(out)).run(key_of(work), out)
    return json.loads((out / work.file).read_text(encoding="utf-8"))


@pytest.mark.slow
def test_no_test_image_takes_part(tmp_path: Path) -> None:
    target = images_of("grades")
    images = target.images(range(len(target))).clone()
    training, _ = fold_parts(target, SETTINGS, 1)
    kept = {image.numpy().tobytes() for image in training.images(range(len(training)))}
    test = [row for row in range(len(target)) if images[row].numpy().tobytes() not in kept]
    assert len(test) == 30
    images[test] = torch.rand(len(test), 1, 16, 16, generator=torch.Generator().manual_seed(3))
    other = TensorSource(images, target.labels, target.task, groups=target.groups, name=target.name)
    same = [embed(SETTINGS, tmp_path / str(k), 1, target=t) for k, t in enumerate((target, other))]
    assert same[0] == same[1]
    changed = [
        embed(SETTINGS, tmp_path / str(k), 0, target=t) for k, t in enumerate((target, other))
    ]
    assert changed[0]["values"] != changed[1]["values"]
    assert same[0]["noise floor"] is None
    assert changed[0]["noise floor"] > 0


def test_only_the_images_that_are_learned_from_are_embedded(tmp_path: Path) -> None:
    design = replace(DESIGN, source_images=12, target_images=16)
    few = replace(SETTINGS, study=design)
    target = images_of("grades")
    assert embed(few, tmp_path, target=target)["images"] == 12
    assert embed(few, tmp_path, 0, target=target)["images"] == 8


def test_a_source_of_reptile_has_the_distances_of_its_dataset(tmp_path: Path) -> None:
    """Of a target with splits of its own, there is one training part."""
    design = replace(DESIGN, sources=("shapes", "reptile:shapes"), splits="own", folds=5)
    own = replace(SETTINGS, study=design)
    target = images_of("grades")
    parts = dict.fromkeys(SPLITS, target)
    data = SourcesByName({"grades": target, "shapes": images_of("shapes")}, {"grades": parts})
    for work in works_of(own).values():
        if isinstance(work, TaskEmbeddingWork):
            StudyJob(own, data, str(tmp_path)).run(key_of(work), tmp_path)
    distances = StudyFolder(tmp_path, own).task_distances()
    assert distances.missing == ()
    assert distances["shapes", "grades"] == distances["reptile:shapes", "grades"] > 0


def test_distances_are_means_over_folds(tmp_path: Path) -> None:
    target = images_of("grades")
    folder = StudyFolder(tmp_path, SETTINGS)
    embed(SETTINGS, tmp_path, target=target)
    embed(SETTINGS, tmp_path, 0, target=target)
    assert folder.task_distances().count == 0
    embed(SETTINGS, tmp_path, 1, target=target)
    job = StudyJob(SETTINGS, SourcesByName({}), str(tmp_path))
    probe = job.network(0, "")
    source = task2vec(images_of("shapes"), probe, images=12)
    parts = [fold_parts(target, SETTINGS, fold)[0] for fold in range(2)]
    expected = [distance(source, task2vec(part, probe, images=12)) for part in parts]
    distances = folder.task_distances()
    assert distances["shapes", "grades"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert distances.missing == (("scratch", "grades"),)
    assert list(folder.embeddings()) == ["shapes", "grades"]
