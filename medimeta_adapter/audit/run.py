"""The audit itself: every dataset alone, then all of them together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from medimeta_adapter.audit.annotations import audit_annotations
from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.audit.images import (
    ScannedDataset,
    audit_constant,
    audit_duplicates,
    audit_near_duplicates,
)
from medimeta_adapter.audit.labels import audit_labels
from medimeta_adapter.audit.near_duplicates import DISTANCE, LIKENESS
from medimeta_adapter.audit.relations import audit_licences, audit_overlaps
from medimeta_adapter.audit.report import AuditReport, DatasetSummary
from medimeta_adapter.audit.scan import PixelRows, Progress, Scan, default_workers, scan
from medimeta_adapter.audit.shots import TaskShots, audit_shots
from medimeta_adapter.audit.splits import audit_splits
from medimeta_adapter.audit.subjects import audit_shared_subjects, audit_subjects
from medimeta_adapter.audit.tiffs import SAMPLED, audit_tiffs
from medimeta_adapter.format.files import path_inside
from medimeta_adapter.format.info import read_info
from medimeta_adapter.format.pixels import TiffPixels, open_pixels
from medimeta_adapter.format.size_bounds import sample_count_problem
from torchcross._kit.argument_checks import checked_int
from torchcross.errors import DatasetFileError, SourceError, TorchcrossError

_INFO = "info.yaml"
_PIXELS = "images.hdf5"


@dataclass(frozen=True)
class _Options:
    pixels: bool
    near_duplicates: bool
    shots: int
    queries: int
    progress: Progress | None
    workers: int


def check(
    folder: str | Path,
    *,
    pixels: bool = True,
    near_duplicates: bool = True,
    shots: int = 5,
    queries: int = 10,
    progress: Progress | None = None,
    workers: int | None = None,
    follow_links: bool = False,
) -> AuditReport:
    """Check a dataset's folder, or a folder of such folders, and report everything that is wrong.

    Nothing is changed. pixels: read every image once, to find constant, equal and similar images
    and to compare TIFF files. near_duplicates: find similar images, not only equal ones. shots,
    queries: report classes that are too small for such episodes. progress: called with (what, done,
    of how many). workers: threads; None is one per core, at most four. follow_links: also read what
    links outside the folder lead to.
    """
    workers = default_workers() if workers is None else workers
    for name, value in (("shots", shots), ("queries", queries), ("workers", workers)):
        checked_int(name, value)
    options = _Options(pixels, near_duplicates, shots, queries, progress, workers)
    findings = Findings()
    datasets = _open_datasets(Path(folder), follow_links, findings)
    tables, scanned = [], []
    for dataset in datasets:
        tables.append(_audit_files(dataset, options, findings))
        scanned += _audit_pixels(dataset, options, findings)
    audit_overlaps(datasets, findings)
    audit_shared_subjects(datasets, findings)
    audit_duplicates(scanned, findings)
    if near_duplicates:
        audit_near_duplicates(scanned, findings, progress)
    terms = audit_licences(datasets, findings)
    summaries = tuple(
        _summarise(dataset, terms[dataset.name], table)
        for dataset, table in zip(datasets, tables, strict=True)
    )
    extents = _extents(options)
    return AuditReport(str(folder), summaries, findings.in_order(), shots, queries, extents)


def _summarise(
    dataset: AuditedDataset, terms: tuple[str, ...], tables: Sequence[TaskShots]
) -> DatasetSummary:
    info, subjects = dataset.info, dataset.subjects
    return DatasetSummary(
        id=info.id,
        folder=dataset.folder.name,
        name=info.name,
        domain=info.domain,
        samples=info.total_num_samples,
        size=info.input_size,
        splits={name: len(rows) for name, rows in dataset.splits.items()},
        subjects=None if subjects is None else len(np.unique(subjects)),
        licence=info.license,
        terms=terms,
        tasks=tuple(tables),
    )


# -- which folders ---------------------------------------------------------------------------------


def _open_datasets(root: Path, follow_links: bool, findings: Findings) -> list[AuditedDataset]:
    """Return the datasets whose info.yaml can be read, in the order of their ids."""
    boundary = None if follow_links else Path(os.path.realpath(root))
    datasets: dict[str, AuditedDataset] = {}
    for folder in _folders(root):
        try:
            info = read_info(path_inside(boundary, folder / _INFO))
        except DatasetFileError as error:
            findings.error("dataset-unreadable", folder.name, str(error), file=_INFO)
            continue
        if problem := sample_count_problem(folder, info):
            findings.error(
                "count-unbelievable",
                info.id,
                f"{problem}; nothing more is read",
                file=_INFO,
                field="total_num_samples",
            )
            continue
        if info.id in datasets:
            findings.error(
                "id-twice",
                info.id,
                f"{datasets[info.id].folder.name!r} and {folder.name!r} have one id; the second is"
                " not checked",
                file=_INFO,
                field="id",
            )
            continue
        if folder.name != info.id:
            findings.note(
                "folder-name",
                info.id,
                f"the folder is called {folder.name!r}; the published reader warns of that",
                file=_INFO,
                field="id",
            )
        datasets[info.id] = AuditedDataset(folder, info, boundary)
    return [datasets[name] for name in sorted(datasets)]


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise SourceError(
            f"{root} is no folder; give a dataset's folder (with {_INFO}), or a folder of such"
            " folders"
        )
    if (root / _INFO).exists():
        return [root]
    entries = sorted(root.iterdir())
    folders = [entry for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    datasets = [
        folder for folder in folders if (folder / _INFO).exists() or (folder / _PIXELS).exists()
    ]
    if not datasets:
        raise SourceError(
            f"{root} holds no dataset: none of its {len(folders)} folders has an {_INFO}"
        )
    return datasets


# -- one dataset -----------------------------------------------------------------------------------


def _audit_files(dataset: AuditedDataset, options: _Options, findings: Findings) -> list[TaskShots]:
    """Check everything but the pixels."""
    audit_splits(dataset, findings)
    audit_labels(dataset, findings)
    audit_annotations(dataset, findings)
    audit_subjects(dataset, findings)
    return audit_shots(dataset, shots=options.shots, queries=options.queries, findings=findings)


def _audit_pixels(
    dataset: AuditedDataset, options: _Options, findings: Findings
) -> list[ScannedDataset]:
    """Open the pixels, which checks their shape and type, and read them if that is wanted."""
    try:
        pixels = open_pixels(dataset.folder, dataset.info, dataset.boundary)
    except (TorchcrossError, OSError) as error:
        findings.error("images-unreadable", dataset.name, str(error), file=_PIXELS)
        return []
    if isinstance(pixels, TiffPixels):
        findings.warning(
            "hdf5-missing",
            dataset.name,
            "no such file; the images are read from TIFF files, which is slow, and the published"
            " reader cannot read them",
            file=_PIXELS,
        )
    if not options.pixels:
        return []
    scanned = ScannedDataset(dataset, _scan(dataset, pixels, options))
    findings.error(
        "images-unreadable",
        dataset.name,
        "images that cannot be read",
        file=_PIXELS,
        count=int((~scanned.scan.read).sum()),
        examples=scanned.scan.failures,
    )
    audit_constant(scanned, findings)
    if not isinstance(pixels, TiffPixels):
        audit_tiffs(dataset, pixels, findings)
    return [scanned]


def _scan(dataset: AuditedDataset, pixels: PixelRows, options: _Options) -> Scan:
    channels, height, width = dataset.info.input_size
    progress = None
    if options.progress is not None:
        progress = partial(_report_rows, options.progress, dataset)
    return scan(
        pixels,
        dataset.count,
        channels * height * width,
        with_fingerprints=options.near_duplicates,
        workers=options.workers,
        progress=progress,
    )


def _report_rows(progress: Progress, dataset: AuditedDataset, done: int) -> None:
    progress(dataset.name, done, dataset.count)


# -- what was checked ------------------------------------------------------------------------------


def _extents(options: _Options) -> dict[str, str]:
    """Return how far each kind of check went."""
    extents = {
        "files": "info.yaml, splits, labels and annotations of every dataset",
        "equal images": "not checked",
        "alike images": "not checked",
        "TIFF files": "not checked",
    }
    if options.pixels:
        extents["equal images"] = "every image"
        extents["TIFF files"] = f"up to {SAMPLED} per dataset compared with images.hdf5"
        if options.near_duplicates:
            extents["alike images"] = (
                f"every image; at most {DISTANCE} of 64 bits of a DCT hash differ, and the images"
                f" correlate by {LIKENESS} or more at low resolution; rotated, mirrored or cropped"
                " copies are not found"
            )
    return extents
