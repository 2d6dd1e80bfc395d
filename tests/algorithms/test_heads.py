"""Heads: their shapes, their starts, and the forms that need no inner loop."""

import math

import pytest
import torch

from tests.algorithms.cases import NOT_LINEAR, TARGETS, WIDTH, episode_of
from torchcross.errors import InputError
from torchcross.heads import (
    BIAS,
    FORMS,
    LOGISTIC_FORMS,
    WEIGHT,
    LearnedHeads,
    head_logits,
    kaiming_head,
    known_codes,
    learning_key,
    proto_head,
    prototypes,
    ridge_weight,
    seeded_generator,
    zero_head,
)
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.task import Task
from torchcross.testing.surroundings import foreign_generators, generators_left_alone

every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)


def features_and_labels(target, seed=0):
    episode = episode_of(target, seed)
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn(
        len(episode.support) + 5, WIDTH, generator=generator, dtype=torch.float64
    )
    return features[:-5], episode.support.y, features[-5:]


@every_target
def test_shapes_and_starts(target):
    zero = zero_head(target, WIDTH, dtype=torch.float64)
    with generators_left_alone("kaiming_head"), foreign_generators():
        drawn = kaiming_head(target, WIDTH, generator=seeded_generator(0, 1))
    again = kaiming_head(target, WIDTH, generator=seeded_generator(0, 1), dtype=torch.float64)
    other = kaiming_head(target, WIDTH, generator=seeded_generator(0, 2))
    for head in (zero, drawn, again):
        assert head[WEIGHT].shape == (target.head.weight_rows, WIDTH)
        assert head[BIAS].shape == (target.head.biases,)
        features = torch.ones(3, WIDTH, dtype=head[WEIGHT].dtype)
        assert head_logits("linear", target, features, head).shape == (3, target.num_outputs)
    assert not torch.count_nonzero(zero[WEIGHT])
    assert torch.equal(drawn[WEIGHT].double(), again[WEIGHT])
    assert not torch.equal(drawn[WEIGHT], other[WEIGHT])
    assert drawn[WEIGHT].abs().max() <= 1 / math.sqrt(WIDTH)


