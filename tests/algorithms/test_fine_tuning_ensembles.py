"""Ensembles of fine-tuned networks: the mean probability of a grid of rates."""

import itertools

import pytest
import torch

from tests.algorithms.cases import TARGETS, Net, episode_of, learned_heads, same, snapshot
from torchcross.algorithms import FineTune, load_predictor
from torchcross.data import Augmentation
from torchcross.episode import Batch
from torchcross.errors import InputError

EPISODE = episode_of(TARGETS["multiclass"], seed=1)
GRID = {"lr": (0.1, 0.01), "backbone_lr": (0.01, 0.001, 0.0001)}


@pytest.mark.parametrize("target", TARGETS)
def test_an_ensemble_is_the_mean_probability_of_its_members(target, tmp_path):
    episode = episode_of(TARGETS[target])
    net = Net()
    before = snapshot(net)
    predictor = FineTune(net, steps=3, **GRID).adapt(episode.support, episode.task, seed=2)
    members = [
        FineTune(net, steps=3, lr=lr, backbone_lr=backbone_lr).adapt(
            episode.support, episode.task, seed=2
        )(episode.query.x)
        for lr, backbone_lr in itertools.product(*GRID.values())
    ]
    mean = torch.stack([member.probabilities for member in members]).mean(0)
    prediction = predictor(episode.query.x)
    torch.testing.assert_close(prediction.probabilities, mean, rtol=1e-9, atol=1e-12)
    assert predictor.protocol["members"] == 6
    predictor.save(tmp_path / "p.safetensors")
    loaded = load_predictor(tmp_path / "p.safetensors", Net(seed=5))
    assert torch.equal(loaded(episode.query.x).probabilities, prediction.probabilities)
    module = predictor.to_module()
    torch.testing.assert_close(
        module(episode.query.x), prediction.probabilities, rtol=1e-9, atol=1e-12
    )
    assert snapshot(net)[2] == before[2]


def test_members_that_share_the_backbone_hold_it_once():
    learner = FineTune(
        Net(), steps=3, lr=(0.1, 0.01), adapted="head.*", norm="frozen", head="kaiming"
    )
    predictor = learner.adapt(EPISODE.support, EPISODE.task)
    assert predictor.tensors["params"].keys() == dict(Net().named_parameters()).keys()
    members = [
        FineTune(Net(), steps=3, lr=lr, adapted="head.*", norm="frozen").adapt(
            EPISODE.support, EPISODE.task
        )
        for lr in (0.1, 0.01)
    ]
    mean = sum(member(EPISODE.query.x).probabilities for member in members) / 2
    torch.testing.assert_close(
        predictor(EPISODE.query.x).probabilities, mean, rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("norm", ["running", "support", "batch"])
@pytest.mark.parametrize("lanes", [2, 6])
def test_members_in_lanes_are_those_one_by_one(norm, lanes):
    options = {
        **GRID, "steps": 3, "head": "logistic", "batch": 5, "schedule": "cosine", "norm": norm,
        "augmentation": Augmentation(rotation=0),
    }  # fmt: skip
    net = Net(dropout=0.3)
    before = snapshot(net)
    one_by_one = FineTune(net, **options).adapt(EPISODE.support, EPISODE.task, seed=4)
    at_once = FineTune(net, lanes=lanes, **options).adapt(EPISODE.support, EPISODE.task, seed=4)
    for number in range(6):
        members = [each._member(number) for each in (one_by_one, at_once)]
        for part, tree in members[0].items():
            for name, value in tree.items():
                torch.testing.assert_close(members[1][part][name], value, rtol=1e-7, atol=1e-9)
    predictions = [each(EPISODE.query.x).probabilities for each in (one_by_one, at_once)]
    torch.testing.assert_close(*predictions, rtol=1e-7, atol=1e-9)
    assert same(before, snapshot(net))


def test_images_of_an_ensemble_have_gradients():
    support = Batch(EPISODE.support.x.clone().requires_grad_(), EPISODE.support.y)
    predictor = FineTune(Net(), steps=2, **GRID).adapt(support, EPISODE.task)
    predictor(EPISODE.query.x).probabilities.square().sum().backward()
    assert support.x.grad.abs().sum() > 0
    with pytest.raises(InputError, match="augments them"):
        FineTune(Net(), augmentation=Augmentation(rotation=0)).adapt(support, EPISODE.task)


def test_learned_heads_need_every_class_in_an_ensemble_too():
    labels = EPISODE.support.y.clone()
    labels[labels == 1] = 2
    support = Batch(EPISODE.support.x, labels)
    learner = FineTune(Net(), steps=1, head=learned_heads(TARGETS["multiclass"]), lr=(0.1, 0.01))
    with pytest.raises(InputError, match="no sample of 'square', and the learned heads are of all"):
        learner.adapt(support, EPISODE.task)
    assert learner.adapt(EPISODE.support, EPISODE.task).protocol["members"] == 2


def test_an_ensemble_does_not_train():
    with pytest.raises(InputError, match="6 pairs of rates is an ensemble"):
        FineTune(Net(), **GRID).meta_loss([EPISODE])
