"""Which settings a row reads."""

from __future__ import annotations

from collections.abc import Callable

from torchcross.experiment.rows.method import Method
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.settings.schema import Experiment

_TAKES_PART: dict[str, Callable[[Method], bool]] = {
    "model": lambda row: row.make_network is None,
    "data.source_tasks": lambda row: row.learns_from_sources,
    "data.leave_out": lambda row: row.learns_from_sources,
    "text": lambda row: row.reads_texts,
    "pretraining": lambda row: row.pretrains or row.supervised,
    "meta": lambda row: row.make_learner is not None,
    "evaluation.adaptation": lambda row: row.has_own_way,
    "fine_tuning": lambda row: row.make_adapter is None and not row.supervised,
}
"""Settings, or sections of them, that are about some rows only."""

_READS: dict[str, Callable[[Method, Experiment], bool]] = {
    "model.weights": lambda row, experiment: not row.random,
    "machine.precision": lambda row, experiment: row.trains,
    "machine.ranks": lambda row, experiment: row.ranks(experiment, experiment.machine.ranks) > 1,
    "machine.workers": lambda row, experiment: row.trains,
    "pretraining.scale_from_epoch": lambda row, experiment: experiment.pretraining.scale_losses,
    "meta.epoch_episodes": lambda row, experiment: experiment.meta.reads_epochs,
    "meta.running_statistics": lambda row, experiment: (
        row.is_fine_tuned(experiment) or experiment.evaluation.norm in ("running", "frozen")
    ),
    "evaluation.steps": Method.is_fine_tuned,
    "evaluation.lr": Method.is_fine_tuned,
    "fine_tuning": Method.is_fine_tuned,
    "evaluation.C": lambda row, experiment: row.penalised,
    "evaluation.temperature": lambda row, experiment: row.tempered,
    # Sets are stored with the predictions, and with nothing else.
    "evaluation.sets": lambda row, experiment: (
        row.tempered and experiment.evaluation.predictions > 0
    ),
    "evaluation.coverage": lambda row, experiment: (
        row.tempered
        and experiment.evaluation.predictions > 0
        and experiment.evaluation.sets != "none"
    ),
    # A row that moves the network leaves all of them their own forwards.
    "evaluation.features": lambda row, experiment: (
        row.on_features and all(METHODS[name].spares_network for name in experiment.algorithms)
    ),
    "evaluation.norm": lambda row, experiment: row.make_adapter is None,
    "evaluation.inner_steps": Method.adapts_in_own_way,
    # Over several training seeds there is one interval, and it has a way of its own.
    "evaluation.interval": lambda row, experiment: len(experiment.seeds) == 1,
}
"""Settings that not every row reads."""


def takes_part(row: Method, setting: str) -> bool:
    """Whether the row takes part in what a setting is about."""
    rule = _TAKES_PART.get(setting) or _TAKES_PART.get(setting.partition(".")[0])
    return rule is None or rule(row)


def reads_setting(row: Method, setting: str, experiment: Experiment) -> bool:
    """Whether another value of a setting can make other numbers in this row."""
    if setting in row.ignores or not takes_part(row, setting):
        return False
    rule = _READS.get(setting) or _READS.get(setting.partition(".")[0])
    return rule is None or rule(row, experiment)
