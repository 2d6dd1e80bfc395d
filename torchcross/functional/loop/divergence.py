"""Refuses results that are not finite, and names the inner step where they went wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from torchcross.errors import DivergenceError
from torchcross.functional.loop.problem import Problem
from torchcross.functional.trees import Params


def refuse_divergence(problem: Problem, trace: Tensor, results: dict[str, Params]) -> None:
    """Raise where a loss of `trace` or a tensor of `results` (by what it is) is not finite."""
    reason = _reason(problem.inner.steps, trace, results)
    if reason is not None:
        raise DivergenceError(
            f"{problem.name}: the inner loop diverged: {reason}. Lower the inner rate, take fewer"
            " steps, or look for NaN in the inputs."
        )


def _reason(steps: int, trace: Tensor, results: dict[str, Params]) -> str | None:
    finite = torch.isfinite(trace)
    if not finite.all():
        first = int((~finite).nonzero()[0])
        loss = f"the support loss before inner step {first + 1} of {steps}"
        return f"{loss if first < steps else 'the query loss'} is {trace[first].item()}"
    for kind, tensors in results.items():
        for name, value in tensors.items():
            if not torch.isfinite(value).all():
                return f"the losses are finite, but {kind} {name!r} is not"
    return None
