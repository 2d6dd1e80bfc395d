"""What an experiment is told, as frozen sections with a default for everything that has a sensible
one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torchcross.backbones.record import IMAGENET_MEAN, IMAGENET_STD, KERAS_MEAN, KERAS_STD
from torchcross.errors import InputError
from torchcross.training import FitOptions

__all__ = [
    "INPUTS",
    "Data",
    "Evaluation",
    "Experiment",
    "Fitting",
    "Machine",
    "MetaTraining",
    "Model",
    "Pretraining",
]

INPUTS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "keras": (KERAS_MEAN, KERAS_STD),
    "none": ((), ()),
}
"""Mean and standard deviation per channel of images in [0, 1], by the name of whose they are."""


@dataclass(frozen=True, kw_only=True)
class Data:
    """Where the datasets are, and which are targets.

    folder        that holds the datasets
    format        who opens it: a name of the entry points `torchcross.collections`
    targets       dataset ids, or ids with a task ("oct/urgent referral"); empty: every dataset
    source_tasks  "primary": the first task of every source dataset, "all": every task
    leave_out     "dataset": a target takes its dataset and what that is listed to overlap with out
                  of the sources, as published; "domain": and every other dataset of its domain,
                  listed or not
    channels      1 or 3: what every image becomes
    """

    folder: str
    format: str = "medimeta"
    targets: tuple[str, ...] = ()
    source_tasks: Literal["primary", "all"] = "all"
    leave_out: Literal["dataset", "domain"] = "domain"
    channels: Literal[1, 3] = 3


@dataclass(frozen=True, kw_only=True)
class Model:
    """The network that everything starts from.

    backbone       a name of `torchcross.backbones`
    options        what the backbone's function takes, by name
    weights        a file of weights for it; "": random initial values
    normalisation  by whose mean and standard deviation images are normalised: "imagenet", "keras"
                   or "none". "": as the weights are known to want it; for random values as
                   ImageNet's, and grey images are left as they are
    """

    backbone: str = "resnet18"
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: str = ""
    normalisation: Literal["", "imagenet", "keras", "none"] = ""


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """What pre-training and meta-training have in common: see `torchcross.training.FitOptions`.

    steps             of the optimiser, at most
    lr                its learning rate
    optimiser         "adam", "adamw" or "sgd"
    weight_decay      of the optimiser; "adamw" takes it apart from the gradient
    momentum          of "sgd" alone
    schedule          "constant", or "cosine" from lr down to lr_end
    warmup            steps in which the learning rate rises to lr
    lr_end            the learning rate at which "cosine" ends
    clip              the largest norm of the gradient; 0: not clipped
    ema               decay of a moving average of the weights, which is then what is validated and
                      kept; 0: none
    validate_every    steps between two validations, by AUROC on the validation splits of the
                      sources
    patience          stops after so many validations that were no better
    checkpoint_every  steps between two checkpoints, and so the most that a killed run does again
    """

    steps: int = 20_000
    lr: float = 1e-3
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    lr_end: float = 0.0
    clip: float = 0.0
    ema: float = 0.0
    validate_every: int = 500
    patience: int
    checkpoint_every: int = 500

    def _fit_options(self, **more: Any) -> FitOptions:
        return FitOptions(
            steps=self.steps,
            lr=self.lr,
            optimiser=self.optimiser,
            weight_decay=self.weight_decay,
            momentum=self.momentum,
            schedule=self.schedule,
            warmup=self.warmup,
            lr_end=self.lr_end,
            clip=self.clip or None,
            ema=self.ema or None,
            checkpoint_every=self.checkpoint_every,
            **more,
        )

    def _stopping(self, judged: bool) -> dict[str, Any]:
        """Early stopping, where there is something to judge by."""
        if not judged:
            return {}
        return {"validate_every": min(self.validate_every, self.steps), "patience": self.patience}


@dataclass(frozen=True, kw_only=True)
class Pretraining(Fitting):
    """Multi-task pre-training (mm-PT): one head per source task, batches of one task at a time.
    Also `supervised`.

    batch_size         images of one batch
    accumulate         batches of one optimiser step, read one after the other; their gradients are
                       averaged
    augment            flips, rotation and crops, as published
    scale_losses       a task's loss counts (batches of the largest task) / (its own batches) times
    validation_images  of each source, at most, evenly spaced
    patience           stops after so many validations that were no better
    """

    batch_size: int = 64
    accumulate: int = 1
    augment: bool = True
    scale_losses: bool = True
    validation_images: int = 500
    patience: int = 10

    def __post_init__(self) -> None:
        _check_fitting("pretraining", self)

    def fit_options(
        self, *, seed: int, judged: bool, workers: int = 0, epoch_steps: int | None = None
    ) -> FitOptions:
        """For `fit`. `judged`: there is something to validate on; `epoch_steps`: batches of one
        pass over the data.
        """
        more: dict[str, Any] = (
            {} if epoch_steps is None else {"epoch_steps": max(epoch_steps // self.accumulate, 1)}
        )
        return self._fit_options(
            meta_batch=self.accumulate,
            at_once=1 if self.accumulate > 1 else None,
            seed=seed,
            workers=workers,
            **more,
            **self._stopping(judged),
        )


@dataclass(frozen=True, kw_only=True)
class MetaTraining(Fitting):
    """Training over episodes of the sources (mm-MAML, ProtoNet and the others).

    meta_batch              episodes of one optimiser step
    at_once                 how many of them are computed together; fewer take less memory. 0: all
    inner_lr                learning rate of the steps on a support set
    inner_steps             steps on a support set
    validation_inner_steps  steps on a support set of a validation episode
    ways                    classes of an episode: the fewest and the most, 0: all there are
    shots                   support images per class: the fewest and the most, drawn anew for every
                            episode
    queries                 query images per class
    min_images              classes with fewer are left out (labels: fewer with, or fewer without)
    validation_episodes     of one validation, over all sources together
    patience                stops after so many validations that were no better
    """

    meta_batch: int = 1
    at_once: int = 0
    inner_lr: float = 0.1
    inner_steps: int = 4
    validation_inner_steps: int = 32
    ways: tuple[int, ...] = (2, 0)
    shots: tuple[int, ...] = (1, 10)
    queries: int = 10
    min_images: int = 40
    validation_episodes: int = 50
    patience: int = 5

    def __post_init__(self) -> None:
        for name in ("ways", "shots"):
            if len(getattr(self, name)) != 2:
                raise InputError(
                    f"meta.{name}={list(getattr(self, name))}; give two numbers, the fewest and the"
                    " most"
                )
        if self.ways[0] < 1 or 0 < self.ways[1] < self.ways[0]:
            raise InputError(
                f"meta.ways={list(self.ways)}; give the fewest classes and the most, or 0 for all"
                " there are"
            )
        if not 1 <= self.shots[0] <= self.shots[1]:
            raise InputError(
                f"meta.shots={list(self.shots)}; give the fewest, at least 1, and the most"
            )
        _check_fitting("meta", self)

    def fit_options(self, *, seed: int, judged: bool, workers: int = 0) -> FitOptions:
        """For `fit`. `judged`: there is something to validate on."""
        return self._fit_options(
            meta_batch=self.meta_batch,
            at_once=self.at_once or None,
            seed=seed,
            workers=workers,
            **self._stopping(judged),
        )

    @property
    def way_range(self) -> tuple[int, int | None]:
        return self.ways[0], self.ways[1] or None


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Episodes of the target, and what is done with their support sets.

    episodes     per target and number of shots, the same ones for every algorithm
    queries      query images per class
    min_images   classes with fewer are left out (labels: fewer with, or fewer without)
    disjoint     episodes that share no image, as many as the data has and at most `episodes`;
                 otherwise they overlap, and intervals understate the uncertainty about the task
    groups       "respect": no subject stands in both support and query, where subjects are known;
                 "ignore": as it comes, as published
    adaptation   "fine-tune": a fresh head and Adam on everything, as the published table does for
                 every row; "own": as the algorithm itself adapts, where it has a way of its own
    steps        of Adam in fine-tuning
    lr           learning rate of fine-tuning
    inner_steps  steps of an algorithm's own adaptation; 0: as many as in validation
    norm         BatchNorm policy: "running", "batch", "frozen" or "support". "": fine-tuning
                 `running`, own adaptation as it was trained
    metric       the one that leads the table; rows hold all of them, and
                 `torchcross report --metric` chooses another
    interval     kind of interval of a mean over episodes, with one training seed: "t", "normal"
                 (1.96 standard errors, as published) or "bca" (bootstrap)
    seed         of the episodes: another one draws others
    """

    episodes: int = 100
    queries: int = 10
    min_images: int = 50
    disjoint: bool = False
    groups: Literal["respect", "ignore"] = "respect"
    adaptation: Literal["fine-tune", "own"] = "fine-tune"
    steps: int = 50
    lr: float = 1e-3
    inner_steps: int = 0
    norm: Literal["", "running", "batch", "frozen", "support"] = ""
    metric: str = "auroc"
    interval: Literal["t", "normal", "bca"] = "t"
    seed: int = 0

    @property
    def fine_tuning_norm(self) -> str:
        return self.norm or "running"


