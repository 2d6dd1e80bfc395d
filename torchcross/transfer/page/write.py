"""The page of a study: one HTML file that needs nothing beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from torchcross._kit.whole_files import write_whole
from torchcross.report.html import prose
from torchcross.report.markup import Markup, element
from torchcross.report.page_frame import PageSection, page_section, page_text
from torchcross.report.page_sections import settings_sections, table_section
from torchcross.transfer.page.analysis import StudyAnalysis
from torchcross.transfer.page.contents import StudyContents
from torchcross.transfer.page.distance_section import distance_section
from torchcross.transfer.page.downloads import download_section
from torchcross.transfer.page.ranking_section import ranking_section
from torchcross.transfer.page.result_section import answer, result_section
from torchcross.transfer.page.target_section import target_section
from torchcross.transfer.page.task_section import task_section
from torchcross.transfer.page.words import metric_words

STUDY_PAGE = "report.html"


def write_study_page(contents: StudyContents, path: str | Path) -> str:
    """Write the page, whole or not at all, and return its answer."""
    return write_analysis(StudyAnalysis(contents), path)


def write_analysis(analysis: StudyAnalysis, path: str | Path) -> str:
    """The same from numbers that are computed already."""
    contents = analysis.contents
    write_whole(Path(path), page_text(contents.title, _facts(analysis), list(_sections(analysis))))
    return answer(analysis)


def _facts(analysis: StudyAnalysis) -> dict[str, object]:
    results, setups = analysis.contents.results, analysis.contents.setups
    folds = len(results.folds) if "fold" in setups else "not known"
    seeds = len(results.seeds) if "seed" in setups else "not known"
    pairs = analysis.matrix.values.size - len(analysis.matrix.missing)
    return {
        "sources": len(results.sources),
        "targets": len(results.targets),
        "pairs": pairs,
        "folds": folds,
        "training seeds": seeds,
        "metric": metric_words(analysis.contents),
    }


def _sections(analysis: StudyAnalysis) -> Iterator[PageSection]:
    contents = analysis.contents
    yield page_section("results", "Results", "Results", *result_section(analysis))
    yield from map(table_section, contents.tables)
    if contents.notes:
        title = "Notes on the publication"
        yield page_section("notes", "Notes", title, *_notes(contents.notes))
    title = "How well scores rank the sources"
    yield page_section("rankings", "Rankings", title, *ranking_section(analysis))
    title = "Distances, scores and gains"
    yield page_section("distances", "Distances", title, *distance_section(analysis))
    if contents.tasks:
        yield page_section("tasks", "Tasks", "How alike the tasks are", *task_section(contents))
    yield page_section("targets", "Targets", "Each target", *target_section(analysis))
    yield from settings_sections(contents.protocol, contents.provenance, {}, [])
    yield page_section("download", "Download", "The numbers", *download_section(analysis))


def _notes(text: str) -> Iterator[Markup]:
    """Paragraphs with blank lines between them; a heading begins with "# ", an item with "- "."""
    for block in text.replace("\r\n", "\n").split("\n\n"):
        lines = [line.strip() for line in block.strip().split("\n")]
        if lines[0].startswith("# "):
            yield element("h3", prose(lines.pop(0).removeprefix("# ")))
        items = _items(lines)
        if items:
            yield element("ul", *(element("li", prose(item)) for item in items))
        elif any(lines):
            yield element("p", prose(" ".join(lines)))


def _items(lines: list[str]) -> list[str]:
    """The items of a list, each with the lines that go on with it; none where it is no list."""
    items: list[str] = []
    for line in lines:
        if line.startswith("- "):
            items.append(line.removeprefix("- "))
        elif items:
            items[-1] += f" {line}"
        else:
            return []
    return items
