"""What a module does in training mode alone is refused where given draws cannot replace it."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.functional.plain_module import seeded
from tests.functional.reference import data_of
from tests.functional.training_mode import Backbone, problem_of
from torchcross.errors import InputError
from torchcross.functional import Network, meta_loss


class Permuted(nn.Module):
    def forward(self, x):
        return x[torch.randperm(len(x))] if self.training else x


class OwnGenerator(nn.Module):
    def forward(self, x):
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand(x.shape, dtype=x.dtype, generator=generator)
        return x + noise if self.training else x


class NumpyDraws(nn.Module):
    def forward(self, x):
        return x * np.random.rand() if self.training else x  # noqa: NPY002


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Permuted(), r"layer 'between' \(Permuted\) draws random numbers by torch's randperm"),
        (OwnGenerator(), r"layer 'between' \(OwnGenerator\) draws random numbers by torch's rand "),
        (NumpyDraws(), r"Backbone draws from the global random generator .*numpy's"),
    ],
)
def test_draws_that_no_mask_can_replace_are_refused_by_name(layer, message):
    network = Network(seeded(lambda: Backbone(layer)))
    for _ in range(2):
        with pytest.raises(InputError, match=message):
            problem_of(network, 0)


def _scale_in_training(module, x):
    return 2 * x if getattr(module, "train" + "ing") else x


class Hidden(nn.Module):
    """Looks at its mode where its own code does not show it."""

    def __init__(self):
        super().__init__()
        self.run = _scale_in_training

    def forward(self, x):
        return self.run(self, x)


class HiddenBehindZero(Hidden):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.scale * self.run(self, x)


@pytest.mark.parametrize("kind", [Hidden, HiddenBehindZero])
def test_a_mode_that_no_code_shows_is_found_at_first_use(kind):
    network = Network(seeded(lambda: Backbone(kind())))
    for _ in range(2):
        with pytest.raises(InputError, match=r"Backbone acts otherwise in training mode"):
            network.support(*network.state(), data_of(0)["xs"])


class Auxiliary(Backbone):
    def forward(self, x):
        features = super().forward(x)
        return (features, x) if self.training else features


def test_another_structure_in_training_mode_is_refused():
    network = Network(seeded(lambda: Auxiliary(nn.Identity())))
    with pytest.raises(InputError, match=r"returns tuple of 2 in training mode and a tensor"):
        problem_of(network, 0)


class Gated(nn.Module):
    """Its second draw depends on the first."""

    def forward(self, x):
        if self.training and float(torch.rand(())) > 0.5:
            x = x * torch.rand(len(x), 1, 1, 1, dtype=x.dtype)
        return x


def test_draws_that_depend_on_draws_are_refused_where_they_do():
    network = Network(seeded(lambda: Backbone(Gated())))
    episodes = [problem_of(network, episode) for episode in range(8)]
    with pytest.raises(InputError, match="draws depend on earlier draws"):
        [meta_loss([problem], meta) for problem, meta in episodes]
