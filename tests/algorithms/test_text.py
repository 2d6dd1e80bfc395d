"""Texts as classifiers: zero-shot scores by hand, the blend with images against scipy."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

from tests.algorithms.cases import labels_of
from tests.algorithms.converged import KINDS, Once, every_kind, features_and_labels
from torchcross import backbones
from torchcross.algorithms import TextLogistic, TextPrototypes, load_predictor
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.task import Task
from torchcross.text import TextVectors

WIDTH = 12
SCALE = 7.5


def texts_of(target, width=WIDTH, seed=5, scale=SCALE):
    generator = torch.Generator().manual_seed(seed)
    names = [*target.classes, *(["nothing"] if None in target.prototype_names else [])]
    rows = torch.randn(len(names), width, generator=generator, dtype=torch.float64)
    return TextVectors(dict(zip(names, rows, strict=True)), scale)


def case(kind, **changes):
    target = KINDS[kind]
    support, labels, query = features_and_labels(target, width=WIDTH, **changes)
    return target, Batch(support, labels), query, texts_of(target)


def cosines(query, texts, name):
    return SCALE * F.cosine_similarity(query, texts.vectors[name][None], dim=-1)


@every_kind
def test_zero_shot_scores_are_scaled_cosines(kind):
    target, support, query, texts = case(kind)
    task, learner = Task("made-up", target), TextPrototypes(Once(torch.float64), texts)
    empty = Batch(support.x[:0], support.y[:0])
    made = learner.adapt(empty, task)
    scores = torch.stack([cosines(query, texts, name) for name in target.classes], -1)
    expected = {
        "binary": lambda: scores[:, 1:] - scores[:, :1],
        "multiclass": lambda: scores,
        "multilabel": lambda: scores - cosines(query, texts, "nothing")[:, None],
        "ordinal": lambda: target.prototype_logits(scores),
    }[kind]()
    torch.testing.assert_close(made.logits(query), expected)
    # The support is not read: the same bits from any.
    assert torch.equal(learner.adapt(support, task).logits(query), made.logits(query))
    blend = TextLogistic(Once(torch.float64), texts).adapt(empty, task)
    assert torch.equal(blend.logits(query), made.logits(query))


@every_kind
@pytest.mark.parametrize("C", [0.3, 30.0])
def test_the_blend_is_the_minimum_that_scipy_finds(kind, C):
    """|V|^2 / 2 + C x losses of offset + V x; two classes are one score."""
    target, support, query, texts = case(kind, missing=3)
    made = TextLogistic(Once(torch.float64), texts, C=C).adapt(support, Task("made-up", target))
    unit = [F.normalize(rows, dim=-1).numpy() for rows in (support.x, query)]
    names = ["nothing" if name is None else name for name in target.prototype_names]
    start = SCALE * np.stack([texts.vectors[name].numpy() for name in names])
    logits = np.empty((len(query), len(names)))
    answers = target.likelihood.answers
    for answer in range(answers):
        rows = list(range(answer, len(names), answers))
        codes = support.y.reshape(len(support), -1)[:, answer].numpy()
        logits[:, rows] = _by_scipy(start[rows], unit, codes, C)
    expected = target.prototype_logits(torch.from_numpy(logits))
    difference = made.logits(query) - expected
    assert float(difference.abs().max()) < 1e-6


def _by_scipy(start, unit, codes, C):
    """Scores of the query; of two classes, one direction is fitted, and split among both."""
    support, query = unit[0][codes >= 0], unit[1]
    known = codes[codes >= 0]
    offset = support @ start.T
    if len(start) == 2:
        sign = 2.0 * known - 1

        def objective(w):
            margin = sign * (offset[:, 1] - offset[:, 0] + support @ w)
            slope = -(sign / (1 + np.exp(margin))) @ support
            return w @ w / 2 + C * np.logaddexp(0, -margin).sum(), w + C * slope

        w = minimize(objective, np.zeros(WIDTH), jac=True, method="BFGS", options=TIGHT).x
        return query @ (start + np.stack([-w / 2, w / 2])).T
    hot = np.eye(len(start))[known]

    def objective(flat):
        V = flat.reshape(start.shape)
        scores = offset + support @ V.T
        top = scores.max(1, keepdims=True)
        total = np.exp(scores - top)
        loss = (np.log(total.sum(1)) + top[:, 0] - (scores * hot).sum(1)).sum()
        slope = (total / total.sum(1, keepdims=True) - hot).T @ support
        return flat @ flat / 2 + C * loss, flat + C * slope.ravel()

    flat = minimize(objective, np.zeros(start.size), jac=True, method="BFGS", options=TIGHT).x
    return query @ (start + flat.reshape(start.shape)).T


TIGHT = {"gtol": 1e-10, "maxiter": 5000}


@every_kind
def test_a_small_C_leaves_the_texts_and_a_large_one_follows_the_images(kind):
    target, support, query, texts = case(kind)
    task, net = Task("made-up", target), Once(torch.float64)
    zero = TextPrototypes(net, texts).adapt(support, task).logits(query)
    near, far = (
        TextLogistic(net, texts, C=C).adapt(support, task).logits(query) for C in (1e-7, 1e4)
    )
    assert float((near - zero).abs().max()) < 1e-4
    assert float((far - zero).abs().max()) > 1
    own = TextLogistic(net, texts, C=1e4).adapt(support, task)(support.x)
    assert float((own.decisions == support.y).double().mean()) > 0.95


@every_kind
def test_predictors_of_texts_are_saved_and_batches_predict_alike(kind, tmp_path):
    target, support, query, texts = case(kind)
    task = Task("made-up", target)
    net = backbones.vectors(WIDTH).double()
    labels = torch.from_numpy(np.asarray(labels_of(target, len(query))))
    for learner in (TextPrototypes(net, texts), TextLogistic(net, texts, C=3.0)):
        made = learner.adapt(support, task)
        made.save(tmp_path / "made.safetensors")
        assert torch.equal(
            load_predictor(tmp_path / "made.safetensors").logits(query), made.logits(query)
        )
        for batch in (support, Batch(support.x[:0], support.y[:0])):
            (one,) = learner.predict_batch([Episode(batch, Batch(query, labels), task)])
            expected = learner.adapt(batch, task)(query).probabilities
            torch.testing.assert_close(one.probabilities, expected)


def test_bad_input_is_named():
    target, support, _, texts = case("multiclass")
    with pytest.raises(InputError, match="makes 5 features, and the text vectors"):
        TextPrototypes(backbones.vectors(5), texts)
    wide = Batch(support.x[:, :5], support.y)
    with pytest.raises(InputError, match="makes 5 features, and the text vectors"):
        TextLogistic(Once(torch.float64), texts).adapt(wide, Task("made-up", target))
    with pytest.raises(InputError, match="give TextVectors"):
        TextPrototypes(Once(torch.float64), {"a": torch.ones(3)})
    with pytest.raises(InputError, match="C=0"):
        TextLogistic(Once(torch.float64), texts, C=0)
    nothing = Batch(support.x[:0], support.y[:0])
    other = Task("other", KINDS["binary"])
    with pytest.raises(InputError, match=r"no vector for 'negative', 'positive' of 'other'"):
        TextPrototypes(Once(torch.float64), texts).adapt(nothing, other)
    labels = Task("labels", KINDS["multilabel"])
    with pytest.raises(InputError, match=r"no vector for 'nothing' of 'labels' \(labels are set"):
        TextPrototypes(Once(torch.float64), texts).adapt(nothing, labels)


@every_kind
def test_texts_stand_for_classes_that_a_support_lacks(kind):
    """No rule for missing classes is needed: the texts predict them."""
    target, support, query, texts = case(kind)
    task, net = Task("made-up", target), Once(torch.float64)
    first = support.y.reshape(len(support), -1)[:, 0]
    few = Batch(support.x[first == 0], support.y[first == 0])
    zero = TextPrototypes(net, texts).adapt(few, task).logits(query)
    assert torch.equal(zero, TextPrototypes(net, texts).adapt(support, task).logits(query))
    made = TextLogistic(net, texts, C=0.5).adapt(few, task)
    assert made.classes == target.classes
    labels = torch.from_numpy(np.asarray(labels_of(target, len(query))))
    episode = Episode(few, Batch(query, labels), task)
    (one,) = TextLogistic(net, texts, C=0.5).predict_batch([episode])
    torch.testing.assert_close(one.probabilities, made(query).probabilities)
    near = TextLogistic(net, texts, C=1e-7).adapt(few, task).logits(query)
    assert float((near - zero).abs().max()) < 1e-4
