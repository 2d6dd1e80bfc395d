"""The rows of a table: how each algorithm learns from the sources, and what it adapts to a target
with.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch

from torchcross import backbones
from torchcross.algorithms import (
    ANIL,
    BOIL,
    MAML,
    Algorithm,
    InnerLoopAlgorithm,
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
from torchcross.data import (
    Augmentation,
    Episodes,
    EpisodeSampler,
    MixedBatches,
    MixedBatchLoader,
    Normalise,
    TaskSource,
)
from torchcross.data.loading.batches import BatchPlan
from torchcross.data.sampling.mixture import labelled_samples
from torchcross.errors import InfeasibleError, InputError
from torchcross.evaluation import evaluate
from torchcross.experiment.settings.schema import INPUTS, Experiment, MetaTraining
from torchcross.metrics import Score
from torchcross.training import Feed, FitOptions

__all__ = [
    "METHODS",
    "Course",
    "Make",
    "Method",
    "backbone",
    "course",
    "pixels_of",
    "scores_of",
]

_AT_ONCE = 256
_UNJUDGED = "no validation split can be scored, so all steps are done and the last weights kept"

Make = Callable[..., Algorithm]
"""(network, MetaTraining, what is done to its images before it or None, other options) -> what is
trained.
"""
Adapts = Callable[..., Algorithm]
"""(network, what is done to its images before it or None) -> what adapts."""


@dataclass(frozen=True)
class Method:
    """One row of a table.

    make        builds what is trained over episodes
    pretrains   multi-task pre-training on the sources instead; `supervised`: on the target's own
                train split
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
    return lambda net, meta, pixels=None, **more: kind(
        net, steps=meta.inner_steps, lr=meta.inner_lr, normalise=pixels, **options, **more
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
        Method(
            "mm-maml",
            "MAML over a mixture of the sources, zero heads (Algorithm 2)",
            _with_steps(MAML),
        ),
        Method("fo-maml", "mm-maml of first order", _with_steps(MAML, order=1)),
        Method("proto-maml", "MAML from prototype heads", _with_steps(ProtoMAML)),
        Method("anil", "MAML that adapts the head alone", _with_steps(ANIL)),
        Method("boil", "MAML that adapts the body alone", _with_steps(BOIL)),
        Method("meta-sgd", "MAML with a learned rate for every parameter", _with_steps(MetaSGD)),
        Method(
            "reptile",
            "Reptile over the sources, its inner Adam at 1e-3",
            lambda net, meta, pixels=None, **more: Reptile(
                net, steps=meta.inner_steps, normalise=pixels, **more
            ),
        ),
        Method(
            "protonet",
            "prototypical networks over the sources",
            lambda net, meta, pixels=None, **more: ProtoNet(net, normalise=pixels, **more),
        ),
        Method(
            "supervised", "all labels of the target's own train split (Table 3)", supervised=True
        ),
        Method(
            "ridge",
            "ridge regression heads (R2-D2) over the sources",
            lambda net, meta, pixels=None, **more: Ridge(net, normalise=pixels, **more),
        ),
    )
}


@dataclass(frozen=True)
class Course:
    """What `fit` needs to train one row.

    validate  the mean AUROC over validation splits; None where they have nothing to judge by:
              nothing stops training early then, and the last weights are kept
    learned   the names of the sources that are learned from
    left_out  those that cannot be learned from, each with the reason
    unjudged  what cannot be judged by, and why
    renewal   episodes to renew running statistics on, where training does not move them
    """

    learner: Algorithm | Pretraining
    data: Any
    options: FitOptions
    validate: Callable[[Any], float] | None
    learned: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    renewal: EpisodeSampler | None = None


def backbone(method: Method, told: Experiment, seed: int) -> Any:
    """The network that a row starts from."""
    options = {"in_channels": told.data.channels, **told.model.options}
    spec = {"name": told.model.backbone, "options": options}
    made = backbones.build(spec, seed=seed)
    if told.model.weights and not method.random:
        backbones.load_weights(
            made, told.model.weights, normalisation=told.model.normalisation or None
        )
    return made


