"""What BatchNorm does on the query, and what its running statistics are: in words, for a page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from torchcross import backbones
from torchcross.experiment.rows.adaptation import (
    RENEWAL_EPISODES,
    adapter,
    reads_running_statistics,
)
from torchcross.experiment.rows.methods import METHODS, rows_of_episodes
from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.row_settings import experiment_of_row
from torchcross.experiment.settings.schema import Experiment
from torchcross.text import TextVectors

_NORMS = {
    "running": (
        "running statistics, moved by the forwards of the support set; no query image says anything"
        " about another"
    ),
    "frozen": "running statistics as they are; no query image says anything about another",
    "support": "statistics of the support set; no query image says anything about another",
    "per_step": (
        "statistics of each inner step, moved by the support set; no query image says anything"
        " about another"
    ),
    "batch": (
        "statistics of the query set itself. This is transductive: the prediction for an image"
        " depends on the other images, and such rows know more than the others"
    ),
}
_MIXED_NORMS = " Rows that are transductive and rows that are not stand in one table."


def norms_in_words(experiment: Experiment) -> str:
    """Rows by BatchNorm policy, and a caution where transductive rows stand beside others."""
    rows = _rows_by(experiment, lambda name, algorithm: algorithm.network.policy.name)
    texts = [
        f"`{norm}` ({', '.join(names)}): {_NORMS.get(norm, norm)}" for norm, names in rows.items()
    ]
    mixed = len(rows) > 1 and "batch" in rows
    return f"{'; '.join(texts)}.{_MIXED_NORMS if mixed else ''}"


def transductive_rows(experiment: Experiment) -> list[str]:
    """The rows whose prediction for an image depends on the other query images."""
    rows = _rows_by(experiment, lambda name, algorithm: algorithm.network.policy.name)
    return [
        name
        for name in rows.get("batch", ())
        if _may_have_batch_norm(experiment_of_row(experiment, name).model.backbone)
    ]


def _may_have_batch_norm(backbone: BackboneSettings) -> bool:
    """False where the settings of a network rule it out."""
    is_transformer = "vit" in backbone.name.lower()
    return not is_transformer and backbone.options.get("norm", "batch") == "batch"


def running_statistics_in_words(experiment: Experiment) -> str:
    """Where the running statistics come from, by rows that read them."""

    def origin(name: str, algorithm: Any) -> str:
        return _origin(name, experiment) if reads_running_statistics(algorithm) else ""

    rows = _rows_by(experiment, origin)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in rows.items() if text)


def _origin(name: str, experiment: Experiment) -> str:
    method = METHODS[name]
    begin = "those of a new network, mean 0 and variance 1"
    own = experiment_of_row(experiment, name)
    if own.model.has_weights and not method.random:
        begin = "those of the published weights"
    if method.pretrains:
        return "as training on the sources left them"
    if method.make_learner is None:
        return begin
    if own.meta.running_statistics == "kept":
        return f"{begin}, which training does not move, as published"
    return (
        f"renewed on {RENEWAL_EPISODES} episodes of the sources after training, which does not move"
        " them (as published, those of the ImageNet weights stay)"
    )


def _rows_by(experiment: Experiment, key: Callable[[str, Any], str]) -> dict[str, list[str]]:
    """The rows by what `key` says of what they adapt with."""
    rows: dict[str, list[str]] = {}
    for name in rows_of_episodes(experiment):
        method = METHODS[name]
        # A network of one channel stands for the trained one.
        net = backbones.conv4(1, in_channels=1)
        make = method.make_learner
        own = experiment_of_row(experiment, name)
        trained = net if make is None else make(net, own.meta, None)
        # What texts say changes nothing of the network.
        texts = TextVectors({"any": torch.ones(net.num_features)})
        rows.setdefault(key(name, adapter(method, trained, own, texts)), []).append(name)
    return rows
