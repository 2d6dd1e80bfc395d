"""Whose mean over the targets is better than chance, as far as its interval says so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isfinite

from torchcross._kit.listed_names import listed_names
from torchcross.report.mean_intervals import mean_interval_of
from torchcross.report.summary import Summary
from torchcross.report.value_words import range_text, value_text
from torchcross.statistics import Across, Interval
from torchcross.statistics.image_level import IMAGES


def chance_sentences(
    summary: Summary, across: Across, shots: int | None, names: Sequence[str]
) -> Iterator[str]:
    """One sentence, where the metric has a chance level on every target."""
    level = summary.chance_on(across.targets)
    if not isfinite(level) or across.not_averaged:
        return
    intervals = {name: mean_interval_of(summary, name, shots) for name in names}
    known = {
        name: each for name, each in intervals.items() if each is not None and isfinite(each.half)
    }
    if not known:
        return
    above = [name for name, each in known.items() if each.low > level]
    below = [name for name, each in known.items() if each.high < level]
    better, worse = (below, above) if across.lower_is_better else (above, below)
    unclear = [name for name in known if name not in above and name not in below]
    clauses = [
        *_clause(better, "better", len(names)),
        *_clause(
            [
                f"{name} ({range_text(summary, known[name].low, known[name].high)})"
                for name in unclear
            ],
            "not distinguishable from it",
            len(names),
        ),
        *_clause(worse, "worse", len(names)),
    ]
    if unknown := [name for name in names if name not in known]:
        clauses.append(f"no interval is known of {listed_names(unknown)}")
    where = "of the means on these targets" if len(across.targets) > 1 else "on this target"
    yield (
        f"Compared with chance ({value_text(summary, level)}) by uncorrected"
        f" {100 * across.level:g} % intervals {where},"
        f" over {_what_of(list(known.values()))}, {'; '.join(clauses)}."
    )


def _clause(names: Sequence[str], word: str, all_names: int) -> Iterator[str]:
    if not names:
        return
    if len(names) == all_names and word != "not distinguishable from it":
        yield f"all are {word}"
    else:
        yield f"{listed_names(names)} {'is' if len(names) == 1 else 'are'} {word}"


def _what_of(intervals: Sequence[Interval]) -> str:
    """What else could have been drawn; that of the narrower intervals where there are both."""
    return IMAGES if all(each.over == IMAGES for each in intervals) else "episodes of these images"
