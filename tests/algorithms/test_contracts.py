"""Every algorithm keeps every contract for every target: one table."""

import copy

import pytest
import torch

from tests.algorithms.cases import (
    CELLS,
    ENSEMBLES,
    NOT_LINEAR,
    RANDOM_HEAD,
    TARGETS,
    TRAINING_CELLS,
    Net,
    episode_of,
    make_algorithm,
    relative,
    same,
    snapshot,
    step_of,
)
from torchcross.algorithms import ANIL, MAML, ProtoMAML, load_predictor
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.targets import MultiClass, MultiLabel, Ordinal
from torchcross.task import Task
from torchcross.testing.surroundings import (
    foreign_generators,
    generators_left_alone,
    through_pickle,
)

cells = pytest.mark.parametrize(("algorithm", "target"), CELLS)
training_cells = pytest.mark.parametrize(("algorithm", "target"), TRAINING_CELLS)
EXACT = 1e-9


def bits(predictor, images):
    prediction = predictor(images)
    return [predictor.logits(images), prediction.probabilities, prediction.decisions]


def equal(left, right):
    return all(torch.equal(mine, theirs) for mine, theirs in zip(left, right, strict=True))


@cells
def test_adaptation_is_pure_and_repeatable(algorithm, target):
    learner = make_algorithm(algorithm, target)
    first, second = (episode_of(TARGETS[target], seed) for seed in (0, 1))
    before = snapshot(learner)
    with generators_left_alone("adapt"):
        one = bits(learner.adapt(first.support, first.task), first.query.x)
    with foreign_generators(), torch.no_grad():
        learner.adapt(second.support, second.task, index=3)
        again = bits(learner.adapt(first.support, first.task), first.query.x)
    assert same(before, snapshot(learner))
    assert equal(one, again)


@training_cells
def test_training_changes_nothing_and_asks_for_no_mode(algorithm, target):
    learner = make_algorithm(algorithm, target)
    episodes = [episode_of(TARGETS[target], seed) for seed in (0, 1)]
    before = snapshot(learner)
    with generators_left_alone("training_step"):
        training = step_of(learner, episodes)
    assert same(before, snapshot(learner))
    assert training.loss.requires_grad
    assert torch.isfinite(training.loss)
    assert torch.equal(training.losses[:1], step_of(learner.eval(), episodes[:1]).losses)
    assert set(training.buffers) <= set(dict(learner.named_buffers()))


@training_cells
def test_the_order_of_episodes_does_not_matter(algorithm, target):
    episodes = [episode_of(TARGETS[target], seed) for seed in (0, 1)]
    forth, back = make_algorithm(algorithm, target), make_algorithm(algorithm, target)
    there, again = step_of(forth, episodes), step_of(back, episodes[::-1])
    assert torch.equal(there.losses, again.losses.flip(0))
    there.loss.backward()
    again.loss.backward()
    for (name, mine), theirs in zip(forth.named_parameters(), back.parameters(), strict=True):
        assert (mine.grad is None) == (theirs.grad is None), name
        if mine.grad is not None:
            torch.testing.assert_close(mine.grad, theirs.grad, rtol=EXACT, atol=1e-12)


@training_cells
def test_training_and_adaptation_are_the_same_loop_and_the_loss_is_the_targets(algorithm, target):
    learner, episode = make_algorithm(algorithm, target), episode_of(TARGETS[target])
    predictor = learner.adapt(episode.support, episode.task)
    loss = episode.task.target.loss(predictor.logits(episode.query.x), episode.query.y)
    if algorithm == "reptile":
        start = learner.adapt(episode.support, episode.task, steps=0)
        assert loss < episode.task.target.loss(start.logits(episode.query.x), episode.query.y)
        return
    query_loss = step_of(learner, [episode]).traces[0][-1]
    torch.testing.assert_close(loss, query_loss, rtol=EXACT, atol=1e-12)


@cells
def test_a_saved_predictor_predicts_the_same_bits(algorithm, target, tmp_path):
    learner, episode = make_algorithm(algorithm, target), episode_of(TARGETS[target])
    predictor = learner.adapt(episode.support, episode.task)
    predictor.save(tmp_path / "p.safetensors")
    own = None if algorithm == "image-statistics" else Net(seed=9)
    loaded = load_predictor(tmp_path / "p.safetensors", backbone=own)
    assert equal(bits(predictor, episode.query.x), bits(loaded, episode.query.x))
    assert loaded.task == predictor.task == episode.task
    assert loaded.protocol == predictor.protocol
    assert [path.name for path in tmp_path.iterdir()] == ["p.safetensors"]


@cells
def test_a_predictor_outlives_training_and_a_copy_of_the_algorithm_is_its_own(algorithm, target):
    learner, episode = make_algorithm(algorithm, target), episode_of(TARGETS[target])
    predictor = learner.adapt(episode.support, episode.task)
    before = bits(predictor, episode.query.x)
    twin = copy.deepcopy(learner)
    with torch.no_grad():
        for value in [*learner.parameters(), *learner.buffers()]:
            value.add_(1)
    assert equal(before, bits(predictor, episode.query.x))
    assert equal(before, bits(twin.adapt(episode.support, episode.task), episode.query.x))


