"""A record is one value of one metric in one episode; `Records` is an immutable table of them.

To add a column, add a field to `EpisodeRecord`: the table and its files follow. The field is filled
in `torchcross.evaluation.evaluate` and, for a test split, in `torchcross.experiment.run.scoring`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, final, overload

import numpy as np
from numpy.typing import NDArray

from torchcross._kit.arrays import read_only
from torchcross.errors import InputError
from torchcross.records.notebook_tables import html_table
from torchcross.records.shots import shots_number, shots_word

KEY: Final = ("run", "target", "algorithm", "shots", "seed", "episode", "metric")
"""No two rows of a table may agree in all of these fields if the table is to be averaged."""

SHOTS: Final = "shots"
_MAY_BE_EMPTY = {"domain", "reason"}
_LARGEST_INTEGER = 2**63 - 1
_ROWS_SHOWN = 10
_LONGEST_TEXT = 2**16
"""Readers of CSV files refuse fields of twice that length."""


@final
@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """`metric` of `algorithm`, trained with `seed`, in episode number `episode` of `target`.

    `value` is NaN, with its `reason`, where the metric is undefined. A defined value may have a
    reason too, for example what an average left out. `shots` is 0 without a support set, and may be
    "all" for what learned from all labels of a target: it is kept as `ALL_SHOTS`.
    """

    run: str
    target: str
    domain: str
    algorithm: str
    shots: int
    seed: int
    episode: int
    metric: str
    value: float
    reason: str = ""

    def __post_init__(self) -> None:
        for name in TEXTS:
            if problem := text_problem(name, getattr(self, name)):
                raise InputError(f"an EpisodeRecord's {problem}")
        for name in INTEGERS:
            object.__setattr__(self, name, _checked_integer(name, getattr(self, name)))
        object.__setattr__(self, "value", _checked_value(self.value))
        if math.isnan(self.value) and not self.reason:
            raise InputError(
                "an EpisodeRecord's value is NaN without a reason; say why the metric is undefined"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, EpisodeRecord):
            return NotImplemented
        return _comparable(self) == _comparable(other)

    def __hash__(self) -> int:
        return hash(_comparable(self))


FIELDS: Final = tuple(field.name for field in fields(EpisodeRecord))
# The annotations are strings: this module has `from __future__ import annotations`.
TEXTS: Final = tuple(field.name for field in fields(EpisodeRecord) if field.type == "str")
INTEGERS: Final = tuple(field.name for field in fields(EpisodeRecord) if field.type == "int")
_ALL_FIELDS = attrgetter(*FIELDS)


@final
class Records:
    """Rows of `EpisodeRecord`, held as columns. Immutable; rows keep their order.

    table = Records.of(records)
    table.where(target="oct/disease class", shots=[1, 5]).columns["value"]

    >>> from torchcross.records import EpisodeRecord, Records
    >>> row = EpisodeRecord("first", "ink/shape", "ink", "protonet", 5, 0, 0, "auroc", 0.9)
    >>> records = Records.of([row])
    >>> len(records)
    1
    """

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """From columns of equal length, one for each field. `Records.of` takes rows."""
        if missing := [name for name in FIELDS if name not in columns]:
            raise InputError(
                f"Records got no column {missing}; give one for each of {list(FIELDS)}"
            )
        if unknown := [name for name in columns if name not in FIELDS]:
            raise InputError(f"Records got the unknown columns {unknown}; a row has {list(FIELDS)}")
        arrays = {name: _checked_column(name, columns[name]) for name in FIELDS}
        if len(lengths := {len(column) for column in arrays.values()}) > 1:
            raise InputError(
                f"Records got columns of {sorted(lengths)} rows; give columns of one length"
            )
        without_reason = np.isnan(arrays["value"]) & (arrays["reason"] == "")
        if without_reason.any():
            raise InputError(
                f"row {int(np.argmax(without_reason))} has the value NaN without a reason; say why"
                " the metric is undefined"
            )
        self._columns = arrays

    @classmethod
    def of(cls, rows: Iterable[EpisodeRecord]) -> Records:
        """A table of these rows."""
        rows = list(rows)
        for row in rows:
            if not isinstance(row, EpisodeRecord):
                raise InputError(f"Records.of got a {type(row).__name__}; give EpisodeRecords")
        columns = list(zip(*map(_ALL_FIELDS, rows), strict=True)) or [()] * len(FIELDS)
        return cls._from_checked(
            {name: _array(name, column) for name, column in zip(FIELDS, columns, strict=True)}
        )

    @classmethod
    def _from_checked(cls, columns: Mapping[str, NDArray[Any]]) -> Records:
        """From arrays that are checked."""
        table = object.__new__(cls)
        table._columns = {name: read_only(columns[name]) for name in FIELDS}
        return table

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """One read-only array per field: texts as objects, integers as int64, values as float64."""
        return dict(self._columns)

    def __len__(self) -> int:
        return len(self._columns["value"])

    def __iter__(self) -> Iterator[EpisodeRecord]:
        for row in zip(*(self._columns[name].tolist() for name in FIELDS), strict=True):
            yield EpisodeRecord(*row)

    @overload
    def __getitem__(self, item: int) -> EpisodeRecord: ...
    @overload
    def __getitem__(self, item: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Records: ...
    def __getitem__(self, item: int | slice | NDArray[Any]) -> EpisodeRecord | Records:
        if isinstance(item, int):
            # A slice and `tolist` give Python numbers; `or None`: the slice of -1 is [-1:].
            rows = slice(item, item + 1 or None)
            return EpisodeRecord(*(self._columns[name][rows].tolist()[0] for name in FIELDS))
        return self._from_checked({name: column[item] for name, column in self._columns.items()})

    def where(self, **wanted: Any) -> Records:
        """The rows whose fields have these values: `where(algorithm="maml", shots=[1, "all"])`."""
        rows = np.arange(len(self))
        for name, value in wanted.items():
            # Rows that one field has ruled out are not looked at again.
            column = self._column(name)[rows]
            several = isinstance(value, Iterable) and not isinstance(value, str)
            matches = np.zeros(len(rows), dtype=np.bool_)
            for each in value if several else (value,):
                matches |= column == (shots_number(each) if name == SHOTS else each)
            rows = rows[matches]
        return self[rows]

    def unique(self, name: str) -> tuple[Any, ...]:
        """The different values of a field, in the order they first appear."""
        return tuple(dict.fromkeys(self._column(name).tolist()))

    def __add__(self, other: Records) -> Records:
        if not isinstance(other, Records):
            return NotImplemented
        columns = {
            name: np.concatenate([column, other._columns[name]])
            for name, column in self._columns.items()
        }
        return self._from_checked(columns)

    def sorted_rows(self) -> Records:
        """The same rows, sorted by run, target, algorithm, shots, and so on."""
        keys = [self._columns[name].tolist() for name in (*KEY, "domain", "reason")]
        values = self._columns["value"]
        # NaN has no order: it comes last.
        keys += [np.isnan(values).tolist(), np.nan_to_num(values).tolist()]
        rows = list(zip(*keys, strict=True))
        return self[np.array(sorted(range(len(rows)), key=rows.__getitem__), dtype=np.int64)]

    def repeated_keys(self) -> tuple[tuple[Any, ...], ...]:
        """The keys (run, target, algorithm, shots, seed, episode, metric) of more than one row."""
        counts = Counter(zip(*(self._columns[name].tolist() for name in KEY), strict=True))
        return tuple(key for key, count in counts.items() if count > 1)

    def write(self, path: str | Path) -> Path:
        """Write a ".csv" or a ".parquet" file, whole or not at all, and return its path.

        Values keep every bit.
        """
        from torchcross.records.files import write_records

        return write_records(self, Path(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Records):
            return NotImplemented
        return all(
            np.array_equal(column, other._columns[name], equal_nan=name == "value")
            for name, column in self._columns.items()
        )

    __hash__ = None  # type: ignore[assignment]  # tables are compared, not looked up

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{len(self.unique(name))} {name}s" for name in ("target", "algorithm", "metric")
        )
        return f"Records({len(self)} rows: {counts})"

    def _repr_html_(self) -> str:
        place = FIELDS.index(SHOTS)
        rows = [list(map(str, _ALL_FIELDS(row))) for row in self[:_ROWS_SHOWN]]
        for row, record in zip(rows, self, strict=False):
            row[place] = str(shots_word(record.shots))
        notes = [f"{len(self) - len(rows)} more rows"] if len(self) > len(rows) else []
        return html_table(repr(self), FIELDS, rows, notes)

    def _column(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            raise InputError(f"a record has no field {name!r}; choose from {list(FIELDS)}")
        return self._columns[name]


def text_problem(name: str, value: object) -> str:
    """Why the text is not valid, or ""."""
    if not isinstance(value, str):
        return f"{name} is {value!r}; give a string"
    if not value and name not in _MAY_BE_EMPTY:
        return f"{name} is empty; give it a name"
    if len(value) > _LONGEST_TEXT:
        return f"{name} has {len(value)} characters; give {_LONGEST_TEXT} at most"
    try:
        value.encode()
    except UnicodeEncodeError:
        return f"{name} is {value!r}, which UTF-8 cannot hold; give plain text"
    return ""


def _checked_integer(name: str, value: object) -> int:
    if name == SHOTS:
        value = shots_number(value)
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        integer = int(value)
        if 0 <= integer <= _LARGEST_INTEGER:
            return integer
    raise InputError(
        f"a record's {name} is {value!r}; give a whole number, at least 0 and below 2**63"
    )


def _checked_value(value: object) -> float:
    if isinstance(value, float | int | np.floating | np.integer) and not isinstance(value, bool):
        if math.isnan(value):
            return math.nan
        if not math.isinf(value):
            return float(value)
    raise InputError(f"a record's value is {value!r}; give a finite number, or NaN with its reason")


def _comparable(record: EpisodeRecord) -> tuple[Any, ...]:
    """The fields with None for NaN: two undefined values are equal."""
    value = None if math.isnan(record.value) else record.value
    return (*(getattr(record, name) for name in FIELDS if name != "value"), value)


def _array(name: str, values: Any) -> NDArray[Any]:
    if name in TEXTS:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    return np.array(values, dtype=np.int64 if name in INTEGERS else np.float64)


def _is_numbers(name: str, values: Any) -> bool:
    """Whether they are an array that a column can be, for which one look at all is enough."""
    if not isinstance(values, np.ndarray) or values.ndim != 1 or not values.size:
        return False
    if name in INTEGERS:
        return values.dtype == np.int64 and int(values.min()) >= 0
    return name not in TEXTS and values.dtype == np.float64 and not np.isinf(values).any()


def _checked_column(name: str, values: Any) -> NDArray[Any]:
    """A read-only copy."""
    if _is_numbers(name, values):
        return read_only(values.copy())
    cells = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if name in INTEGERS:
        cells = [_checked_integer(name, cell) for cell in cells]
    elif name not in TEXTS:
        cells = list(map(_checked_value, cells))
    else:
        # Equal texts become one object: a column of 100,000 rows has few different ones.
        unique = {cell: cell for cell in cells}
        for cell in unique:
            if problem := text_problem(name, cell):
                raise InputError(f"the column of {problem}")
        cells = [unique[cell] for cell in cells]
    return read_only(_array(name, cells))
