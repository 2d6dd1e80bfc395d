"""`certify` sees the path that runs: lower precision, channels last, and the losses reported."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross.algorithms import MAML, certify
from torchcross.algorithms.base import Step
from torchcross.errors import InputError


class Strided(nn.Module):
    """Right for channels-first memory alone."""

    def forward(self, x: Tensor) -> Tensor:
        _, channels, height, width = x.shape
        strides = (channels * height * width, height * width, width, 1)
        return x.as_strided(x.shape, strides).tanh()


class OtherInFloat32(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * (1.5 if x.dtype == torch.float32 else 1.0)


class Backbone(nn.Module):
    def __init__(self, first: nn.Module) -> None:
        super().__init__()
        self.first = first
        self.conv = nn.Conv2d(3, 4, 3)
        generator = torch.Generator().manual_seed(0)
        with torch.no_grad():
            for value in self.conv.parameters():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.conv(self.first(x))).mean((2, 3))


def colour_episode() -> Any:
    episode = episode_of(TARGETS["binary"], 0, size=8)
    support, query = (
        dataclasses.replace(
            batch, x=torch.stack([batch.x[:, 0], batch.x[:, 0] ** 2, -batch.x[:, 0]], 1)
        )
        for batch in (episode.support, episode.query)
    )
    return dataclasses.replace(episode, support=support, query=query)


@pytest.mark.parametrize(
    ("layer", "rows"),
    [(Strided, ["channels last"]), (OtherInFloat32, ["float64", "channels last"])],
)
def test_a_layer_that_is_wrong_on_the_path_that_runs(
    layer: type[nn.Module], rows: list[str]
) -> None:
    certificate = certify(MAML(Backbone(layer()), steps=2), [colour_episode()], directions=1)
    assert not certificate.holds
    wrong = [row for row in certificate.rows if row.holds is False]
    assert len(wrong) == len(rows), str(certificate)
    # The layer was found by a hook on all modules, of which nothing may stay.
    assert not torch.nn.modules.module._has_any_global_hook()
    for row, end in zip(wrong, rows, strict=True):
        assert row.name.endswith(end)
        assert "float32 against float64" in row.name
        assert f"layer 'first' ({layer.__name__}) has another output" in row.note
    assert "WRONG: layer 'first'" in str(certificate)


def test_float32_that_is_rounded_holds() -> None:
    certificate = certify(MAML(Backbone(nn.Tanh()), steps=2), [colour_episode()], directions=1)
    assert certificate.holds, str(certificate)
    assert sum("float32 against float64" in row.name for row in certificate.rows) == 2


class OtherLoss(MAML):
    """MAML that reports another loss than the one whose gradient it hands over."""

    def training_step(self, *arguments: Any, **options: Any) -> Step:
        step = super().training_step(*arguments, **options)
        return dataclasses.replace(step, loss=step.loss + 1.0, losses=step.losses * 2.0)


@pytest.mark.parametrize("multi_step", [None, 10])
def test_the_value_of_the_loss_counts(multi_step: int | None) -> None:
    episodes = [episode_of(TARGETS["binary"], 0)]
    options: dict[str, Any] = {"steps": 2, "multi_step": multi_step}
    certificate = certify(OtherLoss(Net(), **options), episodes, directions=1, epoch=1)
    wrong = [row.name for row in certificate.rows if row.holds is False]
    assert wrong == ["training step: losses of the episodes", "training step: loss"]
    assert certify(MAML(Net(), **options), episodes, directions=1, epoch=1).holds


def test_complex_parameters_are_refused() -> None:
    net = Net()
    net.phase = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    with pytest.raises(InputError, match=r"phase.*complex"):
        certify(MAML(net), [episode_of(TARGETS["binary"], 0)])
