"""Runs whose rows leave the starting network as it is: its features are computed once."""

import dataclasses
import json

import pytest

import torchcross as tx
from tests.experiment.conftest import toy_experiment
from torchcross.embedding import store_features
from torchcross.embedding.embedding import Embedding
from torchcross.embedding.record_differences import differences_in_words
from torchcross.errors import InputError
from torchcross.experiment import run_experiment, write_page
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.rows.stored_features import (
    embedding_of,
    uses_features,
)
from torchcross.experiment.run.earlier_presets import as_begun
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.run.run_plan import plan_run

FROZEN = ["ncm", "simpleshot", "probe", "logistic", "logistic-mean"]
pytestmark = pytest.mark.slow


def experiment(**changes):
    return toy_experiment(**{"algorithms": FROZEN, "shots": [1, 3], **changes})


@pytest.fixture
def embeddings(monkeypatch):
    """The names of the sources that were embedded, each as often as it was."""
    names, write = [], Embedding.write

    def noting(self, *more):
        names.append(self.source.name)
        return write(self, *more)

    monkeypatch.setattr(Embedding, "write", noting)
    return names


def without_run(records):
    return [dataclasses.replace(row, run="any") for row in records]


def test_features_of_most_images_come_first(collection, tmp_path, embeddings):
    """Else one process makes them at the end, and the others have nothing to do."""
    whole = collection.made["hole"]
    collection.made["hole"] = whole.subset(range(0, len(whole), 2), name=whole.name)
    few = experiment(algorithms=["ncm"], shots=[1])
    assert run_experiment(few, tmp_path / "run").complete
    assert embeddings == [collection.made[name].name for name in ("specks", "hole")]


@pytest.mark.long
def test_rows_are_those_of_forwards(collection, tmp_path, embeddings):
    said, rows = [], [*FROZEN, "image-statistics"]
    features = run_experiment(experiment(algorithms=rows), tmp_path / "features", say=said.append)
    assert features.complete
    assert embeddings == [collection.made[name].name for name in ("hole", "specks")]
    assert sum("computed once for each target (evaluation.features)" in line for line in said) == 1
    without = experiment(algorithms=rows, **{"evaluation.features": "none"})
    forwards = run_experiment(without, tmp_path / "none")
    assert len(embeddings) == 2
    pairs = zip(without_run(features.records), without_run(forwards.records), strict=True)
    for mine, theirs in pairs:
        assert dataclasses.replace(mine, value=0.0) == dataclasses.replace(theirs, value=0.0)
        assert mine.value == pytest.approx(theirs.value, abs=1e-5, nan_ok=True)
    write_page(tmp_path / "features")
    protocol = json.loads((tmp_path / "features" / "protocol.json").read_text())
    assert "computed once" in protocol["features"]
    assert "image-statistics: a network of its own, on images" in protocol["features"]
    assert "features" not in json.loads((tmp_path / "none" / "protocol.json").read_text())


def test_a_finished_run_has_the_same_files_as_one_without_features(collection, tmp_path):
    run_experiment(experiment(algorithms=["ncm"]), tmp_path / "features")
    run_experiment(
        experiment(algorithms=["ncm"], **{"evaluation.features": "none"}), tmp_path / "b"
    )
    names = [
        sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        for folder in (tmp_path / "features", tmp_path / "b")
    ]
    assert names[0] == names[1]
    assert (tmp_path / "features/rows").is_dir()


@pytest.mark.long
def test_rows_do_not_depend_on_the_parts_of_a_cell(collection, tmp_path):
    whole = run_experiment(experiment(), tmp_path / "whole")
    parts = run_experiment(experiment(**{"machine.unit_episodes": 2}), tmp_path / "parts")
    assert without_run(whole.records) == without_run(parts.records)


@pytest.mark.long
def test_features_that_are_stored_are_used(collection, tmp_path, embeddings):
    settings = experiment(**{"data.features": str(tmp_path / "features")})
    fresh = run_experiment(settings, tmp_path / "fresh")
    net = starting_network(METHODS["ncm"], settings, 0)
    for name in ("hole", "specks"):
        source = collection.made[name]
        store_features(embedding_of(source, net, settings), tmp_path / "features")
    embeddings.clear()
    said = []
    stored = run_experiment(settings, tmp_path / "stored", say=said.append)
    assert embeddings == []
    assert sum("features of" in line and "safetensors" in line for line in said) == 2
    assert without_run(fresh.records) == without_run(stored.records)
    for folder in ("fresh", "stored"):
        features = json.loads((tmp_path / folder / "provenance.json").read_text())["features"]
        assert list(features) == ["hole, seed 0", "specks, seed 0"]
        record = embedding_of(collection.made["hole"], net, settings).record
        assert features["hole, seed 0"]["key"] == record.key
        assert features["hole, seed 0"]["backbone"] == record.about["backbone"]
        assert features["hole, seed 0"]["preprocessing"] == record.preprocessing


def test_a_stored_file_of_other_features_is_refused(collection, tmp_path):
    settings = experiment(
        algorithms=["ncm"],
        shots=[1],
        **{"data.features": str(tmp_path / "features"), "data.targets": ["hole"]},
    )
    source, net = collection.made["hole"], starting_network(METHODS["ncm"], settings, 0)
    embedding = embedding_of(source, net, settings)
    other = embedding_of(source, starting_network(METHODS["ncm"], settings, 1), settings)
    store_features(other, tmp_path / "features")
    place = tmp_path / "features" / other.file_name
    place.rename(place.with_name(embedding.file_name))
    (failure,) = run_experiment(settings, tmp_path / "run").failures
    assert other.record.key[:16] in failure["reason"]
    assert f"{embedding.record.key[:16]} (they differ in weights)" in failure["reason"]


