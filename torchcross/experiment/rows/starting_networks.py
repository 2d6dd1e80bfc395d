"""The network that a row starts from, and what normalises its images."""

from __future__ import annotations

from typing import Any

from torchcross import backbones
from torchcross.data import Normalise
from torchcross.experiment.rows.addressed_backbones import (
    network_at_address,
    pretrained_network,
)
from torchcross.experiment.rows.method import Method
from torchcross.experiment.settings.model_settings import NORMALISATIONS
from torchcross.experiment.settings.schema import Experiment


def starting_network(method: Method, experiment: Experiment, seed: int) -> Any:
    """The backbone with random values, or with the weights of the experiment, or the row's own."""
    if method.make_network is not None:
        return method.make_network(experiment.data.channels)
    model = experiment.model
    if model.backbone.is_pretrained:
        return pretrained_network(experiment, seed, random=method.random)
    net = _network_of_random_values(experiment, seed)
    if model.weights and not method.random:
        backbones.load_weights(net, model.weights, normalisation=model.normalisation or None)
    return net


def _network_of_random_values(experiment: Experiment, seed: int) -> backbones.Backbone:
    model = experiment.model
    if model.backbone.is_addressed:
        return network_at_address(experiment, seed)
    options = {"in_channels": experiment.data.channels, **model.backbone.options}
    return backbones.build({"name": model.backbone.name, "options": options}, seed=seed)


def input_normalisation(net: Any, experiment: Experiment) -> Normalise | None:
    """What normalises images in [0, 1] for a network of random initial values.

    A network with published weights normalises its images itself: None.
    """
    if getattr(net, "weights", None) is not None:
        return None
    usual = "imagenet" if experiment.data.channels == 3 else "none"
    mean, std = NORMALISATIONS[experiment.model.normalisation or usual]
    return Normalise(mean, std) if mean else None
