"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError
from torchcross.records import Means, Records
from torchcross.report.across_section import across_section
from torchcross.report.beyond_section import beyond_section
from torchcross.report.by_class import ImageResults, by_class_section
from torchcross.report.examples import examples_section
from torchcross.report.headline_html import headline_table, table_links
from torchcross.report.html import data_link, nested_values, note, prose, sortable_table, warning
from torchcross.report.inputs import Curve, Example, Failure, PageTable
from torchcross.report.interval_words import is_over_images
from torchcross.report.markup import Markup, element, join
from torchcross.report.numbers import shots_title
from torchcross.report.page_frame import PageSection, page_section, page_text
from torchcross.report.published import Points, published_points
from torchcross.report.same_tables import with_same_tables
from torchcross.report.sections import (
    curves_section,
    episodes_section,
    failures_table,
    shots_section,
    undefined_values,
)
from torchcross.report.summary import Chance, Summary, TableOptions, summarise
from torchcross.statistics.split_errors import OVER_SPLIT
from torchcross.statistics.within_target import ONE_NUMBER

_OVERLAP = (
    "Intervals are over episodes. Where episodes share images, as they do unless the protocol says"
    " that they are disjoint, the intervals understate what is not known about the task itself."
)
_NO_INTERVALS = (
    "This page shows means as they were given, without the scores of single episodes: no mean has"
    " an interval, nothing is paired by episode, and all tests are across targets."
)
_NOTHING_SCORED = (
    "Nothing was scored: there are no rows, and no table. What failed stands below with its reason."
)


@dataclass(frozen=True)
class _Extras:
    """What the page shows beside the rows."""

    curves: Sequence[Curve]
    examples: Sequence[Example]
    failures: Sequence[Failure]
    warnings: Sequence[str]
    choices: Mapping[str, str]
    chance: Chance | None
    images: ImageResults | None
    tables: Sequence[PageTable]
    of_episodes: Summary | None = None


def write_report(
    table: Records | Means,
    out: str | Path,
    *,
    title: str,
    protocol: Mapping[str, Any],
    provenance: Mapping[str, Any],
    curves: Sequence[Curve] = (),
    examples: Sequence[Example] = (),
    failures: Sequence[Failure] = (),
    choices: Mapping[str, str] | None = None,
    published: Mapping[str, Points] | None = None,
    warnings: Sequence[str] = (),
    related: Iterable[Collection[str]] = (),
    images: ImageResults | None = None,
    tables: Sequence[PageTable] = (),
    **options: Unpack[TableOptions],
) -> Path:
    """Write the page under `out`, whole or not at all, and return its path.

    `metric` comes first (by default "auroc", else the first of the rows), the others follow. All
    `options` are those of the tables (see `latex_table`). `margin` is a difference that is too
    small to matter, in the unit of the leading metric: with it every tie has a test of equivalence,
    and every pair its probability of being equivalent across targets. `related` are sets of targets
    that share subjects: they are not independent, and the page says so. `warnings` stand above the
    results, `tables` are sections of their own before the protocol.

    `published` has the points of a published protocol by its name, each with the texts `point`,
    `published`, `here` and `setting`.

    `choices` say in words what can be disputed in the protocol and what was chosen ("episodes of a
    target": "overlap: ..."), the most important first: that one stands under the results too. With
    `failures` the table may be empty.

    `images` has results by class and subgroup. `Means`, such as a published table, give the table
    and the comparison across targets. Curves, examples, failures and images belong to records.
    """
    path = _checked_path(out)
    chance = options.get("chance")
    extras = _Extras(curves, examples, failures, warnings, choices or {}, chance, images, tables)
    related = [set(targets) for targets in related]
    if isinstance(table, Means):
        _check_extras_of_means(extras, options.get("metric") in (None, table.metric))
        summary = summarise(table, related=related, **options)
        facts, sections = _facts_of_means(summary), _sections_of_means(summary, extras)
    elif not len(table) and failures:
        facts, sections = {"rows": 0, "failures": len(failures)}, _sections_of_nothing(extras)
    else:
        summary = summarise(table, related=related, **options)
        if is_over_images(summary):
            narrow = options.copy()
            narrow["draws"] = None
            # The means are the same, and so is all that is said across targets.
            of_episodes = summarise(table, related=related, across=summary.across, **narrow)
            extras = replace(extras, of_episodes=of_episodes)
        others = _other_summaries(table, summary.metric, related, options)
        facts = _facts(table, summary, failures)
        sections = _sections_of_records(table, summary, others, extras)
    sections += map(_table_section, extras.tables)
    compared = published_points(published or {})
    sections += _settings_sections(protocol, provenance, extras.choices, compared)
    if isinstance(table, Records) and len(table):
        sections.append(page_section("download", "Rows", "The rows", _download(table)))
    write_whole(path, page_text(title, facts, sections))
    return path


