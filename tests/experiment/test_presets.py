"""What presets say in full, their versions, and budgets in steps or in epochs."""

import json
from dataclasses import fields, is_dataclass

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError
from torchcross.experiment import PRESETS, RunFolder, experiment_from_values, run_experiment
from torchcross.experiment.run.earlier_presets import as_begun, folder_of_begun_run
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.settings import presets
from torchcross.experiment.settings.plain import as_plain, setting_fields, with_earlier_values
from torchcross.experiment.settings.presets import EARLIER_VERSIONS, newest_version
from torchcross.experiment.settings.row_settings import experiment_of_row
from torchcross.training.options import NOT_LATER, decides_numbers, earlier_value

DATA = {"data": {"folder": "there"}}
CPU = {"machine.device": "cpu"}

PLAIN_ADAM = {
    "lr": 1e-3,
    "optimiser": "adam",
    "weight_decay": 0.0,
    "momentum": 0.0,
    "schedule": "constant",
    "warmup": 0,
    "lr_end": 0.0,
    "clip": 0.0,
    "ema": 0.0,
    "checkpoint_every": 500,
}
PRETRAINING = {
    **PLAIN_ADAM,
    "batch_size": 64,
    "accumulate": 1,
    "augment": True,
    "heads": "zero",
    "scale_losses": True,
    "scale_from_epoch": 2,
    "last_batch": "keep",
    "patience": 10,
}
META = {
    **PLAIN_ADAM,
    "meta_batch": 1,
    "at_once": 0,
    "inner_lr": 0.1,
    "inner_steps": 4,
    "validation_inner_steps": 32,
    "ways": [2, 0],
    "shots": [1, 10],
    "queries": 10,
    "min_images": 40,
    "filter_binary": False,
    "augment": True,
    "epoch_episodes": 1000,
    "patience": 5,
    "running_statistics": "kept",
}
EVALUATION = {
    "episodes": 100,
    "queries": 10,
    "query": "balanced",
    "support": "balanced",
    "temperature": "none",
    "min_images": 50,
    "filter_binary": False,
    "disjoint": False,
    "groups": "respect",
    "adaptation": "fine-tune",
    "steps": 50,
    "lr": 1e-3,
    "inner_steps": 0,
    "C": 10.0,
    "features": "float32",
    "sets": "none",
    "coverage": 0.9,
    "norm": "running",
    "seed": 0,
}
BATCH_EPOCHS = {"steps": 0, "epochs": 1000, "validate_every": 0, "validation_images": 0}
BATCH_STEPS = {"steps": 20_000, "epochs": 0, "validate_every": 500, "validation_images": 500}
EPISODE_EPOCHS = {
    "steps": 0,
    "epochs": 1000,
    "validate_every": 0,
    "episodes": "repeated",
    "validation_episodes": 100,
    "validation_episodes_of": "each",
}
EPISODE_STEPS = {
    "steps": 20_000,
    "epochs": 0,
    "validate_every": 500,
    "episodes": "new",
    "validation_episodes": 50,
    "validation_episodes_of": "all",
}
AS_BEFORE = {"heads": "kaiming", "scale_from_epoch": 1, "last_batch": "drop"}
META_AS_BEFORE = {"filter_binary": True, "augment": False, "running_statistics": "renewed"}


def plain_preset(name, version=0):
    """The settings of a preset; of `evaluation`, those that decide rows."""
    experiment = experiment_from_values({**DATA, "preset": name, "preset_version": version})
    deciding = [each.name for each in fields(experiment.evaluation) if decides_numbers(each)]
    plain = as_plain(experiment)
    return plain | {"evaluation": {name: plain["evaluation"][name] for name in deciding}}


# -- what they say ---------------------------------------------------------------------------------


def test_the_published_protocol_in_full():
    made = plain_preset("medimeta-table4")
    assert as_plain(experiment_from_values(DATA))["preset"] == "medimeta-table4"
    assert (made["preset"], made["preset_version"]) == ("medimeta-table4", 2)
    assert made["pretraining"] == {**PRETRAINING, **BATCH_EPOCHS}
    assert made["meta"] == {**META, **EPISODE_EPOCHS}
    assert made["evaluation"] == EVALUATION
    assert made["algorithms"] == ["scratch", "mm-pt", "mm-maml", "protonet"]
    assert (made["shots"], made["seeds"]) == ([5], [0])
    data = {"channels": 3, "source_tasks": "all", "leave_out": "dataset"}
    assert made["data"] == made["data"] | data
    assert made["machine"] == {
        "device": "auto",
        "precision": "32",
        "threads": 1,
        "ranks": 1,
        "workers": 0,
        "unit_episodes": 1000,
        "gpus": 1.0,
        "memory": 0.0,
    }


