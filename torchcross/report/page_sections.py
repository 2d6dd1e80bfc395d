"""The sections of a report, in their order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchcross.records import Records
from torchcross.report.across_section import across_section
from torchcross.report.backbone_axis import has_backbones
from torchcross.report.backbones_section import backbones_section
from torchcross.report.beyond_section import beyond_section
from torchcross.report.by_class import ImageResults, by_class_section
from torchcross.report.calibration import calibration_section
from torchcross.report.episode_answers import EpisodeAnswers
from torchcross.report.episode_picks import picked_episodes
from torchcross.report.episode_pictures import PicturedRows, picture_shares
from torchcross.report.examples import examples_section
from torchcross.report.headline_html import headline_table, table_links
from torchcross.report.html import nested_values, note, prose, sortable_table, warning
from torchcross.report.inputs import Curve, Example, Failure, PageTable
from torchcross.report.interval_words import is_over_images
from torchcross.report.leaderboard import answer_box, card_legend, leaderboard
from torchcross.report.markup import Markup, element
from torchcross.report.numbers import shots_title
from torchcross.report.page_frame import PageSection, folded_section, page_section
from torchcross.report.same_tables import with_same_tables
from torchcross.report.sections import (
    curves_section,
    episode_places,
    episodes_section,
    failures_table,
    shots_section,
    undefined_values,
)
from torchcross.report.summary import Chance, Summary
from torchcross.statistics.split_errors import OVER_SPLIT
from torchcross.statistics.within_target import ONE_NUMBER

_NO_INTERVALS = (
    "This page shows means as they were given, without the scores of single episodes: no mean has"
    " an interval, nothing is paired by episode, and all tests are across targets."
)
_OVERLAP = (
    "Intervals are over episodes. Where episodes share images, as they do unless the protocol says"
    " that they are disjoint, the intervals understate what is not known about the task itself."
)
_NOTHING_SCORED = (
    "Nothing was scored: there are no rows, and no table. What failed stands below with its reason."
)


@dataclass(frozen=True)
class PageExtras:
    """What the page shows beside the rows."""

    curves: Sequence[Curve]
    examples: Sequence[Example]
    failures: Sequence[Failure]
    warnings: Sequence[str]
    choices: Mapping[str, str]
    chance: Chance | None
    images: ImageResults | None
    tables: Sequence[PageTable]
    unfinished: Sequence[str] = ()
    answers: Sequence[EpisodeAnswers] = ()
    pictures: PicturedRows = "leader"
    of_episodes: Summary | None = None


def sections_of_records(
    records: Records, summary: Summary, others: Sequence[Summary], extras: PageExtras
) -> list[PageSection]:
    series = {str(name): place for place, name in enumerate(records.unique("algorithm"))}
    results = _results(summary, others, series, extras)
    picks = picked_episodes(records, summary.metric)
    shares = picture_shares(summary, extras.answers, extras.pictures)
    strips = episodes_section(summary, series, picks, extras.answers, shares)
    beyond = beyond_section(records, summary, series, extras.chance)
    sections = [
        page_section("results", "Results", "Results", *results),
        page_section("across", "Across targets", "Across targets", across_section(summary, series)),
        folded_section("beyond", "Beyond the mean", "Beyond the mean", beyond),
        _shots(summary, series),
        folded_section("episodes", "Episodes", "Episodes of each target", strips),
        *_by_class(extras.images),
        *_curves(extras.curves, series),
    ]
    if extras.examples:
        examples = examples_section(extras.examples, series)
        sections.append(folded_section("examples", "Examples", "Example episodes", *examples))
    missing = _missing(records, summary, extras)
    return [*sections, page_section("missing", "Missing", "What is missing", *missing)]


def _shots(summary: Summary, series: Mapping[str, int]) -> PageSection:
    """Scores against shots; of several backbones, with a plot for each of them and each head."""
    if has_backbones(summary):
        title = "Backbones, heads and shots"
        return page_section("backbones", "Backbones", title, backbones_section(summary))
    content = shots_section(summary, series)
    return page_section("shots", "Shots", "Score against shots", content)


def sections_of_means(summary: Summary, extras: PageExtras) -> list[PageSection]:
    series = {name: place for place, name in enumerate(summary.algorithms)}
    results = [
        answer_box(summary),
        *map(warning, extras.warnings),
        note(_NO_INTERVALS),
        leaderboard(summary, series),
        card_legend(summary),
        headline_table(summary, series),
        table_links(summary),
    ]
    return [
        page_section("results", "Results", "Results", *results),
        page_section("across", "Across targets", "Across targets", across_section(summary, series)),
    ]


def sections_of_nothing(extras: PageExtras) -> list[PageSection]:
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
    calibration = calibration_section(images.calibrations, images.absent)
    return [
        folded_section("by-class", "By class", title, by_class_section(images)),
        folded_section("calibration", "Calibration", "Calibration", calibration),
    ]


def _curves(curves: Sequence[Curve], series: Mapping[str, int]) -> list[PageSection]:
    if not curves:
        return []
    title = "Learning curves"
    return [folded_section("curves", title, title, curves_section(curves, series))]


def _results(
    summary: Summary, others: Sequence[Summary], series: Mapping[str, int], extras: PageExtras
) -> Iterator[Markup]:
    failures = extras.failures
    yield answer_box(summary)
    if failures:
        count = f"{len(failures)} {'part' if len(failures) == 1 else 'parts'} of the study failed: "
        yield warning(count, element("a", "what is missing", href="#missing"), ".")
    yield from map(warning, extras.warnings)
    (_, same), *folded = with_same_tables([summary, *others])
    yield leaderboard(summary, series)
    yield card_legend(summary)
    yield headline_table(summary, series, episode_places(summary))
    if same:
        yield note(f"Every number and mark is the same for {', '.join(same)}.")
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
            headline_table(extras.of_episodes, series),
            table_links(extras.of_episodes),
        )
    for other, same in folded:
        titles = ", ".join([other.notation.title, *same])
        yield element(
            "details",
            element("summary", f"The same table of {titles}"),
            headline_table(other, series),
            table_links(other),
            *_remarks_on(other, titles, summary),
        )


def _remarks_on(summary: Summary, titles: str, lead: Summary) -> Iterator[Markup]:
    """Of a table that does not lead: why it has no best, and what was left out."""
    texts = [text for text in (*summary.remarks, *summary.notes) if text not in lead.remarks]
    if texts:
        items = element("ul", *(element("li", text) for text in texts))
        title = f"Remarks on the comparisons of {titles}: {len(texts)}"
        yield element("details", element("summary", title), items)


def _most_disputed(choices: Mapping[str, str]) -> Markup:
    """The choice that matters most for the numbers."""
    name, text = next(iter(choices.items()))
    link = element("a", "what else can be disputed, and what was chosen", href="#protocol")
    return note(prose(f"{name[:1].upper()}{name[1:]}: {text} ("), link, ")")


def table_section(table: PageTable) -> PageSection:
    parts = [element("p", prose(text), class_="legend") for text in table.texts]
    parts += [] if table.figure is None else [table.figure]
    parts.append(sortable_table(table.caption, table.columns, table.rows))
    make_section = folded_section if table.figure is None else page_section
    return make_section(table.identifier, table.title, table.title, *parts)


def settings_sections(
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
    settings = _dump("All settings and facts of the protocol", protocol)
    facts = _dump("Data, versions, trainings: everything that is known", provenance)
    return [
        folded_section("protocol", "Protocol", "Protocol", *disputed, *settings),
        page_section("provenance", "Provenance", "Provenance", *facts),
    ]


def _dump(title: str, values: Mapping[str, Any]) -> list[Markup]:
    """Nested values in a fold, which paper leaves out."""
    if not values:
        return [nested_values(values)]
    fold = element("details", element("summary", title), nested_values(values), class_="dump")
    return [fold, element("p", f"{title}: in the page, and not printed.", class_="paper soft")]


def _missing(records: Records, summary: Summary, extras: PageExtras) -> Iterator[Markup]:
    yield from map(warning, extras.unfinished)
    if extras.failures:
        yield failures_table(extras.failures)
    elif not extras.unfinished:
        yield element("p", "Nothing failed.")
    if np.isnan(records.columns["value"]).any():
        yield undefined_values(records)
    else:
        yield element("p", "No value is undefined.")
    if summary.notes:
        items = element("ul", *(element("li", text) for text in summary.notes))
        title = f"Remarks on the comparisons: {len(summary.notes)}"
        yield element("details", element("summary", title), items)
