"""Presets under files under flags: what was said for another value goes with that value."""

import pytest

from torchcross.errors import InputError
from torchcross.experiment import BackboneSettings, experiment_from_values

QUICK = {"data": {"folder": "there"}, "preset": "quick"}
PUBLISHED = {"data": {"folder": "there"}, "preset": "medimeta-table4-short"}


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (QUICK, {"model.backbone": "resnet18"}),
        ({**QUICK, "model": {"backbone": "resnet18"}}, {}),
        ({**QUICK, "model": {"backbone": {"channels": 4}}}, {"model.backbone": "resnet18"}),
        ({**QUICK, "model": {"backbone": {"channels": 4}}}, {"preset": "fully-supervised"}),
        (
            {**PUBLISHED, "model": {"backbone": {"name": "conv4", "channels": 4}}},
            {"model.backbone": "resnet18"},
        ),
    ],
)
def test_options_go_with_their_backbone(given, flags):
    model = experiment_from_values(given, flags).model
    assert model.backbone == BackboneSettings("resnet18")


@pytest.mark.parametrize(
    ("given", "flags", "options"),
    [
        (QUICK, {}, {"channels": 32}),
        (QUICK, {"model.backbone": "conv4"}, {"channels": 32}),
        (QUICK, {"model.backbone.blocks": 3}, {"channels": 32, "blocks": 3}),
        (
            QUICK,
            {"model.backbone": "resnet18", "model.backbone.stem": "small"},
            {"stem": "small"},
        ),
        ({**QUICK, "model": {"backbone": {"channels": 4}}}, {"seeds": [1]}, {"channels": 4}),
        (
            {**QUICK, "model": {"backbone": {"name": "resnet18", "stem": "small"}}},
            {},
            {"stem": "small"},
        ),
        (
            {**QUICK, "model": {"backbone": {"name": "conv4", "channels": 4}}},
            {"preset": "fully-supervised"},
            {"channels": 4},
        ),
    ],
)
def test_options_stay_with_their_backbone(given, flags, options):
    assert dict(experiment_from_values(given, flags).model.backbone.options) == options


def test_a_backbone_is_a_name_or_a_table():
    by_name = experiment_from_values({**PUBLISHED, "model": {"backbone": "conv4"}})
    assert by_name.model.backbone == BackboneSettings("conv4")
    table = {"name": "conv4", "channels": 4}
    by_table = experiment_from_values({**PUBLISHED, "model": {"backbone": table}})
    assert by_table.model.backbone == BackboneSettings("conv4", {"channels": 4})
    for backbone in (3, ["conv4"]):
        with pytest.raises(InputError, match="give a name, or a table"):
            experiment_from_values({**PUBLISHED, "model": {"backbone": backbone}})
    with pytest.raises(InputError, match=r"model\.backbone\.name is 3; give a text"):
        experiment_from_values({**PUBLISHED, "model": {"backbone": {"name": 3}}})


@pytest.mark.parametrize(
    ("given", "flags", "options"),
    [
        ({**QUICK, "model": {"options": {"channels": 4}}}, {}, {"channels": 4}),
        ({**QUICK, "model": {"backbone": "conv4", "options": {"blocks": 3}}}, {}, None),
        (QUICK, {"model.options.channels": 8}, {"channels": 8}),
        (QUICK, {"model.options": {"channels": 8}}, {"channels": 8}),
    ],
)
def test_options_apart_from_their_backbone_are_read_with_a_warning(given, flags, options):
    with pytest.warns(FutureWarning, match=r"model\.options is deprecated.*\[model\.backbone\]"):
        model = experiment_from_values(given, flags).model
    assert model.backbone == BackboneSettings("conv4", options or {"channels": 32, "blocks": 3})


def test_options_of_earlier_versions_are_a_section():
    with (
        pytest.warns(FutureWarning, match="deprecated"),
        pytest.raises(InputError, match=r"no setting is called 'model\.options'"),
    ):
        experiment_from_values({**QUICK, "model": {"options": 3}})


