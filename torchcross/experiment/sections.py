"""What an experiment is told, as frozen sections with a default for everything that has a sensible one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torchcross.backbones.record import IMAGENET_MEAN, IMAGENET_STD, KERAS_MEAN, KERAS_STD
from torchcross.errors import InputError

__all__ = ["INPUTS", "Data", "Evaluation", "Experiment", "MetaTraining", "Model", "Pretraining"]

INPUTS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "keras": (KERAS_MEAN, KERAS_STD),
    "none": ((), ()),
}
"""Mean and standard deviation per channel of images in [0, 1], by the name of whose they are."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where the datasets are, and which are targets.

    folder        of the datasets
    format        who opens it: a name of the entry points `torchcross.collections`
    targets       dataset ids, or ids with a task ("oct/urgent referral"); empty: every dataset
    source_tasks  "primary": the first task of every source dataset, "all": every task
    channels      1 or 3: what every image becomes
    """

    folder: str
    format: str = "medimeta"
    targets: tuple[str, ...] = ()
    source_tasks: Literal["primary", "all"] = "all"
    channels: Literal[1, 3] = 3


@dataclass(frozen=True, kw_only=True)
class Model:
    """The network that everything starts from.

    backbone       a name of `torchcross.backbones`, with its options
    weights        a file of weights for it; "": random initial values
    normalisation  by whose mean and standard deviation images are normalised: "imagenet", "keras" or "none". "": as the
                   weights are known to want it; for random values as ImageNet's, and grey images are left as they are
    """

    backbone: str = "resnet18"
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    normalisation: Literal["", "imagenet", "keras", "none"] = ""


@dataclass(frozen=True, kw_only=True)
class Pretraining:
    """Multi-task pre-training (mm-PT): one head per source task, batches of one task at a time."""

    steps: int = 20_000
    batch_size: int = 64
    lr: float = 1e-3
    augment: bool = True
    scale_losses: bool = True
    validate_every: int = 500
    validation_images: int = 500
    patience: int = 10


@dataclass(frozen=True, kw_only=True)
class MetaTraining:
    """Training over episodes of the sources (mm-MAML, ProtoNet and the others)."""

    steps: int = 20_000
    meta_batch: int = 1
    lr: float = 1e-3
    inner_lr: float = 0.1
    inner_steps: int = 4
    validation_inner_steps: int = 32
    ways: tuple[int, ...] = (2, 0)
    shots: tuple[int, ...] = (1, 10)
    queries: int = 10
    min_images: int = 40
    validate_every: int = 500
    validation_episodes: int = 50
    patience: int = 5

    def __post_init__(self) -> None:
        for name in ("ways", "shots"):
            if len(getattr(self, name)) != 2:
                raise InputError(f"meta.{name}={list(getattr(self, name))}; give two numbers, the fewest and the most")
        if self.ways[0] < 1 or 0 < self.ways[1] < self.ways[0]:
            raise InputError(
                f"meta.ways={list(self.ways)}; give the fewest classes and the most, or 0 for all there are"
            )
        if not 1 <= self.shots[0] <= self.shots[1]:
            raise InputError(f"meta.shots={list(self.shots)}; give the fewest, at least 1, and the most")

    @property
    def way_range(self) -> tuple[int, int | None]:
        return self.ways[0], self.ways[1] or None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Episodes of the target, and what is done with their support sets.

    episodes    per target and number of shots, the same ones for every algorithm
    min_images  classes with fewer are left out (labels: fewer with, or fewer without)
    disjoint    episodes that share no image, where the data has enough; otherwise they overlap, and intervals
                understate the uncertainty about the task
    adaptation  "fine-tune": a fresh head and Adam on everything, as the published table does for every row;
                "own": as the algorithm itself adapts, where it has a way of its own
    norm        BatchNorm policy of fine-tuning
    """

    episodes: int = 100
    queries: int = 10
    min_images: int = 50
    disjoint: bool = False
    adaptation: Literal["fine-tune", "own"] = "fine-tune"
    steps: int = 50
    lr: float = 1e-3
    norm: Literal["running", "batch", "frozen", "support"] = "running"
    metric: str = "auroc"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """Everything that decides the rows of a run. `seeds`: of training, a column in the rows."""

    preset: str = "medimeta-table4"
    algorithms: tuple[str, ...] = ("scratch", "mm-pt", "mm-maml", "protonet")
    shots: tuple[int, ...] = (5,)
    seeds: tuple[int, ...] = (0,)
    data: Data
    model: Model = field(default_factory=Model)
    pretraining: Pretraining = field(default_factory=Pretraining)
    meta: MetaTraining = field(default_factory=MetaTraining)
    evaluation: Evaluation = field(default_factory=Evaluation)

    def __post_init__(self) -> None:
        if self.data.channels == 1 and INPUTS[self.model.normalisation or "none"][0] and not self.model.weights:
            raise InputError(
                f"model.normalisation={self.model.normalisation!r} is for three channels and data.channels is 1; give "
                "data.channels=3, or leave normalisation out"
            )
        for name in ("algorithms", "shots", "seeds"):
            given = getattr(self, name)
            if not given:
                raise InputError(f"{name} is empty; give at least one")
            if len(set(given)) < len(given):
                raise InputError(f"{name}={list(given)} names one twice")
        if min(self.shots) < 0 or min(self.seeds) < 0:
            raise InputError(f"shots={list(self.shots)} and seeds={list(self.seeds)}: give numbers from 0")
        if ("supervised" in self.algorithms) != (0 in self.shots) or (0 in self.shots and len(self.shots) > 1):
            raise InputError(
                f"algorithms={list(self.algorithms)} with shots={list(self.shots)}: 'supervised' goes with shots=[0] "
                "alone, as in the preset 'fully-supervised', and the others with 1 or more"
            )
        if "supervised" in self.algorithms and len(self.algorithms) > 1:
            raise InputError("'supervised' is scored on a test split, the others on episodes; give it a run of its own")
