"""Tasks with different numbers of classes share lanes and keep the gradients of the loop."""

import pytest
import torch

from tests.algorithms.cases import Net, episode_of
from torchcross.algorithms import ANIL, BOIL, MAML, ProtoMAML
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal

NAMES = ["a", "b", "c", "d", "e"]


def classes(target, count, **options):
    return target(NAMES[:count], **options)


MIXTURES = {
    "multiclass": [classes(MultiClass, 2), classes(MultiClass, 4), classes(MultiClass, 3)],
    "multilabel": [classes(MultiLabel, 1), classes(MultiLabel, 3), classes(MultiLabel, 2)],
    "multilabel-focal": [classes(MultiLabel, n, loss="focal", gamma=1.5) for n in (2, 1, 3)],
    "grades-beside-classes": [classes(Ordinal, 4), classes(MultiClass, 2), classes(Ordinal, 3)],
}
APART = {
    "grades": [classes(Ordinal, n, loss="coral") for n in (3, 4)],
    "smoothing": [classes(MultiClass, n, smoothing=0.1) for n in (2, 3)],
    "types": [classes(MultiClass, 3), classes(MultiLabel, 2), classes(Binary, 2)],
}


def episodes_of(targets):
    """Of the same size, whatever the number of classes."""
    episodes = [episode_of(target, seed) for seed, target in enumerate(targets)]
    parts = {
        part: min(len(getattr(episode, part).x) for episode in episodes)
        for part in ("support", "query")
    }
    return [cut(episode, parts) for episode in episodes]


def cut(episode, parts):
    from dataclasses import replace

    smaller = {}
    for part, size in parts.items():
        batch = getattr(episode, part)
        smaller[part] = replace(batch, x=batch.x[:size], y=batch.y[:size])
    return replace(episode, plan=None, **smaller)


def gradients(make, targets, lanes):
    learner = make()
    learner.lanes = lanes
    step = learner.training_step(episodes_of(targets), indices=list(range(len(targets))))
    step.loss.backward()
    return step, [value.grad for value in learner.parameters()]


MAKERS = {
    "zero": lambda **more: MAML(Net(), steps=2, **more),
    "kaiming-adam": lambda **more: MAML(
        Net(), steps=2, lr=0.01, head="kaiming", optimiser="adam", **more
    ),
    "boil": lambda **more: BOIL(Net(), steps=2, head="kaiming", **more),
    "anil": lambda **more: ANIL(Net(), steps=2, head="kaiming", **more),
    "running": lambda **more: MAML(Net(), steps=2, norm="running", **more),
}


def assert_same(make, targets, groups):
    loop, expected = gradients(make, targets, "loop")
    lanes, found = gradients(make, targets, 8)
    assert loop.groups == tuple((index,) for index in range(len(targets)))
    assert lanes.groups == groups
    torch.testing.assert_close(lanes.losses, loop.losses, rtol=1e-10, atol=1e-12)
    scale = max(float(value.norm()) for value in expected)
    for mine, theirs in zip(found, expected, strict=True):
        assert float((mine - theirs).norm()) <= 1e-9 * scale


@pytest.mark.parametrize("mixture", MIXTURES)
@pytest.mark.parametrize("engine", ["reverse", "recompute", "mixed", "first_order"])
def test_different_ways_share_lanes(mixture, engine):
    assert_same(lambda: MAKERS["zero"](engine=engine), MIXTURES[mixture], ((0, 1, 2),))


@pytest.mark.parametrize("maker", MAKERS)
def test_heads_optimisers_and_partial_adaptation(maker):
    assert_same(MAKERS[maker], MIXTURES["multiclass"], ((0, 1, 2),))


@pytest.mark.parametrize("mixture", APART)
def test_other_losses_stay_apart(mixture):
    targets = APART[mixture]
    assert_same(MAKERS["zero"], targets, tuple((index,) for index in range(len(targets))))


def test_prototype_heads_stay_apart():
    targets = MIXTURES["multiclass"]
    assert_same(lambda: ProtoMAML(Net(), steps=2), targets, ((0,), (1,), (2,)))
