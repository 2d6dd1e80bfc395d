"""Inner optimisers as pairs of pure functions, differentiable in all of their arguments.

    state = optimiser.init(params)
    params, state = optimiser.update(grads, state, params, rates, step)

Rates are a number or a scalar tensor for all parameters, or a dictionary with one for each
parameter: a scalar, or a tensor of the parameter's shape (Meta-SGD, Li et al. 2017). `"*"` in a
dictionary is the rate of all parameters that it does not name. With `per_step=True` every rate
tensor has a leading axis of inner steps (a rate per layer per step: MAML++, Antoniou et al. 2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor
from torch.optim.adam import adam as torch_adam

from torchcross.errors import InputError
from torchcross.functional.trees import Params, zeros

Rate: TypeAlias = float | Tensor
Rates: TypeAlias = Rate | Mapping[str, Rate]
OptState: TypeAlias = dict[str, Tensor]
Init: TypeAlias = Callable[[Params], OptState]
Update: TypeAlias = Callable[
    [Params, OptState, Params, Mapping[str, Rate], int], tuple[Params, OptState]
]
Move: TypeAlias = Callable[[Params, OptState, Params, float, int], None]

_ALL = "*"
_FUSED_ON = ("cpu", "cuda")
"""Where torch's Adam runs as one kernel, in a seventh of the time."""


@dataclass(frozen=True)
class Optimiser:
    """(init, update), and what the engines need to know of them.

    linear    whether the derivative of an update by the gradient does not depend on the gradient
    move      the update in place, with one rate for all parameters, where nothing is
              differentiated; (grads, state, params, rate, step) as in `update`
    descent   whether the update is p <- p - rate g, of each parameter alone and without a state
    weight_decay   if it is not 0, parameters move where their gradient is zero
    """

    name: str
    init: Init
    update: Update
    per_step: bool = False
    linear: bool = False
    move: Move | None = None
    descent: bool = False
    weight_decay: float = 0.0


def sgd(*, weight_decay: float = 0.0, per_step: bool = False) -> Optimiser:
    """Gradient descent: p <- p - rate (g + weight_decay p), as `torch.optim.SGD`."""
    _check_decay(weight_decay)

    def init(params: Params) -> OptState:
        return {}

    def update(
        grads: Params, state: OptState, params: Params, rates: Mapping[str, Rate], step: int
    ) -> tuple[Params, OptState]:
        slopes = _add_penalty(grads, params, weight_decay)
        moved = {
            name: _descend(params[name], grad, rate_of(rates, name, step, per_step))
            for name, grad in slopes.items()
        }
        return moved, state

    def move(grads: Params, state: OptState, params: Params, rate: float, step: int) -> None:
        slopes = _add_penalty(grads, params, weight_decay)
        torch._foreach_add_([params[name] for name in grads], list(slopes.values()), alpha=-rate)

    is_descent = weight_decay == 0.0
    return Optimiser("sgd", init, update, per_step, True, move, is_descent, weight_decay)


def momentum(
    decay: float = 0.9,
    *,
    nesterov: bool = False,
    weight_decay: float = 0.0,
    per_step: bool = False,
) -> Optimiser:
    """Momentum: m <- decay m + g; p <- p - rate m, or p - rate (g + decay m) where `nesterov`.

    As in `torch.optim.SGD`, weight_decay p is added to g.
    """
    _check_unit("decay", decay)
    _check_decay(weight_decay)

    def init(params: Params) -> OptState:
        return {f"momentum/{name}": value for name, value in zeros(params).items()}

    def update(
        grads: Params, state: OptState, params: Params, rates: Mapping[str, Rate], step: int
    ) -> tuple[Params, OptState]:
        moved, after = {}, dict(state)
        for name, grad in _add_penalty(grads, params, weight_decay).items():
            velocity = torch.add(grad, state[f"momentum/{name}"], alpha=decay)
            after[f"momentum/{name}"] = velocity
            direction = torch.add(grad, velocity, alpha=decay) if nesterov else velocity
            moved[name] = _descend(params[name], direction, rate_of(rates, name, step, per_step))
        return moved, after

    def move(grads: Params, state: OptState, params: Params, rate: float, step: int) -> None:
        slopes = list(_add_penalty(grads, params, weight_decay).values())
        velocities = [state[f"momentum/{name}"] for name in grads]
        torch._foreach_mul_(velocities, decay)
        torch._foreach_add_(velocities, slopes)
        directions = torch._foreach_add(slopes, velocities, alpha=decay) if nesterov else velocities
        torch._foreach_add_([params[name] for name in grads], directions, alpha=-rate)

    return Optimiser(
        "nesterov" if nesterov else "momentum",
        init,
        update,
        per_step,
        linear=True,
        move=move,
        weight_decay=weight_decay,
    )


