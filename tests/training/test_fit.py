"""What a training run does to an algorithm."""

import dataclasses
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.training.subjects import (
    SUBJECTS,
    Few,
    Scores,
    bits,
    distance,
    equal,
    magnitude,
    maml,
    multi_task,
    options,
    protonet,
    sampler,
)
from torchcross.data import Episodes, MixedBatches, load_plans, save_plans
from torchcross.errors import InputError
from torchcross.training import FitOptions, fit, read_log
from torchcross.training.options import changed_options, decides_numbers
from torchcross.training.schedule import learning_rate


def fitted(
    subject="protonet",
    data=None,
    *,
    algorithm=None,
    folder=None,
    validate=None,
    transform=None,
    **given,
):
    make, feed = SUBJECTS[subject]
    algorithm = make() if algorithm is None else algorithm
    result = fit(
        algorithm,
        feed() if data is None else data,
        options(**given),
        folder=folder,
        validate=validate,
        transform=transform,
    )
    return algorithm, result


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


# -- schedule, clipping, average -------------------------------------------------------------------


@max_examples(18)
@given(steps=st.integers(2, 60), warmup=st.integers(0, 20), end=st.sampled_from([0.0, 1e-4]))
def test_the_schedule_is_warm_up_and_torchs_cosine(steps, warmup, end):
    chosen = FitOptions(steps=steps + warmup, warmup=warmup, schedule="cosine", lr=0.1, lr_end=end)
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=steps, eta_min=end)
    for step in range(1, warmup + 1):
        assert math.isclose(learning_rate(chosen, step), 0.1 * step / warmup)
    for step in range(steps):
        assert math.isclose(
            learning_rate(chosen, warmup + 1 + step),
            cosine.get_last_lr()[0],
            rel_tol=1e-9,
            abs_tol=1e-12,
        )
        optimiser.step()
        cosine.step()


def test_the_schedule_is_the_optimisers(tmp_path):
    fitted(folder=tmp_path, warmup=2, schedule="cosine")
    chosen = options(warmup=2, schedule="cosine")
    assert [row[2] for row in read_log(tmp_path)] == [
        learning_rate(chosen, step) for step in range(1, 7)
    ]
    # A step is as long as the learning rate says.
    short, _ = fitted(steps=1, lr=0.001, optimiser="sgd")
    long, _ = fitted(steps=1, lr=0.004, optimiser="sgd")
    start = bits(protonet())
    assert distance(bits(long), start) == pytest.approx(4 * distance(bits(short), start), rel=1e-3)


def test_clipping_shortens_long_gradients_only(tmp_path):
    def moved(**given):
        algorithm, _ = fitted(steps=1, optimiser="sgd", lr=1.0, **given)
        start = bits(protonet())
        return math.sqrt(
            sum(
                float(((value - start[name]) ** 2).sum()) for name, value in bits(algorithm).items()
            )
        )

    norm = moved(folder=tmp_path)
    assert read_log(tmp_path)[0][3] == pytest.approx(norm, rel=1e-4)
    assert moved(clip=norm / 3) == pytest.approx(norm / 3, rel=1e-4)
    assert moved(clip=norm * 3) == pytest.approx(norm, rel=1e-4)


def test_the_average_is_validated_and_kept():
    scores = Scores(*range(6))
    algorithm, _ = fitted(ema=0.5, validate=scores, validate_every=1)
    plain = Scores(*range(6))
    fitted(validate=plain, validate_every=1)
    average = bits(protonet())
    for step in range(1, 7):
        decay = min(0.5, (1 + step) / (10 + step))
        for name, value in plain.seen[step - 1].items():
            average[name] = decay * average[name] + (1 - decay) * value
        assert distance(scores.seen[step - 1], average) < 1e-6
    assert equal(bits(algorithm), scores.seen[-1])


# -- validation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [True, False])
def test_the_best_weights_are_what_is_left(kept, tmp_path):
    scores = Scores(0.1, 0.9, 0.3, 0.9, 0.2, 0.4)
    folder = tmp_path if kept else None
    algorithm, result = fitted(validate=scores, validate_every=1, folder=folder, keep=1)
    assert (result.best_step, result.best_score, result.steps) == (2, 0.9, 6)
    assert equal(bits(algorithm), scores.seen[1])
    assert not equal(bits(algorithm), scores.seen[5])
    assert [point.score for point in result.history] == [0.1, 0.9, 0.3, 0.9, 0.2, 0.4]
    if kept:
        assert [row[4] for row in read_log(tmp_path)] == [0.1, 0.9, 0.3, 0.9, 0.2, 0.4]
        names = sorted(path.name for path in tmp_path.glob("checkpoint-*"))
        assert names == ["checkpoint-00000002.safetensors", "checkpoint-00000006.safetensors"]


