"""Raw labels of every kind of container become codes, or an error that says what was found
where.
"""

from __future__ import annotations

import re
import tracemalloc
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch

from torchcross.errors import InputError, LabelError
from torchcross.targets import Binary, Cover, MultiClass, MultiLabel, Ordinal, Partition, Target

# numpy 2 has a type of strings.
STRINGS = np.dtypes.StringDType() if hasattr(np.dtypes, "StringDType") else np.dtype(object)
ABC = MultiClass(["a", "b", "c"])
ABC_OR_UNKNOWN = MultiClass(["a", "b", "c"], missing=[float("nan"), -1, "?"])
GRADED = Ordinal({-2: "low", 0: "mid", 7: "high"})
PAIR = MultiLabel(["x", "y"])
PAIR_OR_UNKNOWN = MultiLabel(["x", "y"], missing=[float("nan"), -1, "?"])

INTEGERS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", ">i4", ">u8"]
FLOATS = ["float16", "float32", "float64", ">f4", "longdouble"]
TORCH = [
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint16",
    "uint32",
    "uint64",
    "bfloat16",
    "float16",
]


def refused(*messages: str):
    return pytest.raises(LabelError, match=".*".join(re.escape(message) for message in messages))


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_every_numpy_number(dtype):
    codes = ABC.encode(np.array([2, 0, 1], dtype=dtype))
    assert codes.dtype == np.int8
    assert codes.tolist() == [2, 0, 1]
    assert PAIR.encode(np.array([[1, 0], [0, 1]], dtype=dtype)).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize("dtype", [*TORCH, "float32", "float64", "float8_e5m2"])
def test_every_torch_number(dtype):
    labels = torch.tensor([1, 0, 1]).to(getattr(torch, dtype))
    assert ABC.encode(labels).tolist() == [1, 0, 1]
    assert PAIR.encode(torch.stack([labels, labels], dim=1)).tolist() == [[1, 1], [0, 0], [1, 1]]


def test_tensors_that_are_part_of_a_graph_or_not_contiguous():
    labels = torch.tensor([[0.0, 2.0], [1.0, 0.0]], requires_grad=True)
    assert ABC.encode(labels[:, 1]).tolist() == [2, 0]
    assert ABC.encode(labels.mT[0] * 2).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        ([0, 2, 1], [0, 2, 1]),
        ((2, 1), [2, 1]),
        (range(3), [0, 1, 2]),
        ([True, False], [1, 0]),
        ([0.0, 2.0], [0, 2]),
        ([[0], [2]], [0, 2]),
        (np.array([[0], [2]]), [0, 2]),
        (torch.tensor([[0], [2]]), [0, 2]),
        (["a", "c"], [0, 2]),
        ([["a"], ["c"]], [0, 2]),
        (np.array(["a", "c"]), [0, 2]),
        (np.array([b"a", b"c"]), [0, 2]),
        (np.array(["a", "c"], dtype=STRINGS), [0, 2]),
        (
            np.array(["a", 1, 2.0, np.int8(0), np.str_("b"), Decimal(2)], dtype=object),
            [0, 1, 2, 0, 1, 2],
        ),
        ([torch.tensor(0), torch.tensor(2)], [0, 2]),
        (np.arange(6)[::2] // 2, [0, 1, 2]),
        (np.ma.array([0, 1], mask=[False, False]), [0, 1]),
        (pd.Series([2, 0]), [2, 0]),
        (pd.Series(["c", "a"]), [2, 0]),
        (pd.Series(["c", "a"], dtype="category"), [2, 0]),
        (pd.Series([2, 0], dtype="Int64"), [2, 0]),
        (pd.DataFrame({"label": ["c", "a"]}), [2, 0]),
        (np.array([-0.0, 1.0]), [0, 1]),
    ],
)
def test_every_container(labels, codes):
    assert ABC.encode(labels).tolist() == codes


def test_names_may_hold_any_text():
    target = MultiClass(["größer: 2 - 3", "0", "nan"])
    assert target.encode(["nan", "größer: 2 - 3", "0", 0]).tolist() == [2, 0, 1, 0]
    assert target.encode(
        np.array([name.encode() for name in target.classes], dtype=object)
    ).tolist() == [0, 1, 2]


