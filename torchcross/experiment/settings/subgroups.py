"""Subgroups by a column of the data's annotations: the setting, and the groups of images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from torchcross.errors import InputError
from torchcross.statistics import Subgroups

UNKNOWN = "not known"
_UNKNOWN_TEXTS = frozenset({"", "nan", "none", "na", "n/a", "null", "unknown"})
_MOST_GROUPS = 12


@dataclass(frozen=True)
class SubgroupColumn:
    """A column, and where it has numbers, the edges that divide them into groups."""

    column: str
    edges: tuple[float, ...] = ()

    @classmethod
    def parse(cls, text: str) -> SubgroupColumn:
        """Of a text such as "sex", or "age:40,65" with edges."""
        column, colon, rest = text.partition(":")
        try:
            edges = tuple(float(edge) for edge in rest.split(",")) if colon else ()
        except ValueError:
            edges = (math.nan,)
        ascends = all(first < second for first, second in pairwise(edges))
        if not column.strip() or not ascends or not all(map(math.isfinite, edges)):
            raise InputError(
                f"evaluation.subgroups has {text!r}; give the name of a column, such as 'sex', or a"
                " column of numbers with ascending edges, such as 'age:40,65'"
            )
        return cls(column.strip(), edges)

    def groups(self, texts: Sequence[str]) -> Subgroups:
        """The groups of images whose entries in the column are these texts."""
        plain = [str(text).strip() for text in texts]
        known = {text for text in plain if text.lower() not in _UNKNOWN_TEXTS}
        name_of = self._named_intervals(known) if self.edges else {text: text for text in known}
        names = self._names_in_order(set(name_of.values()))
        if len(names) > _MOST_GROUPS:
            raise InputError(
                f"the column {self.column!r} has {len(names)} different values, and {_MOST_GROUPS}"
                f" groups are the most; give edges, such as '{self.column}:40,65', or another"
                " column"
            )
        place = {name: code for code, name in enumerate(names)}
        if len(known) < len(set(plain)):
            names = (*names, UNKNOWN)
        codes = [place[name_of[text]] if text in known else len(names) - 1 for text in plain]
        return Subgroups(self.column, names, np.array(codes, dtype=np.int64))

    def _names_in_order(self, names: set[str]) -> tuple[str, ...]:
        if self.edges:
            return tuple(name for name in self._intervals() if name in names)
        numbers = {name: _number(name) for name in names}
        if all(number is not None for number in numbers.values()):
            return tuple(sorted(names, key=lambda name: (numbers[name] or 0.0, name)))
        return tuple(sorted(names))

    def _named_intervals(self, texts: set[str]) -> dict[str, str]:
        numbers = {text: _number(text) for text in texts}
        if others := sorted(text for text, number in numbers.items() if number is None):
            raise InputError(
                f"the column {self.column!r} has {others[0]!r}, which is no number; leave the edges"
                " out"
            )
        intervals = self._intervals()
        return {
            text: intervals[int(np.searchsorted(self.edges, number or 0.0, side="right"))]
            for text, number in numbers.items()
        }

    def _intervals(self) -> tuple[str, ...]:
        if not self.edges:
            return ()
        inner = [f"{low:g} to below {high:g}" for low, high in pairwise(self.edges)]
        return (f"below {self.edges[0]:g}", *inner, f"{self.edges[-1]:g} and above")


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
