"""Rows on stored features: the same bits as on fresh ones, and the scores of forwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import torchcross as tx
from tests.embedding.sources import IMAGES
from torchcross import backbones
from torchcross.algorithms import (
    Algorithm,
    LinearProbe,
    LogisticRegression,
    ProtoNet,
    Ridge,
    SimpleShot,
)
from torchcross.data import TaskSource, toys
from torchcross.errors import InputError

METHODS: dict[str, Callable[[torch.nn.Module], Algorithm]] = {
    "ncm": lambda net: ProtoNet(net, norm="frozen"),
    "simpleshot": SimpleShot,
    "probe": lambda net: LinearProbe(net, steps=10),
    "fixed-probe": lambda net: LinearProbe(net, steps=15, lr=1e-4, head="zero"),
    "logistic": LogisticRegression,
    "logistic-mean": lambda net: LogisticRegression(net, C=(1, 10, 100)),
    "logistic, tempered": lambda net: LogisticRegression(net, temperature="leave-one-out"),
    "ridge": lambda net: Ridge(net, norm="frozen"),
}
pytestmark = pytest.mark.filterwarnings("ignore::torchcross.errors.SubjectLeakWarning")
TARGETS = {
    "binary": toys.binary,
    "multi-class": toys.multiclass,
    "multi-label": toys.multilabel,
    "ordinal": toys.ordinal,
}


def episodes_of(source: TaskSource) -> list[tx.Episode]:
    sampler = tx.EpisodeSampler(source, shots=3, queries=4, seed=3, groups="ignore")
    return [tx.Episodes(sampler)[number] for number in range(2)]


def scores_of(algorithm: Algorithm, source: TaskSource) -> list[torch.Tensor]:
    scores = []
    for number, episode in enumerate(episodes_of(source)):
        predictor = algorithm.adapt(episode.support, episode.task, index=number)
        prediction = predictor(episode.query.x).plain
        assert prediction.scores is not None
        scores.append(torch.cat([prediction.probabilities.flatten(), prediction.scores.flatten()]))
    return scores


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_stored_and_fresh_features_and_forwards_agree(tmp_path: Path, target: str) -> None:
    source = TARGETS[target](IMAGES, size=16)
    net = backbones.conv4(16, in_channels=1)
    stored, fresh = tx.features(source, net, tmp_path), tx.features(source, net)
    vectors = backbones.vectors(stored.width)
    for name, make in METHODS.items():
        by_file = scores_of(make(vectors), stored)
        by_memory = scores_of(make(vectors), fresh)
        by_forward = scores_of(make(net), source)
        for file, memory, forward in zip(by_file, by_memory, by_forward, strict=True):
            assert torch.equal(file, memory), name
            # A hundred steps of Adam in float32 spread the last bits of features.
            tolerance = 1e-3 if name == "probe" else 1e-5
            assert torch.allclose(file, forward, rtol=tolerance, atol=tolerance), name


def test_a_predictor_of_features_is_saved_and_read(tmp_path: Path) -> None:
    features = tx.features(toys.multiclass(IMAGES, size=16), backbones.conv4(in_channels=1))
    episode = episodes_of(features)[0]
    algorithm = LogisticRegression(backbones.vectors(features.width))
    predictor = algorithm.adapt(episode.support, episode.task)
    predictor.save(tmp_path / "predictor.safetensors")
    again = tx.load_predictor(tmp_path / "predictor.safetensors")
    assert torch.equal(
        again(episode.query.x).probabilities, predictor(episode.query.x).probabilities
    )


def test_vectors_refuse_what_is_no_vector() -> None:
    net = backbones.vectors(8)
    assert net(torch.ones(3, 8)).shape == (3, 8)
    with pytest.raises(InputError, match=r"takes stored features \(N, 8\); got .*\(3, 1, 4, 4\)"):
        net(torch.ones(3, 1, 4, 4))
    with pytest.raises(InputError, match=r"got the shape \(3, 9\)"):
        net(torch.ones(3, 9))
    with pytest.raises(InputError, match="takes floating features"):
        net(torch.ones(3, 8, dtype=torch.uint8))
    with pytest.raises(InputError, match="num_features=0"):
        backbones.vectors(0)


def test_what_is_stored_is_not_changed_through_a_vector() -> None:
    images = torch.ones(2, 3)
    features = backbones.vectors(3)(images)
    assert features is not images
    assert torch.equal(features, images)
