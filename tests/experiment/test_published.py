"""Presets beside what is published: the table is what the data gives, and says what differs."""

import json

import pytest

from medimeta_adapter.synthetic import generate
from tests.experiment.conftest import toy_experiment
from tests.experiment.generated_tables import PAGE, page_with
from tests.experiment.published_tables import ROWS, rendered
from torchcross.data import MixedBatches
from torchcross.experiment import (
    PRESETS,
    experiment_from_values,
    open_collection,
    run_experiment,
    write_page,
)
from torchcross.experiment.settings.listing import settings
from torchcross.experiment.settings.protocol_points import AnyFile, OneOf
from torchcross.experiment.settings.published import compared_with_publication, weights_cautions
from torchcross.experiment.settings.published_fsl import FEW_SHOT_STUDY, PUBLISHED_BACKBONES
from torchcross.experiment.settings.published_table3 import TABLE_3
from torchcross.experiment.settings.published_table4 import TABLE_4
from torchcross.experiment.settings.row_settings import experiments_by_backbone
from torchcross.training import read_log

POINTS = [*TABLE_4.points, *TABLE_3.points, *FEW_SHOT_STUDY.points]
OF_TABLES = [name for name in PRESETS if name != "medimeta-fsl"]


def experiment_of(preset, weights="there", **changes):
    values = {"preset": preset, "data": {"folder": "there"}, "model": {"weights": weights}}
    return experiment_from_values(values, changes)


def test_the_page_has_the_points_as_they_are():
    assert PAGE.read_text(encoding="utf-8") == page_with("published", rendered()), (
        "python -m tests.experiment.published_tables --write"
    )


def test_points_name_settings_that_there_are():
    known = {setting.name for setting in settings()}
    for point in POINTS:
        assert point.values.keys() <= known, point.name


def test_what_is_not_as_published_is_said():
    points = compared_with_publication(experiment_of("medimeta-table4"), ROWS)
    assert [each.point for each in points if not each.is_as_published] == [
        "mm-pt: batches",
        "mm-pt: augmentation",
        "mm-pt: validation",
        "mm-maml: splits",
        "mm-maml: augmentation",
        "episodes of a target",
        "subjects",
        "choice of rate and steps",
        "score",
        "interval",
    ]
    points = compared_with_publication(experiment_of("fully-supervised"))
    assert [each.point for each in points if not each.is_as_published] == [
        "batches",
        "augmentation",
        "score",
        "interval",
    ]


@pytest.mark.parametrize("preset", OF_TABLES)
def test_the_settings_of_the_table_make_it_as_published(preset):
    """What is left then is what no setting decides."""
    experiment = experiment_of(preset, weights="")
    overrides = {"model.weights": "there", "model.backbone": "resnet18"}
    for point in (TABLE_3 if preset == "fully-supervised" else TABLE_4).points:
        for name, value in point.values.items():
            expected = value(experiment) if callable(value) else value
            if name != "model.backbone" and not isinstance(expected, AnyFile):
                first = expected.values[0] if isinstance(expected, OneOf) else expected
                overrides[name] = first
    made = experiment_from_values({"preset": preset, "data": {"folder": "there"}}, overrides)
    usual = "fully-supervised" if preset == "fully-supervised" else "medimeta-table4"
    for each, best in zip(
        compared_with_publication(made, ROWS),
        compared_with_publication(experiment_of(usual), ROWS),
        strict=True,
    ):
        settled = "as published" if best.point == "subjects" else best.here
        assert each.here == settled.removeprefix('`evaluation.interval = "t"`; '), each.point


def test_another_value_is_another_point():
    def here(point, **changes):
        points = compared_with_publication(experiment_of("medimeta-table4", **changes), ROWS)
        (found,) = [each.here for each in points if each.point == point]
        return found

    assert here("mm-pt: budget") == "as published"
    assert here("mm-pt: budget", **{"pretraining.steps": 9}) == "`pretraining.steps = 9`"
    assert here("mm-pt: start", **{"model.weights": ""}).startswith("`model.weights` is not given")
    assert here("backbone", **{"model.backbone.stem": "small"}) == (
        '`model.backbone = {"name": "resnet18", "stem": "small"}`'
    )
    fifty = {"model.backbone": "resnet50"}
    assert here("backbone", **fifty) == "as published"
    assert here("mm-pt: optimiser", **fifty) == "`pretraining.lr = 0.001`"
    assert here("mm-pt: optimiser", **fifty, **{"pretraining.lr": 1e-4}) == "as published"
    own = {"rows": {"mm-maml": {"meta.inner_lr": 0.5}}}
    assert here("mm-maml: inner loop", **own) == "`meta.inner_lr = 0.5`"


@pytest.mark.parametrize("preset", OF_TABLES)
def test_rows_without_their_weights_are_named(preset):
    assert weights_cautions(experiment_of(preset)) == []
    (caution,) = weights_cautions(experiment_of(preset, weights="")) or [""]
    rows = {"medimeta-table4": "mm-pt, mm-maml start", "fully-supervised": "supervised starts"}
    rows["medimeta-table4-short"] = rows["medimeta-table4"]
    assert caution.startswith(rows.get(preset, ""))
    assert bool(caution) is (preset in rows)
    ncm = {"algorithms": ["scratch", "protonet"]}
    if preset != "fully-supervised":
        assert weights_cautions(experiment_of(preset, weights="", **ncm)) == []


