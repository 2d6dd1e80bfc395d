"""Labels that are not what they must be: an error says what was found where, what was expected and
what to do.
"""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch

from torchcross.errors import LabelError
from torchcross.targets import MultiClass, MultiLabel, Ordinal

ABC = MultiClass(["a", "b", "c"])
ABC_OR_UNKNOWN = MultiClass(["a", "b", "c"], missing=[float("nan"), -1, "?"])
GRADED = Ordinal({-2: "low", 0: "mid", 7: "high"})
PAIR = MultiLabel(["x", "y"])


def refused(*messages: str):
    return pytest.raises(LabelError, match=".*".join(re.escape(message) for message in messages))


@pytest.mark.parametrize(
    ("target", "labels", "where"),
    [
        (ABC, np.array([0, 1, np.nan, np.nan]), "2 NaN or None, the first at index 2"),
        (ABC, torch.tensor([float("nan"), 5.0]), "1 NaN or None, the first at index 0"),
        (ABC, ["a", None], "1 NaN or None, the first at index 1"),
        (ABC, ["a", float("nan"), "d"], "1 NaN or None, the first at index 1"),
        (ABC, pd.Series([0, None], dtype="Int64"), "1 NaN or None, the first at index 1"),
        (MultiClass(["nan", "b"]), ["b", float("nan")], "1 NaN or None, the first at index 1"),
        (PAIR, [[0, 1], [0, np.nan]], "1 NaN or None, the first at row 1, column 1 (y)"),
        (PAIR, [[0, 1], [None, 1]], "1 NaN or None, the first at row 1, column 0 (x)"),
    ],
)
def test_undeclared_nan_is_refused_with_advice(target, labels, where):
    advice = (
        f"if that means unknown, declare it: {type(target).__name__}(..., missing=float('nan'))"
    )
    with refused(f"labels hold {where}", advice):
        target.encode(labels)


@pytest.mark.parametrize(
    ("target", "labels", "found"),
    [
        (ABC, [0, 5, -1, 5], "3 value(s) outside the classes: 5, -1 (the first at index 1)"),
        (ABC, ["a", "B"], "1 value(s) outside the classes: 'B' (the first at index 1)"),
        (ABC, ["0", "1"], "2 value(s) outside the classes: '0', '1' (the first at index 0)"),
        (ABC, [10**30], "outside the classes: 1000000000"),
        (ABC, np.array([2**64 - 1], dtype=np.uint64), "outside the classes: 18446744073709551615"),
        (ABC, [1e300], "outside the classes: 1e+300"),
        (
            ABC,
            np.array(["a", [1]], dtype=object),
            "outside the classes: [1] (the first at index 1)",
        ),
        (
            ABC,
            np.array(["a", 0.5], dtype=object),
            "outside the classes: 0.5 (the first at index 1)",
        ),
        (
            ABC,
            ["a", Decimal("sNaN")],
            "outside the classes: Decimal('sNaN') (the first at index 1)",
        ),
        (
            ABC_OR_UNKNOWN,
            [float("nan"), 7.0],
            "1 value(s) outside the classes: 7.0 (the first at index 1)",
        ),
        (GRADED, [0, 1, 2], "2 value(s) outside the classes: 1, 2 (the first at index 1)"),
        (GRADED, [True], "1 value(s) outside the classes: True (the first at index 0)"),
        (
            PAIR,
            [[0, 1], [2, 1]],
            "1 value(s) outside the classes: 2 (the first at row 1, column 0 (x))",
        ),
        (PAIR, [["0", "1"]], "2 value(s) outside the classes: '0', '1'"),
        (PAIR, [["x", "y"]], "2 value(s) outside the classes: 'x', 'y'"),
    ],
)
def test_values_outside_the_classes_are_named_with_their_place(target, labels, found):
    with refused(found, "If such a value means unknown, declare it"):
        target.encode(labels)


def test_the_message_shows_what_is_expected():
    with refused("expected -2 (low), 0 (mid), 7 (high), as values or names"):
        GRADED.encode([1])
    with refused("expected 0 (a), 1 (b), 2 (c), as values or names; declared missing: -1, ?, nan"):
        ABC_OR_UNKNOWN.encode([9])
    with refused(
        "labels of 'scans' hold", "0 (c0), 1 (c1), 2 (c2), 3 (c3), ..., 98 (c98), 99 (c99)"
    ):
        MultiClass([f"c{number}" for number in range(100)]).encode([100], "labels of 'scans'")
    with refused("outside the classes: 3, 4, 5, 6, 7, ... (the first"):
        ABC.encode(range(100))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble])
