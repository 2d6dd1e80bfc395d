"""The sections of an experiment that are about training: on batches, and on episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

from torchcross.errors import InputError
from torchcross.training import FitOptions
from torchcross.training.options import TrainingOptions, option, refuse_first

_ANY_EPOCH = 10**6
"""Stands for the steps of an epoch where options are checked before the data is known."""


def budget_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Steps and epochs as these values say; empty where they say nothing.

    Who says one of them means that the other does not count. Where both are above 0, the section
    says that one is too many.
    """
    said = {name: values[name] for name in ("steps", "epochs") if name in values}
    return {"steps": 0, "epochs": 0, **said} if any(said.values()) else {}


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(TrainingOptions):
    """Options that pre-training and meta-training share; TOML has no None, 0 stands for it.

    steps           optimiser steps in all; 0: `epochs` says how long
    epochs          the budget in epochs, in place of `steps`; 0: `steps` says how long
    clip            the largest norm of the gradient; 0: the gradient is not clipped
    ema             decay of a moving average of the weights; the average is then validated and
                    kept. 0: no average
    validate_every  steps between two validations, by AUROC on the validation splits of the sources;
                    0: once an epoch
    """

    section: ClassVar[str]

    steps: int = option(20_000, may_be_zero=True)
    epochs: int = option(0, may_be_zero=True, earlier=0)
    clip: float = option(0.0, may_be_zero=True)
    ema: float = option(0.0, may_be_zero=True)
    validate_every: int = option(500, may_be_zero=True)

    def _shared_options(self, judged: bool, epoch_steps: int) -> dict[str, Any]:
        """For `FitOptions`. `judged`: there is something to validate on, so training may stop."""
        options = {each.name: getattr(self, each.name) for each in fields(TrainingOptions)}
        steps = self.steps or self.epochs * epoch_steps
        options |= {"steps": steps, "clip": self.clip or None, "ema": self.ema or None}
        if judged:
            options["validate_every"] = min(self.validate_every or epoch_steps, steps)
        else:
            options |= {"validate_every": None, "patience": None}
        return options


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings(TrainingSettings):
    """Multi-task pre-training (mm-PT), one head per source task; also read by `supervised`.

    batch_size         images of one batch
    accumulate         batches of one optimiser step, read one after the other; their gradients are
                       averaged
    augment            flips, rotations and crops, as published
    heads              how the heads of the tasks start: "kaiming", or "zero"
    scale_losses       the loss of a task is multiplied by (batches of the largest task) / (batches
                       of this task)
    scale_from_epoch   the first epoch with scaled losses; 2: the first epoch is without, as
                       published
    last_batch         a last batch of a pass that is not full: "drop", or "keep" (a single image is
                       dropped)
    validation_images  the most images of a source that one validation reads, evenly spaced; 0: all
    """

    section: ClassVar[str] = "pretraining"

    patience: int = 10
    batch_size: int = 64
    accumulate: int = 1
    augment: bool = True
    heads: Literal["kaiming", "zero"] = option("kaiming", earlier="kaiming")
    scale_losses: bool = True
    scale_from_epoch: int = option(1, earlier=1)
    last_batch: Literal["drop", "keep"] = option("drop", earlier="drop")
    validation_images: int = option(500, may_be_zero=True)

    def __post_init__(self) -> None:
        _check_options(self)

    def fit_options(
        self, *, seed: int, judged: bool, workers: int = 0, epoch_steps: int = _ANY_EPOCH
    ) -> FitOptions:
        """For `fit`. `judged`: there is something to validate on.

        `epoch_steps` is the number of batches of one pass over the data.
        """
        epoch_steps = max(epoch_steps // self.accumulate, 1)
        return FitOptions(
            **self._shared_options(judged, epoch_steps),
            epoch_steps=epoch_steps,
            meta_batch=self.accumulate,
            at_once=1 if self.accumulate > 1 else None,
            seed=seed,
            workers=workers,
        )


@dataclass(frozen=True, kw_only=True)
class MetaTrainingSettings(TrainingSettings):
    """Training over episodes of the sources (mm-MAML, ProtoNet and the others).

    meta_batch              episodes of one optimiser step
    at_once                 how many of them are computed together; fewer need less memory. 0: all
    inner_lr                learning rate of the steps on a support set
    inner_steps             steps on a support set
    validation_inner_steps  steps on a support set in validation
    ways                    classes of an episode: the fewest and the most; 0 as the most: all
    shots                   support images per class: the fewest and the most; each episode draws
                            a number between them
    queries                 query images per class
    min_images              classes with fewer images are left out (labels: fewer with, or fewer
                            without)
    filter_binary           whether `min_images` holds for binary tasks too; false: they keep both
                            classes, as published
    augment                 flips, rotations and crops of the images of support and query
    epoch_episodes          episodes of each source task in an epoch
    episodes                "new": no episode comes twice; "repeated": every epoch has the episodes
                            of the first, in another order, as published
    validation_episodes     episodes of one validation; `validation_episodes_of` says of what
    validation_episodes_of  "all" sources together, or "each" source task
    running_statistics      of BatchNorm, after training: "renewed" on episodes of the sources, or
                            "kept" as they were before it, as published
    """

    section: ClassVar[str] = "meta"

    patience: int = 5
    meta_batch: int = 1
    at_once: int = option(0, may_be_zero=True)
    inner_lr: float = 0.1
    inner_steps: int = 4
    validation_inner_steps: int = 32
    ways: tuple[int, ...] = option((2, 0), may_be_zero=True)
    shots: tuple[int, ...] = option((1, 10), may_be_zero=True)
    queries: int = 10
    min_images: int = option(40, may_be_zero=True)
    filter_binary: bool = option(True, earlier=True)
    augment: bool = option(False, earlier=False)
    epoch_episodes: int = option(1000, earlier=1000)
    episodes: Literal["new", "repeated"] = option("new", earlier="new")
    validation_episodes: int = 50
    validation_episodes_of: Literal["all", "each"] = option("all", earlier="all")
    running_statistics: Literal["renewed", "kept"] = option("renewed", earlier="renewed")

    def __post_init__(self) -> None:
        ways, shots = list(self.ways), list(self.shots)
        two = "give two numbers, the fewest and the most"
        refuse_first(
            (len(ways) != 2, f"meta.ways={ways}; {two}"),
            (len(shots) != 2, f"meta.shots={shots}; {two}"),
        )
        refuse_first(
            (
                ways[0] < 1 or 0 < ways[1] < ways[0],
                f"meta.ways={ways}; give the fewest classes and the most, or 0 for all there are",
            ),
            (
                not 1 <= shots[0] <= shots[1],
                f"meta.shots={shots}; give the fewest, at least 1, and the most",
            ),
        )
        _check_options(self)

    def fit_options(
        self, *, seed: int, judged: bool, workers: int = 0, sources: int = _ANY_EPOCH
    ) -> FitOptions:
        """For `fit`. `judged`: there is something to validate on; `sources`: how many there are."""
        epoch_steps = max(self.epoch_episodes * sources // self.meta_batch, 1)
        options = self._shared_options(judged, epoch_steps)
        if self.reads_epochs:
            options["epoch_steps"] = epoch_steps
        return FitOptions(
            **options,
            meta_batch=self.meta_batch,
            at_once=self.at_once or None,
            seed=seed,
            workers=workers,
        )

    @property
    def reads_epochs(self) -> bool:
        """Whether anything depends on how long an epoch is."""
        return bool(self.epochs) or not self.validate_every or self.comes_in_epochs

    @property
    def comes_in_epochs(self) -> bool:
        """Whether every epoch has as many of each source; else a source is drawn for each."""
        return bool(self.epochs) or self.episodes == "repeated" or not self.filter_binary

    @property
    def way_range(self) -> tuple[int, int | None]:
        return self.ways[0], self.ways[1] or None


def _check_options(settings: PretrainingSettings | MetaTrainingSettings) -> None:
    """Refuse options that contradict each other now, not when a training begins."""
    name, steps, epochs = settings.section, settings.steps, settings.epochs
    if bool(steps) == bool(epochs):
        raise InputError(
            f"{name}.steps={steps} and {name}.epochs={epochs}: exactly one of them is the budget;"
            " give one, and leave the other out"
        )
    try:
        settings.fit_options(seed=0, judged=True)
    except InputError as error:
        raise InputError(f"{settings.section}: {error}") from error
