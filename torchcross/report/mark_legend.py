"""What the signs of a table mean that only some tables have, and what they do not say."""

from __future__ import annotations

from collections.abc import Iterator

from torchcross.report.summary import Summary


def mark_sentences(summary: Summary) -> Iterator[str]:
    cells = list(summary.cells.values())
    if summary.margin is not None and any(cell.is_equivalent for cell in cells):
        width = summary.notation.text(summary.margin)
        yield (
            f"≈: equivalent to the best, the difference being within ±{width} (two one-sided t"
            " tests, corrected by Holm's method over the pairs)."
        )
    if any(cell.one_training and (cell.is_best or cell.is_tied) for cell in cells):
        yield (
            "° and grey: one training each. These marks are about the trained networks, and not"
            " about the methods: another training may have another best."
        )
    if summary.failures_count_as:
        value = " or ".join(summary.failures_count_as)
        yield (
            f"(n failed): n episodes that the algorithm could not score; each counts as {value}."
            " Where a mean over the episodes that every algorithm of the row scored is another one,"
            " it stands as (x common). The best leads in both; where two algorithms lead, none is"
            " marked."
        )
    if any(cell.partial for cell in cells):
        yield (
            "(n partial): n values are averages over some of the classes, since the query lacks"
            " the others."
        )
    left_out = {name: classes for name, classes in summary.classes_left_out.items() if classes}
    if left_out:
        listed = "; ".join(f"{name}: {', '.join(classes)}" for name, classes in left_out.items())
        yield f"Classes that no episode has: {listed}."
    if any(summary.is_partial(target) for target in summary.targets):
        yield "∂: scores of this target leave out classes."
