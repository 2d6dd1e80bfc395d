"""What can be said of an experiment before its data is looked at: what cannot run, and what has no
effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from typing import Any

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.experiment.rows.device import machine_of
from torchcross.experiment.rows.methods import METHODS, Method, backbone
from torchcross.experiment.settings.reading import as_plain, experiment
from torchcross.experiment.settings.schema import Experiment
from torchcross.targets import Target

__all__ = ["check", "check_metric", "without_effect"]


def check(told: Experiment) -> None:
    """Refuse what cannot run: unknown rows and metrics, a backbone or weights that do not fit, an
    absent device.
    """
    for name in told.algorithms:
        if name not in METHODS:
            raise InputError(unknown_name("algorithm of a table", name, METHODS))
        if METHODS[name].wants_weights and not told.model.weights:
            raise InputError(
                f"{name!r} starts from published weights; give model.weights, or leave {name!r} out"
            )
    known = {metric for kind in _kinds(Target) for metric in getattr(kind, "default_metrics", ())}
    _refuse_unknown(told.evaluation.metric, known)
    machine_of(told.machine)
    _check_network(told)


def _kinds(kind: Any) -> Iterator[Any]:
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def check_metric(name: str, targets: Mapping[str, Target]) -> None:
    """Refuse a metric that no row will have. `targets` are the targets' types by their names."""
    _refuse_unknown(
        name, {metric for target in targets.values() for metric in target.default_metrics}
    )


def _refuse_unknown(name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise InputError(
            f"evaluation.metric={name!r}: {unknown_name('metric of the rows', name, sorted(known))}"
        )


def _check_network(told: Experiment) -> None:
    """Build it, and load its weights; with them and without where rows differ in that."""
    channels = told.model.options.get("in_channels", told.data.channels)
    if channels != told.data.channels:
        raise InputError(
            f"model.options.in_channels={channels!r} and data.channels={told.data.channels}; leave"
            " in_channels out, the data decides it"
        )
    kinds = {METHODS[name].random: METHODS[name] for name in told.algorithms}
    for method in kinds.values():
        try:
            backbone(method, told, told.seeds[0])
        except (InputError, RuntimeError, ValueError) as error:
            raise InputError(f"{_network(told)}: {error}") from error


def _network(told: Experiment) -> str:
    options = f" with model.options={dict(told.model.options)}" if told.model.options else ""
    weights = f" and model.weights={told.model.weights!r}" if told.model.weights else ""
    return (
        f"model.backbone={told.model.backbone!r}{options}{weights},"
        f" data.channels={told.data.channels}"
    )


# -- settings without effect -----------------------------------------------------------------------

Deaf = Iterator[tuple[str, list[Method]]]
"""Settings, and the rows that do not read them."""

# Rows that adapt in closed form take no steps; Reptile's inner optimiser has a rate of its own.
_WITHOUT_STEPS = ("protonet", "ridge")
_WITHOUT_INNER_LR = (*_WITHOUT_STEPS, "reptile")


def without_effect(told: Experiment) -> list[str]:
    """In words: settings that some rows do not read, and those that no row reads although they were
    chosen: they differ from what the preset says.
    """
    chosen = set(_chosen(told))
    rows = [METHODS[name] for name in told.algorithms]
    found: dict[str, list[str]] = {}
    if any(row.supervised for row in rows):
        found["supervised, which is scored on the test split"] = ["evaluation, but for metric"]
    for setting, deaf in (*_in_training(told, rows), *_in_evaluation(told, rows)):
        everybody = len(deaf) == len(rows)
        if deaf and (setting in chosen or not everybody):
            names = "any row" if everybody else ", ".join(row.name for row in deaf)
            found.setdefault(names, []).append(setting)
    return [f"{', '.join(settings)}: no effect on {names}" for names, settings in found.items()]


def _chosen(told: Experiment) -> Iterator[str]:
    """The settings that the preset has otherwise."""
    usual = as_plain(experiment({"preset": told.preset, "data": {"folder": told.data.folder}}))
    for section, values in as_plain(told).items():
        if isinstance(values, dict):
            yield from (
                f"{section}.{name}"
                for name, value in values.items()
                if value != usual[section][name]
            )


def _in_training(told: Experiment, rows: list[Method]) -> Deaf:
    episodic = [row for row in rows if row.make is not None]
    without = {
        "inner_lr": _WITHOUT_INNER_LR,
        "inner_steps": _WITHOUT_STEPS,
        "validation_inner_steps": _WITHOUT_STEPS,
    }
    for field in fields(told.meta):
        deaf = [row for row in episodic if row.name in without.get(field.name, ())]
        yield f"meta.{field.name}", (rows if len(deaf) == len(episodic) else deaf)
    supervised = [row for row in rows if row.supervised]
    for field in fields(told.pretraining):
        unread = not any(row.pretrains or row.supervised for row in rows)
        yield (
            f"pretraining.{field.name}",
            (rows if unread else supervised if field.name == "scale_losses" else []),
        )
    for name in ("source_tasks", "leave_out"):
        yield f"data.{name}", [] if any(row.trains and not row.supervised for row in rows) else rows
    if told.model.weights:
        yield "model.weights", [row for row in rows if row.random]
    if told.machine.precision != "32":
        yield "machine.precision", [row for row in rows if not row.trains]
    if told.machine.workers:
        yield "machine.workers", [row for row in rows if not row.trains]


def _in_evaluation(told: Experiment, rows: list[Method]) -> Deaf:
    if any(row.supervised for row in rows):
        return
    if len(told.seeds) > 1:
        # Over several training seeds there is one interval, and it has a way of its own.
        yield "evaluation.interval", rows
    fixed = [row for row in rows if row.adapts is not None]
    own_way = [row for row in rows if row.make is not None and told.evaluation.adaptation == "own"]
    for name in ("steps", "lr"):
        yield f"evaluation.{name}", [row for row in rows if row in fixed or row in own_way]
    if told.evaluation.norm:
        yield "evaluation.norm", fixed
    if told.evaluation.inner_steps:
        yield (
            "evaluation.inner_steps",
            [row for row in rows if row not in own_way or row.name in _WITHOUT_STEPS],
        )
    if told.evaluation.adaptation == "own" and not own_way:
        yield "evaluation.adaptation", rows
