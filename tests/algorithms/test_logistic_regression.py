"""Converged heads are the solutions of their problems: scikit-learn's, scipy's, gradient zero."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression as Reference
from torch import nn

from tests.algorithms.cases import TARGETS, episode_of, make_algorithm
from tests.algorithms.converged import KINDS, Once, every_kind, features_and_labels, predicted
from tests.examples import max_examples
from torchcross.algorithms import LogisticRegression, ProtoNet, Ridge, SimpleShot
from torchcross.episode import Batch, Episode
from torchcross.errors import DivergenceError, InputError
from torchcross.heads import BIAS, WEIGHT, logistic_head, newton
from torchcross.losses import cumulative_link
from torchcross.task import Task


def unit(features):
    return (features / features.norm(dim=1, keepdim=True)).numpy()


def scikit_learn(x, y, q, C):
    """The probabilities of scikit-learn's converged solution over the known labels."""
    known = y >= 0
    model = Reference(C=C, tol=1e-12, max_iter=100_000).fit(x[known], y[known])
    return model.predict_proba(q)


@pytest.mark.parametrize("missing", [0, 4])
@pytest.mark.parametrize("C", [0.01, 1.0, 10.0, 1000.0])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_the_solution_is_scikit_learns(kind, C, missing):
    target = KINDS[kind]
    support, labels, query = features_and_labels(target, missing=missing)
    x, q, y = unit(support), unit(query), labels.numpy()
    mine = predicted(target, support, labels, query, C=C).numpy()
    if kind == "multilabel":
        theirs = np.stack([scikit_learn(x, column, q, C)[:, 1] for column in y.T], 1)
    else:
        theirs = scikit_learn(x, y, q, C)
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("samples", [9, 60])
def test_features_as_they_are_with_more_samples_than_features_and_fewer(samples):
    support, labels, query = features_and_labels(KINDS["multiclass"], samples, width=15)
    mine = predicted(KINDS["multiclass"], support, labels, query, C=0.3, unit_length=False)
    theirs = scikit_learn(support.numpy(), labels.numpy(), query.numpy(), 0.3)
    np.testing.assert_allclose(mine.numpy(), theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("C", [0.1, 10.0, 300.0])
def test_the_cumulative_link_is_scipys(C):
    """Thresholds as a first one and logarithms of gaps, another parametrisation than ours."""
    target = KINDS["ordinal"]
    support, labels, query = features_and_labels(target, missing=3)
    x, q, y = unit(support), unit(query), labels.numpy()

    def chances(values, rows):
        thresholds = np.concatenate([values[-3:-2], values[-3] + np.exp(values[-2:]).cumsum()])
        below = expit(thresholds - (rows @ values[:-3])[:, None])
        return np.diff(below, axis=1, prepend=0, append=1)

    def objective(values):
        own = chances(values, x[y >= 0])[np.arange((y >= 0).sum()), y[y >= 0]]
        return values[:-3] @ values[:-3] / 2 - C * np.log(own).sum()

    start = np.zeros(x.shape[1] + 3)
    options = {"maxiter": 100_000, "maxfun": 10**7, "ftol": 1e-16, "gtol": 1e-9, "maxcor": 50}
    found = minimize(objective, start, method="L-BFGS-B", jac="3-point", options=options)
    mine = predicted(target, support, labels, query, C=C).numpy()
    np.testing.assert_allclose(mine, chances(found.x, q), rtol=0, atol=1e-6)


def loss_sum(target, features, labels, weight, bias):
    """The summed loss by torch's own functions; thresholds as the head stores them."""
    scores = features @ weight.T
    known = (labels >= 0).sum()
    if target.kind == "multiclass":
        return nn.functional.cross_entropy(scores + bias, labels, ignore_index=-1, reduction="sum")
    if target.kind == "ordinal":
        logits = torch.cat([scores, bias.expand(len(scores), -1)], 1)
        return cumulative_link(logits, labels) * known
    y = labels.reshape(scores.shape)
    each = nn.functional.binary_cross_entropy_with_logits(
        scores - bias, y.double().clamp(min=0), reduction="none"
    )
    return each[y >= 0].sum()


@max_examples(60)
@given(
    kind=st.sampled_from(sorted(KINDS)),
    C=st.floats(1e-3, 1e4),
    samples=st.integers(14, 40),
    width=st.integers(1, 60),
    seed=st.integers(0, 2**20),
    missing=st.integers(0, 3),
    copies=st.booleans(),
)
def test_the_gradient_is_zero(kind, C, samples, width, seed, missing, copies):
    target = KINDS[kind]
    support, labels, _ = features_and_labels(target, samples, width, seed, missing)
    if copies:
        support[1::2] = support[0]
    support = support / support.norm(dim=1, keepdim=True)
    head = logistic_head(
        target.likelihood,
        support,
        target.likelihood.codes(labels),
        torch.tensor([C], dtype=torch.float64),
        unit_length=False,
    )
    weight, bias = (head[name][0].clone().requires_grad_() for name in (WEIGHT, BIAS))
    penalised = loss_sum(target, support, labels, weight, bias) + weight.square().sum() / (2 * C)
    for gradient in torch.autograd.grad(penalised, (weight, bias)):
        assert gradient.abs().max() < 1e-7


@every_kind
def test_several_penalties_give_their_mean_probability(kind):
    support, labels, query = features_and_labels(KINDS[kind])
    alone = [predicted(KINDS[kind], support, labels, query, C=C) for C in (1, 10, 100)]
    mean = predicted(KINDS[kind], support, labels, query, C=(1, 10, 100))
    torch.testing.assert_close(mean, torch.stack(alone).mean(0), rtol=1e-9, atol=1e-12)
    assert (alone[0] - alone[2]).abs().max() > 0.01


@pytest.mark.parametrize("loss", ["coral", "corn", "cumulative_link", "cross_entropy"])
def test_the_loss_of_the_target_does_not_change_the_probabilities(loss):
    support, labels, query = features_and_labels(KINDS["ordinal"])
    one = predicted(KINDS["ordinal"], support, labels, query)
    two = predicted(KINDS["ordinal"].with_loss(loss), support, labels, query)
    torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-12)


