"""The numbers of a report, computed once: every table and plot reads a `Summary`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import isfinite, nan
from typing import TypedDict, TypeVar

import numpy as np

from torchcross.errors import InputError
from torchcross.records import Means, Records
from torchcross.report.cells import CellKey, Column, SummaryCell, cells_of
from torchcross.report.numbers import Notation, notation_of, notation_of_means
from torchcross.statistics import (
    Across,
    Comparison,
    Draws,
    Interval,
    SplitError,
    across_targets,
    lower_is_better,
    within_target,
)
from torchcross.statistics.grade_scales import scale_problem

Episodes = Mapping[tuple[str, str, int], str]
"""(algorithm, target, shots) -> the episodes that were scored, by any text that identifies them."""

EpisodeDraws = Mapping[tuple[str, str, int], Draws]
"""(algorithm, target, shots) -> which images the episodes drew."""

Scales = Mapping[str, str]
"""Target -> its grades, by any text: values in grades are averaged over equal ones only."""

ClassesLeftOut = Mapping[str, Sequence[str]]
"""Target -> its classes that no episode has, since they have too few images."""


Chance = Mapping[str, Mapping[str, float]]
"""Metric -> target -> what chance reaches, where it is not the same for all targets."""

SplitErrors = Mapping[tuple[str, str, int, str], Mapping[int, SplitError]]
"""(algorithm, target, shots, metric) -> the error over a split's images, for each seed."""

Value = TypeVar("Value")


class TableOptions(TypedDict, total=False):
    """Which metric of the records is shown, and how its intervals are computed."""

    metric: str | None
    level: float
    method: str
    episodes: Episodes | None
    scales: Scales | None
    untrained: Collection[str]
    ceilings: Collection[str]
    margin: float | None
    classes_left_out: ClassesLeftOut | None
    chance: Chance | None
    draws: EpisodeDraws | None
    split_errors: SplitErrors | None


@dataclass(frozen=True)
class TargetTask:
    """The name of a target task and of its domain."""

    name: str
    domain: str

    @property
    def short_name(self) -> str:
        """The name without the domain that it starts with."""
        return self.name.removeprefix(f"{self.domain}/") or self.name


@dataclass(frozen=True, eq=False)
class Summary:
    """The cells of one metric, and for each number of shots what holds across targets.

    `across` lacks the shots at which fewer than two algorithms were scored. `notes` say what was
    left out of which cell. `common` are the notes that hold everywhere, for example that training
    variance was not measured. `unpaired` are the targets and shots whose algorithms were not scored
    on the same episodes. `is_published`: the numbers are means as they were given. `scales` are the
    grades of the targets. `failures_count_as` names the values of failures, `pair_counts` are the
    numbers of pairs that Holm's method corrects together. `margin` is that of equivalences.
    `classes_left_out` are those of targets. `ceilings` learned from all labels of a target.
    """

    metric: str
    notation: Notation
    level: float
    targets: tuple[TargetTask, ...]
    algorithms: tuple[str, ...]
    shots: tuple[int | None, ...]
    cells: Mapping[CellKey, SummaryCell]
    across: Mapping[int | None, Across]
    notes: tuple[str, ...] = ()
    common: tuple[str, ...] = ()
    unpaired: tuple[tuple[str, int], ...] = ()
    is_published: bool = False
    scales: Scales = field(default_factory=dict)
    failures_count_as: tuple[str, ...] = ()
    pair_counts: tuple[int, ...] = ()
    margin: float | None = None
    classes_left_out: ClassesLeftOut = field(default_factory=dict)
    ceilings: frozenset[str] = frozenset()

    @property
    def remarks(self) -> tuple[str, ...]:
        """`common` as sentences. The name of an algorithm keeps its first letter."""
        return tuple(
            f"{text if text.startswith(self.algorithms) else text[:1].upper() + text[1:]}."
            for text in self.common
        )

    @property
    def domains(self) -> dict[str, list[TargetTask]]:
        """The targets of each domain, both in the order of their first appearance."""
        domains: dict[str, list[TargetTask]] = {}
        for target in self.targets:
            domains.setdefault(target.domain, []).append(target)
        return domains

    @property
    def has_domains(self) -> bool:
        """Whether domains are shown: records have them, published means may."""
        return not self.is_published or any(self.domains)

    def is_partial(self, target: TargetTask) -> bool:
        """Whether scores of the target leave out classes."""
        partial = (cell.partial for key, cell in self.cells.items() if key[0] == target.name)
        return bool(self.classes_left_out.get(target.name)) or any(partial)

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of the intervals."""
        return tuple(dict.fromkeys(cell.interval.method for cell in self.cells.values()))

    def mean_of(self, column: Column) -> float:
        """The mean over the targets that every algorithm was scored on: none has easier ones."""
        algorithm, shots = column
        if (across := self.across.get(shots)) is not None:
            return dict(zip(across.algorithms, across.means, strict=True)).get(algorithm, nan)
        means = {
            key[0]: cell.interval.mean
            for key, cell in self.cells.items()
            if key[1:] == column and isfinite(cell.interval.mean)
        }
        if not means or scale_problem(self.metric, tuple(means), self.scales):
            return nan
        return sum(means.values()) / len(means)

    def rank_of(self, column: Column) -> float:
        """The algorithm's mean rank over targets at these shots, NaN where it was not ranked."""
        algorithm, shots = column
        if (across := self.across.get(shots)) is None:
            return nan
        return dict(zip(across.algorithms, across.ranks, strict=True)).get(algorithm, nan)


