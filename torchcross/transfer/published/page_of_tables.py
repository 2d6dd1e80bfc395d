"""The page of a study from tables that somebody published."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchcross._kit.surroundings import installed_version
from torchcross.errors import InputError
from torchcross.metrics.reference_values import lower_is_better
from torchcross.transfer.page import (
    PAGE_TITLE,
    STUDY_PAGE,
    StudyContents,
    check_baseline,
    write_study_page,
)
from torchcross.transfer.published.extra_tables import files_of, with_tables
from torchcross.transfer.published.results_file import read_results, setups_in
from torchcross.transfer.source_target import position


def write_published_page(
    table: str | Path,
    out: str | Path,
    *,
    title: str | None = None,
    metric: str | None = None,
    baseline: str | None = None,
    largest: str | None = None,
    distances: Sequence[str | Path] = (),
    scores: Sequence[str | Path] = (),
    votes: str | Path | None = None,
    notes: str | Path | None = None,
) -> Path:
    """Write `report.html` of a table of published results, and return its path.

    table      CSV of the columns source, target, fold and seed where there are any, and a value
    metric     what the values are, by default the name of their column; larger is better
    baseline   what gains are over: a source, "self" for the source that is the target, "none"; by
               default the source "scratch" where there is one and the metric is never below 0
    largest    the largest source, which a simple rule always takes
    distances  CSV files: source, target, draw where there are several, a column for each distance
    scores     CSV files of the same columns: larger is better
    votes      CSV of the answers of observers: dataset, question, answer, votes
    notes      text: paragraphs with blank lines between them, headings that begin with "# "
    """
    contents = published_contents(
        table, title=title, metric=metric, baseline=baseline, largest=largest
    )
    contents = with_tables(contents, distances=distances, scores=scores, votes=votes, notes=notes)
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    write_study_page(contents, folder / STUDY_PAGE)
    return folder / STUDY_PAGE


def published_contents(
    table: str | Path,
    *,
    title: str | None = None,
    metric: str | None = None,
    baseline: str | None = None,
    largest: str | None = None,
) -> StudyContents:
    """What a page shows of the table alone; see `write_published_page`."""
    table = Path(table)
    results, column = read_results(table)
    name = column if metric is None else metric
    if lower_is_better(name):
        raise InputError(
            f"{name}: smaller is better; give a metric of which more is better, such as 1 - {name}"
        )
    base = check_baseline(baseline, results, name)
    if largest is not None:
        position("source", largest, results.sources)
    return StudyContents(
        title=title or f"{PAGE_TITLE}: {table.stem}",
        results=results,
        metric=name,
        baseline=base,
        largest=largest,
        setups=setups_in(table),
        protocol={
            "values": "as they are in the table; its publisher knows how they were made",
            "baseline": base or "none",
            "largest source": largest or "not given",
        },
        provenance={
            "packages": {
                "torchcross-fewshot": installed_version("torchcross-fewshot") or "not installed"
            },
            "files": files_of("table", [table]),
        },
    )
