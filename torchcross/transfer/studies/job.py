"""A study as a job: any number of processes make its units in one folder."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from torchcross._kit.content_hash import with_hash
from torchcross._kit.surroundings import installed_version, processor_kind
from torchcross._kit.whole_files import write_whole
from torchcross.algorithms import Supervised
from torchcross.data import TaskSource
from torchcross.jobs import Unit
from torchcross.training.checkpoints import write_tensors
from torchcross.training.trained_weights import load_trained
from torchcross.transfer.similarity import noise_floor, task2vec
from torchcross.transfer.studies.data import StudyData, at_most
from torchcross.transfer.studies.inputs import (
    fingerprint_inputs,
    overlap_error,
    probe_weights,
)
from torchcross.transfer.studies.overlaps import image_digests
from torchcross.transfer.studies.pair import score_pair
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

    call  of each call: what a process knows of an earlier one may be out of date
    """

    settings: StudySettings = field(compare=False)
    data: StudyData = field(compare=False)
    out: str
    call: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __hash__(self) -> int:
        return int(self.call, 16)

    def __reduce__(self) -> tuple[Any, ...]:
        # A worker may have another working folder.
        return StudyJob, (self.settings, self.data, str(Path(self.out).absolute()), self.call)

    @property
    def works(self) -> dict[str, Work]:
        return works_of(self.settings)

    def units(self) -> Sequence[Unit]:
        return [unit_of(work, self.settings) for work in self.works.values()]

    def fingerprint(self) -> Mapping[str, str]:
        return {
            "study": identity_of(self.settings),
            **fingerprint_inputs(self.settings, self.data),
            **{name: str(installed_version(name)) for name in ("torchcross-fewshot", "torch")},
            "processor": processor_kind(torch.device("cpu")),
        }

    def run(self, key: str, folder: Path) -> None:
        work = self.works[key]
        target = folder / work.file
        target.parent.mkdir(parents=True, exist_ok=True)
        with _one_thread():
            if isinstance(work, SourceTraining):
                self._train_source(work, target, folder / _TRAINING)
            elif isinstance(work, TaskEmbeddingWork):
                write_record(target, self._embedding(work))
            else:
                write_record(target, self._cell(work, folder / _TRAINING))

    # -- the work of a unit ------------------------------------------------------------------------

    def _train_source(self, work: SourceTraining, file: Path, folder: Path) -> None:
        source, settings = self._source(work.source), self.settings
        trained = train(
            self._network(work.seed, ""),
            source,
            settings.source_training,
            seed=work.seed,
            channels=settings.channels,
            folder=folder,
        )
        write_tensors(file, dict(trained.learner.state_dict()), {"source": work.source})

    def _cell(self, pair: StudyPair, folder: Path) -> dict[str, Any]:
        target = at_most(
            self.data.open(pair.target),
            self.settings.study.target_images,
            self.settings.study.fold_seed,
        )
        leak = self._refuse_overlap(pair, target)
        learner = None
        if needs_training(pair.source, self.settings):
            learner = self._source_learner(SourceTraining(pair.source, pair.seed))
            network = learner.backbone
        else:
            weights = self.settings.study.weights.get(pair.source, "")
            network = self._network(pair.seed, weights)
        record = score_pair(pair, self.settings, network, learner, target, folder)
        return {**record, "leaks": leak} if leak else record

    def _refuse_overlap(self, pair: StudyPair, target: TaskSource) -> str:
        """Why a self-pair leaks; a source of another name that overlaps is refused."""
        if pair.source == pair.target:
            return "the source is the target: its test folds were in the training of the source"
        if not needs_training(pair.source, self.settings):
            return ""
        reason = self.data.overlap(pair.source, pair.target)
        if not reason and (count := _shared_image_count(self, pair.source, pair.target)):
            reason = f"{count} of its images are images of the target too"
        if reason:
            raise overlap_error(pair.source, pair.target, reason)
        return ""

    def _embedding(self, work: TaskEmbeddingWork) -> dict[str, Any]:
        settings, design = self.settings, self.settings.study
        probe = self._network(0, probe_weights(settings))
        options: dict[str, Any] = {
            "images": settings.scores.task2vec,
            "seed": design.fold_seed,
            "normalise": input_normalisation_of(probe, settings.channels),
        }
        source = self.data.open(work.dataset)
        embedding = task2vec(source, probe, **options)
        return {
            "dataset": work.dataset,
            "probe": embedding.probe,
            "values": embedding.values.tolist(),
            "scale": embedding.scale.tolist(),
            "layers": [list(layer) for layer in embedding.layers],
            "images": embedding.images,
            "absent": list(embedding.absent),
            "noise floor": noise_floor(source, probe, **options),
        }

    # -- networks and data -------------------------------------------------------------------------

    def _network(self, seed: int, weights: str) -> Any:
        return starting_network(self.settings, seed, weights)

    def _source(self, name: str) -> TaskSource:
        design = self.settings.study
        return at_most(self.data.open(name), design.source_images, design.fold_seed)

    def _source_learner(self, work: SourceTraining) -> Supervised:
        learner = learner_of(
            self._network(work.seed, ""),
            self._source(work.source),
            seed=work.seed,
            channels=self.settings.channels,
        )
        load_trained(learner, Path(self.out) / work.file)
        return learner


@lru_cache(maxsize=256)
def _shared_image_count(job: StudyJob, source: str, target: str) -> int:
    return len(_digests(job, source) & _digests(job, target))


@lru_cache(maxsize=64)
def _digests(job: StudyJob, name: str) -> frozenset[bytes]:
    """Read once in a process: every source meets every target."""
    return image_digests(job.data.open(name))


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