def summarise(
    table: Records | Means,
    *,
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    related: Sequence[Collection[str]] = (),
    episodes: Episodes | None = None,
    margin: float | None = None,
    scales: Scales | None = None,
    untrained: Collection[str] = (),
    classes_left_out: ClassesLeftOut | None = None,
    chance: Chance | None = None,
    ceilings: Collection[str] = (),
    draws: EpisodeDraws | None = None,
    split_errors: SplitErrors | None = None,
    across: Mapping[int | None, Across] | None = None,
) -> Summary:
    """Compare the algorithms within every target and across them; of `Means` only across them."""
    compare = partial(across_targets, related=related, level=level, margin=margin, scales=scales)
    if isinstance(table, Means):
        return _summary_of_means(table, level, compare)
    metric = _metric_to_show(table, metric)
    records = table.where(metric=metric)
    targets, algorithms = _targets_by_domain(records), _in_order_of(table, records)
    levels, errors = (chance or {}).get(metric, {}), _errors_of(metric, split_errors or {})
    within = partial(
        within_target, metric=metric, method=method, level=level, untrained=untrained, margin=margin
    )
    comparisons: list[Comparison] = []
    for target in targets:
        rows = records.where(target=target.name)
        comparisons += [
            within(
                rows,
                target.name,
                shots=shots,
                episodes=_of_algorithms(algorithms, target.name, shots, episodes or {}),
                draws=_of_algorithms(algorithms, target.name, shots, draws or {}),
                chance=levels.get(target.name),
                split_errors=_of_algorithms(algorithms, target.name, shots, errors),
            )
            for shots in sorted(rows.unique("shots"))
        ]
    cells = _without_ceilings(dict(cells_of(comparisons, records)), ceilings)
    unpaired = tuple((one.target, one.shots) for one in comparisons if not one.same_episodes)
    all_shots = tuple(sorted(records.unique("shots")))
    if across is None:
        means = (_comparable_means(cells, algorithms, k, metric, unpaired) for k in all_shots)
        across = {k: compare(each) for k, each in zip(all_shots, means, strict=True) if each}
    notes, common = _notes(comparisons)
    return Summary(
        metric,
        notation_of(metric),
        level,
        targets,
        algorithms,
        all_shots,
        cells,
        across,
        notes=notes,
        common=common,
        unpaired=unpaired,
        scales=scales or {},
        failures_count_as=tuple(sorted({one.failures_count_as for one in comparisons} - {""})),
        pair_counts=tuple(sorted({len(one.pairs) for one in comparisons} - {0})),
        margin=margin,
        classes_left_out=classes_left_out or {},
        ceilings=frozenset(ceilings),
    )


def _in_order_of(table: Records, records: Records) -> tuple[str, ...]:
    """The algorithms of the records in the order of the whole table, as for every other metric."""
    present = set(records.unique("algorithm"))
    return tuple(name for name in table.unique("algorithm") if name in present)


