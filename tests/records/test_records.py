"""Records: what a row may hold, and a table that nobody changes."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest

from tests.records.sample_records import record, table
from torchcross.errors import InputError
from torchcross.records import Records


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("run", "", "run is empty"),
        ("target", 3, "target is 3"),
        ("algorithm", "\ud800", "UTF-8"),
        ("metric", "x" * 70000, "70000 characters"),
        ("shots", -1, "shots is -1"),
        ("seed", True, "seed is True"),
        ("episode", 1.0, "episode is 1.0"),
        ("episode", 2**63, "below 2"),
        ("value", math.inf, "finite"),
        ("value", "0.5", "finite"),
        ("value", True, "finite"),
    ],
)
def test_a_row_that_cannot_be(field, value, said):
    given = {
        "run": "r",
        "target": "t",
        "domain": "",
        "algorithm": "a",
        "shots": 5,
        "seed": 0,
        "episode": 0,
    }
    given |= {"metric": "auroc", "value": 0.5, field: value}
    with pytest.raises(InputError, match=said):
        type(record())(**given)


def test_nan_needs_its_reason():
    with pytest.raises(InputError, match="without a reason"):
        record(value=math.nan, reason="")
    assert math.isnan(record(value=math.nan, reason="one class only").value)


def test_undefined_rows_are_equal_and_found():
    assert record(value=math.nan) == record(value=math.nan)
    assert record(value=math.nan) != record(value=math.nan, reason="another")
    assert len({record(value=math.nan), record(value=-math.nan)}) == 1
    assert record(value=np.float64(0.25), shots=np.int64(3)) == record(value=0.25, shots=3)


def test_rows_come_back_in_order():
    rows = [record(episode=3), record(episode=1, value=math.nan), record(episode=2, shots=1)]
    made = Records.of(iter(rows))
    assert list(made) == rows
    assert made[1] == rows[1]
    assert made[-1] == rows[-1]
    with pytest.raises(IndexError):
        made[3]
    assert list(made[1:]) == rows[1:]
    assert Records.of(made) == made
    assert len(Records.of([])) == 0
    assert list(Records.of([])) == []


def test_columns_are_typed_and_read_only():
    columns = table({"maml": [0.5, math.nan]}).columns
    assert columns["episode"].dtype == np.int64
    assert columns["value"].dtype == np.float64
    assert columns["target"].tolist() == ["ink/shape"] * 2
    for column in columns.values():
        with pytest.raises(ValueError, match="read-only"):
            column[0] = column[1]
    columns.pop("run")
    assert "run" in table({"maml": [0.5]}).columns


def test_where_and_unique():
    made = table({"maml": [0.1, 0.2], "ridge": [0.3]}) + table({"maml": [0.4]}, shots=1)
    assert made.where(algorithm="maml", shots=5).columns["value"].tolist() == [0.1, 0.2]
    assert made.where(shots=[1, 5], episode=0).columns["value"].tolist() == [0.1, 0.3, 0.4]
    assert len(made.where(algorithm="anil")) == 0
    assert len(made.where(algorithm=[])) == 0
    assert made.where() == made
    assert made.unique("algorithm") == ("maml", "ridge")
    assert made.unique("shots") == (5, 1)
    with pytest.raises(InputError, match="no field 'algorithms'"):
        made.where(algorithms="maml")


def test_sorted_rows_are_the_same_for_every_order():
    made = table({"ridge": [0.3, math.nan], "maml": [0.1, 0.2]})
    back = Records.of(reversed(list(made)))
    assert back != made
    assert back.sorted_rows() == made.sorted_rows()
    assert made.sorted_rows().unique("algorithm") == ("maml", "ridge")


def test_repeated_keys_are_found():
    made = table({"maml": [0.1, 0.2]})
    assert made.repeated_keys() == ()
    assert (made + made[:1]).repeated_keys() == (("run", "ink/shape", "maml", 5, 0, 0, "auroc"),)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"value": [0.5]}, "columns of"),
        ({"value": [0.5, math.inf]}, "finite"),
        ({"value": [0.5, math.nan]}, "row 1"),
        ({"shots": [1.5, 1]}, "shots is 1.5"),
        ({"extra": [1, 1]}, "unknown columns"),
        ({"metric": ["", "auroc"]}, "metric is empty"),
    ],
)
def test_columns_are_checked(change, said):
    columns = table({"maml": [0.5, 0.25]}).columns
    with pytest.raises(InputError, match=said):
        Records({**columns, **change})


def test_columns_of_others_are_copied():
    columns = {
        name: column.tolist() for name, column in table({"maml": [0.5, 0.25]}).columns.items()
    }
    columns["value"] = np.array([0.5, 0.25])
    made = Records(columns)
    columns["value"][0] = 9
    assert made.columns["value"].tolist() == [0.5, 0.25]
    with pytest.raises(InputError, match="no column"):
        Records({"run": ["r"]})


def test_a_table_survives_a_worker():
    made = table({"maml": [0.5, math.nan]})
    assert pickle.loads(pickle.dumps(made)) == made
    assert pickle.loads(pickle.dumps(made[0])) == made[0]


def test_only_records_are_rows():
    with pytest.raises(InputError, match="got a dict"):
        Records.of([{"run": "r"}])
