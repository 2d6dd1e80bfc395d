"""Checks before the data is looked at: what cannot run, and which settings have no effect."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from torchcross._kit.extras import check_extra
from torchcross._kit.plugin_files import load_plugins
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import FetchError, InputError, TorchcrossError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.device import machine_of
from torchcross.experiment.rows.addressed_backbones import pretrained_backbone
from torchcross.experiment.rows.methods import METHODS, rows_of_experiment
from torchcross.experiment.rows.prediction_sets import check_coverage
from torchcross.experiment.rows.row_reads import reads_setting, takes_part
from torchcross.experiment.rows.row_shots import shots_of_row
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.texts import check_texts
from torchcross.experiment.rows.trackers import check_trackers
from torchcross.experiment.settings.fine_tuning_settings import FineTuningSettings
from torchcross.experiment.settings.listing import settings
from torchcross.experiment.settings.plain import as_plain, setting_fields
from torchcross.experiment.settings.reading import experiment_from_values
from torchcross.experiment.settings.row_names import algorithm_of
from torchcross.experiment.settings.row_settings import (
    experiment_of_row,
    experiments_by_backbone,
)
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.subgroups import SubgroupColumn
from torchcross.experiment.settings.tracker_settings import TrackerSettings
from torchcross.statistics.image_shares import check_specificity
from torchcross.targets import Target

_AUGMENTS = ("pretraining.augment", "meta.augment", "fine_tuning.augment")


def check_experiment(experiment: Experiment, *, computes: bool = True) -> None:
    """Refuse unknown rows and metrics, a backbone or weights that do not fit, an absent device.

    The device is looked at where this process computes.
    """
    load_plugins(experiment.plugins)
    for name in experiment.algorithms:
        if name not in METHODS:
            raise InputError(METHODS.unknown_text(name, kind="algorithm of a table"))
    for row in rows_of_experiment(experiment):
        has_weights = experiment_of_row(experiment, row).model.has_weights
        if METHODS[row].needs_weights and not has_weights:
            raise InputError(
                f"{row!r} starts from published weights; give model.weights or an address as"
                f" model.backbone (timm:NAME), or leave {algorithm_of(row)!r} out"
            )
    _check_shots(experiment)
    check_texts(experiment)
    rows = rows_of_experiment(experiment)
    for name in experiment.rows:
        if name not in (*METHODS, *rows):
            known_rows = [*METHODS, *(row for row in rows if row not in METHODS)]
            raise InputError(METHODS.unknown_text(name, known_rows, "row for [rows]"))
    known = {metric for kind in _kinds(Target) for metric in getattr(kind, "default_metrics", ())}
    _refuse_unknown_metric(experiment.evaluation.metric, known)
    check_specificity(experiment.evaluation.specificity)
    check_coverage(experiment.evaluation.coverage)
    for text in experiment.evaluation.subgroups:
        SubgroupColumn.parse(text)
    check_trackers(experiment)
    if computes:
        machine_of(experiment.machine)
        _check_augmentation(experiment)
    for own in experiments_by_backbone(experiment).values():
        _check_network(own)


def _check_shots(experiment: Experiment) -> None:
    """Refuse a row without a single cell, and 0 shots where no row can do without a support."""
    rows, shots = experiment.algorithms, list(experiment.shots)
    without = [name for name in rows if not shots_of_row(name, shots)]
    zero_shot = [name for name, method in METHODS.items() if method.zero_shot]
    if 0 in shots and not set(rows) & set(zero_shot):
        raise InputError(
            f"shots={shots} has 0, for rows that need no support set, and none of"
            f" {', '.join(rows)} is one; leave 0 out, or add one of {', '.join(zero_shot)}"
        )
    if without:
        raise InputError(
            f"{', '.join(without)}: no cell at shots={shots}; give 1 shot or more too, or leave"
            f" {'it' if len(without) == 1 else 'them'} out"
        )


def _check_augmentation(experiment: Experiment) -> None:
    """Refuse rows that warp images where the library for it is not installed."""
    for row in rows_of_experiment(experiment):
        own = experiment_of_row(experiment, row)
        for name in _AUGMENTS:
            section, _, field = name.partition(".")
            if getattr(getattr(own, section), field) and reads_setting(METHODS[row], name, own):
                user = f"{name}=true, which the row {row!r} reads,"
                check_extra("kornia", "augment", user, instead=f"set {name}=false")


def _kinds(kind: Any) -> Iterator[Any]:
    """A class and all that derive from it."""
    yield kind
    for each in kind.__subclasses__():
        yield from _kinds(each)


def check_metric(name: str, targets: Mapping[str, Target]) -> None:
    """Refuse a metric that no row will have. `targets` are the targets' types by their names."""
    metrics = {metric for target in targets.values() for metric in target.default_metrics}
    _refuse_unknown_metric(name, metrics)


def check_image_sides(
    experiment: Experiment, collection: Collection, targets: Iterable[str]
) -> None:
    """Refuse targets whose images are of another size than the backbone of an address takes.

    One image of each target is read; what cannot be read is an error of the cells that need it.
    """
    if all(METHODS[name].make_network for name in experiment.algorithms):
        return
    for own in experiments_by_backbone(experiment).values():
        known = pretrained_backbone(own)
        if known is not None and known.image_size is not None:
            _check_side(own.model.backbone.name, known.image_size, collection, targets)


