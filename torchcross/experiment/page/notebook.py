"""What a notebook shows of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from torchcross.experiment.page.headline import episodes_of_rows, headline_of, scales_of
from torchcross.experiment.page.image_level import draws_of_run
from torchcross.experiment.page.row_names import RowNames
from torchcross.experiment.page.table_marks import marks_of
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.page_files import PAGE
from torchcross.records import Records
from torchcross.report import html_table


def outcome_html(folder: RunFolder, records: Records, failures: Sequence[Mapping[str, str]]) -> str:
    """The headline table, what failed, and where the page is."""
    parts = ["<p>No rows.</p>"]
    if len(records):
        headline, names = headline_of(records, [folder], None), RowNames(folder)
        own_episodes = episodes_of_rows(folder, records)
        draws = draws_of_run(folder, records, own_episodes)
        episodes = names.of_episodes(own_episodes)
        table = html_table(
            names.of_records(records),
            metric=headline.metric,
            method=headline.method,
            episodes=episodes,
            draws=draws.of_rows(episodes),
            scales=scales_of(folder.plain(PROTOCOL)),
            margin=headline.margin,
            **marks_of(folder, folder.plain(PROTOCOL), names),
        )
        warnings = (*headline.warnings, *draws.warnings)
        parts = [table, *(f"<p>{escape(text)}</p>" for text in warnings)]
    if failures:
        items = []
        for failure in failures:
            cell = "{algorithm} on {target}, training seed {seed}: {reason}".format(**failure)
            items.append(f"<li>{escape(cell)}</li>")
        parts.append(f"<p>Failed: {len(failures)}</p><ul>{''.join(items)}</ul>")
    report = folder.path / PAGE
    place = str(report)
    if not report.is_file():
        place = f"not written yet: torchcross.write_page({str(folder.path)!r})"
    return "".join([*parts, f"<p><small>Page: {escape(place)}</small></p>"])
