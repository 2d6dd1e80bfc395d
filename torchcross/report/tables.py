"""The table of a paper: targets as rows by domain, algorithms by shots as columns.

LaTeX, Markdown and CSV; `headline.py` has what the three share.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from math import isnan
from typing import Unpack

from torchcross._kit.spreadsheet_cells import cell_of_text
from torchcross.messages import printable
from torchcross.records import Means, Records
from torchcross.report.cells import Column, SummaryCell
from torchcross.report.failed_rows import failed_on, targets_without_rows
from torchcross.report.headline import (
    EQUIVALENT,
    NOT_ALL_ROWS,
    NOT_COMPARED,
    ONE_TRAINING,
    TIE,
    CellText,
    blank_reason,
    cell_text,
    column_groups,
    column_heads,
    columns_of,
    head_name,
    printed_legend,
    target_text,
)
from torchcross.report.last_rows import printed_last_rows
from torchcross.report.latex_width import width_note
from torchcross.report.numbers import shots_title
from torchcross.report.summarise import summarise
from torchcross.report.summary import Summary, TableOptions, TargetTask
from torchcross.report.text_escapes import latex_note, latex_text, markdown_text, one_line

_CSV_PARTS = (
    *("mean", "low", "high", "n", "undefined", "mark"),
    *("failed", "common mean", "partial", "detectable", "equivalence p"),
    *("over", "episodes low", "episodes high"),
)
_CSV_LAST = ("classes left out", "rows that failed", "transductive rows", "caveats")
_LATEX_SIGNS = {
    TIE: r"$^{\dagger}$",
    NOT_COMPARED: r"$^{\ddagger}$",
    EQUIVALENT: r"$^{\approx}$",
    ONE_TRAINING: r"$^{\circ}$",
    NOT_ALL_ROWS: r"$^{\ast}$",
}


def latex_table(table: Records | Means, **options: Unpack[TableOptions]) -> str:
    """A `tabular` for the package booktabs.

    Cells have the mean ± half the interval. The best is bold, its statistical ties have a dagger.
    `metric` is one of the records ("auroc" by default, else the first). `level` and `method` are
    those of `within_target`. `episodes` says which episodes were scored, by any text for each
    (algorithm, target, shots): where it differs, nothing is paired and no best is marked. `scales`
    has the grades of each target, by any text: a metric in grades is averaged over equal ones only.
    `untrained` and `margin` are those of `within_target`. `ceilings` are algorithms that learned
    from all labels of a target: they stand behind the others, and nothing is compared with them.
    `classes_left_out` are the classes of targets that no episode has, `chance` is by metric and
    target what chance reaches. `draws` say which images the episodes drew, for each (algorithm,
    target, shots): with them intervals and marks are over images. `blanks` are cells that an
    algorithm cannot have, with the reason, for each (algorithm, shots). `failures` are named in the
    legend. `transductive` algorithms, whose prediction for an image depends on the other query
    images, have a sign in the header. `caveats` are sentences that stand under the table. `Means`
    have no intervals, and ignore the options.
    """
    return latex_of(summarise(table, **options))


def markdown_table(table: Records | Means, **options: Unpack[TableOptions]) -> str:
    """A table as GitHub reads it, with the cells and options of `latex_table`."""
    return markdown_of(summarise(table, **options))


def csv_table(table: Records | Means, **options: Unpack[TableOptions]) -> str:
    """The same layout for programs, with all digits; the options are those of `latex_table`.

    Each algorithm and shots has these columns: mean, low, high, n, undefined, mark, failed, common
    mean, partial, detectable, equivalence p, over, episodes low, episodes high. The mark is "best",
    "tie", "not compared" or empty; of one training each, it says so, and "best, not all rows" is
    the best where other rows have no score. Where there can be no cell (`blanks`), it says why. The
    common mean is there where
    it differs from the mean; detectable and equivalence p are of ties. "over" says what low and
    high are over; episodes low and high are over episodes of these images. The columns
    "classes left out" and "rows that failed" are of the target; a target whose every row failed has
    a line without numbers. "transductive rows" and "caveats" are of the whole table. `Means`
    are written as `read_means` reads them. Names have escapes for control
    characters, and those that a spreadsheet would take for a formula (they begin with =, +, - or @)
    have an apostrophe before them.
    """
    return csv_of(summarise(table, **options))


# -- LaTeX -----------------------------------------------------------------------------------------


def latex_of(summary: Summary) -> str:
    columns = columns_of(summary)
    title = latex_text(summary.notation.title)
    lines = [
        "% For the package booktabs.",
        *width_note(summary),
        f"\\begin{{tabular}}{{l{'r' * len(columns)}}}",
        "\\toprule",
        *_latex_shots(summary),
        _latex_row([title, *(latex_text(head_name(summary, name)) for name, _ in columns)]),
        "\\midrule",
    ]
    for domain, targets in summary.domains.items():
        if domain:
            span = f"\\multicolumn{{{len(columns) + 1}}}{{l}}"
            lines.append(f"{span}{{\\textit{{{latex_text(domain)}}}}} \\\\")
        indent = "\\quad " if domain or not summary.is_published else ""
        for target in targets:
            cells = [_latex_cell(summary, target, column) for column in columns]
            lines.append(_latex_row([indent + latex_text(target_text(summary, target)), *cells]))
    last = [
        _latex_row([row.name, *map(_latex_text, row.cells)])
        for row in printed_last_rows(summary, "---")
    ]
    lines += ["\\midrule", *last] if last else []
    lines += ["\\bottomrule", "\\end{tabular}", latex_note(printed_legend(summary))]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"


def _latex_shots(summary: Summary) -> list[str]:
    """The row of shots, with a line under each; published means have none."""
    if summary.is_published:
        return []
    titles, rules, last = [], [], 1
    for group in column_groups(summary):
        width = len(group.columns)
        titles.append(f"\\multicolumn{{{width}}}{{c}}{{{group.title}}}")
        rules.append(f"\\cmidrule(lr){{{last + 1}-{last + width}}}")
        last += width
    return [_latex_row(["", *titles]), " ".join(rules)]


def _latex_cell(summary: Summary, target: TargetTask, column: Column) -> str:
    text = cell_text(summary, target, column)
    if text is None:
        return "---"
    return _latex_text(text)


def _latex_text(text: CellText) -> str:
    mean = f"\\textbf{{{text.mean}}}" if text.is_best else text.mean
    spread = f" $\\pm$ {text.spread}" if text.spread else ""
    signs = "".join(_LATEX_SIGNS[sign] for sign in text.sign)
    remark = f" {{\\footnotesize {text.remark}}}" if text.remark else ""
    return mean + spread + signs + remark


# -- Markdown --------------------------------------------------------------------------------------


def markdown_of(summary: Summary) -> str:
    columns, title = columns_of(summary), summary.notation.title
    heads = ["domain", markdown_text(f"target: {title}" if title else "target")]
    heads += map(markdown_text, column_heads(summary))
    rows = [heads, ["---", "---", *("---:" for _ in columns)]]
    for domain, targets in summary.domains.items():
        for place, target in enumerate(targets):
            cells = [_markdown_cell(summary, target, column) for column in columns]
            domain_cell = markdown_text(domain) if place == 0 else ""
            name = markdown_text(target_text(summary, target))
            rows.append([domain_cell, name, *cells])
    rows += [["", row.name, *map(_markdown_text, row.cells)] for row in printed_last_rows(summary)]
    if not summary.has_domains:
        rows = [row[1:] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([*lines, "", one_line(printed_legend(summary))]) + "\n"


def _markdown_cell(summary: Summary, target: TargetTask, column: Column) -> str:
    text = cell_text(summary, target, column)
    if text is None:
        return "—"
    return _markdown_text(text)


def _markdown_text(text: CellText) -> str:
    return (f"**{text.mean}**" if text.is_best else text.mean) + text.after_mean


# -- CSV -------------------------------------------------------------------------------------------


def csv_of(summary: Summary) -> str:
    columns = columns_of(summary)
    if summary.is_published:
        # The layout that `read_means` reads.
        rows = [["domain", "target", *map(_csv_name, summary.algorithms)]]
        for target in summary.targets:
            cells = [_csv_cell(summary, target, column)[0] for column in columns]
            rows.append([_csv_name(target.domain), _csv_name(target.name), *cells])
        if not summary.has_domains:
            rows = [row[1:] for row in rows]
    else:
        # A program finds the columns that the legend of the other tables only names.
        columns = (*columns, *summary.blanks)
        titles = [_csv_name(f"{name}, {shots_title(shots)}") for name, shots in columns]
        heads = [f"{title}: {part}" for title in titles for part in _CSV_PARTS]
        rows = [["domain", "target", "metric", *heads, *_CSV_LAST]]
        notes = [_csv_name(text) for text in _csv_notes(summary)]
        for target in summary.targets:
            row = [*map(_csv_name, (target.domain, target.name, summary.metric))]
            for column in columns:
                row += _csv_cell(summary, target, column)
            left_out = summary.classes_left_out.get(target.name, ())
            failed = failed_on(summary, target.name)
            rows.append([*row, _csv_name("; ".join(left_out)), _csv_name(failed), *notes])
        for name in targets_without_rows(summary):
            row = ["", *map(_csv_name, (name, summary.metric)), *("" for _ in heads), ""]
            rows.append([*row, _csv_name(failed_on(summary, name)), *notes])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _csv_notes(summary: Summary) -> tuple[str, str]:
    """What holds of the whole table; every line has it, so that no part of the table loses it."""
    transductive = [name for name in summary.algorithms if name in summary.transductive]
    return "; ".join(transductive), " ".join([*summary.remarks, *summary.caveats])


def _csv_name(name: str) -> str:
    return cell_of_text(printable(name))


def _csv_cell(summary: Summary, target: TargetTask, column: Column) -> list[str]:
    cell = summary.cells.get((target.name, *column))
    if cell is None:
        parts = dict.fromkeys(_CSV_PARTS, "")
        if reason := blank_reason(summary, column):
            parts["mark"] = f"no cell: {reason}"
        return list(parts.values())
    return [
        *map(_csv_number, cell.bounds),
        *(str(cell.interval.n), str(cell.interval.undefined)),
        _csv_mark(cell),
        str(cell.failed),
        _csv_number(cell.common),
        str(cell.partial),
        *map(_csv_number, (cell.detectable, cell.equivalence_p)),
        cell.interval.over if cell.interval.n > 1 else "",
        *map(_csv_number, (cell.episode_interval.low, cell.episode_interval.high)),
    ]


def _csv_number(value: float) -> str:
    return "" if isnan(value) else repr(value)


def _csv_mark(cell: SummaryCell) -> str:
    once = ", one training each" if cell.one_training else ""
    if cell.is_best:
        return f"best{', not all rows' if cell.some_missing else ''}{once}"
    if cell.is_tied:
        return f"tie{once}"
    return "" if cell.is_compared else "not compared"