def test_label_values_need_not_be_positions():
    assert GRADED.encode([7, -2, 0, 0]).tolist() == [2, 0, 1, 1]
    assert GRADED.encode(np.float32([7, -2])).tolist() == [2, 0]
    assert GRADED.encode(["high", -2]).tolist() == [2, 0]
    assert MultiClass({9: "a", 3: "b"}).encode(np.uint64([3, 9])).tolist() == [1, 0]
    assert Binary({2: "benign", 7: "malignant"}).encode([7, 2]).tolist() == [1, 0]
    extreme = MultiClass({-(2**63): "a", 2**63 - 1: "b"})
    assert extreme.encode([2**63 - 1, -(2**63)]).tolist() == [1, 0]


def test_no_value_is_rounded_or_wrapped_into_a_class():
    with refused("outside the classes: 9007199254740992"):
        MultiClass({2**53 + 1: "a", 0: "b"}).encode(np.array([2.0**53]))
    with refused("outside the classes: 16777216"):
        MultiClass({2**24 + 1: "a", 0: "b"}).encode(np.array([2**24], dtype=np.float32))
    with refused("outside the classes: 18446744073709551615"):
        MultiClass({-1: "a", 0: "b"}).encode(np.array([2**64 - 1], dtype=np.uint64))
    with refused("outside the classes: 9.223372036854776e+18"):
        MultiClass({-(2**63): "a", 0: "b"}).encode(np.array([2.0**63]))


@pytest.mark.parametrize("classes", [2, 127, 128, 129, 40_000])
def test_codes_are_as_small_as_they_can_be(classes):
    codes = MultiClass([str(number) for number in range(classes)], missing=-1).encode(
        [classes - 1, -1]
    )
    assert codes.tolist() == [classes - 1, -1]
    assert codes.dtype == (
        np.int8 if classes <= 128 else np.int16 if classes <= 2**15 else np.int32
    )


@pytest.mark.parametrize(
    "labels",
    [
        np.array(
            ["a", None, "?", float("nan"), "NaN", np.float32("nan"), Decimal("nan"), -1, 2],
            dtype=object,
        ),
        ["a", None, "?", float("nan"), "nan", pd.NA, pd.NaT, np.int8(-1), 2.0],
    ],
)
def test_declared_unknowns_in_a_table_column_are_masked(labels):
    assert ABC_OR_UNKNOWN.encode(labels).tolist() == [0, -1, -1, -1, -1, -1, -1, -1, 2]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([0, np.nan, -1, 2]),
        torch.tensor([0, float("nan"), -1, 2], dtype=torch.bfloat16),
        pd.Series([0, None, -1, 2]),
        pd.Series([0, None, -1, 2], dtype="Int64"),
        pd.Series(["a", None, "?", "c"], dtype="category"),
        pd.Series(["a", None, "?", "c"], dtype="string"),
        ["a", float("nan"), "?", "c"],
    ],
)
def test_declared_unknowns_in_arrays_are_masked(labels):
    assert ABC_OR_UNKNOWN.encode(labels).tolist() == [0, -1, -1, 2]


def test_unknown_entries_of_a_multi_label_array():
    expected = [[0, -1], [1, -1], [-1, 1]]
    for labels in (
        np.array([[0, np.nan], [1, -1], [-1, 1]]),
        [[0, None], [True, "?"], [float("nan"), 1.0]],
        pd.DataFrame({"x": [0, 1, None], "y": [None, None, 1]}),
        pd.DataFrame({"x": ["?", "?", "?"], "y": [None, None, 1]}).assign(x=[0, 1, -1]),
    ):
        assert PAIR_OR_UNKNOWN.encode(labels).tolist() == expected
    assert MultiLabel(["x"], missing=255).encode(
        np.array([[1], [255]], dtype=np.uint8)
    ).tolist() == [[1], [-1]]


