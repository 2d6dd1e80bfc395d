"""The rows `text` and `text+logistic`: zero-shot cells, prompts, vectors of a file, refusals."""

import json
from types import SimpleNamespace

import pytest
import torch

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError, ReadError
from torchcross.experiment import experiment_from_values, run_experiment, verify_run, write_page
from torchcross.experiment.rows import texts as row_texts
from torchcross.experiment.rows.texts import describe_texts, target_prompts, target_texts
from torchcross.experiment.run import target_checks
from torchcross.experiment.run.identity import identity
from torchcross.experiment.run.runner import run_missing_cells
from torchcross.experiment.run.target_checks import check_prompts
from torchcross.experiment.settings.text_settings import TextSettings
from torchcross.text import TextVectors

TARGETS = ["hole", "shapes", "specks"]
ROWS = ["text", "text+logistic", "ncm"]


@pytest.fixture
def vectors(collection, tmp_path):
    """Vectors for the classes of all targets, of the width of the small network."""
    names = {name for target in TARGETS for name in collection.target(target).task.classes}
    generator = torch.Generator().manual_seed(0)
    made = {name: torch.randn(4, generator=generator) for name in sorted({*names, "nothing"})}
    return str(TextVectors(made, 8.0).write(tmp_path / "texts.safetensors"))


def experiment(vectors="", **changes):
    plain = {"algorithms": ROWS, "shots": [0, 1, 2], "data.targets": TARGETS}
    return toy_experiment(**{**plain, "text.vectors": vectors, **changes})


@pytest.mark.long
def test_texts_alone_predict_the_same_at_every_number_of_shots(vectors, tmp_path):
    outcome = run_experiment(experiment(vectors), tmp_path / "run")
    assert outcome.complete
    records = outcome.records
    by_shots = [records.where(algorithm="text", shots=k).columns["value"] for k in (0, 1, 2)]
    for values in by_shots[1:]:
        assert values.tolist() == pytest.approx(by_shots[0].tolist(), nan_ok=True)
    blend = [records.where(algorithm="text+logistic", shots=k).columns["value"] for k in (0, 2)]
    assert blend[0].tolist() == pytest.approx(by_shots[0].tolist(), nan_ok=True)
    assert blend[1].tolist() != blend[0].tolist()
    assert records.where(algorithm="ncm").unique("shots") == (1, 2)
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "ncm at 0 shots, since they learn from a support set" in page
    assert "vectors of the file texts.safetensors" in page
    protocol = json.loads((tmp_path / "run" / "protocol.json").read_text())
    assert protocol["texts"]["vectors"] == "texts.safetensors"
    assert verify_run(tmp_path / "run").holds


@pytest.mark.slow
def test_rows_of_texts_on_stored_features_are_those_of_forwards(vectors, tmp_path):
    chosen = {"algorithms": ["text", "text+logistic"], "shots": [0, 2], "data.targets": ["hole"]}
    outcomes = [
        run_experiment(experiment(vectors, **chosen, **more), tmp_path / name)
        for name, more in (("features", {}), ("forwards", {"evaluation.features": "none"}))
    ]
    assert all(outcome.complete for outcome in outcomes)
    values = [outcome.records.columns["value"].tolist() for outcome in outcomes]
    assert values[0] == pytest.approx(values[1], abs=1e-5, nan_ok=True)
    protocol = json.loads((tmp_path / "features" / "protocol.json").read_text())
    assert "computed once for each target" in protocol["features"]


def test_what_is_in_the_files_of_texts_makes_the_run(vectors, tmp_path):
    first = identity(experiment(vectors))
    TextVectors.read(vectors).write(tmp_path / "copy.safetensors")
    assert identity(experiment(str(tmp_path / "copy.safetensors"))) == first
    TextVectors.read(vectors, scale=3).write(tmp_path / "copy.safetensors")
    assert identity(experiment(str(tmp_path / "copy.safetensors"))) != first
    plain = {"algorithms": ["ncm"], "shots": [1]}
    templates = {"text.templates": ["{class_name}"]}
    assert identity(toy_experiment(**plain)) != identity(toy_experiment(**plain, **templates))


class Tower:
    """A text tower of the width of the small network, without a library."""

    name, sha256, revision, scale = "tower", "0" * 64, None, 5.0

    def embed(self, texts):
        rows = [[float(ord(text[place % len(text)])) for place in range(4)] for text in texts]
        return torch.tensor(rows)


@pytest.fixture
def tower(monkeypatch):
    """The small network stands for an image tower, and `Tower` for its texts."""
    monkeypatch.setattr(row_texts, "_tower", lambda address: Tower())
    monkeypatch.setattr(row_texts, "_OPEN_CLIP", "conv4")
    monkeypatch.setattr(
        "torchcross.experiment.settings.model_settings.BackboneSettings.is_pretrained",
        property(lambda self: False),
    )
    monkeypatch.setattr(row_texts, "check_texts", lambda experiment: None)
    monkeypatch.setattr("torchcross.experiment.run.checks.check_texts", lambda experiment: None)


@pytest.mark.usefixtures("tower")
def test_a_run_records_its_prompts(collection, tmp_path):
    collection.dataset_name = lambda target: f"dataset of {target}"
    template = "{dataset_name}: {class_name}"
    chosen = experiment(
        algorithms=["text"],
        shots=[0],
        **{"data.targets": ["hole"], "text.templates": [template]},
    )
    assert run_experiment(chosen, tmp_path / "run").complete
    texts = json.loads((tmp_path / "run" / "protocol.json").read_text())["texts"]
    name, classes = collection.target("hole").name, collection.target("hole").task.classes
    assert texts["models"][0]["model"] == "tower"
    assert texts["prompts"]["hole"] == {each: [f"dataset of {name}: {each}"] for each in classes}
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "{dataset_name}: {class_name}" in page