def _checked_path(out: str | Path) -> Path:
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"a report is an HTML file, and {str(path)!r} has another ending; give a name such as"
            " report.html"
        )
    return path


def _check_extras_of_means(extras: _Extras, is_its_metric: bool) -> None:
    if extras.curves or extras.examples or extras.failures or not is_its_metric:
        raise InputError(
            "a table of Means has no rows: leave curves, examples and failures out, and name the"
            " metric in Means(..., metric=...)"
        )


def _other_summaries(
    records: Records, metric: str, related: Sequence[Collection[str]], options: TableOptions
) -> list[Summary]:
    """Those of the metrics that do not lead the page. A margin is in the unit of the first one."""
    summaries = []
    for name in records.unique("metric"):
        if name != metric:
            own = options.copy()
            own["metric"], own["margin"] = str(name), None
            summaries.append(summarise(records, related=related, **own))
    return summaries


# -- sections --------------------------------------------------------------------------------------


def _sections_of_records(
    records: Records, summary: Summary, others: Sequence[Summary], extras: _Extras
) -> list[PageSection]:
    series = {str(name): place for place, name in enumerate(records.unique("algorithm"))}
    results = _results(summary, others, series, extras)
    strips = episodes_section(summary, series)
    beyond = beyond_section(records, summary, series, extras.chance)
    sections = [
        page_section("results", "Results", "Results", *results),
        page_section("across", "Across targets", "Across targets", across_section(summary, series)),
        page_section("beyond", "Beyond the mean", "Beyond the mean", beyond),
        page_section("shots", "Shots", "Score against shots", shots_section(summary, series)),
        page_section("episodes", "Episodes", "Episodes of each target", strips),
        *_by_class(extras.images),
        *_curves(extras.curves, series),
    ]
    if extras.examples:
        examples = examples_section(extras.examples, series)
        sections.append(page_section("examples", "Examples", "Example episodes", *examples))
    missing = _missing(records, summary, extras.failures)
    return [*sections, page_section("missing", "Missing", "What is missing", *missing)]


def _sections_of_means(summary: Summary, extras: _Extras) -> list[PageSection]:
    series = {name: place for place, name in enumerate(summary.algorithms)}
    results = [
        *map(warning, extras.warnings),
        note(_NO_INTERVALS),
        headline_table(summary, series),
        table_links(summary),
    ]
    return [
        page_section("results", "Results", "Results", *results),
        page_section("across", "Across targets", "Across targets", across_section(summary, series)),
    ]


def _sections_of_nothing(extras: _Extras) -> list[PageSection]:
    results = map(warning, (*extras.warnings, _NOTHING_SCORED))
    failures = failures_table(extras.failures)
    return [
        page_section("results", "Results", "Results", *results),
        *_curves(extras.curves, {}),
        page_section("missing", "Missing", "What is missing", failures),
    ]


def _by_class(images: ImageResults | None) -> list[PageSection]:
    if images is None:
        return []
    title = "By class and subgroup"
    return [page_section("by-class", "By class", title, by_class_section(images))]


def _curves(curves: Sequence[Curve], series: Mapping[str, int]) -> list[PageSection]:
    if not curves:
        return []
    title = "Learning curves"
    return [page_section("curves", title, title, curves_section(curves, series))]


