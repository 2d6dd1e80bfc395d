"""The episodes of a target: how many it can give, and which ones were scored."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross.data import CurveLevel, EpisodePlan, EpisodeSampler, TaskSource
from torchcross.data.plan_files.digest import PlanDigest
from torchcross.data.sampling.sampler import shared_subjects
from torchcross.errors import InfeasibleError, SubjectLeakWarning
from torchcross.experiment.rows.infeasible_targets import infeasible_target
from torchcross.experiment.settings.schema import EvaluationSettings, Experiment

_BYTES_OF_PLANS: Final = 64 * 2**20

LACKING: Final = "episodes without a class"
"""Field of what a run says of its episodes: how many supports lack a class. None where none does;
runs of earlier versions have only the counts of each class."""


@dataclass(frozen=True)
class TargetEpisodes:
    """A target's episodes: a sampler of the most shots, and how many episodes are scored."""

    sampler: EpisodeSampler
    count: int

    def describe(self) -> dict[str, Any]:
        """For a protocol: episodes, classes with their label values, chance levels, images."""
        (source,) = self.sampler.sources
        dropped = self.sampler.dropped_classes[source.name]
        whole = source.task.target
        target = whole.restrict(name for name in whole.classes if name not in dropped)
        return {
            "name": source.name,
            "episodes": self.count,
            "classes": list(target.classes),
            "values": list(target.values),
            "chance": target.chance_levels,
            "classes left out": list(dropped),
            "data": describe_data(source),
        }

    def query_images(self) -> int:
        """How many query images all episodes have together; their plans are drawn for it."""
        return sum(len(self.sampler[number].query) for number in range(self.count))


def describe_data(source: TaskSource) -> dict[str, Any]:
    """For a protocol: images and subjects of a source and of each of its classes.

    An image counts for every label that applies. `subjects` is None where they are not known.
    """
    classes = []
    for place, name in enumerate(source.task.target.classes):
        members = has_class(source.labels, place)
        subjects = None if source.groups is None else len(np.unique(source.groups[members]))
        classes.append({"class": name, "images": int(members.sum()), "subjects": subjects})
    return {
        "images": len(source),
        "subjects": None if source.groups is None else len(np.unique(source.groups)),
        "classes": classes,
    }


def has_class(labels: NDArray[Any], place: int) -> NDArray[np.bool_]:
    """Which samples belong to the class, or have the label, at this place."""
    has: NDArray[np.bool_] = labels == place if labels.ndim == 1 else labels[:, place] == 1
    return has


def target_episodes(
    source: TaskSource, experiment: Experiment, count: int | None = None
) -> TargetEpisodes:
    """The episodes that the experiment asks for, or as many as the target has.

    Where it has none, this is an InfeasibleError.

    `count` is how many there are, where this is known already.
    """
    if count is not None:
        evaluation = replace(experiment.evaluation, episodes=count)
        experiment = replace(experiment, evaluation=evaluation)
    with warnings.catch_warnings():
        # With groups = "ignore" the page says how many subjects are shared.
        warnings.simplefilter("ignore", SubjectLeakWarning)
        sampler = evaluation_sampler(source, experiment)
    evaluation = experiment.evaluation
    return TargetEpisodes(sampler, len(sampler) if evaluation.disjoint else evaluation.episodes)


def level_of(sampler: EpisodeSampler, experiment: Experiment, shots: int) -> CurveLevel:
    """The episodes at one of the numbers of shots of an experiment; all have the same queries."""
    return sampler.curve(experiment.support_shots).at(shots)


@final
class TargetPlans:
    """A target's episodes at every number of shots; what is drawn of them is kept for other rows.

    Images are not read.
    """

    def __init__(self, episodes: TargetEpisodes, experiment: Experiment) -> None:
        self.episodes = episodes
        self._curve = episodes.sampler.curve(experiment.support_shots, keep=_BYTES_OF_PLANS)
        self._about: dict[int, dict[str, Any]] = {}

    def level(self, shots: int) -> CurveLevel:
        return self._curve.at(shots)

    def describe(self, shots: int) -> dict[str, Any]:
        """`describe_plans` of all episodes."""
        if shots not in self._about:
            plans = self.level(shots).batch(range(self.episodes.count))
            (source,) = self.episodes.sampler.sources
            self._about[shots] = describe_plans(source, plans)
        return dict(self._about[shots])


def evaluation_sampler(source: TaskSource, experiment: Experiment) -> EpisodeSampler:
    """Plans the episodes of a target; with `evaluation.disjoint` it has a length.

    Where the data does not give a single episode, the error says what is missing.
    """
    settings = experiment.evaluation
    if not experiment.support_shots:
        raise InfeasibleError("no row of the experiment has episodes; give numbers of shots")
    fewest = _fewest_images(source, settings)
    asked: dict[str, Any] = {
        "shots": max(experiment.support_shots),
        "queries": settings.queries,
        "query": settings.query,
        "support": settings.support,
        "min_samples": fewest,
        "seed": settings.seed,
        "groups": settings.groups,
    }

    def sampler_of(**changes: Any) -> EpisodeSampler:
        return EpisodeSampler(source, **{**asked, **changes})

    if not settings.disjoint:
        try:
            return sampler_of()
        except InfeasibleError as error:
            raise infeasible_target(source, experiment, fewest, sampler_of) from error
    with suppress(InfeasibleError):
        return sampler_of(disjoint=settings.episodes)
    one = partial(sampler_of, disjoint=1)
    try:
        sampler = one()
    except InfeasibleError as error:
        raise infeasible_target(source, experiment, fewest, one) from error
    # The most that fit, by halving: `enough` fit, `too_many` do not.
    enough, too_many = 1, settings.episodes
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        try:
            sampler, enough = sampler_of(disjoint=middle), middle
        except InfeasibleError:
            too_many = middle
    return sampler


def _fewest_images(source: TaskSource, settings: EvaluationSettings) -> int | None:
    """Of a class; None where every class stays."""
    if source.task.target.has_fixed_classes and not settings.filter_binary:
        return None
    return settings.min_images or None


def describe_plans(source: TaskSource, plans: Sequence[EpisodePlan]) -> dict[str, Any]:
    """Which episodes were scored: rows of two algorithms are compared where the digests agree.

    The digest is the same for the same samples of the same labels in the same order. "shared
    subjects" counts those in both support and query of an episode, over all episodes. "missing
    classes", where there are any, counts the episodes whose support has no sample of a class, and
    LACKING those whose support lacks one or more.
    """
    digest = PlanDigest(source.fingerprint())
    for plan in plans:
        digest.add(plan)
    about: dict[str, Any] = {
        "episodes": len(plans),
        "shared subjects": sum(shared_subjects(source.groups, plan) for plan in plans),
        "digest": digest.hexdigest(),
    }
    missing = Counter(place for plan in plans for place in plan.missing_classes)
    if missing:
        names = source.task.target.classes
        about["missing classes"] = {names[place]: missing[place] for place in sorted(missing)}
        about[LACKING] = sum(bool(plan.missing_classes) for plan in plans)
    return about
