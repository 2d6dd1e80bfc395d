"""The features of many targets by many backbones, as `torchcross features` makes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, final

from torchcross.backbones import Backbone
from torchcross.data import TaskSource
from torchcross.embedding import Embedding
from torchcross.embedding.digests import NetworkDigests
from torchcross.experiment.device import machine_of, own_threads
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.stored_features import embedding_of
from torchcross.experiment.run.experiment_job import as_sent
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.settings.schema import Experiment

_ROW: Final = "logistic"
"""Any row that reads features: they all have the same ones."""


@final
@dataclass(frozen=True)
class TargetEmbeddings:
    """The targets of an experiment, by the backbone of each of these experiments.

    They differ in `model` alone. A name is the place of the experiment, a colon and the target.
    """

    experiments: tuple[Experiment, ...] = field(hash=False)
    views: int = 1

    def names(self) -> Sequence[str]:
        _, targets = open_targets(self.experiments[0].data)
        places = range(len(self.experiments))
        return [f"{place}:{target}" for place in places for target in targets]

    def open(self, name: str) -> Embedding:
        place, _, target = name.partition(":")
        experiment = self.experiments[int(place)]
        with own_threads(experiment.machine):
            network, digests = _network(self, int(place)), _digests(self, int(place))
            return embedding_of(_source(self, target), network, experiment, self.views, digests)

    def words_of(self, name: str) -> str:
        """For people: the target and the backbone."""
        place, _, target = name.partition(":")
        return f"{target} by {self.experiments[int(place)].model.backbone.name}"

    def elsewhere(self) -> TargetEmbeddings:
        """The same for a process with another working folder."""
        return replace(self, experiments=tuple(map(as_sent, self.experiments)))


@lru_cache(maxsize=1)
def _network(embeddings: TargetEmbeddings, place: int) -> Backbone:
    experiment = embeddings.experiments[place]
    net: Backbone = starting_network(METHODS[_ROW], experiment, experiment.seeds[0])
    return net.to(machine_of(experiment.machine).device)


@lru_cache(maxsize=1)
def _digests(embeddings: TargetEmbeddings, place: int) -> NetworkDigests:
    """Once for all targets: there may be gigabytes of weights."""
    return NetworkDigests.of(_network(embeddings, place))


@lru_cache(maxsize=1)
def _source(embeddings: TargetEmbeddings, target: str) -> TaskSource:
    collection, _ = open_targets(embeddings.experiments[0].data)
    return collection.target(target)