def pixels_of(net: Any, told: Experiment) -> Normalise | None:
    """What is done to images in [0, 1] before a network of random beginnings; one with weights does
    it itself.
    """
    if getattr(net, "weights", None) is not None:
        return None
    mean, std = INPUTS[
        told.model.normalisation or ("imagenet" if told.data.channels == 3 else "none")
    ]
    return Normalise(mean, std) if mean else None


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
        alone = Supervised(net, train[0].task, seed=seed, normalise=pixels_of(net, told))
        return _batches(alone, told, seed, train, val)
    if method.pretrains:
        # As many as MixedBatches deals out in one pass: whole batches of labelled samples.
        size = told.pretraining.batch_size
        batches = [max(len(labelled_samples(source)) // size, 1) for source in train]
        counts = batches if told.pretraining.scale_losses else None
        tasks = [source.task for source in train]
        learner = MultiTask(net, tasks, batches=counts, seed=seed, normalise=pixels_of(net, told))
        return _batches(learner, told, seed, train, val)
    return _episodic(method, net, told, seed, train, val)


def _batches(
    learner: Pretraining,
    told: Experiment,
    seed: int,
    train: Sequence[TaskSource],
    val: Sequence[TaskSource],
) -> Course:
    how = told.pretraining
    batches = MixedBatches(list(train), batch_size=how.batch_size, seed=seed, order="epoch")
    workers = told.machine.workers
    data = _Augmented(batches, Augmentation.published(seed), workers) if how.augment else batches
    known = {(source.task.domain, source.task.name) for source in train}
    judged = [source for source in val if (source.task.domain, source.task.name) in known]
    options = how.fit_options(
        seed=seed,
        judged=bool(judged),
        # A feed has its own.
        workers=0 if how.augment else workers,
        epoch_steps=batches.batches_per_epoch,
    )

    def validate(trained: Pretraining) -> float:
        return _mean([_auroc_of(trained, source, how.validation_images) for source in judged])

    return Course(
        learner,
        data,
        options,
        validate if judged else None,
        learned=tuple(source.name for source in train),
        unjudged=() if judged else (_UNJUDGED,),
    )


@final
class _AugmentedBatches:
    """What a loader asks of batches."""

    def __init__(self, batches: MixedBatches, augmentation: Augmentation) -> None:
        self._batches = batches
        self._augmentation = augmentation

    def __getitem__(self, number: int) -> BatchPlan:
        return self._batches[number]

    def read(self, plan: BatchPlan) -> Any:
        return self._augmentation(self._batches.read(plan))


@final
class _Augmented(Feed):
    """Batches with every image flipped, rotated and cropped by chance; batch i is the same whenever
    it is asked for.
    """

    def __init__(self, batches: MixedBatches, augmentation: Augmentation, workers: int = 0) -> None:
        self._batches = batches
        self._augmentation = augmentation
        self._workers = workers

    def read(self, start: int, stop: int, *, rank: int = 0, ranks: int = 1) -> Iterator[Any]:
        augmented: Any = _AugmentedBatches(self._batches, self._augmentation)
        yield from MixedBatchLoader(
            augmented, stop, start=start, rank=rank, ranks=ranks, workers=self._workers
        )

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
    """Metrics over `most` samples of a source, evenly spaced, or over all of them; read a batch at
    a time.
    """
    count = min(len(source), most)
    rows = [place * len(source) // count for place in range(count)]
    predictor, target = trained.predictor(source.task), source.task.target
    device = next(trained.parameters()).device
    images = (source.read(rows[at : at + _AT_ONCE]).to(device) for at in range(0, count, _AT_ONCE))
    logits = [predictor.logits(part) for part in images]
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
        raise InfeasibleError(
            f"{method.name}: no source has the episodes asked for: {'; '.join(left_out)}"
        )
    options = how.fit_options(seed=seed, judged=bool(judged), workers=told.machine.workers)
    learner = method.make(net, how, pixels_of(net, told))
    # Those that adapt by steps; the others have nothing to count.
    steps = how.validation_inner_steps if isinstance(learner, InnerLoopAlgorithm) else None
    held = Episodes(_sampler(judged, how, seed + 1)) if judged else ()

    def validate(trained: Algorithm) -> float:
        device = next(trained.parameters()).device
        episodes = (held[number].to(device) for number in range(how.validation_episodes))
        rows = evaluate(
            trained,
            episodes,
            run="validation",
            algorithm=method.name,
            metrics=("auroc",),
            steps=steps,
        )
        return _mean([row.value for row in rows])

    sampler = _sampler(usable, how, seed)
    return Course(
        learner,
        sampler,
        options,
        validate if judged else None,
        learned=tuple(source.name for source in usable),
        left_out=tuple(left_out),
        unjudged=(*unfit, *(() if judged else (_UNJUDGED,))),
        renewal=sampler,
    )


def _sampler(sources: Sequence[TaskSource], how: MetaTraining, seed: int) -> EpisodeSampler:
    return EpisodeSampler(
        list(sources),
        ways=how.way_range,
        shots=(how.shots[0], how.shots[1]),
        queries=how.queries,
        min_samples=max(how.min_images, 1),
        seed=seed,
    )


def _usable(
    sources: Sequence[TaskSource], how: MetaTraining, seed: int
) -> tuple[list[TaskSource], list[str]]:
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
