"""One episode: its meta-gradient by any engine, and plain adaptation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from torchcross.errors import DivergenceError, InputError, TorchcrossError
from torchcross.functional.loop.derivatives import Autograd, Calculus, Tree
from torchcross.functional.loop.engines import Engine, Implicit, Mixed, engine_named
from torchcross.functional.loop.engines.loop import Loop, Outcome, owned
from torchcross.functional.loop.problem import Meta, Problem, start_of
from torchcross.functional.network.purity import untouched
from torchcross.functional.trees import Buffers, Params, detached, floating, kept, leaves


@dataclass(frozen=True)
class MetaGradient:
    """An episode's query loss and its gradient with respect to everything that could be learned.

    params    of the shared parameters (zeros where one is not used)
    own       of the episode's own parameters, save those of a stated zero head
    rates     of the rates that are tensors, by name ("*" for one rate of all)
    buffers   their new values, and the very tensors given where there is none; nothing was changed
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
    """Where the inner loop ends: all parameters (adapted and fixed), new buffers, support losses on
    the way.
    """

    params: Params
    buffers: Buffers
    trace: Tensor


def meta_gradient(
    problem: Problem, meta: Meta, *, engine: str | Engine = "reverse"
) -> MetaGradient:
    """The meta-gradient of one episode. Pure: no tensor given is changed and none gathers a
    `.grad`.
    """
    chosen = engine_named(engine)
    with untouched(meta.params), serving(problem, chosen):
        result = gradient_with(problem, meta, chosen, Autograd(), look=True)
    check_finite(problem, result)
    return result


def gradient_with(
    problem: Problem, meta: Meta, engine: Engine, calculus: Calculus, *, look: bool
) -> MetaGradient:
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


def probe(problem: Problem, meta: Meta, engine: Engine) -> None:
    """Refuse, before a transform hides the graph, what torch would drop from second derivatives
    without a word.
    """
    inner = problem.inner
    if (
        engine.order < 2
        or isinstance(engine, Mixed)
        or not (inner.steps or isinstance(engine, Implicit))
    ):
        return
    params = detached(meta.params)
    with torch.no_grad():
        built = {} if inner.init is None else inner.init(params, meta.buffers, problem.data)
    widened = dataclasses.replace(problem, own={**detached(problem.own), **built})
    start = start_of(widened, params, meta.rates, meta.buffers, look=False)

    def support(adapted: Params) -> tuple[Tensor, Buffers]:
        return inner.support({**start.fixed, **adapted}, meta.buffers, problem.data, 0)

    Autograd().gradient(support, leaves(start.adapted), keep=True, inspect=True)


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
        buffers=kept(outcome.buffers, meta.buffers),
        trace=outcome.trace,
        residual=outcome.residual,
        engine=engine.name,
        order=engine.order,
    )


def adapt(problem: Problem, meta: Meta, *, steps: int | None = None) -> Adapted:
    """Run the inner loop and keep its end alone (memory does not grow with `steps`). Pure, like
    everything here.
    """
    inner = (
        problem.inner
        if steps is None
        else dataclasses.replace(problem.inner, steps=steps, query_weights=None)
    )
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
    moment, losses = owned(loop.begin()), []
    with untouched(meta.params), serving(problem, engine_named("first_order")), torch.no_grad():
        for k in range(inner.steps):
            moment, loss = loop.move(moment, k)
            losses.append(loss)
    trace = torch.stack(losses) if losses else torch.zeros(0)
    _check_trace(problem, trace)
    for name, value in moment.params.items():
        if not torch.isfinite(value).all():
            raise DivergenceError(
                _diverged(problem, f"parameter {name!r} is not finite after step {inner.steps}")
            )
    return Adapted({**start.fixed, **moment.params}, kept(moment.buffers, meta.buffers), trace)


def _constant(rate: float | Tensor) -> float | Tensor:
    return rate.detach() if isinstance(rate, Tensor) else rate


