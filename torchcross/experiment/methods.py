"""The rows of a table: how each algorithm learns from the sources, and what it adapts to a target with."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import nn

from torchcross import backbones
from torchcross.algorithms import (
    ANIL,
    BOIL,
    MAML,
    Algorithm,
    FineTune,
    LinearProbe,
    MetaSGD,
    MultiTask,
    Pretraining,
    ProtoMAML,
    ProtoNet,
    Reptile,
    Ridge,
    Supervised,
)
from torchcross.data import Augmentation, Episodes, EpisodeSampler, MixedBatches, Normalise, TaskSource
from torchcross.data.mixture import labelled
from torchcross.errors import InfeasibleError, InputError
from torchcross.evaluation import evaluate
from torchcross.experiment.sections import INPUTS, Experiment, MetaTraining
from torchcross.experiment.sections import Pretraining as PretrainingSection
from torchcross.metrics import Score
from torchcross.training import Feed, FitOptions

__all__ = ["METHODS", "Course", "Method", "adapter", "backbone", "course", "scores_of"]

_AT_ONCE = 256
_UNJUDGED = "validation: no validation split can be scored, so all steps are done and the last weights kept"

Make = Callable[..., Algorithm]
"""(network, MetaTraining, what is done to its images before it or None) -> what is trained."""
Adapts = Callable[..., Algorithm]
"""(network, what is done to its images before it or None) -> what adapts."""


@dataclass(frozen=True)
class Method:
    """One row of a table.

    make        builds what is trained over episodes
    pretrains   multi-task pre-training on the sources instead; `supervised`: on the target's own train split
    adapts      how an untrained network meets a support set, whatever `evaluation.adaptation` says
    random      starts from random values even where weights are given
    """

    name: str
    says: str
    make: Make | None = None
    pretrains: bool = False
    supervised: bool = False
    adapts: Adapts | None = None
    random: bool = False
    wants_weights: bool = False

    @property
    def trains(self) -> bool:
        return self.pretrains or self.supervised or self.make is not None


def _with_steps(kind: Callable[..., Algorithm], **options: Any) -> Make:
    return lambda net, meta, pixels=None: kind(
        net, steps=meta.inner_steps, lr=meta.inner_lr, normalise=pixels, **options
    )


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("scratch", "random initial values, fine-tuned", random=True),
        Method(
            "ncm",
            "the starting network as it is, nearest class means",
            adapts=lambda net, pixels=None: ProtoNet(net, norm="frozen", normalise=pixels),
        ),
        Method(
            "probe",
            "the starting network as it is, a linear head on its features",
            adapts=lambda net, pixels=None: LinearProbe(net, normalise=pixels),
        ),
        Method("im-pt", "published weights (ImageNet), fine-tuned", wants_weights=True),
        Method("mm-pt", "multi-task pre-training on the sources (Algorithm 1)", pretrains=True),
        Method("mm-maml", "MAML over a mixture of the sources, zero heads (Algorithm 2)", _with_steps(MAML)),
        Method("fo-maml", "mm-maml of first order", _with_steps(MAML, order=1)),
        Method("proto-maml", "MAML from prototype heads", _with_steps(ProtoMAML)),
        Method("anil", "MAML that adapts the head alone", _with_steps(ANIL)),
        Method("boil", "MAML that adapts the body alone", _with_steps(BOIL)),
        Method("meta-sgd", "MAML with a learned rate for every parameter", _with_steps(MetaSGD)),
        Method(
            "reptile",
            "Reptile over the sources, its inner Adam at 1e-3",
            lambda net, meta, pixels=None: Reptile(net, steps=meta.inner_steps, normalise=pixels),
        ),
        Method(
            "protonet",
            "prototypical networks over the sources",
            lambda net, meta, pixels=None: ProtoNet(net, normalise=pixels),
        ),
        Method("supervised", "all labels of the target's own train split (Table 3)", supervised=True),
        Method(
            "ridge",
            "ridge regression heads (R2-D2) over the sources",
            lambda net, meta, pixels=None: Ridge(net, normalise=pixels),
        ),
    )
}


@dataclass(frozen=True)
class Course:
    """What `fit` needs to train one row.

    validate  the mean AUROC over validation splits; None where they have nothing to judge by: nothing stops training
              early then, and the last weights are kept
    left_out  what could not be learned from or judged by, and why
    """

    learner: Algorithm | Pretraining
    data: Any
    options: FitOptions
    validate: Callable[[Any], float] | None
    left_out: tuple[str, ...]


def backbone(method: Method, told: Experiment, seed: int) -> Any:
    """The network that a row starts from."""
    options = {"in_channels": told.data.channels, **told.model.options}
    spec = {"name": told.model.backbone, "options": options}
    made = backbones.build(spec, seed=seed)
    if told.model.weights and not method.random:
        backbones.load_weights(made, told.model.weights, normalisation=told.model.normalisation or None)
    return made


def _pixels(net: Any, told: Experiment) -> Normalise | None:
    """What is done to images in [0, 1] before a network of random beginnings; one with weights does it itself."""
    if getattr(net, "weights", None) is not None:
        return None
    mean, std = INPUTS[told.model.normalisation or ("imagenet" if told.data.channels == 3 else "none")]
    return Normalise(mean, std) if mean else None


def adapter(method: Method, trained: nn.Module, told: Experiment) -> Algorithm:
    """What turns a target's support set into a predictor."""
    if method.adapts is not None:
        return method.adapts(trained, _pixels(trained, told))
    own = isinstance(trained, Algorithm) and told.evaluation.adaptation == "own"
    if own and isinstance(trained, Algorithm):
        return trained
    how = told.evaluation
    net: Any = getattr(trained, "backbone", trained)
    return FineTune(net, steps=how.steps, lr=how.lr, norm=how.norm, normalise=_pixels(net, told))


