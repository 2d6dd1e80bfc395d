"""What a table of rankings says in words: one sentence, and what limits it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

from torchcross._kit.counts import count_text
from torchcross.transfer.rankings.row import FEWEST_TARGETS, STATIC, AgainstStatic, RankingRow
from torchcross.transfer.source_target import SourceTargetTable

_RULE: Final = "the static rule (the mean on the other targets)"


def no_inference_text(targets: int) -> str:
    """Why means over few targets have no interval."""
    verb = "carries" if targets == 1 else "carry"
    return (
        f"{count_text(targets, 'targets')} {verb} no inference over targets; {FEWEST_TARGETS} are"
        " the fewest that do, and means over fewer have no ±"
    )


def warnings_of(
    rows: Sequence[RankingRow], values: SourceTargetTable, has_largest: bool
) -> tuple[str, ...]:
    """What limits a table of rankings."""
    return tuple(_warnings(rows, values, has_largest))


def _warnings(
    rows: Sequence[RankingRow], values: SourceTargetTable, has_largest: bool
) -> Iterator[str]:
    if len(values.targets) < FEWEST_TARGETS:
        yield no_inference_text(len(values.targets))
    # A rule with equal scores ranks nothing by design.
    for row in (row for row in rows if not row.is_rule or row.name == STATIC):
        lost = [
            f"{ranking.target!r} ({score.reason})"
            for ranking in row.targets
            if not (score := ranking.measures["weighted tau"]).is_defined
        ]
        if lost:
            yield f"{row.name} ranks no sources of {', '.join(lost)}"
    # Of a score without any pair, and of the static rule, it is said above.
    for row in (row for row in rows if row.pairs or (row.is_rule and row.name != STATIC)):
        ranks = f"{row.name} ranks {row.pairs} of {count_text(values.count, 'pairs')}"
        beside = row.against_static
        if beside is not None and 0 < beside.pairs < values.count:
            yield (
                f"{ranks}; it is compared with the static rule on the"
                f" {count_text(beside.pairs, 'pairs')} that both rank, weighted tau"
                f" {_tau(beside.score_tau)} against {_tau(beside.static_tau)}"
            )
        elif row.pairs < values.count:
            yield ranks
    alone = {
        row.name: each
        for row in rows
        if row.pairs and (each := row.against_static) and not each.pairs
    }
    # With one target there is no static rule, as the answer says.
    if alone and len(values.targets) > 1:
        verb = "ranks" if len(alone) == 1 else "rank"
        yield f"{_names(alone)} {verb} no pair that the static rule ranks too"
    if not has_largest:
        yield (
            "the rule that takes the largest source is no row; give sizes=, or largest=, the name"
            " of that source"
        )


def answer_of(rows: Sequence[RankingRow], values: SourceTargetTable, level: float) -> str:
    """Whether any score beats the static rule, in one sentence."""
    beside = {row.name: row.against_static for row in rows if row.against_static is not None}
    if not beside:
        return "No score was given."
    compared = {name: each for name, each in beside.items() if each.targets}
    if not compared:
        return f"No score can be compared with {_RULE}: {_why_not(rows, values)}."
    higher = {name: each for name, each in compared.items() if each.difference.mean > 0}
    # NaN is no proof: below six targets nothing is.
    better = {
        name: each
        for name, each in higher.items()
        if each.p < 1 - level and each.targets >= FEWEST_TARGETS
    }
    if better:
        verb = "beats" if len(better) == 1 else "beat"
        return (
            f"{_names(better)} {verb} {_RULE}, weighted tau {_taus(better)}: Holm-corrected p below"
            f" {1 - level:.2g}."
        )
    if not higher:
        return (
            f"No score beats {_RULE}, and none has a higher mean: weighted tau {_taus(compared)}."
        )
    limit = "beyond doubt"
    if max(each.targets for each in higher.values()) < FEWEST_TARGETS:
        limit = f"beyond doubt, which needs {FEWEST_TARGETS} targets"
    verb = "mean of {} is" if len(higher) == 1 else "means of {} are"
    means = verb.format(_names(higher))
    return f"No score beats {_RULE} {limit}; the {means} higher: weighted tau {_taus(higher)}."


def _why_not(rows: Sequence[RankingRow], values: SourceTargetTable) -> str:
    if len(values.targets) < 2:
        return f"there is {count_text(len(values.targets), 'targets')}, and it needs two"
    static = next(row for row in rows if row.name == STATIC)
    if not static.pairs:
        return "no target has two sources with different values"
    return "no target has two sources with different values and scores that the rule ranks too"


def _taus(beside: dict[str, AgainstStatic]) -> str:
    """Of each score, and of the rule on the same pairs; names where there are several scores."""
    texts = {
        name: f"{_tau(each.score_tau)} against {_tau(each.static_tau)}"
        for name, each in beside.items()
    }
    if len(texts) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{name} {text}" for name, text in texts.items())


def _tau(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.3f}"


def _names(names: dict[str, AgainstStatic]) -> str:
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