def renumbered(episode, target, order):
    """The same episode with its classes (or its columns) in another order."""
    to = torch.empty(len(order), dtype=torch.int64)
    to[torch.tensor(order)] = torch.arange(len(order))
    task = Task(episode.task.name, target, episode.task.domain)
    change = (lambda y: y[:, order]) if target.label_shape else (lambda y: to[y])
    support, query = (Batch(batch.x, change(batch.y)) for batch in (episode.support, episode.query))
    return Episode(support, query, task, episode.plan)


ORDER = [2, 0, 1]
SHAPES = ["disc", "square", "star"]
PERMUTED = {
    "multiclass": MultiClass([SHAPES[at] for at in ORDER]),
    "multiclass-weighted": MultiClass([SHAPES[at] for at in ORDER], class_weights=[0.5, 1.0, 2.0]),
    "multilabel": MultiLabel([["cyst", "edema", "mass"][at] for at in ORDER]),
}


@pytest.mark.parametrize(
    ("algorithm", "target"),
    [cell for cell in CELLS if cell[1] in PERMUTED and cell[0] not in RANDOM_HEAD],
)
def test_permuting_classes_permutes_predictions(algorithm, target):
    learner, episode = make_algorithm(algorithm, target), episode_of(TARGETS[target])
    other = renumbered(episode, PERMUTED[target], ORDER)
    one, two = (
        learner.adapt(each.support, each.task)(episode.query.x) for each in (episode, other)
    )
    torch.testing.assert_close(
        one.probabilities[:, ORDER], two.probabilities, rtol=1e-8, atol=1e-10
    )
    assert two.classes == tuple(one.classes[at] for at in ORDER)
    assert [sorted(name) for name in one.names] == [sorted(name) for name in two.names]
    if algorithm in ENSEMBLES:
        return
    losses = [step_of(learner, [each]).losses for each in (episode, other)]
    torch.testing.assert_close(*losses, rtol=1e-8, atol=1e-10)


def reversed_scale(target):
    """The same grades read from the other end."""
    top = target.grades[-1]
    names = dict(
        zip(
            (top - grade for grade in reversed(target.grades)),
            reversed(target.classes),
            strict=True,
        )
    )
    return Ordinal(names, loss=target.loss_name)


SYMMETRIC = ("ordinal", "ordinal-coral", "ordinal-earth_movers", "ordinal-soft_labels")


@pytest.mark.parametrize(
    ("algorithm", "target"),
    [cell for cell in CELLS if cell[1] in SYMMETRIC and cell[0] not in RANDOM_HEAD],
)
def test_reversing_an_ordinal_scale_reverses_its_prediction(algorithm, target):
    learner, episode = make_algorithm(algorithm, target), episode_of(TARGETS[target])
    order = list(reversed(range(episode.task.target.num_classes)))
    other = renumbered(episode, reversed_scale(episode.task.target), order)
    one, two = (
        learner.adapt(each.support, each.task)(episode.query.x) for each in (episode, other)
    )
    torch.testing.assert_close(one.probabilities.flip(1), two.probabilities, rtol=1e-8, atol=1e-10)
    assert one.names == two.names


