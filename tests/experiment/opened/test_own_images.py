"""Predictions of one's own images: which task they have, in which batches, by which seed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from tests.command_line import refused, run
from tests.experiment.opened.test_opened_run import made_run
from tests.experiment.opened.test_zero_shot import made as made_with_texts
from torchcross.episode import Batch
from torchcross.errors import InputError, SourceError
from torchcross.experiment import open_run, predict_images, run_predictions
from torchcross.experiment.opened import own_images
from torchcross.experiment.opened.own_files import OwnImageReader
from torchcross.targets import MultiClass
from torchcross.task import Task

STEPS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two training seeds whose rows predict with the statistics of the batch."""
    folder = tmp_path_factory.mktemp("own") / "run"
    changes = {
        "evaluation.adaptation": "own",
        "evaluation.norm": "batch",
        "evaluation.inner_steps": STEPS,
        "seeds": [0, 1],
    }
    yield from made_run(folder, ["scratch", "mm-maml", "ncm"], ["shape"], **changes)


@pytest.fixture(scope="module")
def with_texts(tmp_path_factory):
    yield from made_with_texts(tmp_path_factory.mktemp("texts"))


def write_images(folder, images):
    folder.mkdir(parents=True)
    for place, image in enumerate(images):
        Image.fromarray(image[0].numpy()).save(folder / f"{place:04}.png")
    return folder


def write_support(folder, source, classes):
    """Two images of each class of a source; `classes` are (its name there, the folder's name)."""
    for own, name in classes.items():
        places = np.flatnonzero(source.labels == source.task.classes.index(own))[:2]
        write_images(folder / name, source.read(places))
    return folder


@pytest.fixture
def five(made, tmp_path):
    """Folders of a support of all classes, and of five images."""
    source = open_run(made).source("shape")
    support = write_support(tmp_path / "support", source, {n: n for n in source.task.classes})
    return support, write_images(tmp_path / "query", source.read(range(40, 45)))


@pytest.mark.slow
@pytest.mark.parametrize("row", ["scratch", "mm-maml"])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_row_keeps_its_seed_and_its_steps(made, row, seed):
    opened = open_run(made)
    algorithm = opened.algorithm(row, seed=seed)
    (stored,) = run_predictions(made, algorithm=row, shots=1, seed=seed)
    episodes = opened.episodes("shape", 1)
    for known in stored:
        episode = episodes[known.episode]
        predictor = algorithm.adapt(episode.support, episode.task, index=known.episode)
        scores = predictor(episode.query.x).scores.numpy().astype(np.float32)
        assert np.array_equal(scores, known.log_odds)
    assert (algorithm.seed, algorithm.steps) == (seed, STEPS if row == "mm-maml" else None)


def predict_in_twos(monkeypatch, made, row, folders):
    """The predictions, how many images were in each batch, and what was said."""
    sizes, lines = [], []
    plain = own_images._predict
    monkeypatch.setattr(own_images, "_AT_ONCE", 2)
    monkeypatch.setattr(
        own_images, "_predict", lambda p, images: sizes.append(len(images)) or plain(p, images)
    )
    predictions = predict_images(open_run(made), row, *folders, seed=0, say=lines.append)
    return predictions.prediction.probabilities, sizes, "".join(lines)


def predict_at_once(made, row, folders):
    opened = open_run(made)
    source = opened.source("shape")
    reader = OwnImageReader("L", (16, 16), bits=None, background="white")
    support = own_images._support_of(folders[0], source.task, reader)[0]
    images = source.read(range(40, 45))
    return opened.algorithm(row, seed=0).adapt(support, source.task)(images).probabilities


def test_a_row_that_depends_on_the_batch_sees_all_images_in_one(made, five, monkeypatch):
    expected = predict_at_once(made, "scratch", five)
    probabilities, sizes, said = predict_in_twos(monkeypatch, made, "scratch", five)
    assert sizes == [5]
    assert "all 5 are predicted together" in said
    assert torch.equal(probabilities, expected)


def test_another_row_sees_few_images_at_once(made, five, monkeypatch):
    expected = predict_at_once(made, "ncm", five)
    probabilities, sizes, said = predict_in_twos(monkeypatch, made, "ncm", five)
    assert (sizes, said) == ([2, 2, 1], "")
    assert torch.allclose(probabilities, expected, atol=1e-6)


