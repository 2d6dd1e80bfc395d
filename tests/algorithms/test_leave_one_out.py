"""Temperatures and prediction sets: leaving samples out equals fitting without them."""

from itertools import repeat

import numpy as np
import pytest
import torch
from torch import nn

from tests.algorithms.cases import episode_of
from tests.algorithms.converged import KINDS, Once, every_kind, features_and_labels, predicted
from torchcross.algorithms import LogisticRegression, prediction_sets
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.evaluation import evaluate
from torchcross.heads import logistic_head
from torchcross.heads.leave_one_out import HOTTEST
from torchcross.task import Task


def heads_without(target, support, labels, C):
    """For each sample a head of the others, one fit at a time."""
    heads = []
    for at in range(len(support)):
        others = torch.arange(len(support)) != at
        learner = LogisticRegression(Once(support.dtype), C=C)
        predictor = learner.adapt(Batch(support[others], labels[others]), Task("any", target))
        head = predictor.tensors["head"]
        heads.append({"weight": head["head.weight"][0], "bias": head["head.bias"][0]})
    return heads


def own_log_p(target, params, features, labels, scale):
    scores = (features / features.norm()) @ params["weight"].T
    bias = params["bias"]
    if target.kind == "multiclass":
        return ((scores + bias) * scale).log_softmax(0)[labels]
    if target.kind == "ordinal":
        gaps = nn.functional.softplus(bias[1:]).cumsum(0)
        thresholds = torch.cat([bias[:1], bias[0] + gaps])
        below = torch.sigmoid((thresholds - scores) * scale)
        edges = torch.cat([torch.zeros(1), below, torch.ones(1)])
        return (edges[labels + 1] - edges[labels]).log()
    signs = 2 * labels.reshape(scores.shape) - 1
    return nn.functional.logsigmoid((scores - bias) * signs * scale).sum()


@pytest.mark.long
@every_kind
def test_the_temperature_makes_samples_that_were_left_out_likeliest(kind):
    target = KINDS[kind]
    support, labels, query = features_and_labels(target, samples=16, width=6, seed=3)
    sharpness = np.exp(np.linspace(-np.log(HOTTEST), np.log(HOTTEST), 60))
    heads = heads_without(target, support, labels, 30.0)
    costs = [
        -sum(map(float, map(own_log_p, repeat(target), heads, support, labels, repeat(scale))))
        for scale in sharpness
    ]
    best = int(np.argmin(costs))
    task, batch = Task("any", target), Batch(support, labels)
    plain, tempered = (
        LogisticRegression(Once(torch.float64), C=30.0, temperature=each).adapt(batch, task)
        for each in ("none", "leave-one-out")
    )
    weights = [each.tensors["head"]["head.weight"] for each in (plain, tempered)]
    ratio = weights[1] / weights[0]
    torch.testing.assert_close(ratio, ratio[:1, :1, :1].expand_as(ratio), rtol=1e-6, atol=0)
    nearest = sharpness[[max(best - 1, 0), min(best + 1, 59)]]
    assert nearest[0] <= float(ratio[0, 0, 0]) * (1 + 1e-6)
    assert float(ratio[0, 0, 0]) <= nearest[1] * (1 + 1e-6)
    assert tempered.protocol["temperature"] == "leave-one-out"
    mine, theirs = plain(query), tempered(query)
    assert not torch.allclose(mine.probabilities, theirs.probabilities)
    if kind != "ordinal":
        assert torch.equal(mine.decisions, theirs.decisions)


def test_labels_that_say_nothing_make_the_head_as_unsure_as_it_may_be():
    generator = torch.Generator().manual_seed(0)
    support = torch.randn(24, 50, generator=generator, dtype=torch.float64)
    labels = torch.arange(24) % 2
    plain, tempered = (
        predicted(KINDS["binary"], support, labels, support, C=1e3, temperature=each)
        for each in ("none", "leave-one-out")
    )
    assert plain.amax(1).min() > 0.95
    assert tempered.amax(1).max() < plain.amax(1).min()


