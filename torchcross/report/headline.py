"""What the headline table shows, in every format: its columns, cells, last rows and legend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, isnan

from torchcross.records.shots import ALL_SHOTS
from torchcross.report import interval_words
from torchcross.report.cells import Column, SummaryCell
from torchcross.report.failed_rows import failed_sentences
from torchcross.report.mark_legend import mark_sentences
from torchcross.report.numbers import shots_title
from torchcross.report.summary import Summary, TargetTask
from torchcross.statistics import lower_is_better
from torchcross.statistics.grade_scales import scale_problem
from torchcross.statistics.seeds import SEEDED
from torchcross.statistics.split_errors import OVER_SPLIT
from torchcross.statistics.within_target import ONE_NUMBER

TIE, EQUIVALENT, NOT_COMPARED = "†", "≈", "‡"
ONE_TRAINING, PARTIAL, TRANSDUCTIVE = "°", "∂", "§"
NOT_ALL_ROWS = "\N{ASTERISK OPERATOR}"

_NOT_EVERYWHERE = {0, ALL_SHOTS}
"""The shots that most algorithms have no cells at."""


@dataclass(frozen=True)
class ColumnGroup:
    """Columns that stand side by side, under one title: those of one number of shots."""

    title: str
    columns: tuple[Column, ...]


def column_groups(summary: Summary) -> tuple[ColumnGroup, ...]:
    """Algorithms that compete stand side by side, so columns are ordered by shots first.

    Those that learned from all labels of a target stand in the same table, behind the others.
    """
    groups = []
    for shots in summary.shots:
        names = summary.algorithms
        if len(summary.shots) > 1:
            names = tuple(name for name in names if _has_column(summary, name, shots))
        groups.append(ColumnGroup(shots_title(shots), tuple((name, shots) for name in names)))
    return tuple(groups)


def _has_column(summary: Summary, algorithm: str, shots: int | None) -> bool:
    """Whether a table with columns of several shots has this one.

    An algorithm that failed everywhere has all of them but those of 0 shots and of all labels.
    """
    scored_at = {k for _, name, k in summary.cells if name == algorithm}
    if shots in _NOT_EVERYWHERE:
        return shots in scored_at
    return not scored_at or not scored_at <= _NOT_EVERYWHERE


def column_heads(summary: Summary) -> list[str]:
    """Names for a table with one row of heads: they have the shots, where there are several."""
    groups = column_groups(summary)
    return [
        f"{head_name(summary, name)}{f', {group.title}' if len(groups) > 1 else ''}"
        for group in groups
        for name, _ in group.columns
    ]


def head_name(summary: Summary, name: str) -> str:
    """The name of an algorithm in a header, marked where the algorithm is transductive."""
    return f"{name}{TRANSDUCTIVE}" if name in summary.transductive else name


def column_title(summary: Summary, column: Column) -> str:
    """The algorithm and its shots, where there are shots."""
    name, shots = column
    return ", ".join(filter(None, (name, shots_title(shots))))


def columns_of(summary: Summary) -> tuple[Column, ...]:
    """The columns of all groups, in their order."""
    return tuple(column for group in column_groups(summary) for column in group.columns)


def caption(summary: Summary) -> str:
    if summary.is_published:
        return f"{summary.notation.title or 'Means'} by target, as given"
    titles = ", ".join(group.title for group in column_groups(summary))
    return f"{summary.notation.title} by target, {titles}"


@dataclass(frozen=True)
class CellText:
    """The parts of a cell. `spread` is the number after ±; a part that does not apply is empty.

    `sign` are the signs behind the number, `remark` is what is to be known of the tie and of the
    mean, in brackets. `is_grey`: the marks are of one training each, which the sign says too.
    """

    mean: str
    spread: str
    sign: str
    remark: str
    is_best: bool
    is_grey: bool

    @property
    def after_mean(self) -> str:
        """What stands behind the mean in a format without styles."""
        spread = f" ± {self.spread}" if self.spread else ""
        remark = f" {self.remark}" if self.remark else ""
        return spread + self.sign + remark


def cell_text(summary: Summary, target: TargetTask, column: Column) -> CellText | None:
    """The text of a cell; None where the algorithm has no rows."""
    cell = summary.cells.get((target.name, *column))
    if cell is None:
        return None
    interval, write = cell.interval, summary.notation.text
    return CellText(
        write(interval.mean),
        write(interval.half, missing=""),
        _signs(cell),
        _remark(summary, cell),
        cell.is_best,
        cell.one_training and (cell.is_best or cell.is_tied),
    )


def _signs(cell: SummaryCell) -> str:
    if cell.is_best or cell.is_tied:
        signs = (
            (TIE, cell.is_tied),
            (EQUIVALENT, cell.is_equivalent),
            (ONE_TRAINING, cell.one_training),
            (NOT_ALL_ROWS, cell.is_best and cell.some_missing),
        )
        return "".join(sign for sign, applies in signs if applies)
    return NOT_COMPARED if cell.interval.n and not cell.is_compared else ""


def _remark(summary: Summary, cell: SummaryCell) -> str:
    """What the test of a tie finds; what failed, is undefined, or left out classes."""
    if not cell.interval.n:
        return ""
    detectable = summary.notation.text(cell.detectable, missing="none")
    parts = [] if isnan(cell.detectable) else [f"finds {detectable}"]
    parts += [
        f"{count} {name}"
        for count, name in (
            (cell.failed, "failed"),
            (cell.interval.undefined, "undefined"),
            (cell.partial, "partial"),
        )
        if count
    ]
    if isfinite(cell.common):
        parts.append(f"{summary.notation.text(cell.common)} common")
    return f"({', '.join(parts)})" if parts else ""


def target_text(summary: Summary, target: TargetTask) -> str:
    """The name of a target in its domain, marked where its scores leave out classes."""
    return target.short_name + (
        f"\N{NO-BREAK SPACE}{PARTIAL}" if summary.is_partial(target) else ""
    )


def legend(summary: Summary) -> str:
    """The meaning of the signs in the table."""
    if summary.is_published:
        return _legend_of_means(summary)
    paired = "the same episodes"
    if {ONE_NUMBER, OVER_SPLIT} & {*summary.common}:
        # Nothing is spread over episodes; `remarks` say what holds of the training seeds.
        paired = "the same training seeds"
    elif SEEDED in summary.methods:
        paired = "the same episodes and training seeds"
    methods, test = interval_words.method_words(summary), interval_words.test_words(summary, paired)
    sentences = [
        f"Mean ± half the width of its {100 * summary.level:g} % interval ({methods}).",
        *interval_words.sentences(summary),
        "Bold: the best of its row and shots.",
        f"†: not separated from the best by {test}, corrected by Holm's"
        f" method{interval_words.pairs_words(summary)}. (finds d): d is the smallest difference"
        " that this test finds with a probability of 80 %.",
        "—: no rows.",
        *failed_sentences(summary),
        *mark_sentences(summary),
        *_ceiling_sentences(summary),
        *_blank_sentences(summary),
    ]
    cells = summary.cells.values()
    if any(cell.interval.undefined for cell in cells):
        sentences.append("(n undefined): n values of the algorithm are not defined.")
    if any(cell.is_compared and cell.interval.n < len(cell.values) for cell in cells):
        sentences.append(
            "Means, the best, ties and ranks are over the episodes that every algorithm of a row"
            " scored."
        )
    if any(cell.interval.n and not cell.is_compared for cell in cells):
        sentences.append(
            "‡: not compared, since the algorithm shares too few episodes with the others; its mean"
            " is over its own episodes."
        )
    if summary.unpaired:
        sentences.append(
            "Rows whose algorithms were not scored on the same episodes have no best and no †."
        )
    sentences += last_row_sentences(summary)
    sentences += _not_averaged_sentences(summary)
    return " ".join(sentences)


def last_row_sentences(summary: Summary) -> Iterator[str]:
    yield "The means of the last row are over the targets that every algorithm was scored on."
    if any(len(across.targets) and across.pairs for across in summary.across.values()):
        yield (
            "There † is: not found worse than the best mean of its shots by Wilcoxon's signed ranks"
            " over targets, corrected by Holm's method over the pairs."
        )


def _ceiling_sentences(summary: Summary) -> list[str]:
    """What a ceiling is, where it stands beside algorithms that learn from few images."""
    if not summary.ceilings or summary.ceilings.issuperset(summary.algorithms):
        return []
    return [
        "All labels: learned from a target's whole train split and scored on its test split; a"
        " ceiling, with which nothing is compared."
    ]


def blank_reason(summary: Summary, column: Column) -> str:
    """Why there can be no cells in a column; empty where there can be."""
    name, shots = column
    return "" if shots is None else summary.blanks.get((name, shots), "")


def _blank_sentences(summary: Summary) -> list[str]:
    """Which cells there cannot be, and why: each reason once, with its columns."""
    by_reason: dict[str, dict[int, list[str]]] = {}
    for (name, shots), reason in summary.blanks.items():
        by_reason.setdefault(reason, {}).setdefault(shots, []).append(name)
    sentences = []
    for reason, columns in by_reason.items():
        texts = [f"{', '.join(names)} at {shots_title(k)}" for k, names in sorted(columns.items())]
        sentences.append(f"No cells: {'; '.join(texts)}, since {reason}.")
    return sentences


def _not_averaged_sentences(summary: Summary) -> list[str]:
    """Why there is no mean over targets, where there is none."""
    names = [target.name for target in summary.targets]
    problem = scale_problem(summary.metric, names, summary.scales)
    return [f"{problem}."] if problem else []


def _legend_of_means(summary: Summary) -> str:
    better = "smallest" if lower_is_better(summary.metric) else "largest"
    # Without a diagram of Nemenyi's test ranks have no marks.
    ranked = any(across.diagram for across in summary.across.values())
    of_ranks = ", ranks by Nemenyi's test" if ranked else ""
    return (
        "Means alone, as they were given: without scores of single episodes they have no"
        " intervals, and no algorithm can be called tied with the best of a row. Bold: the"
        f" {better} of its row. —: not given. The means and ranks of the last rows are over the"
        " targets that every algorithm has a mean of. There †: not found worse than the best;"
        " means by Wilcoxon's signed ranks over targets, corrected by Holm's method over the pairs"
        f"{of_ranks}."
    )


def printed_legend(summary: Summary) -> str:
    """The legend of a table on its own, with the remarks that the page shows beside it."""
    parts = [legend(summary), *summary.remarks, *_power_sentences(summary), *summary.caveats]
    return " ".join(parts)


def _power_sentences(summary: Summary) -> list[str]:
    """What tests across these targets cannot show: each once, with its shots."""
    sentences: dict[str, list[str]] = {}
    for shots, across in summary.across.items():
        for text in across.power_warnings:
            sentences.setdefault(text, []).append(shots_title(shots))
    return [
        f"Across targets{_places(titles, summary)}: {text}." for text, titles in sentences.items()
    ]


def _places(titles: Sequence[str], summary: Summary) -> str:
    """The shots that a sentence holds for; empty where it holds for all of them."""
    return "" if len(titles) == len(summary.shots) else f" at {', '.join(titles)}"
