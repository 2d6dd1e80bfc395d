"""Names and values in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from torchcross.report.summary import Summary


def listing(names: Sequence[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def value_text(summary: Summary, value: float) -> str:
    """A value of the metric with its unit."""
    text = summary.notation.text(value)
    return f"{text} %" if summary.notation.factor == 100 else text


def range_text(summary: Summary, low: float, high: float) -> str:
    """The ends of an interval, without a unit."""
    write = summary.notation.text
    return f"{write(low)} to {write(high)}".replace("-", "\N{MINUS SIGN}")
