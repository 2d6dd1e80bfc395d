"""A ranking of sources as text for a terminal, as CSV and as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from torchcross._kit.counts import count_text
from torchcross.experiment.source_ranking import SourceRanking
from torchcross.report.csv_text import csv_text
from torchcross.transfer.source_choice import ScoreChoice

_COLUMNS = ("score", "source", "value", "low", "high", "share_best", "images", "rules", "reason")
_CAUTION = "No score is known to beat the static rule in general"


def ranking_rows(ranking: SourceRanking) -> list[dict[str, Any]]:
    """A row for each score and source, the best source first; None where nothing is known."""
    rows = []
    for score, values in ranking.scores.values.items():
        halves = ranking.scores.halves[score]
        shares = halves.shares_best()
        order = ranking.scores.order(score)
        for source in (*order, *(name for name in values if name not in order)):
            low, high = halves.interval(source, values[source].value)
            rows.append(
                {
                    "score": score,
                    "source": source,
                    "value": _number_or_none(values[source].value),
                    "low": _number_or_none(low),
                    "high": _number_or_none(high),
                    "share_best": _number_or_none(shares[source]),
                    "images": ranking.sizes.get(source),
                    "rules": [rule for rule, name in ranking.rules.items() if name == source],
                    "reason": values[source].reason,
                }
            )
    return rows


def _number_or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def ranking_csv(ranking: SourceRanking) -> str:
    rows = []
    for row in ranking_rows(ranking):
        cells = {**row, "rules": " ".join(row["rules"])}
        rows.append(["" if cells[name] is None else cells[name] for name in _COLUMNS])
    return csv_text(_COLUMNS, rows)


def ranking_json(ranking: SourceRanking) -> str:
    choices = {}
    for score in ranking.scores.values:
        choice = ranking.scores.choose(score, ranking.rules)
        if choice is not None:
            choices[score] = {
                "source": choice.source,
                "tied": list(choice.tied),
                "share_best": _number_or_none(choice.share_best),
                "above": {rule: _number_or_none(share) for rule, share in choice.above.items()},
            }
    record = {
        "target": ranking.scores.target,
        "images": ranking.scores.images,
        "rules": dict(ranking.rules),
        "choices": choices,
        "rows": ranking_rows(ranking),
        "remarks": list(ranking.remarks),
    }
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


# -- text ------------------------------------------------------------------------------------------


def ranking_text(ranking: SourceRanking) -> str:
    return "\n".join(_lines(ranking)) + "\n"


def _lines(ranking: SourceRanking) -> Iterator[str]:
    scores = ranking.scores
    halves = max((len(item.values) for item in scores.halves.values()), default=0)
    yield f"{scores.target}: {count_text(scores.images, 'labelled images')}"
    if halves:
        yield (
            f"in brackets: where 95 % of {halves} random halves of these images (of each class,"
            " whole subjects) put the score; best in: the share of the halves in which a source is"
            " first; other trainings of the sources are not in them"
        )
    width = max(len(name) for values in scores.values.values() for name in values)
    for score in scores.values:
        yield ""
        yield score
        for row in ranking_rows(ranking):
            if row["score"] == score:
                yield f"  {row['source']:<{width}}  {_row_text(row)}"
        choice = scores.choose(score, ranking.rules)
        yield "  no source has a value" if choice is None else f"  {choice_text(choice, ranking)}"
    yield ""
    yield from _disagreement(ranking)
    yield from (f"note: {text}" for text in ranking.remarks)
    if ranking.study:
        yield f"{_CAUTION}: the report of {ranking.study} says whether one does there."
    else:
        yield f"{_CAUTION}: see whether one does in a study of your own (torchcross transfer run)."


def _disagreement(ranking: SourceRanking) -> Iterator[str]:
    choices = [ranking.scores.choose(score, ranking.rules) for score in ranking.scores.values]
    sources = {choice.score: choice.source for choice in choices if choice is not None}
    if len(set(sources.values())) > 1:
        listed = ", ".join(f"{score} {source}" for score, source in sources.items())
        yield f"note: the scores disagree: {listed}"


def _row_text(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return str(row["reason"])
    text = f"{row['value']:9.4f}"
    if row["low"] is not None:
        text += f"  ({row['low']:.4f} to {row['high']:.4f})"
    if row["share_best"] is not None:
        text += f"  best in {100 * row['share_best']:3.0f} %"
    marks = [f"[{rule}]" for rule in row["rules"]]
    return "  ".join([text, *marks])


def choice_text(choice: ScoreChoice, ranking: SourceRanking) -> str:
    """One sentence: what a score chooses, how sure, and against which rules."""
    shares = ranking.scores.halves[choice.score].shares_best()
    leader = max(shares, key=lambda name: shares[name])
    sure = ""
    if shares[leader] > choice.share_best:
        sure = (
            f", highest on all images; in the halves {leader} is first more often"
            f" ({_percent(shares[leader])} against {_percent(choice.share_best)}): not sure"
        )
    elif not math.isnan(choice.share_best):
        sure = f", the best in {_percent(choice.share_best)} of the halves"
    tied = "".join(f" = {name}" for name in choice.tied)
    parts = [f"-> {choice.source}{tied}{sure}"]
    for rule, source in ranking.rules.items():
        if source == choice.source:
            parts.append(f"the rule {rule!r} takes {source} too")
        elif math.isnan(choice.above.get(rule, math.nan)):
            parts.append(f"the rule {rule!r} takes {source}")
        else:
            share = _percent(choice.above[rule])
            words = f"the rule {rule!r} takes {source}"
            parts.append(f"{words}, which scores lower in {share} of the halves")
    return "; ".join(parts)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
