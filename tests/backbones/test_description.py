import copy
import json

import pytest
import torch

from tests.backbones.small_backbones import images, same, values
from torchcross import backbones
from torchcross.backbones import BackboneSpec, WeightRecord, build
from torchcross.backbones.base import attach
from torchcross.errors import InputError

RECORD = WeightRecord(
    name="mine",
    source="a paper",
    sha256="ab" * 32,
    mean=(0.5, 0.4, 0.3),
    std=(0.2, 0.3, 0.4),
    input_size=(84, 84),
    licence="MIT",
    dropped=("fc.bias",),
    notes=("a note",),
)

OPTIONS = [
    (
        "conv4",
        {"channels": 8, "in_channels": 1, "norm": "group", "pooling": "flatten", "image_size": 28},
    ),
    ("resnet18", {"grey": "expand", "stem": "small"}),
    ("resnet34", {"in_channels": 1}),
    ("resnet50_keras", {"norm_eps": 1.001e-5}),
    ("mobilenet_v2", {"width": 0.25, "in_channels": 4}),
    ("efficientnet_lite0", {"in_channels": 4}),
    (
        "small_vit",
        {"image_size": 32, "width": 24, "depth": 1, "heads": 2, "mlp_width": 10, "pooling": "mean"},
    ),
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_a_description_survives_json_and_builds_the_same(name, options):
    backbone = getattr(backbones, name)(**options, seed=3)
    again = build(json.loads(json.dumps(backbone.spec.as_dict())), seed=3)
    assert again.spec == backbone.spec
    assert type(again) is type(backbone)
    assert same(values(again), values(backbone))
    assert again.num_features == backbone.num_features
    assert options.items() <= dict(backbone.spec.options).items()
    assert "seed" not in backbone.spec.options


@pytest.mark.parametrize("inside", [False, True])
def test_the_record_and_the_normalisation_come_back(inside):
    backbone = backbones.conv4(8, grey="expand").eval()
    plain = copy.deepcopy(backbone)
    attach(backbone, RECORD, inside=inside)
    again = build(json.loads(json.dumps(backbone.spec.as_dict()))).eval()
    again.load_state_dict(backbone.state_dict())
    assert again.weights == RECORD
    assert again.normalises is inside
    for x in (images(), images(channels=1)):
        assert torch.equal(again(x), backbone(x))
        colour = x.expand(-1, 3, -1, -1)
        torch.testing.assert_close(
            backbone(x), plain(RECORD.normalise(colour) if inside else colour)
        )
    assert backbone.state_dict().keys() == plain.state_dict().keys()


def test_normalisation_follows_the_module():
    backbone = backbones.conv4(8).eval()
    attach(backbone, RECORD, inside=True)
    before = backbone(images()).double()
    torch.testing.assert_close(backbone.double()(images().double()), before, rtol=1e-4, atol=1e-5)
    assert copy.deepcopy(backbone).spec == backbone.spec
    raw = (images() * 255).to(torch.uint8)
    assert torch.equal(backbone(raw), backbone(raw.double() / 255))


def test_bytes_cannot_come_normalised():
    backbone = backbones.conv4(8)
    attach(backbone, RECORD, inside=False)
    with pytest.raises(InputError, match="uint8 images are not"):
        backbone((images() * 255).to(torch.uint8))


def test_a_record_needs_as_many_channels():
    backbone = backbones.conv4(8, in_channels=1)
    with pytest.raises(InputError, match="3 channels and the backbone 1"):
        attach(backbone, RECORD, inside=True)
    assert backbone.weights is None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "resnet19"}, "'resnet19'; did you mean 'resnet18'"),
        ({"name": "load_weights", "options": {"path": "x"}}, "no backbone is called"),
        ({"name": ["conv4"]}, "no backbone is called"),
        ({"name": "conv4", "options": {"chanels": 8}}, "chanels"),
        ({"name": "conv4", "options": {"channels": "8"}}, "channels='8'"),
        ({"name": "conv4", "options": {"seed": 1}}, "seed"),
        ({"name": "conv4", "options": [1]}, "names and values"),
        ({"name": "conv4", "normalises": 1}, "normalises=1"),
        ({"name": "conv4", "weights": {"name": "x"}}, "weight record"),
        ({"name": "conv4", "code": "x"}, "a description of a backbone has"),
        ({}, "a description of a backbone has"),
        (["conv4"], "a description of a backbone has"),
        (BackboneSpec("conv4", {"grey": "maybe"}), "grey='maybe'"),
    ],
)
def test_a_wrong_description_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        build(given)


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "ab"},
        {"sha256": "g" * 64},
        {"mean": (0.5,)},
        {"std": None},
        {"std": (0.0, 1.0, 1.0)},
        {"mean": (float("nan"), 0.0, 0.0)},
        {"mean": 3},
        {"input_size": (84,)},
        {"input_size": (0, 84)},
        {"name": ""},
        {"other": 1},
        {"sha256": 7},
        {"notes": 7},
    ],
)
def test_a_wrong_record_is_refused(change):
    with pytest.raises(InputError):
        WeightRecord.from_dict({**RECORD.as_dict(), **change})


def test_a_record_survives_json():
    assert WeightRecord.from_dict(json.loads(json.dumps(RECORD.as_dict()))) == RECORD
    bare = WeightRecord(name="n", source="s", sha256="0" * 64)
    assert WeightRecord.from_dict(bare.as_dict()) == bare
    assert torch.equal(bare.normalise(images()), images())