@every_kind
@pytest.mark.parametrize("missing", [0, 3])
def test_the_derivatives_are_those_of_the_solution(kind, missing):
    target = KINDS[kind]
    support, labels, _ = features_and_labels(target, samples=14, width=3, missing=missing)
    codes = target.likelihood.codes(labels)

    def head(features):
        tensors = logistic_head(target.likelihood, features, codes, torch.tensor([0.5, 3.0]))
        return tensors[WEIGHT], tensors[BIAS]

    support.requires_grad_()
    assert torch.autograd.gradcheck(head, support, atol=1e-6, fast_mode=True)
    assert torch.autograd.gradgradcheck(head, support, atol=1e-5, fast_mode=True)


def test_float32_is_solved_in_float64():
    support, labels, query = features_and_labels(KINDS["multiclass"], width=200)
    exact = predicted(KINDS["multiclass"], support, labels, query, C=100)
    single = predicted(KINDS["multiclass"], support.float(), labels, query.float(), C=100)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=3e-6)


# -- many episodes at once -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["logistic", "logistic-mean", "logistic-raw", "simple-shot", "protonet", "ridge"]
)
def test_a_batch_of_episodes_is_predicted_as_each_of_them(name):
    learner = make_algorithm(name, "multiclass")
    targets = [TARGETS[key] for key in ("multiclass", "binary", "multilabel", "ordinal")]
    episodes = [episode_of(target, seed) for seed, target in enumerate(targets * 2)]
    episodes += [episode_of(targets[0], 40, support=12, query=3), episode_of(targets[0], 41)]
    together = learner.predict_batch(iter(episodes))
    for episode, mine in zip(episodes, together, strict=True):
        alone = learner.adapt(episode.support, episode.task)(episode.query.x)
        torch.testing.assert_close(mine.probabilities, alone.probabilities, rtol=1e-9, atol=1e-12)
        torch.testing.assert_close(mine.scores, alone.scores, rtol=1e-8, atol=1e-9)
        assert torch.equal(mine.decisions, alone.decisions)


@pytest.mark.parametrize("name", ["logistic", "logistic-mean", "simple-shot", "ridge"])
@pytest.mark.parametrize("target", ["multiclass", "binary", "multilabel", "ordinal"])
def test_a_prediction_does_not_depend_on_the_episodes_beside_it(name, target, monkeypatch):
    learner = make_algorithm(name, "multiclass")
    episodes = [episode_of(TARGETS[target], seed) for seed in range(9)]
    episodes = [episode.map(lambda images: images.float()) for episode in episodes]
    if name == "ridge":
        learner = learner.float()
    alone = [learner.predict_batch([episode])[0] for episode in episodes]
    for blocks in (320, 6, 1):
        monkeypatch.setattr("torchcross.heads.logistic_batches._MATRICES_AT_ONCE", blocks)
        for start, stop in ((0, 9), (2, 7), (1, 3)):
            together = learner.predict_batch(episodes[start:stop])
            for mine, own in zip(together, alone[start:stop], strict=True):
                assert torch.equal(mine.probabilities, own.probabilities)
                assert torch.equal(mine.scores, own.scores)


def test_an_empty_batch_has_no_predictions():
    assert LogisticRegression(nn.Identity()).predict_batch([]) == []


# -- supports that are no ordinary ones ------------------------------------------------------------


@every_kind
def test_features_that_say_nothing_give_the_shares_of_the_classes(kind):
    target = KINDS[kind]
    _, labels, query = features_and_labels(target)
    for constant in (0.0, 3.0):
        support = torch.full((len(labels), 4), constant, dtype=torch.float64)
        mine = predicted(target, support, labels, query[:, :4])
        codes = labels.reshape(len(labels), -1)
        shares = nn.functional.one_hot(codes).double().mean(0).squeeze(0)
        expected = shares[:, 1] if kind == "multilabel" else shares
        torch.testing.assert_close(mine, expected.expand_as(mine), rtol=0, atol=1e-8)


