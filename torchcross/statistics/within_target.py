"""Within one target: the mean and interval of each algorithm, the best one, and its ties."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from torchcross.errors import InputError
from torchcross.metrics.reasons import is_partial
from torchcross.metrics.reference_values import lower_is_better
from torchcross.records.records import Records
from torchcross.records.shots import shots_text
from torchcross.statistics.bounds import bounds_of
from torchcross.statistics.common_episodes import CommonEpisodes, Scores, scores_of
from torchcross.statistics.comparison import Comparison, ComparisonRow, Pair
from torchcross.statistics.comparison_notes import (
    failure_notes,
    group_notes,
    pair_notes,
    row_notes,
)
from torchcross.statistics.draws import Draws
from torchcross.statistics.failures import reasons_of
from torchcross.statistics.intervals import (
    ONE_VALUE,
    Interval,
    check_level,
    check_method,
    join_notes,
)
from torchcross.statistics.leaders import leaders_of
from torchcross.statistics.pair_tests import tested_pairs, with_resolution
from torchcross.statistics.resolution import check_margin
from torchcross.statistics.seeds import ONE_SEED
from torchcross.statistics.split_errors import OVER_SPLIT, SplitError, split_interval
from torchcross.statistics.views import MeanOptions, Views, values_in, views_of

ONE_NUMBER: Final = "one number per seed: no interval over test images"
NO_TRAINING: Final = "nothing was trained: one seed is all there is"


def within_target(
    records: Records,
    target: str,
    metric: str,
    shots: int,
    *,
    method: str = "t",
    level: float = 0.95,
    seed: int = 0,
    episodes: Mapping[str, str] | None = None,
    draws: Mapping[str, Draws] | None = None,
    untrained: Collection[str] = (),
    margin: float | None = None,
    chance: float | None = None,
    split_errors: Mapping[str, Mapping[int, SplitError]] | None = None,
) -> Comparison:
    """Compare the algorithms on one target, over the same episodes.

    An episode that an algorithm failed on, because it diverged there or because others scored it,
    counts as the chance level of the metric (`chance` where it is given), or as its worst value:
    `failures_count_as` of the result. The best leads with failures counted, and over the episodes
    that every algorithm scored. Algorithms with equal means share the lead, and what either test
    separates from any of the leaders is no tie. One algorithm alone is no best.

    With one training seed an interval is over episodes (`method` of `mean_interval`) and a test is
    the paired t test. With several they are those of `hierarchical_interval` and
    `seeded_difference`. Pairs are of the same seed and episode. Every pair of algorithms is tested
    and p corrected by Holm's method over all of them, so that the ties of the best hold although
    the same numbers chose the best.

    An episode that one algorithm has no row of counts for none. An algorithm that would take more
    than half of the episodes from the others is not compared. `episodes` identifies, by any text
    such as a digest, the episodes on which each algorithm was scored: algorithms with different
    texts (or one without) are not paired, and there is no best.

    `draws` are those of the episodes of each algorithm. With them intervals and tests, and so ties,
    are over images, and those over episodes of these images are in `these_images`. An algorithm
    without draws has intervals over episodes only. With `split_errors` they are over a split.

    `untrained` are algorithms without any training, whose one seed is all there is. With a `margin`
    of equivalence, in the unit of the metric, every tie has an `equivalence_p`.
    """
    check_level(level)
    check_method(method)
    check_margin(margin)
    records = records.where(target=target, metric=metric, shots=shots)
    check_rows(records, f"metric {metric!r} at {shots_text(shots)} of {target!r}")
    options = MeanOptions(method, level, seed, draws or {}, bounds_of(metric))
    views = views_of(scores_of(records), reasons_of(records), metric, episodes or {}, chance)
    rows = _rows(records, views, options, untrained, split_errors or {})
    pairs = tested_pairs(views, options)
    leaders, doubt = _leaders(views, rows, pairs, metric)
    if ties := _ties(rows, pairs, leaders, level):
        pairs = with_resolution(pairs, views[0], leaders, ties, options, margin)
    return Comparison(
        target,
        metric,
        shots,
        rows,
        pairs,
        leaders[0] if leaders else "",
        ties,
        level,
        tuple(filter(None, (*_notes(records, views, rows, pairs), doubt))),
        same_episodes=len(views) == 1,
        failures_count_as=next((view.failures.name for view in views if view.failures), ""),
        one_training=_has_one_training(rows, untrained),
        margin=margin,
        also_best=leaders[1:],
    )


def _has_one_training(rows: Sequence[ComparisonRow], untrained: Collection[str]) -> bool:
    return any(
        row.compared and len(row.seeds) == 1 and row.algorithm not in untrained for row in rows
    )


def _leaders(
    views: Sequence[Views], rows: Sequence[ComparisonRow], pairs: Sequence[Pair], metric: str
) -> tuple[tuple[str, ...], str]:
    """None leads among algorithms that were scored on different episodes."""
    if len(views) != 1:
        return (), ""
    scores = [value for each in views[0].counted.scores.values() for value in values_in(each)]
    size = max((abs(score) for score in scores if math.isfinite(score)), default=0.0)
    return leaders_of(rows, pairs, lower_is_better=lower_is_better(metric), size=size)


def _ties(
    rows: Sequence[ComparisonRow], pairs: Sequence[Pair], leaders: Sequence[str], level: float
) -> tuple[str, ...]:
    """All but the best one that were tested with a leader and are separated from no leader."""
    is_separated: dict[str, bool] = {}
    for leader in leaders:
        for pair in pairs:
            if leader in pair.names:
                name = pair.other(leader)
                is_separated[name] = is_separated.get(name, False) or pair.is_separated(level)
    ties = {name for name, separated in is_separated.items() if not separated} - {*leaders[:1]}
    return tuple(row.algorithm for row in rows if row.algorithm in ties)


def _notes(
    records: Records, views: Sequence[Views], rows: Sequence[ComparisonRow], pairs: Sequence[Pair]
) -> Iterator[str]:
    yield from group_notes([view.counted for view in views])
    yield from failure_notes(rows, views, records)
    yield from row_notes(rows, records)
    yield from pair_notes(rows, pairs)


def check_rows(records: Records, description: str) -> None:
    """Refuse rows of which no mean can be taken: none, of several runs, or twice the same."""
    if not len(records):
        raise InputError(
            f"there are no records of {description}; see records.unique('target'), 'metric' and"
            " 'shots'"
        )
    for name in records.unique("algorithm"):
        if len(runs := records.where(algorithm=name).unique("run")) > 1:
            raise InputError(
                f"{name!r} has records of {description} in several runs {list(runs)}; choose one"
                " with records.where(run=...), or give the algorithms different names"
            )
    if repeated := records.repeated_keys():
        raise InputError(
            f"{len(repeated)} records of {description} stand twice, the first {repeated[0]}; read"
            " each table once"
        )


def _rows(
    records: Records,
    views: Sequence[Views],
    options: MeanOptions,
    untrained: Collection[str],
    errors: Mapping[str, Mapping[int, SplitError]],
) -> tuple[ComparisonRow, ...]:
    """In the order of the records."""
    scores, partial = scores_of(records), _partial_counts(records)
    rows = []
    for name, values in scores.items():
        (view,) = (view for view in views if name in view.counted.scores)
        row = _row(name, values, view, options, name in untrained)
        row = _over_split(row, view, errors.get(name, {}), options)
        rows.append(replace(row, partial=partial.get(name, 0)))
    return tuple(rows)


def _partial_counts(records: Records) -> dict[str, int]:
    """How many values of each algorithm are averages that left out classes."""
    counts: dict[str, int] = {}
    columns = records.columns
    for name, reason in zip(columns["algorithm"].tolist(), columns["reason"].tolist(), strict=True):
        if is_partial(reason):
            counts[name] = counts.get(name, 0) + 1
    return counts


def _row(
    name: str, scores: Scores, view: Views, options: MeanOptions, untrained: bool
) -> ComparisonRow:
    """`scores` are all values of the algorithm, those of the view the ones that count."""
    counted = view.counted.scores[name]
    interval = options.interval(name, counted)
    notes = []
    if sum(map(bool, counted.values())) < 2:
        notes.append(NO_TRAINING if untrained else ONE_SEED)
    values = list(values_in(scores))
    failed = view.failures.counts[name]
    undefined = sum(map(math.isnan, values)) - failed
    if undefined:
        notes.append(f"{undefined} of {len(values)} values undefined, left out")
    notes.append(interval.note)
    if interval.n < len(values) - undefined:
        notes.append(
            f"over {interval.n} of {len(values)} values, of the episodes that every algorithm"
            " scored"
        )
    if len(values) == len(scores):
        notes = [ONE_NUMBER, *(note for note in notes if note != ONE_VALUE)]
    interval = replace(interval, undefined=undefined, note=join_notes(*notes))
    seeds = tuple(number for number in scores if counted.get(number)) or tuple(scores)
    return ComparisonRow(
        name,
        interval,
        seeds,
        name in view.counted.compared_algorithms,
        failed,
        _common_interval(name, view.common, options),
    )


def _over_split(
    row: ComparisonRow, view: Views, errors: Mapping[int, SplitError], options: MeanOptions
) -> ComparisonRow:
    """The row with an interval over the images of a split, where it has one score for each seed."""
    scores = view.counted.scores[row.algorithm]
    values = {seed: value for seed, by_number in scores.items() for value in by_number.values()}
    is_one_each = all(len(by_number) == 1 for by_number in scores.values())
    is_known = all(seed in errors and not math.isnan(value) for seed, value in values.items())
    if not values or not is_one_each or not is_known:
        return row
    interval = split_interval(
        list(values.values()),
        [errors[seed] for seed in values],
        level=options.level,
        bounds=options.bounds,
    )
    before = (OVER_SPLIT if note == ONE_NUMBER else note for note in row.interval.note.split("; "))
    note = join_notes(*before, interval.note)
    return replace(row, interval=replace(interval, undefined=row.interval.undefined, note=note))


def _common_interval(
    name: str, common: CommonEpisodes | None, options: MeanOptions
) -> Interval | None:
    if common is None or name not in common.compared_algorithms:
        return None
    return options.interval(name, common.scores[name])
