"""The meta-gradient of one episode, by any engine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Autograd, Calculus, Pullback, Tree
from torchcross.functional.loop.divergence import refuse_divergence
from torchcross.functional.loop.engines import Engine, engine_named
from torchcross.functional.loop.engines.loop import Loop, LoopResult
from torchcross.functional.loop.problem import Meta, Problem, start_of
from torchcross.functional.loop.torch_errors import explain_torch_errors
from torchcross.functional.network.attention import second_derivatives
from torchcross.functional.network.purity import refuse_writes
from torchcross.functional.trees import Buffers, Params, detach, floating, reuse_unchanged


@dataclass(frozen=True)
class MetaGradient:
    """An episode's query loss and its gradient with respect to everything that could be learned.

    params    of the shared parameters (zeros where one is not used)
    own       of the episode's own parameters, except those of a declared zero head
    rates     of the rates that are tensors, by name ("*" for one rate of all)
    buffers   new values; where a buffer did not change, the very tensor of `meta.buffers`
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


def meta_gradient(
    problem: Problem, meta: Meta, *, engine: str | Engine = "reverse"
) -> MetaGradient:
    """Return the meta-gradient of one episode. Pure: no argument changes or gathers a `.grad`."""
    engine = engine_named(engine)
    with (
        refuse_writes(meta.params),
        explain_torch_errors(problem.name, engine.name),
        second_derivatives(engine.order > 1),
        torch.no_grad(),
    ):
        loop, finish = open_episode(problem, meta, engine, Autograd())
        result = finish(engine(loop))
    check_finite(problem, result)
    return result


def open_episode(
    problem: Problem,
    meta: Meta,
    engine: Engine,
    calculus: Calculus,
    *,
    check_values: bool = True,
) -> tuple[Loop, Callable[[LoopResult], MetaGradient]]:
    """(the loop that the engine runs, what turns its result into a meta-gradient).

    A transform hides values: there, none can be checked.
    """
    initial: Params = {}
    pull_init: Pullback | None = None
    init = problem.inner.init
    if init is not None:

        def initial_params(tree: Tree) -> tuple[Params, tuple[()]]:
            params = {**meta.params, **problem.own, **tree["params"]}
            return init(params, meta.buffers, problem.data), ()

        sources = {"params": floating({**meta.params, **problem.own})}
        initial, _, pull_init = calculus.pullback(initial_params, sources)
    own = {**problem.own, **initial}
    start = start_of(
        dataclasses.replace(problem, own=own),
        detach(meta.params),
        meta.rates,
        meta.buffers,
        check_values=check_values,
    )

    def finish(result: LoopResult) -> MetaGradient:
        grads = {**result.adapted, **result.fixed}
        if pull_init is not None:
            # The chain rule: what `init` made depends on the other parameters too.
            through = pull_init({name: grads[name] for name in initial})["params"]
            grads |= {name: grads[name] + grad for name, grad in through.items() if name in grads}
        params = {name: grads[name] for name in meta.params if name in grads}
        learned = grads.keys() - start.zero_head - initial.keys()
        return MetaGradient(
            loss=result.loss,
            params=params,
            own={name: grads[name] for name in problem.own if name in learned},
            rates=result.rates,
            buffers=reuse_unchanged(result.buffers, meta.buffers),
            trace=result.trace,
            residual=result.residual,
            engine=engine.name,
            order=engine.order,
        )

    return Loop(problem.inner, start, problem.data, calculus), finish


def check_finite(problem: Problem, result: MetaGradient) -> None:
    """Raise where the inner loop or its gradient is not finite; the error names the step."""
    refuse_divergence(
        problem,
        result.trace,
        {"the gradient of parameter": result.params, "the gradient of rate": result.rates},
    )
