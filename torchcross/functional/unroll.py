"""One episode: its meta-gradient by any engine, and plain adaptation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchcross.errors import InputError, TorchcrossError
from torchcross.functional._calculus import Autograd, Calculus, Tree
from torchcross.functional._types import Buffers, Params, detached, floating
from torchcross.functional.engines import Engine, engine_named
from torchcross.functional.engines.step import Loop, Outcome
from torchcross.functional.problem import Meta, Problem, start_of


@dataclass(frozen=True)
class MetaGradient:
    """An episode's query loss and its gradient with respect to everything that could be learned.

    params    of the shared parameters (zeros where one is not used)
    own       of the episode's own parameters, save those of a stated zero head
    rates     of the rates that are tensors, by name ("*" for one rate of all)
    buffers   their new values; nothing was changed
    trace     support loss before each inner step, then the last query loss
    residual  relative residual of conjugate gradients, of engine `implicit`
    """

    loss: Tensor
    params: Params
    own: Params
    rates: Params
    buffers: Buffers
    trace: Tensor
    residual: Tensor | None
    engine: str
    order: int


@dataclass(frozen=True)
class Adapted:
    """Where the inner loop ends: all parameters (adapted and fixed), new buffers, support losses on the way."""

    params: Params
    buffers: Buffers
    trace: Tensor


def meta_gradient(problem: Problem, meta: Meta, *, engine: str | Engine = "reverse") -> MetaGradient:
    """The meta-gradient of one episode. Pure: no tensor given is changed and none gathers a `.grad`."""
    chosen = engine_named(engine)
    with serving(problem, chosen):
        result = gradient_with(problem, meta, chosen, Autograd(), look=True)
    check_finite(problem, result)
    return result


def gradient_with(problem: Problem, meta: Meta, engine: Engine, calculus: Calculus, *, look: bool) -> MetaGradient:
    """`meta_gradient` without its checks of values, under either calculus."""
    if problem.inner.init is None:
        outcome = _run(problem, meta, engine, calculus, look)
        return _result(problem, meta, outcome, engine)
    init, shared = problem.inner.init, floating(meta.params)

    def begin(tree: Tree) -> tuple[Params, Any]:
        return init({**meta.params, **tree["params"]}, meta.buffers, problem.data), ()

    built, _, pull = calculus.pullback(begin, {"params": shared})
    widened = dataclasses.replace(problem, own={**problem.own, **built})
    outcome = _run(widened, meta, engine, calculus, look)
    result = _result(widened, meta, outcome, engine)
    through = pull({name: result.own[name] for name in built})["params"]
    return dataclasses.replace(
        result,
        params={name: grad + through[name] for name, grad in result.params.items()},
        own={name: grad for name, grad in result.own.items() if name not in built},
    )


def _run(problem: Problem, meta: Meta, engine: Engine, calculus: Calculus, look: bool) -> Outcome:
    start = start_of(problem, detached(meta.params), meta.rates, meta.buffers, look=look)
    with torch.no_grad():
        return engine(Loop(problem.inner, start, problem.data, calculus))


def _result(problem: Problem, meta: Meta, outcome: Outcome, engine: Engine) -> MetaGradient:
    grads = {**outcome.adapted, **outcome.fixed}
    head = start_of(problem, meta.params, meta.rates, meta.buffers, look=False).head
    return MetaGradient(
        loss=outcome.loss,
        params={name: grads[name] for name in meta.params if name in grads},
        own={name: grads[name] for name in problem.own if name in grads and name not in head},
        rates=outcome.rates,
        buffers=outcome.buffers,
        trace=outcome.trace,
        residual=outcome.residual,
        engine=engine.name,
        order=engine.order,
    )


def adapt(problem: Problem, meta: Meta, *, steps: int | None = None) -> Adapted:
    """Run the inner loop and keep its end alone (memory does not grow with `steps`). Pure, like everything here."""
    inner = problem.inner if steps is None else dataclasses.replace(problem.inner, steps=steps, query_weights=None)
    problem = dataclasses.replace(problem, inner=inner)
    params = detached(meta.params)
    if inner.init is not None:
        with torch.no_grad():
            problem = dataclasses.replace(
                problem, own={**problem.own, **inner.init(params, meta.buffers, problem.data)}
            )
    start = start_of(problem, params, meta.rates, meta.buffers)
    start = dataclasses.replace(
        start,
        rates={name: _constant(rate) for name, rate in start.rates.items()},
        adapted=detached(start.adapted),
    )
    loop = Loop(inner, start, problem.data, Autograd())
    moment, losses = loop.begin(), []
    with serving(problem, engine_named("first_order")), torch.no_grad():
        for k in range(inner.steps):
            moment, loss = loop.step(moment, k, keep=False)
            losses.append(loss)
    trace = torch.stack(losses) if losses else torch.zeros(0)
    _check_trace(problem, trace)
    for name, value in moment.params.items():
        if not torch.isfinite(value).all():
            raise TorchcrossError(_diverged(problem, f"parameter {name!r} is not finite after step {inner.steps}"))
    return Adapted({**start.fixed, **moment.params}, moment.buffers, trace)


def _constant(rate: float | Tensor) -> float | Tensor:
    return rate.detach() if isinstance(rate, Tensor) else rate


def check_finite(problem: Problem, result: MetaGradient) -> None:
    """Raise where the inner loop or its gradient has left the finite numbers, naming the step."""
    _check_trace(problem, result.trace)
    for kind, grads in (("parameter", result.params), ("rate", result.rates)):
        for name, grad in grads.items():
            if not torch.isfinite(grad).all():
                raise TorchcrossError(
                    _diverged(problem, f"the losses are finite and the gradient of {kind} {name!r} is not")
                )


def _check_trace(problem: Problem, trace: Tensor) -> None:
    finite = torch.isfinite(trace)
    if bool(finite.all()):
        return
    first = int((~finite).nonzero()[0])
    steps = problem.inner.steps
    at = "the query loss" if first == steps else f"the support loss before inner step {first + 1} of {steps}"
    raise TorchcrossError(_diverged(problem, f"{at} is {trace[first].item()}"))


def _diverged(problem: Problem, what: str) -> str:
    return (
        f"{problem.name}: the inner loop diverged: {what}. Lower the inner rate, take fewer steps, or look for NaN in "
        "the inputs."
    )


_WHY = (
    ("derivative for", "has an operation without a second derivative"),
    ("trying to differentiate twice", "is differentiated more often than its operations allow"),
    ("vmap", "cannot run in lanes (torch.func.vmap)"),
    ("data-dependent control flow", "cannot run in lanes (torch.func.vmap)"),
    ("forward ad", "has an operation without a forward-mode derivative"),
    ("inplace operation", "changes a tensor in place that its gradient needs"),
    ("in-place operation", "changes a tensor in place that its gradient needs"),
    ("setup_context", "has a custom autograd.Function that torch.func cannot see through"),
)


@contextmanager
def serving(problem: Problem, engine: Engine, where: str = "") -> Iterator[None]:
    """Say what to do where torch cannot differentiate a module as an engine needs it."""
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, TorchcrossError):
            raise
        text = str(error).lower()
        reason = next((why for sign, why in _WHY if sign in text), None)
        if reason is None:
            raise
        raise InputError(
            f"{problem.name}: engine {engine.name!r}{where} cannot serve this module, which {reason}: "
            f"{str(error).splitlines()[0]} Use engine 'reverse' with lanes='loop', or 'first_order'; for attention, "
            "run under torch.nn.attention.sdpa_kernel(SDPBackend.MATH)."
        ) from error
