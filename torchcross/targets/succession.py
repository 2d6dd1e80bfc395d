"""What is predicted of a class that a support set has no sample of: the rule of succession.

Of n samples with a known label and C classes, a class without any sample has the probability
1 / (n + C): Laplace's rule of succession, the mean of its probability if all shares of the classes
were equally likely before. The classes that are there share the rest as a head does that is fitted
to them alone. If all are there, nothing changes; if one is there alone, every prediction is the
same. For labels, each label is a question of its own with two answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def support_counts(target: Any, labels: Int[Tensor, " N *L"]) -> tuple[int, ...]:
    """How many samples of a support set each prototype of the target would be the mean of."""
    return tuple(map(int, target.prototype_strata(labels.long()).sum(0).tolist()))


def missing_classes(target: Any, counts: Sequence[int]) -> tuple[str, ...]:
    """Names of the classes of which a support set has no sample, by its `support_counts`.

    Of labels: those that it has not both with and without.
    """
    empty = {place % target.num_classes for place, count in enumerate(counts) if not count}
    return tuple(target.classes[place] for place in sorted(empty))


def with_missing_classes(
    log_probabilities: Float[Tensor, "N S"], counts: Sequence[int]
) -> Float[Tensor, "N C"]:
    """Log-probabilities of the S classes that are there -> those of all C classes.

    `counts` are the samples of each class, and S of them are not 0.
    """
    number = len(counts)
    there = [place for place, count in enumerate(counts) if count]
    total = sum(counts) + number
    log_total = log_probabilities.new_tensor(float(total)).log()
    whole = (-log_total).expand(len(log_probabilities), number).clone()
    if there:
        share = log_probabilities.new_tensor(1 - (number - len(there)) / total).log()
        whole[:, there] = log_probabilities + share
    return whole


def log_odds_of_labels(
    log_odds: Float[Tensor, "N S"], without: Sequence[int], having: Sequence[int]
) -> Float[Tensor, "N L"]:
    """Log-odds of the S labels that have both answers -> those of all L labels.

    `without` and `having` are the samples of each label with the answers no and yes.
    """
    both = [place for place, pair in enumerate(zip(without, having, strict=True)) if all(pair)]
    odds = [(yes + 1) / (no + 1) for no, yes in zip(without, having, strict=True)]
    whole = log_odds.new_tensor(odds).log().expand(len(log_odds), len(odds)).clone()
    whole[:, both] = log_odds
    return whole


def as_double(values: Tensor) -> Tensor:
    """In float64, on a device that has it: probabilities near 1 stay apart."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def log_of(probabilities: Float[Tensor, "N C"]) -> Float[Tensor, "N C"]:
    """The logarithm, finite where a probability is rounded to 0."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()
