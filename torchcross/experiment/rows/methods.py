"""The rows of a table, by name.

To add a row to the library, add a `Method` to `_ROWS`; others add theirs with `add_row`, or by an
entry point of the group `torchcross.algorithms`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torchcross import backbones
from torchcross._kit.extensions import Extensions
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
from torchcross.errors import InputError
from torchcross.experiment.rows.fine_tuning import GRID
from torchcross.experiment.rows.method import MakeLearner, Method
from torchcross.experiment.settings.listing import settings
from torchcross.experiment.settings.misplaced import unknown_setting
from torchcross.experiment.settings.row_names import BESIDE, algorithm_of, labels_of, row_name
from torchcross.experiment.settings.schema import Experiment

_STEPS = ("meta.inner_steps", "meta.validation_inner_steps", "evaluation.inner_steps")
MEAN_OVER_C = (1.0, 10.0, 100.0)
_NO_INNER_LOOP = ("meta.inner_lr", *_STEPS)


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
        on_features=True,
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
        on_features=True,
        make_adapter=lambda net, normalise, settings, texts: TextPrototypes(
            net, texts, normalise=normalise
        ),
        zero_shot=True,
        reads_texts=True,
    ),
    Method(
        "text+logistic",
        "the starting network as it is, logistic regression pulled towards text, converged",
        on_features=True,
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


def _checked_method(name: str, item: Any) -> Method:
    if not isinstance(item, Method):
        raise InputError(
            f"the row {name!r} is a {type(item).__name__}; give a torchcross.experiment.Method"
        )
    if item.name != name or BESIDE.strip() in name or "," in name:
        raise InputError(
            f"the row {name!r} has a Method of the name {item.name!r}; give both one name, without"
            f" {BESIDE.strip()!r} and commas"
        )
    if not isinstance(item.description, str):
        raise InputError(
            f"the row {name!r} is described by {item.description!r}; give a text that says in words"
            " what the row is"
        )
    _check_ignored(item)
    return item


def _check_ignored(method: Method) -> None:
    """Refuse to ignore a setting that does not exist: the one that is meant would be read."""
    ignored: object = method.ignores
    if isinstance(ignored, str):
        raise InputError(
            f"the row {method.name!r} has ignores={ignored!r}; give a tuple of names of settings,"
            f" such as ({ignored!r},)"
        )
    known = [setting.name for setting in settings()]
    for name in method.ignores:
        if name not in known:
            raise InputError(
                f"the row {method.name!r} has {name!r} in ignores:"
                f" {unknown_setting(str(name), '', known, known)}"
            )


# Of several backbones, a row that is named with its backbone has the same method.
METHODS: Extensions[Method] = Extensions(
    {method.name: method for method in _ROWS},
    group="torchcross.algorithms",
    kind="row",
    check=_checked_method,
    key=algorithm_of,
)


def add_row(method: Method) -> Method:
    """Add a row of your own; a plugin file calls this.

    add_row(Method("mine", "my algorithm over the sources", make_learner=my_learner))
    """
    if not isinstance(method, Method):
        raise InputError(
            f"add_row takes a torchcross.experiment.Method and got {method!r}; give"
            " Method(name, description, ...)"
        )
    return METHODS.add(method.name, method)


def rows_of(algorithms: Iterable[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The names of the rows of a table.

    Of several backbones, by their labels, each algorithm has a row; one that brings a network of
    its own has one row. One whose code is not loaded counts as one without.
    """
    if not labels:
        return tuple(algorithms)
    algorithms = list(algorithms)
    with_any = [
        name for name in algorithms if name not in METHODS or METHODS[name].make_network is None
    ]
    rows = [row_name(name, label) for label in labels for name in with_any]
    return (*rows, *(name for name in algorithms if name not in with_any))


def rows_of_experiment(experiment: Experiment) -> tuple[str, ...]:
    return rows_of(experiment.algorithms, experiment.model.labels)


def rows_of_episodes(experiment: Experiment) -> list[str]:
    """Those that adapt to episodes."""
    return [row for row in rows_of_experiment(experiment) if not METHODS[row].supervised]


def rows_of_values(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Those of an experiment's plain values."""
    return rows_of(values["algorithms"], labels_of(values))


def is_supervised(row: str) -> bool:
    """Whether a row, which other versions may have made, learns from all labels of a target."""
    algorithm = algorithm_of(row)
    return algorithm in METHODS and METHODS[algorithm].supervised
