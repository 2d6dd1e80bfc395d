"""How much memory a training step takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchcross.algorithms._shared.episodic import Episodic
from torchcross.algorithms.base import Algorithm, Step
from torchcross.episode import Episode
from torchcross.errors import InputError
from torchcross.functional import Engine, MemoryEstimate, Meta, peak_memory
from torchcross.functional import estimate as estimate_problem
from torchcross.functional.loop.engines.loss_only import LossOnly

# Estimates run up to three steps, so rates and statistics of each step need as many rows more.
_EXTRA_ROWS = 3


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
    training step is measured instead, and `per_step` is 0.
    """
    if not isinstance(algorithm, Algorithm):
        raise InputError(
            f"estimate got {type(algorithm).__name__}; give an algorithm over episodes, such as"
            " MAML."
        )
    if isinstance(algorithm, Episodic):
        problems, meta, own_engine = algorithm.problems(
            episodes, epoch=epoch, seed=seed, indices=indices
        )
        first_index = None if indices is None else indices[:1]
        with torch.no_grad():
            first = algorithm.training_step(
                episodes[:1], epoch=epoch, seed=seed, indices=first_index
            )
        # Without gradients every meta-loss runs the same engine; a rule of its own does not.
        has_loop = any(problem.inner.steps for problem in problems)
        if has_loop and first.engine == LossOnly().name:
            meta = _with_extra_rows(algorithm, meta, problems[0].inner.optimiser.per_step)
            chosen = own_engine if engine is None else engine
            estimates = [
                estimate_problem(problem, meta, engine=chosen, steps=steps) for problem in problems
            ]
            return max(estimates, key=lambda estimate: estimate.peak)
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
    return MemoryEstimate(peak, 0, 0, step.engine, step.order)


def _with_extra_rows(algorithm: Episodic, meta: Meta, per_step: bool) -> Meta:
    """Return rates and statistics of each step, for at least as many steps as an estimate runs."""
    per_step_buffers = {} if algorithm.rows is None else algorithm.rows.slots
    buffers = dict(meta.buffers)
    for name in per_step_buffers:
        buffers[name] = _extend(buffers[name])
    rates = meta.rates
    if per_step and isinstance(rates, Mapping):
        rates = {
            name: _extend(rate) if isinstance(rate, Tensor) else rate
            for name, rate in rates.items()
        }
    return dataclasses.replace(meta, rates=rates, buffers=buffers)


def _extend(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows[-1:].expand(_EXTRA_ROWS, *rows.shape[1:])])
