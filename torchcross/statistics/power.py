"""What tests across targets can show at all: the smallest p, and how many targets they need."""

from __future__ import annotations

from torchcross.errors import InputError
from torchcross.statistics.intervals import check_level


def smallest_wilcoxon_p(targets: int, pairs: int = 1) -> float:
    """The smallest p of Wilcoxon's exact test, two-sided, after Holm's method over so many pairs.

    Where one algorithm is better on each of N targets, p is 2^(1-N). Holm's method multiplies the
    smallest of m values of p by m, and none of the others becomes smaller. So it is m 2^(1-N), at
    most 1.
    """
    _check_counts(targets, pairs)
    return min(1.0, pairs * 2.0 ** (1 - targets))


def targets_needed(pairs: int = 1, level: float = 0.95) -> int:
    """The fewest targets with which a pair can be separated at all: m 2^(1-N) <= 1 - level."""
    check_level(level)
    _check_counts(0, pairs)
    targets = 1
    while smallest_wilcoxon_p(targets, pairs) > 1 - level:
        targets += 1
    return targets


def _check_counts(targets: int, pairs: int) -> None:
    if targets < 0 or pairs < 1:
        raise InputError(
            f"a test got {targets} targets and {pairs} pairs; give no target or more, and one pair"
            " or more"
        )
