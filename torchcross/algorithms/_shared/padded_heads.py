"""Episodes with different numbers of outputs share lanes: padded heads, and masked logits.

An output that is not present has a gradient of exactly zero, so the inner loop leaves its row of
the head at zero.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from torchcross.functional import Inner, Problem
from torchcross.heads import BIAS, WEIGHT
from torchcross.targets import Target

PRESENT = "present"
_LABELS = ("ys", "yq")
_PER_TARGET = (*_LABELS, "strata")
Tree = dict[str, Tensor]


def pad_heads(
    problems: Sequence[Problem],
    targets: Sequence[Target],
    inner_of: Callable[[Target, int, Inner], Inner],
) -> list[Problem]:
    """Return the problems; those that differ in nothing but outputs get one padded inner loop.

    `inner_of(target, outputs, inner)` returns the padded form of an inner loop.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, (problem, target) in enumerate(zip(problems, targets, strict=True)):
        if target.padding is not None:
            groups.setdefault(_group_key(problem, target), []).append(index)
    padded = list(problems)
    for members in groups.values():
        outputs = max(targets[index].num_outputs for index in members)
        if any(targets[index].num_outputs < outputs for index in members):
            inner = inner_of(targets[members[0]], outputs, problems[members[0]].inner)
            for index in members:
                padded[index] = _pad(problems[index], targets[index], outputs, inner)
    return padded


def _group_key(problem: Problem, target: Target) -> Hashable:
    inner = problem.inner
    shapes = tuple(
        (name, value.shape)
        for name, value in problem.data.items()
        if isinstance(value, Tensor) and name not in _PER_TARGET
    )
    return target.objective.loss, target.loss_options, inner.steps, inner.query_weights, shapes


def _pad(problem: Problem, target: Target, outputs: int, inner: Inner) -> Problem:
    missing, padding = outputs - target.num_outputs, target.padding
    assert padding is not None
    data = {name: value for name, value in problem.data.items() if name not in _PER_TARGET}
    labels = {name: problem.data[name] for name in _LABELS if name in problem.data}
    data |= {name: padding.labels(values, outputs) for name, values in labels.items()}
    data[PRESENT] = torch.arange(outputs, device=problem.own[BIAS].device) < target.num_outputs
    own = {
        WEIGHT: F.pad(problem.own[WEIGHT], (0, 0, 0, missing)),
        BIAS: F.pad(problem.own[BIAS], (0, missing)),
    }
    return dataclasses.replace(problem, inner=inner, data=data, own=own)


def padded_loss(target: Target, outputs: int) -> Callable[[Tree, Tensor, Tensor, Tensor], Tensor]:
    """Return a loss (params, features, labels, present outputs) for all targets that pad alike."""
    layout, padding = dataclasses.replace(target.head, outputs=outputs), target.padding
    assert padding is not None

    def loss_of(params: Tree, features: Tensor, labels: Tensor, present: Tensor) -> Tensor:
        logits = padding.logits(layout.logits(features, params[WEIGHT], params[BIAS]), present)
        return target.objective.loss(logits, labels, target, **dict(target.loss_options))

    return loss_of
