"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError
from torchcross.records import Means, Records
from torchcross.report.examples import examples_section
from torchcross.report.headline import headline_table, table_links
from torchcross.report.html import data_link, note, prose, tree, warning
from torchcross.report.inputs import Curve, Example, Failure
from torchcross.report.markup import Markup, element, join
from torchcross.report.means import means_links, means_table
from torchcross.report.numbers import metric_title
from torchcross.report.page_frame import Part, page_text, part
from torchcross.report.sections import (
    across_section,
    across_table,
    curves_section,
    failures_section,
    shots_section,
    strips_section,
    undefined_section,
)
from torchcross.report.summary import Episodes, Summary, summarise
from torchcross.report.tables import shots_title
from torchcross.statistics import across_targets
from torchcross.statistics.within_target import ONE_NUMBER

__all__ = ["write_report"]

_OVERLAP = (
    "Intervals are over episodes. Where episodes share images, as they do unless the protocol says"
    " that they are disjoint, they understate what is not known about the task itself."
)
_NO_INTERVALS = (
    "This is a page of means as they were given, without the scores of single episodes: no mean has"
    " an interval here, nothing is paired by episode, and what follows speaks of the targets only."
)


@dataclass(frozen=True)
class _Beside:
    """What is shown beside the rows."""

    curves: Sequence[Curve]
    examples: Sequence[Example]
    failures: Sequence[Failure]
    warnings: Sequence[str]
    choices: Mapping[str, str]


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
    warnings: Sequence[str] = (),
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    related: Iterable[Collection[str]] = (),
    episodes: Episodes | None = None,
) -> Path:
    """Write the page under `out`, whole or not at all, and return its path.

    `metric` leads (by default "auroc", else the first of the rows), the others follow. `related`
    are sets of targets that share subjects: they are not independent, and the page says so.
    `method` and `level` are those of `within_target`. `choices` say in words what can be disputed
    in the protocol and what was chosen ("episodes of a target": "overlap: ..."), the most important
    first: that one stands under the results too. `warnings` stand above them. With `failures` the
    table may be empty. `episodes` says which episodes were scored, by any text for each (algorithm,
    target, shots): where it differs nothing is paired, no best is marked, and the page says so.

    `Means`, such as a published table, give the table, what may be said across targets, and nothing
    of episodes; curves, examples and failures belong to rows.
    """
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"a report is an HTML file, and {str(path)!r} is named otherwise; give a name such as"
            " report.html"
        )
    ending = list(_protocol_parts(protocol, provenance, choices or {}))
    beside = _Beside(curves, examples, failures, warnings, choices or {})
    related = [set(one) for one in related]
    if isinstance(table, Means):
        if curves or examples or failures or metric not in (None, table.metric):
            raise InputError(
                "a table of Means has no rows: leave curves, examples and failures out, and name"
                " the metric in Means(..., metric=...)"
            )
        facts, parts = _of_means(table, warnings, level, related)
    elif not len(table) and failures:
        facts, parts = {"rows": 0, "failures": len(failures)}, _of_nothing(beside)
    else:
        said = partial(
            summarise, table, level=level, method=method, related=related, episodes=episodes
        )
        summary = said(metric=metric)
        others = [
            said(metric=str(name)) for name in table.unique("metric") if name != summary.metric
        ]
        facts, parts = _facts(table, summary, failures), _of_rows(table, summary, others, beside)
        ending.append(part("download", "Rows", "The rows", _download(table)))
    write_whole(path, page_text(title, facts, [*parts, *ending]))
    return path


def _of_rows(
    records: Records, summary: Summary, others: Sequence[Summary], beside: _Beside
) -> list[Part]:
    series = {str(name): place for place, name in enumerate(records.unique("algorithm"))}
    parts = [
        part("results", "Results", "Results", *_results(summary, others, series, beside)),
        part("across", "Across targets", "Across targets", across_section(summary, series)),
        part("shots", "Shots", "Score against shots", shots_section(summary, series)),
        part("episodes", "Episodes", "Episodes of each target", strips_section(summary, series)),
    ]
    if beside.curves:
        parts.append(
            part(
                "curves",
                "Learning curves",
                "Learning curves",
                curves_section(beside.curves, series),
            )
        )
    if beside.examples:
        parts.append(
            part(
                "examples",
                "Examples",
                "Example episodes",
                *examples_section(beside.examples, series),
            )
        )
    return [
        *parts,
        part("missing", "Missing", "What is missing", *_missing(records, summary, beside.failures)),
    ]


def _of_means(
    means: Means, warnings: Sequence[str], level: float, related: Sequence[Collection[str]]
) -> tuple[Mapping[str, object], list[Part]]:
    series = {name: place for place, name in enumerate(means.algorithms)}
    across = across_targets(means, related=related, level=level) if len(series) > 1 else None
    compared = (
        note("One algorithm: there is nothing to compare, and no diagram.")
        if across is None
        else across_table(across, "", series)
    )
    domains = {"domains": len(set(means.domains))} if any(means.domains) else {}
    facts = {"targets": len(means.targets), **domains, "algorithms": len(means.algorithms)}
    shown = [note(_NO_INTERVALS), means_table(means, across, series), means_links(means)]
    return facts, [
        part("results", "Results", "Results", *map(warning, warnings), *shown),
        part("across", "Across targets", "Across targets", compared),
    ]


