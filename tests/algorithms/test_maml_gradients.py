"""The meta-gradient of MAML and its relatives equals that of a plain, written-out inner loop."""

import pytest
import torch

from tests.algorithms.cases import NOT_LINEAR, TARGETS, Net, episode_of, learned_heads
from tests.algorithms.gradients_by_hand import (
    all_targets,
    check,
    means_head,
    plain_loss,
    random_head,
    zeros_head,
)
from torchcross.algorithms import ANIL, BOIL, MAML, MetaSGD, ProtoMAML
from torchcross.functional import FirstOrder


def body(name):
    return not name.startswith("head.")


def head(name):
    return name.startswith("head.")


linear_targets = pytest.mark.parametrize(
    "target", [name for name in TARGETS if name not in NOT_LINEAR]
)


@pytest.mark.slow
@all_targets
@pytest.mark.parametrize("engine", ["reverse", "recompute", "mixed"])
def test_maml(engine, target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, engine=engine)
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=3, head=zeros_head(TARGETS[target])),
    )


@all_targets
def test_low_memory_is_exact(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=2, memory="low", head="kaiming")
    assert algorithm.training_step([episode]).engine == "recompute"
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=2, head=random_head(TARGETS[target])),
    )


@all_targets
def test_first_order_is_the_detached_loop(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, order=1, head="kaiming")
    reference = plain_loss(
        algorithm.backbone, episode, steps=3, head=random_head(TARGETS[target]), order=1
    )
    check(algorithm, episode, reference)


def test_first_order_until_an_epoch():
    episode = episode_of(TARGETS["multiclass"])
    algorithm = MAML(Net(), steps=2, first_order_epochs=3)
    assert [algorithm.training_step([episode], epoch=epoch).order for epoch in (0, 2, 3)] == [
        1,
        1,
        2,
    ]


@all_targets
def test_anil_and_boil(target):
    episode = episode_of(TARGETS[target])
    algorithm = ANIL(Net(), steps=3)
    assert algorithm.keeps_features
    reference = plain_loss(
        algorithm.backbone, episode, steps=3, head=zeros_head(TARGETS[target]), adapted=head
    )
    check(algorithm, episode, reference)
    algorithm = BOIL(Net(), steps=2)
    reference = plain_loss(
        algorithm.backbone, episode, steps=2, head=random_head(TARGETS[target]), adapted=body
    )
    check(algorithm, episode, reference)


@linear_targets
def test_prototype_heads(target):
    episode, start = episode_of(TARGETS[target]), means_head(TARGETS[target])
    algorithm = ProtoMAML(Net(), steps=2, lr=0.1)
    check(algorithm, episode, plain_loss(algorithm.backbone, episode, steps=2, head=start))
    algorithm = ANIL(Net(), steps=2, head="proto")
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=2, head=start, adapted=head),
    )


@all_targets
def test_learned_heads(target):
    episode, heads = episode_of(TARGETS[target]), learned_heads(TARGETS[target])
    own = heads.of(episode.task)
    algorithm = MAML(Net(), steps=2, head=heads)
    reference = plain_loss(algorithm.backbone, episode, steps=2, head=own)
    check(algorithm, episode, reference, learned=own.values())


@all_targets
def test_learned_rates_and_momentum(target):
    episode = episode_of(TARGETS[target])
    algorithm = MetaSGD(Net(), steps=2)
    with torch.no_grad():
        for at, rate in enumerate(algorithm.rates.parameters()):
            rate.mul_(0.5 + 0.1 * at)
    rates = algorithm.rates.table()
    reference = plain_loss(
        algorithm.backbone,
        episode,
        steps=2,
        head=zeros_head(TARGETS[target]),
        rate=lambda name, k: rates[name],
    )
    check(algorithm, episode, reference, learned=algorithm.rates.parameters())
    algorithm = MAML(Net(), steps=3, optimiser="momentum")
    zero = zeros_head(TARGETS[target])
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=3, head=zero, momentum=0.9),
    )


@all_targets
def test_rates_per_layer_and_step(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, rates="per_layer_step")
    with torch.no_grad():
        for at, rate in enumerate(algorithm.rates.parameters()):
            rate.mul_(torch.tensor([1.0, 0.5, 2.0]) + 0.1 * at)
    assert len(list(algorithm.rates.parameters())) == 5
    rates = algorithm.rates.table()
    assert rates["conv1.weight"] is rates["conv1.bias"]
    reference = plain_loss(
        algorithm.backbone,
        episode,
        steps=3,
        head=zeros_head(TARGETS[target]),
        rate=lambda name, k: rates[name][k],
    )
    check(algorithm, episode, reference, learned=algorithm.rates.parameters())


@all_targets
def test_multi_step_loss(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, multi_step=10)
    for epoch, weights in ((0, [1 / 3] * 3), (5, [1 / 6, 1 / 6, 2 / 3]), (10, [0.01, 0.01, 0.98])):
        algorithm.zero_grad()
        algorithm.meta_loss([episode], epoch=epoch).backward()
        grads = [value.grad.clone() for value in algorithm.backbone.parameters()]
        algorithm.zero_grad()
        parts = [
            weight
            * plain_loss(
                algorithm.backbone, episode, steps=at + 1, head=zeros_head(TARGETS[target])
            )
            for at, weight in enumerate(weights)
        ]
        sum(parts).backward()
        for mine, value in zip(grads, algorithm.backbone.parameters(), strict=True):
            torch.testing.assert_close(mine, value.grad, rtol=1e-8, atol=1e-11)


@all_targets
def test_frozen_statistics_and_partial_adaptation(target):
    episode, net = episode_of(TARGETS[target]), Net()
    algorithm = MAML(net, steps=2, norm="frozen", head="kaiming", adapted=["conv2.*", "head.*"])
    net.eval()
    reference = plain_loss(
        net,
        episode,
        steps=2,
        head=random_head(TARGETS[target]),
        adapted=lambda name: name.startswith(("conv2.", "head.")),
    )
    check(algorithm, episode, reference)


def test_an_engine_of_ones_own():
    episode = episode_of(TARGETS["binary"])
    algorithm = MAML(Net(), steps=2, engine=FirstOrder(), head="kaiming")
    assert algorithm.protocol()["engine"] == "first_order"
    reference = plain_loss(
        algorithm.backbone, episode, steps=2, head=random_head(TARGETS["binary"]), order=1
    )
    check(algorithm, episode, reference)
