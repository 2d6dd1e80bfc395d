"""Sources ranked by their networks, on a target's images or on one support."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from torchcross import Episodes, EpisodeSampler, Task, TensorSource, backbones
from torchcross.errors import InfeasibleError, InputError
from torchcross.targets import MultiClass
from torchcross.transfer import ScoreHalves, SourceModel, SourceTargetTable, rank, scores
from torchcross.transfer.source_choice import largest_of, static_scores_for
from torchcross.transfer.source_scores import random_halves


class Means(nn.Module):
    """Mean brightness of the quarters of an image, which tell the classes."""

    def forward(self, images):
        return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


def bright_quarters(count: int = 90) -> TensorSource:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 3
    images = torch.rand(count, 1, 16, 16, generator=generator)
    for image, label in zip(images, labels, strict=True):
        image[0, : 8 * (label + 1) % 16, 8 * (label // 2) :] += 0.4
    return TensorSource(images, labels, Task("quarters", MultiClass(["a", "b", "c"])))


MODELS = {"random": backbones.conv4(4, in_channels=1, seed=3), "means": Means()}


def test_the_network_that_tells_the_classes_is_first() -> None:
    ranking = rank(bright_quarters(), MODELS, scores=["logme", "knn", "gbc", "nleep"])
    assert ranking.order("knn")[0] == "means"
    assert ranking.order("logme")[0] == "means"
    assert (ranking.of, ranking.images) == ("source", 90)
    assert "quarters" in str(ranking)


def test_scores_are_those_of_the_features() -> None:
    source = bright_quarters()
    ranking = rank(source, {"means": Means()}, scores=["logme"])
    features = Means()(source.images(np.arange(90))).numpy()
    expected = scores.logme(features, source.labels.astype(np.int64), source.task.target)
    assert ranking.values["logme"]["means"].value == pytest.approx(expected.value, abs=1e-6)


def test_a_support_is_another_thing_than_a_source() -> None:
    sampler = EpisodeSampler(bright_quarters(), ways=3, shots=5, queries=5, seed=0)
    ranking = rank(Episodes(sampler)[0], MODELS, scores=["knn", "h_score"])
    assert (ranking.of, ranking.images) == ("support", 15)
    # 15 images span no more than 14 dimensions; the means are 4 of them.
    assert ranking.order("h_score") == ("means", "random")


def test_draws_are_those_of_the_seed() -> None:
    source = bright_quarters()
    one, same, other = (rank(source, MODELS, images=30, seed=seed) for seed in (0, 0, 1))
    assert str(one) == str(same) != str(other)
    assert one.images == 30


def test_scores_of_a_head_need_the_head() -> None:
    def head(features):
        weights = np.exp(features - features.max(axis=1, keepdims=True))
        return weights / weights.sum(axis=1, keepdims=True)

    models = {"with": SourceModel(Means(), head), "without": Means()}
    ranking = rank(bright_quarters(), models, scores=["leep", "nce"])
    assert ranking.order("leep") == ("with",)
    assert "the source's own head" in ranking.values["leep"]["without"].reason
    assert "the source's own head" in str(ranking)


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="did you mean 'logme'"):
        rank(bright_quarters(), MODELS, scores=["logmee"])
    with pytest.raises(InputError, match="models is empty"):
        rank(bright_quarters(), {})
    with pytest.raises(InputError, match="did you mean 'knn'"):
        rank(bright_quarters(), MODELS, scores=["knn"]).order("kn")


def test_halves_tell_how_sure_an_order_is() -> None:
    ranking = rank(bright_quarters(), MODELS, scores=["logme", "knn"], halves=8)
    shares = ranking.halves["knn"].shares_best()
    assert sum(shares.values()) == pytest.approx(1)
    choice = ranking.choose("knn", {"largest": "random", "static": "means"})
    assert (choice.source, choice.share_best) == ("means", shares["means"])
    assert choice.above["largest"] == ranking.halves["knn"].share_above("means", "random")
    assert np.isnan(choice.above["static"])
    value = ranking.values["logme"]["means"].value
    low, high = ranking.halves["logme"].interval("means", value)
    assert low < value < high
    assert ranking.values == rank(bright_quarters(), MODELS, scores=["logme", "knn"]).values


def test_halves_have_each_class_once_and_whole_subjects() -> None:
    source = bright_quarters()
    groups = torch.arange(90) // 2
    paired = TensorSource(source.images(range(90)), source.labels, source.task, groups=groups)
    for half in random_halves(paired, 5):
        assert len(set(half)) == len(half)
        assert set(np.bincount(np.asarray(groups)[half])) <= {0, 2}


def test_ties_and_undefined_scores_of_halves() -> None:
    halves = ScoreHalves(("a", "b", "c"), np.array([[1, 1, np.nan], [2, 3, np.nan]]))
    assert halves.shares_best() == {"a": 0.25, "b": 0.75, "c": 0}
    assert halves.share_above("a", "b") == 0.25
    assert np.isnan(halves.share_above("a", "c"))
    assert np.isnan(halves.interval("c", np.nan)).all()
    none = ScoreHalves(("a",), np.empty((0, 1)))
    assert np.isnan(none.shares_best()["a"])


def test_halves_that_cannot_be() -> None:
    sampler = EpisodeSampler(bright_quarters(), ways=3, shots=5, queries=5, seed=0)
    with pytest.raises(InputError, match="an episode is given"):
        rank(Episodes(sampler)[0], MODELS, halves=2)
    with pytest.raises(InfeasibleError, match="no random halves"):
        rank(bright_quarters(4), MODELS, scores=["knn"], halves=20)


def test_simple_rules_for_a_new_target() -> None:
    table = SourceTargetTable(
        ["a", "b", "c"], ["t", "u", "a"], [[0.9, 0.8, 0.99], [0.8, 0.7, 0.6], [0.7, 0.9, 0.5]]
    )
    scores_of_new = static_scores_for("v", table)
    assert list(scores_of_new) == ["a", "b", "c"]
    # Of the target itself nothing is known.
    assert static_scores_for("t", table)["c"] > static_scores_for("t", table)["b"]
    assert "a" not in static_scores_for("a", table)
    assert largest_of({"a": 3, "b": 5}) == ("b",)
    assert largest_of({"a": 3, "b": 3}) == ("a", "b")
