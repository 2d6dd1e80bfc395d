"""What the rows of one metric say, computed once: every table and plot of a report reads this."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan

import numpy as np

from torchcross.errors import InputError
from torchcross.records import Means, Records
from torchcross.statistics import Across, Interval, across_targets, within_target

__all__ = [
    "Column",
    "Episodes",
    "Score",
    "Summary",
    "Target",
    "chosen_metric",
    "short_name",
    "summarise",
]

Column = tuple[str, int]
"""An algorithm and its number of shots."""

Episodes = Mapping[tuple[str, str, int], str]
"""(algorithm, target, shots) -> which episodes were scored, by any text that is another for
others.
"""


@dataclass(frozen=True)
class Target:
    name: str
    domain: str


@dataclass(frozen=True, eq=False)
class Score:
    """One cell: the mean with its interval, whether it is the best of its row, and the scores of
    all its episodes.

    The mean is over the episodes that every algorithm of the row scored; where `is_compared` is
    False it is over the algorithm's own, too few of which the others share.
    """

    interval: Interval
    is_best: bool
    is_tied: bool
    is_compared: bool
    values: Sequence[float]

    @property
    def bounds(self) -> tuple[float, float, float]:
        return self.interval.mean, self.interval.low, self.interval.high


@dataclass(frozen=True, eq=False)
class Summary:
    """The scores of one metric by (target, algorithm, shots), and for each number of shots what
    holds across targets.

    `across` lacks the shots at which fewer than two algorithms were scored. `notes` say what was
    left out where; `common` are those that hold everywhere, such as that training variance was not
    measured. `unpaired` are the targets and shots whose algorithms were not scored on the same
    episodes.
    """

    metric: str
    level: float
    targets: tuple[Target, ...]
    algorithms: tuple[str, ...]
    shots: tuple[int, ...]
    scores: Mapping[tuple[str, str, int], Score]
    means: Mapping[Column, float]
    across: Mapping[int, Across]
    notes: tuple[str, ...]
    common: tuple[str, ...]
    unpaired: tuple[tuple[str, int], ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """`common` as sentences; an algorithm's name stays as it is."""
        names = tuple(self.algorithms)
        return tuple(
            f"{text if text.startswith(names) else text[:1].upper() + text[1:]}."
            for text in self.common
        )

    @property
    def columns(self) -> tuple[Column, ...]:
        """Algorithms that compete stand side by side: by shots first."""
        return tuple((algorithm, shots) for shots in self.shots for algorithm in self.algorithms)

    @property
    def domains(self) -> tuple[tuple[str, tuple[Target, ...]], ...]:
        names = dict.fromkeys(target.domain for target in self.targets)
        return tuple(
            (name, tuple(target for target in self.targets if target.domain == name))
            for name in names
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """How the intervals were made."""
        return tuple(dict.fromkeys(score.interval.method for score in self.scores.values()))

    def rank_of(self, column: Column) -> float:
        """The algorithm's mean rank over targets at these shots, NaN where it was not ranked."""
        algorithm, shots = column
        found = self.across.get(shots)
        if found is None or algorithm not in found.algorithms:
            return nan
        return found.ranks[found.algorithms.index(algorithm)]


def chosen_metric(records: Records, metric: str | None) -> str:
    """The metric to report: the one asked for, else "auroc" where there is any, else the first."""
    if not len(records):
        raise InputError("the table has no records; a report needs at least one row")
    present = records.unique("metric")
    if metric is None:
        return "auroc" if "auroc" in present else str(present[0])
    if metric not in present:
        raise InputError(f"no record has the metric {metric!r}; choose from {sorted(present)}")
    return metric


def summarise(
    records: Records,
    *,
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    related: Iterable[Collection[str]] = (),
    episodes: Episodes | None = None,
) -> Summary:
    """Compare the algorithms within every target and across them."""
    episodes = {} if episodes is None else episodes
    metric = chosen_metric(records, metric)
    chosen = records.where(metric=metric)
    targets, present = _targets(chosen), set(chosen.unique("algorithm"))
    # In the order of the whole table, so that every metric has its columns in the same one.
    algorithms = tuple(str(name) for name in records.unique("algorithm") if name in present)
    shots = tuple(sorted(map(int, chosen.unique("shots"))))
    scores: dict[tuple[str, str, int], Score] = {}
    notes: list[tuple[str, str]] = []
    unpaired: list[tuple[str, int]] = []
    comparisons = 0
    for target in targets:
        here = chosen.where(target=target.name)
        values = _values(here)
        for k in sorted(here.unique("shots")):
            told = {
                name: episodes[name, target.name, k]
                for name in algorithms
                if (name, target.name, k) in episodes
            }
            found = within_target(
                here, target.name, metric, k, method=method, level=level, episodes=told
            )
            for row in found.rows:
                is_best, is_tied = row.algorithm == found.best, row.algorithm in found.ties
                scores[target.name, row.algorithm, k] = Score(
                    row.interval, is_best, is_tied, row.compared, values[row.algorithm, k]
                )
            unpaired += [] if found.same_episodes else [(target.name, k)]
            notes += [(f"{target.name} at shots {k}", note) for note in found.notes]
            comparisons += 1
    related = [set(one) for one in related]
    apart = {k: [target for target, shots_ in unpaired if shots_ == k] for k in shots}
    tables = {
        k: table
        for k in shots
        if (table := _means(scores, targets, algorithms, k, metric, apart[k]))
    }
    across = {k: across_targets(table, related=related, level=level) for k, table in tables.items()}
    means = {
        (name, k): _mean(scores, targets, across.get(k), name, k)
        for k in shots
        for name in algorithms
    }
    counts = Counter(note for _, note in notes)
    common = tuple(note for note, count in counts.items() if count == comparisons)
    special = tuple(f"{place}: {note}" for place, note in notes if note not in common)
    return Summary(
        metric,
        level,
        targets,
        algorithms,
        shots,
        scores,
        means,
        across,
        special,
        common,
        tuple(unpaired),
    )


def short_name(target: Target) -> str:
    """The target's name without the domain that it starts with."""
    return target.name.removeprefix(f"{target.domain}/") or target.name


def _targets(records: Records) -> tuple[Target, ...]:
    """By domain, in the order in which domains and targets first appear."""
    domains: dict[str, str] = {}
    columns = records.columns
    for name, domain in dict.fromkeys(
        zip(columns["target"].tolist(), columns["domain"].tolist(), strict=True)
    ):
        if domains.setdefault(name, domain) != domain:
            raise InputError(
                f"the target {name!r} has records in the domains {domains[name]!r} and {domain!r};"
                " give it one"
            )
    order = {domain: place for place, domain in enumerate(dict.fromkeys(domains.values()))}
    return tuple(
        Target(name, domains[name])
        for name in sorted(domains, key=lambda name: order[domains[name]])
    )


def _values(records: Records) -> dict[Column, list[float]]:
    columns = records.columns
    found: dict[Column, list[float]] = {}
    for algorithm, shots, value in zip(
        *(columns[name].tolist() for name in ("algorithm", "shots", "value")), strict=True
    ):
        found.setdefault((algorithm, shots), []).append(value)
    return found


def _means(
    scores: Mapping[tuple[str, str, int], Score],
    targets: Sequence[Target],
    algorithms: Sequence[str],
    shots: int,
    metric: str,
    unpaired: Sequence[str],
) -> Means | None:
    """The means that may be compared, the same that the cells show; None of one algorithm."""
    names = [
        name
        for name in algorithms
        if any((target.name, name, shots) in scores for target in targets)
    ]
    rows = [
        target.name
        for target in targets
        if any((target.name, name, shots) in scores for name in names)
    ]
    if len(names) < 2:
        return None
    table, notes = np.full((len(rows), len(names)), nan), []
    for i, target in enumerate(rows):
        for j, name in enumerate(names):
            score = scores.get((target, name, shots))
            if score is not None and score.is_compared:
                table[i, j] = score.interval.mean
            elif score is not None and score.interval.n:
                notes.append(
                    f"{name} on {target} is not compared: it shares too few episodes with the"
                    " others"
                )
    if unpaired:
        notes.append(
            f"{', '.join(unpaired)}: not the same episodes, so that means differ by their"
            " episodes too"
        )
    return Means(table, names, rows, metric=metric, notes=notes)


def _mean(
    scores: Mapping[tuple[str, str, int], Score],
    targets: Sequence[Target],
    across: Across | None,
    algorithm: str,
    shots: int,
) -> float:
    """Over the targets that all algorithms were scored on, so that no column profits from easier
    ones.
    """
    if across is not None:
        return (
            across.means[across.algorithms.index(algorithm)]
            if algorithm in across.algorithms
            else nan
        )
    found = [
        scores[key].interval.mean
        for target in targets
        if (key := (target.name, algorithm, shots)) in scores
    ]
    defined = [mean for mean in found if isfinite(mean)]
    return sum(defined) / len(defined) if defined else nan
