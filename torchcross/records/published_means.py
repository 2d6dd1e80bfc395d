"""A table of means, targets x algorithms: computed from records, or as somebody published it."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.argument_checks import repeated_names
from torchcross._kit.arrays import read_only
from torchcross._kit.spreadsheet_cells import text_of_cell
from torchcross._kit.user_files import read_user_text
from torchcross.errors import InputError, ReadError
from torchcross.records.notebook_tables import html_table

_AVERAGES = {"mean", "average", "avg", "mean of the targets", "mean rank"}


@final
class Means:
    """`values[i, j]` is the mean of algorithm j on target i, NaN where there is none.

    `domains` has one name per target, "" where none was given. `notes` say what was left out.
    """

    __slots__ = ("algorithms", "domains", "metric", "notes", "targets", "values")

    def __init__(
        self,
        values: ArrayLike,
        algorithms: Sequence[str],
        targets: Sequence[str] | None = None,
        *,
        domains: Sequence[str] | None = None,
        metric: str = "",
        notes: Sequence[str] = (),
    ) -> None:
        table = np.array(values, dtype=np.float64)
        has_shape = table.ndim == 2 and len(table) and table.shape[1] == len(algorithms)
        if not has_shape or np.isinf(table).any():
            raise InputError(
                f"a table of means has shape {table.shape} and {len(algorithms)} algorithms; give"
                " one row per target and one column per algorithm, of finite numbers or NaN"
            )
        if targets is None:
            targets = [f"target {row + 1}" for row in range(len(table))]
        if domains is None:
            domains = [""] * len(table)
        for axis, names in (("targets", targets), ("domains", domains)):
            if len(names) != len(table):
                raise InputError(
                    f"a table of {len(table)} rows got {len(names)} {axis}; give one for each row"
                )
        for axis, names in (("targets", targets), ("algorithms", algorithms)):
            if repeated := repeated_names(names):
                raise InputError(
                    f"the {axis} {repeated} stand twice in a table of means; name each once"
                )
        self.values: NDArray[np.float64] = read_only(table)
        self.algorithms = tuple(algorithms)
        self.targets = tuple(targets)
        self.domains = tuple(domains)
        self.metric = metric
        self.notes = tuple(notes)

    def _repr_html_(self) -> str:
        rows = [
            (target, *("" if math.isnan(value) else f"{value:.3f}" for value in row))
            for target, row in zip(self.targets, self.values.tolist(), strict=True)
        ]
        return html_table(self.metric, ("target", *self.algorithms), rows, self.notes)

    def __repr__(self) -> str:
        return (
            f"Means({len(self.targets)} targets x {list(self.algorithms)}, metric={self.metric!r})"
        )


def read_means(path: str | Path, *, metric: str = "") -> Means:
    """Read a published table of means.

    It is a CSV file: a header with the algorithms, then a target and its means in each row. An
    empty cell or `nan` is a mean that was not given. Where the first column is called "domain", the
    targets stand in the second one, and an empty domain is that of the row above. A row that
    averages the others is refused: it is no target. An apostrophe before =, +, - or @ at the start
    of a name, which our own tables have, is left out.

    >>> import csv
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from torchcross.records import read_means
    >>> rows = [["target", "ridge", "ncm"], ["oct", 88.1, 84.0], ["derm", 71.3, ""]]
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "table4.csv")
    ...     with path.open("w", newline="") as file:
    ...         csv.writer(file).writerows(rows)
    ...     means = read_means(path, metric="auroc")
    ...
    >>> means.algorithms, means.targets, means.values[0]
    (('ridge', 'ncm'), ('oct', 'derm'), array([88.1, 84. ]))
    """
    path = Path(path)
    reader = csv.reader(io.StringIO(read_user_text(path), newline=""))
    header = [text_of_cell(name.strip()) for name in next(reader, [])]
    has_domains = [name.lower() for name in header[:1]] == ["domain"]
    first = 2 if has_domains else 1
    if any(name.endswith(": mean") for name in header):
        raise ReadError(
            f"{path} is a table that a report wrote, with intervals; give the folder of the run, or"
            " keep the columns of means and name them after the algorithms"
        )
    if len(header) <= first:
        raise ReadError(
            f"{path} has no column of means; give a header with a name for the targets and the"
            " algorithms"
        )
    domains, targets, table = [""], [], []
    for row in reader:
        if not any(cell.strip() for cell in row):
            continue
        line = f"{path}:{reader.line_num}"
        if len(row) != len(header):
            raise ReadError(f"{line} has {len(row)} cells where the header has {len(header)}")
        target = text_of_cell(row[first - 1].strip())
        if target.lower().rstrip(".") in _AVERAGES:
            raise ReadError(
                f"{line} is called {target!r}: an average of rows is no target; leave it out"
            )
        domains.append((text_of_cell(row[0].strip()) or domains[-1]) if has_domains else "")
        targets.append(target)
        table.append([_mean(line, cell) for cell in row[first:]])
    if not table:
        raise ReadError(f"{path} has no row of means; give a header and one row per target")
    return Means(table, header[first:], targets, domains=domains[1:], metric=metric)


def _mean(line: str, text: str) -> float:
    try:
        value = float(text) if text.strip() else math.nan
    except ValueError:
        value = math.inf
    if math.isinf(value):
        raise ReadError(
            f"{line} holds {text!r} where a mean is expected; give a number, or nothing"
        )
    return value
