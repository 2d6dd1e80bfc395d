"""The episodes that a target is evaluated on; without common images, as many as its data has."""

from __future__ import annotations

from functools import partial

from torchcross.data import EpisodeSampler, TaskSource
from torchcross.errors import InfeasibleError
from torchcross.experiment.settings.schema import Experiment

__all__ = ["evaluation_sampler"]


def evaluation_sampler(source: TaskSource, told: Experiment) -> EpisodeSampler:
    """Draws the plans of a target; with `evaluation.disjoint` it has a length, at most
    `evaluation.episodes`.

    Where the data does not have a single episode, the error says what is missing.
    """
    how = told.evaluation
    draw = partial(
        EpisodeSampler,
        source,
        shots=max(told.shots),
        queries=how.queries,
        min_samples=how.min_images or None,
        seed=how.seed,
        groups=how.groups,
    )
    if not how.disjoint:
        return draw()
    try:
        return draw(disjoint=how.episodes)
    except InfeasibleError:
        found = draw(disjoint=1)
    # The most that can be laid out, by halving: `enough` can, `too_many` cannot.
    enough, too_many = 1, how.episodes
    while too_many - enough > 1:
        middle = (enough + too_many) // 2
        try:
            found, enough = draw(disjoint=middle), middle
        except InfeasibleError:
            too_many = middle
    return found
