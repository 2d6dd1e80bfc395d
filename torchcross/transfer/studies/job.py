"""A study as a job: any number of processes make its units in one folder."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from torchcross._kit.content_hash import with_hash
from torchcross._kit.plugin_files import load_plugins
from torchcross._kit.surroundings import installed_version
from torchcross._kit.threads import ONE_COMPUTES
from torchcross._kit.whole_files import write_whole
from torchcross.algorithms import Reptile, Supervised
from torchcross.data import TaskSource
from torchcross.jobs import Unit
from torchcross.training.checkpoints import write_tensors
from torchcross.training.trained_weights import load_trained
from torchcross.transfer.similarity import noise_floor, task2vec
from torchcross.transfer.source_target import REPTILE, dataset_of, is_self_pair
from torchcross.transfer.studies.data import StudyData, at_most
from torchcross.transfer.studies.inputs import (
    fingerprint_inputs,
    overlap_error,
    plugin_inputs,
    probe_weights,
    with_absolute_paths,
)
from torchcross.transfer.studies.machine import MADE_WITH, StudyMachine
from torchcross.transfer.studies.overlaps import SharedImages
from torchcross.transfer.studies.pair import score_pair
from torchcross.transfer.studies.parts import target_parts, whole_parts
from torchcross.transfer.studies.reptile_source import reptile_of, train_by_reptile
from torchcross.transfer.studies.settings import StudySettings
from torchcross.transfer.studies.training import (
    input_normalisation_of,
    learner_of,
    starting_network,
    train,
)
from torchcross.transfer.studies.units import (
    SourceTraining,
    StudyPair,
    TaskEmbeddingWork,
    Work,
    identity_of,
    needs_training,
    unit_of,
    works_of,
)

_TRAINING = "training"


@dataclass(frozen=True)
class StudyJob:
    """The job of making the files of a study in the folder `out`.

    call     of each call: what a process knows of an earlier one may be out of date
    machine  where the units compute
    plugins  Python files that a process loads before it makes a unit
    """

    settings: StudySettings = field(compare=False)
    data: StudyData = field(compare=False)
    out: str
    call: str = field(default_factory=lambda: uuid.uuid4().hex)
    machine: StudyMachine = field(default_factory=StudyMachine, compare=False)
    plugins: tuple[str, ...] = field(default=(), compare=False)

    def __hash__(self) -> int:
        return int(self.call, 16)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker may have another working folder.
        settings, out = with_absolute_paths(self.settings), str(Path(self.out).absolute())
        plugins = tuple(str(Path(file).absolute()) for file in self.plugins)
        machine = self.machine.as_sent()
        return _received_job, (settings, self.data, out, self.call, machine, plugins)

    @cached_property
    def _shared_images(self) -> SharedImages:
        return SharedImages(self.data)

    @property
    def works(self) -> dict[str, Work]:
        return works_of(self.settings)

    def units(self) -> Sequence[Unit]:
        return [
            unit_of(work, self.settings, self.machine.resources) for work in self.works.values()
        ]

    def fingerprint(self) -> Mapping[str, str | None]:
        return {
            "study": identity_of(self.settings),
            **fingerprint_inputs(self.settings, self.data),
            **plugin_inputs(self.plugins),
            **{name: str(installed_version(name)) for name in ("torchcross-fewshot", "torch")},
            "processor": self.machine.processor(),
        }

    def run(self, key: str, folder: Path) -> None:
        work = self.works[key]
        target = folder / work.file
        target.parent.mkdir(parents=True, exist_ok=True)
        with ONE_COMPUTES, _one_thread():
            if isinstance(work, SourceTraining):
                self._train_source(work, target, folder / _TRAINING)
            elif isinstance(work, TaskEmbeddingWork):
                write_record(
                    target, {**self._embedding(work), MADE_WITH: self.machine.surroundings()}
                )
            else:
                cell = self._cell(work, folder / _TRAINING)
                write_record(target, {**cell, MADE_WITH: self.machine.surroundings()})

    # -- the work of a unit ------------------------------------------------------------------------

    def _train_source(self, work: SourceTraining, file: Path, folder: Path) -> None:
        source, settings = self.source(work.source), self.settings
        network = self.network(work.seed, "")
        learner: Supervised | Reptile
        options: dict[str, Any] = {
            "seed": work.seed,
            "channels": settings.channels,
            "folder": folder,
        }
        if work.source.startswith(REPTILE):
            learner = train_by_reptile(network, source, settings.reptile, **options)
        else:
            learner = train(network, source, settings.source_training, **options).learner
        made = json.dumps(self.machine.surroundings(), sort_keys=True)
        metadata = {"source": work.source, MADE_WITH: made}
        write_tensors(file, dict(learner.state_dict()), metadata)

    def _cell(self, pair: StudyPair, folder: Path) -> dict[str, Any]:
        leak = self._refuse_overlap(pair)
        parts = target_parts(self.data, self.settings, pair)
        learner = None
        if needs_training(pair.source, self.settings):
            seed = self.settings.study.source_seed_of(pair.seed)
            trained = self.source_learner(SourceTraining(pair.source, seed))
            # Reptile has a head for classes in any order, which says nothing of the source's.
            learner = trained if isinstance(trained, Supervised) else None
            network = trained.backbone
        else:
            weights = self.settings.study.weights.get(pair.source, "")
            network = self.network(pair.seed, weights)
        record = score_pair(pair, self.settings, network, learner, parts, folder)
        if pair.source not in self.settings.study.weights:
            is_trained = needs_training(pair.source, self.settings)
            record["images"]["source"] = len(self.source(pair.source)) if is_trained else 0
        return {**record, "leaks": leak} if leak else record

    def _refuse_overlap(self, pair: StudyPair) -> str:
        """Why a self-pair leaks; a source of another name that overlaps is refused."""
        source = dataset_of(pair.source)
        if is_self_pair(pair.source, pair.target):
            return "the source is the target: its test folds were in the training of the source"
        if not needs_training(pair.source, self.settings):
            return ""
        reason = self.data.overlap(source, pair.target)
        if not reason and (count := self._shared_images.count(source, pair.target)):
            reason = f"{count} of its images are images of the target too"
        if reason:
            raise overlap_error(source, pair.target, reason)
        return ""

    def _embedding(self, work: TaskEmbeddingWork) -> dict[str, Any]:
        settings, design = self.settings, self.settings.study
        probe = self.network(0, probe_weights(settings))
        options: dict[str, Any] = {
            "images": settings.scores.task2vec,
            "seed": design.fold_seed,
            "normalise": input_normalisation_of(probe, settings.channels),
        }
        # No test image takes part in what is to say which source helps.
        images = self.source(work.dataset)
        if work.fold is not None:
            images = whole_parts(self.data, settings, work.dataset, work.fold).training
        embedding = task2vec(images, probe, **options)
        return {
            "dataset": work.dataset,
            "probe": embedding.probe,
            "values": embedding.values.tolist(),
            "scale": embedding.scale.tolist(),
            "layers": [list(layer) for layer in embedding.layers],
            "images": embedding.images,
            "absent": list(embedding.absent),
            # Of a target once: the folds share most of their images.
            "noise floor": None if work.fold else noise_floor(images, probe, **options),
        }

    # -- networks and data -------------------------------------------------------------------------

    def network(self, seed: int, weights: str) -> Any:
        """The study's backbone before any training, on the device."""
        return starting_network(self.settings, seed, weights).to(self.machine.torch_device)

    def source(self, name: str) -> TaskSource:
        """The images that a source is learned from."""
        design = self.settings.study
        return at_most(self.data.open(dataset_of(name)), design.source_images, design.fold_seed)

    def source_learner(self, work: SourceTraining) -> Supervised | Reptile:
        """The trained network of a source; plain training leaves it with its own head."""
        network = self.network(work.seed, "")
        options: dict[str, Any] = {"seed": work.seed, "channels": self.settings.channels}
        learner: Supervised | Reptile
        if work.source.startswith(REPTILE):
            learner = reptile_of(network, self.settings.reptile, **options)
        else:
            learner = learner_of(network, self.data.open(work.source), **options)
        load_trained(learner, Path(self.out) / work.file)
        return learner.to(self.machine.torch_device)


