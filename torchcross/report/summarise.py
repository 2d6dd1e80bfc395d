"""From rows to a summary: the comparisons within every target and across them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import isfinite, nan
from typing import Any, TypeVar, Unpack

import numpy as np

from torchcross.errors import InputError
from torchcross.records import Means, Records
from torchcross.records.shots import ALL_SHOTS
from torchcross.report.cells import CellKey, SummaryCell, cells_of
from torchcross.report.notes import notes_with_places
from torchcross.report.numbers import notation_of, notation_of_means
from torchcross.report.summary import (
    Chance,
    EpisodeDraws,
    Episodes,
    Scales,
    ShownOptions,
    SplitErrors,
    Summary,
    TargetTask,
)
from torchcross.statistics import (
    Across,
    Interval,
    SplitError,
    across_targets,
    lower_is_better,
    within_target,
)
from torchcross.statistics.best_names import names_of_best

Value = TypeVar("Value")


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
    chance: Chance | None = None,
    ceilings: Collection[str] = (),
    draws: EpisodeDraws | None = None,
    split_errors: SplitErrors | None = None,
    across: Mapping[int | None, Across] | None = None,
    **shown: Unpack[ShownOptions],
) -> Summary:
    """Compare the algorithms within every target and across them; of `Means` only across them."""
    compare = partial(across_targets, related=related, level=level, margin=margin, scales=scales)
    if isinstance(table, Means):
        return _summary_of_means(table, level, compare)
    table = with_all_labels(table, ceilings)
    records = table.where(metric=(metric := _metric_to_show(table, metric)))
    targets, algorithms = _targets_by_domain(records), _in_order_of(table, records)
    levels, errors = (chance or {}).get(metric, {}), _errors_of(metric, split_errors or {})
    within = partial(
        within_target, metric=metric, method=method, level=level, untrained=untrained, margin=margin
    )
    comparisons = [
        within(
            rows,
            target.name,
            shots=shots,
            chance=levels.get(target.name),
            **_facts_of(algorithms, target.name, shots, episodes or {}, draws or {}, errors),
        )
        for target, rows in ((each, records.where(target=each.name)) for each in targets)
        for shots in sorted(rows.unique("shots"))
    ]
    cells = _without_ceilings(dict(cells_of(comparisons, records)), ceilings)
    cells = _with_gaps(cells, ceilings)
    unpaired = tuple((one.target, one.shots) for one in comparisons if not one.same_episodes)
    all_shots = tuple(sorted(records.unique("shots")))
    if across is None:
        means = {k: _comparable_means(cells, algorithms, k, metric, unpaired) for k in all_shots}
        across = {k: compare(each) for k, each in means.items() if each}
    return Summary(
        metric,
        notation_of(metric),
        level,
        targets,
        algorithms,
        all_shots,
        cells,
        across,
        *notes_with_places(comparisons),
        unpaired,
        scales=scales or {},
        failures_count_as=tuple(sorted({one.failures_count_as for one in comparisons} - {""})),
        pair_counts=tuple(sorted({len(one.pairs) for one in comparisons} - {0})),
        margin=margin,
        ceilings=frozenset(ceilings),
        chance=levels,
        **_fields_of(shown),
    )


def _fields_of(shown: ShownOptions) -> dict[str, Any]:
    """As a summary has them."""
    return {
        "classes_left_out": shown.get("classes_left_out") or {},
        "blanks": shown.get("blanks") or {},
        "backbones": shown.get("backbones") or {},
        "failures": tuple(shown.get("failures", ())),
        "transductive": frozenset(shown.get("transductive", ())),
        "caveats": tuple(shown.get("caveats", ())),
    }


def with_all_labels(records: Records, ceilings: Collection[str]) -> Records:
    """The records in which ceilings have "all" for shots; those of early versions have 0."""
    columns = records.columns
    is_ceiling = np.isin(columns["algorithm"].astype(str), list(ceilings))
    wrong = is_ceiling & (columns["shots"] == 0)
    if not wrong.any():
        return records
    return Records({**columns, "shots": np.where(wrong, ALL_SHOTS, columns["shots"])})


def _in_order_of(table: Records, records: Records) -> tuple[str, ...]:
    """The algorithms of the records in the order of the whole table, as for every other metric."""
    present = set(records.unique("algorithm"))
    return tuple(name for name in table.unique("algorithm") if name in present)


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


def _with_gaps(
    cells: dict[CellKey, SummaryCell], ceilings: Collection[str]
) -> dict[CellKey, SummaryCell]:
    """The cells, with `some_missing` where another algorithm has none of that target and shots.

    An algorithm that has no cell at these shots on any target is not missing, nor is a ceiling.
    """
    names: dict[int | None, set[str]] = {}
    present: dict[tuple[str, int | None], set[str]] = {}
    for target, name, shots in cells:
        if name not in ceilings:
            names.setdefault(shots, set()).add(name)
            present.setdefault((target, shots), set()).add(name)
    return {
        (target, name, shots): replace(
            cell, some_missing=len(present.get((target, shots), ())) < len(names.get(shots, ()))
        )
        for (target, name, shots), cell in cells.items()
    }


def _summary_of_means(means: Means, level: float, compare: Callable[[Means], Across]) -> Summary:
    cells: dict[CellKey, SummaryCell] = {}
    for target, row in zip(means.targets, means.values, strict=True):
        values = dict(zip(means.algorithms, row.tolist(), strict=True))
        known = {name: value for name, value in values.items() if isfinite(value)}
        best = names_of_best(known, lower_is_better=lower_is_better(means.metric))
        for name, value in known.items():
            interval = Interval(value, nan, nan, 1, "", level)
            # One alone is better than nothing.
            cells[target, name, None] = SummaryCell(interval, name in best and len(known) > 1)
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


def _facts_of(
    algorithms: Sequence[str],
    target: str,
    shots: int,
    episodes: Episodes,
    draws: EpisodeDraws,
    errors: Mapping[tuple[str, str, int], Mapping[int, SplitError]],
) -> dict[str, Any]:
    """What `within_target` takes by algorithm."""
    values: dict[str, Mapping[tuple[str, str, int], Any]]
    values = {"episodes": episodes, "draws": draws, "split_errors": errors}
    return {name: _of_algorithms(algorithms, target, shots, each) for name, each in values.items()}


def _of_algorithms(
    algorithms: Sequence[str], target: str, shots: int, values: Mapping[tuple[str, str, int], Value]
) -> dict[str, Value]:
    """What is known of each algorithm on this target at these shots."""
    keys = [(algorithm, target, shots) for algorithm in algorithms]
    known = {key[0]: values[key] for key in keys if key in values}
    if shots == ALL_SHOTS:
        # As callers say it of records in which all labels stand as 0 shots.
        known = _of_algorithms(algorithms, target, 0, values) | known
    return known


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
