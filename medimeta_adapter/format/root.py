"""A folder that holds one folder per dataset: which datasets are there, and which are asked for."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from medimeta_adapter.format.dataset import MedIMetaDataset
from torchcross._kit.suggestions import suggest
from torchcross.errors import DatasetFileError, InputError


def open_datasets(
    root: Path, only: Iterable[str] | None, follow_links: bool
) -> list[MedIMetaDataset]:
    """Open the datasets in `root`, or those with the ids in `only`, sorted by id."""
    _check_root(root)
    wanted = _check_ids(only, root)
    folders = sorted(entry.name for entry in os.scandir(root) if _may_hold(entry))
    datasets: dict[str, MedIMetaDataset] = {}
    if wanted.keys() <= set(folders):
        # Folders usually bear the ids of their datasets: the others need not be opened then.
        datasets = _open_by_id(root, sorted(wanted), follow_links)
    if not datasets or not wanted.keys() <= datasets.keys():
        datasets = _open_by_id(root, folders, follow_links)
    if not datasets:
        raise InputError(f"{root} holds no dataset; expected folders with an info.yaml in them")
    for dataset in wanted:
        if dataset not in datasets:
            raise InputError(f"{root} has no dataset {dataset!r}; {suggest(dataset, datasets)}")
    return [datasets[name] for name in sorted(wanted or datasets)]


def _check_root(root: Path) -> None:
    if not root.is_dir():
        raise InputError(
            f"{root} is no folder; give the folder that holds one folder for each dataset"
        )
    if (root / "info.yaml").is_file():
        raise InputError(
            f"{root} is a dataset itself; give its parent, or use MedIMetaDataset({str(root)!r})"
        )


def _check_ids(only: Iterable[str] | None, root: Path) -> dict[str, None]:
    """Return the ids asked for, each once and in order; none stands for all datasets."""
    if only is None:
        return {}
    if isinstance(only, str):
        raise InputError(f"only={only!r} is a single text; give a list of dataset ids")
    wanted = dict.fromkeys(only)
    if not wanted:
        raise InputError(
            f"only={only!r} names no dataset; give the ids wanted, or leave it out for all in"
            f" {root}"
        )
    return wanted


def _may_hold(entry: os.DirEntry[str]) -> bool:
    """Return whether a folder can be a dataset. Unfinished datasets have names with a dot first."""
    return (
        not entry.name.startswith(".")
        and entry.is_dir()
        and os.path.lexists(Path(entry.path, "info.yaml"))
    )


def _open_by_id(
    root: Path, folders: Iterable[str], follow_links: bool
) -> dict[str, MedIMetaDataset]:
    boundary = Path(os.path.realpath(root))
    datasets: dict[str, MedIMetaDataset] = {}
    for folder in folders:
        dataset = MedIMetaDataset(root / folder, follow_links=follow_links, boundary=boundary)
        if dataset.id in datasets:
            raise DatasetFileError(
                f"{datasets[dataset.id].folder} and {dataset.folder} both have id: {dataset.id} in"
                " their info.yaml; give each an id of its own"
            )
        datasets[dataset.id] = dataset
    return datasets
