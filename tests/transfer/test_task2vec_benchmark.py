"""The benchmark of Task2Vec compares the same things."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import task2vec
from torchcross import backbones
from torchcross.data import toys


def test_an_estimate_is_judged_by_the_exact_values() -> None:
    exact = np.array([1.0, 2.0, 0.0])
    theirs = {
        "estimates": np.array([[1.0, 4.0, 5.0], [1.0, 0.0, 5.0]]),
        "seconds": np.array([3.0, 5.0]),
        "fitting": np.array(2.0),
    }
    results = task2vec.compare(theirs, exact, 128)
    assert results["published"] == 4.0
    assert results["ratio"] == 1.0
    # Filters without information are not judged; the others have errors of 0 and 1.
    assert results["error"] == pytest.approx([0.5, 0.9])


def test_each_class_counts_the_same() -> None:
    source = toys.multiclass(12, size=16)
    images, labels = task2vec.images_and_labels(source)
    probe = backbones.conv4(2, in_channels=1)
    head = {"weight": np.eye(5, probe.num_features, dtype=np.float32), "bias": np.zeros(5, "f4")}
    once = task2vec.exact_information(probe, images, labels, head)
    often = np.concatenate([np.arange(12), np.flatnonzero(labels == labels[0])])
    again = task2vec.exact_information(probe, images[often], labels[often], head)
    np.testing.assert_allclose(again, once, rtol=1e-5)


def test_a_folder_that_is_no_checkout(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        task2vec.main(["--published", "nowhere"])
    assert "give a checkout" in capsys.readouterr().err
