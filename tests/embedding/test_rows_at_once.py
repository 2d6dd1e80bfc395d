"""Rows of stored features: episodes are solved together, and none depends on those beside it."""

from __future__ import annotations

import math

import pytest
import torch

import torchcross as tx
from tests.embedding.sources import IMAGES
from torchcross import backbones
from torchcross.algorithms import Algorithm, LogisticRegression, ProtoNet
from torchcross.data import TaskSource, TensorSource, toys
from torchcross.errors import InputError
from torchcross.records import EpisodeRecord
from torchcross.targets import Binary

pytestmark = pytest.mark.filterwarnings("ignore::torchcross.errors.SubjectLeakWarning")
TARGETS = {
    "binary": toys.binary,
    "multi-class": toys.multiclass,
    "multi-label": toys.multilabel,
    "ordinal": toys.ordinal,
}


def rows(algorithm: Algorithm, source: TaskSource, numbers: range) -> list[EpisodeRecord]:
    sampler = tx.EpisodeSampler(source, shots=2, queries=3, seed=3, groups="ignore")
    episodes = (tx.Episodes(sampler)[number] for number in numbers)
    return list(tx.evaluate(algorithm, episodes, run="any", algorithm="any", shots=2))


@pytest.mark.long
@pytest.mark.parametrize("target", TARGETS)
def test_rows_are_the_same_however_episodes_are_divided(target: str) -> None:
    source = TARGETS[target](IMAGES, size=16)
    features = tx.features(source, backbones.conv4(16, in_channels=1))
    net = backbones.vectors(features.width)
    for algorithm in (LogisticRegression(net), ProtoNet(net, norm="frozen")):
        whole = rows(algorithm, features, range(67))
        parts = [rows(algorithm, features, part) for part in (range(5), range(5, 67))]
        assert whole == [row for part in parts for row in part]


def test_an_episode_that_diverges_leaves_the_others_their_scores() -> None:
    vectors = torch.rand(12, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    vectors[0] = 1e200
    source = TensorSource(vectors, torch.arange(12) % 2, tx.Task("any", Binary()))
    learner = LogisticRegression(backbones.vectors(4).double(), unit_length=False)
    sampler = tx.EpisodeSampler(source, shots=1, queries=1)
    diverging = [0 in sampler[number].support for number in range(20)]
    values = [row.value for row in rows_of_auroc(learner, sampler)]
    assert [math.isnan(value) for value in values] == diverging
    assert any(diverging)
    assert not all(diverging)


def rows_of_auroc(learner: Algorithm, sampler: tx.EpisodeSampler) -> list[EpisodeRecord]:
    episodes = (tx.Episodes(sampler)[number] for number in range(20))
    return list(
        tx.evaluate(learner, episodes, run="any", algorithm="any", metrics=["accuracy"], shots=1)
    )


def test_an_episode_that_cannot_be_used_is_named() -> None:
    vectors = torch.rand(12, 4, generator=torch.Generator().manual_seed(0))
    vectors[5, 2] = math.nan
    source = TensorSource(vectors, torch.arange(12) % 2, tx.Task("any", Binary()))
    sampler = tx.EpisodeSampler(source, shots=3, queries=3)
    with pytest.raises(InputError, match=r"episode 0 of 'any': .* NaN or infinite pixels"):
        rows_of_auroc(LogisticRegression(backbones.vectors(4)), sampler)
