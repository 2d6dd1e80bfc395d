"""The tables of a study: Markdown for people, CSV for programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torchcross._kit.spreadsheet_cells import cell_of_text
from torchcross._kit.whole_files import write_whole
from torchcross.report.text_escapes import markdown_text
from torchcross.transfer.page import STUDY_PAGE, StudyAnalysis, TaskMap, write_analysis
from torchcross.transfer.page.lacking_correlations import lacking_correlation_lines
from torchcross.transfer.page.result_section import answer, limitations
from torchcross.transfer.page.words import height_words
from torchcross.transfer.rankings import Judgement
from torchcross.transfer.rankings.answer import no_inference_text
from torchcross.transfer.rankings.row import mean_text
from torchcross.transfer.source_target import SourceTargetTable, is_self_pair
from torchcross.transfer.studies.folder import StudyFolder
from torchcross.transfer.studies.markdown import BLANK, markdown_table
from torchcross.transfer.studies.parts_made import made_with_lines
from torchcross.transfer.studies.protocol import protocol_lines
from torchcross.transfer.studies.split_report import markdown_of_tables
from torchcross.transfer.studies.stability import stability_lines
from torchcross.transfer.studies.study_page import study_contents

REPORT, CELLS_TABLE, MATRIX_TABLE = "report.md", "cells.csv", "matrix.csv"


def write_study_report(study: StudyFolder) -> Path:
    """Write `report.md`, `cells.csv`, `matrix.csv` and the page `report.html` of what is there.

    Return the path of the first.
    """
    analysis = StudyAnalysis(study_contents(study))
    write_whole(study.path / CELLS_TABLE, _cells_csv(study))
    write_whole(study.path / MATRIX_TABLE, _matrix_csv(analysis.matrix))
    write_analysis(analysis, study.path / STUDY_PAGE)
    path = study.path / REPORT
    write_whole(path, "\n".join(_sections(study, analysis)) + "\n")
    return path


def _sections(study: StudyFolder, analysis: StudyAnalysis) -> Iterator[str]:
    contents = analysis.contents
    yield f"# {contents.title}\n"
    yield f"**{markdown_text(answer(analysis))}**\n"
    yield from (f"- {markdown_text(text)}" for text in dict.fromkeys(limitations(analysis)))
    if study.settings.study.splits == "own":
        yield from markdown_of_tables(contents.tables)
    else:
        yield from _matrix_lines(analysis)
    if analysis.judgement is not None:
        yield "\n## How well scores rank the sources, over targets\n"
        yield from _ranking_lines(analysis.judgement)
        yield from _size_lines(study)
        yield from stability_lines(study, contents.results)
    if analysis.correlations:
        yield f"\n## Correlations with {height_words(contents)}, over all pairs\n"
        yield from _correlation_lines(analysis)
    yield from _distance_lines(contents.tasks)
    yield from protocol_lines(study.settings)
    yield from (f"- Made with: {markdown_text(text)}." for text in made_with_lines(study))


def _matrix_lines(analysis: StudyAnalysis) -> Iterator[str]:
    contents = analysis.contents
    yield f"\n## {contents.metric}, mean over folds and seeds\n"
    yield _markdown(analysis.matrix, 3, mark_self=True)
    if contents.baseline:
        yield f"\n## Gain over {contents.baseline}, in percent, on the same folds\n"
        gains = contents.results.transferability(contents.baseline)
        yield _markdown(_scale(gains, 100), 1, mark_self=True)


def _markdown(table: SourceTargetTable, digits: int, *, mark_self: bool = False) -> str:
    heads = ["source", *map(markdown_text, table.targets)]
    rows = []
    for number, source in enumerate(table.sources):
        cells = [
            _cell(value, digits, mark_self and is_self_pair(source, target))
            for value, target in zip(table.values[number], table.targets, strict=True)
        ]
        rows.append([markdown_text(source), *cells])
    return markdown_table(heads, rows)


def _cell(value: float, digits: int, is_self: bool) -> str:
    if math.isnan(value):
        return BLANK
    return f"{value:.{digits}f}{'†' if is_self else ''}"


def _scale(table: SourceTargetTable, factor: float) -> SourceTargetTable:
    return SourceTargetTable(table.sources, table.targets, factor * table.values)


def _ranking_lines(judgement: Judgement) -> Iterator[str]:
    measures = list(judgement.rows[0].means)
    rows = []
    for row in judgement.rows:
        cells = [
            BLANK if math.isnan(row.means[name].mean) else mean_text(row.means[name])
            for name in measures
        ]
        p = BLANK if math.isnan(row.permutation_p) else f"{row.permutation_p:.3g}"
        low, high = row.without_one_source
        span = BLANK if math.isnan(low) else f"{low:.2f} to {high:.2f}"
        name = markdown_text(row.name) + (" (rule)" if row.is_rule else "")
        rows.append([name, *cells, p, span])
    heads = ["score", *measures, "p of shuffles", "weighted tau without one source"]
    yield markdown_table(heads, rows)
    yield ""
    said = no_inference_text(len(judgement.rows[0].targets))
    # It stands above.
    warnings = [warning for warning in judgement.warnings if warning != said]
    yield from (f"- {markdown_text(warning)}." for warning in warnings)


def _size_lines(study: StudyFolder) -> Iterator[str]:
    design = study.settings.study
    weights, unused = design.weights, design.unused_sources
    done = {pair.source for pair, record in study.pairs() if record is not None}
    sizes = {
        name: size
        for name, size in study.source_sizes().items()
        if name not in weights and name not in unused
    }
    known = [f"{markdown_text(name)} {size:,}" for name, size in sizes.items() if name in done]
    counts = f"- Images of the sources, for the rule largest: {', '.join(known) or 'not known'}."
    if unknown := [markdown_text(name) for name in sizes if name not in done]:
        counts += f" Not done: {', '.join(unknown)}."
    if weights:
        counts += " Files of weights count as larger."
    yield counts


def _correlation_lines(analysis: StudyAnalysis) -> Iterator[str]:
    known = [pair for pair in analysis.correlations if not pair[1].reason]
    for name, correlation in known:
        kind = "distance " if name in analysis.contents.distances else ""
        small = " (small is close)" if kind else ""
        yield f"- {kind}{markdown_text(name)}{small}: {correlation}"
    for text in lacking_correlation_lines(analysis.correlations):
        yield f"- {markdown_text(text)}"


def _distance_lines(tasks: Mapping[str, TaskMap]) -> Iterator[str]:
    for name, task_map in tasks.items():
        distances = task_map.distances
        if distances is None:
            continue
        yield f"\n## Distances of tasks ({markdown_text(name)}, cosine)\n"
        table = SourceTargetTable(distances.names, distances.names, distances.values)
        yield _markdown(table, 3)
        yield (
            "\nOf the images that a source learns from, and of a target's first training part. As"
            " a score, the distance is the mean over the training parts of all folds: no test image"
            " takes part."
        )
        floors = ", ".join(
            f"{markdown_text(dataset)} {floor:.3f}" for dataset, floor in task_map.floors.items()
        )
        yield f"\nThe noise floor (two disjoint draws of one dataset): {floors}."


# -- CSV -------------------------------------------------------------------------------------------


def _cells_csv(study: StudyFolder) -> str:
    rows = []
    for pair, record in study.pairs():
        key = [cell_of_text(pair.source), cell_of_text(pair.target), pair.fold, pair.seed]
        key.append(pair.fraction)
        if record is None:
            continue
        for kind in ("metrics", "scores"):
            for name, score in record[kind].items():
                value = "" if score["value"] is None else repr(score["value"])
                rows.append([*key, kind[:-1], name, value, score.get("reason", "")])
    heads = ["source", "target", "fold", "seed", "fraction", "kind", "name", "value", "reason"]
    return _csv([heads, *rows])


def _matrix_csv(matrix: SourceTargetTable) -> str:
    rows = [
        [cell_of_text(source), *("" if math.isnan(value) else repr(float(value)) for value in row)]
        for source, row in zip(matrix.sources, matrix.values, strict=True)
    ]
    return _csv([["source", *map(cell_of_text, matrix.targets)], *rows])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