def test_an_image_without_features_gets_the_intercepts():
    support, labels, query = features_and_labels(KINDS["multiclass"])
    mine = predicted(KINDS["multiclass"], support, labels, torch.zeros_like(query))
    assert torch.isfinite(mine).all()
    assert torch.equal(mine[0], mine[1])


@every_kind
@pytest.mark.parametrize("C", [1e-6, 1e6, 1e8])
def test_separable_supports_converge_under_any_finite_penalty(kind, C):
    target = KINDS[kind]
    support, labels, _ = features_and_labels(target, width=200)
    mine = predicted(target, support, labels, support, C=C)
    assert torch.isfinite(mine).all()
    if C > 1:
        decisions = (mine > 0.5).long() if kind == "multilabel" else mine.argmax(1)
        assert torch.equal(decisions, labels)


def test_one_feature_is_enough_and_none_is_an_error():
    support, labels, query = features_and_labels(KINDS["binary"], width=1)
    assert predicted(KINDS["binary"], support, labels, query, unit_length=False).shape == (9, 2)
    with pytest.raises(InputError, match="made no feature"):
        predicted(KINDS["binary"], support[:, :0], labels, query)


class Broken(nn.Module):
    """Features of which some images have no finite ones."""

    def forward(self, x):
        return torch.where(x < -50, torch.nan, x)


def test_features_that_are_not_finite_are_named():
    support, labels, query = features_and_labels(KINDS["binary"])
    support[[3, 7], 2] = -100
    learner, task = LogisticRegression(Broken()), Task("made-up", KINDS["binary"])
    with pytest.raises(DivergenceError, match=r"NaN, infinite or too large.*named\): 3, 7\."):
        learner.adapt(Batch(support, labels), task)
    episode = Episode(Batch(support, labels), Batch(query, labels[:9]), task)
    with pytest.raises(DivergenceError, match="3, 7"):
        learner.predict_batch([episode])


@every_kind
def test_a_class_that_is_not_there_has_no_head(kind):
    """`adapt` fits the head of the others; see test_missing_classes.py."""
    target = KINDS[kind]
    support, labels, _ = features_and_labels(target)
    gone = labels.clone()
    gone[labels == 1] = 0
    with pytest.raises(InputError, match="has none of class 1"):
        logistic_head(target.likelihood, support, target.likelihood.codes(gone), torch.ones(1))


@pytest.mark.parametrize("C", [0, -1.0, float("nan"), (), (1, 0)])
def test_penalties_are_positive_numbers(C):
    with pytest.raises(InputError, match="give a positive number"):
        LogisticRegression(nn.Identity(), C=C)


def test_no_penalty_and_no_number_are_refused():
    with pytest.raises(InputError, match=r"no penalty.*give a finite C, such as 1e4"):
        LogisticRegression(nn.Identity(), C=float("inf"))
    for C in ("10", None, [None]):
        with pytest.raises(InputError, match="give a positive number"):
            LogisticRegression(nn.Identity(), C=C)
    with pytest.raises(InputError, match="give True or False"):
        LogisticRegression(nn.Identity(), unit_length="l2")
    with pytest.raises(TypeError, match="strength"):
        LogisticRegression(nn.Identity(), strength=1)


def test_a_fit_that_does_not_converge_is_an_error(monkeypatch):
    monkeypatch.setattr(newton, "STEPS", 2)
    support, labels, query = features_and_labels(KINDS["multiclass"])
    with pytest.raises(DivergenceError, match=r"1 of 1 .*not converge in 2 Newton.*smaller C"):
        predicted(KINDS["multiclass"], support, labels, query, C=100)


# -- nearest means ---------------------------------------------------------------------------------


def test_simple_shot_is_nearest_means_of_centred_directions():
    target = KINDS["multiclass"]
    support, labels, query = features_and_labels(target)
    task = Task("made-up", target)
    mine = SimpleShot(Once(torch.float64)).adapt(Batch(support, labels), task).logits(query)
    centre = support.mean(0)
    x, q = (nn.functional.normalize(rows - centre, dim=1) for rows in (support, query))
    means = torch.stack([x[labels == code].mean(0) for code in range(3)])
    torch.testing.assert_close(mine, -torch.cdist(q, means).square(), rtol=1e-9, atol=1e-12)


def test_frozen_heads_read_running_statistics_and_the_others_do_not_by_default():
    for kind, policy in (
        (LogisticRegression, "frozen"),
        (SimpleShot, "frozen"),
        (ProtoNet, "batch"),
    ):
        assert kind(nn.Identity()).protocol()["norm"] == policy
    assert Ridge(nn.Identity()).protocol()["norm"] == "batch"
    with pytest.raises(InputError, match="takes no inner steps"):
        LogisticRegression(nn.Identity(), norm="running")
