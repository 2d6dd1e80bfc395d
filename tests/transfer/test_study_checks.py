"""What a study cannot be made of is refused before anything is made, with what to do."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.transfer.study_data import BACKBONE, FAST, images_of, targets
from torchcross import Task, TensorSource, transfer
from torchcross.errors import InfeasibleError, InputError, MissingExtraError, TorchcrossError
from torchcross.jobs import ExecutorEngine
from torchcross.targets import Binary, MultiClass, MultiLabel, Target
from torchcross.transfer.studies import (
    SourcesByName,
    StudyDesign,
    StudyMachine,
    StudyScores,
    StudySettings,
    StudyTraining,
    run_study,
    train_sources,
)

YES_NO = Binary(["no", "yes"])
GRADES = MultiClass(["a", "b", "c"])


def dataset(
    labels: object, target: Target = YES_NO, *, channels: int = 1, groups: object = None
) -> TensorSource:
    labels = np.asarray(labels)
    images = torch.zeros(len(labels), channels, 8, 8)
    return TensorSource(images, labels, Task("t", target), groups=groups, name="t")


GOOD = dataset([0, 1] * 20)
PATIENT = StudyTraining(epochs=1, patience=1, validation=0.1)
EARLY = {"fine_tuning": PATIENT}
DATA: list[tuple[str, Mapping[str, Any], Mapping[str, Any], Mapping[str, Any], str]] = [
    (
        *("no common number of channels", {"s": dataset([0, 1] * 9, channels=3)}, {"t": GOOD}, {}),
        r"different numbers of channels: {'s': 3, 't': 1}; convert them to one number",
    ),
    (
        *("a source of one class", {"s": dataset([1] * 9)}, {"t": GOOD}, {}),
        r"the source 't' has samples of \['yes'\] only.*give samples of two classes or more",
    ),
    (
        *("a target of one class", {}, {"t": dataset([2] * 9, GRADES)}, {}),
        r"the target 't' has samples of \['c'\] only.*leave it out",
    ),
    (
        *("labels that never differ", {}, {"t": dataset([[1, 0]] * 9, MultiLabel(["x", "y"]))}, {}),
        r"the target 't' has samples of \['x'\] only",
    ),
    (
        *("too few for the folds", {}, {"t": dataset([0] * 20 + [1] * 2)}, {"folds": 3}),
        r"'t' has 2 samples of 'yes', too few for 3 folds; give at most 2 folds, or leave",
    ),
    (
        "a subject that owns a class",
        {},
        {"t": dataset([0] * 20 + [1] * 9, groups=[*range(20), *[20] * 9])},
        {},
        r"'t' has 1 subject of 'yes', too few for 2 folds; leave the class out .*or join it",
    ),
    (
        "fewer subjects of a class than folds",
        {},
        {"t": dataset([0, 1, 0, 1] + [0] * 40, groups=[0, 0, 1, 1, *[0] * 40])},
        {"folds": 3},
        r"'t' has 2 subjects of 'no', too few for 3 folds; give at most 2 folds",
    ),
    (
        "a fold without a class",
        {},
        {"t": dataset([0] * 11 + [1] * 17 + [0] * 10, groups=[1] * 17 + [2] * 11 + [3] * 10)},
        {},
        r"folds \[1\] of 2 have no sample of 'yes', because a few subjects own most.*another seed",
    ),
    (
        *("a class without a validation part", {}, {"t": dataset([0] * 60 + [1] * 4)}, EARLY),
        r"no validation part: 0.1 of source 't' has no sample of \['yes'\].*fine_tuning.validation",
    ),
]


@pytest.mark.parametrize(
    ("learned", "scored", "changes", "message"),
    [row[1:] for row in DATA],
    ids=[row[0] for row in DATA],
)
def test_data_that_a_study_cannot_be_made_of(
    tmp_path: Path,
    learned: Mapping[str, TensorSource],
    scored: Mapping[str, TensorSource],
    changes: Mapping[str, Any],
    message: str,
) -> None:
    options = {"folds": 2, "source_training": FAST, "fine_tuning": FAST, **changes}
    out = tmp_path / "out"
    with pytest.raises(TorchcrossError, match=message):
        transfer.study(learned, scored, backbone=BACKBONE, folder=out, **options)
    assert not out.exists()


def test_a_draw_that_loses_a_class_names_the_settings(tmp_path: Path) -> None:
    settings = StudySettings(
        study=StudyDesign(sources=("s",), targets=("t",), folds=2, source_images=10),
        backbone=BACKBONE,
        channels=1,
    )
    rare = dataset([0] * 99 + [1])
    with pytest.raises(
        InfeasibleError, match=r"10 images of 100 are too few: .*\['yes'\].*source_images"
    ):
        run_study(settings, SourcesByName({"s": rare, "t": GOOD}), tmp_path / "out")


@pytest.mark.parametrize(
    ("source", "message"),
    [(dataset([1] * 9), "samples of"), (dataset([0, 1] * 9, channels=3), "have channels=3")],
)
def test_sources_are_checked_before_they_alone_are_trained(
    tmp_path: Path, source: TensorSource, message: str
) -> None:
    design = StudyDesign(sources=("s", "scratch"), targets=("t",))
    settings = StudySettings(study=design, backbone=BACKBONE, channels=1)
    with pytest.raises(TorchcrossError, match=message):
        train_sources(settings, SourcesByName({"s": source, "t": GOOD}), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_augmentation_without_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kornia", None)
    data = SourcesByName({"s": GOOD, "t": GOOD})
    for section in ("source_training", "fine_tuning"):
        plain = {"source_training": FAST, "fine_tuning": FAST}
        settings = StudySettings(
            study=StudyDesign(sources=("s",), targets=("t",), folds=2),
            backbone=BACKBONE,
            channels=1,
            **plain | {section: StudyTraining(epochs=1)},
        )
        with pytest.raises(MissingExtraError, match=rf"{section}\.augment=true needs kornia"):
            run_study(settings, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_settings_of_other_channels_than_the_images(tmp_path: Path) -> None:
    settings = StudySettings(study=StudyDesign(targets=("t",)), backbone=BACKBONE)
    with pytest.raises(InputError, match=r"have channels=1, and the settings of the study 3; give"):
        run_study(settings, SourcesByName({"t": GOOD}), tmp_path / "out")


def test_one_name_for_two_things() -> None:
    with pytest.raises(InputError, match="'grades' is one source and another target"):
        transfer.study(
            {"grades": images_of("lesions")}, {"grades": images_of("grades")}, backbone=BACKBONE
        )
    with pytest.raises(InputError, match="no dataset is called"):
        SourcesByName(targets()).open("grade")


DESIGNS: list[tuple[Mapping[str, Any], str]] = [
    ({"targets": ()}, "no targets; give one"),
    ({"sources": ()}, "no sources; give datasets"),
    ({"seeds": ()}, "no seeds; give one"),
    ({"sources": ("oct", "derm", "oct")}, r"the sources have \['oct'\] twice or more; name each"),
    ({"sources": ("oct",), "weights": {"oct": "file"}}, r"the sources have \['oct'\] twice"),
    ({"targets": ("t", "t")}, r"the targets have \['t'\] twice or more; name each"),
    ({"seeds": (0, 1, 0)}, r"the seeds have \['0'\] twice or more; name each"),
    ({"weights": {"scratch": "file"}}, "'scratch' is the random start; name the weights else"),
    ({"targets": ("scratch",)}, "'scratch' is the random start, and no target"),
    ({"weights": {"reptile:t": "file"}}, "the weights 'reptile:t' have the name of a target"),
    ({"weights": {"t": "file"}}, "the weights 't' have the name of a target.*name them else"),
    ({"folds": 1}, "folds=1; give 2 or more"),
    ({"splits": "Own"}, "splits='Own' is not one of 'folds', 'own'"),
    ({"normalisation": "Keras"}, "normalisation='Keras' is not one of '', 'imagenet', 'keras'"),
    ({"folds": 2.5}, "folds=2.5 is not an integer"),
    ({"seeds": (True,)}, "seeds=True is not an integer"),
    ({"source_images": -1}, "source_images=-1"),
    ({"self_pairs": 1}, "self_pairs=1 is not one of True, False"),
]


@pytest.mark.parametrize(("changes", "message"), DESIGNS)
def test_designs_that_are_none(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StudyDesign(**{"targets": ("t",), **changes})


TRAININGS: list[tuple[Mapping[str, Any], str]] = [
    ({"epochs": 0}, "epochs=0 is not an integer of at least 1"),
    ({"patience": -1}, "patience=-1 is not an integer of at least 0"),
    ({"lr": 0}, "lr=0 is not a finite number above 0"),
    ({"lr": float("nan")}, "lr=nan"),
    ({"schedule": "cos"}, "schedule='cos' is not one of 'constant', 'cosine', 'linear'"),
    ({"batch_size": 0}, "batch_size=0 is not an integer of at least 1"),
    ({"augment": "no"}, "augment='no' is not one of True, False"),
    ({"validation": 1.0}, "validation=1.0; give a share below 1"),
]


@pytest.mark.parametrize(("changes", "message"), TRAININGS)
def test_trainings_that_are_none(changes: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(StudyTraining(), **changes)


def test_scores_that_are_none() -> None:
    with pytest.raises(InputError, match=r"the scores have \['knn'\] twice"):
        StudyScores(names=("knn", "knn"))
    with pytest.raises(InputError, match="task2vec=-1"):
        StudyScores(task2vec=-1)


def test_a_device_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    out, message = tmp_path / "out", r"device='cuda:1' is not here; there are cpu$"
    with pytest.raises(InputError, match=message):
        transfer.study({}, {"t": GOOD}, backbone=BACKBONE, folder=out, device="cuda:1")
    settings = StudySettings(
        study=StudyDesign(sources=("s",), targets=("t",)), backbone=BACKBONE, channels=1
    )
    data, machine = SourcesByName({"s": GOOD, "t": GOOD}), StudyMachine(device="cuda:1")
    with pytest.raises(InputError, match=message):
        train_sources(settings, data, out, machine=machine)
    with pytest.raises(InputError, match=r"device='meta' cannot be used here \("):
        train_sources(settings, data, out, machine=StudyMachine(device="meta"))
    assert not out.exists()


def test_units_that_are_made_elsewhere_need_no_device_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    settings = StudySettings(
        study=StudyDesign(targets=("t",), folds=2),
        backbone=BACKBONE,
        channels=1,
        fine_tuning=FAST,
        scores=StudyScores(names=()),
    )
    machine = StudyMachine(device="cuda:1")
    engine = ExecutorEngine(ThreadPoolExecutor(1), slots=1)
    data, out = SourcesByName({"t": GOOD}), tmp_path / "out"
    outcome = run_study(settings, data, out, engine, None, machine)
    # It is begun, and fails where it is computed.
    assert len(outcome.failures) == 2
    assert (out / "study.json").is_file()


def test_a_study_without_a_pair(tmp_path: Path) -> None:
    design = StudyDesign(sources=("t", "reptile:t"), targets=("t",))
    settings = StudySettings(study=design, backbone=BACKBONE, channels=1)
    with pytest.raises(InputError, match=r"no pair: its sources \['t', 'reptile:t'\].*self_pairs"):
        run_study(settings, SourcesByName({"t": GOOD}), tmp_path / "out")
    assert not (tmp_path / "out").exists()