def test_patience_stops(tmp_path):
    scores = Scores(0.5, 0.4, 0.6, 0.6, 0.1)
    algorithm, result = fitted(
        validate=scores,
        validate_every=2,
        patience=2,
        steps=100,
        folder=tmp_path,
        checkpoint_every=100,
    )
    assert (result.steps, result.stopped, result.best_step) == (10, "patience", 6)
    assert equal(bits(algorithm), scores.seen[2])
    again, same = fitted(
        validate=Scores(), validate_every=2, patience=2, steps=100, folder=tmp_path
    )
    assert same == result
    assert equal(bits(again), bits(algorithm))


def test_a_little_better_is_not_enough():
    scores = Scores(0.5, 0.51, 0.52, 0.53, 0.54)
    _, result = fitted(validate=scores, validate_every=1, patience=2, min_delta=0.05, steps=100)
    assert (result.steps, result.best_step) == (3, 3)


def test_an_undefined_score_is_never_the_best():
    scores = Scores(math.nan, 0.2, math.nan)
    _, result = fitted(validate=scores, validate_every=1, steps=3)
    assert (result.best_step, result.best_score) == (2, 0.2)
    assert math.isnan(result.history[0].score)
    algorithm, none = fitted(validate=Scores(math.nan), validate_every=3, steps=3)
    assert (none.best_step, none.best_score) == (None, None)
    assert equal(bits(algorithm), bits(fitted(steps=3)[0]))


def test_an_infinite_score_is_refused():
    with pytest.raises(InputError, match=r"validate gave inf at step 1"):
        fitted(validate=Scores(math.inf), validate_every=1)


def test_the_last_step_is_validated():
    _, result = fitted(validate=Scores(1.0, 2.0, 3.0), validate_every=4, steps=10)
    assert [point.step for point in result.history] == [4, 8, 10]
    losses = [point.loss for point in fitted(steps=10)[1].history]
    assert [point.loss for point in result.history] == pytest.approx(
        [sum(losses[:4]) / 4, sum(losses[4:8]) / 4, sum(losses[8:]) / 2]
    )


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"steps": 0}, "steps=0 is not an integer of at least 1"),
        ({"steps": True}, "steps"),
        ({"meta_batch": 4, "at_once": 3}, "at_once=3 does not divide meta_batch=4"),
        ({"optimiser": "lion"}, "optimiser='lion' is not one of"),
        ({"momentum": 0.9}, "momentum=0.9 has no effect with optimiser='adam'"),
        ({"lr_end": 0.1}, "lr_end=0.1 has no effect"),
        ({"lr": math.nan}, "lr=.* is not a finite number above 0"),
        ({"lr": 0}, "lr=.* is not a finite number above 0"),
        ({"clip": 0.0}, "clip"),
        ({"clip": math.inf}, "clip"),
        ({"warmup": 6}, "warmup=6 leaves none of steps=6"),
        ({"ema": 1.0}, "ema is a decay between 0 and 1"),
        ({"patience": 2}, "give validate_every="),
        ({"min_delta": 0.1}, "give patience="),
        ({"validate_every": 0}, "validate_every"),
        ({"keep": 0}, "keep"),
        ({"workers": -1}, "workers"),
        ({"seed": 0.5}, "seed"),
        ({"schedule": "linear"}, "schedule='linear' is not one of"),
    ],
)
def test_options_are_checked(given, message):
    with pytest.raises(InputError, match=message):
        options(**given)


def test_arguments_are_checked(tmp_path):
    with pytest.raises(InputError, match="belong together"):
        fitted(validate=magnitude)
    with pytest.raises(InputError, match="belong together"):
        fitted(validate_every=1)
    with pytest.raises(InputError, match="give it EpisodeSampler"):
        fitted(data=MixedBatches(sampler().sources))
    with pytest.raises(InputError, match="give it MixedBatches"):
        fitted("multi-task", data=sampler())
    with pytest.raises(InputError, match="not a Linear"):
        fit(torch.nn.Linear(2, 2), sampler(), options())
    with pytest.raises(InputError, match="both the Episodes and fit"):
        fitted(data=Episodes(sampler(), transform=abs), transform=abs)
    with pytest.raises(InputError, match="reads by itself"):
        fitted(data=Few(Episodes(sampler()), 12), transform=abs)
    with pytest.raises(InputError, match="needs 2 more items"):
        fitted(data=Few(Episodes(sampler()), 3))


def test_what_may_change_between_two_calls_is_said_with_the_options():
    free = {each.name for each in dataclasses.fields(FitOptions) if not decides_numbers(each)}
    assert free == {"checkpoint_every", "keep", "workers"}
    before = options().as_dict()
    assert changed_options(before, options(checkpoint_every=7, keep=3, workers=1, steps=99)) == []
    (changed,) = changed_options(before, options(clip=2.0))
    assert changed == "clip was None and is 2.0"
    assert changed_options({**before, "colour": 1}, options()) == [
        "'colour' is no option of this version"
    ]
