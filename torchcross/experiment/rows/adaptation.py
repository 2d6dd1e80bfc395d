"""How a row adapts to a target: what turns a support set into a predictor."""

from __future__ import annotations

from typing import Any

from torch import nn

from torchcross.algorithms import Algorithm, InnerLoopAlgorithm
from torchcross.data import Episodes
from torchcross.experiment.rows.fine_tuning import fine_tuner
from torchcross.experiment.rows.method import MakeLearner, Method
from torchcross.experiment.rows.starting_networks import input_normalisation
from torchcross.experiment.settings.schema import Experiment
from torchcross.text import Texts
from torchcross.training import renew_statistics

RENEWAL_EPISODES = 40
"""Meta-training does not move running statistics: they are renewed on so many episodes after it."""


def adapter(
    method: Method, trained: nn.Module, experiment: Experiment, texts: Texts | None = None
) -> Algorithm:
    """What turns a target's support set into a predictor; `texts` are for a row that reads any."""
    settings = experiment.evaluation
    if method.make_adapter is not None:
        normalise = input_normalisation(trained, experiment)
        return method.adapter_of(trained, normalise, settings, texts)
    if method.adapts_in_own_way(experiment) and isinstance(trained, Algorithm):
        assert method.make_learner is not None
        return _own_adapter(method.make_learner, trained, experiment)
    net: Any = getattr(trained, "backbone", trained)
    return fine_tuner(net, experiment, method.fine_tuning, input_normalisation(net, experiment))


def _own_adapter(
    make_learner: MakeLearner, trained: Algorithm, experiment: Experiment
) -> Algorithm:
    """The learner itself; under another BatchNorm policy, a copy with the same values."""
    norm: str = experiment.evaluation.norm
    if not norm:
        return trained
    if norm == "running" and not isinstance(trained, InnerLoopAlgorithm):
        # Without inner steps no support forward moves the running statistics.
        norm = "frozen"
    net = trained.backbone
    copy = make_learner(net, experiment.meta, input_normalisation(net, experiment), norm=norm)
    copy.load_state_dict(trained.state_dict())
    return copy.to(next(trained.parameters()).device)


def inner_steps(method: Method, algorithm: Algorithm, experiment: Experiment) -> int | None:
    """The inner steps of a row that adapts in its own way; None where the row itself decides."""
    own_way = method.adapts_in_own_way(experiment)
    return experiment.own_steps if own_way and isinstance(algorithm, InnerLoopAlgorithm) else None


def reads_running_statistics(algorithm: Algorithm) -> bool:
    """Whether adapting or predicting reads the running statistics that the network begins with."""
    network: Any = algorithm.network
    policy = network.policy
    return bool(policy.moves or "stored" in (policy.support, policy.query))


def renew_running_statistics(
    method: Method, trained: Algorithm, experiment: Experiment, episodes: Episodes
) -> None:
    """After meta-training, take running statistics over the first episodes, if the row reads them.

    They depend on weights and episodes alone: a training that goes on, or is only loaded, ends with
    the same ones.
    """
    if reads_running_statistics(adapter(method, trained, experiment)):
        renew_statistics(trained, (episodes[number] for number in range(RENEWAL_EPISODES)))