@pytest.mark.parametrize("wrong", [0, 1])
def test_folders_are_looked_at_before_anything_is_read(made, five, monkeypatch, tmp_path, wrong):
    def read(*asked):
        raise AssertionError("it reads before it looks")

    monkeypatch.setattr(own_images, "_support_of", read)
    monkeypatch.setattr("torchcross.experiment.opened.opened_run.OpenedRun.algorithm", read)
    folders = list(five)
    folders[wrong] = tmp_path / "nowhere"
    with pytest.raises(SourceError, match=r"--(support|query): .*nowhere is not a folder"):
        predict_images(open_run(made), "scratch", *folders, seed=0)


def test_without_a_support_set_rows_that_read_texts_are_named(made, five):
    with pytest.raises(InputError, match=r"rows that read texts need none, and this run has no"):
        predict_images(open_run(made), "ncm", None, five[1])


def test_some_of_the_classes_are_a_task_of_their_own(made, five, tmp_path):
    opened = open_run(made)
    source = opened.source("shape")
    some = sorted(source.task.classes)[:2]
    assert len(some) < len(source.task.classes)
    support = write_support(tmp_path / "some", source, {name: name for name in some})
    predictions = predict_images(opened, "scratch", support, five[1], seed=1)
    assert predictions.prediction.classes == tuple(some)
    assert predictions.seed == 1


@pytest.mark.parametrize("row", ["text", "text+logistic"])
def test_a_row_that_reads_texts_reads_those_of_the_folders(with_texts, tmp_path, row):
    opened = open_run(with_texts)
    source = opened.source("hole")
    names = {"hole": "nothing", "solid": "solid"}
    support = write_support(tmp_path / "support", source, names)
    images = source.read(range(20, 26))
    query = write_images(tmp_path / "query", images)
    predictions = predict_images(opened, row, support, query, target="hole")
    assert predictions.prediction.classes == ("nothing", "solid")
    task = Task("support", MultiClass(["nothing", "solid"]), "")
    places = [np.flatnonzero(source.labels == source.task.classes.index(n))[:2] for n in names]
    batch = Batch(source.read(np.concatenate(places)), torch.tensor([0, 0, 1, 1]))
    algorithm = opened.algorithm(row, target="hole", task=task)
    expected = algorithm.adapt(batch, task)(images).probabilities
    assert torch.equal(predictions.prediction.probabilities, expected)


def test_a_support_of_one_class_is_refused_with_its_folder(made, five, tmp_path):
    source = open_run(made).source("shape")
    support = write_support(tmp_path / "one", source, {source.task.classes[0]: "apple"})
    words = r"--support: .*one has only the folder apple; give a folder of images for each of two"
    with pytest.raises(SourceError, match=words):
        predict_images(open_run(made), "scratch", support, five[1], seed=0)
    with pytest.raises(SourceError, match="has no folder; give a folder of images for each of two"):
        predict_images(open_run(made), "scratch", support / "apple", five[1], seed=0)


@pytest.mark.parametrize(
    ("out", "words"),
    [("nodir/o.csv", "there is no folder"), ("folder", "is a folder; give the path of a file")],
)
@pytest.mark.parametrize("force", [[], ["--force"]])
def test_where_nothing_can_be_written_nothing_is_predicted(
    made, five, tmp_path, capsys, monkeypatch, out, words, force
):
    def predict_images(*asked, **how):
        raise AssertionError("it predicts before it looks")

    monkeypatch.setattr("torchcross.experiment.predict_images", predict_images)
    (tmp_path / "folder").mkdir()
    folders = ["--support", five[0], "--query", five[1], "--out", tmp_path / out]
    assert words in refused(capsys, "predict", made, "--row", "scratch", *folders, *force)


def test_every_option_of_the_command_counts(tmp_path, capsys, monkeypatch):
    heard = {}

    def predict_images(opened, *what, say, **how):
        heard.update(opened, what=what, **how)
        return SimpleNamespace(
            images=("a.png",),
            write=Path.touch,
            zero_shot=False,
            target="hole",
            origin="trained without hole, seed 3",
        )

    monkeypatch.setattr("torchcross.experiment.open_run", lambda folder, **how: how)
    monkeypatch.setattr("torchcross.experiment.predict_images", predict_images)
    options = {"target": "hole", "seed": 3, "bits": 12, "background": "black", "device": "cuda:1"}
    flags = [part for name, value in options.items() for part in (f"--{name}", value)]
    files = ["--support", "s", "--query", "q", "--data", "moved", "--out", tmp_path / "o.csv"]
    status, out, _ = run(capsys, "predict", "folder", "--row", "ncm", *files, *flags)
    assert heard == {**options, "data": Path("moved"), "what": ("ncm", Path("s"), Path("q"))}
    assert status == 0
    assert out.endswith("o.csv: 1 image, by ncm, trained without hole, seed 3\n")
