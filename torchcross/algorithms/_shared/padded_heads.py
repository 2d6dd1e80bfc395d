"""Episodes with different numbers of outputs in the same lanes: heads padded to the largest, the
rest masked.

A row of a head whose output counts for nothing has a gradient of exactly zero: the inner loop
leaves it at zero.
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

__all__ = ["PRESENT", "padded_alike", "padded_loss"]

PRESENT = "present"
_LABELS = ("ys", "yq")
_PER_TARGET = (*_LABELS, "strata")
Tree = dict[str, Tensor]


def padded_alike(
    problems: Sequence[Problem],
    targets: Sequence[Target],
    inner_of: Callable[[Target, int, Inner], Inner],
) -> list[Problem]:
    """The same problems; those that differ in their number of outputs alone get one inner loop, and
    so can share lanes.

    `inner_of` (target, outputs, its own inner loop) is asked for the inner loop of the padded ones.
    """
    alike: dict[Hashable, list[int]] = {}
    for index, (problem, target) in enumerate(zip(problems, targets, strict=True)):
        if target.padding is not None:
            alike.setdefault(_key(problem, target), []).append(index)
    found = list(problems)
    for members in alike.values():
        outputs = max(targets[index].num_outputs for index in members)
        if any(targets[index].num_outputs < outputs for index in members):
            inner = inner_of(targets[members[0]], outputs, problems[members[0]].inner)
            for index in members:
                found[index] = _padded(problems[index], targets[index], outputs, inner)
    return found


def _key(problem: Problem, target: Target) -> Hashable:
    inner = problem.inner
    shapes = tuple(
        (name, value.shape)
        for name, value in problem.data.items()
        if isinstance(value, Tensor) and name not in _PER_TARGET
    )
    return target.objective.loss, target.loss_options, inner.steps, inner.query_weights, shapes


def _padded(problem: Problem, target: Target, outputs: int, inner: Inner) -> Problem:
    more, padding = outputs - target.num_outputs, target.padding
    assert padding is not None
    data = {name: value for name, value in problem.data.items() if name not in _PER_TARGET}
    data |= {
        name: padding.labels(problem.data[name], outputs)
        for name in _LABELS
        if name in problem.data
    }
    data[PRESENT] = torch.arange(outputs, device=problem.own[BIAS].device) < target.num_outputs
    own = {
        WEIGHT: F.pad(problem.own[WEIGHT], (0, 0, 0, more)),
        BIAS: F.pad(problem.own[BIAS], (0, more)),
    }
    return dataclasses.replace(problem, inner=inner, data=data, own=own)


def padded_loss(target: Target, outputs: int) -> Callable[[Tree, Tensor, Tensor, Tensor], Tensor]:
    """(params, features, labels, which outputs there are) -> loss, for any target that pads as this
    one does.
    """
    layout, padding = dataclasses.replace(target.head, outputs=outputs), target.padding
    assert padding is not None

    def loss_of(params: Tree, features: Tensor, labels: Tensor, present: Tensor) -> Tensor:
        logits = padding.logits(layout.logits(features, params[WEIGHT], params[BIAS]), present)
        return target.objective.loss(logits, labels, target, **dict(target.loss_options))

    return loss_of
