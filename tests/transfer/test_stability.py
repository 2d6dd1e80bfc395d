"""How stable rankings are when the set-up changes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.transfer.published import cats_scans, medmnist
from torchcross.errors import InputError
from torchcross.transfer.rankings import judge_scores, score_quality, stability, weighted_tau
from torchcross.transfer.source_target import SourceTargetTable


def table(columns: dict[str, list[float]], sources: str = "abcd") -> SourceTargetTable:
    return SourceTargetTable(list(sources), list(columns), np.array(list(columns.values())).T)


UP, DOWN = [1.0, 2, 3, 4], [4.0, 3, 2, 1]


def test_set_ups_that_agree_and_that_do_not() -> None:
    one = table({"t": UP, "u": UP})
    other = table({"t": [10.0, 20, 30, 40], "u": DOWN})
    stable = stability({"seed 0": one, "seed 1": other})
    assert stable.targets == {"t": pytest.approx(1), "u": pytest.approx(-1)}
    assert stable.mean.mean == pytest.approx(0)
    assert stable.mean.n == 2
    assert stable.lowest == (pytest.approx(-1), "u", "seed 0", "seed 1")
    # Not ± 12.706: two targets, and one pair of set-ups.
    assert "0.000 over" in str(stable)
    assert "±" not in str(stable)
    assert str(stable).endswith("over 1 pair of set-ups; lowest -1.000 (u: seed 0 against seed 1)")


def test_intervals_need_six_targets_and_six_pairs() -> None:
    numbers = np.random.default_rng(0).normal(size=(4, 6, 4))
    setups = {
        f"fold {fold}": table({str(target): list(column) for target, column in enumerate(each)})
        for fold, each in enumerate(numbers)
    }
    assert "±" in str(stability(setups))
    assert "±" not in str(stability(dict(list(setups.items())[:3])))


def test_folds_of_a_published_study() -> None:
    setups = cats_scans().setups("fold")
    assert list(setups) == [f"fold {number}" for number in range(5)]
    stable = stability(setups)
    assert len(stable.pairs) == 10
    pair = stable.pairs[3]
    assert (pair.one, pair.other) == ("fold 0", "fold 4")
    both = [setups[name].values[:, 0] for name in (pair.one, pair.other)]
    assert pair.taus["isic"] == weighted_tau(*both)
    taus = [each.taus["isic"].value for each in stable.pairs]
    assert stable.targets["isic"] == pytest.approx(np.mean(taus))
    assert list(cats_scans().setups("seed")) == ["seed 0"]


def test_set_ups_of_several_components_differ_in_one() -> None:
    numbers = np.random.default_rng(0).normal(size=(2, 3, 4))
    setups = {
        (f"seed {seed}", f"fold {fold}"): table({"t": list(numbers[seed, fold])})
        for seed in range(2)
        for fold in range(3)
    }
    stable = stability(setups)
    assert len(stable.pairs) == 3 + 2 * 3
    assert all(sum(map(str.__ne__, each.one, each.other)) == 1 for each in stable.pairs)


def test_only_sources_and_targets_of_both_count() -> None:
    one = table({"t": UP, "u": UP})
    other = table({"u": [math.nan, 3, 4, 1], "v": UP}, sources="bcde")
    stable = stability({"a": one, "b": other})
    assert stable.targets == {"u": pytest.approx(1)}
    nothing = stability({"a": table({"t": UP}), "b": table({"t": UP}, sources="wxyz")})
    assert math.isnan(nothing.targets["t"])
    assert "no target has two sources" in str(nothing)
    assert math.isnan(nothing.lowest[0])


def test_the_order_of_scores() -> None:
    values, logme = medmnist("auc"), medmnist("logme")
    quality = score_quality({"oracle": values, "LogME": logme}, values)
    judged = judge_scores({"LogME": logme}, values, permutations=0).row("LogME")
    expected = [ranking.measures["weighted tau"].value for ranking in judged.targets]
    assert quality.values[1] == pytest.approx(expected, nan_ok=True)
    assert quality["oracle", "path"] == pytest.approx(1)
    regrets = score_quality({"LogME": logme}, values, "regret@1")
    assert np.nanmax(regrets.values) <= 0
    again = score_quality({"oracle": values.negative(), "LogME": logme}, values)
    scored = [name for name in values.targets if name != "chest"]
    stable = stability({"first": quality.restrict(targets=scored), "second": again})
    assert stable.mean.mean == pytest.approx(-1)


def test_a_source_that_is_the_target_does_not_count_for_a_score() -> None:
    values = table({"a": [9.0, 1, 2, 3]})
    score = table({"a": [0.0, 1, 2, 3]})
    assert score_quality({"score": score}, values)["score", "a"] == pytest.approx(1)


def test_what_cannot_be_compared() -> None:
    one = table({"t": UP})
    with pytest.raises(InputError, match="give two or more"):
        stability({"alone": one})
    with pytest.raises(InputError, match="differ in one component"):
        stability({("a", "b"): one, ("c", "d"): one})
    with pytest.raises(InputError, match="different numbers of components"):
        stability({("a", "b"): one, ("c",): one})
    with pytest.raises(InputError, match="component='folds'"):
        cats_scans().setups("folds")
