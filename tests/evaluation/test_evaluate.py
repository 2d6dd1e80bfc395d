"""From episodes to records, with real algorithms on made-up images."""

from __future__ import annotations

import dataclasses
import gc
import math
import weakref
from itertools import islice

import pytest
import torch

import torchcross as tx
from torchcross import backbones
from torchcross.algorithms import MAML, FineTune, ProtoNet
from torchcross.data import toys
from torchcross.errors import DivergenceError, InputError
from torchcross.evaluation import evaluate
from torchcross.records import Records

SOURCES = {
    "binary": toys.binary(200, size=16),
    "multiclass": toys.multiclass(200, size=16),
    "multilabel": toys.multilabel(200, size=16),
    "ordinal": toys.ordinal(200, size=16),
}


def episodes_of(kind, count=3, shots=2):
    sampler = tx.EpisodeSampler(SOURCES[kind], shots=shots, queries=3, seed=1, groups="respect")
    made = tx.Episodes(sampler)
    return [made[index] for index in range(4, 4 + count)]


def conv():
    return backbones.conv4(4, in_channels=1)


def guess(support, task):
    """Return a predictor that knows nothing, from logits alone."""
    return lambda images: torch.zeros(len(images), task.target.num_outputs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOURCES)
def test_records_are_what_the_target_says_of_the_predictor(kind):
    algorithm, episodes = ProtoNet(conv()), episodes_of(kind)
    records = Records.of(evaluate(algorithm, episodes, run="r", algorithm="protonet", seed=7))
    metrics = SOURCES[kind].task.target.default_metrics
    assert len(records) == 3 * len(metrics)
    assert records.unique("metric") == metrics
    assert records.unique("target") == (SOURCES[kind].name,)
    assert records.unique("domain") == ("ink",)
    assert records.unique("shots") == (2,)
    assert records.unique("seed") == (7,)
    assert records.unique("episode") == (4, 5, 6)
    assert records.repeated_keys() == ()
    for episode in episodes:
        predictor = algorithm.adapt(episode.support, episode.task, seed=7, index=episode.plan.index)
        scores = episode.task.target.evaluate(predictor(episode.query.x).plain, episode.query.y)
        for metric, score in scores.items():
            (row,) = records.where(episode=episode.plan.index, metric=metric)
            assert (row.value, row.reason) == (
                pytest.approx(score.value, nan_ok=True),
                score.reason,
            )


def test_a_random_head_belongs_to_seed_and_episode():
    algorithm, episodes = FineTune(conv(), steps=2), episodes_of("binary")

    def values(order, seed):
        found = {}

        def keep(episode, prediction):
            found[episode.plan.index] = prediction.probabilities.tolist()

        list(evaluate(algorithm, order, run="r", algorithm="ft", seed=seed, observe=keep))
        return [found[index] for index in sorted(found)]

    assert values(episodes, 0) == values(episodes[::-1], 0)
    assert values(episodes, 0) != values(episodes, 1)
    plan = dataclasses.replace(episodes[0].plan, index=9)
    assert values([dataclasses.replace(episodes[0], plan=plan)], 0) != values(episodes[:1], 0)


def test_steps_reach_the_algorithm():
    maml, episodes = MAML(conv(), steps=1, lr=0.5), episodes_of("multiclass")

    def values(**more):
        return list(evaluate(maml, episodes, run="r", algorithm="maml", **more))

    assert values() == values(steps=1)
    assert values() != values(steps=5)


def test_any_function_will_do():
    episodes = episodes_of("multiclass")
    logits = list(evaluate(guess, episodes, run="r", algorithm="guess", metrics=["accuracy"]))
    assert [row.metric for row in logits] == ["accuracy"] * 3

    def predictions(support, task):
        return lambda images: task.target.predict(torch.zeros(len(images), task.target.num_outputs))

    def named(support, task):
        return ProtoNet(conv()).adapt(support, task)

    assert (
        list(evaluate(predictions, episodes, run="r", algorithm="guess", metrics="accuracy"))
        == logits
    )
    assert len(list(evaluate(named, episodes, run="r", algorithm="p", metrics="accuracy"))) == 3
    with pytest.raises(InputError, match="returned list"):
        list(evaluate(lambda support, task: lambda images: [1], episodes, run="r", algorithm="x"))


