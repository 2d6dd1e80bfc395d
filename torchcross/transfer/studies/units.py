"""The units of a study: source trainings, pairs by fold and seed, embeddings of datasets."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, final

from torchcross.jobs import Unit
from torchcross.transfer.studies.settings import SCRATCH, StudySettings

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
    """A source's network, fine-tuned on a target without one fold and scored on that fold."""

    source: str
    target: str
    fold: int
    seed: int

    @property
    def file(self) -> str:
        return f"{CELLS}/{_file_name(self.source, self.target, self.fold, self.seed)}.json"


@final
@dataclass(frozen=True)
class TaskEmbeddingWork:
    """The embedding of a dataset by the study's probe, and its noise floor."""

    dataset: str

    @property
    def file(self) -> str:
        return f"{TASKS}/{_file_name(self.dataset)}.json"


Work = SourceTraining | StudyPair | TaskEmbeddingWork


def works_of(settings: StudySettings) -> dict[str, Work]:
    """All work of a study by the key of its unit: what others wait for comes first."""
    return {key_of(work): work for work in _works(settings)}


def _works(settings: StudySettings) -> Iterator[Work]:
    design = settings.study
    datasets = [source for source in design.sources if source != SCRATCH]
    for seed in design.seeds:
        yield from (SourceTraining(source, seed) for source in datasets)
    if settings.scores.task2vec:
        yield from map(TaskEmbeddingWork, dict.fromkeys((*datasets, *design.targets)))
    for seed in design.seeds:
        for source in design.names:
            for target in design.targets:
                if source != target or design.self_pairs:
                    for fold in range(design.folds):
                        yield StudyPair(source, target, fold, seed)


def unit_of(work: Work, settings: StudySettings) -> Unit:
    needs: tuple[str, ...] = ()
    if isinstance(work, StudyPair) and needs_training(work.source, settings):
        needs = (key_of(SourceTraining(work.source, work.seed)),)
    return Unit(key_of(work), (work.file,), needs)


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
    """A digest of everything that decides the numbers of a study."""
    return hashlib.sha256(json.dumps(plain_settings(settings), sort_keys=True).encode()).hexdigest()


def plain_settings(settings: StudySettings) -> dict[str, object]:
    """The settings as JSON writes them."""
    plain: dict[str, object] = json.loads(json.dumps(asdict(settings)))
    return plain
