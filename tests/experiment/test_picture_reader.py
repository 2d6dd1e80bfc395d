"""The images of a run's episodes are read again from its data, and only from these data."""

import numpy as np
import pytest
import torch

from tests.experiment.conftest import toy_experiment
from tests.report.reading import read_page
from torchcross._kit.pixels import as_pixels
from torchcross.data import TensorSource, toys
from torchcross.errors import InputError
from torchcross.experiment import RunFolder, run_experiment, write_page
from torchcross.experiment.page.picture_reader import RunPictures
from torchcross.experiment.rows.target_episodes import level_of, target_episodes
from torchcross.experiment.run.stored_predictions import run_predictions
from torchcross.targets.answer_names import answer_texts

TARGETS = ["shape", "hole", "shapes", "specks"]
"""Several classes, two, several labels, and grades."""


def experiment():
    return toy_experiment(algorithms=["ncm"], **{"data.targets": TARGETS, "shots": [2]})


def as_rgb(source):
    images = source.images(np.arange(len(source))).repeat(1, 3, 1, 1)
    return TensorSource(images, source.labels, source.task, name=source.name)


@pytest.fixture(scope="module")
def of_toys():
    """(the folder of a run, its collection)"""
    from tests.experiment.conftest import Toys

    return Toys()


@pytest.fixture(scope="module")
def run(tmp_path_factory, of_toys):
    with pytest.MonkeyPatch.context() as patch:
        hand_out(patch, of_toys)
        out = tmp_path_factory.mktemp("pictures") / "run"
        assert run_experiment(experiment(), out, progress=False).complete
    return out


def hand_out(patch, collection):
    patch.setattr(
        "torchcross.experiment.run.targets.open_collection",
        lambda kind, folder, **how: collection,
    )


@pytest.fixture
def at_hand(monkeypatch, of_toys, run):
    """Data of this run that a test may change."""
    from tests.experiment.conftest import Toys

    fresh = Toys()
    fresh.made = dict(of_toys.made)
    hand_out(monkeypatch, fresh)
    return fresh


def read_episode(run, target, episode=1):
    (predictions,) = run_predictions(run, target=target, algorithm="ncm")
    digest = RunFolder(run).episodes()["ncm", target, 2]
    reader = RunPictures(RunFolder(run), None).reader(target, 2, digest)
    own = predictions[episode]
    return reader.read(predictions.task, own.episode, own.images), predictions, own


def folds_of(page):
    episodes = read_page(page.read_text(encoding="utf-8")).by_id("episodes")
    return episodes.all("details", "screen")


@pytest.mark.parametrize("name", TARGETS)
def test_the_pictures_are_the_images_that_the_episode_drew(run, at_hand, name):
    """As the sampler draws the episode again."""
    source, settings = at_hand.made[name], experiment()
    sampler = target_episodes(source, settings).sampler
    (plan,) = level_of(sampler, settings, 2).batch([1])
    pictures, predictions, own = read_episode(run, source.name)
    assert own.images.tolist() == plan.query.tolist()
    images = [source.images(plan.support), source.images(plan.query)]
    support, query = as_pixels(images)
    assert [each.pixels.tolist() for each in pictures.support] == [
        each.tolist() for each in support
    ]
    assert [each.tolist() for each in pictures.query] == [each.tolist() for each in query]
    texts = answer_texts(source.task.target, source.labels[plan.support])
    assert [each.truth for each in pictures.support] == texts
    assert len(set(texts)) > 1
    assert predictions.task.classes == source.task.classes


def test_a_page_has_the_pictures_and_the_same_page_the_same_bytes(run, at_hand, tmp_path):
    page = write_page(run, out=tmp_path / "one")
    folds = folds_of(page)
    # Equal scores may make one episode both the best and the worst.
    assert len(folds) >= len(TARGETS)
    assert all(fold.all("img") and not fold.all("p", "note") for fold in folds)
    assert all(image.attributes["alt"] for fold in folds for image in fold.all("img"))
    assert write_page(run, out=tmp_path / "two").read_bytes() == page.read_bytes()
    none = write_page(run, out=tmp_path / "none", pictures="none")
    assert not any(fold.all("img") for fold in folds_of(none))
    assert none.stat().st_size < page.stat().st_size


