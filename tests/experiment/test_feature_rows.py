"""Which rows read stored features, and how these are made: as rows on images make them."""

import numpy as np
import pytest
import torch

from tests.experiment.conftest import toy_experiment
from torchcross.backbones import WeightRecord
from torchcross.backbones.base import attach
from torchcross.data import TensorSource
from torchcross.embedding import store_features
from torchcross.episode import Batch
from torchcross.experiment.rows.adaptation import adapter
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.row_reads import reads_setting
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.stored_features import (
    embedding_of,
    features_in_words,
    row_uses_features,
    uses_features,
)
from torchcross.experiment.run.feature_units import link_or_copy
from torchcross.targets import Binary
from torchcross.task import Task

ON_FEATURES = [
    *("ncm", "simpleshot", "probe", "fixed-probe", "logistic", "logistic-mean"),
    *("text", "text+logistic"),
]


@pytest.mark.parametrize("row", ON_FEATURES)
def test_each_row_on_features_may_stand_beside_a_network_of_its_own(row):
    assert uses_features(toy_experiment(algorithms=[row]))
    assert row_uses_features(row, toy_experiment(algorithms=[row, "image-statistics"]))
    assert reads_setting(
        METHODS[row], "evaluation.features", toy_experiment(algorithms=[row, "image-statistics"])
    )
    assert not row_uses_features(
        "image-statistics", toy_experiment(algorithms=[row, "image-statistics"])
    )
    assert "the bytes of 64 of them" in features_in_words(toy_experiment(algorithms=[row]))
    assert f"{row} computes features for each" in features_in_words(
        toy_experiment(algorithms=[row, "scratch"])
    )
    assert not uses_features(toy_experiment(algorithms=[row, "scratch"]))
    assert not uses_features(toy_experiment(algorithms=["image-statistics"]))


def test_a_copy_of_a_stored_file_does_not_touch_that_of_another_process(tmp_path, monkeypatch):
    def no_links(*paths):
        raise OSError("no hard links")

    monkeypatch.setattr("os.link", no_links)
    stored, others = tmp_path / "stored", tmp_path / "place.part"
    stored.write_text("features")
    others.write_text("half a co")
    link_or_copy(stored, tmp_path / "place")
    assert (tmp_path / "place").read_text() == "features"
    assert others.read_text() == "half a co"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["place", "place.part", "stored"]


IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
BY_HAND = {
    "": IMAGENET,
    "imagenet": IMAGENET,
    "keras": ((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255)),
    "none": ((0, 0, 0), (1, 1, 1)),
    "of weights": ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
}


@pytest.mark.parametrize("normalisation", BY_HAND)
def test_images_are_normalised_as_for_rows_on_images(normalisation):
    has_weights = normalisation == "of weights"
    chosen = "" if has_weights else normalisation
    settings = toy_experiment(
        algorithms=["logistic"], **{"data.channels": 3, "model.normalisation": chosen}
    )
    net = starting_network(METHODS["logistic"], settings, 0).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 3, 16, 16), generator=generator, dtype=torch.uint8)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in BY_HAND[normalisation])
    with torch.no_grad():
        expected = net((images / 255 - mean) / std)
    if has_weights:
        wanted = dict(zip(("mean", "std"), BY_HAND[normalisation], strict=True))
        record = WeightRecord(name="mine", source="a paper", sha256="ab" * 32, **wanted)
        attach(net, record, inside=True)
    source = TensorSource(images, np.arange(6) % 2, Task("any", Binary()))
    features = store_features(embedding_of(source, net, settings), None).read(np.arange(6))
    torch.testing.assert_close(features, expected, rtol=1e-5, atol=1e-5)
    row = adapter(METHODS["logistic"], net, settings)
    of_row, _ = row.features_of(Batch(images, torch.arange(6) % 2), source.task, images)
    torch.testing.assert_close(features, of_row, rtol=1e-5, atol=1e-5)