def _of_nothing(beside: _Beside) -> list[Part]:
    nothing = warning(
        "Nothing was scored: there are no rows, and no table. What failed stands below with its"
        " reason."
    )
    parts = [part("results", "Results", "Results", *map(warning, beside.warnings), nothing)]
    if beside.curves:
        parts.append(
            part("curves", "Learning curves", "Learning curves", curves_section(beside.curves, {}))
        )
    return [
        *parts,
        part("missing", "Missing", "What is missing", failures_section(beside.failures)),
    ]


def _results(
    summary: Summary, others: Sequence[Summary], series: Mapping[str, int], beside: _Beside
) -> Iterator[Markup]:
    failures = beside.failures
    if failures:
        count = f"{len(failures)} {'part' if len(failures) == 1 else 'parts'} of the study failed: "
        yield warning(count, element("a", "what is missing", href="#missing"), ".")
    yield from map(warning, beside.warnings)
    yield headline_table(summary, series, failures)
    yield from map(note, summary.remarks)
    if summary.unpaired:
        yield warning(_unpaired(summary))
    if beside.choices or ONE_NUMBER not in summary.common:
        yield _remark(beside.choices)
    yield table_links(summary)
    for other in others:
        yield element(
            "details",
            element("summary", f"The same table of {metric_title(other.metric)}"),
            headline_table(other, series, failures),
            table_links(other),
        )


def _unpaired(summary: Summary) -> str:
    places = ", ".join(f"{target} at {shots_title(shots)}" for target, shots in summary.unpaired)
    return (
        f"Not the same episodes: {places}. There nothing is paired, nothing is tested, and no best"
        " is marked; the intervals stand alone."
    )


def _remark(choices: Mapping[str, str]) -> Markup:
    """What is most important to know of the numbers."""
    if not choices:
        return note(_OVERLAP)
    name, text = next(iter(choices.items()))
    link = element("a", "what else can be disputed, and what was chosen", href="#protocol")
    return note(prose(f"{name[:1].upper()}{name[1:]}: {text} ("), link, ")")


def _protocol_parts(
    protocol: Mapping[str, Any], provenance: Mapping[str, Any], choices: Mapping[str, str]
) -> Iterator[Part]:
    disputed = []
    if choices:
        pairs = [
            piece
            for name, text in choices.items()
            for piece in (element("dt", name), element("dd", prose(text)))
        ]
        disputed = [
            element("h3", "What can be disputed, and what was chosen"),
            element("dl", *pairs, class_="choices"),
            element("h3", "In full"),
        ]
    yield part("protocol", "Protocol", "Protocol", *disputed, tree(protocol))
    yield part("provenance", "Provenance", "Provenance", tree(provenance))


def _missing(records: Records, summary: Summary, failures: Sequence[Failure]) -> Iterator[Markup]:
    yield failures_section(failures) if failures else element("p", "Nothing failed.")
    if np.isnan(records.columns["value"]).any():
        yield undefined_section(records)
    else:
        yield element("p", "No value is undefined.")
    if summary.notes:
        listed = element("ul", *(element("li", text) for text in summary.notes))
        title = f"Remarks on the comparisons: {len(summary.notes)}"
        yield element("details", element("summary", title), listed)


def _facts(records: Records, summary: Summary, failures: Sequence[Failure]) -> dict[str, object]:
    scored = {target.name for target in summary.targets}
    lost = {failure.target for failure in failures if failure.target} - scored
    return {
        "targets": f"{len(scored)} of {len(scored | lost)}" if lost else len(scored),
        "domains": len(summary.domains),
        "algorithms": len(summary.algorithms),
        "shots": ", ".join(map(str, summary.shots)),
        "training seeds": len(records.unique("seed")),
        "rows": f"{len(records):,}",
    }


def _download(records: Records) -> Markup:
    """The rows as `Records.write` writes them, compressed; `read_records` reads them back to the
    bit.
    """
    with tempfile.TemporaryDirectory() as folder:
        plain = records.write(Path(folder) / "rows.csv").read_bytes()
    packed = gzip.compress(plain, 6, mtime=0)
    link = data_link(
        "Download the rows as CSV", packed, "rows.csv.gz", "application/gzip", id="rows"
    )
    said = (
        f"{len(records):,} rows, {_size(len(plain))}; in this page they take"
        f" {_size(len(packed) * 4 // 3)}."
    )
    fields = ", ".join(records.columns)
    columns = f"One row per episode and metric: {fields}. NaN values have their reason."
    return join(
        [
            element("p", link),
            element("p", said, class_="soft"),
            element("p", columns, class_="soft"),
        ]
    )


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