@pytest.mark.parametrize("value", [0.5, np.inf, -np.inf, -1.25])
def test_floats_that_are_not_integral_are_refused(dtype, value):
    with refused(f"labels hold {value!r} at index 1; labels must be integral: 0 (a)"):
        ABC.encode(np.array([1, value], dtype=dtype))
    with refused("at row 0, column 1 (y); labels must be integral: 0, 1"):
        PAIR.encode(np.array([[1, value]], dtype=dtype))


@pytest.mark.parametrize(
    ("labels", "shape", "advice"),
    [
        (
            np.eye(3),
            "(3, 3)",
            "for one-hot rows pass labels.argmax(1), for several labels per sample use MultiLabel",
        ),
        (np.zeros((2, 2, 2)), "(2, 2, 2)", "shape (N,) or (N, 1)"),
        (np.zeros((0, 3)), "(0, 3)", "shape (N,) or (N, 1)"),
        (torch.tensor(1), "()", "got a single Tensor, put labels into a list or an array"),
        (1, "()", "got a single int"),
        (None, "()", "got a single NoneType"),
        ("abc", "()", "got a single str"),
        ({0, 1}, "()", "got a single set"),
        ((label for label in [0, 1]), "()", "got a single generator"),
    ],
)
def test_a_wrong_shape_is_refused_with_advice(labels, shape, advice):
    with refused(f"labels have shape {shape}; MultiClass takes one label per sample", advice):
        ABC.encode(labels)


def test_one_hot_rows_of_grades_are_not_argmaxed():
    with refused("for one-hot rows pass the label value of each row"):
        GRADED.encode(np.eye(3))


@pytest.mark.parametrize(
    ("target", "labels", "message"),
    [
        (
            PAIR,
            [0, 1],
            (
                "labels have shape (2,); MultiLabel with 2 labels takes zeros and ones of shape (N,"
                " 2); one class"
            ),
        ),
        (
            PAIR,
            [[0, 1, 1]],
            (
                "labels have shape (1, 3); MultiLabel with 2 labels takes zeros and ones of shape"
                " (N, 2)"
            ),
        ),
        (
            PAIR,
            [],
            "labels have shape (0,); MultiLabel with 2 labels takes zeros and ones of shape (N, 2)",
        ),
        (PAIR, np.zeros((2, 2, 2)), "labels have shape (2, 2, 2)"),
        (MultiLabel(["x"]), [0, 1], "fits as labels.reshape(-1, 1)"),
    ],
)
def test_a_wrong_shape_of_several_labels_is_refused_with_advice(target, labels, message):
    with refused(message):
        target.encode(labels)


@pytest.mark.parametrize(
    "labels",
    [
        np.array([1j]),
        torch.tensor([1j]),
        np.array(["2020-01-01"], dtype="datetime64[D]"),
        np.array([1], dtype="timedelta64[D]"),
        np.array([(1, 2)], dtype=[("a", int), ("b", int)]),
        np.array([b"a"], dtype="V1"),
    ],
    ids=["complex", "complex tensor", "date", "duration", "record", "void"],
)
def test_dtypes_that_are_no_labels_are_refused(labels):
    for target, array in ((ABC, labels), (MultiLabel(["x"]), labels.reshape(-1, 1))):
        with refused(
            "labels have dtype", "expected booleans, integers, floats with integral values"
        ):
            target.encode(array)


@pytest.mark.parametrize(
    "labels",
    [
        [[0, 1], [1]],
        torch.tensor([0, 1]).to_sparse(),
        torch.empty(2, device="meta"),
        torch.tensor([1j]).conj(),
        [torch.tensor(0.0, requires_grad=True)],
    ],
    ids=["ragged", "sparse", "meta", "conjugate", "list of parameters"],
)
def test_what_is_no_array_is_refused(labels):
    with refused(
        "labels cannot be read as an array (",
        "give a numpy array, a dense tensor or a list of rows",
    ):
        ABC.encode(labels)


def test_masked_arrays_keep_their_mask():
    with refused(
        "labels hold 1 masked entries; fill them with a value that the target declares missing"
    ):
        ABC_OR_UNKNOWN.encode(np.ma.array([0, 1, 2], mask=[False, True, False]))
