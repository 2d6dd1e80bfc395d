"""Features as data: each image once, in fixed blocks, in a file that is known by what made it."""

from __future__ import annotations

import pickle
from copy import deepcopy
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import torchcross as tx
from tests.embedding.sources import (
    IMAGES,
    Counting,
    Returning,
    blocks_of,
    numbered_source,
    shapes,
)
from torchcross import backbones
from torchcross.data import FeatureSource, LabelSource, Normalise, TensorSource
from torchcross.embedding import Embedding, EmbeddingOptions, open_features, store_features
from torchcross.embedding.digests import network_digest, weights_digest
from torchcross.embedding.forward import BLOCK
from torchcross.errors import InputError, ReadError, SourceError, WriteError

ALL = np.arange(IMAGES)


def file_of(folder: Path) -> Path:
    (file,) = folder.glob("*.safetensors")
    return file


def test_each_image_is_embedded_once_and_the_file_is_used_again(tmp_path: Path) -> None:
    source, net = numbered_source(), Counting()
    first = tx.features(source, net, tmp_path)
    assert blocks_of(net) == [BLOCK, BLOCK, IMAGES - 2 * BLOCK]
    again = tx.features(source, net, tmp_path)
    assert len(blocks_of(net)) == 3
    for features in (first, again):
        vectors = features.read([3, 140, 3])
        assert vectors.tolist() == [[3, 6, 1], [140, 280, 1], [3, 6, 1]]
        assert vectors.dtype == torch.float32
    assert sorted(path.name for path in tmp_path.iterdir()) == [file_of(tmp_path).name]


def test_the_samples_are_those_of_the_source(tmp_path: Path) -> None:
    source = shapes()
    features = tx.features(source, backbones.conv4(in_channels=1, channels=4), tmp_path)
    assert (features.name, features.task) == (source.name, source.task)
    assert features.fingerprint() == source.fingerprint()
    assert np.array_equal(features.groups, source.groups)
    plans = [tx.EpisodeSampler(each, shots=2, seed=1)[5] for each in (source, features)]
    assert np.array_equal(plans[0].support, plans[1].support)


def test_a_file_and_fresh_features_have_the_same_bits(tmp_path: Path) -> None:
    source, net = shapes(), backbones.resnet18(in_channels=1)
    stored, fresh = tx.features(source, net, tmp_path), tx.features(source, net)
    assert torch.equal(stored.read(ALL), fresh.read(ALL))


def test_a_backbone_in_training_mode_is_used_in_evaluation_mode_and_not_changed() -> None:
    source, net = shapes(), backbones.resnet18(in_channels=1).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    vectors = tx.features(source, net).read(ALL)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    with torch.no_grad():
        expected = net.eval()(source.read(ALL[:BLOCK]))
    assert torch.allclose(vectors[:BLOCK], expected, atol=1e-5)


def test_the_precision_of_the_caller_changes_no_features() -> None:
    source, net = shapes(), backbones.conv4(in_channels=1, channels=4)
    expected = tx.features(source, net).read(ALL)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        vectors = tx.features(source, net).read(ALL)
    assert torch.equal(vectors, expected)


@pytest.mark.parametrize(
    "change",
    ["weights", "layers", "images", "dtype", "views", "normalise", "nothing", "labels"],
)
def test_what_decides_features_decides_their_file(tmp_path: Path, change: str) -> None:
    source, net = shapes(), backbones.conv4(in_channels=1, channels=4)
    tx.features(source, net, tmp_path)
    options = {}
    if change == "weights":
        with torch.no_grad():
            next(net.parameters())[0] += 1
    if change == "layers":
        net = backbones.conv4(in_channels=1, channels=4, pooling="max")
    if change == "images":
        images = source.read(ALL)
        images[0, 0, 0, 0] ^= 1
        source = TensorSource(images, source.labels, source.task)
    if change == "dtype":
        options = {"dtype": "float16"}
    if change == "views":
        options = {"views": 2, "augment": tx.Augmentation(rotation=0, crop=1)}
    if change == "normalise":
        options = {"normalise": Normalise((0.5,), (0.5,))}
    if change == "labels":
        # Another task over the same images.
        source = TensorSource(source.read(ALL), ALL % 2, Task_of_parity, name="parity")
    tx.features(source, net, tmp_path, **options)
    expected = 1 if change in ("nothing", "labels") else 2
    assert len(list(tmp_path.glob("*.safetensors"))) == expected