def test_each_penalty_has_a_temperature_of_its_own():
    target = KINDS["multiclass"]
    support, labels, _ = features_and_labels(target)
    codes, C = target.likelihood.codes(labels), torch.tensor([1.0, 100.0])
    both = logistic_head(target.likelihood, support, codes, C, temper=True)
    for at in range(2):
        alone = logistic_head(target.likelihood, support, codes, C[at : at + 1], temper=True)
        for name, value in alone.items():
            torch.testing.assert_close(both[name][at], value[0], rtol=1e-6, atol=1e-8)


def test_a_sample_that_is_alone_in_its_class_is_not_left_out():
    """Two classes of four and one of one: the temperature is that of the eight samples."""
    target = KINDS["multiclass"]
    support, labels, _ = features_and_labels(target, samples=12, width=6, seed=1)
    alone = (labels == 2).nonzero().flatten()[1:]
    keep = torch.tensor([at for at in range(12) if at not in alone.tolist()])
    support, labels = support[keep], labels[keep]
    others = (labels != 2).nonzero().flatten()

    def cost(scale):
        rows = []
        for at in others.tolist():
            rest = torch.arange(len(support)) != at
            learner = LogisticRegression(Once(support.dtype), C=3.0)
            head = learner.adapt(Batch(support[rest], labels[rest]), Task("any", target)).tensors[
                "head"
            ]
            params = {"weight": head["head.weight"][0], "bias": head["head.bias"][0]}
            rows.append(own_log_p(target, params, support[at], labels[at], scale))
        return -float(torch.stack(rows).sum())

    task, batch = Task("any", target), Batch(support, labels)
    plain, tempered = (
        LogisticRegression(Once(torch.float64), C=3.0, temperature=each)
        .adapt(batch, task)
        .tensors["head"]["head.weight"]
        for each in ("none", "leave-one-out")
    )
    best = float((tempered / plain)[0, 0, 0])
    assert cost(best) <= min(cost(best * 1.05), cost(best / 1.05)) + 1e-9


@every_kind
def test_without_two_samples_of_a_class_the_temperature_is_1_and_a_remark_says_so(kind):
    target, options = KINDS[kind], {"C": 3.0}
    support, labels, query = features_and_labels(target, samples=16)
    some = {"binary": [0, 1], "multiclass": [0, 1], "ordinal": [0, 1, 2], "multilabel": [0, 1]}
    batch, task = Batch(support[some[kind]], labels[some[kind]]), Task("any", target)
    learner = LogisticRegression(Once(support.dtype), temperature="leave-one-out", **options)
    plain = LogisticRegression(Once(support.dtype), **options).adapt(batch, task)
    tempered = learner.adapt(batch, task)
    assert torch.equal(tempered(query).probabilities, plain(query).probabilities)
    assert tempered.protocol["remark"] == learner.remark(batch, task)
    assert "each sample of the support is the only one of its class" in tempered.protocol["remark"]
    whole = Batch(support, labels)
    assert learner.remark(whole, task) == ""
    assert "remark" not in learner.adapt(whole, task).protocol


def test_an_episode_without_a_temperature_has_a_score_and_the_reason():
    episodes = [episode_of(KINDS["multiclass"], support=count, index=count) for count in (3, 12)]
    net = nn.Sequential(Once(torch.float64), nn.Flatten())
    learner = LogisticRegression(net, temperature="leave-one-out")
    asked = {"run": "run", "algorithm": "any", "shots": 1, "metrics": "accuracy"}
    records = list(evaluate(learner, episodes, **asked))
    assert "the temperature is 1" in records[0].reason
    assert records[1].reason == ""
    assert np.isfinite([each.value for each in records]).all()


def test_a_temperature_has_no_gradient():
    target = KINDS["multiclass"]
    support, labels, _ = features_and_labels(target, samples=9)
    with pytest.raises(InputError, match="temperature='on the query' is not one of"):
        LogisticRegression(nn.Identity(), temperature="on the query")
    with pytest.raises(InputError, match="has no gradient; train without it"):
        logistic_head(
            target.likelihood,
            support.requires_grad_(),
            target.likelihood.codes(labels),
            torch.ones(1),
            temper=True,
        )


# -- prediction sets -------------------------------------------------------------------------------