def test_a_run_says_it_in_its_protocol_and_on_its_page(collection, tmp_path):
    out, lines = tmp_path / "run", []
    chosen = {"algorithms": ["scratch", "mm-pt"], "data.targets": ["hole"], "shots": [1]}
    chosen |= {"preset": "medimeta-table4", "pretraining.steps": 1}
    chosen["model.backbone"] = {"name": "conv4", "channels": 4}
    experiment = toy_experiment(**chosen)
    assert run_experiment(experiment, out, say=lines.append).complete
    assert [line for line in lines if line.startswith("warning: mm-pt starts from random")]
    protocol = json.loads((out / "protocol.json").read_text())
    assert protocol["published"]["publication"] == TABLE_4.name
    points = compared_with_publication(experiment)
    assert [each["here"] for each in protocol["published"]["points"]] == [
        each.here for each in points
    ]
    assert not [each for each in points if each.point.startswith("mm-maml")]
    assert any(caution.startswith("mm-pt starts") for caution in protocol["cautions"])
    page = write_page(out).read_text(encoding="utf-8")
    assert f"Published, and here: {TABLE_4.name}" in page
    assert '<th scope="row">mm-pt: budget</th>' in page
    assert "<strong><code>pretraining.steps = 1</code></strong>" in page
    assert "mm-pt starts from random initial values" in page


# -- one epoch -------------------------------------------------------------------------------------

TINY = {
    "model.backbone": {"name": "conv4", "channels": 2},
    "data.channels": 1,
    "data.targets": ["oct"],
    "data.source_tasks": "primary",
    "pretraining.batch_size": 32,
    "pretraining.epochs": 1,
    "meta.epochs": 1,
    "meta.epoch_episodes": 2,
    "meta.inner_steps": 1,
    "meta.validation_inner_steps": 1,
    "meta.validation_episodes": 1,
    "meta.shots": [1, 1],
    "meta.queries": 1,
    "meta.min_images": 2,
    "evaluation.episodes": 2,
    "evaluation.queries": 2,
    "evaluation.min_images": 2,
    "evaluation.steps": 1,
    "machine.device": "cpu",
}


@pytest.mark.long
@pytest.mark.parametrize("preset", ["medimeta-table4", "fully-supervised"])
def test_one_epoch_on_a_tiny_collection(preset, tmp_path):
    generate(tmp_path / "data", scale="tiny", size=16, only=["oct", "bus", "derm"])
    rows = {"algorithms": ["mm-pt", "mm-maml"]} if preset == "medimeta-table4" else {}
    values = {"preset": preset, "data": {"folder": str(tmp_path / "data")}}
    run = tmp_path / "run"
    outcome = run_experiment(experiment_from_values(values, TINY | rows), run)
    assert outcome.complete, outcome.failures
    collection = open_collection("medimeta", tmp_path / "data", channels=1, leave_out="dataset")
    sources = collection.sources("oct/disease class", split="train", tasks="primary")
    if preset == "fully-supervised":
        sources = (collection.target("oct/disease class", split="train"),)
    passed = MixedBatches(sources, batch_size=32, order="epoch", last_batch="keep")
    epochs = {"mm-pt": passed.batches_per_epoch, "supervised": passed.batches_per_epoch}
    epochs["mm-maml"] = 2 * len(sources)
    trainings = sorted((run / "train").iterdir())
    assert len(trainings) == (2 if rows else 1)
    for training in trainings:
        summary = json.loads((training / "training.json").read_text())
        assert summary["steps"] == epochs[summary["algorithm"]]
        validated = [row[0] for row in read_log(training) if row[4] is not None]
        assert validated == [summary["steps"]], "once an epoch"


# -- the study of foundation models ----------------------------------------------------------------


def study(**changes):
    values = {"preset": "medimeta-fsl", "data": {"folder": "there"}}
    return experiment_from_values(values, changes)


def here(experiment, point):
    points = compared_with_publication(experiment)
    (words,) = [each.here for each in points if each.point == point]
    return words


def test_the_study_is_as_published_where_its_questionable_parts_are_asked_for():
    as_published = study(
        **{
            "algorithms": ["fixed-probe"],
            "model.normalisation": "imagenet",
            "model.backbones": [f"hf:{name}" for name in PUBLISHED_BACKBONES],
        }
    )
    others = [each for each in compared_with_publication(as_published) if not each.is_as_published]
    assert [each.point for each in others] == [
        *("images", "episodes of a target", "choice of rate and steps")
    ]
    assert all(own.model.normalisation == "imagenet" for own in _by_backbone(as_published))


def _by_backbone(experiment):
    return experiments_by_backbone(experiment).values()


def test_what_the_preset_decides_otherwise_is_said():
    experiment = study()
    assert "logistic-mean" in here(experiment, "choice of rate and steps")
    assert here(experiment, "head").startswith('`algorithms = ["ncm"')
    assert "its weights want" in here(experiment, "normalisation")
    assert here(experiment, "backbones") == "4 of these (`model.backbones`)"
    mixed = study(**{"model.backbones": ["hf:microsoft/resnet-18@main", "conv4"]})
    assert here(mixed, "backbones") == "1 of these, and conv4 (`model.backbones`)"
    assert here(mixed, "features") == "conv4: the features of its own library"
    assert here(study(shots=[1, 5]), "shots") == "`shots = [1, 5]`"


def test_backbones_of_random_values_are_named():
    assert weights_cautions(study()) == []
    (caution,) = weights_cautions(study(**{"model.backbones": ["hf:microsoft/resnet-18", "conv4"]}))
    assert caution.startswith("conv4: random initial values")
    (caution,) = weights_cautions(study(**{"model.backbone": "conv4"}))
    assert caution.startswith("conv4: random")


def test_weights_of_one_backbone_take_the_place_of_those_of_the_preset():
    model = study(**{"model.weights": "there", "model.backbone": "conv4"}).model
    assert (model.labels, model.weights, model.backbone.name) == ((), "there", "conv4")
    assert study(**{"model.weights": "there"}).model.backbone.name == "resnet18"
