"""The texts of the targets of a run, and of the sources that a search scores its trials on."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from torchcross.data import TaskSource
from torchcross.errors import TorchcrossError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.texts import (
    describe_texts,
    reads_texts,
    target_texts,
)
from torchcross.experiment.run.cells import WorkContext
from torchcross.experiment.settings.schema import Experiment
from torchcross.text import TaskTexts


def texts_of(
    row: str, work: WorkContext, experiment: Experiment, sources: Iterable[TaskSource]
) -> TaskTexts | None:
    """The vectors of the tasks of these sources, for a row with its own settings.

    None for a row that reads none.
    """
    if not METHODS[row].reads_texts:
        return None
    names = ((source.task, dataset_name(work.collection, source)) for source in sources)
    return TaskTexts((task, target_texts(experiment, task, name)) for task, name in names)


def texts_for_protocol(
    experiment: Experiment, collection: Collection, targets: Iterable[str]
) -> dict[str, Any]:
    """Empty where no row reads texts."""
    if not reads_texts(experiment):
        return {}
    tasks = []
    for target in targets:
        with suppress(TorchcrossError, OSError):
            source = collection.target(target)
            tasks.append((source.task, dataset_name(collection, source)))
    return {"texts": describe_texts(experiment, tasks)}


def dataset_name(collection: Collection, source: TaskSource) -> str:
    """As the collection says it, if it does; otherwise prompts have what the task's name says."""
    name_of = getattr(collection, "dataset_name", None)
    return "" if name_of is None else str(name_of(source.name))
