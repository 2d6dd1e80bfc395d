"""What the answer says of chance: who is better by an interval, and of whom none is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.report.columns import FEW, means, scored
from torchcross.report import against_chance
from torchcross.report.answer import answer
from torchcross.report.mean_intervals import mean_interval_of
from torchcross.report.summarise import summarise
from torchcross.report.summary import Summary
from torchcross.statistics import Interval
from torchcross.statistics.image_level import IMAGES

LEVELS = {"good": [0.6, 0.7, 0.8], "fair": [0.56, 0.5, 0.53], "level": [0.5, 0.5, 0.5]}


def test_chance_is_left_only_where_the_interval_says_so() -> None:
    columns = {**LEVELS, "poor": [0.3, 0.3, 0.4]}
    # Each half is t(3) * 0.02 * sqrt(4 / 3) / 2 = 0.0367, that of three targets 0.0212.
    assert (
        "Compared with chance (50.0 %) by uncorrected 95 % intervals of the means on these targets,"
        " over episodes of these images, good and fair are better; level (47.9 to 52.1) is not"
        " distinguishable from it; poor is worse."
    ) in answer(summarise(scored(columns)))
    text = answer(summarise(scored(columns, spread=0.04)))
    assert "good is better; fair (48.8 to 57.2) and level (45.8 to 54.2) are not dist" in text
    # A mean below chance is no worse than chance while its interval holds it.
    assert "low (46.9 to 51.1) is not distinguishable from it" in answer(
        summarise(scored({"good": LEVELS["good"], "low": [0.49, 0.49, 0.49]}))
    )
    only = {name: LEVELS[name] for name in ("good", "fair")}
    assert "over episodes of these images, all are better." in answer(summarise(scored(only)))


def test_a_mean_at_chance_without_any_spread_is_not_better_than_chance() -> None:
    text = answer(summarise(scored(LEVELS, spread=0.0)))
    assert "good and fair are better; level (50.0 to 50.0) is not distinguishable" in text


def test_where_small_is_good_less_than_chance_is_better() -> None:
    options = {
        "metric": "mae",
        "scales": {f"d/t{place}": "0, 1" for place in range(3)},
        "chance": {"mae": {f"d/t{place}": 0.5 for place in range(3)}},
    }
    columns = {"good": [0.3, 0.3, 0.2], "poor": [0.7, 0.8, 0.9]}
    assert "good is better; poor is worse." in answer(summarise(scored(columns, "mae"), **options))


def test_without_intervals_or_a_chance_level_chance_is_not_named() -> None:
    assert "chance" not in answer(summarise(means(FEW)))
    assert "chance" not in answer(summarise(scored(FEW, "accuracy"), metric="accuracy"))
    one = scored(FEW)
    one = one[one.columns["episode"] == 0]
    assert "chance" not in answer(summarise(one))


def test_rows_without_an_interval_are_named_apart_from_chance() -> None:
    perfect = scored({"perfect": [1.0] * 3}, spread=0.0)
    text = answer(summarise(perfect + scored({"good": LEVELS["good"]})))
    assert "good is better; no interval is known of perfect." in text


def test_of_intervals_of_both_kinds_the_narrower_kind_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def over_images(summary: Summary, name: str, shots: int | None) -> Interval | None:
        interval = plain(summary, name, shots)
        return replace(interval, over=IMAGES) if interval and name == "good" else interval

    plain = against_chance.mean_interval_of
    monkeypatch.setattr(against_chance, "mean_interval_of", over_images)
    assert "over episodes of these images, good" in answer(summarise(scored(LEVELS)))


def test_the_mean_of_a_row_that_lacks_a_target_has_no_interval() -> None:
    rows = scored({"a": [0.6, 0.7], "b": [0.5, 0.6]}) + scored({"a": [0.6]}, shots=(1,))
    summary = summarise(rows)
    assert mean_interval_of(summary, "a", 1) is None
    assert mean_interval_of(summary, "a", 5) is not None
