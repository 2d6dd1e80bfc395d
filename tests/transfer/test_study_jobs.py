"""The job of a study: other working folders, one job in a worker, and nothing kept afterwards."""

from __future__ import annotations

import gc
import pickle
import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.jobs.together import computes_one_unit_at_a_time
from tests.transfer.study_data import BACKBONE, FAST, images_of
from torchcross import TensorSource, transfer
from torchcross.backbones import conv4
from torchcross.transfer.studies import (
    SourcesByName,
    StudyDesign,
    StudyMachine,
    StudyScores,
    StudySettings,
)
from torchcross.transfer.studies.inputs import fingerprint_inputs
from torchcross.transfer.studies.job import StudyJob

SETTINGS = StudySettings(
    study=StudyDesign(sources=("shapes",), weights={"mine": "mine.pth"}, targets=("grades",)),
    backbone=BACKBONE,
    channels=1,
    scores=StudyScores(task2vec=20, probe_weights="mine.pth"),
)
NAMES = ("shapes", "grades")


def test_a_worker_with_another_folder_finds_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    torch.save(conv4(4, in_channels=1, seed=1).state_dict(), tmp_path / "mine.pth")
    monkeypatch.chdir(tmp_path)
    job = StudyJob(SETTINGS, SourcesByName({name: images_of(name) for name in NAMES}), "out")
    before, sent = job.fingerprint(), pickle.dumps(job)
    monkeypatch.chdir("elsewhere")
    received = pickle.loads(sent)
    assert received.fingerprint() == before
    assert [unit.key for unit in received.units()] == [unit.key for unit in job.units()]
    with pytest.raises(Exception, match=r"mine.pth.*cannot be read"):
        fingerprint_inputs(SETTINGS, received.data)


def test_units_compute_on_the_device_of_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    data = SourcesByName({name: images_of(name) for name in NAMES})
    job = StudyJob(SETTINGS, data, "out", machine=StudyMachine(device="meta"))
    received = pickle.loads(pickle.dumps(job))
    assert {value.device.type for value in received.network(0, "").parameters()} == {"meta"}
    shared = replace(job, machine=StudyMachine(device="cuda", gpus=0.5))
    assert {unit.resources.gpus for unit in shared.units()} == {0.5}
    assert {unit.resources.gpus for unit in job.units()} == {0.0}
    # A coordinator without that GPU leaves its kind to the workers.
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert shared.machine.processor() is None
    assert StudyMachine().processor() == StudyMachine(device="cpu").processor()


def test_threads_of_one_process_make_one_unit_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, study=replace(SETTINGS.study, seeds=(0, 1)))
    job = StudyJob(settings, SourcesByName({name: images_of(name) for name in NAMES}), "out")
    trainings = [unit.key for unit in job.units() if unit.key.startswith("sources-")]
    assert computes_one_unit_at_a_time(
        job, trainings, tmp_path, lambda wait: monkeypatch.setattr(StudyJob, "_train_source", wait)
    )


def test_all_units_of_a_worker_have_one_job() -> None:
    data = SourcesByName({name: images_of(name) for name in NAMES})
    job, other = (StudyJob(SETTINGS, data, "out") for _ in range(2))
    first, second = (pickle.loads(pickle.dumps(job)) for _ in range(2))
    assert first is second
    assert pickle.loads(pickle.dumps(other)) is not first


def test_a_study_that_is_over_keeps_no_images(tmp_path: Path) -> None:
    def run() -> weakref.ref[TensorSource]:
        source = images_of("shapes", 30)
        transfer.study(
            {"shapes": source},
            {"grades": images_of("grades", 30)},
            backbone=BACKBONE,
            scratch=False,
            folds=2,
            source_training=FAST,
            fine_tuning=replace(FAST, class_weights=False),
        )
        return weakref.ref(source)

    source = run()
    gc.collect()
    assert source() is None
