"""The page and the tables of a published table of means."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable
from pathlib import Path

from torchcross._kit.surroundings import installed_version
from torchcross.errors import InputError
from torchcross.experiment.page.pages import write_tables
from torchcross.experiment.run.page_files import PAGE
from torchcross.records import read_means
from torchcross.report import write_report
from torchcross.report.summarise import summarise


def write_means_page(
    table: str | Path,
    out: str | Path,
    *,
    title: str | None = None,
    metric: str = "",
    related: Iterable[Collection[str]] = (),
    margin: float | None = None,
) -> Path:
    """Write the page and tables of a table that `torchcross.records.read_means` can read.

    `margin` is a difference that is too small to matter, in the unit of the table.
    """
    table, out = Path(table), Path(out)
    groups = [set(group) for group in related]
    means = read_means(table, metric=metric)
    for group in groups:
        if unknown := sorted(group - set(means.targets)):
            raise InputError(
                f"related targets {unknown} are not in {table}; there are"
                f" {', '.join(means.targets)}"
            )
    out.mkdir(parents=True, exist_ok=True)
    page = write_report(
        means,
        out / PAGE,
        title=title or f"Means by target: {table.stem}",
        protocol={"means": "as they are in the table; its publisher knows how they were made"},
        provenance={
            "table": table.name,
            "sha256": hashlib.sha256(table.read_bytes()).hexdigest(),
            "packages": {
                "torchcross-fewshot": installed_version("torchcross-fewshot") or "not installed"
            },
        },
        related=groups,
        margin=margin,
    )
    write_tables(summarise(means), out)
    return page
