import math

import pytest
import torch

from tests.backbones import published_layouts
from tests.backbones.small_backbones import SIDE, SMALL, images
from torchcross import backbones
from torchcross.backbones.resnet import ResNet, _BasicBlock, _Bottleneck
from torchcross.backbones.vit import ViT
from torchcross.errors import InputError

CHANNELS = {"in_channels": 3, "grey": None}
VIT_B_16 = {"image_size": 224, "patch_size": 16, "width": 768, "depth": 12, "heads": 12}


def on_meta(name):
    """The architecture without its numbers."""
    with torch.device("meta"):
        if name == "mobilenet_v2":
            return backbones.mobilenet.MobileNetV2(width=1.0, **CHANNELS)
        if name == "efficientnet_lite0":
            return backbones.efficientnet_lite.EfficientNetLite(**CHANNELS)
        if name == "vit_b_16":
            return ViT(**VIT_B_16, mlp_width=3072, pooling="token", **CHANNELS)
        kind, depths = published_layouts.RESNETS[name]
        block = _BasicBlock if kind == "basic" else _Bottleneck
        return ResNet(block, depths, stem="imagenet", **CHANNELS)


LAYOUTS = {
    **{name: published_layouts.resnet(name) for name in published_layouts.RESNETS},
    "mobilenet_v2": published_layouts.mobilenet_v2(),
    "efficientnet_lite0": published_layouts.efficientnet_lite0(),
    "vit_b_16": published_layouts.vit_b_16(),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_names_shapes_and_order_are_torchvisions(name):
    ours = {entry: tuple(value.shape) for entry, value in on_meta(name).state_dict().items()}
    theirs = {
        entry: shape
        for entry, shape in LAYOUTS[name].items()
        if not entry.startswith(("fc.", "_fc.", "classifier.", "heads."))
    }
    assert ours == theirs
    assert [entry for entry in ours if "downsample" not in entry] == [
        entry for entry in theirs if "downsample" not in entry
    ]


@pytest.mark.parametrize(
    ("name", "with_classifier", "features"),
    [
        ("resnet18", 11_689_512, 512),
        ("resnet34", 21_797_672, 512),
        ("resnet50", 25_557_032, 2048),
        ("mobilenet_v2", 3_504_872, 1280),
        ("efficientnet_lite0", 4_652_008, 1280),
        ("vit_b_16", 86_567_656, 768),
    ],
)
def test_published_parameter_counts(name, with_classifier, features):
    backbone = on_meta(name)
    assert backbone.num_features == features
    count = sum(value.numel() for value in backbone.parameters())
    assert count == with_classifier - 1000 * (features + 1)


@pytest.mark.slow
def test_resnet18_and_conv4_by_number():
    assert sum(value.numel() for value in backbones.resnet18().parameters()) == 11_176_512
    # 113,088 with the biases that a norm makes idle.
    assert sum(value.numel() for value in backbones.conv4().parameters()) == 113_088 - 4 * 64
    assert backbones.conv4(pooling="flatten", image_size=84).num_features == 1600
    assert backbones.conv4(pooling="flatten", image_size=28, in_channels=1).num_features == 64


def test_conv4_of_reptile_halves_upwards():
    """84 -> 42 -> 21 -> 11 -> 6, as pooling with padding "same" does."""
    network = backbones.conv4(
        2, in_channels=1, pooling="flatten", image_size=84, ceil=True, bias=True
    )
    assert network.num_features == 2 * 36
    assert network(images(2, 1, 84)).shape == (2, 72)
    assert all(layer.conv.bias is not None for layer in network.layers)
    assert backbones.conv4(4).spec.options.keys() < network.spec.options.keys()


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("training", [False, True])
def test_features_have_the_shape_that_is_promised(kind, training):
    backbone = SMALL[kind]().train(training)
    features = backbone(images())
    assert features.shape == (3, backbone.num_features)
    assert features.isfinite().all()
    features.sum().backward()
    assert all(value.grad is not None for value in backbone.parameters())


def test_where_the_stride_of_a_bottleneck_stands():
    plain, keras = SMALL["bottlenecks"](), SMALL["bottlenecks_keras"]()
    strides = [[b.layer2[0].conv1.stride, b.layer2[0].conv2.stride] for b in (plain, keras)]
    assert strides == [[(1, 1), (2, 2)], [(2, 2), (1, 1)]]
    assert (plain.bn1.eps, keras.bn1.eps) == (1e-5, 1e-3)


def test_keras_norms():
    norm = backbones.resnet50_keras(norm_eps=1.001e-5).layer4[2].bn3
    assert (norm.eps, norm.momentum) == (1.001e-5, 0.01)


def test_the_small_stem_keeps_small_images():
    seen = []
    for stem in ("imagenet", "small"):
        backbone = backbones.resnet18(stem=stem).eval()
        backbone.layer4.register_forward_hook(lambda _m, _i, out: seen.append(out.shape[-1]))
        backbone(images())
    assert seen == [1, 4]


def test_the_pooling_of_conv4_is_of_its_last_map():
    def pooled(pooling, size=None):
        return backbones.conv4(8, pooling=pooling, image_size=size)(images()).view(3, 8, -1)

    flat = pooled("flatten", SIDE)
    assert flat.shape == (3, 8, 4)
    torch.testing.assert_close(pooled("mean").squeeze(-1), flat.mean(-1))
    torch.testing.assert_close(pooled("max").squeeze(-1), flat.amax(-1))


def test_attention_is_torchs():
    vit = SMALL["small_vit"]().double()
    ours = vit.encoder.layers[0].self_attention
    theirs = torch.nn.MultiheadAttention(24, 3, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict({**ours.state_dict()})
    tokens = images(2, 1, 24).double().squeeze(1)
    torch.testing.assert_close(ours(tokens), theirs(tokens, tokens, tokens, need_weights=False)[0])


def test_grey_images_need_a_choice():
    grey = images(channels=1)
    with pytest.raises(InputError, match=r"grey='expand'.*in_channels=1"):
        backbones.resnet18()(grey)
    assert backbones.conv4(8, in_channels=1)(grey).shape == (3, 8)
    expanding, plain = backbones.conv4(8, grey="expand"), backbones.conv4(8)
    assert torch.equal(expanding(grey), plain(grey.repeat(1, 3, 1, 1)))
    assert torch.equal(expanding(images()), plain(images()))
    with pytest.raises(InputError, match="leave grey out"):
        backbones.conv4(8, in_channels=1, grey="expand")


def test_bytes_are_divided_by_255():
    backbone = backbones.conv4(8).eval()
    raw = (images() * 255).to(torch.uint8)
    assert torch.equal(backbone(raw), backbone(raw.float() / 255))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: b(images()[0]), r"\(N, C, H, W\).*\(3, 32, 32\)"),
        (lambda b: b(images(channels=4)), "takes 3 channels and the images have 4.*in_channels=4"),
        (lambda b: b(images().long()), "torch.int64"),
        (lambda b: b(images(side=15)), "15 x 15.*at least 16"),
    ],
)
def test_images_that_do_not_fit_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(backbones.conv4(8))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: backbones.conv4(0), "channels=0"),
        (lambda: backbones.conv4(8, norm="layer"), "norm='layer'.*'batch', 'group', 'none'"),
        (lambda: backbones.conv4(12, norm="group"), "divide channels=12"),
        (lambda: backbones.conv4(8, pooling="flatten"), "needs image_size"),
        (lambda: backbones.conv4(8, image_size=84), "takes any size"),
        (lambda: backbones.conv4(8, in_channels=True), "in_channels=True"),
        (lambda: backbones.resnet18(stem="cifar"), "stem='cifar'"),
        (lambda: backbones.resnet18(grey="average"), "grey='average'.*'expand'"),
        (lambda: backbones.resnet50_keras(norm_eps=0.0), "norm_eps=0.0"),
        (lambda: backbones.mobilenet_v2(width=math.nan), "width=nan"),
        (
            lambda: backbones.small_vit(image_size=60),
            "image_size=60 is not a multiple of patch_size=8",
        ),
        (lambda: backbones.small_vit(width=64, heads=3), "width=64 is not a multiple of heads=3"),
        (lambda: backbones.small_vit(pooling="max"), "pooling='max'"),
        (
            lambda: backbones.small_vit(image_size=32, depth=1)(images(side=40)),
            "image_size=32 and got 40 x 40",
        ),
        (
            lambda: backbones.conv4(8, pooling="flatten", image_size=32)(images(side=40)),
            "image_size=32 and got 40 x 40",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()