def test_a_policy_of_batchnorm_goes_with_the_presets_way_of_adapting():
    def norm(given, flags=None):
        return experiment_from_values(given, flags).evaluation.norm

    assert norm(PUBLISHED) == "running"
    assert norm(PUBLISHED, {"evaluation.adaptation": "own"}) == ""
    assert norm({**PUBLISHED, "evaluation": {"adaptation": "own"}}) == ""
    assert norm({**PUBLISHED, "evaluation": {"adaptation": "own", "norm": "frozen"}}) == "frozen"
    assert (
        norm({**PUBLISHED, "evaluation": {"norm": "frozen"}}, {"evaluation.adaptation": "own"})
        == "frozen"
    )
    assert norm({**PUBLISHED, "preset": "disjoint"}) == "support"
    tuned = experiment_from_values(
        {**PUBLISHED, "preset": "disjoint"}, {"evaluation.adaptation": "fine-tune"}
    ).evaluation
    assert (tuned.norm, tuned.fine_tuning_norm) == ("", "running")


def test_many_labels_are_not_scored_on_episodes_by_mistake():
    given = {**QUICK, "algorithms": ["scratch"], "shots": [1]}
    with pytest.raises(InputError, match="the preset 'fully-supervised' is"):
        experiment_from_values(given, {"preset": "fully-supervised"})
    flags = {"preset": "fully-supervised", "algorithms": ["supervised"], "shots": [0]}
    assert experiment_from_values(given, flags).algorithms == ("supervised",)


@pytest.mark.parametrize(
    "name", ["evaluation.steps.foo", "meta.ways.foo", "data.targets.foo", "evaluation.norm.foo"]
)
@pytest.mark.parametrize("preset", ["disjoint", "medimeta-table4", "quick"])
def test_a_value_has_no_parts(name, preset):
    with pytest.raises(InputError, match=r"evaluation|meta|data"):
        experiment_from_values({**PUBLISHED, "preset": preset}, {name: 2})


def test_a_precision_may_be_written_as_a_number():
    assert experiment_from_values(PUBLISHED, {"machine.precision": 32}).machine.precision == "32"
    with pytest.raises(InputError, match="give one of '32', 'bf16-mixed'"):
        experiment_from_values(PUBLISHED, {"machine.precision": 16})


# -- from sections to what `fit` takes -------------------------------------------------------------


def test_what_fit_is_told():
    told = experiment_from_values(
        PUBLISHED,
        {
            "meta.meta_batch": 4,
            "meta.at_once": 2,
            "meta.clip": 10,
            "meta.ema": 0.9,
            "meta.schedule": "cosine",
            "meta.lr_end": 1e-5,
            "meta.warmup": 5,
            "meta.checkpoint_every": 7,
            "pretraining.accumulate": 2,
            "pretraining.optimiser": "sgd",
            "pretraining.momentum": 0.9,
            "pretraining.weight_decay": 1e-4,
            "pretraining.steps": 30,
        },
    )
    meta = told.meta.fit_options(seed=3, judged=True, workers=2).as_dict()
    expected = {
        "meta_batch": 4,
        "at_once": 2,
        "clip": 10.0,
        "ema": 0.9,
        "schedule": "cosine",
        "lr_end": 1e-5,
    }
    expected |= {
        "warmup": 5,
        "checkpoint_every": 7,
        "seed": 3,
        "workers": 2,
        "validate_every": 500,
        "patience": 5,
    }
    assert meta == meta | expected
    batches = told.pretraining.fit_options(seed=0, judged=False, epoch_steps=9).as_dict()
    expected = {
        "meta_batch": 2,
        "at_once": 1,
        "epoch_steps": 4,
        "optimiser": "sgd",
        "momentum": 0.9,
    }
    expected |= {
        "weight_decay": 1e-4,
        "validate_every": None,
        "patience": None,
        "clip": None,
        "ema": None,
    }
    assert batches == batches | expected
    assert told.pretraining.fit_options(seed=0, judged=True).validate_every == 30


@pytest.mark.parametrize(
    ("name", "value", "match"),
    [
        ("meta.at_once", 3, "meta: at_once=3 does not divide meta_batch=1"),
        ("meta.lr_end", 1e-5, "meta: lr_end=1e-05 has no effect"),
        ("meta.warmup", 20_000, "meta: warmup=20000 leaves none"),
        ("meta.ema", 1.5, "meta: ema is a decay between 0 and 1"),
        ("meta.inner_steps", 0, "above 0"),
        ("pretraining.momentum", 0.9, "pretraining: momentum=0.9 has no effect"),
        ("pretraining.clip", -1, "pretraining.clip is -1"),
        ("pretraining.accumulate", 0, "above 0"),
        ("machine.workers", -1, "machine.workers is -1"),
    ],
)
def test_what_does_not_go_together_is_refused_when_it_is_told(name, value, match):
    with pytest.raises(InputError, match=match):
        experiment_from_values(PUBLISHED, {name: value})
