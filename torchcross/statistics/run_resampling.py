"""What intervals across targets and runs resample: training seeds, or episodes where there is one.

Scores are by target, then by training seed: one array of the scores of episodes for each. Larger is
better. Of both kinds of resampling `table` is the mean over episodes of each training seed on each
target, `samples` (resamples, runs, targets) are such tables, and `profiles` (resamples, thresholds)
are shares of episodes above the thresholds. There are no samples where nothing varies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final, Protocol, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.randomness import Stream, below_array
from torchcross.statistics.aggregates import resampled_runs

Floats = NDArray[np.float64]
SeedScores = Sequence[Floats]
RunScores = Mapping[str, Sequence[SeedScores]]
"""Algorithm -> target -> training seed -> the scores of episodes."""

OVER_SEEDS: Final = "training seeds are resampled on each target"
OVER_EPISODES: Final = "episodes are resampled on each target, of one training alone"


class Resampling(Protocol):
    """Either kind."""

    name: str

    def samples(self, algorithm: str) -> Floats: ...
    def profiles(self, algorithm: str, thresholds: Floats) -> Floats: ...


def resampling_of(scores: RunScores, seed: int, resamples: int) -> Resampling:
    has_seeds = any(len(seeds) > 1 for targets in scores.values() for seeds in targets)
    if has_seeds:
        return SeedResampling(scores, seed, resamples)
    return EpisodeResampling(scores, seed, resamples)


def run_table(targets: Sequence[SeedScores]) -> Floats:
    """(training seeds, targets): means over episodes, NaN where a target has fewer seeds."""
    table = np.full((max(map(len, targets)), len(targets)), math.nan)
    for column, seeds in enumerate(targets):
        table[: len(seeds), column] = [scores.mean() for scores in seeds]
    return table


def profile_of(targets: Sequence[SeedScores], thresholds: Floats) -> Floats:
    """The share of episodes above each threshold; every target weighs the same."""
    shares = [_shares_above(np.concatenate(seeds), thresholds) for seeds in targets]
    profile: Floats = np.mean(shares, axis=0)
    return profile


@final
class SeedResampling:
    """The stratified bootstrap over training seeds; algorithms are resampled by themselves."""

    name = OVER_SEEDS

    def __init__(self, scores: RunScores, seed: int, resamples: int) -> None:
        self._scores, self._resamples = scores, resamples
        self._stream = Stream(seed, "across runs", "seeds")

    def samples(self, algorithm: str) -> Floats:
        table = run_table(self._scores[algorithm])
        return resampled_runs(table, self._stream.substream(algorithm), self._resamples)

    def profiles(self, algorithm: str, thresholds: Floats) -> Floats:
        targets = self._scores[algorithm]
        if all(len(seeds) == 1 for seeds in targets):
            return np.empty((0, len(thresholds)))
        total = np.zeros((self._resamples, len(thresholds)))
        for place, seeds in enumerate(targets):
            shares = np.array([_shares_above(scores, thresholds) for scores in seeds])
            stream = self._stream.substream("profile", algorithm)
            counts = drawn_counts(stream, place, len(seeds), self._resamples)
            total += counts @ shares / len(seeds)
        return total / len(targets)


@final
class EpisodeResampling:
    """A bootstrap over the episodes of each target; algorithms meet the same resampled episodes."""

    name = OVER_EPISODES

    def __init__(self, scores: RunScores, seed: int, resamples: int) -> None:
        self._scores, self._resamples = scores, resamples
        self._stream = Stream(seed, "across runs", "episodes")

    @cached_property
    def _counts(self) -> dict[tuple[int, int], Floats]:
        """(place of the target, its number of episodes) -> how often each episode is drawn."""
        sizes = {
            (place, len(episodes))
            for targets in self._scores.values()
            for place, (episodes,) in enumerate(targets)
        }
        return {
            (place, size): drawn_counts(self._stream, place, size, self._resamples)
            for place, size in sizes
        }

    def samples(self, algorithm: str) -> Floats:
        if self._has_one_episode(algorithm):
            return np.empty((0, 1, len(self._scores[algorithm])))
        columns = [
            self._counts[place, len(episodes)] @ episodes / len(episodes)
            for place, (episodes,) in enumerate(self._scores[algorithm])
        ]
        return np.stack(columns, axis=1)[:, None]

    def profiles(self, algorithm: str, thresholds: Floats) -> Floats:
        if self._has_one_episode(algorithm):
            return np.empty((0, len(thresholds)))
        targets = self._scores[algorithm]
        total = np.zeros((self._resamples, len(thresholds)))
        for place, (episodes,) in enumerate(targets):
            above = (episodes[:, None] > thresholds).astype(np.float64)
            total += self._counts[place, len(episodes)] @ above / len(episodes)
        return total / len(targets)

    def _has_one_episode(self, algorithm: str) -> bool:
        """Whether every target has one score, so that nothing varies."""
        return all(len(episodes) == 1 for (episodes,) in self._scores[algorithm])


def drawn_counts(stream: Stream, index: int, size: int, resamples: int) -> Floats:
    """How often each of `size` things is drawn, in as many draws, one row per resample."""
    words = stream.sequence(index, resamples * size)
    places = below_array(words, np.array(size, dtype=np.uint64)).reshape(resamples, size)
    places += np.arange(resamples)[:, None] * size
    counts = np.bincount(places.ravel(), minlength=resamples * size)
    return counts.reshape(resamples, size).astype(np.float64)


def _shares_above(scores: Floats, thresholds: Floats) -> Floats:
    ordered = np.sort(scores)
    shares: Floats = 1 - np.searchsorted(ordered, thresholds, side="right") / len(ordered)
    return shares