def test_a_kaiming_head_is_spread_as_torchs_own():
    head = kaiming_head(
        MultiClass([f"c{at}" for at in range(400)]), 25, generator=seeded_generator(3)
    )
    for part in head.values():
        assert float(part.abs().max()) == pytest.approx(0.2, rel=0.01)
        assert float(part.std()) == pytest.approx(0.2 / math.sqrt(3), rel=0.1)


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in NOT_LINEAR])
def test_a_prototype_head_measures_distances(name):
    target = TARGETS[name]
    support, labels, query = features_and_labels(target)
    strata = target.prototype_strata(labels)
    head = proto_head(target, support, strata)
    means = prototypes(support, strata)
    expected = target.prototype_logits(-torch.cdist(query, means).square())
    found = head_logits("linear", target, query, head)
    constant = expected - found
    # Where outputs compete in a softmax, a number common to all of them says nothing.
    torch.testing.assert_close(constant, constant[:, :1].expand_as(constant), rtol=1e-9, atol=1e-9)
    left, right = target.predict(found), target.predict(expected)
    torch.testing.assert_close(left.probabilities, right.probabilities, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(
        head_logits("euclidean", target, query, {"head.prototypes": means}), expected
    )


def test_two_grades_have_a_linear_form_with_coral_and_corn():
    for loss in ("coral", "corn"):
        target = Ordinal(["low", "high"], loss=loss)
        support, labels, query = features_and_labels(target)
        strata = target.prototype_strata(labels)
        scores = -torch.cdist(query, prototypes(support, strata)).square()
        found = head_logits("linear", target, query, proto_head(target, support, strata))
        torch.testing.assert_close(found, target.prototype_logits(scores))


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_no_linear_form_is_an_error_that_says_what_to_do(name):
    target = TARGETS[name]
    support, labels, _ = features_and_labels(target)
    with pytest.raises(
        InputError, match=r"no prototype head.*not linear.*'cross_entropy'.*ProtoNet"
    ):
        proto_head(target, support, target.prototype_strata(labels))


@every_target
@pytest.mark.parametrize("samples", [3, 8])
def test_ridge_solves_its_equations_and_leaves_unknown_labels_out(target, samples):
    support, labels, _ = features_and_labels(target)
    support, labels = support[:samples], labels[:samples].clone()
    labels[1] = -1
    if target.label_shape:
        labels[0, 0] = -1
    codes, known = known_codes(target, labels)
    weight = ridge_weight(support, codes, known, 0.5)
    assert weight.shape == (WIDTH, codes.shape[1])
    for column in range(codes.shape[1]):
        rows = known[:, min(column, known.shape[1] - 1)] > 0
        x, y = support[rows], codes[rows, column].double()
        torch.testing.assert_close(
            x.T @ (x @ weight[:, column] - y), -0.5 * weight[:, column], rtol=1e-9, atol=1e-12
        )


def test_cosines_do_not_see_lengths():
    target, (support, labels, query) = (
        MultiClass(["a", "b", "c"]),
        features_and_labels(MultiClass(["a", "b", "c"])),
    )
    means = prototypes(support, target.prototype_strata(labels))
    one = head_logits(
        "cosine", target, query, {"head.prototypes": means, "head.scale": torch.tensor(5.0)}
    )
    two = head_logits(
        "cosine", target, query * 7, {"head.prototypes": means * 3, "head.scale": torch.tensor(5.0)}
    )
    torch.testing.assert_close(one, two)
    assert one.abs().max() <= 5
    with pytest.raises(InputError, match="'linear', 'euclidean', 'cosine', 'ridge'"):
        head_logits("round", target, query, {})
    assert set(FORMS) == {
        "linear",
        "euclidean",
        "cosine",
        "ridge",
        "centred",
        "linear-mean",
        "constant",
        "text",
        *LOGISTIC_FORMS.values(),
    }


def test_learned_heads_by_task_and_by_layout():
    tasks = [Task("a.b", MultiClass(["x", "y", "z"]), "here"), Task("items", Binary(), "there")]
    heads = LearnedHeads(tasks, WIDTH, seed=1)
    assert len(list(heads.parameters())) == 4
    assert torch.equal(
        heads.of(tasks[0])[WEIGHT], LearnedHeads(tasks[:1], WIDTH, seed=1).of(tasks[0])[WEIGHT]
    )
    assert heads.of(tasks[0])[WEIGHT] is heads.of(tasks[0])[WEIGHT]
    with pytest.raises(InputError, match=r"no learned head for the task 'a.b' of the domain ''"):
        heads.of(Task("a.b", tasks[0].target))
    with pytest.raises(InputError, match="sample all classes"):
        heads.of(tasks[0].restrict(["x", "z"]))
    with pytest.raises(InputError, match="two tasks called 'items'"):
        LearnedHeads([tasks[1], tasks[1]], WIDTH)
    with pytest.raises(InputError, match="no task"):
        LearnedHeads([], WIDTH)
    shared = LearnedHeads([*tasks, tasks[1]], WIDTH, by="layout")
    assert shared.of(Task("other", Binary()))[WEIGHT] is shared.of(tasks[1])[WEIGHT]
    twin = LearnedHeads(tasks, WIDTH, seed=5)
    twin.load_state_dict(heads.state_dict())
    assert torch.equal(twin.of(tasks[1])[BIAS], heads.of(tasks[1])[BIAS])


def test_learning_keys_see_what_a_loss_sees():
    assert learning_key(MultiClass({3: "a", 7: "b"})) == learning_key(MultiClass(["x", "y"]))
    assert learning_key(MultiClass(["a", "b"])) != learning_key(MultiClass(["a", "b", "c"]))
    assert learning_key(MultiClass(["a", "b"])) != learning_key(
        MultiClass(["a", "b"], smoothing=0.1)
    )
    assert learning_key(Binary()) != learning_key(MultiLabel(["a"]))
    near, far = Ordinal(["a", "b", "c"], [0, 1, 2]), Ordinal(["a", "b", "c"], [0, 1, 9])
    assert learning_key(near) == learning_key(far)
    for loss in ("earth_movers", "soft_labels"):
        assert learning_key(near.with_loss(loss)) != learning_key(far.with_loss(loss))
    keys = [learning_key(target) for target in TARGETS.values()]
    assert len(set(keys)) == len(keys)
