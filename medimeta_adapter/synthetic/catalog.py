"""The published catalogue: 19 datasets, 54 tasks, 10 domains, and Table 2 of the paper.

Woerner et al. (2024).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from medimeta_adapter.format.info import SplitCounts
from medimeta_adapter.format.problems import TaskTarget
from medimeta_adapter.format.splits import SPLITS
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError

_TARGETS = {
    "binary": TaskTarget.BINARY_CLASSIFICATION,
    "multiclass": TaskTarget.MULTICLASS_CLASSIFICATION,
    "multilabel": TaskTarget.MULTILABEL_CLASSIFICATION,
    "ordinal": TaskTarget.ORDINAL_REGRESSION,
}
_WORDS = {target: word for word, target in _TARGETS.items()}


@dataclass(frozen=True)
class CatalogTask:
    """A task as it was published.

    label_keys: the raw label values, ascending. Those of grades may have gaps.
    """

    dataset: str
    domain: str
    name: str
    task_target: TaskTarget
    label_keys: tuple[int, ...]

    @property
    def num_labels(self) -> int:
        return len(self.label_keys)

    @property
    def kind(self) -> str:
        """The type of target in one word: binary, multiclass, multilabel, ordinal."""
        return _WORDS[self.task_target]


@dataclass(frozen=True)
class SourceCounts:
    """How many datasets and tasks are left to train on."""

    datasets: int
    tasks: int


@dataclass(frozen=True)
class CatalogDataset:
    """A dataset as it was published. split_unit: what its splits keep together."""

    id: str
    name: str
    domain: str
    channels: int
    samples: SplitCounts
    original_splits: SplitCounts
    split_unit: str
    license: str
    domain_overlaps: tuple[str, ...]
    subject_overlaps: tuple[str, ...]
    lodo_sources: SourceCounts
    tasks: tuple[CatalogTask, ...]
    info_file: str

    @property
    def primary_task(self) -> CatalogTask:
        return self.tasks[0]


@dataclass(frozen=True)
class Totals:
    """The totals of the catalogue. targets: the number of tasks for each type of target."""

    datasets: int
    tasks: int
    domains: int
    images: int
    targets: Mapping[str, int]


@dataclass(frozen=True)
class Disagreement:
    """A point on which the paper and the published files differ."""

    what: str
    finding: str


@dataclass(frozen=True)
class CatalogTable:
    """Rows under named columns, as text, Markdown or CSV. In `rows` and CSV, numbers are plain."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int, ...], ...]
    shared: int
    """Consecutive rows that agree in this many leading columns print them once (not in `csv`)."""

    def text(self) -> str:
        """Return aligned columns, with numbers to the right."""
        rows = self._printed_rows()
        widths = [max(map(len, column)) for column in zip(self.columns, *rows, strict=True)]
        pads = [str.rjust if number else str.ljust for number in self._number_columns()]
        lines = []
        for row in (self.columns, ["-" * width for width in widths], *rows):
            cells = [pad(cell, width) for pad, cell, width in zip(pads, row, widths, strict=True)]
            lines.append("  ".join(cells).rstrip() + "\n")
        return "".join(lines)

    def markdown(self) -> str:
        """Return a table in Markdown."""
        rule = ["---:" if number else "---" for number in self._number_columns()]
        lines = []
        for row in (self.columns, rule, *self._printed_rows()):
            cells = [cell.replace("|", "\\|") for cell in row]
            lines.append(f"| {' | '.join(cells)} |\n")
        return "".join(lines)

    def csv(self) -> str:
        """Return comma-separated values with a header line and every cell filled."""
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([self.columns, *self.rows])
        return out.getvalue()

    def __str__(self) -> str:
        return self.text()

    def _number_columns(self) -> list[bool]:
        columns = range(len(self.columns))
        return [all(isinstance(row[column], int) for row in self.rows) for column in columns]

    def _printed_rows(self) -> list[list[str]]:
        printed, above = [], None
        for row in self.rows:
            cells = [f"{cell:,}" if isinstance(cell, int) else cell for cell in row]
            if above == row[: self.shared]:
                cells[: self.shared] = [""] * self.shared
            above = row[: self.shared]
            printed.append(cells)
        return printed


