import json
from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.backbones.small_backbones import bottlenecks, images
from tests.backbones.test_weights import refused
from torchcross import backbones
from torchcross.backbones import load_weights
from torchcross.backbones.keras import torchvision_layer

MEANS = (103.939, 116.779, 123.68)


def keras_backbone(seed=0):
    return bottlenecks("resnet50_keras", stride_first=True, seed=seed)


@cache
def keras_arrays():
    """Random weights of a Keras ResNet-50 with one block per stage, as Keras has them."""
    random = np.random.Generator(np.random.Philox(0))
    arrays = {}

    def conv(layer, side, inputs, outputs):
        scale = np.sqrt(2 / (side * side * inputs))
        arrays[f"{layer}/kernel"] = scale * random.standard_normal((side, side, inputs, outputs))
        arrays[f"{layer}/bias"] = random.standard_normal(outputs)

    def norm(layer, channels):
        for part in ("gamma", "beta", "moving_mean", "moving_variance"):
            arrays[f"{layer}/{part}"] = random.uniform(0.5, 1.5, channels)

    conv("conv1", 7, 3, 64)
    norm("bn_conv1", 64)
    inputs = 64
    for stage, width in zip("2345", (64, 128, 256, 512), strict=True):
        sizes = [
            ("2a", 1, inputs, width),
            ("2b", 3, width, width),
            ("2c", 1, width, 4 * width),
            ("1", 1, inputs, 4 * width),
        ]
        for branch, side, fan, outputs in sizes:
            conv(f"res{stage}a_branch{branch}", side, fan, outputs)
            norm(f"bn{stage}a_branch{branch}", outputs)
        inputs = 4 * width
    arrays["fc1000/kernel"] = np.zeros((inputs, 10))
    arrays["fc1000/bias"] = np.zeros(10)
    return {name: value.astype("<f4") for name, value in arrays.items()}


def keras_features(arrays, bgr):
    """The network as Keras runs it: with biases, images BGR in 0..255 minus the means."""
    tensors = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}

    def conv(x, layer, stride=1, padding=0):
        kernel = tensors[f"{layer}/kernel"].permute(3, 2, 0, 1)
        return F.conv2d(x, kernel, tensors[f"{layer}/bias"], stride, padding)

    def norm(x, layer):
        parts = (
            tensors[f"{layer}/{part}"]
            for part in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return F.batch_norm(x, *parts, eps=1e-3)

    x = norm(conv(F.pad(bgr, (3, 3, 3, 3)), "conv1", 2), "bn_conv1").relu()
    x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)
    for stage in "2345":
        stride = 1 if stage == "2" else 2
        res, bn = f"res{stage}a_branch", f"bn{stage}a_branch"
        y = norm(conv(x, f"{res}2a", stride), f"{bn}2a").relu()
        y = norm(conv(y, f"{res}2b", padding=1), f"{bn}2b").relu()
        y = norm(conv(y, f"{res}2c"), f"{bn}2c")
        x = (y + norm(conv(x, f"{res}1", stride), f"{bn}1")).relu()
    return x.mean((2, 3))