def test_coloured_images_are_coloured_pictures(run, at_hand):
    at_hand.made["shape"] = as_rgb(at_hand.made["shape"])
    pictures, _, _ = read_episode(run, at_hand.made["shape"].name)
    assert {each.shape[2:] for each in pictures.query} == {(3,)}


def problem_of(run, at_hand, name="shape"):
    pictures, _, _ = read_episode(run, at_hand.made[name].name)
    assert not pictures.support
    assert not pictures.query
    return pictures.problem


def test_without_the_data_a_page_says_so_in_one_line(run, monkeypatch, tmp_path):
    def fail(kind, folder, **how):
        raise InputError(f"{tmp_path} has no datasets")

    monkeypatch.setattr("torchcross.experiment.run.targets.open_collection", fail)
    page = write_page(run, out=tmp_path / "page")
    for fold in folds_of(page):
        (line,) = fold.all("p", "note")
        assert line.text.startswith("No pictures: the data of this run are not at hand")
        assert "--data FOLDER" in line.text
        assert fold.all("ul", "answers")
    assert str(tmp_path) not in page.read_text(encoding="utf-8")


def test_a_target_that_cannot_be_read_costs_its_own_pictures_alone(run, at_hand):
    at_hand.broken = {"shape"}
    assert "not at hand" in problem_of(run, at_hand)
    assert not read_episode(run, at_hand.made["hole"].name)[0].problem


def test_other_data_are_not_shown(run, at_hand):
    source = at_hand.made["shape"]
    other = toys.multiclass(len(source), size=16, seed=9)
    at_hand.made["shape"] = TensorSource(
        other.images(np.arange(len(other))), other.labels, source.task, name=source.name
    )
    assert "have other labels" in problem_of(run, at_hand)


def test_vectors_and_many_channels_are_no_pictures(run, at_hand):
    source = at_hand.made["shape"]
    for images, words in (
        (torch.zeros(len(source), 5), "the samples are vectors"),
        (torch.zeros(len(source), 4, 8, 8), "the images have 4 channels"),
    ):
        at_hand.made["shape"] = TensorSource(images, source.labels, source.task, name=source.name)
        assert words in problem_of(run, at_hand)


def test_images_that_cannot_be_read_are_said(run, at_hand, monkeypatch):
    def fail(indices):
        raise OSError("the disk is gone")

    monkeypatch.setattr(at_hand.made["shape"], "images", fail)
    assert "cannot be read" in problem_of(run, at_hand)


def test_a_run_without_plans_says_what_draws_them(run, at_hand, tmp_path):
    path = RunFolder(run).files.plans("shape", 2)
    content = path.read_bytes()
    try:
        path.unlink()
        assert "draws its plans again" in problem_of(run, at_hand)
    finally:
        path.write_bytes(content)


def test_rows_of_other_episodes_have_not_the_pictures_of_these(run, at_hand):
    """In both orders: a reader that is open serves its own digest alone."""
    target = at_hand.made["shape"].name
    own = RunFolder(run).episodes()["ncm", target, 2]
    for digests in ((own, "of other episodes"), ("of other episodes", own)):
        pictures = RunPictures(RunFolder(run), None)
        readers = {digest: pictures.reader(target, 2, digest) for digest in digests}
        assert readers[own].drawn is not None
        assert not readers[own].problem
        assert readers["of other episodes"].drawn is None
        assert "draws its plans again" in readers["of other episodes"].problem
        assert pictures.reader(target, 2, own) is readers[own]


def test_other_words_for_rows_are_refused(run):
    with pytest.raises(InputError, match="pictures='some' is not known; give leader, all, none"):
        write_page(run, pictures="some")
