"""The network that a row starts from, and what is done to its images."""

from __future__ import annotations

from typing import Any

from torchcross import backbones
from torchcross.data import Normalise
from torchcross.experiment.rows.methods import Method
from torchcross.experiment.settings.schema import NORMALISATIONS, Experiment

__all__ = ["input_normalisation", "starting_network"]


def starting_network(method: Method, experiment: Experiment, seed: int) -> Any:
    """The backbone with random values, or with the weights of the experiment."""
    model = experiment.model
    options = {"in_channels": experiment.data.channels, **model.backbone.options}
    net = backbones.build({"name": model.backbone.name, "options": options}, seed=seed)
    if model.weights and not method.random:
        backbones.load_weights(net, model.weights, normalisation=model.normalisation or None)
    return net


def input_normalisation(net: Any, experiment: Experiment) -> Normalise | None:
    """What normalises images in [0, 1] for a network of random initial values.

    A network with published weights normalises its images itself: None.
    """
    if getattr(net, "weights", None) is not None:
        return None
    usual = "imagenet" if experiment.data.channels == 3 else "none"
    mean, std = NORMALISATIONS[experiment.model.normalisation or usual]
    return Normalise(mean, std) if mean else None
