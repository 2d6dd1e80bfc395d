"""Depth and transparency of one's own images, in what a row of a run predicts of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.command_line import refused, run
from tests.experiment.opened.test_opened_run import made_run
from torchcross.errors import TorchcrossWarning
from torchcross.experiment import open_run, predict_images

GREYS = np.random.default_rng(0).integers(0, 256, (6, 8, 8)).astype(np.uint16)
GREYS[:, 0, 0] = 255


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    yield from made_run(tmp_path_factory.mktemp("depth") / "run", ["ncm"], ["hole"])


def write_images(folder, greys, factor=1, dtype=np.uint8, classes=("a", "b")):
    """The same greys as files of some depth."""
    for place, values in enumerate(greys):
        path = folder / (classes[place % 2] if classes else "") / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((values * factor).astype(dtype)).save(path)
    return folder


@pytest.fixture
def eight(tmp_path):
    return write_images(tmp_path / "eight", GREYS[:4])


def write_query(folder, factor, dtype):
    return write_images(folder, GREYS[4:], factor, dtype, classes=())


def probabilities(made, support, query, **options):
    predictions = predict_images(open_run(made), "ncm", support, query, **options)
    return predictions.prediction.probabilities


@pytest.mark.slow
def test_twelve_bits_are_warned_of_and_read_by_the_option(made, eight, tmp_path, capsys):
    expected = probabilities(made, eight, write_query(tmp_path / "plain", 1, np.uint8))
    # 4095 / 255, so that a grey is the same in both depths.
    query = write_query(tmp_path / "query", 4095 / 255, np.uint16)
    with pytest.warns(TorchcrossWarning) as caught:
        wrong = probabilities(made, eight, query)
    depth, differs = (str(each.message) for each in caught)
    assert "0.png of the query images has 16 bits, and no value above 4095" in depth
    assert "has 12 bits more likely; give --bits 12 (in Python, bits=12)" in depth
    assert "0.png of the query images has 16 bits, and the support set has 8" in differs
    assert not torch.allclose(wrong, expected, atol=1e-3)
    assert torch.equal(probabilities(made, eight, query, bits=12), expected)
    asked = ["predict", made, "--row", "ncm", "--support", eight, "--query", query, "--out"]
    status, _, err = run(capsys, *asked, tmp_path / "a.csv", "--bits", "12")
    assert (status, "bits" in err) == (0, False), err
    with pytest.warns(TorchcrossWarning):
        assert run(capsys, *asked, tmp_path / "b.csv")[0] == 0
    assert (tmp_path / "a.csv").read_text() != (tmp_path / "b.csv").read_text()
    assert "give 8 to 16" in refused(capsys, *asked, tmp_path / "c.csv", "--bits", "20")


@pytest.mark.slow
def test_full_sixteen_bits_beside_eight_are_warned_of_until_their_bits_are_known(
    made, eight, tmp_path
):
    query = write_query(tmp_path / "query", 257, np.uint16)
    with pytest.warns(
        TorchcrossWarning, match=r"the support set has 8: .* give --bits N"
    ) as caught:
        wide = probabilities(made, eight, query)
    assert len(caught) == 1
    assert torch.equal(probabilities(made, eight, query, bits=16), wide)
    sixteen = write_images(tmp_path / "sixteen", GREYS[:4], 257, np.uint16)
    assert torch.equal(probabilities(made, sixteen, query), wide), "one depth: no warning"
    plain = write_query(tmp_path / "plain", 1, np.uint8)
    with pytest.warns(TorchcrossWarning, match=r"has 8 bits, and the support set has 16"):
        assert torch.equal(probabilities(made, sixteen, plain), wide)


@pytest.mark.slow
def test_a_transparent_query_image_is_named_and_its_background_can_be_chosen(
    made, eight, tmp_path, capsys
):
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[2:5, 2:5] = (255, 255, 255, 255)
    (tmp_path / "query").mkdir()
    Image.fromarray(pixels).save(tmp_path / "query" / "ghost.png")
    asked = ["predict", made, "--row", "ncm", "--support", eight, "--query", tmp_path / "query"]
    with pytest.warns(
        TorchcrossWarning, match=r"ghost\.png of the query images becomes one .* \(--background\)"
    ):
        assert run(capsys, *asked, "--out", tmp_path / "a.csv")[0] == 0
    status, _, err = run(capsys, *asked, "--out", tmp_path / "b.csv", "--background", "black")
    assert (status, "ghost" in err) == (0, False), err
    assert (tmp_path / "a.csv").read_text() != (tmp_path / "b.csv").read_text()
