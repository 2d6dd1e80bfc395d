"""Where no row moves the starting network, its features of a target are computed once."""

from __future__ import annotations

from typing import Any

from torchcross import backbones
from torchcross.algorithms import Algorithm
from torchcross.data import TaskSource
from torchcross.embedding import Embedding, EmbeddingOptions
from torchcross.errors import InputError
from torchcross.experiment.rows.methods import METHODS, Method, input_normalisation
from torchcross.experiment.settings.schema import Experiment


def uses_features(experiment: Experiment) -> bool:
    """Whether all rows are of the starting network as it is, and may have stored features."""
    rows = (METHODS[name] for name in experiment.algorithms if name in METHODS)
    return experiment.evaluation.features != "none" and all(row.on_features for row in rows)


def feature_options(net: Any, experiment: Experiment, views: int = 1) -> EmbeddingOptions:
    """How a network's features are made: as the rows that have the network itself make them."""
    precision = experiment.evaluation.features
    return EmbeddingOptions(
        dtype="float16" if precision == "float16" else "float32",
        views=views,
        normalise=input_normalisation(net, experiment),
    )


def embedding_of(source: TaskSource, net: Any, experiment: Experiment, views: int = 1) -> Embedding:
    return Embedding(source, net, feature_options(net, experiment, views))


def adapter_of_features(method: Method, width: int, experiment: Experiment) -> Algorithm:
    """What turns a support set of stored features into a predictor."""
    if method.make_adapter is None:
        raise InputError(f"the row {method.name!r} takes no stored features")
    return method.make_adapter(backbones.vectors(width), None, experiment.evaluation)


def features_in_words(experiment: Experiment) -> str:
    """For the log and the protocol of a run; "" where each episode has forwards of its own."""
    if not uses_features(experiment):
        return ""
    approximation = ""
    if experiment.evaluation.features == "float16":
        approximation = ", rounded to float16, which is an approximation"
    return (
        "no row moves the starting network: its features are computed once for each target"
        f"{approximation} (evaluation.features)"
    )
