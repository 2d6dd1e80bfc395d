"""How long, how fast and how carefully to train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from torchcross._kit.argument_checks import check_choice, checked_int, checked_number
from torchcross.errors import InputError

Optimiser = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "linear"]
_MAY_BE_ZERO, _DECIDES_NUMBERS, _EARLIER = "may be zero", "decides numbers", "earlier"
NOT_LATER = object()
"""For a setting that all versions have had."""


def option(
    default: Any,
    *,
    may_be_zero: bool = False,
    decides_numbers: bool = True,
    earlier: Any = NOT_LATER,
) -> Any:
    """A field of options or settings, with what is known of it.

    may_be_zero      0 is a value of it; other numbers must be above 0
    decides_numbers  another value makes other numbers: a run does not go on with another value
    earlier          for a setting that came later: the value by which runs of the versions before
                     went
    """
    facts = {_MAY_BE_ZERO: may_be_zero, _DECIDES_NUMBERS: decides_numbers, _EARLIER: earlier}
    return field(default=default, metadata=facts)


def table_option() -> Any:
    """A table of names and values, empty by default, that decides no numbers."""
    return field(default_factory=dict, metadata={_DECIDES_NUMBERS: False})


def may_be_zero(each: Field[Any]) -> bool:
    return bool(each.metadata.get(_MAY_BE_ZERO, False))


def decides_numbers(each: Field[Any]) -> bool:
    return bool(each.metadata.get(_DECIDES_NUMBERS, True))


def earlier_value(each: Field[Any]) -> Any:
    """The value of this setting in runs of versions that had no such setting; or `NOT_LATER`."""
    return each.metadata.get(_EARLIER, NOT_LATER)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingOptions:
    """The options that `fit` and the settings of an experiment share. Steps are counted from 1.

    steps             optimiser steps in all
    lr                the learning rate
    optimiser         "adam", "adamw" or "sgd"
    weight_decay      of the optimiser; "adamw" keeps it apart from the gradient
    momentum          for "sgd" only
    schedule          "constant", or "cosine" or "linear" from lr down to lr_end
    warmup            the first steps, in which the learning rate rises linearly to lr
    lr_end            the learning rate at which the schedule ends
    clip              the largest norm of the gradient; None: the gradient is not clipped
    ema               decay of a moving average of the weights; the average is then validated and
                      kept. None: no average
    validate_every    steps between two validations; the last step is validated too
    patience          training stops after so many validations in a row without a better score
    checkpoint_every  steps between two checkpoints; a killed run repeats at most so many
    """

    steps: int
    lr: float = 1e-3
    optimiser: Optimiser = "adam"
    weight_decay: float = option(0.0, may_be_zero=True)
    momentum: float = option(0.0, may_be_zero=True)
    schedule: Schedule = "constant"
    warmup: int = option(0, may_be_zero=True)
    lr_end: float = option(0.0, may_be_zero=True)
    clip: float | None = None
    ema: float | None = None
    validate_every: int | None = None
    patience: int | None = None
    checkpoint_every: int = option(500, decides_numbers=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class FitOptions(TrainingOptions):
    """Everything about training that is a plain value: these, and those of `TrainingOptions`.

    meta_batch   episodes (for pre-training: batches) of one optimiser step
    at_once      how many of them are computed together; their gradients are added. None: all
    seed         of random heads and dropout, together with the number of the episode
    min_delta    a score counts for `patience` when it is better by more than this
    keep         how many checkpoints stay, besides the best one
    epoch_steps  steps of one epoch, for algorithms that change something from epoch to epoch
    workers      processes that read ahead

    >>> from torchcross.algorithms import ProtoNet
    >>> from torchcross.backbones import conv4
    >>> from torchcross.data import toys
    >>> protonet = ProtoNet(conv4(8, in_channels=1))
    >>> sampler = tx.EpisodeSampler(toys.binary(100, size=16), shots=2, queries=3, seed=0)
    >>> options = tx.FitOptions(steps=2, meta_batch=2)
    >>> tx.fit(protonet, sampler, options, progress=False).stopped
    'steps'
    """

    meta_batch: int = 4
    at_once: int | None = None
    seed: int = 0
    min_delta: float = option(0.0, may_be_zero=True)
    keep: int = option(2, decides_numbers=False)
    epoch_steps: int = 500
    workers: int = option(0, may_be_zero=True, decides_numbers=False)

    def __post_init__(self) -> None:
        check_options(self)
        self._check_together()

    def _check_together(self) -> None:
        ema_is_decay = self.ema is None or self.ema < 1.0
        refuse_first(
            (
                self.meta_batch % (self.at_once or 1),
                f"at_once={self.at_once} does not divide meta_batch={self.meta_batch}; give a"
                " divisor of it.",
            ),
            (
                self.momentum and self.optimiser != "sgd",
                f"momentum={self.momentum} has no effect with optimiser={self.optimiser!r}; leave"
                " it out.",
            ),
            (
                self.lr_end and self.schedule == "constant",
                f"lr_end={self.lr_end} has no effect with schedule={self.schedule!r}; leave it"
                " out.",
            ),
            (
                self.warmup >= self.steps,
                f"warmup={self.warmup} leaves none of steps={self.steps}; give fewer steps of"
                " warm-up.",
            ),
            (
                not ema_is_decay,
                f"ema is a decay between 0 and 1, such as 0.999, not {self.ema!r}.",
            ),
            (
                self.patience is not None and self.validate_every is None,
                f"patience={self.patience} counts validations and there are none; give"
                " validate_every=.",
            ),
            (
                self.min_delta and self.patience is None,
                f"min_delta={self.min_delta} is for early stopping; give patience= with it.",
            ),
        )

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def refuse_first(*problems: tuple[object, str]) -> None:
    """Raise the message of the first (condition, message) whose condition holds."""
    for condition, message in problems:
        if condition:
            raise InputError(message)


def changed_options(before: Mapping[str, Any], options: FitOptions) -> list[str]:
    """The options that would make other numbers than those of a run that began with `before`.

    A run whose learning rate does not depend on the number of its steps may be made longer.
    """
    now = options.as_dict()
    may_change = {each.name for each in fields(options) if not decides_numbers(each)}
    if options.schedule == "constant":
        may_change.add("steps")
    changed = [
        f"{name} was {before.get(name)!r} and is {value!r}"
        for name, value in now.items()
        if name not in may_change and before.get(name) != value
    ]
    unknown = [f"{name!r} is no option of this version" for name in before if name not in now]
    return changed + unknown


def check_options(options: Any) -> None:
    """Refuse a number, flag or choice of a dataclass that is not of its field's type or range."""
    for each in fields(options):
        _check_value(each, getattr(options, each.name))


_CHOICES = {"optimiser": get_args(Optimiser), "schedule": get_args(Schedule)}


def _check_value(each: Field[Any], value: Any) -> None:
    """Refuse a value that is not of the field's type, or is out of its range."""
    kind, _, optional = str(each.type).partition(" | ")
    if optional and value is None:
        return
    if each.name in _CHOICES:
        check_choice(each.name, value, _CHOICES[each.name])
    elif each.name == "seed":
        if not isinstance(value, int) or isinstance(value, bool):
            raise InputError(f"seed must be a whole number, not {value!r}.")
    elif kind == "bool":
        check_choice(each.name, value, (True, False))
    elif kind == "int":
        checked_int(each.name, value, 0 if may_be_zero(each) else 1)
    elif kind == "float" and may_be_zero(each):
        checked_number(each.name, value, least=0)
    elif kind == "float":
        checked_number(each.name, value, above=0)
