"""How an inner loop runs: what algorithms set, checked once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from torchcross.algorithms._shared.rates import RateKind
from torchcross.errors import InputError
from torchcross.functional import Engine, Implicit, Optimiser, adam, momentum, sgd
from torchcross.functional.loop.engines import engine_named
from torchcross.functional.network.network import Choice
from torchcross.heads import BIAS, WEIGHT, LearnedHeads

__all__ = ["HeadStart", "InnerOptimiser", "Memory", "Recipe", "body_alone"]

HeadStart: TypeAlias = Literal["zero", "kaiming", "proto"] | LearnedHeads
InnerOptimiser: TypeAlias = Literal["sgd", "momentum", "adam"]
Memory: TypeAlias = Literal["fast", "low"]

OPTIMISERS: dict[str, Callable[..., Optimiser]] = {"sgd": sgd, "momentum": momentum, "adam": adam}
HEADS = ("zero", "kaiming", "proto")
HEAD_NAMES = (WEIGHT, BIAS)
_EXACT = {"fast": "reverse", "low": "recompute"}


def body_alone(name: str) -> bool:
    return name not in HEAD_NAMES


@dataclass(frozen=True)
class Recipe:
    """The settings of one inner loop.

    adapted             names that the inner loop moves: backbone's own names, `head.weight`,
                        `head.bias`; a parameter that requires no gradient stays as it is, unless
                        its full name is given
    engine              a name or an engine; by default the exact one that `memory` asks for, or
                        first order
    first_order_epochs  first order before this epoch
    multi_step          epochs over which the query losses after each step are annealed away; None:
                        the last step alone
    proximal            adaptation minimises loss + proximal/2 |theta - phi|^2 (iMAML)
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
    proximal: float | None = None

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise InputError(f"{self.name} got steps={self.steps}; give 0 or more.")
        _one_of(self.name, "optimiser", self.optimiser, OPTIMISERS)
        _one_of(self.name, "memory", self.memory, _EXACT)
        _one_of(self.name, "order", self.order, (1, 2))
        _one_of(self.name, "rates", self.rates, ("fixed", "per_parameter", "per_layer_step"))
        if not isinstance(self.head, LearnedHeads):
            _one_of(self.name, "head", self.head, HEADS)
        if self.engine is not None:
            engine_named(self.engine)
        if (self.engine is not None, self.order == 1, self.memory == "low").count(True) > 1:
            raise InputError(
                f"{self.name} got engine={self.engine!r}, order={self.order} and"
                f" memory={self.memory!r}, which each choose the engine; give one of them."
            )
        if self.multi_step is not None and (self.multi_step < 1 or self.steps < 1):
            raise InputError(
                f"{self.name} got multi_step={self.multi_step} with {self.steps} steps; give 1 or"
                " more of both."
            )

    @property
    def annealed(self) -> bool:
        return self.first_order_epochs > 0 or self.multi_step is not None

    def engine_at(self, epoch: int) -> Engine:
        if epoch < self.first_order_epochs or (self.engine is None and self.order == 1):
            return engine_named("first_order")
        return engine_named(self.engine if self.engine is not None else _EXACT[self.memory])

    def make_optimiser(self) -> Optimiser:
        return OPTIMISERS[self.optimiser](per_step=self.rates == "per_layer_step")

    def describe(self) -> dict[str, Any]:
        engine = self.engine_at(self.first_order_epochs)
        told = {
            "algorithm": self.name,
            "steps": self.steps,
            "lr": self.lr,
            "rates": self.rates,
            "optimiser": self.optimiser,
            "order": engine.order,
            "engine": engine.name,
            "head": (
                f"learned by {self.head.by}" if isinstance(self.head, LearnedHeads) else self.head
            ),
            "first_order_epochs": self.first_order_epochs,
            "multi_step": self.multi_step,
        }
        if isinstance(engine, Implicit):
            told |= {
                "strength": engine.strength,
                "iterations": engine.iterations,
                "tolerance": engine.tolerance,
            }
        return told


def _one_of(name: str, what: str, given: Any, known: Any) -> None:
    if given not in known:
        raise InputError(
            f"{name} got {what}={given!r}; choose one of {', '.join(map(str, known))}."
        )
