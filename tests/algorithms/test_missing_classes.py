"""What every algorithm answers where a support set has no sample of a class: one table."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import torchcross as tx
from tests.algorithms.cases import (
    ALGORITHMS,
    CELLS,
    FEW_TARGETS,
    ONE_EACH,
    TARGETS,
    Net,
    episode_of,
    make_algorithm,
    step_of,
)
from torchcross.algorithms import ClosedForm, FineTune, LogisticRegression, load_predictor
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError, ReadError
from torchcross.evaluation import evaluate
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.targets.succession import missing_classes, support_counts
from torchcross.testing.surroundings import generators_left_alone

LEARNED = "maml-learned-head"
TABLE = [
    (algorithm, target)
    for algorithm, target in CELLS
    if algorithm in (*ONE_EACH, "linear-probe", "fine-tune-grid", "fine-tune-logistic")
    and target in FEW_TARGETS
    # Texts stand for a class that the support lacks.
    and algorithm not in ("text", "text-logistic")
]
table = pytest.mark.parametrize(("algorithm", "target"), TABLE)
types = pytest.mark.parametrize("target", ["binary", "multiclass", "multilabel", "ordinal-coral"])


def without(target, *missing):
    """An episode whose support has no sample of these classes; of labels, none without them."""
    episode = episode_of(target, support=12)
    x, y = episode.support.x, episode.support.y
    if target.label_shape:
        y = y.clone()
        y[:, list(missing)] = 1
        return Episode(Batch(x, y), episode.query, episode.task, episode.plan)
    keep = ~torch.isin(y, torch.tensor(missing))
    return Episode(Batch(x[keep], y[keep]), episode.query, episode.task, episode.plan)


def probabilities_by_hand(learner, episode):
    """Of all classes: those of a head of the classes that are there, and the rule of succession."""
    target, y = episode.task.target, episode.support.y
    if target.label_shape:
        both = ((y == 0).any(0) & (y == 1).any(0)).nonzero().flatten().tolist()
        odds = ((y == 1).sum(0) + 1).double() / ((y >= 0).sum(0) + 2)
        result = odds.expand(len(episode.query), -1).clone()
        part = y[:, both]
    else:
        both = y.unique().tolist()
        total = len(y) + target.num_classes
        result = torch.full((len(episode.query), target.num_classes), 1 / total).double()
        part = torch.from_numpy(target.relabel(y, both))
    share = 1.0 if target.label_shape else 1 - (target.num_classes - len(both)) / total
    if len(both) < target.ways[0]:
        result[:, both] = share
        return result
    task = episode.task.restrict(both)
    own = learner.adapt(Batch(episode.support.x, part), task)(episode.query.x)
    result[:, both] = share * own.probabilities
    return result


@table
def test_a_missing_class_has_one_probability_and_the_others_share_the_rest(algorithm, target):
    learner, target = make_algorithm(algorithm, target), TARGETS[target]
    episode = without(target, 0)
    with generators_left_alone("adapt"):
        predictor = learner.adapt(episode.support, episode.task)
    prediction = predictor(episode.query.x)
    expected = probabilities_by_hand(learner, episode)
    torch.testing.assert_close(prediction.probabilities, expected, rtol=1e-6, atol=1e-9)
    assert predictor.missing_classes == (target.classes[0],) == episode.missing_classes
    assert predictor.protocol["missing_classes"] == [target.classes[0]]
    assert predictor.classes == target.classes
    scores = target.evaluate(prediction.plain, episode.query.y)
    assert np.isfinite(scores["accuracy"].value)


@table
def test_a_support_of_one_class_makes_every_prediction_the_same(algorithm, target):
    learner, target = make_algorithm(algorithm, target), TARGETS[target]
    episode = without(target, *range(target.num_classes)[1:])
    if target.label_shape:
        episode = without(target, *range(target.num_classes))
    predictor = learner.adapt(episode.support, episode.task)
    prediction = predictor(episode.query.x)
    expected = probabilities_by_hand(learner, episode)
    torch.testing.assert_close(prediction.probabilities, expected, rtol=1e-6, atol=1e-9)
    assert (prediction.probabilities == prediction.probabilities[:1]).all()
    assert predictor.protocol["constant"] is True
    score = target.evaluate(prediction.plain, episode.query.y)["auroc"].value
    assert np.isnan(score) or score == 0.5


@types
@pytest.mark.parametrize(
    "algorithm", ["ridge", "logistic", "fine-tune", "fine-tune-grid", "image-statistics"]
)
@pytest.mark.parametrize("count", [1, 9])
def test_such_predictors_are_saved_and_exported_like_others(algorithm, target, count, tmp_path):
    kind = TARGETS[target]
    missing = range(kind.num_classes) if kind.label_shape else range(1, kind.num_classes)
    learner, episode = make_algorithm(algorithm, target), without(kind, *list(missing)[:count])
    predictor = learner.adapt(episode.support, episode.task)
    predictor.save(tmp_path / "p.safetensors")
    own = None if algorithm == "image-statistics" else Net(seed=9)
    loaded = load_predictor(tmp_path / "p.safetensors", backbone=own)
    assert torch.equal(loaded.logits(episode.query.x), predictor.logits(episode.query.x))
    assert loaded.missing_classes == predictor.missing_classes
    if predictor.protocol["norm"] != "batch":
        module = predictor.to_module()
        wanted = predictor(episode.query.x).probabilities
        torch.testing.assert_close(module(episode.query.x), wanted, rtol=1e-6, atol=1e-9)


@types
@pytest.mark.parametrize("algorithm", ["maml", "protonet", "logistic", "anil"])
def test_training_refuses_what_it_cannot_learn_from(algorithm, target):
    learner, episode = make_algorithm(algorithm, target), without(TARGETS[target], 0)
    with pytest.raises(InputError, match="no sample that stands for"):
        step_of(learner, [episode])


@types
def test_learned_heads_are_of_all_classes(target):
    learner, episode = make_algorithm(LEARNED, target), without(TARGETS[target], 0)
    with pytest.raises(InputError, match="the learned heads are of all classes"):
        learner.adapt(episode.support, episode.task)


def closed_forms():
    return [name for name in ALGORITHMS if isinstance(make_algorithm(name, "binary"), ClosedForm)]


@types
@pytest.mark.parametrize("algorithm", closed_forms())
def test_many_episodes_at_once_are_the_same(algorithm, target):
    learner = make_algorithm(algorithm, target)
    kind = TARGETS[target]
    last = kind.num_classes - 1
    missing = ((), (0,), (last,), range(kind.num_classes) if kind.label_shape else range(last))
    episodes = [without(kind, *each) for each in missing] * 2
    for episode, prediction in zip(episodes, learner.predict_batch(episodes), strict=True):
        own = learner.adapt(episode.support, episode.task)(episode.query.x)
        assert own.probabilities.dtype == prediction.probabilities.dtype
        torch.testing.assert_close(own.probabilities, prediction.probabilities)
        assert torch.equal(own.decisions, prediction.decisions)


# -- the rule itself -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "labels", "expected"),
    [
        (Binary(), [1, 1, 1], [1 / 5, 4 / 5]),
        (MultiClass(["a", "b", "c"]), [0, 0, -1], [3 / 5, 1 / 5, 1 / 5]),
        (MultiClass(["a", "b", "c"]), [-1, -1], [1 / 3, 1 / 3, 1 / 3]),
        (Ordinal({0: "a", 3: "b", 4: "c"}, loss="coral"), [1], [1 / 4, 2 / 4, 1 / 4]),
        (MultiLabel(["a", "b"]), [[1, -1], [1, -1]], [3 / 4, 1 / 2]),
        (MultiLabel(["a", "b"], loss="focal"), [[0, 1], [0, 1]], [1 / 4, 3 / 4]),
    ],
)
def test_the_rule_of_succession_by_hand(target, labels, expected):
    y = torch.tensor(labels)
    counts = support_counts(target, y)
    logits = target.logits_of_all(torch.zeros(2, 0), counts)
    probabilities = target.predict(logits).probabilities
    wanted = torch.tensor([expected] * 2, dtype=torch.float64)
    torch.testing.assert_close(probabilities, wanted)


def test_confident_heads_keep_the_order_of_images():
    """Probabilities near 1 stay apart, so that the area under the curve does not change."""
    target = MultiClass(["a", "b", "c"])
    logits = torch.tensor([[25.0, 0.0], [26.0, 0.0], [27.0, 0.0]])
    scores = target.predict(target.logits_of_all(logits, (3, 3, 0))).scores
    assert (scores[:, 0].diff() > 0).all()
    assert (scores[:, 1].diff() < 0).all()


def test_records_name_the_missing_classes():
    episode = without(TARGETS["multiclass"], 1)
    for adapt in (FineTune(Net().double(), steps=1), LogisticRegression(Net().double())):
        rows = list(evaluate(adapt, [episode], run="r", algorithm="a", shots=4))
        assert {row.reason for row in rows} == {"the support has no sample of 'square'"}
    whole = episode_of(TARGETS["multiclass"])
    rows = list(evaluate(adapt, [whole], run="r", algorithm="a", shots=4))
    assert {row.reason for row in rows} == {""}


def test_a_file_with_other_counts_is_refused(tmp_path):
    learner, episode = make_algorithm("ridge", "multiclass"), without(TARGETS["multiclass"], 0)
    path = tmp_path / "p.safetensors"
    learner.adapt(episode.support, episode.task).save(path)
    content = path.read_bytes()
    assert b'\\"counts\\": [0, 4, 4]' in content
    for counts in (b"[0, 4, 0]", b"[5, 4, 4]", b"[0, 4,-4]"):
        path.write_bytes(content.replace(b"[0, 4, 4]", counts))
        with pytest.raises(ReadError, match="counts"):
            load_predictor(path, backbone=Net())


def test_natural_episodes_go_from_the_sampler_to_the_records():
    source = tx.data.toys.multiclass(240, size=8)
    sampler = tx.EpisodeSampler(source, shots=1, queries=2, support="natural")
    episodes = tx.Episodes(sampler)
    rows = list(
        evaluate(
            LogisticRegression(_flat()),
            (episodes[number] for number in range(20)),
            run="r",
            algorithm="a",
        )
    )
    missing = {number for number in range(20) if sampler[number].missing_classes}
    assert missing
    assert {row.episode for row in rows if "no sample of" in row.reason} == missing
    assert not any(np.isnan(row.value) for row in rows)


def _flat():
    return torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Flatten())


def test_a_task_names_the_classes_that_a_support_misses():
    target = MultiLabel(["a", "b", "c"], missing=-1)
    labels = torch.tensor([[0, 1, -1], [1, 1, 0], [0, -1, 0]])
    assert missing_classes(target, support_counts(target, labels)) == ("b", "c")
    counts = support_counts(Binary(), torch.tensor([1, -1]))
    assert missing_classes(Binary(), counts) == ("negative",)
