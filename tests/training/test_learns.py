"""Training makes an algorithm better at episodes it has not seen."""

import pytest
import torch

from torchcross.algorithms import ProtoNet
from torchcross.backbones import conv4
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.training import FitOptions, fit

pytestmark = pytest.mark.slow


@pytest.mark.long
def test_it_learns():
    sampler = EpisodeSampler(toys.multiclass(300, size=16), ways=5, shots=2, queries=4, seed=3)
    algorithm = ProtoNet(conv4(8, in_channels=1, seed=0))
    held_out = [Episodes(sampler)[1000 + number] for number in range(8)]

    def score(trained):
        with torch.no_grad():
            return -float(trained.training_step(held_out).loss)

    before = score(algorithm)
    result = fit(
        algorithm,
        sampler,
        FitOptions(steps=40, meta_batch=2, lr=0.01, schedule="cosine", warmup=4, validate_every=10),
        validate=score,
    )
    assert result.best_score == score(algorithm)
    assert result.best_score > before + 0.3
