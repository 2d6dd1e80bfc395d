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

__all__ = ["estimate"]

_ROWS = 3
"""Estimates run up to three steps, whatever is asked for."""


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
    """The peak of the largest of these episodes at `steps` inner steps, with another `engine` if
    one is given.

    A training step has one episode's graph alive at a time, so a larger meta-batch does not raise
    it; lanes do, by their number. Where there is no meta-gradient (Reptile, closed forms), one
    training step is measured instead, and `per_step` is 0.
    """
    if not isinstance(algorithm, Algorithm):
        raise InputError(
            f"estimate got {type(algorithm).__name__}; give an algorithm over episodes, such as"
            " MAML."
        )
    asked: dict[str, Any] = {"epoch": epoch, "seed": seed, "indices": indices}
    if isinstance(algorithm, Episodic):
        problems, meta, own = algorithm.problems(episodes, **asked)
        with torch.no_grad():
            rule = algorithm.training_step(episodes[:1], **_first(asked)).engine
        if any(problem.inner.steps for problem in problems) and rule == LossOnly().name:
            chosen = own if engine is None else engine
            meta = _with_rows(algorithm, meta, problems[0].inner.optimiser.per_step)
            found = [
                estimate_problem(problem, meta, engine=chosen, steps=steps) for problem in problems
            ]
            return max(found, key=lambda one: one.peak)
    if steps is not None or engine is not None:
        raise InputError(
            f"{type(algorithm).__name__} takes no meta-gradient through inner steps, so"
            f" steps={steps} and engine={engine!r} say nothing about its memory; leave them out."
        )
    (step, _), peak = peak_memory(lambda: _whole(algorithm, episodes, asked))
    return MemoryEstimate(peak, 0, 0, step.engine, step.order)


def _whole(
    algorithm: Algorithm, episodes: Sequence[Episode], asked: dict[str, Any]
) -> tuple[Step, Any]:
    step = algorithm.training_step(episodes, **asked)
    learned = [value for value in algorithm.parameters() if value.requires_grad]
    return step, torch.autograd.grad(step.loss, learned, allow_unused=True)


def _first(asked: dict[str, Any]) -> dict[str, Any]:
    numbers = asked["indices"]
    return {**asked, "indices": None if numbers is None else numbers[:1]}


def _with_rows(algorithm: Episodic, meta: Meta, per_step: bool) -> Meta:
    """Rates and statistics of each step, for at least as many steps as an estimate runs."""
    stepwise = set() if algorithm.rows is None else set(algorithm.rows.slots)
    buffers = {
        name: _longer(value) if name in stepwise else value for name, value in meta.buffers.items()
    }
    rates = meta.rates
    if per_step and isinstance(rates, Mapping):
        rates = {
            name: _longer(rate) if isinstance(rate, Tensor) else rate
            for name, rate in rates.items()
        }
    return dataclasses.replace(meta, rates=rates, buffers=buffers)


def _longer(rows: Tensor) -> Tensor:
    return torch.cat([rows, rows[-1:].expand(_ROWS, *rows.shape[1:])])
