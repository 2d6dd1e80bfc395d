"""Whether probabilities can be trusted: a section of the page, and tables to take away."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Final

import numpy as np

from torchcross.records.shots import shots_word
from torchcross.report.csv_text import csv_number, csv_text
from torchcross.report.html import (
    TableCell,
    TableColumn,
    data_link,
    explanation,
    note,
    series_keys,
    sortable_table,
)
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import shots_title
from torchcross.report.reliability_plot import reliability_plot
from torchcross.report.text_escapes import latex_text, markdown_text
from torchcross.statistics import Calibration, CalibrationIntervals, Interval

_MEASURES: Final = {
    "brier": "Brier score",
    "nll": "negative log-likelihood",
    "ece": "calibration error",
}
_LEGEND: Final = {
    "Brier score": (
        "the mean squared error of the probabilities: of two classes that of the second one, of"
        " more classes the sum over them, of labels the mean over all."
    ),
    "negative log-likelihood": (
        "minus the logarithm of the probability of the true class, or of each label's own answer,"
        " in nats: the mean over images, or over labels of images."
    ),
    "calibration error": (
        "for each class, predictions are put into {bins} bins of equal width by its probability;"
        " the differences between the mean probability and the share of images with the class are"
        " averaged over the predictions, then over the classes (class-wise expected calibration"
        " error). It also grows where predictions are few."
    ),
    "±": (
        "half the interval. That of the calibration error leaves out one episode after the other."
        " Intervals are over the episodes of these images, unless the table says that they are over"
        " images."
    ),
}


@dataclass(frozen=True)
class CalibrationResult:
    """The calibration of one row on one target at one number of shots, under the row's name."""

    algorithm: str
    calibration: Calibration
    intervals: CalibrationIntervals

    @property
    def place(self) -> tuple[str, int]:
        return self.calibration.target, self.calibration.shots

    @property
    def values(self) -> dict[str, Interval]:
        return {name: getattr(self.intervals, name) for name in _MEASURES}


# -- the section -----------------------------------------------------------------------------------


def calibration_section(results: Sequence[CalibrationResult], absent: str) -> Markup:
    """A fold for each target and number of shots, the first one open."""
    if not results:
        return note(f"No predictions of single images: {absent}.")
    series = {name: at for at, name in enumerate(dict.fromkeys(each.algorithm for each in results))}
    folds: list[Markup] = []
    for (target, shots), several in _by_place(results).items():
        size = element("span", f" {shots_title(shots)}", class_="soft")
        heading = element("summary", target, size)
        plot = reliability_plot(
            target, [(each.algorithm, series[each.algorithm], each.calibration) for each in several]
        )
        keys = series_keys([(each.algorithm, series[each.algorithm]) for each in several])
        folds.append(element("details", heading, _table(several), keys, plot, open=not folds))
    links = [
        data_link(text, content.encode(), name, f"{kind};charset=utf-8")
        for text, content, name, kind in (
            ("CSV", calibration_csv(results), "calibration.csv", "text/csv"),
            ("the bins as CSV", reliability_csv(results), "reliability.csv", "text/csv"),
            ("Markdown", calibration_markdown(results), "calibration.md", "text/markdown"),
            ("LaTeX", calibration_latex(results), "calibration.tex", "application/x-tex"),
        )
    ]
    downloads = element("p", "Take away: ", join(links, ", "), ".", class_="soft download")
    caution = note(
        "Lower is better. All of them are 0 for a predictor that is sure and right; of one that is"
        " rightly unsure only the calibration error is near 0 (a fair coin has a Brier score of"
        " 0.25). Where queries have as many images of each class, they are numbers of a balanced"
        " world. Algorithms are not compared here."
    )
    bins = results[0].calibration.reliability.counts.shape[1]
    meanings = {name: text.format(bins=bins) for name, text in _LEGEND.items()}
    legend = explanation("What the columns mean", meanings)
    return join([caution, legend, *folds, downloads])


def _table(results: Sequence[CalibrationResult]) -> Markup:
    columns = [TableColumn("algorithm")]
    columns += [TableColumn(name, is_number=True) for name in (*_MEASURES.values(), "predictions")]
    rows: list[list[TableCell | str]] = []
    for each in results:
        cells = [TableCell(_text(value), value.mean) for value in each.values.values()]
        count = each.calibration.predictions
        rows.append([each.algorithm, *cells, TableCell(f"{count:,}", count)])
    over = {value.over for each in results for value in each.values.values() if isfinite(value.low)}
    about = f"; intervals over {', '.join(sorted(over))}" if over else ""
    return sortable_table(f"Calibration{about}", columns, rows)


def _text(value: Interval) -> str:
    if isnan(value.mean):
        return "—"
    return f"{value.mean:.3f} ± {value.half:.3f}" if isfinite(value.half) else f"{value.mean:.3f}"


def _by_place(
    results: Iterable[CalibrationResult],
) -> dict[tuple[str, int], list[CalibrationResult]]:
    groups: dict[tuple[str, int], list[CalibrationResult]] = {}
    for each in results:
        groups.setdefault(each.place, []).append(each)
    return groups


# -- tables to take away ---------------------------------------------------------------------------


def calibration_csv(results: Iterable[CalibrationResult]) -> str:
    """One line for each number, with every digit."""
    head = (
        "target algorithm shots measure value low high over method level episodes predictions"
        " not_finite note"
    )
    rows = []
    for each in results:
        target, shots = each.place
        about = (each.calibration.predictions, each.calibration.not_finite)
        for name, value in each.values.items():
            numbers = [csv_number(end) for end in (value.mean, value.low, value.high)]
            kind = (value.over, value.method, value.level, value.n)
            rows.append(
                [
                    target,
                    each.algorithm,
                    shots_word(shots),
                    name,
                    *numbers,
                    *kind,
                    *about,
                    value.note,
                ]
            )
    return csv_text(head.split(), rows)


def reliability_csv(results: Iterable[CalibrationResult]) -> str:
    """One line for each bin of each class that has predictions."""
    head = "target algorithm shots class from to predictions mean_probability share_with_class"
    rows = []
    for each in results:
        bins, names = each.calibration.reliability, each.calibration.classes
        for place, at in np.argwhere(bins.counts > 0).tolist():
            ends = [float(edge) for edge in bins.edges[at : at + 2]]
            numbers = float(bins.mean[place, at]), float(bins.share[place, at])
            target, shots = each.place
            of_bin = (target, each.algorithm, shots_word(shots), names[place], *ends)
            rows.append([*of_bin, int(bins.counts[place, at]), *numbers])
    return csv_text(head.split(), rows)


def calibration_markdown(results: Iterable[CalibrationResult]) -> str:
    names = ["target", "shots", "algorithm", *_MEASURES.values()]
    lines = [f"| {' | '.join(names)} |", f"| --- | ---: | --- |{' ---: |' * len(_MEASURES)}"]
    for each in results:
        target, shots = each.place
        cells = [markdown_text(target), shots_title(shots), markdown_text(each.algorithm)]
        cells += map(_text, each.values.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def calibration_latex(results: Iterable[CalibrationResult]) -> str:
    names = ["target", "shots", "algorithm", *_MEASURES.values()]
    lines = [rf"\begin{{tabular}}{{lrl{'r' * len(_MEASURES)}}}", r"\toprule"]
    lines += [rf"{' & '.join(names)} \\", r"\midrule"]
    for each in results:
        target, shots = each.place
        texts = [target, shots_title(shots), each.algorithm, *map(_text, each.values.values())]
        lines.append(rf"{' & '.join(map(latex_text, texts))} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])
