"""How much memory a training step takes."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchcross._kit.process_memory import resident_bytes
from torchcross.algorithms._shared.episodic import Episodic
from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms.base import Algorithm, Step
from torchcross.episode import Episode
from torchcross.errors import InputError
from torchcross.functional import Engine, MemoryEstimate, Meta, peak_memory
from torchcross.functional import estimate as estimate_problem
from torchcross.functional.loop.engines.loss_only import LossOnly
from torchcross.functional.loop.memory import process_bytes, steps_to_run

# A training step holds the gradients that it gathers beside those of the optimiser.
_SETS_OF_GRADIENTS = 2


def estimate(
    algorithm: Algorithm,
    episodes: Sequence[Episode],
    *,
    steps: int | None = None,
    engine: str | Engine | None = None,
    epoch: int | None = None,
    seed: int = 0,
    indices: Sequence[int] | None = None,
) -> MemoryEstimate:
    """The peak of the largest of these episodes at `steps` inner steps, with `engine` if given.

    A training step has one episode's graph alive at a time, so a larger meta-batch does not raise
    it; lanes do, by their number. Where there is no meta-gradient (Reptile, closed forms), one
    training step is measured instead, and `per_step` is 0. `process` is for a whole training step.
    """
    before = resident_bytes()
    if not isinstance(algorithm, Algorithm):
        raise InputError(
            f"estimate got {type(algorithm).__name__}; give an algorithm over episodes, such as"
            " MAML."
        )
    if isinstance(episodes, Episode):
        raise InputError("estimate got one episode; give a list of them: [episode].")
    if isinstance(algorithm, Episodic):
        problems, _, own_engine = algorithm.problems(
            episodes, epoch=epoch, seed=seed, indices=indices
        )
        first_index = None if indices is None else indices[:1]
        with torch.no_grad():
            first = algorithm.training_step(
                episodes[:1], epoch=epoch, seed=seed, indices=first_index
            )
        # Without gradients every meta-loss runs the same engine; a rule of its own does not.
        is_usual = first.engine == LossOnly().name and any(item.inner.steps for item in problems)
        if is_usual and isinstance(algorithm, InnerLoopAlgorithm):
            chosen = own_engine if engine is None else engine
            asked = problems[0].inner.steps if steps is None else steps
            # `implicit` reads the support once more, after the last step.
            longer = _with_steps(algorithm, steps_to_run(chosen, asked) + 1)
            problems, meta, _ = longer.problems(episodes, epoch=epoch, seed=seed, indices=indices)
            meta = _with_rows(longer, meta)
            estimates = [
                estimate_problem(problem, meta, engine=chosen, steps=asked) for problem in problems
            ]
            largest = max(estimates, key=lambda estimate: estimate.peak)
            return _with_process(largest, algorithm, before, _SETS_OF_GRADIENTS)
    if steps is not None or engine is not None:
        raise InputError(
            f"{type(algorithm).__name__} takes no meta-gradient through inner steps, so"
            f" steps={steps} and engine={engine!r} say nothing about its memory; leave them out."
        )

    def run_step() -> tuple[Step, Any]:
        step = algorithm.training_step(episodes, epoch=epoch, seed=seed, indices=indices)
        learned = [value for value in algorithm.parameters() if value.requires_grad]
        return step, torch.autograd.grad(step.loss, learned, allow_unused=True)

    (step, _), peak = peak_memory(run_step)
    return _with_process(MemoryEstimate(peak, 0, 0, step.engine, step.order), algorithm, before, 1)


def _with_process(
    estimate: MemoryEstimate, algorithm: Algorithm, before: int | None, gradient_sets: int
) -> MemoryEstimate:
    learned = [value for value in algorithm.parameters() if value.requires_grad]
    device = next((value.device for value in learned), torch.device("cpu"))
    peak = estimate.peak + gradient_sets * sum(value.nbytes for value in learned)
    return dataclasses.replace(estimate, process=process_bytes(peak, before, device))


def _with_steps(algorithm: InnerLoopAlgorithm, steps: int) -> InnerLoopAlgorithm:
    """Return the algorithm on the same tensors, with inner loops of at least so many steps."""
    longer = copy.copy(algorithm)
    longer.recipe = dataclasses.replace(algorithm.recipe, steps=max(steps, algorithm.recipe.steps))
    return longer


def _with_rows(algorithm: InnerLoopAlgorithm, meta: Meta) -> Meta:
    """Return rates, statistics and BatchNorm weights with as many rows as the inner loops read."""
    steps = algorithm.recipe.steps
    buffers, params = dict(meta.buffers), dict(meta.params)
    if algorithm.rows is not None:
        buffers |= {name: _extend(buffers[name], steps + 1) for name in algorithm.rows.slots}
    if algorithm.affine is not None:
        params |= {name: _extend(params[name], steps + 1) for name in algorithm.affine.names}
    rates = meta.rates
    if algorithm.recipe.rates == "per_layer_step" and isinstance(rates, Mapping):
        rates = {
            name: _extend(rate, steps) if isinstance(rate, Tensor) else rate
            for name, rate in rates.items()
        }
    return dataclasses.replace(meta, params=params, rates=rates, buffers=buffers)


def _extend(rows: Tensor, count: int) -> Tensor:
    missing = max(0, count - len(rows))
    rows = rows.detach()
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])
