"""How a row meets a target: what turns a support set into a predictor, and what it begins with."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchcross.algorithms import Algorithm, FineTune, InnerLoopAlgorithm
from torchcross.data import Episodes, EpisodeSampler
from torchcross.experiment.rows.methods import Make, Method, pixels_of
from torchcross.experiment.settings.schema import Experiment
from torchcross.training import renew_statistics

__all__ = ["RENEWED", "adapter", "inner_steps", "reads_running_statistics", "renew"]

RENEWED = 40
"""Episodes of the sources that running statistics are renewed on after meta-training, which does
not move them.
"""


def adapter(method: Method, trained: nn.Module, told: Experiment) -> Algorithm:
    """What turns a target's support set into a predictor."""
    if method.adapts is not None:
        return method.adapts(trained, pixels_of(trained, told))
    how = told.evaluation
    if method.make is not None and isinstance(trained, Algorithm) and how.adaptation == "own":
        return _own(method.make, trained, told)
    net: Any = getattr(trained, "backbone", trained)
    return FineTune(
        net, steps=how.steps, lr=how.lr, norm=how.fine_tuning_norm, normalise=pixels_of(net, told)
    )


def _own(make: Make, trained: Algorithm, told: Experiment) -> Algorithm:
    """The learner itself; under another BatchNorm policy one like it, with all that it has
    learned.
    """
    norm: str = told.evaluation.norm
    if not norm:
        return trained
    if norm == "running" and not isinstance(trained, InnerLoopAlgorithm):
        # Without inner steps no support forward moves the running statistics.
        norm = "frozen"
    made = make(trained.backbone, told.meta, pixels_of(trained.backbone, told), norm=norm)
    made.load_state_dict(trained.state_dict())
    return made.to(next(trained.parameters()).device)


def inner_steps(method: Method, how: Algorithm, told: Experiment) -> int | None:
    """How many inner steps a row that adapts in its own way takes on a target; None where the row
    itself says it.
    """
    own = (
        told.evaluation.adaptation == "own"
        and method.make is not None
        and isinstance(how, InnerLoopAlgorithm)
    )
    return told.own_steps if own else None


def reads_running_statistics(how: Algorithm) -> bool:
    """Whether adapting or predicting reads the running statistics that the network begins with."""
    network: Any = how.network
    return bool(network.policy.moves or "stored" in (network.policy.support, network.policy.query))


def renew(method: Method, trained: Algorithm, told: Experiment, episodes: EpisodeSampler) -> None:
    """After meta-training: where the row reads running statistics, make them those of the first
    episodes of training.

    They follow from weights and episodes alone, so that a training that goes on, or is only loaded,
    ends in the same.
    """
    if reads_running_statistics(adapter(method, trained, told)):
        read = Episodes(episodes)
        renew_statistics(trained, (read[number] for number in range(RENEWED)))