def _read_dataset(entry: Mapping[str, Any]) -> CatalogDataset:
    keys = ("id", "name", "domain", "channels", "split_unit", "license", "info_file")
    return CatalogDataset(
        **{key: entry[key] for key in keys},
        samples=_read_counts(entry["samples"]),
        original_splits=_read_counts(entry["original_splits"]),
        domain_overlaps=tuple(entry["domain_overlaps"]),
        subject_overlaps=tuple(entry["subject_overlaps"]),
        lodo_sources=SourceCounts(**entry["lodo_sources"]),
        tasks=tuple(_read_task(entry, task) for task in entry["tasks"]),
    )


def _read_counts(counts: Mapping[str, int]) -> SplitCounts:
    return SplitCounts(**{split: counts[split] for split in SPLITS})


def _read_task(entry: Mapping[str, Any], task: Mapping[str, Any]) -> CatalogTask:
    keys = tuple(task.get("label_keys", range(task["n_labels"])))
    return CatalogTask(entry["id"], entry["domain"], task["name"], _TARGETS[task["target"]], keys)


_CATALOG = yaml.safe_load(
    files("medimeta_adapter.synthetic").joinpath("catalog.yaml").read_text(encoding="utf-8")
)

datasets: Mapping[str, CatalogDataset] = MappingProxyType(
    {entry["id"]: _read_dataset(entry) for entry in _CATALOG["datasets"]}
)
"""The datasets by id."""

tasks: tuple[CatalogTask, ...] = tuple(task for entry in datasets.values() for task in entry.tasks)
"""Every task of every dataset."""

domains: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        domain: tuple(entry.id for entry in datasets.values() if entry.domain == domain)
        for domain in sorted({entry.domain for entry in datasets.values()})
    }
)
"""The ids of the datasets in each domain."""

totals = Totals(
    datasets=len(datasets),
    tasks=len(tasks),
    domains=len(domains),
    images=sum(entry.samples.total for entry in datasets.values()),
    targets=MappingProxyType({kind: sum(task.kind == kind for task in tasks) for kind in _TARGETS}),
)
"""The totals of the catalogue."""

disagreements: tuple[Disagreement, ...] = tuple(
    Disagreement(**entry) for entry in _CATALOG["disagreements"]
)
"""Where the paper and the published files differ; the catalogue follows the files."""

notes: tuple[str, ...] = tuple(_CATALOG["notes"])
"""What to know about the published data."""


def dataset(dataset_id: str) -> CatalogDataset:
    """Return the dataset with this id."""
    if dataset_id in datasets:
        return datasets[dataset_id]
    raise InputError(
        f"the catalogue has no dataset {dataset_id!r}; {suggest(dataset_id, datasets)}"
    )


def sources_of(target: str) -> tuple[str, ...]:
    """Return the ids that remain for training if `target` is left out.

    The datasets that share its domain or its subjects are left out, too.
    """
    left_out = dataset(target)
    excluded = {target, *left_out.domain_overlaps, *left_out.subject_overlaps}
    return tuple(name for name in datasets if name not in excluded)


_COLUMNS = (
    *("id", "dataset", "domain", "channels", "train", "val", "test"),
    *("task", "target", "labels"),
)
_DATASET_COLUMNS = 7


def table(only: Iterable[str] | None = None) -> CatalogTable:
    """Return Table 2 of the paper: one row per task, with its dataset's domain and sizes."""
    rows: list[tuple[str | int, ...]] = []
    for name in datasets if only is None else only:
        entry = dataset(name)
        sizes = [getattr(entry.samples, split) for split in SPLITS]
        shared = (entry.id, entry.name, entry.domain, entry.channels, *sizes)
        rows += [(*shared, task.name, task.kind, task.num_labels) for task in entry.tasks]
    return CatalogTable(_COLUMNS, tuple(rows), _DATASET_COLUMNS)