Task_of_parity = tx.Task("parity", tx.targets.Binary())


def test_the_key_is_of_the_weights_that_compute(tmp_path: Path) -> None:
    net = Counting()
    embedding, expected = Embedding(numbered_source(), net), weights_digest(net)
    with torch.no_grad():
        net.factor += 1
    net.more = nn.Flatten()
    assert embedding.record.weights == expected
    assert embedding.record.network == network_digest(Counting())
    features = store_features(embedding, tmp_path)
    assert features.read([3]).tolist() == [[3, 6, 1]]


class Configured(nn.Module):
    """What it computes stands in an attribute."""

    def __init__(self, setting: object) -> None:
        super().__init__()
        self.setting = setting


SETTINGS = [
    (partial(torch.clamp, min=0), partial(torch.clamp, min=1)),
    (partial(torch.pow, torch.ones(1)), partial(torch.pow, torch.zeros(1))),
    ({"slope": 0.1}, {"slope": 0.2}),
    ({"one": [{"act": torch.relu}]}, {"one": [{"act": torch.tanh}]}),
    (torch.arange(3.0), torch.arange(3.0) + 1),
    (torch.arange(3), torch.arange(3.0)),
    ([torch.zeros(2, 1)], [torch.zeros(1, 2)]),
]


@pytest.mark.parametrize(("one", "other"), SETTINGS)
def test_settings_of_every_kind_are_in_the_identity_of_a_network(
    one: object, other: object
) -> None:
    assert network_digest(Configured(one)) == network_digest(Configured(deepcopy(one)))
    assert network_digest(Configured(one)) != network_digest(Configured(other))


def test_what_a_layer_keeps_between_calls_is_not_in_the_identity_of_a_network() -> None:
    before, after = Configured(0), Configured(0)
    before.bias_cache, after.bias_cache = {}, {"cpu": torch.ones(2)}  # type: ignore[assignment]
    assert network_digest(before) == network_digest(after)


def test_a_file_under_a_name_that_is_not_its_own_is_refused(tmp_path: Path) -> None:
    source, net = numbered_source(), Counting()
    one = Embedding(source, net, EmbeddingOptions(dtype="float16"))
    other = Embedding(source, net)
    store_features(one, tmp_path)
    (tmp_path / one.file_name).rename(tmp_path / other.file_name)
    keys = rf"{one.record.key[:16]}.* have {other.record.key[:16]} \(they differ in dtype: dtype is"
    with pytest.raises(SourceError, match=rf"features with the key {keys}"):
        store_features(other, tmp_path)


def test_normalise_is_applied_before_the_backbone() -> None:
    net = Counting()
    vectors = tx.features(numbered_source(), net, normalise=Normalise((2.0,), (4.0,))).read([10])
    assert vectors.tolist() == [[2, 4, 1]]


def test_half_precision_is_rounded_and_read_as_float32(tmp_path: Path) -> None:
    source, net = shapes(), backbones.conv4(in_channels=1, channels=4)
    exact = tx.features(source, net).read(ALL)
    halves = tx.features(source, net, tmp_path, dtype="float16").read(ALL)
    assert halves.dtype == torch.float32
    assert torch.equal(halves, exact.half().float())
    assert file_of(tmp_path).stat().st_size < exact.nbytes / 2 + 4096


def test_views_are_of_augmented_images(tmp_path: Path) -> None:
    source, net = shapes(), backbones.conv4(in_channels=1, channels=4)
    augment = tx.Augmentation(rotation=0, crop=1, horizontal_flip=1, vertical_flip=0)
    plain = tx.features(source, net).read(ALL)
    features = tx.features(source, net, tmp_path, views=2, augment=augment)
    views = features.all_views(ALL)
    assert views.shape == (IMAGES, 2, features.width)
    assert torch.equal(features.read(ALL), plain)
    assert torch.equal(views[:, 0], plain)
    images = source.read(ALL).flip(-1)
    mirrored = tx.features(TensorSource(images, source.labels, source.task), net).read(ALL)
    assert torch.equal(views[:, 1], mirrored)