def drawn(target, samples, rng, width=5, spread=1.0):
    """Features and labels of a support and of queries that are drawn alike."""
    features = torch.from_numpy(rng.normal(size=(samples, width)))
    weights = np.linspace(-1, 1, width)
    score = features.numpy() @ weights * spread + rng.logistic(size=samples) * 0.5
    if target.label_shape:
        shifts = np.linspace(-0.5, 0.5, target.label_shape[0])
        return features, torch.from_numpy((score[:, None] > shifts).astype(np.int64))
    edges = np.linspace(-0.8, 0.8, target.num_classes - 1) if target.num_classes > 2 else [0.0]
    return features, torch.from_numpy(np.searchsorted(edges, score))


@pytest.mark.long
@pytest.mark.parametrize("method", ["leave-one-out", "split"])
@every_kind
def test_sets_cover_the_truth_as_often_as_they_say(kind, method):
    """Over 60 supports of 40 samples with 40 queries each; the standard error is below .01."""
    target, rng = KINDS[kind], np.random.default_rng(5)
    learner, task = LogisticRegression(Once(torch.float64), unit_length=False), Task("any", target)
    covered, sizes = [], []
    while len(covered) < 60:
        features, labels = drawn(target, 80, rng)
        codes = target.likelihood.codes(labels[:40])
        if min(int((codes == c).sum(1).min()) for c in range(target.likelihood.classes)) < 2:
            continue
        sets = prediction_sets(
            learner,
            Batch(features[:40], labels[:40]),
            task,
            features[40:],
            level=0.8,
            method=method,
        )
        covered.append(sets.covers(labels[40:]).double().mean())
        sizes.append(sets.sizes.double().mean())
    found = float(torch.stack(covered).mean())
    assert 0.8 - 0.025 < found < 0.8 + 0.06
    assert sets.guaranteed == pytest.approx(0.6 if method == "leave-one-out" else 0.8)
    assert torch.stack(sizes).mean() < target.likelihood.classes - 0.3


def test_leaving_one_out_equals_fits_without_each():
    target, level = KINDS["multiclass"], 0.7
    support, labels, query = features_and_labels(target, samples=12, seed=2)
    task = Task("any", target)
    sets = prediction_sets(
        LogisticRegression(Once(torch.float64)), Batch(support, labels), task, query, level=level
    )
    less = torch.zeros(len(query), 3)
    for at in range(12):
        others = torch.arange(12) != at
        own = predicted(target, support[others], labels[others], support[at : at + 1])[
            0, labels[at]
        ]
        less += own > predicted(target, support[others], labels[others], query)
    assert torch.equal(sets.members, less < level * 13)
    assert torch.equal(sets.sizes, sets.members.sum(1))


def test_the_seed_divides_the_support_and_levels_nest():
    target = KINDS["multiclass"]
    support, labels, query = features_and_labels(target, samples=30, width=4)
    learner, batch, task = (
        LogisticRegression(Once(torch.float64)),
        Batch(support, labels),
        Task("any", target),
    )

    def sets(**options):
        return prediction_sets(learner, batch, task, query, **options).members

    assert torch.equal(sets(method="split", seed=1), sets(method="split", seed=1))
    assert not all(
        torch.equal(sets(method="split", level=0.5, seed=s), sets(method="split", level=0.5))
        for s in range(1, 6)
    )
    for method in ("split", "leave-one-out"):
        small, large = (sets(method=method, level=level) for level in (0.4, 0.85))
        assert (large | ~small).all()
        assert large.sum() > small.sum()
        assert sets(method=method, level=0.999).all()


def test_bad_levels_and_methods():
    target = KINDS["binary"]
    support, labels, query = features_and_labels(target)
    learner, batch, task = (
        LogisticRegression(Once(torch.float64)),
        Batch(support, labels),
        Task("any", target),
    )
    for level in (0, 1, 1.5, "0.9"):
        with pytest.raises(InputError, match="level="):
            prediction_sets(learner, batch, task, query, level=level)
    with pytest.raises(InputError, match="method='jackknife' is not one of"):
        prediction_sets(learner, batch, task, query, method="jackknife")
    with pytest.raises(InputError, match="two samples of each class"):
        prediction_sets(learner, Batch(support[:3], labels[:3]), task, query)
