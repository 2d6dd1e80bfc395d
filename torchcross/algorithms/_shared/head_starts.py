"""Heads that start from the features of the support: prototypes, or the logistic solution."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from torchcross.algorithms._shared.episode_losses import HeadOf
from torchcross.heads import logistic_start, proto_head
from torchcross.heads.logistic_start import start_likelihood
from torchcross.targets import Target

Tree = dict[str, Tensor]


def head_from_features(kind: object, target: Target) -> HeadOf | None:
    """Return what makes the head; None where it needs no features.

    Targets without such a head refuse here, before any training.
    """
    make = _STARTS.get(kind) if isinstance(kind, str) else None
    return None if make is None else make(target)


def needs_features(kind: object) -> bool:
    return isinstance(kind, str) and kind in _STARTS


def _prototypes(target: Target) -> HeadOf:
    proto_head(target, torch.zeros(2, 1), torch.ones(2, target.num_prototypes))
    return lambda features, data: proto_head(target, features, data["strata"])


def _logistic(target: Target) -> HeadOf:
    start_likelihood(target)
    return lambda features, data: logistic_start(target, features, data["ys"])


_STARTS: dict[str, Callable[[Target], HeadOf]] = {"proto": _prototypes, "logistic": _logistic}
