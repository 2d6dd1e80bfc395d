"""The settings of trackers. None of them decides a number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, Literal

from torchcross.training.options import option, refuse_first


@dataclass(frozen=True, kw_only=True)
class MlflowSettings:
    """An MLflow server, or a store on this machine; a table, even an empty one, turns it on.

    uri         "http://host:5000" or "sqlite:///runs.db"; "": what MLFLOW_TRACKING_URI says.
                Passwords belong into the environment: a run stores its settings
    experiment  the name of MLflow's experiment
    """

    uri: str = ""
    experiment: str = "torchcross"

    def __post_init__(self) -> None:
        refuse_first((not self.experiment, "trackers.mlflow.experiment is empty; give a name"))


@dataclass(frozen=True, kw_only=True)
class WandbSettings:
    """A project of Weights & Biases, or of trackio; a table turns it on.

    project  the project's name
    client   "wandb" or "trackio"
    options  more arguments of the client's `init`, such as `{ entity = "our-team" }`
    """

    project: str = option(MISSING)
    client: Literal["wandb", "trackio"] = "wandb"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refuse_first((not self.project, "trackers.wandb.project is empty; give a name"))


@dataclass(frozen=True, kw_only=True)
class TrackerSettings:
    """What else gets the numbers of trainings. Each tracker is an extra to install.

    tensorboard  event files of all trainings, in `trackers/tensorboard` of the run's folder
    mlflow       where there is a table: one run of MLflow for each training
    wandb        where there is a table: one run of the client for each training
    """

    tensorboard: bool = False
    mlflow: MlflowSettings | None = None
    wandb: WandbSettings | None = None
