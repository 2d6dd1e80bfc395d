"""How an inner loop runs: the settings of an algorithm, checked once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

from torchcross._kit.argument_checks import check_choice, checked_int, checked_number
from torchcross.algorithms._shared.per_step_norm import NormWeights
from torchcross.algorithms._shared.rates import RATE_KINDS, RateKind
from torchcross.algorithms._shared.support_views import (
    SupportAugmentation,
    describe_augmentation,
)
from torchcross.errors import InputError
from torchcross.functional import Engine, Implicit, Optimiser, adam, adamw, momentum, sgd
from torchcross.functional.loop.engines import engine_named
from torchcross.functional.loop.schedules import rate_factors, with_schedule
from torchcross.functional.network.parameter_names import Choice
from torchcross.heads import BIAS, WEIGHT, LearnedHeads

HeadStart: TypeAlias = Literal["zero", "kaiming", "proto", "logistic"] | LearnedHeads
InnerOptimiser: TypeAlias = Literal["sgd", "momentum", "nesterov", "adam", "adamw"]
Memory: TypeAlias = Literal["fast", "low"]
SmallSupports: TypeAlias = Literal["refuse", "whole"]
Schedule: TypeAlias = Literal["constant", "cosine"]

HEAD_NAMES = (WEIGHT, BIAS)
_OPTIMISERS: dict[str, Callable[..., Optimiser]] = {
    "sgd": sgd,
    "momentum": momentum,
    "nesterov": functools.partial(momentum, nesterov=True),
    "adam": adam,
    "adamw": adamw,
}
_EXACT_ENGINES = {"fast": "reverse", "low": "recompute"}
_CHOICES: dict[str, tuple[object, ...]] = {
    "optimiser": tuple(_OPTIMISERS),
    "memory": tuple(_EXACT_ENGINES),
    "order": (1, 2),
    "rates": RATE_KINDS,
    "norm_weights": ("shared", "per_step"),
    "head": ("zero", "kaiming", "proto", "logistic"),
    "schedule": get_args(Schedule),
    "small_supports": get_args(SmallSupports),
}


def is_in_body(name: str) -> bool:
    return name not in HEAD_NAMES


@dataclass(frozen=True)
class InnerLoopRecipe:
    """The settings of one inner loop.

    name                of the algorithm, for messages and the protocol
    steps, lr           how many steps the inner loop takes, and their rate
    head                how the head starts: `zero`, `kaiming`, `proto`, `logistic`, or
                        `LearnedHeads`
    optimiser           of the inner loop: `sgd`, `momentum`, `nesterov`, `adam` or `adamw`
    weight_decay        of the optimiser, as in torch; None: 0.01 for `adamw`, otherwise 0
    decays              of `adam` and `adamw`; None: (0.9, 0.999)
    eps_corrected       Adam as in TensorFlow, for `adam`
    adapted             names that the inner loop moves: the backbone's own names, `head.weight`,
                        `head.bias`; a parameter that requires no gradient stays as it is, unless
                        its full name is given
    order               2 for the exact meta-gradient, 1 for first order
    engine              a name or an engine; the default is the exact one that `memory` asks for, or
                        first order
    memory              `fast`, or `low` for the exact engine that needs less memory
    rates               `fixed`, `per_parameter` or `per_layer_step`; the last two are learned
    first_order_epochs  first order before this epoch
    multi_step          epochs over which the query losses after each step are annealed away; None:
                        only the last step counts
    norm_weights        `per_step`: BatchNorm has weights and biases of its own in each step
    proximal            adaptation minimises loss + proximal/2 |theta - phi|^2 (iMAML); engine
                        `implicit` brings its strength
    schedule            of the rate over the steps: `constant`, or `cosine` down to zero
    warmup              the first steps, in which the rate rises linearly
    batch               samples that each step sees; None: all of the support
    small_supports      of fewer samples than a batch has: `refuse`, or take the `whole` support
    augmentation        of the images that each step sees
    """

    name: str
    steps: int
    lr: float
    head: HeadStart = "zero"
    optimiser: InnerOptimiser = "sgd"
    adapted: Choice = "*"
    order: int = 2
    engine: str | Engine | None = None
    memory: Memory = "fast"
    rates: RateKind = "fixed"
    first_order_epochs: int = 0
    multi_step: int | None = None
    norm_weights: NormWeights = "shared"
    proximal: float | None = None
    weight_decay: float | None = None
    decays: tuple[float, float] | None = None
    eps_corrected: bool = False
    schedule: Schedule = "constant"
    warmup: int = 0
    batch: int | None = None
    small_supports: SmallSupports = "refuse"
    augmentation: SupportAugmentation | None = None

    def __post_init__(self) -> None:
        checked_int(f"{self.name}: steps", self.steps, least=0)
        checked_number(f"{self.name}: lr", self.lr, least=0)
        checked_int(f"{self.name}: first_order_epochs", self.first_order_epochs, least=0)
        self._check_views()
        choices = dict(_CHOICES)
        if isinstance(self.head, LearnedHeads):
            del choices["head"]
        for option, values in choices.items():
            check_choice(f"{self.name}: {option}", getattr(self, option), values)
        # Makes one for its checks.
        weight_decay = self.make_optimiser().weight_decay
        if self.engine is not None:
            self._check_engine(engine_named(self.engine), weight_decay)
        if (self.engine is not None, self.order == 1, self.memory == "low").count(True) > 1:
            raise InputError(
                f"{self.name} got engine={self.engine!r}, order={self.order} and"
                f" memory={self.memory!r}, which each choose the engine; give one of them."
            )
        if self.multi_step is not None:
            checked_int(f"{self.name}: multi_step", self.multi_step)
            if self.steps < 1:
                raise InputError(
                    f"{self.name} got multi_step={self.multi_step} with {self.steps} steps; give 1"
                    " step or more."
                )

    def _check_engine(self, engine: Engine, weight_decay: float) -> None:
        """Check what goes with an engine; adaptation then solves the problem that it trains."""
        if not isinstance(engine, Implicit):
            return
        if weight_decay:
            raise InputError(
                f"{self.name} with engine 'implicit' solves a proximal problem, and the weight"
                f" decay {weight_decay} of optimiser {self.optimiser!r} moves its steps to another"
                " solution; give an optimiser without weight decay, such as 'adam'."
            )
        if self.multi_step is not None:
            raise InputError(
                f"{self.name} got multi_step={self.multi_step}, and engine 'implicit' sees the"
                " solution alone; leave multi_step out."
            )
        if self.proximal not in (None, engine.strength):
            raise InputError(
                f"{self.name} got proximal={self.proximal} and engine 'implicit' of strength"
                f" {engine.strength}, which are two problems; leave proximal out."
            )
        object.__setattr__(self, "proximal", engine.strength)

    def _check_views(self) -> None:
        checked_int(f"{self.name}: warmup", self.warmup, least=0)
        if self.warmup and self.warmup >= self.steps:
            raise InputError(
                f"{self.name} got warmup={self.warmup}, which leaves none of {self.steps} steps;"
                " give fewer steps of warm-up."
            )
        if self.batch is not None:
            checked_int(f"{self.name}: batch", self.batch)
        apply = getattr(self.augmentation, "apply", None)
        if self.augmentation is not None and not callable(apply):
            raise InputError(
                f"{self.name} got augmentation={self.augmentation!r}; give an object with"
                " apply(images, index=, part=), such as torchcross.data.Augmentation()."
            )

    @property
    def sees_all(self) -> bool:
        """Whether every step sees the same images: all of the support as it is."""
        return self.batch is None and self.augmentation is None

    @property
    def is_annealed(self) -> bool:
        return self.first_order_epochs > 0 or self.multi_step is not None

    @property
    def forwards_after_steps(self) -> int:
        """Forwards of the support set after the last step: one for the Hessian at the solution."""
        is_implicit = self.engine is not None and isinstance(engine_named(self.engine), Implicit)
        return int(is_implicit)

    def engine_at(self, epoch: int) -> Engine:
        if epoch < self.first_order_epochs or (self.engine is None and self.order == 1):
            return engine_named("first_order")
        return engine_named(self.engine if self.engine is not None else _EXACT_ENGINES[self.memory])

    def make_optimiser(self) -> Optimiser:
        options: dict[str, Any] = {"per_step": self.rates == "per_layer_step"}
        if self.weight_decay is not None:
            options["weight_decay"] = self.weight_decay
        for name, kinds in (("decays", ("adam", "adamw")), ("eps_corrected", ("adam",))):
            if value := getattr(self, name):
                if self.optimiser not in kinds:
                    raise InputError(
                        f"{self.name} got {name}={value!r} with optimiser={self.optimiser!r}; it is"
                        f" for optimiser={kinds[0]!r}."
                    )
                options[name] = value
        return _OPTIMISERS[self.optimiser](**options)

    def scheduled_optimiser(self, steps: int) -> Optimiser:
        """The optimiser of a loop of so many steps, with the schedule of its rates."""
        optimiser = self.make_optimiser()
        if self.schedule == "constant" and not self.warmup:
            return optimiser
        factors = rate_factors(steps, warmup=self.warmup, cosine=self.schedule == "cosine")
        return with_schedule(optimiser, factors)

    def describe(self) -> dict[str, Any]:
        engine = self.engine_at(self.first_order_epochs)
        head = f"learned by {self.head.by}" if isinstance(self.head, LearnedHeads) else self.head
        settings = {
            "algorithm": self.name,
            "steps": self.steps,
            "lr": self.lr,
            "rates": self.rates,
            "optimiser": self.optimiser,
            "order": engine.order,
            "engine": engine.name,
            "head": head,
            "first_order_epochs": self.first_order_epochs,
            "multi_step": self.multi_step,
        }
        if weight_decay := self.make_optimiser().weight_decay:
            settings["weight_decay"] = weight_decay
        if self.decays is not None:
            settings["decays"] = list(self.decays)
        if self.eps_corrected:
            settings["eps_corrected"] = True
        settings |= self._describe_views()
        if isinstance(engine, Implicit):
            own = ("strength", "iterations", "tolerance")
            settings |= {name: getattr(engine, name) for name in own}
        return settings

    def _describe_views(self) -> dict[str, Any]:
        """What later versions added, where it is not as it was before."""
        settings: dict[str, Any] = {}
        if self.schedule != "constant" or self.warmup:
            settings |= {"schedule": self.schedule, "warmup": self.warmup}
        if self.batch is not None:
            settings["batch"] = self.batch
        if self.augmentation is not None:
            settings["augmentation"] = describe_augmentation(self.augmentation)
        return settings
