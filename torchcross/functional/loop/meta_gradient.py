"""The meta-gradient of one episode, by any engine."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.functional.loop.derivatives import Autograd, Calculus, Pullback, Tree
from torchcross.functional.loop.divergence import refuse_divergence
from torchcross.functional.loop.engines import Engine, engine_named
from torchcross.functional.loop.engines.loop import Loop, LoopResult
from torchcross.functional.loop.problem import Meta, Problem, start_of
from torchcross.functional.loop.torch_errors import explain_torch_errors
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
        torch.no_grad(),
    ):
        episode = open_episode(problem, meta, Autograd())
        result = episode.meta_gradient(engine, engine(episode.loop))
    check_finite(problem, result)
    return result


@dataclass(frozen=True)
class OpenEpisode:
    """The loop that an engine runs, and what turns the engine's result into a meta-gradient.

    initial   the parameters that `inner.init` made from the shared ones (a prototype head, say)
    pull_init their cotangents -> those of the shared parameters
    """

    loop: Loop
    problem: Problem
    meta: Meta
    initial: Params
    pull_init: Pullback | None

    def meta_gradient(self, engine: Engine, result: LoopResult) -> MetaGradient:
        grads = {**result.adapted, **result.fixed}
        params = {name: grads[name] for name in self.meta.params if name in grads}
        if self.pull_init is not None:
            # The chain rule: what `inner.init` made depends on the shared parameters too.
            through = self.pull_init({name: grads[name] for name in self.initial})["params"]
            params = {name: grad + through[name] for name, grad in params.items()}
        constant = self.loop.start.head | self.initial.keys()
        own = {name: grads[name] for name in self.problem.own if name in grads.keys() - constant}
        return MetaGradient(
            loss=result.loss,
            params=params,
            own=own,
            rates=result.rates,
            buffers=reuse_unchanged(result.buffers, self.meta.buffers),
            trace=result.trace,
            residual=result.residual,
            engine=engine.name,
            order=engine.order,
        )


def open_episode(
    problem: Problem, meta: Meta, calculus: Calculus, *, check_values: bool = True
) -> OpenEpisode:
    """Prepare an episode for an engine. A transform hides values, so that none are checked."""
    initial: Params = {}
    pull_init, init = None, problem.inner.init
    if init is not None:

        def initial_params(tree: Tree) -> tuple[Params, tuple[()]]:
            return init({**meta.params, **tree["params"]}, meta.buffers, problem.data), ()

        initial, _, pull_init = calculus.pullback(initial_params, {"params": floating(meta.params)})
    whole = dataclasses.replace(problem, own={**problem.own, **initial})
    start = start_of(
        whole, detach(meta.params), meta.rates, meta.buffers, check_values=check_values
    )
    loop = Loop(problem.inner, start, problem.data, calculus)
    return OpenEpisode(loop, problem, meta, initial, pull_init)


def check_finite(problem: Problem, result: MetaGradient) -> None:
    """Raise where the inner loop or its gradient is not finite; the error names the step."""
    gradients = {
        "the gradient of parameter": result.params,
        "the gradient of rate": result.rates,
    }
    refuse_divergence(problem, result.trace, gradients)
