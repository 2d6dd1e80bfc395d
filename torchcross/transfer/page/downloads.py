"""The numbers of a page as CSV files, held by its links."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan

from torchcross.report.csv_text import csv_number, csv_text
from torchcross.report.html import data_link
from torchcross.report.markup import Markup, element
from torchcross.transfer.page.analysis import StudyAnalysis
from torchcross.transfer.rankings.judgement import MEASURES


def download_section(analysis: StudyAnalysis) -> Iterator[Markup]:
    items = []
    for name, (words, text) in tables_of(analysis).items():
        link = data_link(name, text.encode(), name, "text/csv;charset=utf-8")
        items.append(element("li", link, f": {words}"))
    yield element("ul", *items)


def tables_of(analysis: StudyAnalysis) -> dict[str, tuple[str, str]]:
    """By the name of the file, what it holds and its text."""
    tables = {
        "cells.csv": ("a value for each source, target, fold and training seed", _cells(analysis)),
        "matrix.csv": ("the mean of each source and target", _matrix(analysis)),
        "pairs.csv": ("gains, scores and distances of each pair", _pairs(analysis)),
    }
    if analysis.judgement is not None:
        tables["rankings.csv"] = ("every measure of every score by target", _rankings(analysis))
    if analysis.correlations:
        tables["correlations.csv"] = ("every correlation", _correlations(analysis))
    return tables


def _cells(analysis: StudyAnalysis) -> str:
    results = analysis.contents.results
    rows = []
    for row, source in enumerate(results.sources):
        for column, target in enumerate(results.targets):
            for place, fold in enumerate(results.folds):
                for number, seed in enumerate(results.seeds):
                    value = float(results.values[row, column, place, number])
                    if not isnan(value):
                        rows.append((source, target, fold, seed, value))
    return csv_text(("source", "target", "fold", "seed", "value"), rows)


def _matrix(analysis: StudyAnalysis) -> str:
    matrix = analysis.matrix
    rows = [
        (source, *map(csv_number, values.tolist()))
        for source, values in zip(matrix.sources, matrix.values, strict=True)
    ]
    return csv_text(("source", *matrix.targets), rows)


def _pairs(analysis: StudyAnalysis) -> str:
    contents = analysis.contents
    tables = {
        **{name: item.mean for name, item in contents.distances.items()},
        **contents.scores,
    }
    aligned = {name: analysis.matrix.align(table) for name, table in tables.items()}
    rows = []
    for source in analysis.matrix.sources:
        for target in analysis.matrix.targets:
            pair = source, target
            numbers = [
                *(_ends(values.get(pair)) for values in (analysis.values, analysis.gains)),
                *((csv_number(table[pair]),) for table in aligned.values()),
            ]
            rows.append((source, target, *(number for part in numbers for number in part)))
    names = [f"{name}{end}" for name in ("value", "gain") for end in ("", "_low", "_high")]
    return csv_text(("source", "target", *names, *aligned), rows)


def _ends(interval: object) -> tuple[float | str, ...]:
    ends = (getattr(interval, name, float("nan")) for name in ("mean", "low", "high"))
    return tuple(map(csv_number, ends))


def _rankings(analysis: StudyAnalysis) -> str:
    rows = []
    judgement = analysis.judgement
    for row in () if judgement is None else judgement.rows:
        kind = "rule" if row.is_rule else "score"
        for ranking in row.targets:
            numbers = [csv_number(ranking.measures[name].value) for name in MEASURES]
            rows.append((row.name, kind, ranking.target, ranking.sources, *numbers))
    return csv_text(("name", "kind", "target", "sources", *MEASURES), rows)


def _correlations(analysis: StudyAnalysis) -> str:
    heads = ("name", "kind", "over", "self_pairs", "value", "p", "p_of_shuffles", "pairs", "reason")
    rows = [
        (
            *(name, item.kind, item.over, "yes" if item.self_pairs else "no"),
            *map(csv_number, (item.value, item.p, item.permutation_p)),
            *(item.n, item.reason),
        )
        for name, item in analysis.correlations
    ]
    return csv_text(heads, rows)
