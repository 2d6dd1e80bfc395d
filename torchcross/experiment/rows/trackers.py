"""The trackers of a training, as the settings of an experiment ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from torchcross._kit.whole_files import name_as_text
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.schema import Experiment
from torchcross.interop import MlflowTracker, TensorBoardTracker, WandbTracker
from torchcross.training import Tracker

TRACKERS: Final = "trackers"
"""The folder of what trackers write, in that of a run or a search."""

_NOT_SHOWN: Final = ("trackers", "tune", "tuned", "rows")
"""Settings that are no settings of one training."""


def trackers_of(experiment: Experiment, training: str, folder: Path) -> list[Tracker]:
    """Those of one training, made in the process that trains.

    `folder` is that of the run, which any process of the run sees: a training may be done in
    another folder, and be gone on with in a third one.
    """
    settings, own = experiment.trackers, folder / TRACKERS
    group = name_as_text(folder.resolve())
    trackers: list[Tracker] = []
    if settings.tensorboard:
        trackers.append(TensorBoardTracker(own / "tensorboard" / training))
    if settings.mlflow is not None:
        trackers.append(
            MlflowTracker(
                settings.mlflow.experiment,
                training,
                settings.mlflow.uri or None,
                folder=own,
                tags={"torchcross.run": group},
                config=_config_of(experiment),
            )
        )
    if settings.wandb is not None:
        trackers.append(
            WandbTracker(
                settings.wandb.project,
                training,
                settings.wandb.client,
                group=group,
                folder=own,
                config=_config_of(experiment),
                options=settings.wandb.options,
            )
        )
    return trackers


def check_trackers(experiment: Experiment) -> None:
    """Refuse trackers whose libraries are not installed."""
    trackers_of(experiment, "training", Path())


def _config_of(experiment: Experiment) -> dict[str, Any]:
    plain = as_plain(experiment)
    return {name: value for name, value in plain.items() if name not in _NOT_SHOWN}
