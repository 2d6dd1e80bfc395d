"""Sources ranked by their networks, on a target's images or on one support."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from torchcross import Episodes, EpisodeSampler, Task, TensorSource, backbones
from torchcross.errors import InputError
from torchcross.targets import MultiClass
from torchcross.transfer import SourceModel, rank, scores


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
    assert "SourceModel" in ranking.values["leep"]["without"].reason
    assert "SourceModel" in str(ranking)


def test_bad_arguments() -> None:
    with pytest.raises(InputError, match="did you mean 'logme'"):
        rank(bright_quarters(), MODELS, scores=["logmee"])
    with pytest.raises(InputError, match="models is empty"):
        rank(bright_quarters(), {})
    with pytest.raises(InputError, match="did you mean 'knn'"):
        rank(bright_quarters(), MODELS, scores=["knn"]).order("kn")
