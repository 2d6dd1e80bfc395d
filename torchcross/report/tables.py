"""The table of a paper: targets as rows by domain, algorithms by shots as columns; LaTeX, Markdown,
CSV.
"""

from __future__ import annotations

import csv
import io
from math import isfinite

from torchcross.records import Means, Records
from torchcross.report.means import csv_of_means, latex_of_means, markdown_of_means
from torchcross.report.numbers import factor_of, metric_title, score_text
from torchcross.report.summary import Episodes, Score, Summary, Target, short_name, summarise
from torchcross.report.text_escapes import latex_note, latex_text, markdown_text, one_line
from torchcross.statistics.seeds import SEEDED
from torchcross.statistics.within_target import ONE_NUMBER

__all__ = ["csv_table", "latex_table", "markdown_table"]

_METHODS = {
    "t": "Student's t over episodes",
    "normal": "normal, over episodes",
    "bca": "BCa bootstrap over episodes",
    SEEDED: (
        "hierarchical bootstrap: training seeds, then episodes; as wide as the t intervals over"
        " seeds and over episodes, added as squares"
    ),
}


def latex_table(
    table: Records | Means,
    *,
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    episodes: Episodes | None = None,
) -> str:
    """A `tabular` for the package booktabs: mean ± half the interval, best bold, its statistical
    ties daggered.

    `episodes` says which episodes were scored, by any text for each (algorithm, target, shots):
    where it differs, nothing is paired and no best is marked. A table of `Means` has no intervals:
    `metric`, `level`, `method` and `episodes` say nothing of it, here and below.
    """
    if isinstance(table, Means):
        return latex_of_means(table)
    return latex_of(summarise(table, metric=metric, level=level, method=method, episodes=episodes))


def markdown_table(
    table: Records | Means,
    *,
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    episodes: Episodes | None = None,
) -> str:
    """A table as GitHub reads it: mean ± half the interval, best bold, its statistical ties
    daggered.
    """
    if isinstance(table, Means):
        return markdown_of_means(table)
    return markdown_of(
        summarise(table, metric=metric, level=level, method=method, episodes=episodes)
    )


def csv_table(
    table: Records | Means,
    *,
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    episodes: Episodes | None = None,
) -> str:
    """The same layout for programs, with all digits: six columns (mean, low, high, n, undefined,
    mark) for each algorithm and shots. The mark is "best", "tie", "not compared" or nothing.

    `Means` are written as `read_means` reads them.
    """
    if isinstance(table, Means):
        return csv_of_means(table)
    return csv_of(summarise(table, metric=metric, level=level, method=method, episodes=episodes))


def latex_of(summary: Summary) -> str:
    width = len(summary.columns)
    shots = [
        f"\\multicolumn{{{len(summary.algorithms)}}}{{c}}{{{shots_title(level)}}}"
        for level in summary.shots
    ]
    lines = [
        "% For the package booktabs.",
        f"\\begin{{tabular}}{{l{'r' * width}}}",
        "\\toprule",
        " & ".join(["", *shots]) + r" \\",
        " ".join(_rules(summary)),
        " & ".join(
            [
                latex_text(metric_title(summary.metric)),
                *(latex_text(name) for name, _ in summary.columns),
            ]
        )
        + r" \\",
        "\\midrule",
    ]
    for domain, targets in summary.domains:
        if domain:
            lines.append(
                f"\\multicolumn{{{width + 1}}}{{l}}{{\\textit{{{latex_text(domain)}}}}} \\\\"
            )
        lines += [_latex_row(summary, target) for target in targets]
    means = [
        f"{mean:.1f}" if factor_of(summary.metric) > 1 else f"{mean:.3f}"
        for mean in _shown_means(summary)
    ]
    lines += ["\\midrule", " & ".join(["mean of the targets", *dashed(means, "---")]) + r" \\"]
    return (
        "\n".join([*lines, "\\bottomrule", "\\end{tabular}", latex_note(printed_legend(summary))])
        + "\n"
    )


def markdown_of(summary: Summary) -> str:
    heads = [
        markdown_text(f"{name}, {shots_title(level)}" if len(summary.shots) > 1 else name)
        for name, level in summary.columns
    ]
    lines = [
        "| "
        + " | ".join(["domain", markdown_text(f"target: {metric_title(summary.metric)}"), *heads])
        + " |",
        "| " + " | ".join(["---", "---", *("---:" for _ in heads)]) + " |",
    ]
    for domain, targets in summary.domains:
        for place, target in enumerate(targets):
            cells = [
                _markdown_cell(summary.scores.get((target.name, *column)), summary)
                for column in summary.columns
            ]
            first = markdown_text(domain) if place == 0 else ""
            lines.append(
                "| " + " | ".join([first, markdown_text(short_name(target)), *cells]) + " |"
            )
    means = [score_text(summary.means[column], summary.metric) for column in summary.columns]
    lines.append("| " + " | ".join(["", "mean of the targets", *dashed(means)]) + " |")
    return "\n".join([*lines, "", one_line(printed_legend(summary))]) + "\n"


