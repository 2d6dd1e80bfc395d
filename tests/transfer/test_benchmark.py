"""The benchmark of scores compares the same things."""

from __future__ import annotations

import pytest

from benchmarks import transfer
from benchmarks.contestants.transfer_published import _neighbours
from torchcross.targets import MultiClass
from torchcross.transfer import scores


def test_its_neighbours_are_those_of_the_score() -> None:
    arrays = transfer.made_up_features(100, 16, classes=4)
    target = MultiClass(["a", "b", "c", "d"])
    value = scores.knn(arrays["features"], arrays["labels"], target).value
    assert value == _neighbours(arrays["features"], arrays["labels"])
    assert arrays["states"].sum(axis=1) == pytest.approx(1)


def test_values_that_differ_are_an_error() -> None:
    transfer._check_values({"knn": 0.5, "gbc": 1.0, "logme": 0.50001}, {"knn": 0.5, "logme": 0.5})
    with pytest.raises(AssertionError, match=r"knn is 0\.5 here and 0\.6"):
        transfer._check_values({"knn": 0.5}, {"knn": 0.6})


def test_a_folder_that_is_no_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        transfer.main(["--tllib", "nowhere"])
    assert "give a checkout" in capsys.readouterr().err
