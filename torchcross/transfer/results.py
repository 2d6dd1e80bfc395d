"""Results of a study: one value for each source, target, fold and training seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.argument_checks import check_choice
from torchcross.errors import InputError
from torchcross.transfer.rankings.within_target import Correlation, correlations
from torchcross.transfer.source_target import REPTILE, SCRATCH, SourceTargetTable, position

Floats = NDArray[np.float64]
SETUPS: Final = ("fold", "seed")
AVERAGES: Final = ("folds", "means")
MEASURES: Final = ("ratio", "difference")
SELF: Final = "self"


@final
@dataclass(frozen=True, slots=True)
class StudyCell:
    """The value of a metric on one fold of a target, reached from a source with a training seed."""

    source: str
    target: str
    fold: int
    seed: int
    value: float


@final
@dataclass(frozen=True, eq=False)
class StudyResults:
    """values[i, j, f, s] of source i, target j, fold f and training seed s; NaN: no such cell."""

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    values: Floats

    @classmethod
    def of_cells(cls, cells: Iterable[StudyCell]) -> StudyResults:
        """The results of cells in any order; a cell that stands twice is refused."""
        listed = list(cells)
        sources = tuple(dict.fromkeys(cell.source for cell in listed))
        targets = tuple(dict.fromkeys(cell.target for cell in listed))
        folds = tuple(sorted({cell.fold for cell in listed}))
        seeds = tuple(sorted({cell.seed for cell in listed}))
        axes: list[dict[object, int]] = [
            {name: number for number, name in enumerate(names)}
            for names in (sources, targets, folds, seeds)
        ]
        values = np.full(tuple(map(len, axes)), np.nan)
        seen: set[tuple[int, ...]] = set()
        for cell in listed:
            key = (cell.source, cell.target, cell.fold, cell.seed)
            place = tuple(axis[name] for axis, name in zip(axes, key, strict=True))
            if place in seen:
                raise InputError(
                    f"{cell.source!r} -> {cell.target!r}, fold {cell.fold}, seed {cell.seed} stands"
                    " twice; give each cell once"
                )
            seen.add(place)
            values[place] = cell.value
        return cls(sources, targets, folds, seeds, values)

    def matrix(self) -> SourceTargetTable:
        """The mean over folds and seeds; missing where a cell of the pair is missing."""
        return self._table(self.values)

    def setups(self, component: str = "fold") -> dict[str, SourceTargetTable]:
        """A table for each fold, the mean over seeds, or for each "seed", the mean over folds.

        `rankings.stability` tells how alike they rank the sources.
        """
        check_choice("component", component, SETUPS)
        names = self.folds if component == "fold" else self.seeds
        means = self.values.mean(axis=3 if component == "fold" else 2)
        return {
            f"{component} {name}": SourceTargetTable(self.sources, self.targets, means[:, :, place])
            for place, name in enumerate(names)
        }

    def transferability(
        self, baseline: str = SCRATCH, *, measure: str = "ratio", over: str = "folds"
    ) -> SourceTargetTable:
        """By how much a source beats the baseline, on the same fold and seed.

        `measure` is "ratio" (value / baseline - 1) or "difference". `baseline` is a source, such as
        one of random values, or "self": the source that was learned from the target, as van den
        Brandt et al. (2021) published it; its test folds were in its own training. Over "folds" it
        is the mean of each fold's; over "means", that of the mean values. A baseline of 0 or less
        has no ratio: such a pair is missing.
        """
        check_choice("over", over, AVERAGES)
        if over == "folds":
            return self._table(self.gains(baseline, measure=measure))
        means = replace(self, values=self.values.mean(axis=(2, 3), keepdims=True))
        return self._table(means.gains(baseline, measure=measure))

    def gains(self, baseline: str, *, measure: str = "ratio") -> Floats:
        """[i, j, f, s]: by how much a source beats the baseline; see `transferability`.

        A baseline of 0 or less has no ratio: there it is NaN.
        """
        check_choice("measure", measure, MEASURES)
        base = self._baseline(baseline)
        if measure == "difference":
            return self.values - base
        unknown = np.full(np.broadcast_shapes(self.values.shape, base.shape), np.nan)
        ratio: Floats = np.divide(self.values, base, out=unknown, where=base > 0)
        return ratio - 1

    def _baseline(self, baseline: str) -> Floats:
        if baseline != SELF:
            row = position("baseline", baseline, self.sources)
            return self.values[row : row + 1]
        own = {target: self.self_source(target) for target in self.targets}
        if missing := [target for target, source in own.items() if source is None]:
            raise InputError(
                f"the targets {missing} are no sources, so they have no self-pair; name a source as"
                f" the baseline, one of {list(self.sources)}"
            )
        rows = [self.sources.index(source) for source in own.values() if source is not None]
        return self.values[rows, np.arange(len(rows))][None]

    def self_source(self, target: str) -> str | None:
        """The source that was learned from a target, by plain training before Reptile, if any."""
        names = (target, REPTILE + target)
        return next((name for name in names if name in self.sources), None)

    def correlate(
        self,
        distances: SourceTargetTable,
        *,
        baseline: str = SCRATCH,
        measure: str = "ratio",
        over: str = "folds",
        self_pairs: bool = False,
    ) -> tuple[Correlation, ...]:
        """How distances go with transferability: see `correlations`."""
        transferability = self.transferability(baseline, measure=measure, over=over)
        return correlations(transferability, distances, self_pairs=self_pairs)

    def _table(self, values: Floats) -> SourceTargetTable:
        return SourceTargetTable(self.sources, self.targets, values.mean(axis=(2, 3)))