def test_the_text_tower_is_of_the_revision_and_the_file_of_the_image_tower(collection, monkeypatch):
    class Pinned(Tower):
        revision = "0123abc"

    addresses = []
    monkeypatch.setattr(row_texts, "_tower", lambda address: addresses.append(address) or Pinned())
    record = SimpleNamespace(revision="0123abc", sha256=Tower.sha256)
    known = SimpleNamespace(weights=record)
    monkeypatch.setattr(row_texts, "pretrained_backbone", lambda experiment: known)
    settings = {"model.backbone": {"name": "open_clip:ViT-B-16/openai"}}
    chosen, task = experiment(algorithms=["text"], **settings), collection.target("hole").task
    assert target_texts(chosen, task).origin == "tower"
    said = describe_texts(chosen, [(task, "")])
    assert said["models"][0]["revision"] == "0123abc"
    assert addresses == ["open_clip:ViT-B-16/openai@0123abc"] * 2
    record.sha256 = "1" * 64
    with pytest.raises(InputError, match="SHA-256 000000000000, and its image tower from one"):
        target_texts(chosen, task)


@pytest.mark.usefixtures("tower")
def test_a_table_of_prompts_is_checked_before_the_run(collection, tmp_path):
    folder = tmp_path / "prompts"
    folder.mkdir()
    classes = collection.target("hole").task.classes
    (folder / "hole.csv").write_text(f"{','.join(classes)}\none,two\n", encoding="utf-8-sig")
    chosen = experiment(
        algorithms=["text"], shots=[0], **{"data.targets": ["hole"], "text.csv": str(folder)}
    )
    task = collection.target("hole").task
    assert target_prompts(chosen, task) == {classes[0]: ("one",), classes[1]: ("two",)}
    assert set(target_texts(chosen, task).vectors) == set(classes)
    check_prompts(chosen, collection, ["hole"])
    before = identity(chosen)
    (folder / "hole.csv").write_text(f"{classes[0]},other\none,two\n")
    assert identity(chosen) != before
    with pytest.raises(InputError, match=r"hole: .*hole\.csv has prompts for 'other'"):
        run_missing_cells(chosen, tmp_path / "run", None, False)


def test_rows_without_texts_are_refused(collection, tmp_path):
    with pytest.raises(InputError, match=r"text: model\.backbone='conv4' has no text tower"):
        run_experiment(experiment(algorithms=["text"]), tmp_path)
    with pytest.raises(InputError, match=r"text\.vectors='absent' is no file"):
        run_experiment(experiment("absent", algorithms=["text"]), tmp_path)
    with pytest.raises(InputError, match=r"text\.csv='absent' does not exist"):
        run_experiment(experiment(algorithms=["text"], **{"text.csv": "absent"}), tmp_path)
    with pytest.raises(InputError, match="no field is called 'name'"):
        run_experiment(
            experiment(algorithms=["text"], **{"text.templates": ["{name} {class_name}"]}), tmp_path
        )
    with pytest.raises(InputError, match="two sets of texts"):
        TextSettings(csv="a", vectors="b")


def test_vectors_of_another_width_are_refused_before_the_run_has_a_folder(collection, tmp_path):
    names = collection.target("hole").task.classes
    wide = TextVectors({name: torch.eye(9)[at] for at, name in enumerate(names)})
    path = str(wide.write(tmp_path / "wide.safetensors"))
    chosen = experiment(path, algorithms=["text"], shots=[0], **{"data.targets": ["hole"]})
    with pytest.raises(InputError, match=r"text: the backbone has 4 features, .* have 9 numbers"):
        run_experiment(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_width_of_features_asks_for_no_image(collection, tmp_path, monkeypatch):
    """A first image that cannot be read is an error of the cells that need it."""
    source = collection.target("hole")
    wide = TextVectors({name: torch.eye(9)[at] for at, name in enumerate(source.task.classes)})
    path = str(wide.write(tmp_path / "wide.safetensors"))
    chosen = experiment(path, algorithms=["text"], shots=[0], **{"data.targets": ["hole"]})

    def read(indices):
        raise ReadError("an image is damaged")

    monkeypatch.setattr(source, "read", read)
    monkeypatch.setattr(target_checks, "_source_of", lambda *asked: source)
    with pytest.raises(InputError, match=r"text: the backbone has 4 features, .* have 9 numbers"):
        target_checks.check_targets(chosen, collection, ["hole"], tmp_path / "run")


def test_vectors_that_lack_a_class_are_refused_before_the_run_has_a_folder(collection, tmp_path):
    first, second = collection.target("hole").task.classes
    path = str(TextVectors({first: torch.eye(4)[0]}).write(tmp_path / "few.safetensors"))
    chosen = experiment(path, algorithms=["text"], shots=[0], **{"data.targets": ["hole"]})
    with pytest.raises(InputError, match=rf"hole: text\.vectors: .*no vector for '{second}'"):
        run_experiment(chosen, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_file_beside_the_toml_is_read(vectors, tmp_path):
    from torchcross.experiment import read_experiment

    (tmp_path / "mine.toml").write_text(
        'algorithms = ["text"]\nshots = [0]\n[data]\nfolder = "d"\n'
        '[text]\nvectors = "texts.safetensors"\n'
    )
    assert read_experiment(tmp_path / "mine.toml").text.vectors == vectors
    plain = experiment_from_values({"data": {"folder": "d"}})
    assert plain.text == TextSettings()
