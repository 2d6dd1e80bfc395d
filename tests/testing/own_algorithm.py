"""An algorithm as a user writes one: nearest class means, on a backbone of ordinary layers."""

from __future__ import annotations

import copy

import torch
from torch import nn

from torchcross.algorithms import Algorithm, Step
from torchcross.testing.algorithm_check import toy_episodes

EPISODES = toy_episodes(size=8)


class Means(Algorithm):
    """Correct; the algorithms of the tests break one thing of it each."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        linear = nn.Linear(64, 4)
        with torch.no_grad():
            linear.weight.copy_(torch.randn(4, 64, generator=generator))
            linear.bias.zero_()
        self.backbone = nn.Sequential(nn.Flatten(), linear, nn.BatchNorm1d(4)).eval()

    def logits(self, backbone, support, task, images):
        dtype = next(backbone.parameters()).dtype
        features = backbone(support.x.to(dtype) / 255)
        strata = task.target.prototype_strata(support.y).to(dtype)
        means = strata.T @ features / strata.sum(0).clamp(min=1)[:, None]
        distances = (backbone(images.to(dtype) / 255)[:, None] - means).square().sum(-1)
        return task.target.prototype_logits(-distances)

    def training_step(self, episodes, *, epoch=None, seed=0, indices=None):
        losses = torch.stack(
            [
                episode.task.target.loss(
                    self.logits(self.backbone, episode.support, episode.task, episode.query.x),
                    episode.query.y,
                )
                for episode in episodes
            ]
        )
        return Step(losses.mean(), losses.detach(), buffers={}, engine="autograd", order=1)

    def adapt(self, support, task, *, steps=None, seed=0, index=0):
        own = copy.deepcopy(self.backbone)
        return lambda images: self.logits(own, support, task, images)

    def protocol(self):
        return {"algorithm": "Means"}