def test_short_budgets_change_nothing_else():
    short, whole = plain_preset("medimeta-table4-short"), plain_preset("medimeta-table4")
    assert short["pretraining"] == {**PRETRAINING, **BATCH_STEPS}
    assert short["meta"] == {**META, **EPISODE_STEPS}
    for name in whole.keys() - {"preset", "preset_version", "pretraining", "meta"}:
        assert short[name] == whole[name]


def test_full_supervision_in_full():
    made = plain_preset("fully-supervised")
    assert (made["algorithms"], made["shots"]) == (["supervised"], ["all"])
    unscaled = {**AS_BEFORE, "last_batch": "keep"}
    assert made["pretraining"] == {**PRETRAINING, **BATCH_EPOCHS, **unscaled}


def test_the_disjoint_protocol_in_full():
    made = plain_preset("disjoint")
    own = {"disjoint": True, "adaptation": "own", "norm": "support", "filter_binary": True}
    assert made["evaluation"] == {**EVALUATION, **own}
    assert made["data"]["leave_out"] == "domain"
    assert made["seeds"] == [0, 1, 2]
    assert made["pretraining"] == {**PRETRAINING, **BATCH_STEPS, **AS_BEFORE}
    assert made["meta"] == {**META, **EPISODE_STEPS, **META_AS_BEFORE}


def test_the_quick_protocol_in_full():
    made = plain_preset("quick")
    assert made["model"]["backbone"] == {"name": "conv4", "channels": 32}
    assert made["data"]["channels"] == 1
    own = {"steps": 400, "batch_size": 32, "lr": 3e-3, "augment": False, "scale_losses": False}
    often = {"validate_every": 100, "validation_images": 100}
    assert made["pretraining"] == {**PRETRAINING, **BATCH_STEPS, **AS_BEFORE, **own, **often}
    own = {"steps": 300, "meta_batch": 2, "lr": 3e-3, "validation_inner_steps": 8}
    own |= {"shots": [1, 5], "queries": 3, "min_images": 8}
    often = {"validate_every": 100, "validation_episodes": 20}
    assert made["meta"] == {**META, **EPISODE_STEPS, **META_AS_BEFORE, **own, **often}
    own = {"episodes": 50, "queries": 3, "min_images": 8, "steps": 30, "lr": 3e-3}
    assert made["evaluation"] == {**EVALUATION, "filter_binary": True, "norm": "", **own}


# -- versions --------------------------------------------------------------------------------------


def test_the_first_versions_are_as_they_were():
    """Digests of version 0.1.0.dev0, before presets had versions."""
    before = {**CPU, "machine.threads": 0}
    made = {
        name: experiment_from_values({**DATA, "preset": name, "preset_version": 1}, before)
        for name in PRESETS
    }
    assert {name: identity(made[name])[:12] for name in FIRST_DIGESTS} == FIRST_DIGESTS
    plain = as_plain(made["medimeta-table4"])
    assert plain["pretraining"] == {**PRETRAINING, **BATCH_STEPS, **AS_BEFORE}
    assert plain["meta"] == {**META, **EPISODE_STEPS, **META_AS_BEFORE}


FIRST_DIGESTS = {
    "medimeta-table4": "111baa572d0e",
    "disjoint": "f188b9a1bf91",
    "fully-supervised": "11a95b4b5433",
    "quick": "6f164c2464d6",
}


def test_versions_count_from_one():
    assert {name: newest_version(name) for name in PRESETS} == {
        "medimeta-table4": 2,
        "medimeta-table4-short": 1,
        "disjoint": 2,
        "medimeta-fsl": 1,
        "fully-supervised": 2,
        "quick": 2,
    }
    assert EARLIER_VERSIONS.keys() <= PRESETS.keys()
    with pytest.raises(InputError, match="preset_version is 3, and the preset 'medimeta-table4' "):
        experiment_from_values({**DATA, "preset_version": 3})
    with pytest.raises(InputError, match="'medimeta-fsl' has version 1 alone"):
        experiment_from_values({**DATA, "preset": "medimeta-fsl"}, {"preset_version": True})


