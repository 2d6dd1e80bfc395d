"""Values in a sentence."""

from __future__ import annotations

from torchcross.report.summary import Summary


def value_text(summary: Summary, value: float) -> str:
    """A value of the metric with its unit."""
    text = summary.notation.text(value)
    return f"{text} %" if summary.notation.factor == 100 else text


def range_text(summary: Summary, low: float, high: float) -> str:
    """The ends of an interval, without a unit."""
    write = summary.notation.text
    return f"{write(low)} to {write(high)}".replace("-", "\N{MINUS SIGN}")
