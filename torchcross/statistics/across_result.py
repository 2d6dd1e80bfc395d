"""The result of a comparison across targets: ranks, pairs, equivalences, warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.records.notebook_tables import html_table
from torchcross.statistics.across_warnings import power_warning
from torchcross.statistics.equivalence import Equivalence
from torchcross.statistics.pairs import Difference
from torchcross.statistics.ranks import Friedman
from torchcross.statistics.signed_ranks import Wilcoxon


@final
@dataclass(frozen=True, slots=True)
class TargetPair:
    """`first` minus `second` over targets. `p` is Wilcoxon's, corrected by Holm over all pairs.

    `equivalence` is None where no margin was given. Its `above` is the probability that
    `first` is the larger one.

    >>> from torchcross.statistics import across_targets
    >>> table = [[86, 82], [75, 67], [78, 72], [83, 74], [68, 65], [66, 68], [89, 81]]
    >>> pair = across_targets(table, ["ridge", "ncm"], margin=2.0).pair("ridge", "ncm")
    >>> round(pair.difference.mean, 2), round(pair.p, 3), pair.equivalence.above > 0.9
    (5.14, 0.031, True)
    """

    first: str
    second: str
    difference: Difference
    wilcoxon: Wilcoxon
    p: float
    equivalence: Equivalence | None = None


@final
@dataclass(frozen=True)
class Across:
    """The algorithms of a table of means, compared.

    `ranks` are means over the targets used, 1 being the best, in the order of `algorithms`.
    `untied` is Friedman's test without the correction for ties. `groups` are sets that Nemenyi's
    `cd` does not separate. `diagram` is False where there are too few targets for a
    critical-difference diagram. `warnings` say why, what was left out, and what is not independent.
    `not_averaged` says why `means`, differences and Wilcoxon's tests are NaN: the metric is in
    grades, and the targets have different ones. `margin` is that of the equivalences.
    `lower_is_better` says which side of a difference is the better one.
    """

    algorithms: tuple[str, ...]
    targets: tuple[str, ...]
    metric: str
    means: tuple[float, ...]
    ranks: tuple[float, ...]
    friedman: Friedman
    untied: Friedman
    cd: float
    groups: tuple[tuple[str, ...], ...]
    pairs: tuple[TargetPair, ...]
    level: float
    diagram: bool
    warnings: tuple[str, ...]
    not_averaged: str = ""
    margin: float | None = None
    lower_is_better: bool = False

    @property
    def ranks_differ(self) -> bool:
        """Whether Friedman's test, by Iman and Davenport's F, finds a difference at the level.

        Where it does not, mean ranks are not compared in pairs, and a critical-difference diagram
        shows nothing (Demšar 2006).
        """
        return self.friedman.F_p <= 1 - self.level

    @property
    def power_warnings(self) -> tuple[str, ...]:
        """That no pair can be separated with so few targets, where that is so."""
        if self.not_averaged:
            return ()
        return tuple(power_warning(len(self.targets), len(self.pairs), self.level))

    @property
    def family(self) -> str:
        """The tests that Holm's method corrects together."""
        pairs = f"{len(self.pairs)} pairs" if len(self.pairs) > 1 else "one pair"
        return f"{pairs} of {len(self.algorithms)} algorithms, over {self._targets_text()}"

    def pair(self, first: str, second: str) -> TargetPair:
        for pair in self.pairs:
            if (pair.first, pair.second) == (first, second):
                return pair
        raise InputError(
            f"there is no pair ({first!r}, {second!r}); see pairs, each in the order of the table"
        )

    def better_by_test(self, pair: TargetPair) -> str:
        """The better one of a pair by Wilcoxon's test; "" where the test does not separate them.

        It may be the one with the worse mean, which a few targets with large differences decide.
        """
        if not pair.p <= 1 - self.level:
            return ""
        is_first = (pair.wilcoxon.side < 0) == self.lower_is_better
        return pair.first if is_first else pair.second

    def __str__(self) -> str:
        ranks = ", ".join(f"{name} {rank:.3f}" for rank, name, _ in self._ranking())
        title = f"{self._targets_text()}: {ranks}"
        return "\n".join([title, self._friedman_line(), *self._pair_lines(), *self.warnings])

    def _repr_html_(self) -> str:
        rows = [(name, f"{rank:.3f}", f"{mean:.3f}") for rank, name, mean in self._ranking()]
        return html_table(
            self._targets_text(),
            ("algorithm", "mean rank", "mean"),
            rows,
            [self._friedman_line(), *self._pair_lines(), *self.warnings],
        )

    def _targets_text(self) -> str:
        return count_text(len(self.targets), "targets")

    def _ranking(self) -> list[tuple[float, str, float]]:
        """(mean rank, algorithm, mean), the best first."""
        rows = zip(self.ranks, self.algorithms, self.means, strict=True)
        return sorted(rows, key=lambda row: row[0])

    def _friedman_line(self) -> str:
        test = self.friedman
        line = f"Friedman chi2 {test.chi2:.2f}, p {test.p:.2g}, F p {test.F_p:.2g}"
        if self.ranks_differ:
            return f"{line}; CD {self.cd:.3f}"
        return f"{line}: ranks are not separated, so no critical difference is read"

    def _pair_lines(self) -> list[str]:
        """The pairs, and over which of them p is corrected."""
        lines = []
        for pair in self.pairs:
            line = (
                f"{pair.first} - {pair.second}: {pair.difference.interval}, Wilcoxon W"
                f" {pair.wilcoxon.W:g}, p {pair.p:.2g}"
            )
            # A test against the mean would be read as one for it.
            if pair.difference.mean * pair.wilcoxon.side < 0 and (
                better := self.better_by_test(pair)
            ):
                line += f" in favour of {better}"
            lines.append(f"{line}, {pair.equivalence}" if pair.equivalence else line)
        return [*lines, f"p is corrected by Holm's method over {self.family}"]
