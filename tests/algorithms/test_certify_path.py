"""`certify` sees the path that runs: lower precision, channels last, and the losses reported."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross.algorithms import MAML, Certificate, ProtoNet, certify
from torchcross.algorithms.base import Step
from torchcross.errors import InputError
from torchcross.functional import CertificateRow


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


class WrongSlope(nn.Module):
    """The right output everywhere, and in float32 a derivative that is a tenth too large."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        right = self.weight * x
        excess = 0.1 * right if x.dtype == torch.float32 else 0.0 * right
        return right + (excess - excess.detach())


class Knee(nn.Module):
    """A ReLU of 3w - 1 = 5e-7, which is 0 in float32: ten units of rounding are lost on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor((1 + 5e-7) / 3))

    def forward(self, x: Tensor) -> Tensor:
        return x + torch.relu((3 * self.weight + 16) - 17) * x


class FarApart(Backbone):
    """Classes so far apart that the loss of a prototypical network is often nearly zero."""

    def forward(self, x: Tensor) -> Tensor:
        return 26 * super().forward(x)


def rows_in_float32(certificate: Certificate) -> list[CertificateRow]:
    return [row for row in certificate.rows if "float32 against float64" in row.name]


def test_a_slope_that_changes_within_rounding_cannot_be_told() -> None:
    certificate = certify(MAML(Backbone(Knee()), steps=2), [colour_episode()], directions=1)
    rows = rows_in_float32(certificate)
    assert [row.holds for row in rows] == [None, None], str(certificate)
    for row in rows:
        assert row.error > 10 * row.tolerance
        assert "changes its slope within the rounding of activations" in row.note
    assert "cannot tell: a ReLU or a max-pooling" in str(certificate)
    assert not torch.nn.modules.module._has_any_global_hook()


def test_a_wrong_derivative_of_a_right_output_is_a_fault() -> None:
    certificate = certify(MAML(Backbone(WrongSlope()), steps=2), [colour_episode()], directions=1)
    rows = rows_in_float32(certificate)
    assert [row.holds for row in rows] == [False, False], str(certificate)
    assert all("the derivatives differ" in row.note for row in rows)
    assert not certificate.holds


def test_a_loss_of_nearly_zero_has_few_digits_in_float32() -> None:
    certificate = certify(ProtoNet(FarApart(nn.Tanh())), directions=1)
    assert certificate.holds, str(certificate)
    unsure = [row for row in rows_in_float32(certificate) if row.holds is None]
    assert unsure
    for row in unsure:
        assert row.error > row.tolerance
        assert "of the gradient of so small a loss float32 keeps few digits" in row.note
    # Where the loss is larger, a wrong derivative is seen.
    assert not certify(ProtoNet(FarApart(WrongSlope())), directions=1).holds


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