def test_a_feature_source_reaches_worker_processes(tmp_path: Path) -> None:
    features = tx.features(shapes(), backbones.conv4(in_channels=1, channels=4), tmp_path)
    copy = pickle.loads(pickle.dumps(features))
    assert torch.equal(copy.read(ALL), features.read(ALL))
    assert len(pickle.dumps(features.features)) < 4096


def test_features_have_no_features() -> None:
    features = tx.features(numbered_source(), Counting())
    with pytest.raises(InputError, match="stored features in place of images already"):
        tx.features(features, nn.Identity())


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda v: v[:, None, None], r"made the shape \(64, 1, 1\) of 64 images"),
        (lambda v: v[:1, None].expand(3, 2), r"made the shape \(3, 2\)"),
        (lambda v: v[:, None][:, :0], r"made the shape \(64, 0\) .* D of at least 1"),
        (lambda v: [v], "made a list"),
    ],
)
def test_an_output_that_is_no_features_is_refused(
    tmp_path: Path, make: object, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        tx.features(numbered_source(), Returning(make), tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("in_file", [True, False])
def test_broken_features_name_their_images(tmp_path: Path, value: float, in_file: bool) -> None:
    def make(values: torch.Tensor) -> torch.Tensor:
        return torch.where((values == 70) | (values == 75), value, values)[:, None]

    with pytest.raises(ReadError, match=r"'numbers': .* NaN or infinite .*: 70, 75\. Repair"):
        tx.features(numbered_source(), Returning(make), tmp_path if in_file else None)
    assert not list(tmp_path.glob("*.safetensors"))


def test_values_beyond_half_precision_are_refused(tmp_path: Path) -> None:
    net = Returning(lambda values: values[:, None] * 1e4)
    with pytest.raises(InputError, match=r"as large as 6.3e\+05, and float16 .* dtype='float32'"):
        tx.features(numbered_source(), net, tmp_path, dtype="float16")


def test_features_of_other_images_are_refused(tmp_path: Path) -> None:
    source, net = numbered_source(), Counting()
    tx.features(source, net, tmp_path)
    file = file_of(tmp_path)
    with pytest.raises(SourceError, match="has 99 images and its features are of 150"):
        FeatureSource(numbered_source(99), file)
    others = TensorSource(source.read(ALL) + 1, source.labels, source.task)
    with pytest.raises(SourceError, match="not those that the features were made of"):
        FeatureSource(others, file)
    labels = LabelSource(source.labels, source.task)
    assert FeatureSource(labels, file, check_images=False).read([2]).tolist() == [[2, 4, 1]]


def test_a_change_of_any_image_is_seen_where_all_are_read() -> None:
    images = numbered_source(IMAGES).read(ALL)
    features = tx.features(numbered_source(), Counting())
    features.check_all_images(numbered_source())
    images[IMAGES - 3] += 1
    changed = TensorSource(images, np.arange(IMAGES) % 2, numbered_source().task)
    with pytest.raises(SourceError, match=r"images 128\.\.149 of source .* are not those"):
        features.check_all_images(changed)


def test_features_of_other_weights_or_layers_are_refused(tmp_path: Path) -> None:
    source, net = shapes(), backbones.conv4(in_channels=1, channels=4)
    tx.features(source, net, tmp_path)
    file = file_of(tmp_path)
    assert open_features(file, source, net).width == net.num_features
    with pytest.raises(SourceError, match="features of other weights"):
        open_features(file, source, backbones.conv4(in_channels=1, channels=4, seed=1))
    net.train()
    net.extra = nn.Flatten()
    with pytest.raises(SourceError, match="other layers or settings"):
        open_features(file, source, net)


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="dtype='bfloat16' is not one of"):
        tx.features(numbered_source(), Counting(), dtype="bfloat16")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="views=0 is not an integer of at least 1"):
        tx.features(numbered_source(), Counting(), views=0)
    with pytest.raises(InputError, match="there is one view"):
        tx.features(numbered_source(), Counting(), augment=tx.Augmentation())


def test_a_folder_that_cannot_be_made_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((WriteError, OSError)):
        tx.features(numbered_source(), Counting(), tmp_path / "file")
