"""What an inner loop is: two losses, an optimiser, and which parameters move."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from torchcross.errors import InputError
from torchcross.functional.loop.optimisers import Optimiser, Rate, Rates, rate_table
from torchcross.functional.network.parameter_names import Choice, select
from torchcross.functional.network.structural_copy import refuse_complex
from torchcross.functional.trees import Buffers, Data, InitFn, LossFn, Params, split_by_name


@dataclass(frozen=True)
class Split:
    """A support loss in two parts, so that steps that see the same features can share them.

    body   (params, buffers, data, step) -> (features, new buffers): the same at every step,
           whatever the head is
    top    (params, features, data) -> scalar loss
    """

    body: Callable[[Params, Buffers, Data, int], tuple[Tensor, Buffers]]
    top: Callable[[Params, Tensor, Data], Tensor]

    def __call__(
        self, params: Params, buffers: Buffers, data: Data, step: int
    ) -> tuple[Tensor, Buffers]:
        features, buffers = self.body(params, buffers, data, step)
        return self.top(params, features, data), buffers


@dataclass(frozen=True)
class Inner:
    """The inner loop that episodes share. Episodes with the *same object* can share lanes.

    support, query   (params, buffers, data, step) -> (loss, new buffers); the query's step is the
                     number of updates
    adapted          which names the inner loop moves (default: all); the rest stay fixed
    init             makes further parameters from (params, buffers, data), differentiable: a
                     prototype head, say; the episode's own parameters are among `params`
    zero_head        names that start at exactly zero and are not learned. The support loss must
                     depend on the other adapted parameters through them alone: then the first inner
                     gradient of those is exactly zero and is not computed (and with a `Split`
                     support loss, the first two steps share the features)
    query_weights    weight of the query loss after each of the updates 1..steps (default: all
                     weight on the last)
    """

    support: LossFn
    query: LossFn
    optimiser: Optimiser
    steps: int
    adapted: Choice = "*"
    init: InitFn | None = None
    zero_head: Choice | None = None
    query_weights: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise InputError(f"steps must be 0 or more, not {self.steps}.")
        weights = self.query_weights
        if weights is None:
            return
        if len(weights) != self.steps or not all(math.isfinite(weight) for weight in weights):
            raise InputError(
                f"query_weights must hold one finite weight for each of {self.steps} steps:"
                f" {weights}."
            )

    def weight_after(self, updates: int) -> float:
        """The weight of the query loss after so many updates."""
        if self.query_weights is None or self.steps == 0:
            return 1.0 if updates == self.steps else 0.0
        return self.query_weights[updates - 1] if updates else 0.0


@dataclass(frozen=True)
class Problem:
    """One episode: its inner loop, its data, and its own parameters (a head's initial values)."""

    inner: Inner
    data: Data
    own: Params = field(default_factory=dict)
    name: str = "episode"


@dataclass(frozen=True)
class Meta:
    """What episodes share: initial parameters, rates of the inner loop, buffers."""

    params: Params
    rates: Rates = 0.1
    buffers: Buffers = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """Where the inner loop begins, split into what moves and what does not.

    `zero_head` holds the names of a declared zero head; `head` holds them where the first update
    moves nothing else.
    """

    adapted: Params
    fixed: Params
    rates: dict[str, Rate]
    buffers: Buffers
    head: frozenset[str] = frozenset()
    zero_head: frozenset[str] = frozenset()

    @property
    def learned_rates(self) -> dict[str, Tensor]:
        return {name: rate for name, rate in self.rates.items() if isinstance(rate, Tensor)}


def with_initial_params(
    problem: Problem, params: Params, buffers: Buffers, *, keep_graph: bool = False
) -> Problem:
    """The problem with the parameters that `inner.init` makes among its own.

    They are constants, unless `keep_graph`.
    """
    if problem.inner.init is None:
        return problem
    with torch.set_grad_enabled(torch.is_grad_enabled() and keep_graph):
        initial = problem.inner.init({**params, **problem.own}, buffers, problem.data)
    return replace(problem, own={**problem.own, **initial})


def start_of(
    problem: Problem, params: Params, rates: Rates, buffers: Buffers, *, check_values: bool = True
) -> Start:
    """Split the parameters and check them; a transform hides values, so that none are checked."""
    inner = problem.inner
    clash = params.keys() & problem.own.keys()
    if clash:
        raise InputError(
            f"{problem.name}: {min(clash)!r} is both a shared and an own parameter; rename one."
        )
    everything = {**params, **problem.own}
    for name, value in everything.items():
        refuse_complex(name, value, f"a parameter of {problem.name}")
    names = select(everything, inner.adapted)
    for name in names:
        if not everything[name].is_floating_point():
            raise InputError(
                f"{problem.name}: the adapted parameter {name!r} is not floating point."
            )
    adapted, fixed = split_by_name(everything, names)
    table = rate_table(rates, adapted, inner.steps, inner.optimiser.per_step)
    zero_head = _zero_head_names(problem, names, check_values=check_values)
    # Under weight decay the first update moves the other parameters too, without a gradient.
    head = frozenset() if inner.optimiser.weight_decay else zero_head
    return Start(adapted, fixed, table, buffers, head, zero_head)


def _zero_head_names(
    problem: Problem, adapted: frozenset[str], *, check_values: bool
) -> frozenset[str]:
    if problem.inner.zero_head is None:
        return frozenset()
    head = select(problem.own, problem.inner.zero_head)
    if not head or not head <= adapted:
        raise InputError(
            f"{problem.name}: zero_head must choose parameters of the episode's own that the inner"
            f" loop adapts; it chose {sorted(head) or 'none'} of {sorted(problem.own) or 'none'}."
        )
    for name in head if check_values else ():
        if torch.count_nonzero(problem.own[name]):
            raise InputError(
                f"{problem.name}: zero_head is declared, but {name!r} is not zero; leave zero_head"
                " out."
            )
    return head
