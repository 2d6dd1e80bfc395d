"""A run that is opened again predicts what its rows predicted when they were scored."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from tests.command_line import refused, run
from tests.experiment.conftest import Toys, toy_experiment
from torchcross.episode import Batch
from torchcross.errors import DamageError, InputError, SourceError
from torchcross.evaluation import evaluate
from torchcross.experiment import open_run, predict_images, run_experiment, run_predictions
from torchcross.records import Records

COLLECTION = "torchcross.experiment.run.targets.open_collection"


def made_run(folder, rows, targets=("hole", "shape"), **changes):
    """A run of one training step, in which the toys are the data while the fixture is in use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(COLLECTION, lambda *a, **how: Toys())
        experiment = toy_experiment(
            algorithms=rows,
            **{
                "shots": [1],
                "data.targets": list(targets),
                "evaluation.episodes": 2,
                "pretraining.steps": 1,
                "meta.steps": 1,
                **changes,
            },
        )
        assert run_experiment(experiment, folder).complete
        yield folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """One that reads running statistics, which are renewed after meta-training."""
    folder = tmp_path_factory.mktemp("opened") / "run"
    changes = {"evaluation.adaptation": "own", "evaluation.norm": "running"}
    yield from made_run(folder, ["mm-pt", "mm-maml", "protonet"], ["hole"], **changes)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two targets."""
    yield from made_run(tmp_path_factory.mktemp("opened") / "small", ["mm-pt", "scratch"])


@pytest.mark.long
@pytest.mark.parametrize("row", ["mm-pt", "mm-maml", "protonet"])
def test_the_algorithm_of_a_row_predicts_and_scores_what_the_row_did(trained, row):
    opened = open_run(trained)
    algorithm = opened.algorithm(row)
    (stored,) = run_predictions(trained, algorithm=row, shots=1)
    episodes = opened.episodes("hole", 1)
    for known in stored:
        episode = episodes[known.episode]
        predictor = algorithm.adapt(episode.support, episode.task, index=known.episode)
        prediction = predictor(episode.query.x)
        assert np.array_equal(prediction.scores.numpy().astype(np.float32), known.log_odds)
        assert np.array_equal(prediction.decisions.numpy(), known.decisions)
    again = Records.of(evaluate(algorithm, episodes, run=trained.name, algorithm=row))
    own = [record for record in opened.records() if record.algorithm == row]
    assert again.sorted_rows() == Records.of(own).sorted_rows()


def _write_images(folder, source, places):
    for place in places:
        name = source.task.classes[source.labels[place]]
        (folder / name).mkdir(parents=True, exist_ok=True)
        image = source.read([place])[0, 0].numpy()
        Image.fromarray(image).save(folder / name / f"{place}.png")


SUPPORT = {"hole": 2, "solid": 3}


@pytest.fixture
def own_images(tmp_path):
    """Images of the toys as files: five to learn from, and a nested folder of others."""
    source = Toys().made["hole"]
    _write_images(tmp_path / "support", source, support_places(source))
    _write_images(tmp_path / "query", source, [20, 21, 22, 23])
    (tmp_path / "query" / "notes.txt").write_text("mine")
    return tmp_path


def support_places(source):
    """In the order of the files: by class, and by the text of the number."""
    places = []
    for name, count in SUPPORT.items():
        code = source.task.classes.index(name)
        places += sorted(np.flatnonzero(source.labels == code)[:count].tolist(), key=str)
    return places


@pytest.mark.slow
def test_predict_writes_what_the_algorithm_predicts(made, own_images, capsys):
    asked = ["predict", made, "--row", "mm-pt", "--target", "hole", "--out"]
    folders = ["--support", own_images / "support", "--query", own_images / "query"]
    out = own_images / "new.csv"
    status, shown, err = run(capsys, *asked, out, *folders)
    assert (status, shown.startswith(f"{out}: 4 images")) == (0, True), err
    assert "notes.txt" in err, "files passed over are named"
    head, *lines = (line.split(",") for line in out.read_text().splitlines())
    opened = open_run(made)
    source = opened.source("hole")
    assert head == ["image", "class", *(f"probability: {name}" for name in ("solid", "hole"))]
    support = support_places(source)
    batch = Batch(source.read(support), source.targets(support))
    predictor = opened.algorithm("mm-pt", target="hole").adapt(batch, source.task)
    places = [int(line[0].rpartition("/")[2].removesuffix(".png")) for line in lines]
    prediction = predictor(source.read(places))
    assert [line[1] for line in lines] == prediction.names
    values = torch.tensor([[float(each) for each in line[2:]] for line in lines])
    assert torch.equal(values, prediction.probabilities)
    before = out.read_bytes()
    assert "is there already" in refused(capsys, *asked, out, *folders)
    assert out.read_bytes() == before


def test_other_classes_are_a_task_of_their_own(made, own_images):
    (own_images / "support" / "hole").rename(own_images / "support" / "apple")
    folders = own_images / "support", own_images / "query"
    predictions = predict_images(open_run(made), "scratch", *folders)
    assert predictions.prediction.classes == ("apple", "solid")
    assert predictions.images == tuple(sorted(predictions.images))


def test_errors_say_what_to_give(made, own_images):
    opened = open_run(made)
    with pytest.raises(InputError, match=r"several targets.*--target.*'hole', 'shape'"):
        opened.algorithm("mm-pt")
    with pytest.raises(InputError, match="did you mean 'mm-pt'"):
        opened.algorithm("mmpt", target="hole")
    with pytest.raises(InputError, match="has no training seed 7; it has 0"):
        opened.algorithm("mm-pt", target="hole", seed=7)
    assert opened.algorithm("scratch").target == "hole", "every target has the same network"
    folders = (own_images / "support", own_images / "query")
    (own_images / "support" / "empty").mkdir()
    with pytest.raises(SourceError, match="no image in the folders empty"):
        predict_images(opened, "scratch", *folders)
    (own_images / "support" / "empty").rmdir()
    with pytest.raises(SourceError, match="is not a folder"):
        predict_images(opened, "scratch", own_images / "support", own_images / "none")


def test_a_row_says_what_it_comes_from_where_that_matters(tmp_path):
    for folder in made_run(tmp_path / "run", ["mm-pt", "scratch", "image-statistics"]):
        opened = open_run(folder)
        origins = {row: opened.algorithm(row, target="shape").origin for row in opened.rows}
    assert origins == {
        "mm-pt": "trained without shape, seed 0",
        "scratch": "seed 0",
        "image-statistics": "",
    }


def test_a_training_that_is_gone_is_named(made, tmp_path):
    copy = shutil.copytree(made, tmp_path / "copy")
    shutil.rmtree(copy / "train")
    with pytest.raises(DamageError, match="training of mm-pt for hole, training seed 0"):
        open_run(copy).algorithm("mm-pt", target="hole")


def test_other_data_are_refused(made, monkeypatch):
    other = Toys()
    other.describe = lambda: {"synthetic": "another"}
    monkeypatch.setattr(COLLECTION, lambda *a, **how: other)
    with pytest.raises(InputError, match="made with other data"):
        open_run(made).algorithm("scratch")
