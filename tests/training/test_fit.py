"""What a training run does to an algorithm."""

from functools import partial

import numpy as np
import pytest
import torch

from tests.training.subjects import (
    SUBJECTS,
    Few,
    bits,
    distance,
    equal,
    fitted,
    magnitude,
    maml,
    multi_task,
    protonet,
    sampler,
)
from torchcross.data import Episodes, load_plans, save_plans
from torchcross.errors import InputError
from torchcross.training import read_log


def by_hand(subject, steps, meta_batch, make_optimiser):
    """The plain loop that everybody writes."""
    make, feed = SUBJECTS[subject]
    algorithm, data = make(), feed()
    read = (
        Episodes(data).__getitem__
        if subject != "multi-task"
        else lambda index: data.read(data[index])
    )
    optimiser = make_optimiser(algorithm.parameters())
    losses = []
    for step in range(steps):
        taken = algorithm.training_step(
            [read(step * meta_batch + place) for place in range(meta_batch)]
        )
        optimiser.zero_grad()
        taken.loss.backward()
        optimiser.step()
        losses.append(float(taken.loss.detach()))
        with torch.no_grad():
            for name, value in taken.buffers.items():
                algorithm.get_buffer(name).copy_(value)
    return algorithm, losses


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
def test_it_is_the_plain_loop(subject, tmp_path):
    plain, losses = by_hand(
        subject, 4, 2, lambda params: torch.optim.Adam(params, 0.01, fused=True)
    )
    algorithm, result = fitted(subject, steps=4, folder=tmp_path)
    assert equal(bits(algorithm), bits(plain))
    assert [row[1] for row in read_log(tmp_path)] == losses
    assert (result.steps, result.stopped, result.best_step, result.best_score) == (
        4,
        "steps",
        None,
        None,
    )
    assert [point.loss for point in result.history] == losses


@pytest.mark.parametrize(
    ("chosen", "make"),
    [
        ({"optimiser": "adamw", "weight_decay": 0.1}, partial(torch.optim.AdamW, weight_decay=0.1)),
        ({"optimiser": "sgd", "momentum": 0.9}, partial(torch.optim.SGD, momentum=0.9)),
        ({"optimiser": "adam", "weight_decay": 0.1}, partial(torch.optim.Adam, weight_decay=0.1)),
    ],
)
def test_optimisers_are_those_of_torch(chosen, make):
    plain, _ = by_hand("protonet", 3, 2, partial(make, lr=0.01, fused=True))
    algorithm, _ = fitted(steps=3, **chosen)
    assert equal(bits(algorithm), bits(plain))


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
def test_accumulation_equals_the_bigger_meta_batch(subject):
    whole, _ = fitted(subject, meta_batch=4, steps=3, optimiser="sgd")
    parts, _ = fitted(subject, meta_batch=4, steps=3, optimiser="sgd", at_once=1)
    pairs, _ = fitted(subject, meta_batch=4, steps=3, optimiser="sgd", at_once=2)
    moved = distance(bits(SUBJECTS[subject][0]()), bits(whole))
    assert distance(bits(parts), bits(whole)) < 0.01 * moved
    assert distance(bits(pairs), bits(whole)) < 0.01 * moved
    half, _ = fitted(subject, meta_batch=2, steps=3, optimiser="sgd")
    assert distance(bits(half), bits(whole)) > 0.01 * moved


def test_buffers_are_committed():
    before, (after, _) = multi_task(), fitted("multi-task")
    changed = [
        name
        for name, value in after.named_buffers()
        if not torch.equal(value, before.get_buffer(name))
    ]
    assert any(name.endswith("running_mean") for name in changed)


@pytest.mark.slow
def test_episodes_plan_files_and_feeds_of_ones_own_are_the_same_data(tmp_path):
    expected, _ = fitted()
    save_plans(tmp_path / "plans.npz", sampler(), range(12))
    plans = load_plans(tmp_path / "plans.npz", sampler().sources)
    for data in (Episodes(sampler()), plans, Few(Episodes(sampler()), 12)):
        assert equal(bits(fitted(data=data)[0]), bits(expected))


def test_workers_change_nothing():
    expected, _ = fitted(steps=3)
    assert equal(bits(fitted(steps=3, workers=1)[0]), bits(expected))


def test_a_transform_is_applied():
    seen = []

    def darker(images):
        seen.append(images.shape)
        return images * 0.5

    changed, _ = fitted(transform=darker, steps=1)
    assert seen
    assert not equal(bits(changed), bits(fitted(steps=1)[0]))
    assert equal(
        bits(changed), bits(fitted(data=Episodes(sampler(), transform=darker), steps=1)[0])
    )


def test_no_global_generator_moves_and_no_mode_changes():
    algorithm = maml()
    modes = [layer.training for layer in algorithm.modules()]
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    fitted(algorithm=algorithm, validate=magnitude, validate_every=1)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    assert [layer.training for layer in algorithm.modules()] == modes
    assert all(value.grad is None for value in algorithm.parameters())


def told(monkeypatch, kind):
    """What every training step is told besides its episodes, as they come."""
    plain, seen = kind.training_step, []

    def spied(algorithm, items, **given):
        seen.append(given)
        return plain(algorithm, items, **given)

    monkeypatch.setattr(kind, "training_step", spied)
    return seen


def test_algorithms_are_told_epoch_seed_and_numbers(monkeypatch):
    seen = told(monkeypatch, type(maml()))
    fitted("maml", seed=7, epoch_steps=2, at_once=1, steps=3)
    assert seen == [
        {"epoch": step // 2, "seed": 7, "indices": None} for step in range(3) for _ in range(2)
    ]
    seen.clear()
    fitted("maml", data=Few(Episodes(sampler()), 12), at_once=1, steps=3)
    assert [given["indices"] for given in seen] == [[0], [1], [2], [3], [4], [5]]


def test_pre_training_is_told_its_seed(monkeypatch):
    seen = told(monkeypatch, type(multi_task()))
    fitted("multi-task", seed=7, steps=2)
    assert seen == [{"seed": 7, "indices": None}] * 2


def test_parameters_that_are_frozen_stay():
    algorithm = protonet()
    first = next(iter(algorithm.parameters())).requires_grad_(False)
    before = first.clone()
    fitted(algorithm=algorithm)
    assert torch.equal(first, before)
    for value in algorithm.parameters():
        value.requires_grad_(False)
    with pytest.raises(InputError, match="nothing to train"):
        fitted(algorithm=algorithm)
