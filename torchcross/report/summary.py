"""The numbers of a report, computed once: every table and plot reads a `Summary`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, nan
from typing import TypedDict

from torchcross.metrics.reference_values import CHANCE
from torchcross.report.cells import CellKey, Column, SummaryCell
from torchcross.report.inputs import Failure
from torchcross.report.numbers import Notation
from torchcross.statistics import Across, Draws, SplitError
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


Blanks = Mapping[tuple[str, int], str]
"""(algorithm, shots) -> why the algorithm has no cells at these shots, on any target."""


BackbonesOfRows = Mapping[str, tuple[str, str]]
"""Algorithm -> its head and its backbone, where the rows of a table are of several backbones."""


def mean_chance(metric: str, chance: Chance, targets: Collection[str]) -> float:
    """The mean of the chance levels of these targets; NaN where one of them has none."""
    levels, usual = chance.get(metric, {}), CHANCE.get(metric, nan)
    return sum(levels.get(name, usual) for name in targets) / len(targets)


class ShownOptions(TypedDict, total=False):
    """What a table shows of a study beside the numbers; no number depends on it."""

    classes_left_out: ClassesLeftOut | None
    blanks: Blanks | None
    backbones: BackbonesOfRows | None
    failures: Sequence[Failure]
    transductive: Collection[str]
    caveats: Sequence[str]


class TableOptions(ShownOptions, total=False):
    """Which metric of the records is shown, and how its intervals are computed."""

    metric: str | None
    level: float
    method: str
    episodes: Episodes | None
    scales: Scales | None
    untrained: Collection[str]
    ceilings: Collection[str]
    margin: float | None
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
    `blanks` are cells that an algorithm cannot have, with the reason. `backbones` are the parts of
    rows of several backbones. `failures` are parts of the study that have no rows. `chance` is what
    chance reaches on each target, where that is not the same for all. `transductive` are algorithms
    whose prediction for an image depends on the other query images. `caveats` are sentences that
    must stand beside the numbers.
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
    blanks: Blanks = field(default_factory=dict)
    backbones: BackbonesOfRows = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    chance: Mapping[str, float] = field(default_factory=dict)
    transductive: frozenset[str] = frozenset()
    caveats: tuple[str, ...] = ()

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

    def chance_on(self, targets: Collection[str]) -> float:
        """The mean of the chance levels of these targets; NaN where one of them has none."""
        if self.is_published or not targets:
            return nan
        return mean_chance(self.metric, {self.metric: self.chance}, targets)

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
