"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import gzip
import tempfile
from base64 import b64encode
from collections.abc import Collection, Iterable, Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from torchcross._whole_files import write_whole
from torchcross.errors import InputError
from torchcross.evaluation import Records
from torchcross.report._examples import example_figure
from torchcross.report._headline import headline_table, table_links
from torchcross.report._html import data_link, note, section, tree, warning
from torchcross.report._markup import Markup, element, join
from torchcross.report._numbers import metric_title
from torchcross.report._sections import (
    across_section,
    curves_section,
    failures_section,
    shots_section,
    strips_section,
    undefined_section,
)
from torchcross.report._summary import Summary, summarise
from torchcross.report._values import Curve, Example, Failure

__all__ = ["write_report"]

_OVERLAP = (
    "Intervals are over episodes. Where episodes share images, as they do unless the protocol says that they are "
    "disjoint, they understate what is not known about the task itself."
)


def write_report(
    records: Records,
    out: str | Path,
    *,
    title: str,
    protocol: Mapping[str, Any],
    provenance: Mapping[str, Any],
    curves: Sequence[Curve] = (),
    examples: Sequence[Example] = (),
    failures: Sequence[Failure] = (),
    metric: str | None = None,
    level: float = 0.95,
    method: str = "t",
    related: Iterable[Collection[str]] = (),
) -> Path:
    """Write the page under `out`, whole or not at all, and return its path.

    `metric` leads (by default "auroc", else the first of the rows), the others follow. `related` are sets of targets
    that share subjects: they are not independent, and the page says so. `method` and `level` are those of
    `within_target`.
    """
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"a report is an HTML file, and {str(path)!r} is named otherwise; give a name such as report.html"
        )
    related = [set(one) for one in related]
    summary = summarise(records, metric=metric, level=level, method=method, related=related)
    others = [
        summarise(records, metric=str(name), level=level, method=method, related=related)
        for name in records.unique("metric")
        if name != summary.metric
    ]
    series = {str(name): place for place, name in enumerate(records.unique("algorithm"))}
    parts = [
        _results(summary, others, series, failures),
        section("across", "Across targets", across_section(summary, series)),
        section("shots", "Score against shots", shots_section(summary, series)),
        section("episodes", "Episodes of each target", strips_section(summary, series)),
        *([section("curves", "Learning curves", curves_section(curves, series))] if curves else []),
        *([section("examples", "Example episodes", *_examples(examples, series))] if examples else []),
        _missing(records, summary, failures),
        section("protocol", "Protocol", tree(protocol)),
        section("provenance", "Provenance", tree(provenance)),
        section("download", "The rows", _download(records)),
    ]
    write_whole(path, _page(title, _facts(records, summary), parts, bool(curves), bool(examples)))
    return path


def _results(
    summary: Summary, others: Sequence[Summary], series: Mapping[str, int], failures: Sequence[Failure]
) -> Markup:
    said = [note(f"{text[:1].upper()}{text[1:]}.") for text in summary.common]
    folded = [
        element(
            "details",
            element("summary", f"The same table of {metric_title(other.metric)}"),
            headline_table(other, series, failures),
            table_links(other),
        )
        for other in others
    ]
    count = f"{len(failures)} {'part' if len(failures) == 1 else 'parts'} of the study failed: "
    failed = [warning(count, element("a", "what is missing", href="#missing"), ".")] if failures else []
    return section(
        "results",
        "Results",
        *failed,
        headline_table(summary, series, failures),
        *said,
        note(_OVERLAP),
        table_links(summary),
        *folded,
    )


def _missing(records: Records, summary: Summary, failures: Sequence[Failure]) -> Markup:
    parts = [failures_section(failures) if failures else element("p", "Nothing failed.")]
    if np.isnan(records.columns["value"]).any():
        parts.append(undefined_section(records))
    else:
        parts.append(element("p", "No value is undefined."))
    if summary.notes:
        listed = element("ul", *(element("li", text) for text in summary.notes))
        title = f"Remarks on the comparisons: {len(summary.notes)}"
        parts.append(element("details", element("summary", title), listed))
    return section("missing", "What is missing", *parts)


def _examples(examples: Sequence[Example], series: Mapping[str, int]) -> list[Markup]:
    return [example_figure(example, series.get(example.algorithm, len(series))) for example in examples]


def _facts(records: Records, summary: Summary) -> Markup:
    counts = {
        "targets": len(summary.targets),
        "domains": len(summary.domains),
        "algorithms": len(summary.algorithms),
        "shots": ", ".join(map(str, summary.shots)),
        "training seeds": len(records.unique("seed")),
        "rows": f"{len(records):,}",
    }
    pairs = (element("div", element("dt", name), element("dd", str(count))) for name, count in counts.items())
    return element("dl", *pairs, class_="facts")


def _download(records: Records) -> Markup:
    """The rows as `Records.write` writes them, compressed; `read_records` reads them back to the bit."""
    with tempfile.TemporaryDirectory() as folder:
        plain = records.write(Path(folder) / "rows.csv").read_bytes()
    packed = gzip.compress(plain, 6, mtime=0)
    link = data_link("Download the rows as CSV", packed, "rows.csv.gz", "application/gzip", id="rows")
    said = f"{len(records):,} rows, {_size(len(plain))}; in this page they take {_size(len(packed) * 4 // 3)}."
    fields = ", ".join(records.columns)
    columns = f"One row per episode and metric: {fields}. NaN values have their reason."
    return join([element("p", link), element("p", said, class_="soft"), element("p", columns, class_="soft")])


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"


def _page(title: str, facts: Markup, parts: Sequence[Markup], has_curves: bool, has_examples: bool) -> str:
    style, script = _asset("report.css"), _asset("report.js")
    # Nothing is fetched and no script runs but this one, whatever a name in the rows holds.
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", style),
    )
    links = {
        "results": "Results",
        "across": "Across targets",
        "shots": "Shots",
        "episodes": "Episodes",
        **({"curves": "Learning curves"} if has_curves else {}),
        **({"examples": "Examples"} if has_examples else {}),
        "missing": "Missing",
        "protocol": "Protocol",
        "provenance": "Provenance",
        "download": "Rows",
    }
    listed = (element("li", element("a", name, href=f"#{place}")) for place, name in links.items())
    body = element(
        "body",
        element("header", element("div", element("h1", title), facts), _themes()),
        element("nav", element("ul", *listed), aria_label="Sections"),
        element("main", *parts),
        element("p", "", id="status", class_="hidden", role="status"),
        element("script", script),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _themes() -> Markup:
    choices = (
        element(
            "label",
            element("input", type="radio", name="theme", value=value, checked=value == "auto"),
            element("span", name),
        )
        for value, name in (("auto", "Auto"), ("light", "Light"), ("dark", "Dark"))
    )
    return element("fieldset", element("legend", "Colours", class_="hidden"), *choices, class_="themes")


def _asset(name: str) -> Markup:
    return Markup(files("torchcross.report").joinpath("assets", name).read_text(encoding="utf-8"))


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")
