"""Checks of targets before a run has a folder: their episodes, and the texts of their classes."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from torchcross.data import TaskSource
from torchcross.errors import InfeasibleError, InputError, TorchcrossError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.rows.methods import METHODS, rows_of_experiment
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.target_episodes import target_episodes
from torchcross.experiment.rows.texts import reads_texts, target_prompts, target_texts
from torchcross.experiment.run.experiment_record import EXPERIMENT
from torchcross.experiment.run.row_texts import dataset_name
from torchcross.experiment.settings.row_settings import experiment_of_row
from torchcross.experiment.settings.schema import Experiment
from torchcross.task import Task


def check_targets(
    experiment: Experiment, collection: Collection, targets: Iterable[str], out: str | Path
) -> None:
    """Refuse texts that do not fit the classes of a target, and a new run without any episode.

    What cannot be read is an error of the cells that need it.
    """
    targets = tuple(targets)
    check_prompts(experiment, collection, targets)
    # A run that has begun goes on: its data may have been otherwise.
    if not (Path(out) / EXPERIMENT).exists():
        _check_vectors(experiment, collection, targets)
        _check_episodes(experiment, collection, targets)


def check_prompts(experiment: Experiment, collection: Collection, targets: Iterable[str]) -> None:
    """Refuse prompts that do not fit the classes of a target."""
    if not reads_texts(experiment) or experiment.text.vectors:
        return
    for target in targets:
        source = _source_of(collection, target)
        if source is not None:
            name = dataset_name(collection, source)
            try:
                target_prompts(experiment, source.task, name)
            except InputError as error:
                raise InputError(f"{target}: {error}") from error


def _check_vectors(experiment: Experiment, collection: Collection, targets: Iterable[str]) -> None:
    """Refuse a file of vectors without one for a class of a target, or of another width."""
    rows = reads_texts(experiment)
    if not rows or not experiment.text.vectors:
        return
    widths: dict[str, int] = {}
    for target in targets:
        source = _source_of(collection, target)
        task = None if source is None else _scored_task(source, experiment)
        if source is None or task is None:
            continue
        try:
            texts = target_texts(experiment, source.task)
            texts.prototypes(task)
        except InputError as error:
            raise InputError(f"{target}: text.vectors: {error}") from error
        with suppress(TorchcrossError, OSError):
            widths = widths or {row: _width_of(row, experiment) for row in rows}
        for row, width in widths.items():
            if width != texts.width:
                raise InputError(
                    f"{row}: the backbone has {width} features, and the vectors of"
                    f" text.vectors={experiment.text.vectors!r} have {texts.width} numbers; take"
                    " both from one model"
                )


def _check_episodes(experiment: Experiment, collection: Collection, targets: Iterable[str]) -> None:
    """Refuse a run in which no target gives an episode.

    Where some targets do, the cells of the others fail, each with its reason.
    """
    if any(METHODS[row].supervised for row in rows_of_experiment(experiment)):
        return
    reasons = []
    for target in targets:
        source = _source_of(collection, target)
        if source is None:
            return
        try:
            target_episodes(source, experiment, 1)
        except InfeasibleError as error:
            reasons.append(str(error))
        except (TorchcrossError, OSError):
            return
        else:
            return
    if reasons:
        raise InfeasibleError("\n".join(["no target gives an episode", *reasons]))


def _source_of(collection: Collection, target: str) -> TaskSource | None:
    with suppress(TorchcrossError, OSError):
        return collection.target(target)
    return None


def _scored_task(source: TaskSource, experiment: Experiment) -> Task | None:
    """The task with the classes that episodes have; None where there are no episodes."""
    with suppress(TorchcrossError, OSError):
        dropped = target_episodes(source, experiment, 1).sampler.dropped_classes[source.name]
        return source.task.restrict(
            name for name in source.task.target.classes if name not in dropped
        )
    return None


def _width_of(row: str, experiment: Experiment) -> int:
    own = experiment_of_row(experiment, row)
    return int(starting_network(METHODS[row], own, own.seeds[0]).num_features)
