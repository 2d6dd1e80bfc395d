"""Settings at their edges: what may be zero, and that nobody's values are written into."""

import copy
import math

import pytest

from torchcross.errors import InputError
from torchcross.experiment import PRESETS, experiment_from_values, read_experiment
from torchcross.experiment.settings.plain import digest
from torchcross.experiment.settings.schema import Experiment, MetaTrainingSettings

DATA = {"data": {"folder": "there"}}


@pytest.mark.parametrize("section", ["pretraining", "meta", "evaluation"])
@pytest.mark.parametrize("value", [0, -1, -1.5, 0.0, math.inf, math.nan, 10**400, True, "1", None])
def test_rates_are_finite_and_above_zero(section, value):
    with pytest.raises(InputError, match=rf"{section}\.lr is .*; give a number"):
        experiment_from_values({**DATA, section: {"lr": value}})


def test_a_whole_number_serves_as_a_rate():
    rate = experiment_from_values({**DATA, "evaluation": {"lr": 1}}).evaluation.lr
    assert (rate, type(rate)) == (1.0, float)
    assert digest(experiment_from_values({**DATA, "evaluation": {"lr": 1}})) == digest(
        experiment_from_values({**DATA, "evaluation": {"lr": 1.0}})
    )


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"meta": {"ways": [5, 2]}}, "the fewest classes and the most"),
        ({"meta": {"ways": [0, 0]}}, "the fewest classes and the most"),
        ({"meta": {"ways": [2, 3, 4]}}, "give two numbers"),
        ({"meta": {"shots": [5, 1]}}, "the fewest, at least 1, and the most"),
        ({"meta": {"shots": [0, 5]}}, "the fewest, at least 1, and the most"),
        ({"seeds": [-1]}, r"seeds\[0\] is -1; give a number from 0"),
        ({"evaluation": {"steps": 2.0}}, "steps is 2.0; give a whole number"),
        ({"data": {"folder": "there", "channels": 3.0}}, r"channels is 3\.0; give one of 1, 3"),
        ({"data": {"folder": "there", "channels": [3]}}, "give one of 1, 3"),
        ({"data": 3}, "data is 3; give a section"),
        ({"preset": ["quick"]}, "no preset is called"),
        ({"preset": None}, "no preset is called 'None'"),
    ],
)
def test_refused_before_anything_runs(given, match):
    with pytest.raises(InputError, match=match):
        experiment_from_values({**DATA, **given})


@pytest.mark.parametrize("given", [3, None, ["data"], "data"])
def test_what_is_no_mapping_is_refused(given):
    with pytest.raises(InputError, match=r"an experiment is .*; give a section"):
        experiment_from_values(given)


def test_made_by_hand_it_is_checked_too():
    made = experiment_from_values(DATA)
    with pytest.raises(InputError, match="numbers from 0"):
        Experiment(data=made.data, seeds=(-1,))
    with pytest.raises(InputError, match="numbers from 0"):
        Experiment(data=made.data, shots=(-1,))
    with pytest.raises(InputError, match="give two numbers"):
        MetaTrainingSettings(ways=(2,))


# -- presets, files and flags ----------------------------------------------------------------------


def test_a_section_that_is_given_in_part_keeps_the_rest_of_the_preset():
    made = experiment_from_values(
        {
            **DATA,
            "preset": "quick",
            "evaluation": {"steps": 7},
            "model": {"backbone": {"blocks": 3}},
        }
    )
    assert (made.evaluation.steps, made.evaluation.episodes, made.evaluation.lr) == (7, 50, 3e-3)
    assert made.model.backbone.name == "conv4"
    assert dict(made.model.backbone.options) == {"channels": 32, "blocks": 3}


def test_a_flag_chooses_another_preset():
    made = experiment_from_values({**DATA, "preset": "quick"}, {"preset": "disjoint"})
    assert made.preset == "disjoint"
    assert (made.evaluation.disjoint, made.evaluation.episodes) == (True, 100)
    with pytest.raises(InputError, match="no preset is called 'quik'; did you mean 'quick'"):
        experiment_from_values(DATA, {"preset": "quik"})


@pytest.mark.parametrize("name", ["preset.name", "shots.first", "data.folder.name", "seeds.0"])
def test_a_flag_into_a_value_is_refused(name):
    with pytest.raises(InputError, match="is a value and has no parts"):
        experiment_from_values({**DATA, "shots": [5], "seeds": [0]}, {name: 1})


@pytest.mark.parametrize("name", ["", "data.", "evaluation.step", "modell.backbone"])
def test_a_flag_that_means_nothing_is_refused(name):
    with pytest.raises(InputError, match="no setting is called"):
        experiment_from_values(DATA, {name: 1})


def test_nobodys_values_are_written_into():
    presets = copy.deepcopy(dict(PRESETS))
    given = {"preset": "quick", "data": {"folder": "there"}, "model": {"backbone": {"blocks": 3}}}
    before = copy.deepcopy(given)
    made = experiment_from_values(
        given,
        {"data.folder": "elsewhere", "model.backbone.channels": 8, "evaluation.steps": 3},
    )
    experiment_from_values({**DATA, "preset": "quick"}, {"model.backbone.channels": 4})
    assert given == before
    assert dict(PRESETS) == presets
    assert (made.data.folder, dict(made.model.backbone.options)) == (
        "elsewhere",
        {"channels": 8, "blocks": 3},
    )
    given["model"]["backbone"]["channels"] = 99
    assert made.model.backbone.options["channels"] == 8


def test_relative_paths_are_beside_the_file_and_flags_are_as_they_stand(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('[data]\nfolder = "images"\n[model]\nweights = "w.pth"\n')
    made = read_experiment(path)
    assert (made.data.folder, made.model.weights) == (
        str(tmp_path / "images"),
        str(tmp_path / "w.pth"),
    )
    path.write_text('[data]\nfolder = "/images"\n[model]\nweights = ""\n')
    made = read_experiment(path, {"data.folder": "here"})
    assert (made.data.folder, made.model.weights) == ("here", "")
    assert read_experiment(path).data.folder == "/images"
    path.write_text('data = "images"\n')
    with pytest.raises(InputError, match=r"mine\.toml: data is 'images'; give a section"):
        read_experiment(path)


def test_the_order_of_settings_is_no_other_experiment():
    one = experiment_from_values(
        {"data": {"folder": "there"}, "model": {"backbone": {"a": 1, "b": 2}}}
    )
    other = experiment_from_values(
        {"model": {"backbone": {"b": 2, "a": 1}}, "data": {"folder": "there"}}
    )
    assert digest(one) == digest(other)
    assert digest({"a": 1, "b": (2, 3)}) == digest({"b": [2, 3], "a": 1})
    assert digest([1, 2]) != digest([2, 1])
