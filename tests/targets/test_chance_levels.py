"""What chance reaches: the mean over all constant predictions, for any shares of the classes."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from tests.targets.tables import TARGETS, random_labels
from torchcross.targets import MultiClass, Ordinal, Prediction, Target


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
def test_chance_is_the_mean_of_all_constant_predictions(target: Target):
    labels = random_labels(target, 80)
    answers_at_once = target.num_classes if target.label_shape else 1
    answers = list(product(range(len(target.values)), repeat=answers_at_once))
    levels = target.chance_levels
    sums = dict.fromkeys(levels, 0.0)
    for answer in answers:
        decisions = torch.tensor(answer).expand(80, -1).reshape(80, *target.label_shape)
        columns = len(target.classes)
        prediction = Prediction(torch.full((80, columns), 0.5), decisions)
        for name, score in target.evaluate(prediction, labels, list(levels)).items():
            sums[name] += score.value
    assert {name: total / len(answers) for name, total in sums.items()} == pytest.approx(levels)


def test_which_metrics_have_a_chance_level():
    assert set(MultiClass(["a", "b", "c"]).chance_levels) == {
        *("auroc", "weighted_auroc", "accuracy", "balanced_accuracy")
    }
    assert MultiClass(["a", "b", "c"]).chance_levels["accuracy"] == pytest.approx(1 / 3)
    assert Ordinal(["a", "b", "c"]).chance_levels["qwk"] == 0
    assert "mae" not in Ordinal(["a", "b", "c"]).chance_levels
    restricted = MultiClass(["a", "b", "c"]).restrict(["a", "c"])
    assert restricted.chance_levels["balanced_accuracy"] == 0.5