def settings_of(section):
    for each in setting_fields(section):
        yield section, each
        if is_dataclass(default := getattr(section, each.name)):
            yield from settings_of(default)


def test_settings_that_came_later_are_by_default_as_it_was_before():
    """Else the first version of a preset would mean something else now, and its runs not go on."""
    later = [
        (each.name, getattr(section, each.name), earlier_value(each))
        for section, each in settings_of(experiment_from_values(DATA, {"preset": "disjoint"}))
        # A run of before there were threads goes on with as many as torch takes (see below), and
        # one of before there were stored features without them (tests/experiment/test_features.py).
        if earlier_value(each) is not NOT_LATER
        and each.name not in ("preset_version", "threads", "features")
    ]
    assert len(later) >= 10
    assert all(value == earlier for _, value, earlier in later), later


def test_what_earlier_runs_had_no_settings_for_is_filled_in():
    now = as_plain(experiment_from_values({**DATA, "preset_version": 1}))
    before = json.loads(json.dumps(now))
    del before["preset_version"], before["meta"]["augment"], before["pretraining"]["heads"]
    before["model"] = {"backbone": "conv4", "options": {"channels": 4}, "weights": ""}
    filled = with_earlier_values(before)
    model = {"backbone": {"name": "conv4", "channels": 4}, "weights": "", "backbones": []}
    assert filled == {**now, "model": model}


def test_a_run_of_before_there_were_threads_goes_on_with_those_of_torch(tmp_path):
    out, lines = tmp_path / "run", []
    RunFolder.begin(out, experiment_from_values(DATA, {"machine.threads": 0}))
    assert as_begun(experiment_from_values(DATA), out, lines.append).machine.threads == 0
    assert "as many threads as torch takes" in lines[0]
    # One is another experiment, where it is asked for.
    asked = experiment_from_values(DATA, {"machine.threads": 1})
    assert as_begun(asked, out, lines.append).machine.threads == 1


def test_a_row_that_does_not_exist_is_named_where_a_run_has_begun_too(tmp_path):
    """The folder of before is compared with what is asked before that is checked."""
    out = tmp_path / "run"
    RunFolder.begin(out, experiment_from_values(DATA, CPU))
    asked = experiment_from_values(DATA, {**CPU, "algorithms": ["ncm", "protonett"]})
    with pytest.raises(InputError, match="protonett"):
        run_experiment(asked, out)


def test_what_was_given_is_no_setting():
    made = experiment_from_values(DATA, {"seeds": [1]})
    assert made.read_from == (DATA, {"seeds": [1]})
    assert "read_from" not in as_plain(made)
    with pytest.raises(InputError, match="no setting is called 'read_from'"):
        experiment_from_values({**DATA, "read_from": []})


# -- runs that began with an earlier version -------------------------------------------------------


@pytest.fixture
def newer_quick(monkeypatch):
    """Give the preset `quick` a third version: another learning rate."""

    def publish():
        second = PRESETS["quick"]
        changed = {**second, "evaluation": {**second["evaluation"], "lr": 0.5}}
        monkeypatch.setattr(presets, "PRESETS", {**PRESETS, "quick": changed})
        earlier = (*EARLIER_VERSIONS["quick"], second)
        monkeypatch.setattr(presets, "EARLIER_VERSIONS", {"quick": earlier})

    return publish


CHOSEN = {"algorithms": ["ncm", "scratch"], "data.targets": ["hole"], "shots": [1]}


def test_a_run_goes_on_with_the_version_that_it_began_with(collection, tmp_path, newer_quick):
    out, lines = tmp_path / "run", []
    assert run_experiment(toy_experiment(**CHOSEN), out).complete
    rows = sorted((out / "rows").iterdir())
    before = {path.name: path.read_bytes() for path in rows}
    rows[0].unlink()
    newer_quick()
    told = toy_experiment(**CHOSEN)
    assert (told.preset_version, told.evaluation.lr) == (3, 0.5)
    assert run_experiment(told, out, say=lines.append).complete
    assert {path.name: path.read_bytes() for path in (out / "rows").iterdir()} == before
    assert [line for line in lines if "began with version 2 of the preset quick" in line]
    kept = json.loads((out / "experiment.json").read_text())["experiment"]
    assert (kept["preset_version"], kept["evaluation"]["lr"]) == (2, 3e-3)