def check_finite(problem: Problem, result: MetaGradient) -> None:
    """Raise where the inner loop or its gradient has left the finite numbers, naming the step."""
    _check_trace(problem, result.trace)
    for kind, grads in (("parameter", result.params), ("rate", result.rates)):
        for name, grad in grads.items():
            if not torch.isfinite(grad).all():
                raise DivergenceError(
                    _diverged(
                        problem, f"the losses are finite and the gradient of {kind} {name!r} is not"
                    )
                )


def _check_trace(problem: Problem, trace: Tensor) -> None:
    finite = torch.isfinite(trace)
    if bool(finite.all()):
        return
    first = int((~finite).nonzero()[0])
    steps = problem.inner.steps
    at = (
        "the query loss"
        if first == steps
        else f"the support loss before inner step {first + 1} of {steps}"
    )
    raise DivergenceError(_diverged(problem, f"{at} is {trace[first].item()}"))


def _diverged(problem: Problem, what: str) -> str:
    return (
        f"{problem.name}: the inner loop diverged: {what}. Lower the inner rate, take fewer steps,"
        " or look for NaN in the inputs."
    )


_OTHER_ENGINE = (
    "Use engine 'reverse' with lanes='loop', or 'first_order'; for attention, run under "
    "torch.nn.attention.sdpa_kernel(SDPBackend.MATH)."
)
_FIRST_ORDER = (
    "Use engine 'first_order'; for attention, run under"
    " torch.nn.attention.sdpa_kernel(SDPBackend.MATH)."
)
_NO_CHECKPOINTS = "Turn checkpointing off; engine 'recompute' saves memory instead."
_NO_SCRIPT = "Give the module that it was made of."
_WHY = (
    ("stateless api", "is scripted, or spread over devices, and so has no pure form", _NO_SCRIPT),
    ("derivative for", "has an operation without a second derivative", _FIRST_ORDER),
    (
        "trying to differentiate twice",
        "is differentiated more often than its operations allow",
        _FIRST_ORDER,
    ),
    (
        "jvp function",
        "has a custom autograd.Function without a forward-mode derivative",
        _OTHER_ENGINE,
    ),
    (
        "'native_batch_norm' is not",
        "normalises in an operation without a forward-mode derivative",
        _OTHER_ENGINE,
    ),
    ("saved tensor hooks", "runs again in its own backward (checkpointing)", _NO_CHECKPOINTS),
    (
        "checkpoint",
        "runs again in its own backward (checkpointing), without its parameters",
        _NO_CHECKPOINTS,
    ),
    ("vmap", "cannot run in lanes (torch.func.vmap)", _OTHER_ENGINE),
    ("data-dependent control flow", "cannot run in lanes (torch.func.vmap)", _OTHER_ENGINE),
    ("forward ad", "has an operation without a forward-mode derivative", _OTHER_ENGINE),
    ("inplace operation", "changes a tensor in place that its gradient needs", _OTHER_ENGINE),
    ("in-place operation", "changes a tensor in place that its gradient needs", _OTHER_ENGINE),
    (
        "setup_context",
        "has a custom autograd.Function that torch.func cannot see through",
        _OTHER_ENGINE,
    ),
)
_WHY_IN_LANES = (
    (
        "doesn't match the broadcast shape",
        "writes in place to a tensor that all lanes share",
        _OTHER_ENGINE,
    ),
    *_WHY,
)


@contextmanager
def serving(problem: Problem, engine: Engine, *, in_lanes: bool = False) -> Iterator[None]:
    """Say what to do where torch cannot differentiate a module as an engine needs it."""
    try:
        yield
    # NotImplementedError is what torch says of a derivative that it does not have.
    except (RuntimeError, NotImplementedError) as error:
        if isinstance(error, TorchcrossError):
            raise
        text = str(error).lower()
        table = _WHY_IN_LANES if in_lanes else _WHY
        reason, remedy = next(
            ((why, remedy) for sign, why, remedy in table if sign in text), (None, "")
        )
        if reason is None:
            raise
        where = " in lanes" if in_lanes else ""
        raise InputError(
            f"{problem.name}: engine {engine.name!r}{where} cannot serve this module, which"
            f" {reason}: {str(error).splitlines()[0]} {remedy}"
        ) from error