@pytest.mark.parametrize(
    "labels",
    [[], np.zeros(0, dtype=int), torch.zeros(0), np.zeros((0, 1)), np.zeros(0, dtype=object)],
)
def test_no_samples_are_no_codes(labels):
    codes = ABC.encode(labels)
    assert codes.shape == (0,)
    assert codes.dtype == np.int8
    assert PAIR.encode(np.zeros((0, 2))).shape == (0, 2)


def test_the_array_given_stays_as_it_is_and_apart():
    raw = np.array([0, 2, 1], dtype=np.int8)
    raw.flags.writeable = False
    codes = ABC.encode(raw)
    assert codes.flags.writeable
    assert not np.shares_memory(codes, raw)
    tensor = torch.tensor([[0, 1]], dtype=torch.int8)
    PAIR.encode(tensor)[:] = -1
    assert tensor.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "target", [MultiClass(["a", "b", "c"], missing=-1), Ordinal(["a", "b", "c"], [0, 3, 4])]
)
@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_memory_is_of_the_order_of_the_labels(target: Target, dtype):
    labels = np.asarray(target.values, dtype=dtype)[np.arange(3_000_000) % 3]
    tracemalloc.start()
    codes = target.encode(labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert codes.nbytes * 8 == labels.nbytes
    assert peak < labels.nbytes


def test_a_stranger_behind_the_first_chunk_is_found():
    labels = np.zeros(600_000, dtype=int)
    labels[599_999] = 3
    with refused("1 value(s) outside the classes: 3 (the first at index 599999)"):
        ABC.encode(labels)
    with refused("1 value(s) outside the classes: 3 (the first at row 299999, column 1 (y))"):
        PAIR.encode(labels.reshape(-1, 2))


def test_decoding_gives_the_raw_values_back():
    assert GRADED.decode(torch.tensor([2, 0, 1])).tolist() == [7, -2, 0]
    assert GRADED.decode(np.array([2], dtype=np.int8)).dtype == np.int64
    assert PAIR.decode(torch.tensor([[True, False]])).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("target", "codes", "message"),
    [
        (
            GRADED,
            [0, -1, -1],
            "2 code(s) are missing (-1) and have no label value; drop them first",
        ),
        (
            GRADED,
            [0, 7],
            "codes lie in 0..7; Ordinal({-2: 'low', 0: 'mid', 7: 'high'}) has the codes 0..2",
        ),
        (GRADED, [-2], "codes lie in -2..-2"),
        (GRADED, [0.0], "codes are float64 of shape (1,)"),
        (GRADED, [[0]], "codes are int64 of shape (1, 1)"),
        (PAIR, [0, 1], "expects integers (N, 2)"),
        (PAIR, [[0, 2]], "codes lie in 0..2"),
    ],
)
def test_what_is_no_code_is_not_decoded(target, codes, message):
    with refused(message):
        target.decode(np.array(codes))


def test_relabelling_counts_within_the_kept_classes():
    assert ABC.relabel(np.array([0, 1, 2, -1], dtype=np.int8), (0, 2)).tolist() == [0, -1, 1, -1]
    assert ABC.relabel(torch.tensor([0, 1, 2]), ["c", "a"]).tolist() == [0, -1, 1]
    assert PAIR.relabel(np.array([[0, 1], [-1, 0]], dtype=np.int8), [1]).tolist() == [[1], [0]]
    assert PAIR.relabel(np.zeros((2, 2), dtype=np.int8), ["y", "x"]).flags.c_contiguous
    for target, codes in ((ABC, [3]), (PAIR, [[2, 0]])):
        with refused("codes lie in"):
            target.relabel(np.array(codes), [0, 1])


def test_strata_hand_codes_on_without_a_copy():
    single, multi = ABC.encode([0, 2]), PAIR.encode([[0, 1]])
    partition, cover = ABC.strata(single), PAIR.strata(multi)
    assert isinstance(partition, Partition)
    assert isinstance(cover, Cover)
    assert partition.codes is single
    assert cover.answers is multi
    assert (partition.num_classes, cover.num_classes) == (3, 2)


def test_errors_about_labels_are_input_errors():
    assert issubclass(LabelError, InputError)