@dataclass(frozen=True, kw_only=True)
class Machine:
    """Where it runs.

    device     where networks train and adapt: "cpu", "cuda", "cuda:1" and so on; "auto": a GPU
               where there is one
    precision  of training: "32", or "bf16-mixed"; evaluation is always in 32
    workers    processes that read ahead while a network trains
    """

    device: str = "auto"
    precision: Literal["32", "bf16-mixed"] = "32"
    workers: int = 0


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A whole run, as `experiment()` and `read_experiment()` make it: the class alone applies no
    preset's values.

    preset      the protocol whose values stand where nothing else is said
    algorithms  rows of the table
    shots       support images per class
    seeds       seeds of training: a column in the rows, and intervals resample them
    """

    preset: str = "medimeta-table4"
    algorithms: tuple[str, ...] = ("scratch", "mm-pt", "mm-maml", "protonet")
    shots: tuple[int, ...] = (5,)
    seeds: tuple[int, ...] = (0,)
    data: Data
    model: Model = field(default_factory=Model)
    pretraining: Pretraining = field(default_factory=Pretraining)
    meta: MetaTraining = field(default_factory=MetaTraining)
    evaluation: Evaluation = field(default_factory=Evaluation)
    machine: Machine = field(default_factory=Machine)

    @property
    def own_steps(self) -> int:
        """Inner steps of an algorithm that adapts to a target in its own way."""
        return self.evaluation.inner_steps or self.meta.validation_inner_steps

    def __post_init__(self) -> None:
        if not self.data.folder:
            raise InputError("data.folder is empty; give the folder that holds the datasets")
        if (
            self.data.channels == 1
            and INPUTS[self.model.normalisation or "none"][0]
            and not self.model.weights
        ):
            raise InputError(
                f"model.normalisation={self.model.normalisation!r} is for three channels and"
                " data.channels is 1; give data.channels=3, or leave normalisation out"
            )
        for name in ("algorithms", "shots", "seeds"):
            given = getattr(self, name)
            if not given:
                raise InputError(f"{name} is empty; give at least one")
            if len(set(given)) < len(given):
                raise InputError(f"{name}={list(given)} names one twice")
        if min(self.shots) < 0 or min(self.seeds) < 0:
            raise InputError(
                f"shots={list(self.shots)} and seeds={list(self.seeds)}: give numbers from 0"
            )
        if ("supervised" in self.algorithms) != (0 in self.shots) or (
            0 in self.shots and len(self.shots) > 1
        ):
            raise InputError(
                f"algorithms={list(self.algorithms)} with shots={list(self.shots)}: 'supervised'"
                " goes with shots=[0] alone, as in the preset 'fully-supervised', and the others"
                " with 1 or more"
            )
        if "supervised" in self.algorithms and len(self.algorithms) > 1:
            raise InputError(
                "'supervised' is scored on a test split, the others on episodes; give it a run of"
                " its own"
            )
        if self.preset == "fully-supervised" and "supervised" not in self.algorithms:
            raise InputError(
                "the preset 'fully-supervised' is algorithms=['supervised'] with shots=[0], and"
                f" algorithms={list(self.algorithms)} was given; leave algorithms and shots out, or"
                " give --algorithms supervised --shots 0"
            )


def _check_fitting(section: str, how: Pretraining | MetaTraining) -> None:
    """What does not fit together is said when it is told, not when a training begins."""
    try:
        how.fit_options(seed=0, judged=True)
    except InputError as error:
        raise InputError(f"{section}: {error}") from error
