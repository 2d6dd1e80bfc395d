"""Which runs a page over several runs is about: another set does not replace it silently."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from torchcross.errors import InputError
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.experiment.run.page_files import PAGE

COMPARED = "compared.json"
_RUNS = "runs"


def check_same_runs(out: Path, runs: Iterable[RunFolder]) -> None:
    """Refuse a folder with a page over other runs than these, or over none that is known."""
    record = out / COMPARED
    if not record.is_file():
        if (out / PAGE).is_file():
            raise InputError(
                f"{out} has a page that is not known to be over these runs; give --out another"
                " folder, or --force (force=True) to replace it"
            )
        return
    before = read_json(record, advice="remove it").get(_RUNS)
    if before != _places(out, runs):
        names = ", ".join(map(str, before)) if isinstance(before, list) else "unknown runs"
        raise InputError(
            f"{out} has the page of other runs ({names}, seen from there); give --out another"
            " folder, or --force (force=True) to replace it"
        )


def write_compared_runs(out: Path, runs: Iterable[RunFolder]) -> None:
    """Write compared.json: which runs the page is over, by their places as seen from it."""
    write_json(out / COMPARED, {_RUNS: _places(out, runs)})


def _places(out: Path, runs: Iterable[RunFolder]) -> list[str]:
    return sorted(
        Path(os.path.relpath(run.path.resolve(), out.resolve())).as_posix() for run in runs
    )
