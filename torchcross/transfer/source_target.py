"""A table of one number for each pair of a source and a target."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.argument_checks import repeated_names
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError

Floats = NDArray[np.float64]
SCRATCH: Final = "scratch"
"""The source that is a random start."""
REPTILE: Final = "reptile:"
"""Before the name of a dataset: a source that is learned by Reptile, from episodes."""


def dataset_of(source: str) -> str:
    """The dataset that a source is learned from."""
    return source.removeprefix(REPTILE)


def is_self_pair(source: str, target: str) -> bool:
    """Whether the source was learned from the target: its test images were in its training."""
    return dataset_of(source) == target


@final
@dataclass(frozen=True, eq=False)
class SourceTargetTable:
    """values[i, j] is the number of source i and target j; NaN where there is none.

    A missing number stays missing: nothing is filled in.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Floats

    def __init__(self, sources: Sequence[str], targets: Sequence[str], values: ArrayLike) -> None:
        numbers = np.array(values, dtype=np.float64)
        for name, names in (("sources", sources), ("targets", targets)):
            if isinstance(names, str) or not all(isinstance(item, str) for item in names):
                raise InputError(f"{name}={names!r} is not a list of names")
            if twice := repeated_names(names):
                raise InputError(f"{name} name {twice} twice; give each name once")
        if numbers.shape != (len(sources), len(targets)):
            raise InputError(
                f"values have the shape {numbers.shape}; {len(sources)} sources and"
                f" {len(targets)} targets need {(len(sources), len(targets))}"
            )
        if np.isinf(numbers).any():
            raise InputError("values hold infinite numbers; give NaN where there is no number")
        numbers.setflags(write=False)
        object.__setattr__(self, "sources", tuple(sources))
        object.__setattr__(self, "targets", tuple(targets))
        object.__setattr__(self, "values", numbers)

    @classmethod
    def of_pairs(cls, pairs: Mapping[tuple[str, str], float]) -> SourceTargetTable:
        """The table of numbers by (source, target), in the order in which the names come."""
        sources = tuple(dict.fromkeys(source for source, _ in pairs))
        targets = tuple(dict.fromkeys(target for _, target in pairs))
        return cls.of_function(sources, targets, lambda *pair: pairs.get(pair, np.nan))

    @classmethod
    def of_function(
        cls, sources: Sequence[str], targets: Sequence[str], number: Callable[[str, str], float]
    ) -> SourceTargetTable:
        """The table of what a function returns for each pair."""
        rows = [[number(source, target) for target in targets] for source in sources]
        return cls(sources, targets, np.reshape(np.array(rows), (len(sources), len(targets))))

    def __getitem__(self, pair: tuple[str, str]) -> float:
        source, target = pair
        row = position("source", source, self.sources)
        return float(self.values[row, position("target", target, self.targets)])

    def restrict(
        self, sources: Iterable[str] | None = None, targets: Iterable[str] | None = None
    ) -> SourceTargetTable:
        """The table with some of its sources and targets, in the given order."""
        chosen_sources = self.sources if sources is None else tuple(sources)
        chosen_targets = self.targets if targets is None else tuple(targets)
        rows = [position("source", name, self.sources) for name in chosen_sources]
        columns = [position("target", name, self.targets) for name in chosen_targets]
        return SourceTargetTable(chosen_sources, chosen_targets, self.values[np.ix_(rows, columns)])

    def without_self_pairs(self) -> SourceTargetTable:
        """The table without the numbers of sources that were learned from the target."""
        values = self.values.copy()
        for row, source in enumerate(self.sources):
            for column, target in enumerate(self.targets):
                if is_self_pair(source, target):
                    values[row, column] = np.nan
        return SourceTargetTable(self.sources, self.targets, values)

    def negative(self) -> SourceTargetTable:
        """The table of the numbers with the other sign: a distance as a score."""
        return SourceTargetTable(self.sources, self.targets, -self.values)

    def align(self, other: SourceTargetTable) -> SourceTargetTable:
        """The numbers of `other` at this table's sources and targets, NaN where it has none."""
        missing = set(self.sources) - set(other.sources), set(self.targets) - set(other.targets)

        def number(source: str, target: str) -> float:
            if source in missing[0] or target in missing[1]:
                return float("nan")
            return other[source, target]

        return SourceTargetTable.of_function(self.sources, self.targets, number)

    def where_known(self, *others: SourceTargetTable) -> SourceTargetTable:
        """The table without the numbers of pairs that one of the others lacks."""
        values = self.values.copy()
        for other in others:
            values[np.isnan(self.align(other).values)] = np.nan
        return SourceTargetTable(self.sources, self.targets, values)

    @property
    def count(self) -> int:
        """How many pairs have a number."""
        return int((~np.isnan(self.values)).sum())

    @property
    def missing(self) -> tuple[tuple[str, str], ...]:
        """The pairs without a number."""
        rows, columns = np.nonzero(np.isnan(self.values))
        return tuple(
            (self.sources[row], self.targets[column])
            for row, column in zip(rows, columns, strict=True)
        )


def position(kind: str, name: str, names: Sequence[str]) -> int:
    """The position of a name; an unknown one is an error that suggests another."""
    if name in names:
        return list(names).index(name)
    raise InputError(unknown_name(kind, name, names))
