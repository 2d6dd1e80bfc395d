"""Tables on disk: every bit back, nothing half written, and a damaged file names its line."""

from __future__ import annotations

import math
import os
import struct
import sys
from pathlib import Path

import pyarrow as arrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from tests.examples import max_examples
from tests.records.sample_records import record, table
from torchcross.errors import InputError, MissingExtraError, ReadError, WriteError
from torchcross.records import EpisodeRecord, Records, read_records
from torchcross.records.records import FIELDS

KINDS = (".csv", ".parquet")
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
whole = st.integers(0, 2**63 - 1)
rows = st.builds(
    EpisodeRecord,
    run=texts,
    target=texts,
    domain=texts | st.just(""),
    algorithm=texts,
    shots=whole,
    seed=whole,
    episode=whole,
    metric=texts,
    value=st.floats(allow_infinity=False),
    reason=texts,
)


@pytest.mark.parametrize("kind", KINDS)
@max_examples(18)
@given(listed=st.lists(rows, max_size=4))
def test_what_is_written_is_read(tmp_path_factory, kind, listed):
    path = tmp_path_factory.mktemp("records") / f"rows{kind}"
    made = Records.of(listed)
    assert made.write(path) == path
    again = read_records(path)
    assert again == made
    bits = [
        struct.pack("<d", value)
        for value in made.columns["value"].tolist()
        if not math.isnan(value)
    ]
    assert [
        struct.pack("<d", value)
        for value in again.columns["value"].tolist()
        if not math.isnan(value)
    ] == bits


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_half_written(tmp_path, kind, monkeypatch):
    path = tmp_path / f"rows{kind}"
    first = table({"maml": [0.5]})
    first.write(path)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left"):
        table({"maml": [0.25, 0.75]}).write(path)
    assert read_records(path) == first
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_the_name_changes_hands_at_once(tmp_path, monkeypatch):
    path = tmp_path / "rows.csv"
    first = table({"maml": [0.5]})
    first.write(path)
    renamed, replace = [], Path.replace

    def watched(self, target):
        renamed.append((read_records(path), self.suffix, target))
        replace(self, target)

    monkeypatch.setattr(Path, "replace", watched)
    second = table({"maml": [0.25]})
    second.write(path)
    assert renamed == [(first, ".part", path)]
    assert read_records(path) == second


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(WriteError, match="a folder that exists"):
        table({"maml": [0.5]}).write(tmp_path / "none" / "rows.csv")
    with pytest.raises(ReadError, match="cannot be read"):
        read_records(tmp_path / "rows.csv")


def test_other_kinds_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.csv or \.parquet"):
        table({"maml": [0.5]}).write(tmp_path / "rows.xlsx")


HEADER = ",".join(FIELDS)
GOOD = "run,ink/shape,ink,maml,5,0,0,auroc,0.5,"


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        ([], 1, "has the columns"),
        (["run,target"], 1, "has the columns"),
        ([HEADER, GOOD, "run,ink"], 3, "2 fields"),
        ([HEADER, GOOD, GOOD.replace(",5,", ",5.0,")], 3, "shots is '5.0'"),
        ([HEADER, GOOD.replace(",5,", ",1_0,")], 2, "shots is '1_0'"),
        ([HEADER, GOOD.replace("0.5", "inf")], 2, "value is 'inf'"),
        ([HEADER, GOOD.replace("0.5", "1_0.5")], 2, "value is '1_0.5'"),
        ([HEADER, GOOD.replace("0.5", "1e999")], 2, "finite"),
        ([HEADER, GOOD.replace("0.5", "")], 2, "value is ''"),
        ([HEADER, GOOD.replace("0.5", "nan")], 2, "without a reason"),
        ([HEADER, GOOD, '"run,ink'], 3, "unexpected end"),
        ([HEADER, '"two\nlines",' + GOOD.partition(",")[2], ",x"], 4, "2 fields"),
        ([HEADER, GOOD.replace("run", "", 1)], 2, "run is empty"),
    ],
)
def test_a_damaged_csv_names_its_line(tmp_path, lines, line, said):
    path = tmp_path / "rows.csv"
    path.write_text("\n".join(lines) + "\n" if lines else "", encoding="utf-8")
    with pytest.raises(ReadError, match=said) as found:
        read_records(path)
    assert f"rows.csv:{line}" in str(found.value)


def test_columns_may_stand_in_any_order(tmp_path):
    path = tmp_path / "rows.csv"
    backwards = ",".join(reversed(GOOD.split(",")))
    path.write_bytes(f"\ufeff{','.join(reversed(FIELDS))}\r\n{backwards}\r\n".encode())
    assert list(read_records(path)) == [record(value=0.5)]


def test_text_that_is_no_text(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_bytes(f"{HEADER}\n".encode() + b"\xff\n")
    with pytest.raises(ReadError, match=r"rows\.csv:2 is not UTF-8"):
        read_records(path)


def columns(**change):
    return {
        **{name: column.tolist() for name, column in table({"maml": [0.5]}).columns.items()},
        **change,
    }


@pytest.mark.parametrize(
    ("given_columns", "said"),
    [
        (columns(value=["0.5"]), "must hold float64"),
        (columns(shots=[5.0]), "must hold whole numbers"),
        (columns(run=[3]), "must hold text"),
        (columns(value=arrow.array([None], type=arrow.float64())), "1 empty cells"),
        (columns(shots=[-5]), "shots is -5"),
        (columns(more=[1]), "has the columns"),
    ],
)
def test_a_foreign_parquet_is_refused(tmp_path, given_columns, said):
    path = tmp_path / "rows.parquet"
    parquet.write_table(arrow.table(given_columns), path)
    with pytest.raises(ReadError, match=said):
        read_records(path)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(40) + b"PAR1"])
def test_a_damaged_parquet_is_refused(tmp_path, content):
    path = tmp_path / "rows.parquet"
    path.write_bytes(content)
    with pytest.raises(ReadError, match="no Parquet file"):
        read_records(path)


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"\.csv"):
        table({"maml": [0.5]}).write(tmp_path / "rows.parquet")
