"""A run goes on with the version of its preset that it began with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torchcross.experiment.run.folder import EXPERIMENT, begun_run
from torchcross.experiment.run.identity import identity
from torchcross.experiment.settings.presets import PRESETS, newest_version
from torchcross.experiment.settings.reading import under_preset_version
from torchcross.experiment.settings.schema import Experiment


def as_begun(experiment: Experiment, path: Path, say: Callable[[str], object]) -> Experiment:
    """The same settings, read with the preset that the run in this folder began with.

    Where there is no such run, or what was given makes another experiment with it, the experiment
    stays as it is.
    """
    if not (path / EXPERIMENT).is_file():
        return experiment
    begun = begun_run(path)
    is_known = begun.preset == experiment.preset and begun.version <= _newest(begun.preset)
    if not is_known or begun.digest == identity(experiment):
        return experiment
    earlier = under_preset_version(experiment, begun.version)
    if earlier is None or identity(earlier) != begun.digest:
        return experiment
    say(
        f"note: {path} began with version {begun.version} of the preset {begun.preset}, and goes on"
        f" with its values; the newest is version {_newest(begun.preset)}: for a run with that,"
        " give another folder"
    )
    return earlier


def folder_of_begun_run(experiment: Experiment, name: Callable[[str], Path]) -> Path:
    """The folder that `name` gives an experiment's digest.

    Where there is none yet, and a run with an earlier version of the preset has one, it is that.
    """
    newest = name(identity(experiment))
    if newest.exists():
        return newest
    for version in range(experiment.preset_version - 1, 0, -1):
        earlier = under_preset_version(experiment, version)
        if earlier is not None and (folder := name(identity(earlier))).exists():
            return folder
    return newest


def _newest(preset: str) -> int:
    return newest_version(preset) if preset in PRESETS else 0
