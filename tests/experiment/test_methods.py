"""The rows of a table: where each begins, how it meets a target, and how it learns."""

import pytest
import torch

from tests.experiment.rows import (
    EPISODIC,
    OF_TEXTS,
    OF_THE_MODEL,
    TEXTS,
    UNTRAINED,
    is_published_fine_tuning,
    made,
    published,
    same,
    saved,
    weights_of,
)
from torchcross import algorithms
from torchcross.backbones import conv4, image_statistics
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.errors import InputError
from torchcross.experiment.rows.adaptation import adapter
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.row_reads import reads_setting
from torchcross.experiment.rows.starting_networks import starting_network

# -- the rows --------------------------------------------------------------------------------------


def test_every_row_is_of_one_kind():
    assert set(METHODS) == UNTRAINED | EPISODIC | {"mm-pt", "supervised"}
    assert all(name == method.name and method.description for name, method in METHODS.items())
    assert {name for name, method in METHODS.items() if not method.trains} == UNTRAINED
    assert {name for name, method in METHODS.items() if method.make_learner is not None} == EPISODIC
    assert [name for name, method in METHODS.items() if method.pretrains] == ["mm-pt"]
    assert [name for name, method in METHODS.items() if method.supervised] == ["supervised"]
    assert [name for name, method in METHODS.items() if method.needs_weights] == [
        "im-pt",
        "pmf",
    ]
    assert [name for name, method in METHODS.items() if method.make_adapter is not None] == [
        "ncm",
        "simpleshot",
        "probe",
        "fixed-probe",
        "logistic",
        "logistic-mean",
        "text",
        "text+logistic",
        "image-statistics",
    ]
    assert [name for name, method in METHODS.items() if method.zero_shot] == sorted(OF_TEXTS)
    assert [name for name, method in METHODS.items() if method.reads_texts] == sorted(OF_TEXTS)


# -- where they begin ------------------------------------------------------------------------------


@OF_THE_MODEL
def test_a_row_starts_from_the_weights_unless_it_is_scratch(name, tmp_path):
    published_weights = conv4(4, in_channels=1, seed=77)
    told = published(
        **{"model.weights": saved(published_weights, tmp_path), "model.normalisation": "none"}
    )
    net = starting_network(METHODS[name], told, seed=5)
    expected = conv4(4, in_channels=1, seed=5) if name == "scratch" else published_weights
    assert same(net, weights_of(expected))


@OF_THE_MODEL
def test_without_weights_a_row_starts_from_its_seed(name):
    told = published()
    for seed in (0, 3):
        assert same(
            starting_network(METHODS[name], told, seed),
            weights_of(conv4(4, in_channels=1, seed=seed)),
        )
    assert not same(
        starting_network(METHODS[name], told, 0), weights_of(conv4(4, in_channels=1, seed=3))
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_the_network_takes_the_channels_of_the_data(channels):
    net = starting_network(METHODS["scratch"], published(**{"data.channels": channels}), 0)
    assert net(torch.zeros(2, channels, 16, 16)).shape == (2, net.num_features)


@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED))
def test_training_starts_from_the_rows_network(name, splits, tmp_path):
    begin = conv4(4, in_channels=1, seed=77)
    told = published(**{"model.weights": saved(begin, tmp_path), "model.normalisation": "none"})
    learner = made(name, told, splits).learner
    assert same(learner.backbone, weights_of(begin))


def prepared(how):
    """What an algorithm does to images before its network sees them."""
    return how.input_normalisation.mean, how.input_normalisation.std


@OF_THE_MODEL
def test_without_weights_images_are_normalised_as_published(name):
    """Three channels, with the mean and standard deviation of ImageNet, in training and on the
    target.
    """
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    colour = [
        [toys.binary(240, size=16).subset(range(half, 240, 2), name="hole") for half in (0, 1)],
        [
            toys.multiclass(400, size=16).subset(range(half, 400, 2), name="shape")
            for half in (0, 1)
        ],
    ]
    for channels, given, expected in ((3, "", imagenet), (3, "none", ((), ())), (1, "", ((), ()))):
        told = published(**{"data.channels": channels, "model.normalisation": given})
        net = starting_network(METHODS[name], told, 0)
        assert not net.normalises
        assert prepared(adapter(METHODS[name], net, told, TEXTS)) == expected
        if METHODS[name].trains:
            learner = made(name, told, [list(part) for part in zip(*colour, strict=True)]).learner
            assert prepared(learner) == expected
            assert prepared(adapter(METHODS[name], learner, told, TEXTS)) == expected


@OF_THE_MODEL
def test_with_weights_images_are_as_those_want_them(name, tmp_path):
    weights = saved(conv4(4, in_channels=3), tmp_path)
    with pytest.raises(InputError, match="say normalisation="):
        starting_network(
            METHODS["im-pt"], published(**{"data.channels": 3, "model.weights": weights}), 0
        )
    told = published(
        **{"data.channels": 3, "model.weights": weights, "model.normalisation": "keras"}
    )
    net = starting_network(METHODS[name], told, 0)
    how = adapter(METHODS[name], net, told, TEXTS)
    keras = (123.68 / 255, 116.779 / 255, 103.939 / 255)
    if name == "scratch":
        assert prepared(how)[0] == keras
    else:
        assert net.normalises
        assert net.weights.mean == keras
        assert prepared(how) == ((), ())


def test_three_channels_normalise_no_grey_images():
    with pytest.raises(InputError, match="normalisation='imagenet' is for three channels"):
        published(**{"model.normalisation": "imagenet"})
    with pytest.raises(InputError, match="give one of '', 'imagenet', 'keras', 'none'"):
        published(**{"model.normalisation": "torchvision"})