def test_stored_files_of_which_none_fits_are_named(collection, tmp_path):
    place = tmp_path / "features"
    settings = experiment(
        algorithms=["ncm"], shots=[1], **{"data.features": str(place), "data.targets": ["hole"]}
    )
    other = starting_network(METHODS["ncm"], settings, 1)
    embedding = embedding_of(collection.made["hole"], other, settings)
    store_features(embedding, place)
    said = []
    assert run_experiment(settings, tmp_path / "run", say=said.append).complete
    (line,) = [line for line in said if "no stored file fits" in line]
    assert line.endswith(
        f"{place / embedding.file_name} has 4 numbers an image, and differs in weights"
    )


def test_stored_files_of_other_channels_say_so_and_what_to_give(collection, tmp_path):
    place = tmp_path / "features"
    settings = experiment(
        algorithms=["ncm"], shots=[1], **{"data.features": str(place), "data.targets": ["hole"]}
    )
    source = collection.made["hole"]
    images = source.read(range(len(source))).repeat(1, 3, 1, 1)
    coloured = tx.TensorSource(images, source.labels, source.task, name=source.name)
    in_colour = experiment(algorithms=["ncm"], shots=[1], **{"data.channels": 3})
    net = starting_network(METHODS["ncm"], in_colour, 0)
    store_features(embedding_of(coloured, net, in_colour), place)
    said = []
    assert run_experiment(settings, tmp_path / "run", say=said.append).complete
    (line,) = [line for line in said if "no stored file fits" in line]
    assert "differs in data, weights, network, preprocessing: images have 3 channels there" in line
    assert line.endswith("and 1 here; for these features give data.channels=3 (--channels 3)")


def test_values_that_differ_are_named(collection):
    source = collection.made["hole"]
    small, large = (
        Embedding(source, tx.backbones.conv4(width, in_channels=1)).record for width in (4, 8)
    )
    assert differences_in_words(small, small) == ""
    assert differences_in_words(small, dataclasses.replace(large, dtype="float16")) == (
        "dtype, weights, network: backbone.options.channels is 4 there and 8 here; dtype is"
        " 'float32' there and 'float16' here"
    )


def test_each_seed_of_random_values_has_features_of_its_own(collection, tmp_path, embeddings):
    run_experiment(experiment(algorithms=["ncm"], seeds=[0, 1], shots=[1]), tmp_path)
    assert len(embeddings) == 4


def test_each_backbone_has_features_of_its_own(collection, tmp_path, embeddings):
    entries = [{"name": "conv4", "channels": count, "label": f"of {count}"} for count in (2, 4)]
    several = experiment(algorithms=["ncm", "logistic"], shots=[1], **{"model.backbones": entries})
    outcome = run_experiment(several, tmp_path)
    assert outcome.complete
    assert len(embeddings) == 4
    names = set(outcome.records.unique("algorithm"))
    assert names == {f"{row} @ of {count}" for row in ("ncm", "logistic") for count in (2, 4)}


def test_a_run_with_a_row_that_moves_the_network_has_no_features(collection, tmp_path, embeddings):
    mixed = experiment(algorithms=["ncm", "scratch"], shots=[1])
    assert not uses_features(mixed)
    said = []
    run_experiment(mixed, tmp_path, say=said.append)
    assert embeddings == []
    assert sum("scratch moves the starting network: ncm compute" in line for line in said) == 1
    assert "features" not in decisive_settings(mixed)["evaluation"]


@pytest.mark.long
def test_an_approximation_is_another_experiment_and_says_so(collection, tmp_path):
    exact, half = experiment(), experiment(**{"evaluation.features": "float16"})
    assert identity(exact) != identity(half)
    said = []
    run_experiment(half, tmp_path, say=said.append)
    assert sum("rounded to float16, which is an approximation" in line for line in said) == 1
    with pytest.raises(InputError, match=r"evaluation\.features"):
        run_experiment(exact, tmp_path)


@pytest.mark.long
def test_a_run_that_began_without_features_goes_on_without(collection, tmp_path, embeddings):
    before = experiment(**{"evaluation.features": "none"})
    run_experiment(before, tmp_path)
    said = []
    assert as_begun(experiment(), tmp_path, said.append).evaluation.features == "none"
    more = run_experiment(experiment(), tmp_path)
    assert more.complete
    assert embeddings == []


def test_what_cannot_be_embedded_fails_with_its_cells(collection, tmp_path, monkeypatch):
    def broken(self, numbers):
        raise tx.errors.ReadError(f"{self.source.name}: no image")

    monkeypatch.setattr(Embedding, "blocks", broken)
    outcome = run_experiment(experiment(algorithms=["ncm"], shots=[1]), tmp_path)
    assert not outcome.complete
    assert {failure["target"] for failure in outcome.failures} == {"hole", "specks"}
    assert all("no image" in failure["reason"] for failure in outcome.failures)


def test_a_plan_counts_the_units_of_features(collection, tmp_path):
    plan = plan_run(experiment(), tmp_path, [1])
    kinds = {(part.kind, part.units) for part in plan.parts}
    assert ("features", 2) in kinds
    assert plan.reasons == ()
