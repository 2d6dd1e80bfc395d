"""The value type of all metrics."""

from __future__ import annotations

import math
import pickle

import pytest

from torchcross.errors import InputError
from torchcross.metrics import Score
from torchcross.metrics.score import average_score, undefined_score


@pytest.mark.parametrize(
    ("score", "shown"),
    [
        (Score(0.9126), "0.913"),
        (Score(1.0), "1.0"),
        (Score(-0.0001), "0.0"),
        (Score(12.3456), "12.346"),
        (
            undefined_score("only one class in the query: 'disc'"),
            "nan (only one class in the query: 'disc')",
        ),
        (
            average_score([0.9, None, 0.84], ["disc", "star", "square"], "classes", "none"),
            "0.87 (mean of 2 of 3 classes; undefined for 'star')",
        ),
        (average_score([0.9, 0.8], ["disc", "star"], "classes", "none"), "0.85"),
    ],
)
def test_how_scores_read(score: Score, shown: str) -> None:
    assert str(score) == shown


def test_averages_name_what_they_are_over() -> None:
    assert average_score([0.5, None], ["a", "b"], "labels", "none").over == ("a",)
    assert average_score([0.5, 1.0], ["a", "b"], "labels", "none") == Score(0.75, "", ("a", "b"))
    nothing = average_score([None, None], ["a", "b"], "labels", "why")
    assert (nothing.is_defined, nothing.reason, nothing.over) == (False, "why", ())


def test_long_lists_of_names_are_cut() -> None:
    names = [f"c{i}" for i in range(9)]
    score = average_score([1.0] + [None] * 8, names, "classes", "none")
    assert score.reason.endswith("undefined for 'c1', 'c2', 'c3', 'c4', 'c5' and 3 more")


def test_an_average_does_not_depend_on_the_order_of_classes() -> None:
    values = [0.1, 0.2, 0.3]
    names = [str(value) for value in values]
    forth = average_score(values, names, "classes", "none").value
    assert average_score(values[::-1], names[::-1], "classes", "none").value == forth


def test_float_defined_and_equality() -> None:
    assert float(Score(0.25)) == 0.25
    assert Score(0.25).is_defined
    assert not undefined_score("why").is_defined
    assert math.isnan(float(undefined_score("why")))
    assert undefined_score("why") == undefined_score("why")
    assert hash(undefined_score("why")) == hash(undefined_score("why"))
    assert undefined_score("why") != undefined_score("why else")
    assert Score(0.0) != undefined_score("why")
    assert Score(0.5) != 0.5


@pytest.mark.parametrize("score", [undefined_score("why", over=()), Score(0.5, "", ("a", "b"))])
def test_scores_survive_pickling(score: Score) -> None:
    assert pickle.loads(pickle.dumps(score)) == score


def test_nan_without_a_reason_is_refused() -> None:
    with pytest.raises(InputError, match="NaN was given without a reason"):
        Score(math.nan)
