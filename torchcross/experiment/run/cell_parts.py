"""The parts of a cell with many episodes: units score them, and one puts them together.

parts/<cell>-<first>-<end>-<kind>.csv          the rows of the episodes from first to before end
parts/<cell>-<first>-<end>-<kind>.safetensors  what was predicted, where the run stores it
parts/<cell>-<first>-<end>-<kind>.npz          an example, where the cell shows one

The kind is a digest of what may change from one call to the next and shows in a part: parts of two
kinds make no cell together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from torchcross.errors import DamageError, ReadError, TorchcrossError
from torchcross.experiment.run.scoring import ScoredPart
from torchcross.records import Predictions, Records
from torchcross.records.files import read_hashed_records
from torchcross.records.prediction_files import read_hashed_predictions

PARTS = "parts"
_ADVICE = "run the same again to make it again"


def part_ranges(episodes: int, at_once: int) -> list[range]:
    """The episodes of each part of a cell; one range where the cell is one unit."""
    return [range(at, min(at + at_once, episodes)) for at in range(0, episodes, at_once)]


class KnownEpisodes(NamedTuple):
    """How many episodes a target gives, the kind of the parts of its cells, and its images."""

    number: int
    kind: str
    images: int


def part_files(name: str, part: range, kind: str) -> tuple[str, str, str]:
    """(rows, predictions, example) of some episodes of a cell."""
    place = f"{PARTS}/{name}-{part.start}-{part.stop}-{kind}"
    return f"{place}.csv", f"{place}.safetensors", f"{place}.npz"


def write_part(folder: Path, name: str, part: range, kind: str, scored: ScoredPart) -> None:
    rows, predictions, example = (folder / path for path in part_files(name, part, kind))
    rows.parent.mkdir(exist_ok=True)
    if scored.predictions is not None:
        scored.predictions.write(predictions)
    if scored.write_example is not None:
        scored.write_example(example)
    Records.of(scored.rows).write(rows)


def joined_parts(folder: Path, name: str, ranges: Iterable[range], kind: str) -> ScoredPart:
    """The parts of a cell as if its episodes had been scored one after the other."""
    files = [[folder / path for path in part_files(name, each, kind)] for each in ranges]
    rows = [row for path, _, _ in files for row in _records_of(path)]
    parts = [_predictions_of(path) for _, path, _ in files if path.is_file()]
    examples = [path for _, _, path in files if path.is_file()]
    write_example = partial(shutil.copyfile, examples[0]) if examples else None
    return ScoredPart(rows, _join_predictions(parts) if parts else None, write_example)


def _records_of(path: Path) -> Records:
    try:
        records, has_hash = read_hashed_records(path, _ADVICE)
        if not has_hash:
            raise DamageError(f"{path} has lost its content hash; {_ADVICE}")
    except TorchcrossError:
        # Its unit makes it again in the next call.
        path.unlink(missing_ok=True)
        raise
    return records


def _predictions_of(path: Path) -> Predictions:
    try:
        return read_hashed_predictions(path, hashed=True, advice=_ADVICE)[0]
    except ReadError:
        path.with_suffix(".csv").unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        raise


def _join_predictions(parts: list[Predictions]) -> Predictions:
    first = parts[0]
    names = ("episodes", "sizes", "images", "labels", "log_odds", "decisions")
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    if first.subjects is not None:
        subjects = [part.subjects for part in parts if part.subjects is not None]
        columns["subjects"] = np.concatenate(subjects)
    if all(part.sets is not None for part in parts):
        columns["sets"] = np.concatenate([part.sets for part in parts])
    reasons = (part.sets_absent for part in parts if part.sets_absent)
    return Predictions(
        source=first.source,
        task=first.task,
        algorithm=first.algorithm,
        shots=first.shots,
        seed=first.seed,
        split=first.split,
        sets_absent=next(reasons, ""),
        **columns,
    )
