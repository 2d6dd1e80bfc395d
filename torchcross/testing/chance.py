"""How unlikely a count is, by bounds that hold for any number of draws: no approximation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

FALSE_ALARM = 1e-6
"""A check of a correct sampler raises a false alarm with a smaller probability than this."""

SLACK = 4
"""Where draws need not be uniform: how much rarer than `EpisodeSampler`'s an event may be."""

_BISECTIONS = 60


@dataclass(frozen=True)
class Tally:
    """How often something happened, and how often it should.

    mean: its probability, averaged over the trials. Trials are independent, or hits of one make
    another less likely (as in draws without replacement). can_be_few: fewer hits are no fault.
    """

    subject: str
    hits: int
    trials: int
    mean: float
    can_be_few: bool = False


@dataclass(frozen=True)
class ComparedTally:
    """In how many episodes something happened, and in how many of `EpisodeSampler`'s."""

    subject: str
    hits: int
    trials: int
    reference_hits: int
    reference_trials: int


def implausible(tallies: Iterable[Tally | ComparedTally]) -> list[str]:
    """One sentence for each count that a correct sampler hardly ever gives, the worst first.

    All tallies share `FALSE_ALARM` in equal parts (Bonferroni), each for too few and for too many.
    """
    tallies = list(tallies)
    limit = math.log(FALSE_ALARM / (2 * max(len(tallies), 1)))
    doubts = []
    for tally in tallies:
        if isinstance(tally, Tally):
            doubts.append(_against_probability(tally))
        else:
            doubts.append(_against_reference(tally, limit))
    doubts.sort(key=lambda doubt: doubt[0])
    return [sentence for log_bound, sentence in doubts if log_bound < limit]


def log_tail_bound(hits: int, trials: int, mean: float) -> float:
    """The logarithm of a bound: a count is at least as far from its mean, on its side, more rarely.

    Hoeffding 1963, theorem 1: -trials * KL(hits / trials || mean), for a sum of independent trials
    with unequal probabilities, and (section 6) for draws without replacement.
    """
    return -trials * _divergence(hits / trials, mean) if trials else 0.0


def _divergence(share: float, mean: float) -> float:
    """Kullback-Leibler divergence between two coins."""
    total = 0.0
    for observed, expected in ((share, mean), (1 - share, 1 - mean)):
        if observed > 0:
            total += observed * math.log(observed / expected) if expected > 0 else math.inf
    return max(total, 0.0)


def _against_probability(tally: Tally) -> tuple[float, str]:
    few = tally.hits < tally.trials * tally.mean
    sentence = (
        f"{tally.subject} {tally.hits:,} times in {tally.trials:,}, expected were about"
        f" {tally.mean * tally.trials:,.1f}"
    )
    # Where something always or never happens, the contracts of a single plan decide.
    if not 0 < tally.mean < 1 or (few and tally.can_be_few):
        return 0.0, sentence
    return log_tail_bound(tally.hits, tally.trials, tally.mean), sentence


def _against_reference(tally: ComparedTally, limit: float) -> tuple[float, str]:
    """Both an event and its contrary need a chance of a `SLACK`-th of what they should have."""
    misses = tally.trials - tally.hits
    reference_misses = tally.reference_trials - tally.reference_hits
    doubts = []
    for count, reference in ((tally.hits, tally.reference_hits), (misses, reference_misses)):
        # Half of the doubt is spent on the reference, which is a sample too.
        half = limit - math.log(2)
        least = _least_mean(reference, tally.reference_trials, half) / SLACK
        is_few = count < tally.trials * least
        doubts.append(log_tail_bound(count, tally.trials, least) if is_few else 0.0)
    sentence = (
        f"{tally.subject} in {tally.hits:,} of {tally.trials:,} episodes, in those of an"
        f" EpisodeSampler in {tally.reference_hits:,} of {tally.reference_trials:,}"
    )
    return min(doubts) + math.log(2), sentence


def _least_mean(hits: int, trials: int, log_doubt: float) -> float:
    """The least probability that is compatible with a count, apart from this doubt."""
    low, high = 0.0, hits / max(trials, 1)
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if log_tail_bound(hits, trials, middle) < log_doubt:
            low = middle
        else:
            high = middle
    return low
