"""Encoding against its plain definition, over generated targets and containers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from torchcross.targets import MISSING, MultiClass, MultiLabel, Ordinal, Target

INT64 = st.integers(-(2**63), 2**63 - 1)
VALUES = st.lists(st.one_of(st.integers(-5, 20), INT64), min_size=2, max_size=12, unique=True)
UNKNOWNS = ("?", "unknown", -7, 99, float("nan"))


@st.composite
def single_label_targets(draw) -> Target:
    values = draw(VALUES)
    missing = [
        value
        for value in draw(st.lists(st.sampled_from(UNKNOWNS), unique_by=repr))
        if value not in values
    ]
    if draw(st.booleans()):
        return Ordinal({value: f"class {value}" for value in sorted(values)}, missing=missing)
    return MultiClass({value: f"class {value}" for value in values}, missing=missing)


@st.composite
def labelled(draw) -> tuple[Target, list[int]]:
    """A target and codes of some samples; -1 only where the target declares an unknown value."""
    target = draw(single_label_targets())
    lowest = MISSING if target.missing else 0
    return target, draw(st.lists(st.integers(lowest, target.num_classes - 1), max_size=30))


def raw_labels(target: Target, codes: list[int], names: list[bool]) -> list[Any]:
    """Raw values or names, and the declared unknowns in turn."""
    unknown = [float("nan") if value == "nan" else value for value in target.missing]
    return [
        (
            unknown[place % len(unknown)]
            if code == MISSING
            else (target.classes if name else target.values)[code]
        )
        for place, (code, name) in enumerate(zip(codes, names, strict=True))
    ]


def containers(raw: list[Any]) -> list[Any]:
    """The same labels in every container that can hold them exactly."""
    table = np.empty(len(raw), dtype=object)
    table[:] = raw
    found: list[Any] = [table, table[:, None]]
    numbers = all(isinstance(item, int | float) for item in raw)
    if numbers and all(item != item or abs(item) < 2**53 for item in raw):
        found += [np.array(raw, dtype=np.float64), torch.tensor(raw, dtype=torch.float64)]
    if numbers and all(item == item for item in raw):
        found += [np.array(raw, dtype=np.int64), torch.tensor(raw, dtype=torch.int64)]
    if raw and all(isinstance(item, str) for item in raw):
        found += [raw, np.array(raw), np.array([item.encode() for item in raw])]
    return found


@given(labelled(), st.data())
def test_codes_are_positions_whatever_the_container(case, data):
    target, codes = case
    names = data.draw(
        st.sampled_from(
            [[False] * len(codes), [True] * len(codes), [i % 2 > 0 for i in range(len(codes))]]
        )
    )
    for labels in containers(raw_labels(target, codes, names)):
        assert target.encode(labels).tolist() == codes


@given(labelled())
def test_decoding_undoes_encoding(case):
    target, codes = case
    known = [code for code in codes if code != MISSING]
    raw = [target.values[code] for code in known]
    assert target.decode(target.encode(np.array(raw, dtype=np.int64))).tolist() == raw


@given(labelled(), st.data())
def test_relabelling_agrees_with_the_restricted_target(case, data):
    target, codes = case
    kept = data.draw(st.lists(st.integers(0, target.num_classes - 1), min_size=2, unique=True))
    small = target.restrict(kept)
    inside = [code for code in codes if code in kept]
    raw = np.array([target.values[code] for code in inside], dtype=np.int64)
    relabelled = target.relabel(np.array(inside, dtype=np.int64), kept)
    assert relabelled.tolist() == small.encode(raw).tolist()
    assert small.decode(relabelled).tolist() == raw.tolist()
    outside = [code for code in codes if code not in kept]
    assert set(target.relabel(np.array(outside, dtype=np.int64), kept).tolist()) <= {MISSING}


@pytest.mark.slow
@given(single_label_targets(), st.data())
def test_restricting_keeps_names_values_and_order(target, data):
    kept = data.draw(st.lists(st.integers(0, target.num_classes - 1), min_size=2, unique=True))
    small = target.restrict(
        [target.classes[position] if position % 2 else position for position in kept]
    )
    assert small.classes == tuple(target.classes[position] for position in sorted(kept))
    assert small.values == tuple(target.values[position] for position in sorted(kept))
    assert (small.missing, type(small)) == (target.missing, type(target))
    again = data.draw(st.lists(st.sampled_from(small.classes), min_size=2, unique=True))
    assert small.restrict(again) == target.restrict(again)


@given(st.data())
def test_multi_label_answers(data):
    columns = data.draw(st.integers(1, 4))
    codes = data.draw(
        st.lists(
            st.lists(st.sampled_from([0, 1, -1]), min_size=columns, max_size=columns),
            min_size=1,
            max_size=8,
        )
    )
    target = MultiLabel(
        [f"label {column}" for column in range(columns)], missing=[-1, float("nan"), "?"]
    )
    answers = np.array(codes)
    table = np.where(answers < 0, None, answers)
    for labels in (answers, torch.tensor(codes), np.where(answers < 0, np.nan, answers), table):
        assert target.encode(labels).tolist() == codes
    kept = data.draw(st.lists(st.integers(0, columns - 1), min_size=1, unique=True))
    small = target.restrict(kept)
    assert small.classes == tuple(target.classes[column] for column in sorted(kept))
    relabelled = target.relabel(answers, kept)
    assert relabelled.tolist() == small.encode(answers[:, sorted(kept)]).tolist()
    assert np.array_equal(target.decode(answers.clip(0)), answers.clip(0))