def csv_of(summary: Summary) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    parts = ("mean", "low", "high", "n", "undefined", "mark")
    heads = [
        f"{name}, {shots_title(shots)}: {part}" for name, shots in summary.columns for part in parts
    ]
    writer.writerow(["domain", "target", "metric", *heads])
    for domain, targets in summary.domains:
        for target in targets:
            cells = [
                part
                for column in summary.columns
                for part in _csv_cell(summary.scores.get((target.name, *column)))
            ]
            writer.writerow([domain, target.name, summary.metric, *cells])
    return text.getvalue()


def legend(summary: Summary) -> str:
    """What the signs of the table mean."""
    method = " or ".join(_METHODS.get(name, name) for name in summary.methods)
    paired = (
        "the same episodes and training seeds" if SEEDED in summary.methods else "the same episodes"
    )
    scores = summary.scores.values()
    if ONE_NUMBER in summary.common:
        # Nothing is spread over episodes, and what training seeds say of it is told beside the
        # table.
        paired = "the same training seeds"
    said = [
        f"Mean ± half the width of its {100 * summary.level:g} % interval ({method}).",
        (
            "Bold: the best of its row and shots. †: not separated from the best by a paired t"
            f" test over {paired}, corrected by Holm's method. —: no rows."
        ),
    ]
    if any(score.interval.undefined for score in scores):
        said.append("(n undefined): so many values of the algorithm are not defined.")
    if any(score.is_compared and score.interval.n < len(score.values) for score in scores):
        said.append(
            "Means, the best, ties and ranks are over the episodes that every algorithm of a row"
            " scored."
        )
    if any(score.interval.n and not score.is_compared for score in scores):
        said.append(
            "‡: not compared, since too few episodes are shared with the others; the mean is over"
            " the algorithm's own."
        )
    if summary.unpaired:
        said.append(
            "Rows whose algorithms were not scored on the same episodes have no best and no †."
        )
    said.append(
        "The means of the last row are over the targets that every algorithm was scored on."
    )
    return " ".join(said)


def printed_legend(summary: Summary) -> str:
    """The legend with what holds for the whole table, which the page says beside it."""
    return " ".join([legend(summary), *summary.remarks])


def shots_title(shots: int) -> str:
    return "1 shot" if shots == 1 else f"{shots} shots"


def mean_text(score: Score, metric: str) -> tuple[str, str]:
    """The mean, and the ± after it, "" where there is no interval."""
    half = score.interval.half * factor_of(metric)
    spread = "" if not isfinite(half) else f"{half:.1f}" if factor_of(metric) > 1 else f"{half:.3f}"
    return score_text(score.interval.mean, metric), spread


def sign_of(score: Score) -> str:
    """The sign after a cell's numbers."""
    if score.is_tied:
        return "†"
    return "" if score.is_compared or not score.interval.n else "‡"


def undefined_text(score: Score) -> str:
    """How many of a mean's episodes have no score; "" where none, or where there is no mean."""
    found = score.interval
    return f"({found.undefined} undefined)" if found.undefined and found.n else ""


def _shown_means(summary: Summary) -> list[float]:
    return [summary.means[column] * factor_of(summary.metric) for column in summary.columns]


def dashed(means: list[str], sign: str = "—") -> list[str]:
    """Means, with a dash where there is none."""
    return [sign if text in ("undefined", "nan") else text for text in means]


def _rules(summary: Summary) -> list[str]:
    """A line under each number of shots."""
    width = len(summary.algorithms)
    return [
        f"\\cmidrule(lr){{{2 + width * place}-{1 + width * (place + 1)}}}"
        for place in range(len(summary.shots))
    ]


def _latex_row(summary: Summary, target: Target) -> str:
    cells = [
        _latex_cell(summary.scores.get((target.name, *column)), summary)
        for column in summary.columns
    ]
    return " & ".join([f"\\quad {latex_text(short_name(target))}", *cells]) + r" \\"


def _latex_cell(score: Score | None, summary: Summary) -> str:
    if score is None:
        return "---"
    mean, spread = mean_text(score, summary.metric)
    shown = f"\\textbf{{{mean}}}" if score.is_best else mean
    mark = {"†": r"$^{\dagger}$", "‡": r"$^{\ddagger}$"}.get(sign_of(score), "")
    beside = f" {{\\footnotesize {text}}}" if (text := undefined_text(score)) else ""
    return (f"{shown} $\\pm$ {spread}{mark}" if spread else shown + mark) + beside


def _markdown_cell(score: Score | None, summary: Summary) -> str:
    if score is None:
        return "—"
    mean, spread = mean_text(score, summary.metric)
    shown = f"**{mean}**" if score.is_best else mean
    text = undefined_text(score)
    return (
        shown + (f" ± {spread}" if spread else "") + sign_of(score) + (f" {text}" if text else "")
    )


def _csv_cell(score: Score | None) -> list[str]:
    if score is None:
        return [""] * 6
    numbers = [repr(value) if isfinite(value) else "" for value in score.bounds]
    aside = "" if score.is_compared else "not compared"
    mark = "best" if score.is_best else "tie" if score.is_tied else aside
    return [*numbers, str(score.interval.n), str(score.interval.undefined), mark]