@pytest.mark.parametrize(
    "algorithm",
    ["maml", "anil", "boil", "reptile", "protonet", "ridge", "linear-probe", "logistic"],
)
def test_episodes_of_all_targets_in_one_meta_loss(algorithm):
    learner = make_algorithm(algorithm, "multiclass")
    episodes = [
        episode_of(target, seed, name=f"task {seed}")
        for seed, target in enumerate(TARGETS.values())
    ]
    episodes.append(episode_of(MultiClass(["a", "b", "c", "d", "e"]), 50, support=10))
    together = step_of(learner, episodes)
    together.loss.backward()
    mixed = [value.grad.clone() for value in learner.backbone.parameters()]
    learner.zero_grad()
    alone = torch.stack([step_of(learner, [episode]).loss for episode in episodes])
    alone.mean().backward()
    torch.testing.assert_close(together.losses, alone.detach(), rtol=EXACT, atol=1e-12)
    for mine, value in zip(mixed, learner.backbone.parameters(), strict=True):
        torch.testing.assert_close(mine, value.grad, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("optimiser", ["sgd", "momentum", "adam"])
@pytest.mark.parametrize("target", TARGETS)
def test_one_step_from_a_zero_head_moves_the_head_alone(target, optimiser):
    learner, episode = MAML(Net(), steps=1, optimiser=optimiser), episode_of(TARGETS[target])
    predictor = learner.adapt(episode.support, episode.task)
    head_only = ANIL(learner.backbone, steps=1, optimiser=optimiser).adapt(
        episode.support, episode.task
    )
    assert torch.equal(predictor.features(episode.query.x), head_only.features(episode.query.x))
    torch.testing.assert_close(
        predictor.logits(episode.query.x), head_only.logits(episode.query.x), rtol=EXACT, atol=1e-12
    )
    moved = learner.adapt(episode.support, episode.task, steps=2)
    assert relative(moved.features(episode.query.x), predictor.features(episode.query.x)) > 1e-6


@pytest.mark.parametrize("target", ["multiclass", "multilabel", "ordinal-coral"])
@pytest.mark.parametrize(
    "algorithm",
    [
        *("maml", "maml-running", "anil", "meta-sgd", "maml-learned-head", "ridge"),
        "ridge-chosen",
        *("logistic", "logistic-mean", "simple-shot"),
    ],
)
def test_lanes_change_nothing(algorithm, target):
    episodes = [episode_of(TARGETS[target], seed) for seed in range(4)]
    loop, lanes = make_algorithm(algorithm, target), make_algorithm(algorithm, target)
    lanes.lanes = 3
    one, two = step_of(loop, episodes), step_of(lanes, episodes)
    assert one.groups == ((0,), (1,), (2,), (3,))
    assert two.groups == ((0, 1, 2), (3,))
    one.loss.backward()
    two.loss.backward()
    for mine, theirs in zip(loop.parameters(), lanes.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-8, atol=1e-12)


def test_targets_that_learn_alike_share_lanes():
    learner = MAML(Net(), steps=1, lanes=8)
    names = [[f"{letter}{seed}" for letter in "abc"] for seed in range(2)]
    others = [
        Ordinal(names[0], [0, 1, 5], loss="soft_labels"),
        Ordinal(names[1], [0, 4, 5], loss="soft_labels"),
    ]
    targets = [
        MultiClass(names[0]),
        MultiClass(dict(zip((3, 17, 29), names[1], strict=True))),
        *others,
    ]
    step = learner.training_step([episode_of(target, seed) for seed, target in enumerate(targets)])
    assert step.groups == ((0, 1), (2,), (3,))


@pytest.mark.parametrize("algorithm", ["maml", "anil", "protonet", "fine-tune"])
def test_dropout_masks_belong_to_seed_and_episode(algorithm):
    episodes = [episode_of(TARGETS["multiclass"], seed) for seed in range(3)]
    learner = make_algorithm(algorithm, "multiclass", dropout=0.5)
    with generators_left_alone("dropout"):
        losses = learner.training_step(episodes).losses
    assert torch.equal(losses, learner.training_step(episodes[::-1]).losses.flip(0))
    assert not torch.allclose(losses, learner.training_step(episodes, seed=1).losses)
    assert not torch.allclose(losses, learner.training_step(episodes, indices=[7, 8, 9]).losses)
    learner.lanes = 3
    torch.testing.assert_close(
        losses, learner.training_step(episodes).losses, rtol=EXACT, atol=1e-12
    )
    bare = [Episode(episode.support, episode.query, episode.task) for episode in episodes]
    with pytest.raises(InputError, match="no plan"):
        learner.training_step(bare)
    assert torch.equal(
        learner.training_step(bare, indices=[0, 1, 2]).losses,
        learner.training_step(episodes).losses,
    )


@pytest.mark.parametrize("target", NOT_LINEAR)
def test_a_prototype_head_is_refused_where_there_is_no_linear_form(target):
    learner, episode = ProtoMAML(Net(), steps=1), episode_of(TARGETS[target])
    with pytest.raises(InputError, match="no prototype head"):
        learner.adapt(episode.support, episode.task)


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm", ["maml", "maml-low-memory", "anil", "imaml", "protonet", "ridge", "fine-tune"]
)
def test_bf16_autocast_runs_and_stays_near(algorithm):
    learner = make_algorithm(algorithm, "multiclass").float()
    episodes = [episode_of(target, seed) for seed, target in enumerate(TARGETS.values())]
    losses = step_of(learner, episodes).losses
    with torch.autocast("cpu", torch.bfloat16):
        step = step_of(learner, episodes)
        step.loss.backward()
        predictor = learner.adapt(episodes[0].support, episodes[0].task)
        assert torch.isfinite(predictor(episodes[0].query.x).probabilities).all()
    torch.testing.assert_close(step.losses, losses, rtol=0.02, atol=0.02)
    assert all(
        torch.isfinite(value.grad).all() for value in learner.parameters() if value.grad is not None
    )


@pytest.mark.parametrize("algorithm", ["maml", "meta-sgd", "protonet-cosine"])
def test_algorithms_can_be_pickled(algorithm):
    learner, episode = make_algorithm(algorithm, "binary"), episode_of(TARGETS["binary"])
    losses = step_of(learner, [episode]).losses
    assert torch.equal(step_of(through_pickle(learner, algorithm), [episode]).losses, losses)
