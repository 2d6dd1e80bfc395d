"""The units of a study: source trainings, pairs by fold and seed, embeddings of datasets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Final, final

from torchcross.jobs import Resources, Unit
from torchcross.transfer.source_target import SCRATCH, dataset_of
from torchcross.transfer.studies.settings import StudySettings

SOURCES, CELLS, TASKS = "sources", "cells", "tasks"
_FOREIGN: Final = re.compile(r"[^A-Za-z0-9_=+-]+")
_LONGEST: Final = 40


@final
@dataclass(frozen=True)
class SourceTraining:
    """A network of random values, trained on a dataset."""

    source: str
    seed: int

    @property
    def file(self) -> str:
        return f"{SOURCES}/{_file_name(self.source, self.seed)}.safetensors"


@final
@dataclass(frozen=True)
class StudyPair:
    """A source's network, fine-tuned on a target without one fold and scored on that fold.

    Of a target with splits of its own, there is fold 0 alone. `fraction` of the rest is learned.
    """

    source: str
    target: str
    fold: int
    seed: int
    fraction: float = 1.0

    @property
    def file(self) -> str:
        parts = [self.source, self.target, self.fold, self.seed]
        if self.fraction != 1:
            parts.append(self.fraction)
        return f"{CELLS}/{_file_name(*parts)}.json"


@final
@dataclass(frozen=True)
class TaskEmbeddingWork:
    """The embedding of a dataset by the study's probe.

    fold  of a target: its training part without this fold is embedded; None for a source, of which
          the images that it learns from are
    """

    dataset: str
    fold: int | None = None

    @property
    def file(self) -> str:
        parts = (self.dataset,) if self.fold is None else (self.dataset, self.fold)
        return f"{TASKS}/{_file_name(*parts)}.json"


Work = SourceTraining | StudyPair | TaskEmbeddingWork


def works_of(settings: StudySettings) -> dict[str, Work]:
    """All work of a study by the key of its unit: what others wait for comes first."""
    return {key_of(work): work for work in _works(settings)}


def _works(settings: StudySettings) -> Iterator[Work]:
    design = settings.study
    datasets = [
        source
        for source in design.sources
        if source != SCRATCH and source not in design.unused_sources
    ]
    for seed in design.seeds:
        yield from (SourceTraining(source, design.source_seed_of(seed)) for source in datasets)
    if settings.scores.task2vec:
        yield from map(TaskEmbeddingWork, dict.fromkeys(map(dataset_of, datasets)))
        for target in design.targets:
            yield from (TaskEmbeddingWork(target, fold) for fold in range(design.test_parts))
    for seed in design.seeds:
        for source in design.names:
            for target in design.targets:
                if design.has_pair(source, target):
                    for fold, fraction in product(range(design.test_parts), design.fractions):
                        yield StudyPair(source, target, fold, seed, fraction)


def unit_of(work: Work, settings: StudySettings, resources: Resources) -> Unit:
    needs: tuple[str, ...] = ()
    if isinstance(work, StudyPair) and needs_training(work.source, settings):
        seed = settings.study.source_seed_of(work.seed)
        needs = (key_of(SourceTraining(work.source, seed)),)
    return Unit(key_of(work), (work.file,), needs, resources)


def needs_training(source: str, settings: StudySettings) -> bool:
    """Whether a source is a dataset, and no random start and no file of weights."""
    return source != SCRATCH and source not in settings.study.weights


def key_of(work: Work) -> str:
    return _FOREIGN.sub("-", work.file.partition(".")[0])


def _file_name(*parts: object) -> str:
    """Words for people, and a digest that makes it unique."""
    words = [_FOREIGN.sub("_", str(part))[:_LONGEST] for part in parts]
    digest = hashlib.sha256(json.dumps([str(part) for part in parts]).encode()).hexdigest()
    return f"{'-'.join(words)}-{digest[:10]}"


def identity_of(settings: StudySettings) -> str:
    """A digest of everything that decides the numbers of a study.

    Where files of weights are does not; their contents are among the inputs of the study.
    """
    plain = plain_settings(settings)
    plain["study"]["weights"] = list(settings.study.weights)
    del plain["scores"]["probe_weights"]
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def plain_settings(settings: StudySettings) -> dict[str, Any]:
    """The settings as JSON writes them."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(settings)))
    return plain
