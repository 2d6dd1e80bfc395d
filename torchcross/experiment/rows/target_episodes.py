"""What a target can give: its episodes, known from its labels, before anything is trained for
it.
"""

from __future__ import annotations

import hashlib
import warnings
from dataclasses import dataclass, replace
from typing import Any

from torchcross.data import EpisodeSampler, TaskSource
from torchcross.data.sampling.sampler import shared_subjects
from torchcross.episode import Episode
from torchcross.errors import SubjectLeakWarning
from torchcross.experiment.rows.disjoint import evaluation_sampler
from torchcross.experiment.settings.schema import Experiment

__all__ = ["Scored", "Supply", "supply"]


@dataclass(frozen=True)
class Supply:
    """The episodes of a target: a sampler of the most shots, and how many of its episodes are
    scored.
    """

    sampler: EpisodeSampler
    count: int

    def describe(self) -> dict[str, Any]:
        """What was asked of the target and what it gives, for a protocol."""
        (source,) = self.sampler.sources
        dropped = self.sampler.dropped_classes[source.name]
        return {
            "name": source.name,
            "episodes": self.count,
            "classes": [name for name in source.task.target.classes if name not in dropped],
            "classes left out": list(dropped),
        }


def supply(source: TaskSource, told: Experiment, known: int | None = None) -> Supply:
    """The episodes that the experiment asks for, as many as there are; a target without any is an
    InfeasibleError.

    `known` is how many there are, where that was found out before.
    """
    if known is not None:
        told = replace(told, evaluation=replace(told.evaluation, episodes=known))
    with warnings.catch_warnings():
        # Who said groups = "ignore" finds the number of shared subjects on the page.
        warnings.simplefilter("ignore", SubjectLeakWarning)
        sampler = evaluation_sampler(source, told)
    return Supply(sampler, len(sampler) if told.evaluation.disjoint else told.evaluation.episodes)


class Scored:
    """Which episodes were scored: a digest that is the same for the same samples of the same labels
    in the same order.

    `shared` counts the subjects that stand in both support and query of an episode, over all
    episodes.
    """

    def __init__(self, source: TaskSource) -> None:
        self._groups = source.groups
        self._digest = hashlib.sha256(source.fingerprint().encode())
        self.count = self.shared = 0

    def add(self, episode: Episode) -> Episode:
        plan = episode.plan
        assert plan is not None, "episodes of a sampler have plans"
        self._digest.update(repr((plan.index, plan.source, plan.classes)).encode())
        for part in (plan.support, plan.support_labels, plan.query, plan.query_labels):
            self._digest.update(repr(part.shape).encode() + part.astype("<i8").tobytes())
        self.count += 1
        self.shared += shared_subjects(self._groups, plan)
        return episode

    def describe(self) -> dict[str, Any]:
        return {
            "episodes": self.count,
            "shared subjects": self.shared,
            "digest": self._digest.hexdigest(),
        }
