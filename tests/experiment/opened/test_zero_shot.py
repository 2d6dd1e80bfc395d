"""A row that reads texts predicts one's own images without a support set."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.command_line import refused, run
from tests.experiment.conftest import Toys
from tests.experiment.opened.test_opened_run import made_run
from torchcross.experiment import open_run, predict_images, run_predictions
from torchcross.text import TextVectors


def made(folder, **changes):
    names = {name for source in Toys().made.values() for name in source.task.classes}
    generator = torch.Generator().manual_seed(0)
    vectors = {name: torch.randn(4, generator=generator) for name in sorted({*names, "nothing"})}
    texts = str(TextVectors(vectors, 8.0).write(folder / "texts.safetensors"))
    options = {"shots": [0, 1], "text.vectors": texts, "evaluation.features": "none", **changes}
    yield from made_run(folder / "run", ["text", "text+logistic", "ncm"], **options)


@pytest.fixture(scope="module")
def zero_shot(tmp_path_factory):
    yield from made(tmp_path_factory.mktemp("zero"))


def write_query(folder, images):
    """Grey images as files, in their order."""
    folder.mkdir()
    for place, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{place:04}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("row", ["text", "text+logistic"])
@pytest.mark.parametrize("target", ["hole", "shape"])
def test_it_predicts_what_the_run_stored_to_the_bit(zero_shot, tmp_path, row, target):
    opened = open_run(zero_shot)
    (stored,) = run_predictions(zero_shot, algorithm=row, target=f"ink/{target}", shots=0)
    known = next(iter(stored))
    query = write_query(tmp_path / "query", opened.episodes(target, 0)[known.episode].query.x)
    predictions = predict_images(opened, row, None, query, target=target)
    assert predictions.prediction.classes == stored.classes
    assert (predictions.target, predictions.zero_shot) == (target, True)
    scores = predictions.prediction.scores.numpy().astype(np.float32)
    assert np.array_equal(scores, known.log_odds)
    assert np.array_equal(predictions.prediction.decisions.numpy(), known.decisions)


@pytest.mark.long
def test_classes_that_episodes_leave_out_are_left_out(tmp_path):
    counts = Toys().made["shape"].counts()
    fewest = sorted(counts.values())[1]
    changes = {"targets": ("shape",), "evaluation.min_images": fewest}
    for folder in made(tmp_path, **changes):
        opened = open_run(folder)
        episode = opened.episodes("shape", 0)[0]
        query = write_query(tmp_path / "query", episode.query.x)
        predictions = predict_images(opened, "text", None, query)
        assert predictions.prediction.classes == episode.task.classes
        assert len(episode.task.classes) < len(counts)


@pytest.mark.slow
def test_the_command(zero_shot, tmp_path, capsys):
    query = write_query(tmp_path / "query", open_run(zero_shot).episodes("hole", 0)[0].query.x)
    out = tmp_path / "new.csv"
    asked = ["predict", zero_shot, "--query", query, "--out", out, "--row"]
    assert "has several: give one (target=, or --target), of hole, shape" in refused(
        capsys, *asked, "text"
    )
    said = refused(capsys, *asked, "ncm", "--target", "hole")
    assert "the row 'ncm' learns from a support set; give --support" in said
    assert "or a row that needs none: text, text+logistic" in said
    status, shown, err = run(capsys, *asked, "text", "--target", "hole")
    assert status == 0, err
    assert shown.strip().endswith("by text with the classes of hole, from no labelled image")
    head = out.read_text(encoding="utf-8").splitlines()[0]
    assert head == "image,class,probability: solid,probability: hole"