def course(
    method: Method,
    told: Experiment,
    seed: int,
    train: Sequence[TaskSource],
    val: Sequence[TaskSource],
) -> Course:
    """How a row learns from its sources; only they are seen here."""
    net = backbone(method, told, seed)
    if method.supervised:
        alone = Supervised(net, train[0].task, seed=seed, normalise=_pixels(net, told))
        return _batches(alone, told, seed, train, val)
    if method.pretrains:
        # As many as MixedBatches deals out in one pass: whole batches of labelled samples.
        size = told.pretraining.batch_size
        batches = [max(len(labelled(source)) // size, 1) for source in train]
        counts = batches if told.pretraining.scale_losses else None
        tasks = [source.task for source in train]
        learner = MultiTask(net, tasks, batches=counts, seed=seed, normalise=_pixels(net, told))
        return _batches(learner, told, seed, train, val)
    return _episodic(method, net, told, seed, train, val)


def _batches(
    learner: Pretraining, told: Experiment, seed: int, train: Sequence[TaskSource], val: Sequence[TaskSource]
) -> Course:
    how = told.pretraining
    batches = MixedBatches(list(train), batch_size=how.batch_size, seed=seed, order="epoch")
    data = _Augmented(batches, Augmentation.published(seed)) if how.augment else batches
    known = {(source.task.domain, source.task.name) for source in train}
    judged = [source for source in val if (source.task.domain, source.task.name) in known]
    options = FitOptions(
        steps=how.steps,
        meta_batch=1,
        seed=seed,
        lr=how.lr,
        epoch_steps=batches.batches_per_epoch,
        **_stopping(how, bool(judged)),
    )

    def validate(trained: Pretraining) -> float:
        return _mean([_auroc_of(trained, source, how.validation_images) for source in judged])

    return Course(learner, data, options, validate if judged else None, () if judged else (_UNJUDGED,))


@final
class _Augmented(Feed):
    """Batches with every image flipped, rotated and cropped by chance; batch i is the same whenever it is asked for."""

    def __init__(self, batches: MixedBatches, augmentation: Augmentation) -> None:
        self._batches = batches
        self._augmentation = augmentation

    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        for number in range(start + rank, stop, ranks):
            yield self._augmentation(self._batches.read(self._batches[number]))

    def fingerprint(self, count: int) -> str:
        digest = hashlib.sha256(repr(self._augmentation).encode())
        for number in range(count):
            plan = self._batches[number]
            digest.update(f"\0{plan.source}\0".encode() + plan.samples.astype("<i8").tobytes())
        return digest.hexdigest()


def _auroc_of(trained: Pretraining, source: TaskSource, most: int) -> float:
    return float(scores_of(trained, source, most, ("auroc",))["auroc"].value)


def scores_of(
    trained: Pretraining, source: TaskSource, most: int, metrics: Sequence[str] | None = None
) -> dict[str, Score]:
    """Metrics over `most` samples of a source, evenly spaced, or over all of them; read a batch at a time."""
    count = min(len(source), most)
    rows = [place * len(source) // count for place in range(count)]
    predictor, target = trained.predictor(source.task), source.task.target
    logits = [predictor.logits(source.read(rows[at : at + _AT_ONCE])) for at in range(0, count, _AT_ONCE)]
    return target.evaluate(target.predict(torch.cat(logits)), source.targets(rows), metrics=metrics)


def _episodic(
    method: Method,
    net: Any,
    told: Experiment,
    seed: int,
    train: Sequence[TaskSource],
    val: Sequence[TaskSource],
) -> Course:
    how = told.meta
    assert method.make is not None
    usable, left_out = _usable(train, how, seed)
    judged, unfit = _usable(val, how, seed)
    if not usable:
        raise InfeasibleError(f"{method.name}: no source has the episodes asked for: {'; '.join(left_out)}")
    left_out += [f"validation, {reason}" for reason in unfit] + ([] if judged else [_UNJUDGED])
    options = FitOptions(
        steps=how.steps, meta_batch=how.meta_batch, seed=seed, lr=how.lr, **_stopping(how, bool(judged))
    )
    learner = method.make(net, how, _pixels(net, told))
    # Those that adapt by steps; the others have nothing to count.
    steps = how.validation_inner_steps if hasattr(learner, "recipe") else None
    held = Episodes(_sampler(judged, how, seed + 1)) if judged else ()

    def validate(trained: Algorithm) -> float:
        episodes = (held[number] for number in range(how.validation_episodes))
        rows = evaluate(trained, episodes, run="validation", algorithm=method.name, metrics=("auroc",), steps=steps)
        return _mean([row.value for row in rows])

    return Course(learner, _sampler(usable, how, seed), options, validate if judged else None, tuple(left_out))


def _stopping(how: MetaTraining | PretrainingSection, judged: bool) -> dict[str, Any]:
    """Early stopping, where there is something to judge by."""
    return {"validate_every": min(how.validate_every, how.steps), "patience": how.patience} if judged else {}


def _sampler(sources: Sequence[TaskSource], how: MetaTraining, seed: int) -> EpisodeSampler:
    return EpisodeSampler(
        list(sources),
        ways=how.way_range,
        shots=(how.shots[0], how.shots[1]),
        queries=how.queries,
        min_samples=max(how.min_images, 1),
        seed=seed,
    )


def _usable(sources: Sequence[TaskSource], how: MetaTraining, seed: int) -> tuple[list[TaskSource], list[str]]:
    """The sources that have such episodes, and why the others have not."""
    usable, left_out = [], []
    for source in sources:
        try:
            _sampler([source], how, seed)
        except (InfeasibleError, InputError) as error:
            left_out.append(f"{source.name}: {error}")
        else:
            usable.append(source)
    return usable, left_out


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
