"""The rows of a table: how each starts, trains and adapts, and which settings it reads.

To add a row, add a `Method` to `METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torchcross import backbones
from torchcross.algorithms import (
    ANIL,
    BOIL,
    MAML,
    Algorithm,
    LinearProbe,
    LogisticRegression,
    MetaSGD,
    ProtoMAML,
    ProtoNet,
    Reptile,
    Ridge,
    SimpleShot,
    TextLogistic,
    TextPrototypes,
)
from torchcross.data import Normalise
from torchcross.experiment.rows.addressed_backbones import (
    network_at_address,
    pretrained_network,
)
from torchcross.experiment.rows.fine_tuning import GRID
from torchcross.experiment.settings.model_settings import NORMALISATIONS
from torchcross.experiment.settings.row_names import algorithm_of, labels_of, row_name
from torchcross.experiment.settings.schema import Experiment
from torchcross.training.ranks import usable_ranks

MakeLearner = Callable[..., Algorithm]
"""(network, MetaTrainingSettings, what normalises its images or None, other options) -> learner."""
MakeAdapter = Callable[..., Algorithm]
"""(network, what normalises its images or None, EvaluationSettings) -> what adapts.

Of a row that reads texts it takes those as well.
"""
MakeNetwork = Callable[[int], backbones.Backbone]
"""(number of channels) -> network."""

_STEPS = ("meta.inner_steps", "meta.validation_inner_steps", "evaluation.inner_steps")
MEAN_OVER_C = (1.0, 10.0, 100.0)
_NO_INNER_LOOP = ("meta.inner_lr", *_STEPS)


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

    def takes_part(self, setting: str) -> bool:
        """Whether the row takes part in what a setting is about."""
        rule = _TAKES_PART.get(setting) or _TAKES_PART.get(setting.partition(".")[0])
        return rule is None or rule(self)

    def reads(self, setting: str, experiment: Experiment) -> bool:
        """Whether another value of a setting can make other numbers in this row."""
        if setting in self.ignores or not self.takes_part(setting):
            return False
        rule = _READS.get(setting) or _READS.get(setting.partition(".")[0])
        return rule is None or rule(self, experiment)

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


_TAKES_PART: dict[str, Callable[[Method], bool]] = {
    "model": lambda row: row.make_network is None,
    "data.source_tasks": lambda row: row.learns_from_sources,
    "data.leave_out": lambda row: row.learns_from_sources,
    "text": lambda row: row.reads_texts,
    "pretraining": lambda row: row.pretrains or row.supervised,
    "meta": lambda row: row.make_learner is not None,
    "evaluation.adaptation": lambda row: row.has_own_way,
    "fine_tuning": lambda row: row.make_adapter is None and not row.supervised,
}
"""Settings, or sections of them, that are about some rows only."""

_READS: dict[str, Callable[[Method, Experiment], bool]] = {
    "model.weights": lambda row, experiment: not row.random,
    "machine.precision": lambda row, experiment: row.trains,
    "machine.ranks": lambda row, experiment: row.ranks(experiment, experiment.machine.ranks) > 1,
    "machine.workers": lambda row, experiment: row.trains,
    "pretraining.scale_from_epoch": lambda row, experiment: experiment.pretraining.scale_losses,
    "meta.epoch_episodes": lambda row, experiment: experiment.meta.reads_epochs,
    "meta.running_statistics": lambda row, experiment: (
        row.is_fine_tuned(experiment) or experiment.evaluation.norm in ("running", "frozen")
    ),
    "evaluation.steps": Method.is_fine_tuned,
    "evaluation.lr": Method.is_fine_tuned,
    "fine_tuning": Method.is_fine_tuned,
    "evaluation.C": lambda row, experiment: row.penalised,
    "evaluation.temperature": lambda row, experiment: row.tempered,
    # A row that moves the network leaves all of them their own forwards.
    "evaluation.features": lambda row, experiment: all(
        METHODS[name].on_features for name in experiment.algorithms
    ),
    "evaluation.norm": lambda row, experiment: row.make_adapter is None,
    "evaluation.inner_steps": Method.adapts_in_own_way,
    # Over several training seeds there is one interval, and it has a way of its own.
    "evaluation.interval": lambda row, experiment: len(experiment.seeds) == 1,
}
"""Settings that not every row reads."""


def _inner_loop(kind: Callable[..., Algorithm], **options: Any) -> MakeLearner:
    """Makes an algorithm that adapts by inner steps."""
    return lambda net, meta, normalise=None, **more: kind(
        net,
        steps=meta.inner_steps,
        lr=meta.inner_lr,
        normalise=normalise,
        **options,
        **more,
    )


def _closed_form(kind: Callable[..., Algorithm]) -> MakeLearner:
    """Makes an algorithm that adapts without steps."""
    return lambda net, meta, normalise=None, **more: kind(net, normalise=normalise, **more)


_ROWS = (
    Method("scratch", "random initial values, fine-tuned", random=True),
    Method(
        "ncm",
        "the starting network as it is, nearest class means",
        on_features=True,
        make_adapter=lambda net, normalise, settings: ProtoNet(
            net, norm="frozen", normalise=normalise
        ),
    ),
    Method(
        "simpleshot",
        "the starting network as it is, nearest class means of centred features of unit length",
        on_features=True,
        make_adapter=lambda net, normalise, settings: SimpleShot(net, normalise=normalise),
    ),
    Method(
        "probe",
        "the starting network as it is, a linear head on its features",
        on_features=True,
        make_adapter=lambda net, normalise, settings: LinearProbe(net, normalise=normalise),
    ),
    Method(
        "fixed-probe",
        "the starting network as it is, a linear head from zero, 150 steps of Adam at 1e-4, as in"
        " the published study of foundation models; it has not converged",
        make_adapter=lambda net, normalise, settings: LinearProbe(
            net, steps=150, lr=1e-4, head="zero", normalise=normalise
        ),
    ),
    Method(
        "logistic",
        "the starting network as it is, penalised logistic regression on its features, converged",
        on_features=True,
        make_adapter=lambda net, normalise, settings: LogisticRegression(
            net, C=settings.C, temperature=settings.temperature, normalise=normalise
        ),
        penalised=True,
        tempered=True,
    ),
    Method(
        "logistic-mean",
        "logistic with the mean probability over C = 1, 10 and 100, which needs no validation",
        on_features=True,
        make_adapter=lambda net, normalise, settings: LogisticRegression(
            net, C=MEAN_OVER_C, temperature=settings.temperature, normalise=normalise
        ),
        tempered=True,
    ),
    Method(
        "text",
        "the starting network as it is, images compared with texts of the classes (zero-shot)",
        make_adapter=lambda net, normalise, settings, texts: TextPrototypes(
            net, texts, normalise=normalise
        ),
        zero_shot=True,
        reads_texts=True,
    ),
    Method(
        "text+logistic",
        "the starting network as it is, logistic regression pulled towards text, converged",
        make_adapter=lambda net, normalise, settings, texts: TextLogistic(
            net, texts, C=settings.C, normalise=normalise
        ),
        zero_shot=True,
        penalised=True,
        reads_texts=True,
    ),
    Method(
        "image-statistics",
        "no network: a ridge head on eight global statistics of an image, such as its mean",
        # The statistics are of the images as they are; BatchNorm scales them by the support set.
        make_adapter=lambda net, normalise, settings: Ridge(net, norm="support"),
        make_network=lambda channels: backbones.image_statistics(in_channels=channels),
    ),
    Method("im-pt", "published weights, fine-tuned", needs_weights=True),
    Method(
        "fine-tuned-grid",
        "the starting network, fine-tuned at 3 x 3 pairs of rates (x 0.1, 1, 10): the mean"
        " probability of the nine, which needs no validation",
        fine_tuning={"grid": GRID},
    ),
    Method("mm-pt", "multi-task pre-training on the sources (Algorithm 1)", pretrains=True),
    Method(
        "mm-maml",
        "MAML over a mixture of the sources, zero heads (Algorithm 2)",
        _inner_loop(MAML),
    ),
    Method("fo-maml", "mm-maml of first order", _inner_loop(MAML, order=1)),
    Method("proto-maml", "MAML from prototype heads", _inner_loop(ProtoMAML)),
    Method("anil", "MAML that adapts the head alone", _inner_loop(ANIL)),
    Method("boil", "MAML that adapts the body alone", _inner_loop(BOIL)),
    Method("meta-sgd", "MAML with a learned rate for every parameter", _inner_loop(MetaSGD)),
    Method(
        "reptile",
        "Reptile over the sources, its inner Adam at 1e-3",
        lambda net, meta, normalise=None, **more: Reptile(
            net, steps=meta.inner_steps, normalise=normalise, **more
        ),
        ignores=("meta.inner_lr",),
    ),
    Method(
        "protonet",
        "prototypical networks over the sources",
        _closed_form(ProtoNet),
        ignores=_NO_INNER_LOOP,
    ),
    Method(
        "pmf",
        "published weights, protonet over the sources, then fine-tuned from prototypes (P>M>F)",
        _closed_form(ProtoNet),
        fine_tuning={"head": "proto"},
        always_tuned=True,
        needs_weights=True,
        ignores=(*_NO_INNER_LOOP, "fine_tuning.head"),
    ),
    Method(
        "supervised",
        "all labels of the target's own train split (Table 3)",
        supervised=True,
        ignores=("pretraining.scale_losses", "pretraining.scale_from_epoch"),
    ),
    Method(
        "ridge",
        "ridge regression heads (R2-D2) over the sources",
        _closed_form(Ridge),
        ignores=_NO_INNER_LOOP,
    ),
)


class _Methods(dict[str, Method]):
    """By name; of several backbones, a row that is named with its backbone has the same method."""

    def __missing__(self, row: str) -> Method:
        algorithm = algorithm_of(row)
        if algorithm not in self:
            raise KeyError(row)
        return self[algorithm]


METHODS: dict[str, Method] = _Methods((method.name, method) for method in _ROWS)


def rows_of(algorithms: Iterable[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The names of the rows of a table.

    Of several backbones, by their labels, each algorithm has a row; one that brings a network of
    its own has one row.
    """
    if not labels:
        return tuple(algorithms)
    algorithms = list(algorithms)
    with_any = [name for name in algorithms if METHODS[name].make_network is None]
    rows = [row_name(name, label) for label in labels for name in with_any]
    return (*rows, *(name for name in algorithms if name not in with_any))


def rows_of_experiment(experiment: Experiment) -> tuple[str, ...]:
    return rows_of(experiment.algorithms, experiment.model.labels)


def rows_of_values(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of an experiment's plain values."""
    return rows_of(values["algorithms"], labels_of(values))


def is_supervised(row: str) -> bool:
    """Whether a row, which other versions may have made, learns from all labels of a target."""
    method = METHODS.get(algorithm_of(row))
    return method is not None and method.supervised


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
