"""A table of means, targets x algorithms: of records, or as somebody published it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._arrays import frozen
from torchcross.errors import InputError, ReadError
from torchcross.evaluation._html import html_table
from torchcross.evaluation.comparison import refuse_twins
from torchcross.evaluation.records import Records

__all__ = ["Means", "read_means"]


@final
class Means:
    """`values[i, j]` is the mean of algorithm j on target i; NaN where there is none. `notes` say what was left out."""

    __slots__ = ("algorithms", "metric", "notes", "targets", "values")

    def __init__(
        self,
        values: ArrayLike,
        algorithms: Sequence[str],
        targets: Sequence[str] | None = None,
        *,
        metric: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        table = np.array(values, dtype=np.float64)
        if table.ndim != 2 or not len(table) or table.shape[1] != len(algorithms) or np.isinf(table).any():
            raise InputError(
                f"a table of means has shape {table.shape} and {len(algorithms)} algorithms; give one row per target "
                "and one column per algorithm, of finite numbers or NaN"
            )
        names = [f"target {row + 1}" for row in range(len(table))] if targets is None else list(targets)
        if len(names) != len(table):
            raise InputError(f"a table of {len(table)} rows got {len(names)} targets; name each row")
        for kind, given in (("targets", names), ("algorithms", list(algorithms))):
            if twice := sorted({name for name in given if given.count(name) > 1}):
                raise InputError(f"the {kind} {twice} stand twice in a table of means; name each once")
        self.values: NDArray[np.float64] = frozen(table)
        self.algorithms = tuple(algorithms)
        self.targets = tuple(names)
        self.metric = metric
        self.notes = tuple(notes)

    @classmethod
    def of(cls, records: Records, metric: str, shots: int) -> Means:
        """The means of one metric at one number of shots, over training seeds and episodes.

        Undefined values are left out of a mean and counted in `notes`; a mean of nothing is NaN.
        """
        chosen = records.where(metric=metric, shots=shots)
        targets, algorithms = chosen.unique("target"), chosen.unique("algorithm")
        table, notes = np.full((len(targets), len(algorithms)), math.nan), []
        if not len(chosen):
            raise InputError(f"there are no records of {metric!r} at {shots} shots; see records.unique('shots')")
        for i, target in enumerate(targets):
            here = chosen.where(target=target)
            refuse_twins(here, f"metric {metric!r} at {shots} shots of {target!r}")
            for j, algorithm in enumerate(algorithms):
                values = here.where(algorithm=algorithm).columns["value"]
                defined = values[~np.isnan(values)]
                if len(defined):
                    table[i, j] = math.fsum(defined.tolist()) / len(defined)
                if len(defined) < len(values):
                    missing = len(values) - len(defined)
                    notes.append(f"{algorithm} on {target}: {missing} of {len(values)} values undefined, left out")
        return cls(table, algorithms, targets, metric=metric, notes=notes)

    def _repr_html_(self) -> str:
        rows = [
            (target, *("" if math.isnan(value) else f"{value:.3f}" for value in row))
            for target, row in zip(self.targets, self.values.tolist(), strict=True)
        ]
        return html_table(self.metric, ("target", *self.algorithms), rows, self.notes)

    def __repr__(self) -> str:
        return f"Means({len(self.targets)} targets x {list(self.algorithms)}, metric={self.metric!r})"


def read_means(path: str | Path, *, metric: str = "") -> Means:
    """Read a published table of means: CSV, a header with the algorithms, then a target and its means in each row.

    An empty cell or `nan` is a mean that was not given.
    """
    path = Path(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ReadError(f"{path} cannot be read ({error.strerror or error}); give the path of a file") from error
    except UnicodeDecodeError as error:
        raise ReadError(f"{path} is not UTF-8; convert it") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    header = next(reader, [])
    targets, table = [], []
    for row in reader:
        if not row:
            continue
        if len(row) != len(header):
            raise ReadError(f"{path}:{reader.line_num} has {len(row)} cells where the header has {len(header)}")
        targets.append(row[0].strip())
        table.append([_cell(path, reader.line_num, cell) for cell in row[1:]])
    if not table:
        raise ReadError(f"{path} has no row of means; give a header and one row per target")
    return Means(table, [name.strip() for name in header[1:]], targets, metric=metric)


def _cell(path: Path, line: int, text: str) -> float:
    try:
        value = float(text) if text.strip() else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise ReadError(f"{path}:{line} holds {text!r} where a mean is expected; give a number, or nothing")
    return value
