"""The section across targets: ranks, the diagram, every pair with its tests."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite

from torchcross.report.html import TableCell, TableColumn, note, warning
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import Notation, shots_title
from torchcross.report.pair_tables import pair_table
from torchcross.report.rank_diagram import rank_diagram
from torchcross.report.summary import Summary
from torchcross.statistics import Across, TargetPair

Series = Mapping[str, int]


def across_section(summary: Summary, series: Series) -> Markup:
    """For each number of shots: ranks, the diagram or why there is none, and every pair."""
    parts: list[Markup] = []
    for shots in summary.shots:
        if not summary.is_published:
            parts.append(element("h3", shots_title(shots)))
        if shots in summary.across:
            parts += _across_parts(summary.across[shots], summary.notation, series)
        else:
            parts.append(note("One algorithm: there is nothing to compare, and no diagram."))
    return join(parts)


def _across_parts(across: Across, notation: Notation, series: Series) -> list[Markup]:
    parts = [warning(f"{text}.") for text in across.warnings]
    if isfinite(across.friedman.chi2):
        parts.append(element("p", _friedman_text(across)))
    if across.diagram:
        parts += _diagram(across, series)
    return [*parts, *_pairs(across, notation)]


def _friedman_text(across: Across) -> str:
    test, untied = across.friedman, across.untied
    return (
        f"{len(across.targets)} targets. Friedman's χ² {test.chi2:.2f} (p {_p(test.p)}; without"
        f" correction for ties {untied.chi2:.2f}), Iman–Davenport F {_f(test.F)} (p"
        f" {_p(test.F_p)}; {_f(untied.F)}). Nemenyi's critical difference of mean ranks is"
        f" {across.cd:.2f}."
    )


def _diagram(across: Across, series: Series) -> list[Markup]:
    places = [series[name] for name in across.algorithms]
    diagram = rank_diagram(
        across.algorithms,
        across.ranks,
        across.groups,
        across.cd,
        places,
        is_grey=not across.ranks_differ,
    )
    legend = (
        "Critical-difference diagram: a bar joins algorithms whose mean ranks Nemenyi's test does"
        " not separate."
    )
    if not across.ranks_differ:
        legend = (
            "The diagram is grey, since Friedman's test finds no difference between the mean ranks"
            f" (p {_p(across.friedman.F_p)}): no distance in it may be read as a difference."
        )
    return [diagram, element("p", legend, class_="legend")]


def _pairs(across: Across, notation: Notation) -> list[Markup]:
    """The table of pairs, and what its p values and probabilities mean."""
    names = ["difference", "from", "to", "W", "p", "p (Holm)"]
    if across.margin is not None:
        names += ["P(first higher)", "P(equivalent)", "P(second higher)"]
    columns = [TableColumn("pair"), *(TableColumn(name, is_number=True) for name in names)]
    rows = [((pair.first, pair.second), _pair_row(pair, notation)) for pair in across.pairs]
    of_what = f" of {notation.title}" if notation.title else ""
    exact = ", exact" if all(pair.wilcoxon.method == "exact" for pair in across.pairs) else ""
    caption = (
        f"Differences{of_what} over targets with their intervals; Wilcoxon's signed ranks{exact}"
    )
    legend = f"p (Holm) is corrected over {across.family}, of this metric and these shots alone."
    if across.margin is not None:
        margin = notation.short_text(across.margin)
        legend += (
            " The probabilities are those of Bayesian signed ranks (Benavoli et al. 2017): two"
            " algorithms are practically equivalent on a target where they are at most"
            f" {margin} apart, and P(equivalent) is the probability that this is the most frequent"
            " case. A p that is not small does not show equivalence."
        )
    best = across.algorithms[across.ranks.index(min(across.ranks))]
    table = pair_table(caption, columns, rows, best)
    return [*table, element("p", legend, class_="legend")]


def _pair_row(pair: TargetPair, notation: Notation) -> list[TableCell | str]:
    difference, test, equivalence = pair.difference, pair.wilcoxon, pair.equivalence
    bounds = (difference.mean, difference.low, difference.high)
    row: list[TableCell | str] = [
        f"{pair.first} − {pair.second}",
        *(_signed_cell(bound * notation.factor) for bound in bounds),
        _number_cell(test.W, f"{test.W:g}"),
        _number_cell(test.p, _p(test.p)),
        _number_cell(pair.p, _p(pair.p)),
    ]
    if equivalence is not None:
        shares = (equivalence.above, equivalence.within, equivalence.below)
        row += [_number_cell(share, f"{share:.3f}") for share in shares]
    return row


def _signed_cell(value: float) -> TableCell:
    return _number_cell(value, f"{value:+.2f}".replace("-", "\N{MINUS SIGN}"))


def _number_cell(value: float, text: str) -> TableCell:
    return TableCell(text if isfinite(value) else "—", value)


def _p(value: float) -> str:
    if not isfinite(value):
        return "—"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


def _f(value: float) -> str:
    return f"{value:.2f}" if isfinite(value) else "∞"