def test_undefined_scores_keep_their_reason():
    def broken(support, task):
        return lambda images: torch.full((len(images), task.target.num_outputs), math.nan)

    rows = list(evaluate(broken, episodes_of("binary"), run="r", algorithm="broken"))
    assert all(math.isnan(row.value) and "not finite" in row.reason for row in rows)


def test_a_diverging_adaptation_is_a_row_and_no_end():
    episodes = episodes_of("binary")

    def sometimes(support, task):
        if support is episodes[1].support:
            raise DivergenceError("the loss left the finite numbers at inner step 2")
        return guess(support, task)

    rows = list(
        evaluate(sometimes, episodes, run="r", algorithm="x", metrics=["accuracy", "auroc"])
    )
    assert len(rows) == 6
    assert [row.reason for row in rows[2:4]] == [
        "diverged: the loss left the finite numbers at inner step 2"
    ] * 2
    assert not math.isnan(rows[4].value)

    def faulty(support, task):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(evaluate(faulty, episodes, run="r", algorithm="x"))


@pytest.mark.long
def test_nothing_is_kept():
    given = []

    def watched():
        for index in range(6):
            episode = tx.Episodes(tx.EpisodeSampler(SOURCES["binary"], shots=1, queries=2))[index]
            given.append(weakref.ref(episode.support.x))
            yield episode

    alive = []
    for _ in evaluate(guess, watched(), run="r", algorithm="guess", metrics=["accuracy"]):
        gc.collect()
        alive.append(sum(one() is not None for one in given))
    # The one just scored, and the one that its giver still names.
    assert len(given) == 6
    assert max(alive) <= 2


def test_records_come_as_episodes_do():
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield episodes_of("binary", 1)[0]

    assert (
        len(
            list(
                islice(evaluate(guess, endless(), run="r", algorithm="g", metrics=["accuracy"]), 3)
            )
        )
        == 3
    )
    assert len(taken) == 3


def test_progress_and_observers():
    counts, seen = [], []
    rows = evaluate(
        guess,
        episodes_of("binary"),
        run="r",
        algorithm="guess",
        progress=counts.append,
        observe=lambda episode, prediction: seen.append(
            (episode.plan.index, len(prediction.probabilities))
        ),
    )
    assert counts == []
    list(rows)
    assert counts == [1, 2, 3]
    assert seen == [(index, 6) for index in (4, 5, 6)]


def test_the_algorithm_is_as_it_was():
    algorithm = MAML(conv(), steps=2)
    before = {name: value.clone() for name, value in algorithm.state_dict().items()}
    state, training = torch.get_rng_state(), algorithm.training
    list(evaluate(algorithm, episodes_of("multilabel"), run="r", algorithm="maml"))
    assert all(torch.equal(value, before[name]) for name, value in algorithm.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert algorithm.training == training


def test_what_is_wrong_is_said_at_once():
    episodes = episodes_of("binary")
    with pytest.raises(InputError, match="give an algorithm"):
        evaluate("maml", episodes, run="r", algorithm="maml")
    with pytest.raises(InputError, match="steps=3"):
        evaluate(guess, episodes, run="r", algorithm="x", steps=3)
    with pytest.raises(InputError, match="run is empty"):
        evaluate(guess, episodes, run="", algorithm="x")
    with pytest.raises(InputError, match="has no metric"):
        list(evaluate(guess, episodes, run="r", algorithm="x", metrics=["kappa"]))


def test_shots_and_plans():
    (episode,) = episodes_of("binary", 1)
    with pytest.raises(InputError, match="got shots=5"):
        list(evaluate(guess, [episode], run="r", algorithm="x", shots=5))
    with pytest.raises(InputError, match="no plan"):
        list(evaluate(guess, [dataclasses.replace(episode, plan=None)], run="r", algorithm="x"))
    mixed = dataclasses.replace(episode, plan=dataclasses.replace(episode.plan, shots=None))
    with pytest.raises(InputError, match="mixed shots"):
        list(evaluate(guess, [mixed], run="r", algorithm="x"))
    rows = list(evaluate(guess, [mixed], run="r", algorithm="x", shots=5))
    assert {row.shots for row in rows} == {5}
