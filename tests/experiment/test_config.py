"""Settings: typed, validated, nothing unknown passed over; presets, then the file, then the
flags.
"""

import re

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError
from torchcross.experiment import PRESETS, BackboneSettings, experiment_from_values, read_experiment
from torchcross.experiment.settings.plain import as_plain, digest

DATA = {"data": {"folder": "there"}}


def test_the_default_is_the_published_protocol():
    made = experiment_from_values(DATA)
    assert made.preset == "medimeta-table4"
    how = made.evaluation
    assert (how.episodes, how.queries, how.min_images, how.steps, how.lr) == (100, 10, 50, 50, 1e-3)
    assert (how.adaptation, how.norm, how.disjoint) == ("fine-tune", "running", False)
    assert (made.meta.inner_lr, made.meta.inner_steps, made.meta.validation_inner_steps) == (
        0.1,
        4,
        32,
    )
    assert made.meta.way_range == (2, None)
    assert made.pretraining.batch_size == 64


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_hold_no_setting_that_does_not_exist(preset):
    assert experiment_from_values({**DATA, "preset": preset}).preset == preset


def test_flags_win_over_the_file_and_the_file_over_the_preset(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'preset = "quick"\nshots = [2]\n[data]\nfolder = "images"\n[evaluation]\nepisodes ='
        " 7\nsteps = 9\n"
    )
    made = read_experiment(path, {"evaluation.steps": 11, "shots": [3]})
    assert made.data.folder == str(tmp_path / "images")
    assert (made.evaluation.episodes, made.evaluation.steps, made.shots) == (7, 11, (3,))
    assert made.model.backbone.name == "conv4"


@pytest.mark.parametrize(
    ("given", "match"),
    [
        (
            {},
            r"data\.folder is missing; give it: folder = \.\.\. in \[data\] .* --data FOLDER",
        ),
        ({"preset": "disjoint"}, r"data\.folder is missing"),
        ({"data": {"folder": ""}}, "data.folder is empty"),
        ({"data": {}}, "data.folder is missing"),
        ({**DATA, "shot": [1]}, "no setting is called 'shot'; did you mean 'shots'?"),
        (
            {**DATA, "steps": 10},
            "did you mean 'pretraining.steps', 'meta.steps' or 'evaluation.steps'?",
        ),
        ({**DATA, "backbone": "conv4"}, "did you mean 'model.backbone'?"),
        ({**DATA, "evaluation": {"epsiodes": 3}}, "did you mean 'evaluation.episodes'"),
        ({**DATA, "preset": "medimeta-table"}, "did you mean 'medimeta-table4'"),
        (
            {**DATA, "evaluation": {"episodes": "3"}},
            "evaluation.episodes is '3'; give a whole number",
        ),
        ({**DATA, "evaluation": {"episodes": 0}}, "above 0"),
        ({**DATA, "evaluation": {"lr": float("nan")}}, "evaluation.lr is nan"),
        ({**DATA, "evaluation": {"disjoint": 1}}, "give true or false"),
        ({**DATA, "evaluation": {"adaptation": "mine"}}, "give one of 'fine-tune', 'own'"),
        ({**DATA, "evaluation": 3}, "give a section"),
        ({**DATA, "shots": 5}, "shots is 5; give a list"),
        ({**DATA, "shots": []}, "shots is empty"),
        ({**DATA, "shots": [5, 5]}, "names one twice"),
        ({**DATA, "shots": ["all"]}, "'supervised' goes with"),
        ({**DATA, "shots": ["every"]}, r"shots\[0\] is 'every'; give a whole number, or \"all\""),
        ({**DATA, "shots": [-1]}, r"shots\[0\] is -1; give 1 or more, .* or 0 for rows that need"),
        ({**DATA, "algorithms": ["supervised"]}, "'supervised' goes with"),
        ({**DATA, "algorithms": ["supervised", "ncm"], "shots": ["all"]}, "other rows than"),
        ({**DATA, "algorithms": ["supervised"], "shots": [5, "all"]}, "other rows than"),
        ({**DATA, "seeds": [True]}, r"seeds\[0\] is True; give a whole number"),
        ({**DATA, "meta": {"ways": [2]}}, "give two numbers"),
        ({"data": {"folder": "x", "channels": 2}}, "data.channels is 2; give one of 1, 3"),
    ],
)
def test_refused(given, match):
    with pytest.raises(InputError, match=match):
        experiment_from_values(given)


def test_a_file_that_is_no_toml_is_named(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("shots = [1")
    with pytest.raises(InputError, match=re.escape(str(path))):
        read_experiment(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_experiment(tmp_path / "absent.toml")


def test_plain_values_make_the_same_experiment_again():
    made = toy_experiment()
    assert experiment_from_values(as_plain(made)) == made
    assert digest(made) == digest(toy_experiment())
    assert digest(made) != digest(toy_experiment(**{"evaluation.steps": 2}))


def test_a_section_as_override_keeps_what_it_does_not_name():
    given = {"preset": "quick", "data": {"folder": "x"}, "evaluation": {"episodes": 7}}
    plain = experiment_from_values(given)
    told = experiment_from_values(given, {"evaluation": {"steps": 3}})
    assert (told.evaluation.episodes, told.evaluation.steps) == (7, 3)
    assert told.evaluation.min_images == plain.evaluation.min_images
    kept = experiment_from_values(given, {"model": {"normalisation": "none"}})
    assert kept.model.backbone == BackboneSettings("conv4", {"channels": 32})
    other = experiment_from_values(given, {"model.backbone": {"channels": 8}})
    assert dict(other.model.backbone.options) == {"channels": 8}


def test_a_plugin_that_is_no_file_is_refused(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('plugins = ["mine.py", 3]\n[data]\nfolder = "x"\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"plugins\[1\] is 3"):
        read_experiment(path)
