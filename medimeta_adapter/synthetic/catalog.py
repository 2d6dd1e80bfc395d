"""The published catalogue as data: 19 datasets, 54 tasks, 10 domains, and the paper's Table 2
(Woerner et al. 2024).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from medimeta_adapter.format.info import SplitCounts, TaskTarget
from torchcross._kit.suggestions import suggest
from torchcross.errors import InputError

__all__ = [
    "CatalogDataset",
    "CatalogTask",
    "Finding",
    "SourceCounts",
    "Table",
    "Totals",
    "dataset",
    "datasets",
    "disagreements",
    "domains",
    "notes",
    "sources_of",
    "table",
    "tasks",
    "totals",
]

_TARGETS = {
    "binary": TaskTarget.BINARY_CLASSIFICATION,
    "multiclass": TaskTarget.MULTICLASS_CLASSIFICATION,
    "multilabel": TaskTarget.MULTILABEL_CLASSIFICATION,
    "ordinal": TaskTarget.ORDINAL_REGRESSION,
}
_WORDS = {target: word for word, target in _TARGETS.items()}


@dataclass(frozen=True)
class CatalogTask:
    """A task as it was published. `label_keys` are the raw label values, ascending; grades may have
    gaps.
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
    """A dataset as it was published. `split_unit` says what its splits were made by."""

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
    """What the catalogue adds up to; `targets` counts the tasks of each type of target."""

    datasets: int
    tasks: int
    domains: int
    images: int
    targets: Mapping[str, int]


@dataclass(frozen=True)
class Finding:
    """A point on which the paper and the published files differ."""

    what: str
    finding: str


@dataclass(frozen=True)
class Table:
    """Rows under named columns, and the ways to print them. Numbers stay numbers in `rows` and
    `csv`.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int, ...], ...]
    shared: int
    """So many leading columns are printed once for consecutive rows that agree in them (not in
    `csv`).
    """

    def text(self) -> str:
        """Aligned columns, numbers to the right."""
        cells = [self.columns, *self._shown()]
        widths = [max(len(row[at]) for row in cells) for at in range(len(self.columns))]
        right = [
            all(isinstance(row[at], int) for row in self.rows) for at in range(len(self.columns))
        ]
        lines = [
            "  ".join(
                cell.rjust(width) if number else cell.ljust(width)
                for cell, width, number in zip(row, widths, right, strict=True)
            ).rstrip()
            for row in cells
        ]
        return "\n".join([lines[0], "  ".join("-" * width for width in widths), *lines[1:]]) + "\n"

    def markdown(self) -> str:
        """A table in Markdown."""
        right = [
            all(isinstance(row[at], int) for row in self.rows) for at in range(len(self.columns))
        ]
        rule = ["---:" if number else "---" for number in right]
        cells = [self.columns, tuple(rule), *self._shown()]
        return "".join(
            "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |\n" for row in cells
        )

    def csv(self) -> str:
        """Comma-separated values with a header line, every cell filled."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return out.getvalue()

    def __str__(self) -> str:
        return self.text()

    def _shown(self) -> list[tuple[str, ...]]:
        shown, above = [], None
        for row in self.rows:
            cells = [f"{cell:,}" if isinstance(cell, int) else cell for cell in row]
            if above == row[: self.shared]:
                cells[: self.shared] = [""] * self.shared
            above = row[: self.shared]
            shown.append(tuple(cells))
        return shown


def _dataset(entry: Mapping[str, Any]) -> CatalogDataset:
    def counts(key: str) -> SplitCounts:
        return SplitCounts(**{split: entry[key][split] for split in ("train", "val", "test")})

    def task(part: Mapping[str, Any]) -> CatalogTask:
        keys = tuple(part.get("label_keys", range(part["n_labels"])))
        return CatalogTask(
            entry["id"], entry["domain"], part["name"], _TARGETS[part["target"]], keys
        )

    return CatalogDataset(
        **{
            key: entry[key]
            for key in ("id", "name", "domain", "channels", "split_unit", "license", "info_file")
        },
        samples=counts("samples"),
        original_splits=counts("original_splits"),
        domain_overlaps=tuple(entry["domain_overlaps"]),
        subject_overlaps=tuple(entry["subject_overlaps"]),
        lodo_sources=SourceCounts(**entry["lodo_sources"]),
        tasks=tuple(task(part) for part in entry["tasks"]),
    )


_CATALOG = yaml.safe_load(
    files("medimeta_adapter.synthetic").joinpath("catalog.yaml").read_text(encoding="utf-8")
)

datasets: Mapping[str, CatalogDataset] = MappingProxyType(
    {entry["id"]: _dataset(entry) for entry in _CATALOG["datasets"]}
)
"""The datasets by id."""

tasks: tuple[CatalogTask, ...] = tuple(task for found in datasets.values() for task in found.tasks)
"""Every task of every dataset."""

domains: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        domain: tuple(found.id for found in datasets.values() if found.domain == domain)
        for domain in sorted({found.domain for found in datasets.values()})
    }
)
"""The ids of the datasets in each domain."""

totals = Totals(
    datasets=len(datasets),
    tasks=len(tasks),
    domains=len(domains),
    images=sum(found.samples.total for found in datasets.values()),
    targets=MappingProxyType({kind: sum(task.kind == kind for task in tasks) for kind in _TARGETS}),
)
"""What all of it adds up to."""

disagreements: tuple[Finding, ...] = tuple(Finding(**entry) for entry in _CATALOG["disagreements"])
"""Where the paper and the published files differ; the catalogue follows the files."""

notes: tuple[str, ...] = tuple(_CATALOG["notes"])
"""What to know about the published data."""


def dataset(dataset_id: str) -> CatalogDataset:
    """The dataset with this id."""
    if dataset_id in datasets:
        return datasets[dataset_id]
    raise InputError(
        f"the catalogue has no dataset {dataset_id!r}; {suggest(dataset_id, datasets)}"
    )


def sources_of(target: str) -> tuple[str, ...]:
    """The ids left to train on when `target` is left out, with all that shares its domain or its
    subjects.
    """
    left_out = dataset(target)
    away = {target, *left_out.domain_overlaps, *left_out.subject_overlaps}
    return tuple(found for found in datasets if found not in away)


_COLUMNS = (
    "id",
    "dataset",
    "domain",
    "channels",
    "train",
    "val",
    "test",
    "task",
    "target",
    "labels",
)
_OF_DATASET = 7


def table(only: Iterable[str] | None = None) -> Table:
    """Table 2 of the paper: one row per task, with its dataset's domain and sizes."""
    chosen: Sequence[CatalogDataset] = (
        [*datasets.values()] if only is None else [dataset(name) for name in only]
    )
    return Table(_COLUMNS, tuple(row for found in chosen for row in _rows(found)), _OF_DATASET)


def _rows(found: CatalogDataset) -> list[tuple[str | int, ...]]:
    sizes = found.samples
    common = (
        found.id,
        found.name,
        found.domain,
        found.channels,
        sizes.train,
        sizes.val,
        sizes.test,
    )
    return [(*common, task.name, task.kind, task.num_labels) for task in found.tasks]
