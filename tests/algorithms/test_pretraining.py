"""Multi-task pre-training and full supervision."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from tests.algorithms.cases import TARGETS, WIDTH, Net, episode_of, same, snapshot
from torchcross import backbones
from torchcross.algorithms import FineTune, MultiTask, Supervised, TaskBatch, load_predictor
from torchcross.data import MixedBatches, TaskSource, toys
from torchcross.errors import InputError, LabelError
from torchcross.targets import Binary
from torchcross.task import Task
from torchcross.testing.surroundings import generators_left_alone
from torchcross.training import FitOptions, fit

TASKS = [Task(f"task {name}", target, "toys") for name, target in TARGETS.items()]


def batch_of(task, seed=0):
    return TaskBatch(episode_of(task.target, seed).support, task)


def multi(**options):
    return MultiTask(Net(), TASKS, features=WIDTH, **options).double()


@pytest.mark.parametrize("task", TASKS, ids=TARGETS)
def test_the_loss_is_the_targets_and_its_gradient_is_autograds(task):
    learner, batch = multi(), batch_of(task)
    before = snapshot(learner)
    with generators_left_alone("training_step"):
        step = learner.training_step([batch])
    assert same(before, snapshot(learner))
    step.loss.backward()
    net, head = copy.deepcopy(learner.backbone).train(), learner.heads.of(task)
    net.zero_grad()
    features = net(batch.batch.x)
    expected = task.target.loss(
        task.target.head.logits(features, head["head.weight"], head["head.bias"]), batch.batch.y
    )
    torch.testing.assert_close(step.loss, expected, rtol=1e-10, atol=1e-12)
    grads = torch.autograd.grad(expected, list(net.parameters()))
    for mine, grad in zip(learner.backbone.parameters(), grads, strict=True):
        torch.testing.assert_close(mine.grad, grad, rtol=1e-8, atol=1e-12)
    others = [value for name, value in learner.heads.named_parameters() if value.grad is not None]
    assert len(others) == 2
    for name, value in net.named_buffers():
        torch.testing.assert_close(step.buffers[f"backbone.{name}"], value)


def test_losses_are_scaled_from_a_batch_on():
    counts = [10, 5, *[2] * (len(TASKS) - 2)]
    plain, scaled = multi(), multi(batches=counts, scaled_from=30)
    batch = batch_of(TASKS[1])
    for number, factor in ((0, 1), (29, 1), (30, 2), (31, 2)):
        torch.testing.assert_close(
            scaled.loss([batch], indices=[number]), factor * plain.loss([batch])
        )
    assert scaled.protocol()["loss_scaled"].endswith("number of batches, from batch 30 on")
    assert multi(batches=counts).protocol()["loss_scaled"].endswith("number of batches")
    with pytest.raises(InputError, match="has no plan, and the scale of its loss"):
        scaled.loss([batch])
    with pytest.raises(InputError, match="scaled_from=30 without batches="):
        multi(scaled_from=30)


def test_heads_may_start_at_zero():
    zero = multi(head="zero")
    assert not any(value.any() for value in zero.heads.parameters())
    assert all(value.any() for value in multi().heads.parameters())
    assert zero.protocol()["heads"] == "zero"
    assert "heads" not in multi().protocol(), "trainings of earlier versions go on"
    alone = Supervised(Net(), TASKS[0], features=WIDTH, head="zero")
    assert not any(value.any() for value in alone.heads.parameters())
    assert alone.protocol()["heads"] == "zero"
    with pytest.raises(InputError, match="heads cannot start from 'proto'"):
        multi(head="proto")


def test_losses_are_scaled_by_numbers_of_batches():
    plain, scaled = multi(), multi(batches=[10, 5, *[2] * (len(TASKS) - 2)])
    for place, factor in ((0, 1), (1, 2), (2, 5)):
        batch = batch_of(TASKS[place])
        torch.testing.assert_close(scaled.loss([batch]), factor * plain.loss([batch]))
        assert torch.equal(
            scaled.training_step([batch]).losses, plain.training_step([batch]).losses
        )
    assert "largest" in scaled.protocol()["loss_scaled"]
    with pytest.raises(InputError, match="one number of 1 or more for each"):
        multi(batches=[1])


def test_predictors_use_running_statistics(tmp_path):
    learner = multi()
    for task in TASKS:
        episode, predictor = episode_of(task.target), learner.predictor(task)
        head, net = learner.heads.of(task), copy.deepcopy(learner.backbone).eval()
        expected = task.target.head.logits(
            net(episode.query.x), head["head.weight"], head["head.bias"]
        )
        torch.testing.assert_close(predictor.logits(episode.query.x), expected.detach())
        predictor.save(tmp_path / "p.safetensors")
        loaded = load_predictor(tmp_path / "p.safetensors", Net(1))
        assert torch.equal(loaded.logits(episode.query.x), predictor.logits(episode.query.x))


def test_what_it_does_not_know_is_refused():
    learner, batch = multi(), batch_of(TASKS[2])
    with pytest.raises(InputError, match=r"no head for the task 'other'.*'task binary'"):
        learner.loss([TaskBatch(batch.batch, Task("other", batch.task.target, "toys"))])
    with pytest.raises(InputError, match="give whole tasks"):
        learner.loss([TaskBatch(batch.batch, batch.task.restrict(["disc", "star"]))])
    with pytest.raises(LabelError, match="a batch of task 'task multiclass'"):
        learner.loss([TaskBatch(type(batch.batch)(batch.batch.x, batch.batch.y + 7), batch.task)])
    with pytest.raises(InputError, match="at least one batch"):
        learner.loss([])
    with pytest.raises(InputError, match="give features="):
        MultiTask(Net(), TASKS)
    with pytest.raises(InputError, match=r"made features of shape \(8, 4\).*expect \(N, 9\)"):
        MultiTask(Net(), TASKS, features=9).double().loss([batch])


def test_dropout_belongs_to_the_number_of_the_batch():
    task = TASKS[0]
    learner = Supervised(Net(dropout=0.5), task, features=WIDTH).double()
    batch = batch_of(task)
    assert torch.equal(learner.loss([batch], indices=[3]), learner.loss([batch], indices=[3]))
    assert not torch.equal(learner.loss([batch], indices=[3]), learner.loss([batch], indices=[4]))
    assert not torch.equal(
        learner.loss([batch], indices=[3]), learner.loss([batch], indices=[3], seed=1)
    )
    with pytest.raises(InputError, match="no plan"):
        learner.loss([batch])
    with pytest.raises(InputError, match="2 indices"):
        learner.loss([batch], indices=[3, 4])


def test_supervised_training_learns_and_its_backbone_can_be_adapted():
    source = toys.binary(64, size=12)
    batches = MixedBatches(source, batch_size=32, seed=0)
    learner = Supervised(Net().float(), source.task, features=WIDTH)
    optimiser = torch.optim.Adam(learner.parameters(), 1e-2)
    losses = []
    for number in range(40):
        step = learner.training_step([batches.read(batches[number])])
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
        for name, value in step.buffers.items():
            learner.get_buffer(name).copy_(value)
        losses.append(step.loss.item())
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert int(learner.backbone.norm1.num_batches_tracked) == 40
    predictor = FineTune(learner.backbone, steps=2).adapt(
        batches.read(batches[0]).batch, source.task
    )
    assert predictor.protocol["algorithm"] == "FineTune"
    assert learner.protocol()["algorithm"] == "Supervised"


def test_plain_functional_call_agrees():
    """The same as the reference in this file, without the module's own buffers."""
    task, net = Task("t", Binary(), "toys"), Net()
    batch = batch_of(task)
    learner = Supervised(net, task, features=WIDTH).double()
    buffers = {name: value.clone() for name, value in net.named_buffers()}
    features = functional_call(
        net.train(), {**dict(net.named_parameters()), **buffers}, (batch.batch.x,)
    )
    head = learner.heads.of(task)
    expected = F.binary_cross_entropy_with_logits(
        (features @ head["head.weight"].T + head["head.bias"])[:, 0], batch.batch.y.double()
    )
    torch.testing.assert_close(learner.loss([batch]), expected)


class Stored(TaskSource):
    """Vectors that were computed before, in place of images."""

    def images(self, indices):
        generator = torch.Generator().manual_seed(0)
        return torch.randn(len(self), WIDTH, generator=generator)[torch.tensor(list(indices))]


@pytest.mark.parametrize(
    "make", [Supervised, lambda backbone, task: MultiTask(backbone, [task])], ids=["one", "many"]
)
def test_heads_are_trained_on_stored_features(make):
    task = Task("stored", TARGETS["multiclass"], "toys")
    source = Stored(task, [0, 1, 2] * 8)
    learner = make(backbones.vectors(WIDTH), task)
    before = [value.clone() for value in learner.heads.parameters()]
    batches = MixedBatches(source, batch_size=6, seed=0)
    fit(learner, batches, FitOptions(steps=2, meta_batch=1, lr=0.1), progress=False)
    assert not any(map(torch.equal, before, learner.heads.parameters()))
    assert learner.predictor(task)(source.read([0, 1])).probabilities.shape == (2, 3)
