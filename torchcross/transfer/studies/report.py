"""The tables of a study: Markdown for people, CSV for programs."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from torchcross._kit.counts import count_text
from torchcross._kit.spreadsheet_cells import cell_of_text
from torchcross._kit.whole_files import write_whole
from torchcross.report.text_escapes import markdown_text
from torchcross.transfer.rankings import Judgement, correlations, judge_scores
from torchcross.transfer.results import StudyResults
from torchcross.transfer.similarity import distance
from torchcross.transfer.source_target import SourceTargetTable
from torchcross.transfer.studies.folder import StudyFolder
from torchcross.transfer.studies.settings import SCRATCH

REPORT, CELLS_TABLE, MATRIX_TABLE = "report.md", "cells.csv", "matrix.csv"
_BLANK = "—"


def write_study_report(study: StudyFolder) -> Path:
    """Write `report.md`, `cells.csv` and `matrix.csv` of what is there, and return the first."""
    results = study.results()
    write_whole(study.path / CELLS_TABLE, _cells_csv(study))
    write_whole(study.path / MATRIX_TABLE, _matrix_csv(results))
    path = study.path / REPORT
    write_whole(path, "\n".join(_sections(study, results)) + "\n")
    return path


def _sections(study: StudyFolder, results: StudyResults) -> Iterator[str]:
    design = study.settings.study
    yield "# Which source helps which target\n"
    matrix = results.matrix()
    shared = matrix.without_self_pairs() if design.self_pairs else matrix
    tables = {**study.score_tables(), **_distance_scores(study)}
    judgement = None
    if tables and len(results.sources) > 2:
        largest = next(iter(design.weights), None)
        judgement = judge_scores(tables, shared, largest=largest)
        yield f"**{markdown_text(judgement.answer)}**\n"
    yield from _notes(study, results)
    yield f"\n## {design.metric}, mean over folds and seeds\n"
    yield _markdown(matrix, 3, mark_self=True)
    if SCRATCH in results.sources:
        yield f"\n## Gain over {SCRATCH}, in percent, on the same folds\n"
        yield _markdown(_scale(results.transferability(SCRATCH), 100), 1, mark_self=True)
    if judgement is not None:
        yield "\n## How well scores rank the sources, over targets\n"
        yield from _ranking_lines(judgement)
        yield "\n## Scores and gains over pairs\n"
        yield from _correlation_lines(study, results, tables)
    yield from _distance_lines(study)
    yield from _protocol(study)


def _notes(study: StudyFolder, results: StudyResults) -> Iterator[str]:
    records = list(study.pairs())
    missing = sum(record is None for _, record in records)
    if missing:
        cells = count_text(len(records), "cells")
        yield f"- {missing} of {cells} are not done; their pairs are blank."
    if study.settings.study.self_pairs:
        yield "- Pairs of one name (†) leak: their test folds were in the training of the source."
    if len(results.seeds) == 1:
        yield "- One training seed: what another training would give is not in these numbers."
    if len(results.targets) < 6:
        yield f"- {count_text(len(results.targets), 'targets')} carry no inference over targets."


def _markdown(table: SourceTargetTable, digits: int, *, mark_self: bool = False) -> str:
    heads = ["source", *map(markdown_text, table.targets)]
    rows = []
    for number, source in enumerate(table.sources):
        cells = [
            _cell(value, digits, mark_self and source == target)
            for value, target in zip(table.values[number], table.targets, strict=True)
        ]
        rows.append([markdown_text(source), *cells])
    return _table(heads, rows)


def _cell(value: float, digits: int, is_self: bool) -> str:
    if math.isnan(value):
        return _BLANK
    return f"{value:.{digits}f}{'†' if is_self else ''}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _scale(table: SourceTargetTable, factor: float) -> SourceTargetTable:
    return SourceTargetTable(table.sources, table.targets, factor * table.values)


def _distance_scores(study: StudyFolder) -> Mapping[str, SourceTargetTable]:
    """Minus the distances of embeddings, as scores; none where there are no embeddings."""
    embeddings = study.embeddings()
    if not embeddings:
        return {}
    design = study.settings.study

    def score(source: str, target: str) -> float:
        if source not in embeddings or target not in embeddings:
            return math.nan
        return -distance(embeddings[source][0], embeddings[target][0])

    return {
        "task2vec": SourceTargetTable.of_function(design.names, design.targets, score),
    }


def _ranking_lines(judgement: Judgement) -> Iterator[str]:
    measures = list(judgement.rows[0].means)
    rows = []
    for row in judgement.rows:
        cells = [
            _BLANK if math.isnan(row.means[name].mean) else str(row.means[name])
            for name in measures
        ]
        p = _BLANK if math.isnan(row.permutation_p) else f"{row.permutation_p:.3g}"
        low, high = row.without_one_source
        span = _BLANK if math.isnan(low) else f"{low:.2f} to {high:.2f}"
        name = markdown_text(row.name) + (" (rule)" if row.is_rule else "")
        rows.append([name, *cells, p, span])
    heads = ["score", *measures, "p of shuffles", "weighted tau without one source"]
    yield _table(heads, rows)
    yield ""
    yield from (f"- {markdown_text(warning)}." for warning in judgement.warnings)


def _correlation_lines(
    study: StudyFolder, results: StudyResults, tables: Mapping[str, SourceTargetTable]
) -> Iterator[str]:
    gains = results.matrix()
    if SCRATCH in results.sources:
        gains = results.transferability(SCRATCH).restrict(
            [source for source in results.sources if source != SCRATCH]
        )
    for name, table in tables.items():
        for correlation in correlations(gains, table):
            yield f"- {markdown_text(name)}: {correlation}"


def _distance_lines(study: StudyFolder) -> Iterator[str]:
    embeddings = study.embeddings()
    if not embeddings:
        return
    yield "\n## Distances of tasks (Task2Vec, cosine)\n"
    names = list(embeddings)
    table = SourceTargetTable.of_function(
        names, names, lambda one, other: distance(embeddings[one][0], embeddings[other][0])
    )
    yield _markdown(table, 3)
    floors = ", ".join(
        f"{markdown_text(name)} {floor:.3f}" for name, (_, floor) in embeddings.items()
    )
    yield f"\nThe noise floor (two disjoint draws of one dataset): {floors}."


def _protocol(study: StudyFolder) -> Iterator[str]:
    settings = study.settings
    design, tuning = settings.study, settings.fine_tuning
    yield "\n## How it was made\n"
    yield (
        f"- {settings.backbone['name']}, all layers, on"
        f" {count_text(design.folds, 'folds')} of each target, the same for all sources;"
        f" {count_text(len(design.seeds), 'seeds')}."
    )
    for name, training in (("sources", settings.source_training), ("fine-tuning", tuning)):
        stop = f", stopped after {training.patience} epochs" if training.patience else ""
        yield (
            f"- {name}: {count_text(training.epochs, 'epochs')} of Adam at {training.lr:g}"
            f" ({training.schedule}), {training.batch_size} images a step{stop}; augmentation:"
            f" {_yes(training.augment)}; class weights: {_yes(training.class_weights)}."
        )
    renewed = f"renewed on {design.renew} training images" if design.renew else "kept as trained"
    yield f"- BatchNorm's statistics before scoring: {renewed}."


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"


# -- CSV -------------------------------------------------------------------------------------------


def _cells_csv(study: StudyFolder) -> str:
    rows = []
    for pair, record in study.pairs():
        key = [cell_of_text(pair.source), cell_of_text(pair.target), pair.fold, pair.seed]
        if record is None:
            continue
        for kind in ("metrics", "scores"):
            for name, score in record[kind].items():
                value = "" if score["value"] is None else repr(score["value"])
                rows.append([*key, kind[:-1], name, value, score.get("reason", "")])
    heads = ["source", "target", "fold", "seed", "kind", "name", "value", "reason"]
    return _csv([heads, *rows])


def _matrix_csv(results: StudyResults) -> str:
    matrix = results.matrix()
    rows = [
        [cell_of_text(source), *("" if math.isnan(value) else repr(float(value)) for value in row)]
        for source, row in zip(matrix.sources, matrix.values, strict=True)
    ]
    return _csv([["source", *map(cell_of_text, matrix.targets)], *rows])


def _csv(rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()
