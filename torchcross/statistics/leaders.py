"""Which algorithms lead on one target, however it is looked at, or why none does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torchcross.statistics.best_names import names_of_best
from torchcross.statistics.comparison import ComparisonRow, Pair


def leaders_of(
    rows: Sequence[ComparisonRow], pairs: Iterable[Pair], *, lower_is_better: bool, size: float
) -> tuple[tuple[str, ...], str]:
    """Who leads: several with the same mean, or none and why. One alone leads nobody.

    `size` is that of the scores, whose rounding sets no means apart.
    """
    compared = [row for row in rows if row.compared]
    if len(compared) < 2:
        return (), ""
    counted = {row.algorithm: row.interval.mean for row in compared}
    common = {row.algorithm: row.common.mean for row in compared if row.common is not None}
    first = names_of_best(counted, lower_is_better=lower_is_better, size=size)
    others = names_of_best(common, lower_is_better=lower_is_better, size=size) or first
    both = [name for name in first if name in others]
    if first and not both:
        return (), (
            f"{first[0]} has the best mean with failures counted, and {others[0]} the best one over"
            " the episodes that every algorithm scored: no best is marked"
        )
    pairs = list(pairs)
    better = {name: _better_in_pairs(pairs, name, lower_is_better, size) for name in both}
    leaders = tuple(name for name, rival in better.items() if not rival)
    if better and not leaders:
        name, rival = next(iter(better.items()))
        return (), (
            f"{name} has the best mean, and {rival} the better one on the episodes of both: no best"
            " is marked"
        )
    return leaders, ""


def _better_in_pairs(pairs: Iterable[Pair], name: str, lower: bool, size: float) -> str:
    """Which algorithm is better than this one where both were scored, or "".

    With different training seeds there can be one.
    """
    for pair in pairs:
        if name not in pair.names:
            continue
        rival = pair.other(name)
        for difference in filter(None, (pair.difference, pair.common)):
            lead = difference.mean if pair.first == name else -difference.mean
            ahead = names_of_best({name: lead, rival: 0.0}, lower_is_better=lower, size=size)
            if lead == lead and name not in ahead:
                return rival
    return ""
