"""What an evaluation leaves behind: one value of one metric in one episode, and an immutable table
of them.
"""

from __future__ import annotations

import math
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

__all__ = ["FIELDS", "INTEGERS", "KEY", "TEXTS", "EpisodeRecord", "Records"]

TEXTS: Final = ("run", "target", "domain", "algorithm", "metric", "reason")
INTEGERS: Final = ("shots", "seed", "episode")
KEY: Final = ("run", "target", "algorithm", "shots", "seed", "episode", "metric")
"""No two rows of a table that is to be averaged may agree in all of these."""

_MAY_BE_EMPTY = {"domain", "reason"}
_MOST = 2**63 - 1
_ROWS_SHOWN = 10
_LONGEST = 2**16
"""Readers of CSV files refuse fields of twice that length."""


@final
@dataclass(frozen=True, slots=True)
class EpisodeRecord:
    """`metric` of `algorithm`, trained with `seed`, in episode number `episode` of `target`.

    `value` is NaN, with its `reason`, where the metric is undefined; a defined value may have a
    reason too (what an average had to leave out).
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
            object.__setattr__(self, name, _whole(name, getattr(self, name)))
        object.__setattr__(self, "value", _number(self.value))
        if math.isnan(self.value) and not self.reason:
            raise InputError(
                "an EpisodeRecord's value is NaN without a reason; say why the metric is undefined"
            )

    def __eq__(self, other: object) -> bool:
        return _row(self) == _row(other) if isinstance(other, EpisodeRecord) else NotImplemented

    def __hash__(self) -> int:
        return hash(_row(self))


FIELDS: Final = tuple(field.name for field in fields(EpisodeRecord))
_ALL_FIELDS = attrgetter(*FIELDS)


@final
class Records:
    """Rows of `EpisodeRecord`, held as columns. Immutable; rows stay in the order they came in.

    table = Records.of(records)
    table.where(target="oct/disease class", shots=[1, 5]).columns["value"]
    """

    __slots__ = ("_columns",)

    def __init__(self, columns: Mapping[str, Any]) -> None:
        """From columns of equal length, one for each field; `Records.of` takes rows."""
        if missing := [name for name in FIELDS if name not in columns]:
            raise InputError(
                f"Records got no column {missing}; give one for each of {list(FIELDS)}"
            )
        if unknown := [name for name in columns if name not in FIELDS]:
            raise InputError(f"Records got the unknown columns {unknown}; a row has {list(FIELDS)}")
        made = {name: _column(name, columns[name]) for name in FIELDS}
        if len(lengths := {len(column) for column in made.values()}) > 1:
            raise InputError(
                f"Records got columns of {sorted(lengths)} rows; give columns of one length"
            )
        _check_reasons(made)
        self._columns = made

    @classmethod
    def of(cls, rows: Iterable[EpisodeRecord]) -> Records:
        """A table of these rows."""
        listed = list(rows)
        if strangers := [row for row in listed if not isinstance(row, EpisodeRecord)]:
            raise InputError(f"Records.of got a {type(strangers[0]).__name__}; give EpisodeRecords")
        columns = list(zip(*map(_ALL_FIELDS, listed), strict=True)) or [()] * len(FIELDS)
        return cls._trusted(
            {name: _array(name, column) for name, column in zip(FIELDS, columns, strict=True)}
        )

    @classmethod
    def _trusted(cls, columns: Mapping[str, NDArray[Any]]) -> Records:
        """From arrays that were checked already."""
        table = object.__new__(cls)
        table._columns = {name: read_only(columns[name]) for name in FIELDS}
        return table

    @property
    def columns(self) -> dict[str, NDArray[Any]]:
        """One read-only array per field: texts as objects, whole numbers as int64, values as
        float64.
        """
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
            return EpisodeRecord(
                *(self._columns[name][item : item + 1 or None].tolist()[0] for name in FIELDS)
            )
        return self._trusted({name: column[item] for name, column in self._columns.items()})

    def where(self, **wanted: Any) -> Records:
        """The rows whose fields have these values:
        `where(target="oct/disease class", shots=[1, 5])`.
        """
        kept = np.arange(len(self))
        for name, value in wanted.items():
            # What one field has ruled out is not looked at again.
            column = self._column(name)[kept]
            several = isinstance(value, Iterable) and not isinstance(value, str)
            found = np.zeros(len(kept), dtype=np.bool_)
            for one in value if several else (value,):
                found |= column == one
            kept = kept[found]
        return self[kept]

    def unique(self, name: str) -> tuple[Any, ...]:
        """The different values of a field, in the order they first appear."""
        return tuple(dict.fromkeys(self._column(name).tolist()))

    def __add__(self, other: Records) -> Records:
        if not isinstance(other, Records):
            return NotImplemented
        both = ((name, (column, other._columns[name])) for name, column in self._columns.items())
        return self._trusted({name: np.concatenate(pair) for name, pair in both})

    def sorted(self) -> Records:
        """The same rows in an order that belongs to their values: by run, target, algorithm, shots,
        and so on.
        """
        keys = [self._columns[name].tolist() for name in (*KEY, "domain", "reason")]
        # NaN has no order of its own.
        values = [(math.isnan(value), value) for value in self._columns["value"].tolist()]
        rows = [
            (*key, value if not value[0] else (True, 0.0))
            for *key, value in zip(*keys, values, strict=True)
        ]
        return self[np.array(sorted(range(len(rows)), key=rows.__getitem__), dtype=np.int64)]

    def repeated_keys(self) -> tuple[tuple[Any, ...], ...]:
        """The keys (run, target, algorithm, shots, seed, episode, metric) that more than one row
        has.
        """
        counts: dict[tuple[Any, ...], int] = {}
        for key in zip(*(self._columns[name].tolist() for name in KEY), strict=True):
            counts[key] = counts.get(key, 0) + 1
        return tuple(key for key, count in counts.items() if count > 1)

    def write(self, path: str | Path) -> Path:
        """Write a ".csv" or a ".parquet" file, whole or not at all, and return its path. Values
        keep every bit.
        """
        from torchcross.records.files import write_records

        return write_records(self, Path(path))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Records):
            return NotImplemented
        theirs = other._columns
        return len(self) == len(other) and all(
            np.array_equal(column, theirs[name], equal_nan=name == "value")
            for name, column in self._columns.items()
        )

    __hash__ = None  # type: ignore[assignment]  # tables are compared, not looked up

    def __repr__(self) -> str:
        counts = ", ".join(
            f"{len(self.unique(name))} {name}s" for name in ("target", "algorithm", "metric")
        )
        return f"Records({len(self)} rows: {counts})"

    def _repr_html_(self) -> str:
        shown = [[str(getattr(row, name)) for name in FIELDS] for row in self[:_ROWS_SHOWN]]
        more = [f"{len(self) - len(shown)} more rows"] if len(self) > len(shown) else []
        return html_table(repr(self), FIELDS, shown, more)

    def _column(self, name: str) -> NDArray[Any]:
        if name not in self._columns:
            raise InputError(f"a record has no field {name!r}; choose from {list(FIELDS)}")
        return self._columns[name]


def text_problem(name: str, value: object) -> str:
    """What is wrong with a text, or ""."""
    if not isinstance(value, str):
        return f"{name} is {value!r}; give a string"
    if not value and name not in _MAY_BE_EMPTY:
        return f"{name} is empty; give it a name"
    if len(value) > _LONGEST:
        return f"{name} has {len(value)} characters; give {_LONGEST} at most"
    if not _encodable(value):
        return f"{name} is {value!r}, which UTF-8 cannot hold; give plain text"
    return ""


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _whole(name: str, value: object) -> int:
    integral = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not integral or not 0 <= int(value) <= _MOST:  # type: ignore[call-overload]  # `integral` says that it is one
        raise InputError(
            f"a record's {name} is {value!r}; give a whole number, at least 0 and below 2**63"
        )
    return int(value)  # type: ignore[call-overload,no-any-return]


def _number(value: object) -> float:
    if (
        not isinstance(value, float | int | np.floating | np.integer)
        or isinstance(value, bool)
        or math.isinf(value)
    ):
        raise InputError(
            f"a record's value is {value!r}; give a finite number, or NaN with its reason"
        )
    return math.nan if math.isnan(value) else float(value)


def _row(record: EpisodeRecord) -> tuple[Any, ...]:
    row: tuple[Any, ...] = _ALL_FIELDS(record)
    return tuple(None if isinstance(value, float) and math.isnan(value) else value for value in row)


def _array(name: str, values: Any) -> NDArray[Any]:
    if name in TEXTS:
        texts = np.empty(len(values), dtype=object)
        texts[:] = values
        return texts
    return np.array(values, dtype=np.int64 if name in INTEGERS else np.float64)


def _column(name: str, values: Any) -> NDArray[Any]:
    """A checked, read-only copy."""
    given = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if name in TEXTS:
        for value in dict.fromkeys(given):
            if problem := text_problem(name, value):
                raise InputError(f"the column of {problem}")
        # Equal texts become one object: a column of 100,000 rows has few different ones.
        same = {value: value for value in given}
        return read_only(_array(name, [same[value] for value in given]))
    made = (
        [_whole(name, value) for value in given]
        if name in INTEGERS
        else [_number(value) for value in given]
    )
    return read_only(_array(name, made))


def _check_reasons(columns: Mapping[str, NDArray[Any]]) -> None:
    silent = np.isnan(columns["value"]) & (columns["reason"] == "")
    if silent.any():
        raise InputError(
            f"row {int(np.argmax(silent))} has the value NaN without a reason; say why the metric"
            " is undefined"
        )
