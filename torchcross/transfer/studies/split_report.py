"""Tables of a study over targets' own splits: sources by fractions, intervals, tests."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import final

import numpy as np

from torchcross._kit.counts import count_text
from torchcross.report.html import TableCell, TableColumn
from torchcross.report.inputs import PageTable
from torchcross.report.numbers import percent_text
from torchcross.report.text_escapes import markdown_text
from torchcross.statistics import Interval, SplitError, holm, paired_difference, welch_test
from torchcross.statistics.bounds import bounds_of
from torchcross.statistics.split_errors import NO_INTERVAL, error_of, split_interval
from torchcross.transfer.source_target import is_self_pair
from torchcross.transfer.studies.folder import StudyFolder, metric_value
from torchcross.transfer.studies.markdown import BLANK, markdown_table

LEVEL = 0.95


@final
@dataclass(frozen=True, eq=False)
class SeedScores:
    """The scores of one source on one target after a fraction, by training seed."""

    values: Mapping[int, float]
    errors: Mapping[int, SplitError]

    def interval(self, metric: str) -> Interval | None:
        """The mean, over training seeds and over the test images, by subject where known."""
        if not self.values or self.errors.keys() != self.values.keys():
            return None
        return split_interval(
            list(self.values.values()),
            list(self.errors.values()),
            level=LEVEL,
            bounds=bounds_of(metric),
        )

    def why_bare(self, metric: str) -> str:
        """Why the mean has no interval; "" where it has one."""
        interval = self.interval(metric)
        if interval is None:
            return f"no error of {metric} over the test images is stored"
        return interval.note.removeprefix(NO_INTERVAL) if math.isnan(interval.low) else ""

    def text(self, metric: str) -> str:
        if not self.values:
            return BLANK
        mean = float(np.mean(list(self.values.values())))
        interval = self.interval(metric)
        if interval is None or math.isnan(interval.low):
            return f"{mean:.3f}"
        return f"{mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


@final
@dataclass(frozen=True)
class SourceComparison:
    """Two sources on one target after one fraction, over the seeds that both have.

    `adjusted` is Welch's p after Holm's method, over all comparisons of the study.
    """

    target: str
    fraction: float
    sources: tuple[str, str]
    difference: float
    t: float
    welch_p: float
    paired_p: float
    adjusted: float = math.nan


def seed_scores(
    study: StudyFolder, metric: str | None = None
) -> dict[tuple[str, str, float], SeedScores]:
    """By (source, target, fraction); cells that are missing or undefined are left out.

    `metric` is by default the study's.
    """
    metric = metric or study.settings.study.metric
    values: dict[tuple[str, str, float], dict[int, float]] = {}
    errors: dict[tuple[str, str, float], dict[int, SplitError]] = {}
    for pair, record in study.pairs():
        key = (pair.source, pair.target, pair.fraction)
        values.setdefault(key, {})
        errors.setdefault(key, {})
        if record is None or math.isnan(value := metric_value(record, metric, pair)):
            continue
        values[key][pair.seed] = value
        if error := record.get("errors", {}).get(metric):
            errors[key][pair.seed] = error_of(error)
    return {key: SeedScores(values[key], errors[key]) for key in values}


def compare_sources(study: StudyFolder, metric: str | None = None) -> list[SourceComparison]:
    """Every pair of sources, on each target after each fraction, that has two common seeds.

    A source that was learned from the target is not among them: it has seen the test images.
    """
    scores, design = seed_scores(study, metric), study.settings.study
    comparisons = []
    for target in design.targets:
        sources = [name for name in design.names if not is_self_pair(name, target)]
        for fraction in design.fractions:
            for names in combinations(sources, 2):
                pair = [scores.get((name, target, fraction)) for name in names]
                comparison = _comparison(target, fraction, names, pair)
                if comparison is not None:
                    comparisons.append(comparison)
    adjusted = holm([each.welch_p for each in comparisons]).tolist() if comparisons else []
    return [replace(each, adjusted=p) for each, p in zip(comparisons, adjusted, strict=True)]


def _comparison(
    target: str, fraction: float, names: tuple[str, str], pair: Sequence[SeedScores | None]
) -> SourceComparison | None:
    one, other = pair
    if one is None or other is None:
        return None
    seeds = sorted(one.values.keys() & other.values.keys())
    if len(seeds) < 2:
        return None
    first, second = ([each.values[seed] for seed in seeds] for each in (one, other))
    welch = welch_test(first, second)
    paired = paired_difference(first, second)
    return SourceComparison(target, fraction, names, welch.difference, welch.t, welch.p, paired.p)


def split_tables(study: StudyFolder, metric: str | None = None) -> list[PageTable]:
    """A table of scores for each target, then the tests; none of a study in folds.

    `metric` is by default the study's.
    """
    if study.settings.study.splits != "own":
        return []
    metric = metric or study.settings.study.metric
    scores, design = seed_scores(study, metric), study.settings.study
    tables = [
        _score_table(study, scores, target, number, metric)
        for number, target in enumerate(design.targets)
    ]
    if comparisons := compare_sources(study, metric):
        tables.append(_test_table(comparisons))
    return tables


def markdown_of_tables(tables: Sequence[PageTable]) -> Iterator[str]:
    """The same as Markdown."""
    for table in tables:
        yield f"\n## {markdown_text(table.title)}\n"
        rows = [
            [markdown_text(cell if isinstance(cell, str) else cell.text) for cell in row]
            for row in table.rows
        ]
        yield markdown_table([column.name for column in table.columns], rows)
        yield ""
        yield from (f"- {markdown_text(text)}" for text in table.texts)


def _score_table(
    study: StudyFolder,
    scores: Mapping[tuple[str, str, float], SeedScores],
    target: str,
    number: int,
    metric: str,
) -> PageTable:
    design = study.settings.study
    fractions = sorted(design.fractions)
    rows: list[list[TableCell | str]] = []
    for source in (name for name in design.names if design.has_pair(name, target)):
        mark = "†" if is_self_pair(source, target) else ""
        cells = [scores.get((source, target, share)) for share in fractions]
        rows.append([source + mark, *(_cell(cell, metric) for cell in cells)])
    return PageTable(
        identifier=f"split-{number}",
        title=f"{metric} over the test split of {target}",
        caption=f"{metric} by the fraction of the training and validation splits",
        texts=[
            *_legend(study, scores, target, metric),
            *_leaks(study, target),
            *_notes(study),
        ],
        columns=[
            TableColumn("source"),
            *(TableColumn(percent_text(share), is_number=True) for share in fractions),
        ],
        rows=rows,
    )


def _legend(
    study: StudyFolder,
    scores: Mapping[tuple[str, str, float], SeedScores],
    target: str,
    metric: str,
) -> Iterator[str]:
    means = f"Means over {count_text(len(study.settings.study.seeds), 'seeds')}"
    known = [each for key, each in scores.items() if key[1] == target and each.values]
    bare = [reason for each in known if (reason := each.why_bare(metric))]
    reasons = "; ".join(dict.fromkeys(bare))
    if known and len(bare) == len(known):
        yield f"{means}, without intervals: {reasons}."
        return
    yield (
        f"{means} with {LEVEL:.0%} intervals over training seeds and test images, by subject where"
        " subjects are known."
    )
    if bare:
        verb = "has" if len(bare) == 1 else "have"
        yield f"{len(bare)} of {count_text(len(known), 'means')} {verb} no interval: {reasons}."


def _cell(scores: SeedScores | None, metric: str) -> TableCell:
    if scores is None or not scores.values:
        return TableCell(BLANK, math.nan)
    return TableCell(scores.text(metric), float(np.mean(list(scores.values.values()))))


def _leaks(study: StudyFolder, target: str) -> Iterator[str]:
    design = study.settings.study
    if design.self_pairs and any(is_self_pair(source, target) for source in design.names):
        yield "†: the source has seen the test images, so it leaks; no test over seeds counts it."


def _notes(study: StudyFolder) -> Iterator[str]:
    design = study.settings.study
    if design.source_seed is not None:
        yield (
            f"Each source was trained once, by seed {design.source_seed}, for all seeds of"
            " fine-tuning: what another training of a source would give is not in these numbers."
        )
    deviations = [
        float(value)
        for _, record in study.pairs()
        if record is not None
        for value in record.get("deviations", {}).values()
    ]
    if deviations:
        yield (
            "Fractions are drawn for each class, of whole subjects; a class has at most"
            f" {max(deviations):.1f} images more or fewer than its share."
        )


def _test_table(comparisons: Sequence[SourceComparison]) -> PageTable:
    rows: list[list[TableCell | str]] = [
        [
            " − ".join(each.sources),
            each.target,
            percent_text(each.fraction),
            TableCell(f"{each.difference:+.3f}", each.difference),
            *map(_number, (each.t, each.welch_p, each.adjusted, each.paired_p)),
        ]
        for each in comparisons
    ]
    clear = sum(each.adjusted < 1 - LEVEL for each in comparisons)
    texts = (
        f"{clear} of {count_text(len(comparisons), 'comparisons')} are significant at"
        f" {1 - LEVEL:.2g} after Holm's method.",
        "A seed gives the same fraction to all sources, so the paired test fits; Welch's is that of"
        " published tables.",
    )
    names = ("difference", "Welch's t", "p", "p by Holm", "paired p")
    return PageTable(
        identifier="split-tests",
        title="Tests over seeds",
        caption="Every pair of sources, over training seeds",
        texts=texts,
        columns=[
            *map(TableColumn, ("sources", "target", "fraction")),
            *(TableColumn(name, is_number=True) for name in names),
        ],
        rows=rows,
    )


def _number(value: float) -> TableCell:
    return TableCell(BLANK if math.isnan(value) else f"{value:.3g}", value)
