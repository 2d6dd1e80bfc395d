"""How long, how fast and how carefully to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from torchcross._kit.argument_checks import check_choice, checked_int, checked_number
from torchcross.errors import InputError

__all__ = ["FitOptions", "differing"]

# They change how a run is kept or fed, and no number in it.
_FREE = ("checkpoint_every", "keep", "workers")


@dataclass(frozen=True, kw_only=True, slots=True)
class FitOptions:
    """Everything about training that is a plain value. Steps are counted from 1.

    steps             optimiser steps in all
    meta_batch        episodes (for pre-training: batches) of one optimiser step
    at_once           how many of them a training step sees at a time, the gradients being added up;
                      None: all
    seed              of random heads and dropout, with the number of the episode
    optimiser         "adam", "adamw" or "sgd", with lr, weight_decay and (sgd) momentum
    schedule          "constant", or "cosine" from lr to lr_end; `warmup` steps rise linearly to lr
                      before either
    clip              the largest norm of the gradient
    ema               decay of a moving average of the parameters, which is then what is validated
                      and kept
    validate_every    steps between two validations; the last step is validated too
    patience          stop after so many validations in a row that were not better by more than
                      min_delta
    checkpoint_every  steps between two checkpoints; `keep` of them stay, and the best one
    epoch_steps       steps of one epoch, for algorithms that anneal something over epochs
    workers           processes that read ahead
    """

    steps: int
    meta_batch: int = 4
    at_once: int | None = None
    seed: int = 0
    optimiser: Literal["adam", "adamw", "sgd"] = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    momentum: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: int = 0
    lr_end: float = 0.0
    clip: float | None = None
    ema: float | None = None
    validate_every: int | None = None
    patience: int | None = None
    min_delta: float = 0.0
    checkpoint_every: int = 500
    keep: int = 2
    epoch_steps: int = 500
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "meta_batch", "checkpoint_every", "keep", "epoch_steps"):
            checked_int(name, getattr(self, name), 1)
        for name in ("at_once", "validate_every", "patience"):
            if getattr(self, name) is not None:
                checked_int(name, getattr(self, name), 1)
        for name in ("warmup", "workers"):
            checked_int(name, getattr(self, name), 0)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int):
            raise InputError(f"seed must be a whole number, not {self.seed!r}.")
        for name in ("weight_decay", "momentum", "lr_end", "min_delta"):
            checked_number(name, getattr(self, name), least=0)
        for name in ("lr", "clip"):
            if getattr(self, name) is not None or name == "lr":
                checked_number(name, getattr(self, name), above=0)
        self._check_together()

    def _check_together(self) -> None:
        check_choice("optimiser", self.optimiser, ("adam", "adamw", "sgd"))
        check_choice("schedule", self.schedule, ("constant", "cosine"))
        if self.meta_batch % (self.at_once or 1):
            raise InputError(
                f"at_once={self.at_once} does not divide meta_batch={self.meta_batch}; give a"
                " divisor of it."
            )
        if self.momentum and self.optimiser != "sgd":
            raise InputError(
                f"momentum={self.momentum} has no use with optimiser={self.optimiser!r}; leave it"
                " out."
            )
        if self.lr_end and self.schedule != "cosine":
            raise InputError(
                f"lr_end={self.lr_end} has no use with schedule={self.schedule!r}; leave it out."
            )
        if self.warmup >= self.steps:
            raise InputError(
                f"warmup={self.warmup} leaves nothing of steps={self.steps}; give fewer steps of"
                " warm-up."
            )
        if self.ema is not None and not (isinstance(self.ema, float) and 0.0 < self.ema < 1.0):
            raise InputError(f"ema is a decay between 0 and 1, such as 0.999, not {self.ema!r}.")
        if self.patience is not None and self.validate_every is None:
            raise InputError(
                f"patience={self.patience} counts validations and there are none; give"
                " validate_every=."
            )
        if self.min_delta and self.patience is None:
            raise InputError(
                f"min_delta={self.min_delta} is for early stopping; give patience= with it."
            )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def differing(before: Mapping[str, Any], options: FitOptions) -> list[str]:
    """The options that would make other numbers than those of a run that began with `before`.

    A run whose learning rate does not depend on the number of its steps may be made longer.
    """
    now, constant = options.as_dict(), options.schedule == "constant"
    free = (*_FREE, "steps") if constant else _FREE
    names = [field.name for field in fields(options) if field.name not in free]
    changed = [
        f"{name} was {before.get(name)!r} and is {now[name]!r}"
        for name in names
        if before.get(name) != now[name]
    ]
    return changed + [
        f"{name!r} is no option of this version" for name in before if name not in now
    ]
