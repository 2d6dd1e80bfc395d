"""The networks written out from their papers' tables over a state dict, against the modules."""

import math

import pytest
import torch
import torch.nn.functional as F

from tests.backbones.small_backbones import images
from torchcross import backbones


class Entries:
    """Layers by the names of a state dict."""

    def __init__(self, module):
        self.of = module.state_dict()

    def conv(self, x, name, **options):
        return F.conv2d(x, self.of[f"{name}.weight"], **options)

    def norm(self, x, name, eps=1e-5):
        parts = (
            self.of[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return F.batch_norm(x, *parts, eps=eps)


def resnet18(module, x):
    net = Entries(module)
    x = F.max_pool2d(net.norm(net.conv(x, "conv1", stride=2, padding=3), "bn1").relu(), 3, 2, 1)
    for at in ("1.0", "1.1", "2.0", "2.1", "3.0", "3.1", "4.0", "4.1"):
        name, stride = f"layer{at}", 2 if at in ("2.0", "3.0", "4.0") else 1
        y = net.norm(net.conv(x, f"{name}.conv1", stride=stride, padding=1), f"{name}.bn1").relu()
        y = net.norm(net.conv(y, f"{name}.conv2", padding=1), f"{name}.bn2")
        if stride == 2:
            x = net.norm(net.conv(x, f"{name}.downsample.0", stride=2), f"{name}.downsample.1")
        x = (x + y).relu()
    return x.mean((2, 3))


def mobilenet_v2(module, x):
    net = Entries(module)
    x = net.norm(net.conv(x, "features.0.0", stride=2, padding=1), "features.0.1").clamp(0, 6)
    strided = {2, 4, 7, 14}
    added = {3, 5, 6, 8, 9, 10, 12, 13, 15, 16}
    for at in range(1, 18):
        name, y, place = f"features.{at}.conv", x, 0
        if at > 1:
            y, place = net.norm(net.conv(y, f"{name}.0.0"), f"{name}.0.1").clamp(0, 6), 1
        stride = 2 if at in strided else 1
        y = net.conv(y, f"{name}.{place}.0", stride=stride, padding=1, groups=y.shape[1])
        y = net.norm(y, f"{name}.{place}.1").clamp(0, 6)
        y = net.norm(net.conv(y, f"{name}.{place + 1}"), f"{name}.{place + 2}")
        x = x + y if at in added else y
    return net.norm(net.conv(x, "features.18.0"), "features.18.1").clamp(0, 6).mean((2, 3))


def padded(x, kernel, stride):
    """As TensorFlow pads for ceil(side / stride) outputs: what is odd goes right and below."""
    sides = []
    for side in (x.shape[-1], x.shape[-2]):
        whole = max((math.ceil(side / stride) - 1) * stride + kernel - side, 0)
        sides += [whole // 2, whole - whole // 2]
    return F.pad(x, sides)


def efficientnet_lite0(module, x):
    net = Entries(module)

    def unit(x, conv, norm, **options):
        return net.norm(net.conv(x, conv, **options), norm, eps=1e-3).clamp(0, 6)

    x = unit(padded(x, 3, 2), "_conv_stem", "_bn0", stride=2)
    strided, wide = {1, 3, 5, 11}, {3, 4, 8, 9, 10, 11, 12, 13, 14}
    added = {2, 4, 6, 7, 9, 10, 12, 13, 14}
    for at in range(16):
        name, y = f"_blocks.{at}", x
        if at > 0:
            y = unit(y, f"{name}._expand_conv", f"{name}._bn0")
        stride, kernel = 2 if at in strided else 1, 5 if at in wide else 3
        options = {"stride": stride, "groups": y.shape[1]}
        filtered = padded(y, kernel, stride)
        y = unit(filtered, f"{name}._depthwise_conv", f"{name}._bn1", **options)
        y = net.norm(net.conv(y, f"{name}._project_conv"), f"{name}._bn2", eps=1e-3)
        x = x + y if at in added else y
    return unit(x, "_conv_head", "_bn1").mean((2, 3))


@pytest.mark.parametrize(
    ("make", "reference"),
    [
        (backbones.resnet18, resnet18),
        (backbones.mobilenet_v2, mobilenet_v2),
        (backbones.efficientnet_lite0, efficientnet_lite0),
    ],
)
def test_the_module_is_the_network_of_the_paper(make, reference):
    module = make().double()
    generator = torch.Generator().manual_seed(0)
    for name, value in module.state_dict().items():
        if name.endswith(("running_mean", "running_var")) or value.dim() == 1:
            value.uniform_(0.5, 1.5, generator=generator)
    x = images(2).double()
    features = module.eval()(x)
    torch.testing.assert_close(features, reference(module, x), rtol=1e-9, atol=1e-12)
    assert features.std(0).max() > 0