def adam(
    decays: tuple[float, float] = (0.9, 0.999),
    *,
    eps: float = 1e-8,
    eps_corrected: bool = False,
    weight_decay: float = 0.0,
    per_step: bool = False,
) -> Optimiser:
    """Adam (Kingma & Ba 2015); as in torch's, weight_decay p is added to the gradient.

    Unlike torch's, its second derivative is finite where a gradient is zero. With `eps_corrected`,
    eps is divided by sqrt(1 - decays[1]^t) as the root of the square is: Adam in TensorFlow.
    """
    return _adam("adam", decays, eps, weight_decay, per_step=per_step, eps_corrected=eps_corrected)


def adamw(
    decays: tuple[float, float] = (0.9, 0.999),
    *,
    eps: float = 1e-8,
    weight_decay: float = 0.01,
    per_step: bool = False,
) -> Optimiser:
    """AdamW (Loshchilov & Hutter 2019): p <- p - rate weight_decay p, and then Adam's update."""
    return _adam("adamw", decays, eps, weight_decay, per_step=per_step)


def _adam(
    kind: str,
    decays: tuple[float, float],
    eps: float,
    weight_decay: float,
    *,
    per_step: bool,
    eps_corrected: bool = False,
) -> Optimiser:
    first, second = decays
    is_apart = kind == "adamw"
    _check_decay(weight_decay)
    _check_unit("decays[0]", first)
    _check_unit("decays[1]", second)
    if not eps > 0:
        raise InputError(
            f"eps must be above 0, not {eps!r}: at a zero gradient Adam divides by it."
        )

    def eps_at(step: int) -> float:
        return eps / math.sqrt(1.0 - second ** (step + 1)) if eps_corrected else eps

    def init(params: Params) -> OptState:
        _refuse_lost_eps(kind, eps, params)
        still = zeros(params)
        return {
            f"{kind}/{name}": value for kind in ("mean", "square") for name, value in still.items()
        }

    def update(
        grads: Params, state: OptState, params: Params, rates: Mapping[str, Rate], step: int
    ) -> tuple[Params, OptState]:
        moved, after = {}, dict(state)
        scale_mean = 1.0 / (1.0 - first ** (step + 1))
        scale_square = 1.0 / math.sqrt(1.0 - second ** (step + 1))
        slopes = grads if is_apart else _add_penalty(grads, params, weight_decay)
        for name, grad in slopes.items():
            mean = state[f"mean/{name}"] * first + grad * (1.0 - first)
            square = state[f"square/{name}"] * second + grad * grad * (1.0 - second)
            after[f"mean/{name}"], after[f"square/{name}"] = mean, square
            direction = mean * scale_mean / (_sqrt(square) * scale_square + eps_at(step))
            if is_apart and weight_decay:
                direction = direction + weight_decay * params[name]
            moved[name] = _descend(params[name], direction, rate_of(rates, name, step, per_step))
        return moved, after

    def move(grads: Params, state: OptState, params: Params, rate: float, step: int) -> None:
        if is_apart and weight_decay:
            torch._foreach_mul_([params[name] for name in grads], 1.0 - rate * weight_decay)
        fused = all(value.device.type in _FUSED_ON for value in grads.values())
        torch_adam(
            [params[name] for name in grads],
            list(grads.values()),
            [state[f"mean/{name}"] for name in grads],
            [state[f"square/{name}"] for name in grads],
            [],
            [torch.tensor(float(step), device=value.device) for value in grads.values()],
            fused=fused,
            foreach=not fused,
            amsgrad=False,
            maximize=False,
            weight_decay=0.0 if is_apart else weight_decay,
            beta1=first,
            beta2=second,
            lr=rate,
            eps=eps_at(step),
        )

    return Optimiser(kind, init, update, per_step, move=move, weight_decay=weight_decay)


