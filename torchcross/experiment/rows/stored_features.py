"""Where no row moves the starting network, its features of a target are computed once.

A row with a network of its own does not move it: it reads images, and the others features.
"""

from __future__ import annotations

from typing import Any

from torchcross import backbones
from torchcross.algorithms import Algorithm
from torchcross.data import TaskSource
from torchcross.data.sources.feature_source import FINGERPRINT_IMAGES
from torchcross.embedding import Embedding, EmbeddingOptions
from torchcross.embedding.digests import NetworkDigests
from torchcross.errors import InputError
from torchcross.experiment.rows.method import Method
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.starting_networks import input_normalisation
from torchcross.experiment.settings.schema import Experiment
from torchcross.text import Texts


def uses_features(experiment: Experiment) -> bool:
    """Whether rows read stored features of the starting network, which no row moves."""
    return bool(_rows_on_features(experiment)) and not _rows_that_move(experiment)


def row_uses_features(row: str, experiment: Experiment) -> bool:
    return METHODS[row].on_features and uses_features(experiment)


def _rows_on_features(experiment: Experiment) -> list[str]:
    if experiment.evaluation.features == "none":
        return []
    return [name for name, method in _methods_by_row(experiment).items() if method.on_features]


def _rows_that_move(experiment: Experiment) -> list[str]:
    methods = _methods_by_row(experiment)
    return [name for name, method in methods.items() if not method.spares_network]


def _methods_by_row(experiment: Experiment) -> dict[str, Method]:
    """Without the names of no row: an experiment is compared with a run before it is checked."""
    return {name: METHODS[name] for name in experiment.algorithms if name in METHODS}


def feature_options(net: Any, experiment: Experiment, views: int = 1) -> EmbeddingOptions:
    """How a network's features are made: as the rows that have the network itself make them."""
    precision = experiment.evaluation.features
    return EmbeddingOptions(
        dtype="float16" if precision == "float16" else "float32",
        views=views,
        normalise=input_normalisation(net, experiment),
    )


def embedding_of(
    source: TaskSource,
    net: Any,
    experiment: Experiment,
    views: int = 1,
    digests: NetworkDigests | None = None,
) -> Embedding:
    return Embedding(source, net, feature_options(net, experiment, views), digests)


def adapter_of_features(
    method: Method, width: int, experiment: Experiment, texts: Texts | None = None
) -> Algorithm:
    """What turns a support set of stored features into a predictor.

    `texts` are for a row that reads any.
    """
    if not method.on_features:
        raise InputError(f"the row {method.name!r} takes no stored features")
    return method.adapter_of(backbones.vectors(width), None, experiment.evaluation, texts)


def features_in_words(experiment: Experiment) -> str:
    """For the log and the protocol of a run; "" where no row could have stored features."""
    rows = _rows_on_features(experiment)
    if not rows:
        return ""
    if moving := _rows_that_move(experiment):
        verb = "moves" if len(moving) == 1 else "move"
        compute = "computes" if len(rows) == 1 else "compute"
        return (
            f"{', '.join(moving)} {verb} the starting network: {', '.join(rows)} {compute} features"
            " for each episode, and none are stored (evaluation.features)"
        )
    approximation = ""
    if experiment.evaluation.features == "float16":
        approximation = ", rounded to float16, which is an approximation"
    of_images = [name for name in experiment.algorithms if not METHODS[name].on_features]
    exceptions = f"; {', '.join(of_images)}: a network of its own, on images" if of_images else ""
    return (
        "no row moves the starting network: its features are computed once for each target"
        f"{approximation} (evaluation.features){exceptions}. A stored file (data.features) is used"
        " where network, preprocessing, the number of images and the bytes of"
        f" {FINGERPRINT_IMAGES} of them, evenly spaced, are those that it was made of"
    )
