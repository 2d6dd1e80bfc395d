"""What a study over targets' own splits answers: which sources its tests tell apart."""

from __future__ import annotations

from collections.abc import Sequence

from torchcross._kit.counts import count_text
from torchcross._kit.listed_names import first_names
from torchcross.report.numbers import percent_text
from torchcross.transfer.studies.split_report import LEVEL, SourceComparison


def split_answer(comparisons: Sequence[SourceComparison], metric: str) -> str:
    """One sentence, or "" where there is nothing to compare: fewer than two seeds or sources."""
    if not comparisons:
        return ""
    count = count_text(len(comparisons), "comparisons")
    clear = [each for each in comparisons if each.adjusted < 1 - LEVEL]
    tests = f"({metric}; Welch's test over training seeds, after Holm's method)"
    if not clear:
        return f"No two sources are told apart in {count} {tests}."
    names = first_names([_lead_text(each) for each in clear])
    return f"Two sources are told apart in {len(clear)} of {count} {tests}: {names}."


def _lead_text(comparison: SourceComparison) -> str:
    first, second = comparison.sources
    if comparison.difference < 0:
        first, second = second, first
    return (
        f"{first} is {abs(comparison.difference):.3f} ahead of {second} on {comparison.target} with"
        f" {percent_text(comparison.fraction)} of the training part"
    )
