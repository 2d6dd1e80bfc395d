"""The audit itself: every dataset on its own, then all of them together."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from medimeta_adapter.audit.annotations import audit_annotations
from medimeta_adapter.audit.audited_dataset import Opened
from medimeta_adapter.audit.findings import Findings
from medimeta_adapter.audit.images import (
    Scanned,
    audit_constant,
    audit_duplicates,
    audit_near_duplicates,
)
from medimeta_adapter.audit.labels import audit_labels
from medimeta_adapter.audit.perceptual_hash import DISTANCE, LIKENESS
from medimeta_adapter.audit.relations import audit_licences, audit_overlaps
from medimeta_adapter.audit.report import AuditReport, DatasetSummary
from medimeta_adapter.audit.scan import Progress, Rows, Scan, default_workers, scan
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

__all__ = ["check"]

_INFO = "info.yaml"
_PIXELS = "images.hdf5"


@dataclass(frozen=True)
class _Effort:
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
    """Looks at one dataset's folder, or at a folder of such folders, and tells all that is wrong;
    nothing is changed.

    pixels: read every image once (for constant, equal and alike images, and the TIFF files);
    near_duplicates: look for those that are merely alike. shots and queries: what classes are held
    against. progress: told of (what, done, of how many). workers: threads; None takes one per core,
    four at most. follow_links: read what links lead to outside.
    """
    for name, value in {
        "shots": shots,
        "queries": queries,
        "workers": 1 if workers is None else workers,
    }.items():
        checked_int(name, value)
    effort = _Effort(
        pixels, near_duplicates, shots, queries, progress, workers or default_workers()
    )
    findings = Findings()
    datasets = list(_opened(Path(folder), follow_links, findings))
    tables, scanned = [], []
    for opened in datasets:
        tables.append(_audit_files(opened, effort, findings))
        scanned += _audit_pixels(opened, effort, findings)
    audit_overlaps(datasets, findings)
    audit_shared_subjects(datasets, findings)
    _audit_across(scanned, effort, findings)
    terms = audit_licences(datasets, findings)
    summaries = [
        _summary(opened, terms[opened.name], table)
        for opened, table in zip(datasets, tables, strict=True)
    ]
    return AuditReport(
        str(folder), tuple(summaries), findings.sorted(), shots, queries, _looked_at(effort)
    )


def _summary(opened: Opened, terms: tuple[str, ...], tables: Sequence[TaskShots]) -> DatasetSummary:
    subjects = None if opened.subjects is None else len(np.unique(opened.subjects))
    return DatasetSummary.of(opened, subjects, terms, tables)


# -- which folders ---------------------------------------------------------------------------------


def _opened(root: Path, follow_links: bool, findings: Findings) -> list[Opened]:
    """The datasets whose info.yaml can be read, by id."""
    folders = _folders(root)
    boundary = None if follow_links else Path(os.path.realpath(root))
    found: dict[str, Opened] = {}
    for folder in folders:
        try:
            info = read_info(path_inside(boundary, folder / _INFO))
        except DatasetFileError as error:
            findings.error("dataset-unreadable", folder.name, str(error), file=_INFO)
            continue
        if why := sample_count_problem(folder, info):
            message = f"{why}; nothing more is read"
            findings.error(
                "count-unbelievable", info.id, message, file=_INFO, field="total_num_samples"
            )
            continue
        if info.id in found:
            message = (
                f"{found[info.id].folder.name!r} and {folder.name!r} have one id; the second is"
                " left out"
            )
            findings.error("id-twice", info.id, message, file=_INFO, field="id")
            continue
        if folder.name != info.id:
            message = f"the folder is called {folder.name!r}; the published reader warns of that"
            findings.note("folder-name", info.id, message, file=_INFO, field="id")
        found[info.id] = Opened(folder, info, boundary)
    return [found[name] for name in sorted(found)]


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        raise SourceError(
            f"{root} is no folder; give a dataset's folder (with {_INFO}), or a folder of such"
            " folders"
        )
    if (root / _INFO).exists():
        return [root]
    folders = [
        entry
        for entry in sorted(root.iterdir())
        if entry.is_dir() and not entry.name.startswith(".")
    ]
    datasets = [
        entry for entry in folders if (entry / _INFO).exists() or (entry / _PIXELS).exists()
    ]
    if not datasets:
        raise SourceError(
            f"{root} holds no dataset: none of its {len(folders)} folders has an {_INFO}"
        )
    return datasets


# -- one dataset -----------------------------------------------------------------------------------


def _audit_files(opened: Opened, effort: _Effort, findings: Findings) -> list[TaskShots]:
    """All but the pixels."""
    audit_splits(opened, findings)
    audit_labels(opened, findings)
    audit_annotations(opened, findings)
    audit_subjects(opened, findings)
    return audit_shots(opened, shots=effort.shots, queries=effort.queries, findings=findings)


def _audit_pixels(opened: Opened, effort: _Effort, findings: Findings) -> list[Scanned]:
    """Opens the pixels (which tells a wrong shape or type), and reads them where that is asked
    for.
    """
    try:
        pixels = open_pixels(opened.folder, opened.info, opened.boundary)
    except (TorchcrossError, OSError) as error:
        findings.error("images-unreadable", opened.name, str(error), file=_PIXELS)
        return []
    if isinstance(pixels, TiffPixels):
        message = (
            "no such file; the images are read from TIFF files, slowly, and the published reader"
            " cannot read them"
        )
        findings.warning("hdf5-missing", opened.name, message, file=_PIXELS)
    if not effort.pixels:
        return []
    scanned = Scanned(opened, _scan(opened, pixels, effort))
    if scanned.scan.failures:
        findings.error(
            "images-unreadable",
            opened.name,
            "images that cannot be read",
            file=_PIXELS,
            count=int((~scanned.scan.read).sum()),
            examples=scanned.scan.failures,
        )
    audit_constant(scanned, findings)
    if not isinstance(pixels, TiffPixels):
        audit_tiffs(opened, pixels, findings)
    return [scanned]


def _scan(opened: Opened, pixels: Rows, effort: _Effort) -> Scan:
    channels, height, width = opened.info.input_size
    progress = (
        None
        if effort.progress is None
        else partial(_told, effort.progress, opened.name, opened.count)
    )
    return scan(
        pixels,
        opened.count,
        channels * height * width,
        with_looks=effort.near_duplicates,
        workers=effort.workers,
        progress=progress,
    )


def _told(progress: Progress, name: str, count: int, done: int) -> None:
    progress(name, done, count)


# -- all of them -----------------------------------------------------------------------------------


def _audit_across(scanned: Sequence[Scanned], effort: _Effort, findings: Findings) -> None:
    audit_duplicates(scanned, findings)
    if effort.near_duplicates:
        audit_near_duplicates(scanned, findings, effort.progress)


def _looked_at(effort: _Effort) -> dict[str, str]:
    everything = "every image"
    alike = (
        f"{everything}; {DISTANCE} of 64 bits of a DCT hash may differ, and coarse images correlate"
        f" at {LIKENESS}"
    )
    alike += "; turned, mirrored or cropped copies are not found"
    return {
        "files": "info.yaml, splits, labels and annotations of every dataset",
        "equal images": everything if effort.pixels else "not looked for",
        "alike images": alike if effort.pixels and effort.near_duplicates else "not looked for",
        "TIFF files": (
            f"up to {SAMPLED} per dataset compared with images.hdf5"
            if effort.pixels
            else "not looked at"
        ),
    }
