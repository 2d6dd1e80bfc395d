"""Refuses results that are not finite, and names the inner step where they went wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from torchcross.errors import DivergenceError
from torchcross.functional.loop.problem import Problem
from torchcross.functional.trees import Params


def refuse_divergence(problem: Problem, trace: Tensor, results: dict[str, Params]) -> None:
    """Raise where a loss of `trace` or a tensor of `results` (by what it is) is not finite."""
    finite = torch.isfinite(trace)
    if not finite.all():
        first = int((~finite).nonzero()[0])
        raise _divergence_error(
            problem, f"{_loss_name(first, problem.inner.steps)} is {trace[first].item()}"
        )
    for kind, tensors in results.items():
        for name, value in tensors.items():
            if not torch.isfinite(value).all():
                raise _divergence_error(
                    problem, f"the losses are finite, but {kind} {name!r} is not"
                )


def _loss_name(index: int, steps: int) -> str:
    if index == steps:
        return "the query loss"
    return f"the support loss before inner step {index + 1} of {steps}"


def _divergence_error(problem: Problem, reason: str) -> DivergenceError:
    return DivergenceError(
        f"{problem.name}: the inner loop diverged: {reason}. Lower the inner rate, take fewer"
        " steps, or look for NaN in the inputs."
    )