@dataclass(frozen=True)
class SourceTrainingJob:
    """The trainings of a study's sources, and nothing else of it."""

    study: StudyJob

    @property
    def works(self) -> dict[str, Work]:
        works = self.study.works.items()
        return {key: work for key, work in works if isinstance(work, SourceTraining)}

    def units(self) -> Sequence[Unit]:
        return [
            unit_of(work, self.study.settings, self.study.machine.resources)
            for work in self.works.values()
        ]

    def fingerprint(self) -> Mapping[str, str | None]:
        return self.study.fingerprint()

    def run(self, key: str, folder: Path) -> None:
        self.study.run(key, folder)


_RECEIVED: dict[str, StudyJob] = {}


def _received_job(
    settings: StudySettings,
    data: StudyData,
    out: str,
    call: str,
    machine: StudyMachine,
    plugins: tuple[str, ...],
) -> StudyJob:
    """The job of this call in a worker: one for all of its units, so that it reads data once."""
    with ONE_COMPUTES:
        if call not in _RECEIVED:
            _RECEIVED.clear()
            load_plugins(plugins)
            _RECEIVED[call] = StudyJob(settings, data, out, call, machine, plugins)
        return _RECEIVED[call]


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a JSON file with its content hash, whole or not at all."""
    text = json.dumps(with_hash(record), indent=1, sort_keys=True, ensure_ascii=False)
    write_whole(path, f"{text}\n")


@contextmanager
def _one_thread() -> Iterator[None]:
    """The number of threads decides the last bits of sums, so every unit has one."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
