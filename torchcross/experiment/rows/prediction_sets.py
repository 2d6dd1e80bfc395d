"""The prediction sets of a run's rows: which rows have them, and what an episode's are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross.algorithms import Algorithm, LogisticRegression, prediction_sets
from torchcross.episode import Episode
from torchcross.errors import InputError
from torchcross.experiment.settings.schema import Experiment

SetsOf = Callable[[Episode], NDArray[np.bool_]]


def check_coverage(coverage: Any) -> None:
    if not 0 < coverage < 1:
        raise InputError(
            f"evaluation.coverage={coverage!r} is no share between 0 and 1; give one, such as 0.9"
        )


def sets_of_row(algorithm: Algorithm, experiment: Experiment) -> SetsOf | None:
    """What makes the sets of an episode; None where the row or the experiment has none."""
    settings = experiment.evaluation
    if settings.sets == "none" or not isinstance(algorithm, LogisticRegression):
        return None
    method, level = settings.sets, settings.coverage

    def sets_of(episode: Episode) -> NDArray[np.bool_]:
        number = 0 if episode.plan is None else episode.plan.index
        sets = prediction_sets(
            algorithm,
            episode.support,
            episode.task,
            episode.query.x,
            level=level,
            method=method,
            seed=number,
        )
        members: NDArray[np.bool_] = sets.members.cpu().numpy()
        return members

    return sets_of