def _results(
    summary: Summary, others: Sequence[Summary], series: Mapping[str, int], extras: _Extras
) -> Iterator[Markup]:
    failures = extras.failures
    if failures:
        count = f"{len(failures)} {'part' if len(failures) == 1 else 'parts'} of the study failed: "
        yield warning(count, element("a", "what is missing", href="#missing"), ".")
    yield from map(warning, extras.warnings)
    (_, same), *folded = with_same_tables([summary, *others])
    yield headline_table(summary, series, failures)
    if same:
        yield note(f"Every number and mark is the same for {', '.join(same)}.")
    yield from map(note, summary.remarks)
    if summary.unpaired:
        places = ", ".join(f"{target} at {shots_title(k)}" for target, k in summary.unpaired)
        yield warning(
            f"Not the same episodes: {places}. In these rows nothing is paired or tested, and no"
            " best is marked; each interval is of one algorithm alone."
        )
    if extras.choices:
        yield _most_disputed(extras.choices)
    elif not {ONE_NUMBER, OVER_SPLIT} & {*summary.common} and not is_over_images(summary):
        yield note(_OVERLAP)
    yield table_links(summary)
    if extras.of_episodes is not None:
        yield element(
            "details",
            element("summary", "The same table with intervals over episodes of these images"),
            headline_table(extras.of_episodes, series, failures),
            table_links(extras.of_episodes),
        )
    for other, same in folded:
        titles = ", ".join([other.notation.title, *same])
        yield element(
            "details",
            element("summary", f"The same table of {titles}"),
            headline_table(other, series, failures),
            table_links(other),
        )


def _most_disputed(choices: Mapping[str, str]) -> Markup:
    """The choice that matters most for the numbers."""
    name, text = next(iter(choices.items()))
    link = element("a", "what else can be disputed, and what was chosen", href="#protocol")
    return note(prose(f"{name[:1].upper()}{name[1:]}: {text} ("), link, ")")


def _table_section(table: PageTable) -> PageSection:
    parts = [element("p", prose(text), class_="legend") for text in table.texts]
    content = sortable_table(table.caption, table.columns, table.rows)
    return page_section(table.identifier, table.title, table.title, *parts, content)


def _settings_sections(
    protocol: Mapping[str, Any],
    provenance: Mapping[str, Any],
    choices: Mapping[str, str],
    compared: Sequence[Markup],
) -> list[PageSection]:
    disputed = []
    if choices:
        pairs = []
        for name, text in choices.items():
            pairs += [element("dt", name), element("dd", prose(text))]
        disputed = [
            element("h3", "What can be disputed, and what was chosen"),
            element("dl", *pairs, class_="choices"),
        ]
    disputed += compared
    if disputed:
        disputed.append(element("h3", "In full"))
    return [
        page_section("protocol", "Protocol", "Protocol", *disputed, nested_values(protocol)),
        page_section("provenance", "Provenance", "Provenance", nested_values(provenance)),
    ]


def _missing(records: Records, summary: Summary, failures: Sequence[Failure]) -> Iterator[Markup]:
    yield failures_table(failures) if failures else element("p", "Nothing failed.")
    if np.isnan(records.columns["value"]).any():
        yield undefined_values(records)
    else:
        yield element("p", "No value is undefined.")
    if summary.notes:
        items = element("ul", *(element("li", text) for text in summary.notes))
        title = f"Remarks on the comparisons: {len(summary.notes)}"
        yield element("details", element("summary", title), items)


# -- facts and rows --------------------------------------------------------------------------------


def _facts(records: Records, summary: Summary, failures: Sequence[Failure]) -> dict[str, object]:
    scored = {target.name for target in summary.targets}
    failed = {failure.target for failure in failures if failure.target} - scored
    return {
        "targets": f"{len(scored)} of {len(scored | failed)}" if failed else len(scored),
        "domains": len(summary.domains),
        "algorithms": len(summary.algorithms),
        "shots": ", ".join(map(str, summary.shots)),
        "training seeds": len(records.unique("seed")),
        "rows": f"{len(records):,}",
    }


def _facts_of_means(summary: Summary) -> dict[str, object]:
    domains = {"domains": len(summary.domains)} if summary.has_domains else {}
    return {"targets": len(summary.targets), **domains, "algorithms": len(summary.algorithms)}


def _download(records: Records) -> Markup:
    """The rows as `Records.write` writes them, compressed; `read_records` reads every bit back."""
    with tempfile.TemporaryDirectory() as folder:
        plain = records.write(Path(folder) / "rows.csv").read_bytes()
    packed = gzip.compress(plain, 6, mtime=0)
    name, media_type = "rows.csv.gz", "application/gzip"
    link = data_link("Download the rows as CSV", packed, name, media_type, id="rows")
    # In base64 three bytes take four characters.
    sizes = f"{_size(len(plain))}; in this page they take {_size(len(packed) * 4 // 3)}."
    fields = ", ".join(records.columns)
    return join(
        [
            element("p", link),
            element("p", f"{len(records):,} rows, {sizes}", class_="soft"),
            element(
                "p",
                f"One row per episode and metric: {fields}. NaN values have their reason.",
                class_="soft",
            ),
        ]
    )


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