def write(folder, arrays=None, shards=2, change=None):
    arrays = keras_arrays() if arrays is None else arrays
    data = b"".join(value.tobytes() for value in arrays.values())
    size = -(-len(data) // shards)
    paths = [f"group1-shard{at + 1}of{shards}.bin" for at in range(shards)]
    for at, name in enumerate(paths):
        (folder / name).write_bytes(data[at * size : (at + 1) * size])
    weights = [
        {"name": name, "shape": list(value.shape), "dtype": "float32"}
        for name, value in arrays.items()
    ]
    norm = {"class_name": "BatchNormalization", "config": {"name": "bn_conv1", "epsilon": 0.001}}
    model = {
        "format": "layers-model",
        "modelTopology": {"model_config": {"class_name": "Model", "config": {"layers": [norm]}}},
        "weightsManifest": [{"paths": paths, "weights": weights}],
    }
    if change is not None:
        change(model)
    path = folder / "model.json"
    path.write_text(json.dumps(model))
    return path


@pytest.mark.slow
def test_the_converted_network_is_the_original(tmp_path):
    backbone = keras_backbone().eval()
    record = load_weights(backbone, write(tmp_path), normalisation="keras")
    rgb = images(2, side=64)
    bgr = 255 * rgb.flip(1) - torch.tensor(MEANS).view(3, 1, 1)
    wanted = keras_features(keras_arrays(), bgr)
    torch.testing.assert_close(
        backbone(rgb), wanted, rtol=1e-3, atol=1e-3 * wanted.abs().mean().item()
    )
    assert record.dropped == ("fc1000.kernel", "fc1000.bias")
    assert any("BGR to RGB" in note for note in record.notes)


def shorten(model):
    model["weightsManifest"][0]["paths"].pop()


def weight(at=0, **change):
    return lambda model: model["weightsManifest"][0]["weights"][at].update(change)


def path_named(name):
    return lambda model: model["weightsManifest"][0]["paths"].__setitem__(0, name)


def epsilon(model):
    model["modelTopology"]["model_config"]["config"]["layers"][0]["config"]["epsilon"] = 1.001e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (shorten, "end within"),
        (weight(dtype="uint8"), "not plain float32"),
        (weight(quantization={"dtype": "uint8"}), "not plain float32"),
        (weight(shape=[7, 7, 3, -64]), "the shape"),
        (weight(shape="x"), "the shape"),
        (weight(shape=[7, 7, 3, 2**40]), "end within 'conv1/kernel'"),
        (weight(shape=[7, 7, 3, 32]), "too many|does not fit|running mean"),
        (weight(name="conv2/kernel"), r"1 missing \('conv1.weight'\); 1 extra \('conv2.kernel'\)"),
        (weight(at=1, name="conv1/kernel"), "twice"),
        (weight(name="conv1/depthwise"), "1 missing"),
        (path_named("../secret.bin"), "plain names"),
        (path_named("/etc/passwd"), "plain names"),
        (path_named(".."), "plain names"),
        (path_named("none.bin"), "No such file"),
        (epsilon, r"resnet50_keras\(norm_eps=1.001e-05\)"),
        (lambda model: model.pop("weightsManifest"), "weightsManifest"),
        (
            lambda model: model.update(weightsManifest=[{"paths": [1], "weights": []}]),
            "weightsManifest",
        ),
    ],
)
def test_a_wrong_model_is_refused(tmp_path, change, message):
    refused(keras_backbone(), write(tmp_path, change=change), message)


def test_a_model_that_is_no_json(tmp_path):
    path = tmp_path / "model.json"
    for text, message in (
        ("{", "no whole JSON"),
        ("[1]", "weightsManifest"),
        ("[" * 100_000, "no whole JSON"),
    ):
        path.write_text(text)
        refused(keras_backbone(), path, message)


def test_it_fits_no_other_backbone(tmp_path):
    refused(backbones.conv4(8), write(tmp_path), r"resnet50_keras\(\) alone")
    refused(
        bottlenecks("resnet50", stride_first=False),
        tmp_path / "model.json",
        r"resnet50_keras\(\) alone",
    )
    refused(keras_backbone(), tmp_path / "model.json", "has none", entry="model")


@pytest.mark.parametrize(
    ("keras", "torchvision"),
    [
        ("conv1", "conv1"),
        ("bn_conv1", "bn1"),
        ("res2a_branch1", "layer1.0.downsample.0"),
        ("bn2a_branch1", "layer1.0.downsample.1"),
        ("res4f_branch2b", "layer3.5.conv2"),
        ("bn5c_branch2c", "layer4.2.bn3"),
        ("fc1000", None),
        ("res6a_branch1", None),
    ],
)
def test_names(keras, torchvision):
    assert torchvision_layer(keras) == torchvision