def _check_side(backbone: str, side: int, collection: Collection, targets: Iterable[str]) -> None:
    sizes = {}
    for target in targets:
        with suppress(TorchcrossError, OSError):
            sizes[target] = tuple(collection.target(target).read([0]).shape[-2:])
    for target, (height, width) in sizes.items():
        if (height, width) != (side, side):
            raise InputError(
                f"{backbone!r} takes images of {side} x {side} pixels, and"
                f" those of {target} have {height} x {width};"
                f" {_advice_for_sides(height, width, side)}"
            )


def _advice_for_sides(height: int, width: int, side: int) -> str:
    advice = f"prepare the data with images of {side} x {side} pixels"
    if height != width:
        return advice
    return f"give model.backbone.image_size={height} to interpolate positions, or {advice}"


def _refuse_unknown_metric(name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise InputError(
            f"evaluation.metric={name!r}: {unknown_name('metric of the rows', name, sorted(known))}"
        )


def _check_network(experiment: Experiment) -> None:
    """Build it, and load its weights; with and without them where rows differ in that."""
    model, data = experiment.model, experiment.data
    channels = model.backbone.options.get("in_channels", data.channels)
    if channels != data.channels:
        raise InputError(
            f"model.backbone.in_channels={channels!r} and data.channels={data.channels}; leave"
            " in_channels out, the data decides it"
        )
    rows = [METHODS[name] for name in experiment.algorithms]
    kinds = {row.random: row for row in rows if row.make_network is None}
    for method in kinds.values():
        try:
            starting_network(method, experiment, experiment.seeds[0])
        except FetchError:
            # It says what to do about a hub that is not reached.
            raise
        except (InputError, RuntimeError, ValueError) as error:
            backbone = model.backbone.as_table() if model.backbone.options else model.backbone.name
            weights = f" with model.weights={model.weights!r}" if model.weights else ""
            raise InputError(
                f"model.backbone={backbone!r}{weights}, data.channels={data.channels}: {error}"
            ) from error


# -- settings without effect -----------------------------------------------------------------------

_BUT_FOR = "evaluation, but for metric, predictions, subgroups and specificity"
_UNSET = {
    "model.weights": "",
    "pretraining.scale_from_epoch": 1,
    "meta.epoch_episodes": 1000,
    "meta.running_statistics": "renewed",
    "evaluation.norm": "",
    "evaluation.inner_steps": 0,
    "machine.precision": "32",
    "machine.ranks": 1,
    "machine.workers": 0,
    **{
        f"fine_tuning.{each.name}": as_plain(each.default)
        for each in setting_fields(FineTuningSettings)
    },
}
"""Values that ask for nothing: no row needs to read them."""


def settings_without_effect(experiment: Experiment) -> list[str]:
    """In words: settings that some rows do not read, and changed ones that no row reads."""
    rows = [METHODS[name] for name in experiment.algorithms]
    by_rows: dict[str, list[str]] = {}
    supervised = any(row.supervised for row in rows)
    with_episodes = [row for row in rows if not row.supervised]
    if supervised:
        by_rows["supervised, which is scored on the test split"] = [_BUT_FOR]
    usual = as_plain(
        experiment_from_values(
            {
                "preset": experiment.preset,
                "preset_version": experiment.preset_version,
                "data": {"folder": experiment.data.folder},
            }
        )
    )
    plain = as_plain(experiment)
    for setting in settings():
        section, _, name = setting.name.rpartition(".")
        # Trackers are read by whatever trains.
        if not section or section.startswith("trackers"):
            continue
        concerned = with_episodes if section in ("evaluation", "fine_tuning") else rows
        if not concerned:
            continue
        value = plain[section][name]
        if value == _UNSET.get(setting.name):
            continue
        unaffected = [row for row in concerned if not reads_setting(row, setting.name, experiment)]
        if len(unaffected) == len(concerned):
            if value != usual[section][name]:
                by_rows.setdefault("any row", []).append(setting.name)
        elif named := [row.name for row in unaffected if takes_part(row, setting.name)]:
            by_rows.setdefault(", ".join(named), []).append(setting.name)
    for place, row in _row_settings_without_effect(experiment):
        by_rows.setdefault(row, []).append(place)
    texts = [f"{', '.join(names)}: no effect on {whom}" for whom, names in by_rows.items()]
    return [*texts, *_sections_without_effect(experiment, trains=any(row.trains for row in rows))]


def _sections_without_effect(experiment: Experiment, *, trains: bool) -> Iterator[str]:
    if experiment.trackers != TrackerSettings() and not trains:
        yield "trackers: no effect, for no row is trained"
    if (experiment.tune.space or experiment.tune.rows) and not experiment.tuned:
        yield (
            "tune: no effect on a run; `torchcross tune` searches, and --tuned FOLDER gives a run"
            " what it chose"
        )


def _row_settings_without_effect(experiment: Experiment) -> Iterator[tuple[str, str]]:
    """(the setting, on whom it has no effect), for settings that single rows have of their own."""
    for row, values in experiment.rows.items():
        if row not in (*experiment.algorithms, *rows_of_experiment(experiment)):
            yield f"rows.{row}", "any row"
            continue
        own = experiment_of_row(experiment, row)
        for name in values:
            if not reads_setting(METHODS[row], name, own):
                yield f"rows.{row}.{name}", row