def _notes(comparisons: Sequence[Comparison]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The notes of single comparisons with their places, and those of all of them."""
    counts = Counter(note for one in comparisons for note in one.notes)
    placed = (
        f"{one.target} at shots {one.shots}: {note}"
        for one in comparisons
        for note in one.notes
        if counts[note] < len(comparisons)
    )
    common = (note for note, count in counts.items() if count == len(comparisons))
    return tuple(placed), tuple(common)


def _without_ceilings(
    cells: dict[CellKey, SummaryCell], ceilings: Collection[str]
) -> dict[CellKey, SummaryCell]:
    """No ceiling is the best of a row, where it stands beside algorithms that learn from less."""
    if {algorithm for _, algorithm, _ in cells} <= set(ceilings):
        return cells
    return {
        key: replace(cell, is_best=False) if key[1] in ceilings else cell
        for key, cell in cells.items()
    }


def _summary_of_means(means: Means, level: float, compare: Callable[[Means], Across]) -> Summary:
    best_of = np.nanmin if lower_is_better(means.metric) else np.nanmax
    cells: dict[CellKey, SummaryCell] = {}
    for target, row in zip(means.targets, means.values, strict=True):
        for algorithm, value in zip(means.algorithms, row.tolist(), strict=True):
            if isfinite(value):
                interval = Interval(value, nan, nan, 1, "", level)
                # Equal means are equally good: without intervals nothing else says which is best.
                cells[target, algorithm, None] = SummaryCell(interval, value == best_of(row))
    across: dict[int | None, Across] = {}
    if len(means.algorithms) > 1:
        across[None] = compare(means)
    return Summary(
        means.metric,
        notation_of_means(means),
        level,
        tuple(map(TargetTask, means.targets, means.domains)),
        means.algorithms,
        (None,),
        cells,
        across,
        is_published=True,
    )


def _metric_to_show(records: Records, metric: str | None) -> str:
    """The metric asked for, else "auroc" where there is any, else the first."""
    if not len(records):
        raise InputError("the table has no records; a report needs at least one row")
    present = records.unique("metric")
    if metric is None:
        return "auroc" if "auroc" in present else str(present[0])
    if metric not in present:
        raise InputError(f"no record has the metric {metric!r}; choose from {sorted(present)}")
    return metric


def _targets_by_domain(records: Records) -> tuple[TargetTask, ...]:
    """By domain, in the order in which domains and targets first appear."""
    domains: dict[str, str] = {}
    columns = records.columns
    for name, domain in zip(columns["target"].tolist(), columns["domain"].tolist(), strict=True):
        if domains.setdefault(name, domain) != domain:
            raise InputError(
                f"the target {name!r} has records in the domains {domains[name]!r} and {domain!r};"
                " give it one"
            )
    order = list(dict.fromkeys(domains.values()))
    names = sorted(domains, key=lambda name: order.index(domains[name]))
    return tuple(TargetTask(name, domains[name]) for name in names)


def _errors_of(
    metric: str, errors: SplitErrors
) -> dict[tuple[str, str, int], Mapping[int, SplitError]]:
    return {key[:3]: own for key, own in errors.items() if key[3] == metric}


def _of_algorithms(
    algorithms: Sequence[str], target: str, shots: int, values: Mapping[tuple[str, str, int], Value]
) -> dict[str, Value]:
    """What is known of each algorithm on this target at these shots."""
    keys = ((algorithm, target, shots) for algorithm in algorithms)
    return {key[0]: values[key] for key in keys if key in values}


def _comparable_means(
    cells: Mapping[CellKey, SummaryCell],
    algorithms: Sequence[str],
    shots: int,
    metric: str,
    unpaired: Sequence[tuple[str, int]],
) -> Means | None:
    """The means that may be compared, the same that the cells show; None of one algorithm."""
    here = {(target, name): cell for (target, name, k), cell in cells.items() if k == shots}
    present = {name for _, name in here}
    names = [name for name in algorithms if name in present]
    if len(names) < 2:
        return None
    targets = list(dict.fromkeys(target for target, _ in here))
    table, notes = np.full((len(targets), len(names)), nan), []
    for (target, name), cell in here.items():
        if cell.is_compared:
            table[targets.index(target), names.index(name)] = cell.interval.mean
        elif cell.interval.n:
            notes.append(
                f"{name} on {target} is not compared: it shares too few episodes with the others"
            )
    if other := [target for target, number in unpaired if number == shots]:
        notes.append(
            f"{', '.join(other)}: not the same episodes, so the means also differ by their episodes"
        )
    return Means(table, names, targets, metric=metric, notes=notes)
