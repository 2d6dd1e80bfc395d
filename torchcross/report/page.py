"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

from torchcross._kit.whole_files import write_whole
from torchcross.errors import InputError
from torchcross.records import Means, Records
from torchcross.records.shots import shots_word
from torchcross.report.by_class import ImageResults
from torchcross.report.episode_answers import EpisodeAnswers
from torchcross.report.episode_pictures import PicturedRows
from torchcross.report.html import data_link
from torchcross.report.inputs import Curve, Example, Failure, PageTable
from torchcross.report.interval_words import is_over_images
from torchcross.report.markup import Markup, element, join
from torchcross.report.page_frame import PageSection, page_section, page_text
from torchcross.report.page_sections import (
    PageExtras,
    sections_of_means,
    sections_of_nothing,
    sections_of_records,
    settings_sections,
    table_section,
)
from torchcross.report.published import Points, published_points
from torchcross.report.summarise import summarise, with_all_labels
from torchcross.report.summary import Summary, TableOptions


def write_report(
    table: Records | Means,
    out: str | Path,
    *,
    title: str,
    protocol: Mapping[str, Any],
    provenance: Mapping[str, Any],
    curves: Sequence[Curve] = (),
    examples: Sequence[Example] = (),
    choices: Mapping[str, str] | None = None,
    published: Mapping[str, Points] | None = None,
    warnings: Sequence[str] = (),
    related: Iterable[Collection[str]] = (),
    images: ImageResults | None = None,
    tables: Sequence[PageTable] = (),
    unfinished: Sequence[str] = (),
    answers: Sequence[EpisodeAnswers] = (),
    pictures: PicturedRows = "leader",
    **options: Unpack[TableOptions],
) -> Path:
    """Write the page under `out`, whole or not at all, and return its path.

    `metric` comes first (by default "auroc", else the first of the rows), the others follow. All
    `options` are those of the tables (see `latex_table`). `margin` is a difference that is too
    small to matter, in the unit of the leading metric: with it every tie has a test of equivalence,
    and every pair its probability of being equivalent across targets. `related` are sets of targets
    that share subjects: they are not independent, and the page says so. `warnings` stand above the
    results, `tables` are sections of their own before the protocol. `unfinished` says what is still
    to be done, and `answers` are predictions of single episodes; `pictures`: of the "leader", of
    "all" rows or of "none" their images are shown. `published` has the points of a published
    protocol by its name, each with the texts `point`, `published`, `here`, `setting`.

    `choices` say in words what can be disputed in the protocol and what was chosen ("episodes of a
    target": "overlap: ..."), the most important first: that one stands under the results too. With
    `failures` the table may be empty.

    `images` has results by class and subgroup. `Means`, such as a published table, give the table
    and the comparison across targets. Curves, examples, failures and images belong to records.
    """
    path = _checked_path(out)
    if isinstance(table, Records):
        table = with_all_labels(table, options.get("ceilings", ()))
    extras = PageExtras(
        curves=curves,
        examples=examples,
        failures=options.get("failures", ()),
        warnings=warnings,
        choices=choices or {},
        chance=options.get("chance"),
        images=images,
        tables=tables,
        unfinished=unfinished,
        answers=answers,
        pictures=pictures,
    )
    related = [set(targets) for targets in related]
    if isinstance(table, Means):
        _check_extras_of_means(extras, options.get("metric") in (None, table.metric))
        summary = summarise(table, related=related, **options)
        facts, sections = _facts_of_means(summary), sections_of_means(summary, extras)
    elif not len(table) and extras.failures:
        facts, sections = {"rows": 0, "failures": len(extras.failures)}, sections_of_nothing(extras)
    else:
        facts, sections = _parts_of_records(table, related, options, extras)
    sections += map(table_section, extras.tables)
    compared = published_points(published or {})
    sections += settings_sections(protocol, provenance, extras.choices, compared)
    sections += _download_sections(table)
    write_whole(path, page_text(title, facts, sections))
    return path


def _parts_of_records(
    records: Records,
    related: Sequence[Collection[str]],
    options: TableOptions,
    extras: PageExtras,
) -> tuple[dict[str, object], list[PageSection]]:
    """What stands above all sections, and the sections."""
    summary = summarise(records, related=related, **options)
    if is_over_images(summary):
        narrow = options.copy()
        narrow["draws"] = None
        # The means are the same, and so is all that is said across targets.
        of_episodes = summarise(records, related=related, across=summary.across, **narrow)
        extras = replace(extras, of_episodes=of_episodes)
    others = _other_summaries(records, summary.metric, related, options)
    facts = _facts(records, summary, extras.failures)
    return facts, sections_of_records(records, summary, others, extras)


def _checked_path(out: str | Path) -> Path:
    path = Path(out)
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"a report is an HTML file, and {str(path)!r} has another ending; give a name such as"
            " report.html"
        )
    return path


def _check_extras_of_means(extras: PageExtras, is_its_metric: bool) -> None:
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


def _facts(records: Records, summary: Summary, failures: Sequence[Failure]) -> dict[str, object]:
    scored = {target.name for target in summary.targets}
    failed = {failure.target for failure in failures if failure.target} - scored
    return {
        "targets": f"{len(scored)} of {len(scored | failed)}" if failed else len(scored),
        "domains": len(summary.domains),
        "algorithms": len(summary.algorithms),
        "shots": ", ".join(str(shots_word(shots)) for shots in summary.shots if shots is not None),
        "training seeds": len(records.unique("seed")),
        "rows": f"{len(records):,}",
    }


def _facts_of_means(summary: Summary) -> dict[str, object]:
    domains = {"domains": len(summary.domains)} if summary.has_domains else {}
    return {"targets": len(summary.targets), **domains, "algorithms": len(summary.algorithms)}


def _download_sections(table: Records | Means) -> list[PageSection]:
    """None where there are no rows."""
    if not isinstance(table, Records) or not len(table):
        return []
    return [page_section("download", "Rows", "The rows", _download(table))]


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
