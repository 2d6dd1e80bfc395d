"""A page of a study with many sources and targets, whose names may be hostile."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.transfer.published import medmnist
from torchcross.records import Records
from torchcross.transfer.page import PairDistances, StudyContents, TaskMap, write_study_page
from torchcross.transfer.results import StudyCell, StudyResults
from torchcross.transfer.similarity.geometry import TaskDistances
from torchcross.transfer.source_target import SourceTargetTable


def many_sources(prefix: str = "") -> StudyContents:
    """The 15 sources and 12 targets of Juodelyte et al., with made-up folds and distances.

    `prefix` stands before every name.
    """
    values, logme = medmnist("auc"), medmnist("logme")
    generator = np.random.default_rng(0)
    cells = [
        StudyCell(prefix + source, prefix + target, fold, seed, value)
        for source in values.sources
        for target in values.targets
        for fold in range(3)
        for seed in range(2)
        if not np.isnan(value := values[source, target] + generator.normal(0, 0.005))
    ]
    points = generator.normal(size=(len(values.sources), 3))
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    sources = tuple(prefix + name for name in values.sources)
    columns = [values.sources.index(name) for name in values.targets]
    targets = tuple(prefix + name for name in values.targets)
    known = SourceTargetTable(sources, targets, distances[:, columns])
    return StudyContents(
        f"Which source helps which target: {prefix}",
        StudyResults.of_cells(cells),
        metric="auroc",
        scores={f"{prefix}LogME": SourceTargetTable(sources, targets, logme.values)},
        distances={f"{prefix}Task2Vec": PairDistances.of_one_draw(known)},
        tasks={
            f"{prefix}Task2Vec": TaskMap(
                TaskDistances(sources, distances), dict.fromkeys(sources, 0.12)
            )
        },
        largest=f"{prefix}imagenet",
        notes=f"# {prefix}\n\n{prefix}",
        cautions=[prefix] if prefix else [],
        protocol={"a": prefix},
    )


def write_many_sources(path: Path, prefix: str) -> Records:
    write_study_page(many_sources(prefix), path)
    return Records.of([])
