"""A run goes on with the version of its preset, and the defaults, that it began with."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from torchcross.experiment.run.experiment_record import EXPERIMENT, begun_run
from torchcross.experiment.run.identity import identity
from torchcross.experiment.settings.presets import PRESETS, newest_version
from torchcross.experiment.settings.reading import gives_setting, under_preset_version
from torchcross.experiment.settings.schema import Experiment


def as_begun(experiment: Experiment, path: Path, say: Callable[[str], object]) -> Experiment:
    """The same settings, read with the defaults that the run in this folder began with.

    Where there is no such run, or what was given makes another experiment with it, the experiment
    stays as it is.
    """
    if not (path / EXPERIMENT).is_file():
        return experiment
    begun = begun_run(path)
    is_known = begun.preset == experiment.preset and begun.version <= _newest(begun.preset)
    if not is_known or begun.digest == identity(experiment):
        return experiment
    for earlier in earlier_readings(experiment):
        if earlier.preset_version == begun.version and identity(earlier) == begun.digest:
            for note in notes_of_reading(experiment, earlier, path):
                say(note)
            return earlier
    return experiment


def folder_of_begun_run(experiment: Experiment, name: Callable[[str], Path]) -> Path:
    """The folder that `name` gives an experiment's digest.

    Where there is none yet, and a run with earlier defaults has one, it is that.
    """
    newest = name(identity(experiment))
    if newest.exists():
        return newest
    for earlier in earlier_readings(experiment):
        if (folder := name(identity(earlier))).exists():
            return folder
    return newest


def earlier_readings(experiment: Experiment) -> Iterator[Experiment]:
    """The experiment with each version of its preset, and without later settings.

    There were runs with as many threads as torch took, and without stored features.
    """
    for version in range(experiment.preset_version, 0, -1):
        is_own = version == experiment.preset_version
        reading = experiment if is_own else under_preset_version(experiment, version)
        if reading is None:
            continue
        readings = [reading]
        if not gives_setting(experiment, "evaluation.features"):
            evaluation = replace(reading.evaluation, features="none")
            readings.append(replace(reading, evaluation=evaluation))
        yield from readings
        if not gives_setting(experiment, "machine.threads"):
            for each in readings:
                yield replace(each, machine=replace(each.machine, threads=0))


def notes_of_reading(experiment: Experiment, earlier: Experiment, path: Path) -> Iterator[str]:
    """What a reader must know of a run or a search that goes on with earlier defaults."""
    if earlier.preset_version != experiment.preset_version:
        yield (
            f"note: {path} began with version {earlier.preset_version} of the preset"
            f" {earlier.preset}, and goes on with its values; the newest is version"
            f" {_newest(earlier.preset)}: for a run with that, give another folder"
        )
    if earlier.machine.threads != experiment.machine.threads:
        yield (
            f"note: {path} began before there was machine.threads, and goes on with as many"
            " threads as torch takes"
        )


def _newest(preset: str) -> int:
    return newest_version(preset) if preset in PRESETS else 0
