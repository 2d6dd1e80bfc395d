"""What a row of a table is: how it starts, trains and adapts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from torchcross import backbones
from torchcross.algorithms import Algorithm
from torchcross.data import Normalise
from torchcross.experiment.settings.schema import EvaluationSettings, Experiment
from torchcross.text import Texts
from torchcross.training.ranks import usable_ranks

MakeLearner = Callable[..., Algorithm]
"""(network, MetaTrainingSettings, what normalises its images or None, other options) -> learner."""
MakeAdapter = Callable[..., Algorithm]
"""(network, what normalises its images or None, EvaluationSettings) -> what adapts.

Of a row that reads texts it takes those as well.
"""
MakeNetwork = Callable[[int], backbones.Backbone]
"""(number of channels) -> network."""


@dataclass(frozen=True)
class Method:
    """One row of a table.

    make_learner  makes what is trained over episodes
    pretrains     multi-task pre-training on the sources instead
    supervised    training on the target's own train split instead
    zero_shot     can do without a support set: has cells at 0 shots
    make_adapter  how an untrained network adapts to a support set, whatever
                  `evaluation.adaptation` says
    on_features   reads features of the starting network alone: they may be stored ones
    make_network  a network of the row's own, whatever `model` says
    fine_tuning   settings of `fine_tuning` that the row has anyway
    always_tuned  is fine-tuned, whatever `evaluation.adaptation` says
    random        starts from random values even where weights are given
    penalised     reads `evaluation.C`
    tempered      reads `evaluation.temperature`
    reads_texts   knows classes by their names: `make_adapter` also takes the texts of a task
    needs_weights cannot run without weights, of `model.weights` or of the backbone's address
    ignores       settings of its own way of training and adapting that it does not read
    """

    name: str
    description: str
    make_learner: MakeLearner | None = None
    pretrains: bool = False
    supervised: bool = False
    zero_shot: bool = False
    make_adapter: MakeAdapter | None = None
    on_features: bool = False
    make_network: MakeNetwork | None = None
    fine_tuning: Mapping[str, Any] = field(default_factory=dict)
    always_tuned: bool = False
    random: bool = False
    penalised: bool = False
    tempered: bool = False
    reads_texts: bool = False
    needs_weights: bool = False
    ignores: tuple[str, ...] = ()

    @property
    def learns_from_sources(self) -> bool:
        return self.pretrains or self.make_learner is not None

    @property
    def trains(self) -> bool:
        return self.learns_from_sources or self.supervised

    def has_seeds(self, has_weights: bool) -> bool:
        """Whether another training seed can make another network: by training or random values.

        `has_weights` is `ModelSettings.has_weights`.
        """
        return self.make_network is None and (self.trains or self.random or not has_weights)

    @property
    def spares_network(self) -> bool:
        """Whether the starting network is as it was after this row, which may have its own."""
        return self.on_features or self.make_network is not None

    def adapter_of(
        self,
        net: nn.Module,
        normalise: Normalise | None,
        settings: EvaluationSettings,
        texts: Texts | None,
    ) -> Algorithm:
        """What `make_adapter` makes; `texts` are for a row that reads any."""
        assert self.make_adapter is not None, f"{self.name} has no way of its own to adapt"
        own = (texts,) if self.reads_texts else ()
        return self.make_adapter(net, normalise, settings, *own)

    def ranks(self, experiment: Experiment, most: int) -> int:
        """How many of `most` ranks the row's training has."""
        if not self.trains:
            return 1
        section = experiment.pretraining if self.make_learner is None else experiment.meta
        return usable_ranks(section.fit_options(seed=0, judged=True), most)

    @property
    def has_own_way(self) -> bool:
        return self.make_learner is not None and not self.always_tuned

    def adapts_in_own_way(self, experiment: Experiment) -> bool:
        return self.has_own_way and experiment.evaluation.adaptation == "own"

    def is_fine_tuned(self, experiment: Experiment) -> bool:
        return self.make_adapter is None and not self.adapts_in_own_way(experiment)
