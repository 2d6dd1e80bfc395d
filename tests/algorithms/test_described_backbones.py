"""A predictor's file describes the layers of its backbone; another backbone is refused."""

import functools
import json
import warnings

import pytest
import torch
from torch import nn

from tests.algorithms.cases import TARGETS, WIDTH, episode_of
from torchcross import backbones
from torchcross._kit import tensor_files
from torchcross.algorithms import ProtoNet, load_predictor
from torchcross.algorithms._shared.predictor_files import FORMAT
from torchcross.backbones.layers import described_layers, different_layers
from torchcross.errors import BackboneWarning, InputError, ReadError

EPISODE = episode_of(TARGETS["multiclass"])


class Mine(nn.Module):
    """Networks whose tensors have the same names and shapes, and that compute something else."""

    def __init__(self, act=nn.ReLU, *, dilation=1, eps=1e-5, pooling="mean", apply=torch.tanh, p=0):
        super().__init__()
        self.conv = nn.Conv2d(1, WIDTH, 3, padding=1, dilation=dilation)
        self.norm = nn.BatchNorm2d(WIDTH, eps=eps)
        self.act = act()
        self.drop = nn.Dropout(p)
        self.pooling = pooling
        self.apply_last = apply
        self._calls = 0
        self.double()

    def forward(self, x):
        x = self.apply_last(self.drop(self.act(self.norm(self.conv(x)))))
        return x.mean((2, 3)) if self.pooling == "mean" else x.amax((2, 3))


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "mine.safetensors"
    ProtoNet(Mine()).adapt(EPISODE.support, EPISODE.task).save(path)
    return path


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (functools.partial(Mine, nn.GELU), r"'act' was ReLU\(inplace=False\) and is GELU\("),
        (functools.partial(Mine, dilation=2), r"'conv' was Conv2d\(1, 4,.*and is .*dilation=\(2"),
        (functools.partial(Mine, eps=0.1), r"'norm' was BatchNorm2d\(4, eps=1e-05.*eps=0\.1"),
        (functools.partial(Mine, pooling="max"), r"pooling='mean'\) and is .*pooling='max'\)"),
        (functools.partial(Mine, apply=torch.sigmoid), r"apply_last=tanh.*apply_last=sigmoid"),
        (
            functools.partial(Mine, lambda: nn.Sequential(nn.ReLU(), nn.Tanh())),
            r"'act' was ReLU.*'act\.0' was not there and is ReLU.*",
        ),
    ],
)
def test_another_backbone_of_the_same_shapes_is_refused(path, other, said):
    with pytest.raises(InputError, match=rf"mine\.safetensors was made with another.*{said}"):
        load_predictor(path, other())
    forced = load_predictor(path, other(), same_layers=False)
    assert torch.isfinite(forced.logits(EPISODE.query.x)).all()


def test_the_same_backbone_is_read_without_a_word(path):
    same = Mine(p=0.5)
    same._calls = 7
    load_predictor(path, same)
    load_predictor(path, Mine().eval().requires_grad_(False).float())


def test_a_file_from_before_descriptions_is_read_with_a_warning(path, tmp_path):
    tensors, metadata = tensor_files.read(path)
    record = json.loads(metadata[FORMAT])
    for name in ("layers", "image_shape"):
        del record[name]
    tensor_files.write(path, tensors, {FORMAT: json.dumps(record)})
    with pytest.warns(BackboneWarning, match="before predictors described their backbone.*Mine"):
        old = load_predictor(path, Mine(nn.GELU))
    assert old.image_shape is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_predictor(path, Mine(), same_layers=False)
        again = tmp_path / "again.safetensors"
        old.save(again)
    with pytest.warns(BackboneWarning):
        load_predictor(again, Mine())


@pytest.mark.parametrize(
    "fields",
    [
        {"layers": []},
        {"layers": {"act": 3}},
        {"image_shape": "3x4"},
        {"image_shape": [1, -6, 6]},
        {"image_shape": [True, 6, 6]},
    ],
)
def test_fields_of_the_wrong_kind_are_refused(path, fields):
    tensors, metadata = tensor_files.read(path)
    record = json.loads(metadata[FORMAT]) | fields
    tensor_files.write(path, tensors, {FORMAT: json.dumps(record)})
    with pytest.raises(ReadError, match=f"no usable {next(iter(fields))!r}"):
        load_predictor(path, Mine())


def test_what_a_backbone_of_the_library_says(tmp_path):
    net = backbones.conv4(WIDTH, in_channels=1).double()
    path = tmp_path / "conv4.safetensors"
    episode = episode_of(TARGETS["multiclass"], size=16)
    predictor = ProtoNet(net).adapt(episode.support, episode.task)
    predictor.save(path)
    assert load_predictor(path).image_shape == predictor.image_shape == (1, 16, 16)
    other = backbones.conv4(WIDTH, in_channels=1, pooling="max")
    with pytest.raises(InputError, match=r"pooling='mean'.*pooling='max'"):
        load_predictor(path, other)


def test_long_descriptions_are_cut_and_still_differ():
    class Listing(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.numbers = [*range(3000), last]

    left, right = described_layers(Listing(1)), described_layers(Listing(2))
    assert len(left[""]) < 1100
    assert different_layers(left, right)
    assert different_layers(left, described_layers(Listing(1))) == []
