"""How a row is trained: its learner, its data, and what judges it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Any

from torchcross.algorithms import (
    Algorithm,
    InnerLoopAlgorithm,
    MultiTask,
    Pretraining,
    Supervised,
)
from torchcross.data import (
    Augmentation,
    Episodes,
    EpisodeSampler,
    MixedBatches,
    TaskSource,
)
from torchcross.episode import Episode
from torchcross.errors import InfeasibleError, InputError
from torchcross.evaluation import evaluate
from torchcross.evaluation.whole_source import scores_of
from torchcross.experiment.rows.episode_epochs import EpisodeEpochs
from torchcross.experiment.rows.infeasible_sources import in_settings, no_source_text
from torchcross.experiment.rows.method import Method
from torchcross.experiment.rows.starting_networks import input_normalisation, starting_network
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.training_sections import (
    MetaTrainingSettings,
    PretrainingSettings,
)
from torchcross.training import FitOptions
from torchcross.training.augmented_feed import AugmentedFeed

NO_JUDGE = "no validation split can be scored, so all steps are done and the last weights are kept"
"""The last of the reasons in `unjudged` where no source can be judged."""


@dataclass(frozen=True)
class TrainingSetup:
    """What `fit` needs to train one row.

    validate  the mean AUROC over validation splits; None where no split can be scored: nothing
              stops training early then, and the last weights are kept
    learned   the names of the sources that the row learns from
    left_out  the sources that it cannot learn from, each with the reason
    unjudged  the validation splits that cannot be scored, and why; `NO_JUDGE` where none can be
    renewal   episodes to renew running statistics on, where that is to be done after training
    """

    learner: Algorithm | Pretraining
    data: Any
    options: FitOptions
    validate: Callable[[Any], float] | None
    learned: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    renewal: Episodes | None = None


def training_setup(
    method: Method,
    experiment: Experiment,
    seed: int,
    train: Sequence[TaskSource],
    val: Sequence[TaskSource],
) -> TrainingSetup:
    """How a row learns from its sources; it sees only these."""
    net = starting_network(method, experiment, seed)
    if method.make_learner is not None:
        return _episode_setup(method, net, experiment, seed, train, val)
    normalise = input_normalisation(net, experiment)
    if method.supervised:
        head = experiment.pretraining.heads
        alone = Supervised(net, train[0].task, seed=seed, normalise=normalise, head=head)
        return _batch_setup(alone, experiment, seed, train, val)
    learner = MultiTask(
        net,
        [source.task for source in train],
        seed=seed,
        normalise=normalise,
        head=experiment.pretraining.heads,
        **_loss_scales(_batches_of(train, experiment, seed), experiment.pretraining),
    )
    return _batch_setup(learner, experiment, seed, train, val)


# -- batches: pre-training and supervised training -------------------------------------------------


def _batches_of(sources: Sequence[TaskSource], experiment: Experiment, seed: int) -> MixedBatches:
    settings = experiment.pretraining
    return MixedBatches(
        list(sources),
        batch_size=settings.batch_size,
        seed=seed,
        order="epoch",
        last_batch=settings.last_batch,
    )


def _loss_scales(batches: MixedBatches, settings: PretrainingSettings) -> dict[str, Any]:
    """For `MultiTask`: the batches of each task, and the first batch whose loss they scale."""
    if not settings.scale_losses:
        return {}
    counts = [batches.batches_per_pass[source.name] for source in batches.sources]
    unscaled_epochs = settings.scale_from_epoch - 1
    return {"batches": counts, "scaled_from": unscaled_epochs * batches.batches_per_epoch}


def _batch_setup(
    learner: Pretraining,
    experiment: Experiment,
    seed: int,
    train: Sequence[TaskSource],
    val: Sequence[TaskSource],
) -> TrainingSetup:
    settings, workers = experiment.pretraining, experiment.machine.workers
    batches = _batches_of(train, experiment, seed)
    known = {(source.task.domain, source.task.name) for source in train}
    judges = [source for source in val if (source.task.domain, source.task.name) in known]
    data: Any = batches
    if settings.augment:
        # A feed has workers of its own, so `fit` gets none.
        data, workers = AugmentedFeed(batches, Augmentation.medimeta(seed), workers), 0
    options = settings.fit_options(
        seed=seed,
        judged=bool(judges),
        workers=workers,
        epoch_steps=batches.batches_per_epoch,
    )

    def validate(trained: Pretraining) -> float:
        most = settings.validation_images or None
        return _mean([_auroc_of(trained, source, most) for source in judges])

    learned = tuple(source.name for source in train)
    if not judges:
        return TrainingSetup(learner, data, options, None, learned, unjudged=(NO_JUDGE,))
    return TrainingSetup(learner, data, options, validate, learned)


def _auroc_of(trained: Pretraining, source: TaskSource, most: int | None) -> float:
    return float(scores_of(trained, source, most, ("auroc",))["auroc"].value)


# -- episodes: meta-training -----------------------------------------------------------------------


def _episode_setup(
    method: Method,
    net: Any,
    experiment: Experiment,
    seed: int,
    train: Sequence[TaskSource],
    val: Sequence[TaskSource],
) -> TrainingSetup:
    settings = experiment.meta
    assert method.make_learner is not None
    usable, left_out = _usable_sources(train, settings, seed)
    judges, unfit = _usable_sources(val, settings, seed)
    if not usable:
        raise InfeasibleError(no_source_text(method.name, settings, left_out))
    options = settings.fit_options(
        seed=seed,
        judged=bool(judges),
        workers=experiment.machine.workers,
        sources=len(usable),
    )
    learner = method.make_learner(net, settings, input_normalisation(net, experiment))
    by_steps = isinstance(learner, InnerLoopAlgorithm)
    steps = settings.validation_inner_steps if by_steps else None
    held_out = _validation_episodes(judges, settings, seed + 1)

    def validate(trained: Algorithm) -> float:
        device = next(trained.parameters()).device
        rows = evaluate(
            trained,
            (episode.to(device) for episode in held_out()),
            run="validation",
            algorithm=method.name,
            metrics=("auroc",),
            steps=steps,
        )
        return _mean([row.value for row in rows])

    if not judges:
        unfit.append(NO_JUDGE)
    return TrainingSetup(
        learner,
        _training_episodes(usable, settings, seed),
        options,
        validate if judges else None,
        learned=tuple(source.name for source in usable),
        left_out=tuple(left_out),
        unjudged=tuple(unfit),
        renewal=_renewal_episodes(usable, settings, seed),
    )


def _sampler(
    sources: Sequence[TaskSource], settings: MetaTrainingSettings, seed: int
) -> EpisodeSampler:
    """Episodes of these sources; one that may keep its classes whatever they have stands alone."""
    fewest: int | None = max(settings.min_images, 1)
    if not settings.filter_binary and sources[0].task.target.has_fixed_classes:
        fewest = None
    return EpisodeSampler(
        list(sources),
        ways=settings.way_range,
        shots=(settings.shots[0], settings.shots[1]),
        queries=settings.queries,
        min_samples=fewest,
        seed=seed,
    )


def _in_epochs(
    sources: Sequence[TaskSource], settings: MetaTrainingSettings, seed: int
) -> EpisodeEpochs:
    return EpisodeEpochs(
        [_sampler([source], settings, seed) for source in sources],
        per_source=settings.epoch_episodes,
        repeated=settings.episodes == "repeated",
        seed=seed,
    )


def _training_episodes(
    sources: Sequence[TaskSource], settings: MetaTrainingSettings, seed: int
) -> EpisodeSampler | EpisodeEpochs | Episodes:
    plans: EpisodeSampler | EpisodeEpochs = (
        _in_epochs(sources, settings, seed)
        if settings.comes_in_epochs
        else _sampler(sources, settings, seed)
    )
    if not settings.augment:
        return plans
    return Episodes(plans, augment=partial(Augmentation.medimeta(seed), query=True))


def _renewal_episodes(
    sources: Sequence[TaskSource], settings: MetaTrainingSettings, seed: int
) -> Episodes | None:
    """The first training episodes, as they are."""
    if settings.running_statistics == "kept":
        return None
    data = _training_episodes(sources, replace(settings, augment=False), seed)
    return data if isinstance(data, Episodes) else Episodes(data)


def _validation_episodes(
    sources: Sequence[TaskSource], settings: MetaTrainingSettings, seed: int
) -> Callable[[], Iterator[Episode]]:
    """The same episodes at every call: of all sources together, or of each."""
    if settings.validation_episodes_of == "each":
        plans: list[Any] = [_sampler([source], settings, seed) for source in sources]
    else:
        together = _in_epochs if settings.comes_in_epochs else _sampler
        plans = [together(sources, settings, seed)] if sources else []
    parts = [Episodes(each, settings.validation_episodes) for each in plans]
    return lambda: chain.from_iterable(parts)


def _usable_sources(
    sources: Sequence[TaskSource], settings: MetaTrainingSettings, seed: int
) -> tuple[list[TaskSource], list[str]]:
    """The sources that have such episodes, and for each of the others the reason."""
    usable, left_out = [], []
    for source in sources:
        try:
            _sampler([source], settings, seed)
        except (InfeasibleError, InputError) as error:
            left_out.append(f"{source.name}: {in_settings(error)}")
        else:
            usable.append(source)
    return usable, left_out


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not math.isnan(value)]
    return sum(defined) / len(defined) if defined else math.nan