@pytest.mark.parametrize(
    "change", [{"evaluation.lr": 0.5}, {"evaluation.episodes": 2}, {"preset_version": 3}]
)
def test_what_was_asked_for_is_not_replaced(collection, tmp_path, newer_quick, change):
    out = tmp_path / "run"
    assert run_experiment(toy_experiment(**CHOSEN), out).complete
    newer_quick()
    with pytest.raises(InputError, match="another experiment"):
        run_experiment(toy_experiment(**CHOSEN, **change), out)
    assert run_experiment(toy_experiment(**CHOSEN), out).complete


def test_a_run_with_the_newest_version_is_a_new_run(collection, tmp_path, newer_quick):
    newer_quick()
    out, lines = tmp_path / "run", []
    assert run_experiment(toy_experiment(**CHOSEN), out, say=lines.append).complete
    assert run_experiment(toy_experiment(**CHOSEN), out, say=lines.append).complete
    assert not [line for line in lines if "began with version" in line]
    kept = json.loads((out / "experiment.json").read_text())
    assert (kept["experiment"]["preset"], kept["experiment"]["preset_version"]) == ("quick", 3)
    assert kept["decides"] == as_plain(decisive_settings(toy_experiment(**CHOSEN)))


def test_the_same_command_finds_the_folder_that_it_made_before(tmp_path, newer_quick):
    def name(digest):
        return tmp_path / digest[:8]

    before = folder_of_begun_run(toy_experiment(), name)
    newer_quick()
    assert folder_of_begun_run(toy_experiment(), name) != before
    before.mkdir()
    assert folder_of_begun_run(toy_experiment(), name) == before
    now = name(identity(toy_experiment()))
    now.mkdir()
    assert folder_of_begun_run(toy_experiment(), name) == now


# -- steps or epochs -------------------------------------------------------------------------------


@pytest.mark.parametrize("section", ["pretraining", "meta"])
@pytest.mark.parametrize(
    ("file", "flags", "expected"),
    [
        ({}, {}, (0, 1000)),
        ({"steps": 7}, {}, (7, 0)),
        ({"epochs": 7}, {}, (0, 7)),
        ({}, {"steps": 7}, (7, 0)),
        ({"steps": 7}, {"epochs": 3}, (0, 3)),
        ({"epochs": 3}, {"steps": 7}, (7, 0)),
        ({"steps": 7}, {"steps": 8}, (8, 0)),
        ({"steps": 7, "epochs": 0}, {}, (7, 0)),
        ({"steps": 0}, {}, (0, 1000)),
    ],
)
def test_the_last_word_on_the_budget_counts(section, file, flags, expected):
    flags = {f"{section}.{name}": value for name, value in flags.items()}
    made = getattr(experiment_from_values({**DATA, section: file}, flags), section)
    assert (made.steps, made.epochs) == expected


@pytest.mark.parametrize("section", ["pretraining", "meta"])
@pytest.mark.parametrize("budget", [{"steps": 7, "epochs": 3}, {"steps": 0, "epochs": 0}])
def test_exactly_one_budget(section, budget):
    with pytest.raises(InputError, match=rf"{section}\.steps=.*exactly one of them"):
        experiment_from_values({**DATA, "preset": "disjoint", section: budget})


@pytest.mark.parametrize(
    ("row", "expected"),
    [({}, (0, 1000)), ({"meta.steps": 7}, (7, 0)), ({"meta.epochs": 3}, (0, 3))],
)
def test_a_row_may_have_a_budget_of_its_own(row, expected):
    experiment = experiment_from_values({**DATA, "rows": {"mm-maml": row}})
    meta = experiment_of_row(experiment, "mm-maml").meta
    assert (meta.steps, meta.epochs) == expected
    assert experiment_of_row(experiment, "protonet").meta.epochs == 1000
