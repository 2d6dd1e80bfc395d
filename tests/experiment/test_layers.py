"""Presets under files under flags: what was said for another value goes with that value."""

import pytest

from torchcross.errors import InputError
from torchcross.experiment import experiment

QUICK = {"data": {"folder": "there"}, "preset": "quick"}
PUBLISHED = {"data": {"folder": "there"}}


@pytest.mark.parametrize(
    ("given", "flags"),
    [
        (QUICK, {"model.backbone": "resnet18"}),
        ({**QUICK, "model": {"backbone": "resnet18"}}, {}),
        ({**QUICK, "model": {"options": {"channels": 4}}}, {"model.backbone": "resnet18"}),
        ({**QUICK, "model": {"options": {"channels": 4}}}, {"preset": "fully-supervised"}),
        (
            {**PUBLISHED, "model": {"backbone": "conv4", "options": {"channels": 4}}},
            {"model.backbone": "resnet18"},
        ),
    ],
)
def test_options_go_with_their_backbone(given, flags):
    model = experiment(given, flags).model
    assert (model.backbone, dict(model.options)) == ("resnet18", {})


@pytest.mark.parametrize(
    ("given", "flags", "options"),
    [
        (QUICK, {}, {"channels": 32}),
        (QUICK, {"model.backbone": "conv4"}, {"channels": 32}),
        (QUICK, {"model.options.blocks": 3}, {"channels": 32, "blocks": 3}),
        (QUICK, {"model.backbone": "resnet18", "model.options.stem": "small"}, {"stem": "small"}),
        ({**QUICK, "model": {"options": {"channels": 4}}}, {"seeds": [1]}, {"channels": 4}),
        (
            {**QUICK, "model": {"backbone": "resnet18", "options": {"stem": "small"}}},
            {},
            {"stem": "small"},
        ),
        (
            {**QUICK, "model": {"backbone": "conv4", "options": {"channels": 4}}},
            {"preset": "fully-supervised"},
            {"channels": 4},
        ),
    ],
)
def test_options_stay_with_their_backbone(given, flags, options):
    assert dict(experiment(given, flags).model.options) == options


def test_a_policy_of_batchnorm_goes_with_the_presets_way_of_adapting():
    def norm(given, flags=None):
        return experiment(given, flags).evaluation.norm

    assert norm(PUBLISHED) == "running"
    assert norm(PUBLISHED, {"evaluation.adaptation": "own"}) == ""
    assert norm({**PUBLISHED, "evaluation": {"adaptation": "own"}}) == ""
    assert norm({**PUBLISHED, "evaluation": {"adaptation": "own", "norm": "frozen"}}) == "frozen"
    assert (
        norm({**PUBLISHED, "evaluation": {"norm": "frozen"}}, {"evaluation.adaptation": "own"})
        == "frozen"
    )
    assert norm({**PUBLISHED, "preset": "disjoint"}) == "support"
    tuned = experiment(
        {**PUBLISHED, "preset": "disjoint"}, {"evaluation.adaptation": "fine-tune"}
    ).evaluation
    assert (tuned.norm, tuned.fine_tuning_norm) == ("", "running")


def test_many_labels_are_not_scored_on_episodes_by_mistake():
    given = {**QUICK, "algorithms": ["scratch"], "shots": [1]}
    with pytest.raises(InputError, match="the preset 'fully-supervised' is"):
        experiment(given, {"preset": "fully-supervised"})
    flags = {"preset": "fully-supervised", "algorithms": ["supervised"], "shots": [0]}
    assert experiment(given, flags).algorithms == ("supervised",)


@pytest.mark.parametrize(
    "name", ["evaluation.steps.foo", "meta.ways.foo", "data.targets.foo", "evaluation.norm.foo"]
)
@pytest.mark.parametrize("preset", ["disjoint", "medimeta-table4", "quick"])
def test_a_value_has_no_parts(name, preset):
    with pytest.raises(InputError, match=r"evaluation|meta|data"):
        experiment({**PUBLISHED, "preset": preset}, {name: 2})


def test_a_precision_may_be_written_as_a_number():
    assert experiment(PUBLISHED, {"machine.precision": 32}).machine.precision == "32"
    with pytest.raises(InputError, match="give one of '32', 'bf16-mixed'"):
        experiment(PUBLISHED, {"machine.precision": 16})


# -- from sections to what `fit` takes -------------------------------------------------------------


def test_what_fit_is_told():
    told = experiment(
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
        ("meta.lr_end", 1e-5, "meta: lr_end=1e-05 has no use"),
        ("meta.warmup", 20_000, "meta: warmup=20000 leaves nothing"),
        ("meta.ema", 1.5, "meta: ema is a decay between 0 and 1"),
        ("meta.inner_steps", 0, "above 0"),
        ("pretraining.momentum", 0.9, "pretraining: momentum=0.9 has no use"),
        ("pretraining.clip", -1, "pretraining.clip is -1"),
        ("pretraining.accumulate", 0, "above 0"),
        ("machine.workers", -1, "machine.workers is -1"),
    ],
)
def test_what_does_not_go_together_is_refused_when_it_is_told(name, value, match):
    with pytest.raises(InputError, match=match):
        experiment(PUBLISHED, {name: value})
