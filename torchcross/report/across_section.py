"""The section across targets: ranks, the diagram, every pair with its tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isfinite

from torchcross._kit.counts import count_text
from torchcross.report.html import TableCell, TableColumn, note, warning
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import Notation, p_text, shots_title
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
        parts += map(note, _disagreements(across))
    parts += map(note, _against_means(across))
    return [*parts, *_pairs(across, notation)]


def _against_means(across: Across) -> Iterator[str]:
    """Where Wilcoxon's test separates a pair in favour of the one with the worse mean."""
    texts = []
    for pair in across.pairs:
        better = across.better_by_test(pair)
        if better and pair.difference.mean * pair.wilcoxon.side < 0:
            worse = pair.second if better == pair.first else pair.first
            texts.append(f"{better} over {worse} (p {p_text(pair.p)})")
    if texts:
        yield (
            f"Wilcoxon's test favours algorithms with the worse mean: {'; '.join(texts)}. It ranks"
            " the differences over targets, and a few large ones decide a mean."
        )


def _disagreements(across: Across) -> Iterator[str]:
    """Where Nemenyi's test and Wilcoxon's with Holm's correction say different things, and why."""
    ranks = dict(zip(across.algorithms, across.ranks, strict=True))
    by_answer: dict[bool, list[str]] = {True: [], False: []}
    for pair in across.pairs:
        gap = abs(ranks[pair.first] - ranks[pair.second])
        of_ranks = across.ranks_differ and gap > across.cd
        of_values = pair.p <= 1 - across.level
        if isfinite(pair.p) and of_ranks != of_values:
            text = f"{pair.first} and {pair.second} (p {p_text(pair.p)}, ranks {gap:.2f} apart)"
            by_answer[of_values].append(text)
    if by_answer[True]:
        yield (
            "Wilcoxon's test with Holm's correction separates pairs that Nemenyi's test does not:"
            f" {'; '.join(by_answer[True])}. Wilcoxon's test reads how far two algorithms are apart"
            " on each target; Nemenyi's reads their ranks among all algorithms, and corrects for"
            f" all pairs at once: ranks must be {across.cd:.2f} apart. Marks of means follow the"
            " first, the diagram and marks of ranks the second."
        )
    if by_answer[False]:
        yield (
            "Nemenyi's test separates pairs that Wilcoxon's with Holm's correction does not:"
            f" {'; '.join(by_answer[False])}. Their ranks differ among all algorithms, but their"
            " own differences over targets are too few or too uneven for the corrected p. Marks of"
            " means follow Wilcoxon's test, the diagram and marks of ranks Nemenyi's."
        )


def _friedman_text(across: Across) -> str:
    test, untied = across.friedman, across.untied
    targets = count_text(len(across.targets), "targets")
    texts = [
        f"{targets}. Friedman's test of whether any of the algorithms differ in rank: χ²"
        f" {test.chi2:.2f} (p {p_text(test.p)})"
    ]
    if isfinite(test.F):
        texts[0] += f", Iman–Davenport F {test.F:.2f} (p {p_text(test.F_p)})."
    else:
        texts[0] += "."
        texts.append(
            "All targets rank the algorithms alike, so the Iman–Davenport F has no finite value;"
            f" its p ({p_text(test.F_p)}) is exact: the probability that {targets} agree so by"
            " chance, where the p of χ² is an approximation for many targets."
        )
    if untied.chi2 != test.chi2:
        texts.append(f"Without the correction for ties: χ² {untied.chi2:.2f}, F {untied.F:.2f}.")
    if across.ranks_differ and across.power_warnings:
        texts.append(
            "This is no contradiction to the note above: Friedman's test asks whether any of them"
            " differ, and tests of pairs cannot say which with so few targets and Holm's"
            " correction."
        )
    texts.append(f"Nemenyi's critical difference of mean ranks is {across.cd:.2f}.")
    return " ".join(texts)


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
            f" (p {p_text(across.friedman.F_p)}): no distance in it may be read as a difference."
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
        _number_cell(test.p, p_text(test.p)),
        _number_cell(pair.p, p_text(pair.p)),
    ]
    if equivalence is not None:
        shares = (equivalence.above, equivalence.within, equivalence.below)
        row += [_number_cell(share, f"{share:.3f}") for share in shares]
    return row


def _signed_cell(value: float) -> TableCell:
    return _number_cell(value, f"{value:+z.2f}".replace("-", "\N{MINUS SIGN}"))


def _number_cell(value: float, text: str) -> TableCell:
    return TableCell(text if isfinite(value) else "—", value)
