"""What chance should make of classes, shots and samples where all of them are equally likely.

That is so for exclusive classes without subjects: classes are drawn uniformly, ways and shots of a
range too, and the samples of a class are drawn without replacement, anew for every episode.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import comb, lgamma
from typing import Any

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.randomness import Stream, distinct
from torchcross.data import MetaDatasetShots, Request
from torchcross.data.sampling.request import ways_within
from torchcross.targets import Partition
from torchcross.testing.chance import Tally

Numbers = NDArray[np.int64]
_SIDES = {"support": ("support",), "query": ("query",), "episode": ("support", "query")}
_MOST_SETS, _MOST_CELLS = 64, 64


@dataclass(frozen=True)
class DrawnPlans:
    """Plans of one source, and how its samples are numbered within their classes."""

    plans: Sequence[Any]
    request: Request
    names: Sequence[str]
    usable: tuple[int, ...]
    fewest_ways: int
    codes: Numbers
    rank: Numbers
    size: Numbers

    @classmethod
    def of(
        cls,
        plans: Sequence[Any],
        request: Request,
        target: Any,
        usable: tuple[int, ...],
        strata: Partition,
    ) -> DrawnPlans:
        codes = np.asarray(strata.codes, dtype=np.int64)
        rank = np.zeros_like(codes)
        for c in range(strata.num_classes):
            members = np.flatnonzero(codes == c)
            rank[members] = np.arange(len(members))
        size = np.bincount(codes[codes >= 0], minlength=strata.num_classes).astype(np.int64)
        return cls(plans, request, target.classes, usable, target.ways[0], codes, rank, size)

    def samples(self, side: str) -> Numbers:
        """All samples that stand on a side, of all plans, one plan after the other."""
        return np.concatenate([samples_of(plan, side) for plan in self.plans])

    def by_class(self, side: str) -> Numbers:
        """(plans, classes): how many samples of each class stand on a side."""
        counts = np.zeros((len(self.plans), len(self.size)), dtype=np.int64)
        for row, plan in enumerate(self.plans):
            counts[row] = np.bincount(self.codes[samples_of(plan, side)], minlength=len(self.size))
        return counts


def samples_of(plan: Any, side: str) -> Numbers:
    """The samples of a plan in "support", "query" or both ("episode")."""
    parts = [np.asarray(getattr(plan, part), dtype=np.int64) for part in _SIDES[side]]
    return np.concatenate(parts)


def uniform_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    """All that is counted over the plans of one source."""
    yield from _class_tallies(draws)
    yield from _size_tallies(draws)
    for side in _SIDES:
        yield from _place_tallies(draws, side)
    yield from _sample_tallies(draws)
    yield from _neighbour_tallies(draws)
    for first in (0, 1):
        befores, afters = draws.plans[first::2], draws.plans[first + 1 :: 2]
        yield from pair_tallies(draws, befores, afters, "the episode before")
    yield from _novelty_tallies(draws)
    if draws.request.query == "natural":
        yield from _natural_tallies(draws)


# -- classes, ways and shots -----------------------------------------------------------------------


def _class_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    count, total = len(draws.usable), len(draws.plans)
    ways = np.array([len(plan.classes) for plan in draws.plans])
    chosen = Counter(c for plan in draws.plans for c in plan.classes)
    for c in draws.usable:
        mean = float(ways.mean()) / count
        yield Tally(f"class {draws.names[c]!r} was chosen", chosen[c], total, mean)
    together = Counter(pair for plan in draws.plans for pair in combinations(plan.classes, 2))
    if 1 < comb(count, 2) <= _MOST_SETS:
        mean = float((ways * (ways - 1)).mean()) / (count * (count - 1))
        for pair in combinations(draws.usable, 2):
            names = " and ".join(repr(draws.names[c]) for c in pair)
            yield Tally(f"classes {names} were chosen together", together[pair], total, mean)
    sets = Counter(tuple(plan.classes) for plan in draws.plans)
    number = int(ways[0])
    if (ways == number).all() and 1 < comb(count, number) <= _MOST_SETS:
        for classes in combinations(draws.usable, number):
            names = ", ".join(repr(draws.names[c]) for c in classes)
            subject = f"the classes of an episode were {names}"
            yield Tally(subject, sets[classes], total, 1 / comb(count, number))
    yield from _class_neighbour_tallies(draws)


def _class_neighbour_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    """One pair of classes of each episode, at random: do they follow each other in a ring?"""
    count, stream = len(draws.usable), Stream(0, "one pair of classes")
    place = {c: position for position, c in enumerate(draws.usable)}
    hits = trials = 0
    for number, plan in enumerate(draws.plans):
        if len(plan.classes) < 2:
            continue
        words = stream.words(number)
        one, other = distinct([words.take(), words.take()], len(plan.classes))
        steps = abs(place[plan.classes[one]] - place[plan.classes[other]])
        hits += steps in (1, count - 1)
        trials += 1
    if count > 3:
        yield Tally("two classes of an episode were neighbours", hits, trials, 2 / (count - 1))


def _size_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    """Each number of ways, of shots, and each pair of them, is as likely as the others."""
    bounds = ways_within(draws.request.ways, draws.fewest_ways, len(draws.usable))
    if bounds is None:
        return
    ways = np.array([len(plan.classes) for plan in draws.plans])
    ways_range = range(bounds[0], bounds[1] + 1)
    for value in ways_range:
        hits = int((ways == value).sum())
        yield Tally(f"an episode had {value} ways", hits, len(ways), 1 / len(ways_range))
    if isinstance(draws.request.shots, MetaDatasetShots):
        return
    low, high = draws.request.shot_range
    shots = np.array([len(plan.support) for plan in draws.plans]) // ways
    for value in range(low, high + 1):
        hits = int((shots == value).sum())
        yield Tally(f"an episode had {value} shots", hits, len(ways), 1 / (high + 1 - low))
    cells = [(way, shot) for way in ways_range for shot in range(low, high + 1)]
    if len(cells) <= _MOST_CELLS:
        for way, shot in cells:
            hits = int(((ways == way) & (shots == shot)).sum())
            yield Tally(
                f"an episode had {way} ways with {shot} shots", hits, len(ways), 1 / len(cells)
            )


# -- samples within their classes ------------------------------------------------------------------


def _place_tallies(draws: DrawnPlans, side: str) -> Iterator[Tally]:
    """Parts of every class: halves, every second sample, the first and the last."""
    samples = draws.samples(side)
    classes = draws.codes[samples]
    rank, size = draws.rank[samples], draws.size[classes]
    where = "the episode" if side == "episode" else f"the {side}"
    parts = {
        "the first half": (rank < size // 2, size // 2),
        "every second sample": (rank % 2 == 0, (size + 1) // 2),
        "the first sample": (rank == 0, np.ones_like(size)),
        "the last sample": (rank == size - 1, np.ones_like(size)),
    }
    for name, (hit, members) in parts.items():
        if len(samples):
            subject = f"a sample of {where} came from {name} of its class"
            mean = float((members / size).mean())
            yield Tally(subject, int(hit.sum()), len(samples), mean)
    for name in ("the first half", "every second sample"):
        hit, members = parts[name]
        for c in np.unique(classes).tolist():
            subject = f"a sample of {where} came from {name} of class {draws.names[c]!r}"
            here = classes == c
            mean = float((members[here] / size[here]).mean())
            yield Tally(subject, int(hit[here].sum()), int(here.sum()), mean)


def _sample_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    """Every sample by itself."""
    samples = draws.samples("episode")
    hits = np.bincount(samples, minlength=len(draws.codes))
    trials = np.bincount(draws.codes[samples], minlength=len(draws.size))
    for c in np.flatnonzero(trials).tolist():
        name, mean = draws.names[c], 1 / int(draws.size[c])
        for sample in np.flatnonzero(draws.codes == c).tolist():
            subject = f"a sample of class {name!r} was sample {sample}"
            yield Tally(subject, int(hits[sample]), int(trials[c]), mean)


def _neighbour_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    """One sample of each side of each class, at random: are they neighbours within the class?

    The class is closed to a ring; neighbours have at most as many steps between them as the episode
    has samples of the class.
    """
    stream = Stream(0, "one sample of each side")
    hits, means = 0, []
    for number, plan in enumerate(draws.plans):
        words = stream.words(number)
        support, query = samples_of(plan, "support"), samples_of(plan, "query")
        for c in plan.classes:
            ours, theirs = (side[draws.codes[side] == c] for side in (support, query))
            size, steps = int(draws.size[c]), len(ours) + len(theirs) - 1
            if not len(ours) or not len(theirs) or 2 * steps >= size - 1:
                continue
            ends = [part[words.below(len(part))] for part in (ours, theirs)]
            distance = abs(int(draws.rank[ends[0]]) - int(draws.rank[ends[1]]))
            hits += min(distance, size - distance) <= steps
            means.append(2 * steps / (size - 1))
    if means:
        subject = "a support and a query sample stood close together in their class"
        yield Tally(subject, hits, len(means), float(np.mean(means)))


# -- episodes and other episodes -------------------------------------------------------------------


def pair_tallies(
    draws: DrawnPlans, befores: Sequence[Any], afters: Sequence[Any], before: str
) -> Iterator[Tally]:
    """What plans share with others that they must not depend on."""
    pairs = list(zip(befores, afters, strict=False))
    if not pairs:
        return
    shared = sum(len(set(one.classes) & set(other.classes)) for one, other in pairs)
    trials = sum(len(other.classes) for _, other in pairs)
    means = sum(len(one.classes) * len(other.classes) for one, other in pairs)
    mean = means / len(draws.usable) / trials
    yield Tally(f"a class of an episode was one of {before}", shared, trials, mean)
    yield from overlap_tallies(draws, befores, afters, before)


def overlap_tallies(
    draws: DrawnPlans,
    befores: Sequence[Any],
    afters: Sequence[Any],
    before: str,
    can_be_few: bool = False,
) -> Iterator[Tally]:
    """How many samples plans share with others, among those of classes that both have."""
    pairs = list(zip(befores, afters, strict=False))
    for side in _SIDES:
        hits, chances = 0, []
        for one, other in pairs:
            earlier, later = samples_of(one, side), samples_of(other, side)
            hits += len(np.intersect1d(earlier, later))
            counts = np.bincount(draws.codes[earlier], minlength=len(draws.size))
            classes = draws.codes[later]
            shares = counts[classes] / draws.size[classes]
            # A class of one episode alone has nothing to say about its samples in the other.
            chances.append(shares[counts[classes] > 0])
        means_of_draws = np.concatenate([np.zeros(0), *chances])
        if len(means_of_draws):
            where = "an episode" if side == "episode" else f"a {side}"
            subject = f"a sample of {where} stood in that of {before}"
            mean = float(means_of_draws.mean())
            yield Tally(subject, hits, len(means_of_draws), mean, can_be_few)


def _novelty_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    """Samples that the first half of the episodes did not have come in the second half."""
    half = len(draws.plans) // 2
    if half == 0:
        return
    seen = np.zeros(len(draws.codes), dtype=bool)
    for plan in draws.plans[:half]:
        seen[samples_of(plan, "episode")] = True
    unseen = np.bincount(draws.codes[(draws.codes >= 0) & ~seen], minlength=len(draws.size))
    later = np.concatenate([samples_of(plan, "episode") for plan in draws.plans[half:]])
    classes = draws.codes[later]
    mean = float((unseen[classes] / draws.size[classes]).mean())
    subject = f"a sample of a later episode was in none of the first {half} episodes"
    yield Tally(subject, int((~seen[later]).sum()), len(later), mean)


# -- a natural query -------------------------------------------------------------------------------


def _natural_tallies(draws: DrawnPlans) -> Iterator[Tally]:
    """A query as samples come: in proportion to what the support leaves, and balanced by luck."""
    support, query = draws.by_class("support"), draws.by_class("query")
    left = np.where(support > 0, draws.size - support, 0)
    totals, asked = left.sum(axis=1), query.sum(axis=1)
    luck = 0.0
    balanced = 0
    for row, plan in enumerate(draws.plans):
        classes = list(plan.classes)
        each = draws.request.queries
        balanced += bool((query[row, classes] == each).all())
        luck += _chance_of_balance(left[row, classes], each)
    mean = luck / len(draws.plans)
    yield Tally("a natural query was balanced", balanced, len(draws.plans), mean)
    for c in draws.usable:
        here = support[:, c] > 0
        trials = int(asked[here].sum())
        if trials:
            share = float((left[here, c] / totals[here] * asked[here]).sum()) / trials
            subject = f"a sample of a natural query was of class {draws.names[c]!r}"
            yield Tally(subject, int(query[here, c].sum()), trials, share)


def _chance_of_balance(left: Numbers, each: int) -> float:
    """The probability that as many samples of every class are drawn (hypergeometric)."""
    if left.min() < each:
        return 0.0
    ways = sum(_log_binomial(int(count), each) for count in left)
    return float(np.exp(ways - _log_binomial(int(left.sum()), each * len(left))))


def _log_binomial(count: int, chosen: int) -> float:
    return lgamma(count + 1) - lgamma(chosen + 1) - lgamma(count - chosen + 1)