# -- how they meet a target ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["scratch", "im-pt"])
@pytest.mark.parametrize("adaptation", ["fine-tune", "own"])
def test_networks_without_training_are_fine_tuned(name, adaptation):
    told = published(**{"evaluation.adaptation": adaptation})
    net = conv4(4, in_channels=1)
    assert is_published_fine_tuning(adapter(METHODS[name], net, told, TEXTS), net)


@pytest.mark.parametrize("adaptation", ["fine-tune", "own"])
def test_ncm_and_probe_leave_the_network_as_it_is(adaptation):
    told, net = published(**{"evaluation.adaptation": adaptation}), conv4(4, in_channels=1)
    ncm, probe = adapter(METHODS["ncm"], net, told), adapter(METHODS["probe"], net, told)
    assert (type(ncm), type(probe)) == (algorithms.ProtoNet, algorithms.LinearProbe)
    assert ncm.backbone is probe.backbone is net
    assert {ncm.protocol()["norm"], probe.protocol()["norm"]} == {"frozen"}


@pytest.mark.parametrize("adaptation", ["fine-tune", "own"])
def test_converged_heads_leave_the_network_as_it_is(adaptation):
    settings = published(**{"evaluation.adaptation": adaptation, "evaluation.C": 0.5})
    net = conv4(4, in_channels=1)
    rows = {name: METHODS[name] for name in ("simpleshot", "logistic", "logistic-mean")}
    made_of = {name: adapter(row, net, settings) for name, row in rows.items()}
    assert type(made_of["simpleshot"]) is algorithms.SimpleShot
    assert made_of["logistic"].C == (0.5,)
    assert made_of["logistic-mean"].C == (1, 10, 100)
    assert adapter(rows["logistic"], net, published()).C == (10,)
    assert all(how.backbone is net for how in made_of.values())
    assert {how.protocol()["norm"] for how in made_of.values()} == {"frozen"}
    reads = {name for name, row in METHODS.items() if reads_setting(row, "evaluation.C", settings)}
    assert reads == {"logistic", "text+logistic"}


def test_temperatures_are_of_the_rows_of_logistic_regression():
    settings = published(**{"evaluation.temperature": "leave-one-out"})
    net = conv4(4, in_channels=1)
    reads = {
        name
        for name, row in METHODS.items()
        if reads_setting(row, "evaluation.temperature", settings)
    }
    assert reads == {"logistic", "logistic-mean"}
    for name in reads:
        for chosen, expected in ((settings, "leave-one-out"), (published(), "none")):
            assert adapter(METHODS[name], net, chosen).protocol()["temperature"] == expected


@pytest.mark.parametrize("setting", ["evaluation.sets", "evaluation.coverage"])
def test_sets_are_read_where_predictions_are_stored(setting):
    for stored, expected in ((10, {"logistic", "logistic-mean"}), (0, set())):
        changes = {"evaluation.sets": "split", "evaluation.predictions": stored}
        settings = published(**changes)
        rows = {name for name, row in METHODS.items() if reads_setting(row, setting, settings)}
        assert rows == expected


@pytest.mark.parametrize("channels", [1, 3])
def test_image_statistics_has_a_network_of_its_own_whatever_model_says(channels):
    method = METHODS["image-statistics"]
    settings = published(**{"data.channels": channels})
    net = starting_network(method, settings, seed=5)
    assert net.spec.as_dict() == image_statistics(in_channels=channels).spec.as_dict()
    how = adapter(method, net, settings)
    assert type(how) is algorithms.Ridge
    assert how.backbone is net
    # The statistics are those of the images as they are, on the scale of the support set.
    assert prepared(how) == ((), ())
    assert how.protocol()["norm"] == "support"
    for setting in ("model.backbone", "model.weights", "model.normalisation", "evaluation.norm"):
        assert not reads_setting(method, setting, settings)
    assert reads_setting(method, "data.channels", settings)
    assert not method.has_seeds("")


@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED - {"pmf"}))
def test_published_rows_are_all_fine_tuned_alike(name, splits):
    learner = made(name, published(), splits).learner
    assert is_published_fine_tuning(adapter(METHODS[name], learner, published()), learner.backbone)


@pytest.mark.parametrize("name", sorted(set(METHODS) - UNTRAINED))
def test_own_means_as_the_algorithm_adapts_where_it_does(name, splits):
    told = published(**{"evaluation.adaptation": "own"})
    learner = made(name, told, splits).learner
    how = adapter(METHODS[name], learner, told)
    if name == "pmf":
        assert (type(how), how.recipe.head) == (algorithms.FineTune, "proto")
        assert how.backbone is learner.backbone
    elif name in EPISODIC:
        assert how is learner
    else:
        assert is_published_fine_tuning(how, learner.backbone)


def test_fine_tuning_is_what_the_experiment_says():
    told = published(**{"evaluation.steps": 7, "evaluation.lr": 0.5, "evaluation.norm": "batch"})
    how = adapter(METHODS["scratch"], conv4(4, in_channels=1), told)
    assert (how.recipe.steps, how.recipe.lr, how.protocol()["norm"]) == (7, 0.5, "batch")


@pytest.mark.parametrize(("norm", "alone"), [("running", True), ("batch", False)])
def test_a_query_image_is_judged_alone(norm, alone, splits):
    """`running` is evaluation mode: what else is in the query does not matter."""
    told = published(**{"evaluation.norm": norm, "evaluation.steps": 2})
    episode = Episodes(EpisodeSampler(splits[0][1], shots=2, queries=3))[0]
    predictor = adapter(METHODS["scratch"], conv4(4, in_channels=1), told).adapt(
        episode.support, episode.task
    )
    together, one = predictor.logits(episode.query.x)[:1], predictor.logits(episode.query.x[:1])
    assert torch.allclose(together, one, atol=1e-5) is alone
