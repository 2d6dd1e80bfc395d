"""How much memory a training step takes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from torchcross._kit.process_memory import resident_bytes
from torchcross.algorithms._shared.episodic import Episodic
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
            chosen = own_engine if engine is None else engine
            asked = problems[0].inner.steps if steps is None else steps
            rows = steps_to_run(chosen, asked)
            meta = _with_rows(algorithm, meta, problems[0].inner.optimiser.per_step, rows)
            estimates = [
                estimate_problem(problem, meta, engine=chosen, steps=steps) for problem in problems
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


def _with_rows(algorithm: Episodic, meta: Meta, per_step: bool, steps: int) -> Meta:
    """Return rates and statistics with as many rows as inner loops of so many steps read."""
    per_step_buffers = {} if algorithm.rows is None else algorithm.rows.slots
    buffers = dict(meta.buffers)
    for name in per_step_buffers:
        buffers[name] = _extend(buffers[name], steps + 1)
    rates = meta.rates
    if per_step and isinstance(rates, Mapping):
        rates = {
            name: _extend(rate, steps) if isinstance(rate, Tensor) else rate
            for name, rate in rates.items()
        }
    return dataclasses.replace(meta, rates=rates, buffers=buffers)


def _extend(rows: Tensor, count: int) -> Tensor:
    missing = max(0, count - len(rows))
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])])