def _add_penalty(grads: Params, params: Params, weight_decay: float) -> Params:
    """The gradients with that of weight_decay/2 |p|^2 added."""
    if not weight_decay:
        return grads
    return {name: torch.add(grad, params[name], alpha=weight_decay) for name, grad in grads.items()}


def _refuse_lost_eps(kind: str, eps: float, params: Params) -> None:
    """Raise where `eps` is 0 in a parameter's precision: Adam would divide 0 by 0."""
    for name, value in params.items():
        if not value.new_tensor(eps):
            dtype = str(value.dtype).removeprefix("torch.")
            raise InputError(
                f"{kind} adds eps={eps:g} to what it divides by, which is 0 in {dtype}, the"
                f" precision of {name!r}: small gradients would give NaN. Keep the parameters in"
                " bfloat16 or float32 (`algorithm.float()`), or take optimiser='sgd' or 'momentum'."
            )


def _sqrt(square: Tensor) -> Tensor:
    """The square root with derivative 0 at 0, where the update m / (sqrt(v) + eps) is m / eps."""
    # Two `where`s: the derivative of the branch not taken, inf, would turn into 0 * inf = NaN.
    positive = square > 0
    return torch.where(positive, torch.where(positive, square, 1.0).sqrt(), 0.0)


def _descend(param: Tensor, direction: Tensor, rate: Rate) -> Tensor:
    if isinstance(rate, Tensor):
        return param - rate * direction
    return torch.add(param, direction, alpha=-rate)


def rate_of(rates: Mapping[str, Rate], name: str, step: int, per_step: bool) -> Rate:
    rate = _rate_named(rates, name)
    return rate[step] if per_step and isinstance(rate, Tensor) else rate


def _rate_named(rates: Mapping[str, Rate], name: str) -> Rate:
    return rates[name] if name in rates else rates[_ALL]


def single_rate(rates: Mapping[str, Rate]) -> float | None:
    """The rate, where there is one number for all parameters and steps."""
    rate = rates.get(_ALL)
    return None if isinstance(rate, Tensor) or len(rates) > 1 else rate


def by_rate(params: Params, rates: Mapping[str, Rate]) -> dict[float, list[str]] | None:
    """The names of the parameters by their rates; None where a rate is a tensor."""
    groups: dict[float, list[str]] = {}
    for name in params:
        rate = _rate_named(rates, name)
        if isinstance(rate, Tensor):
            return None
        groups.setdefault(rate, []).append(name)
    return groups


def rate_table(rates: Rates, params: Params, steps: int, per_step: bool) -> dict[str, Rate]:
    """The rates by name, checked against the adapted parameters; `"*"` is that of all others."""
    table: dict[str, Rate] = dict(rates) if isinstance(rates, Mapping) else {_ALL: rates}
    missing = [name for name in params if name not in table] if _ALL not in table else []
    if missing:
        raise InputError(
            f"the adapted parameter {missing[0]!r} has no rate ({len(missing)} lack one); give a"
            " rate for each, or one number for all."
        )
    for name, rate in table.items():
        if isinstance(rate, Tensor):
            _check_rate(name, rate, params, steps, per_step)
        elif not math.isfinite(rate):
            raise InputError(f"the rate of {name!r} is {rate}; give a finite number.")
    return {name: table[name] for name in (*params, _ALL) if name in table}


def _check_rate(name: str, rate: Tensor, params: Params, steps: int, per_step: bool) -> None:
    shape = tuple(rate.shape)
    if per_step:
        if not shape or shape[0] < steps:
            raise InputError(
                f"the rate of {name!r} has shape {shape}; with per_step=True its first axis must"
                f" hold at least the {steps} inner steps."
            )
        shape = shape[1:]
    if shape and (name not in params or shape != tuple(params[name].shape)):
        expected = "()" if name not in params else f"() or {tuple(params[name].shape)}"
        raise InputError(
            f"the rate of {name!r} has shape {shape} (for a step); expected {expected}."
        )


def _check_decay(weight_decay: float) -> None:
    is_number = isinstance(weight_decay, int | float) and not isinstance(weight_decay, bool)
    if not (is_number and math.isfinite(weight_decay) and weight_decay >= 0):
        raise InputError(f"weight_decay must be a number of 0 or more, not {weight_decay!r}.")


def _check_unit(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise InputError(f"{name} must lie in [0, 1), not {value!r}.")
