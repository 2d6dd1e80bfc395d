import sys

import pytest
import torch

from tests.algorithms.cases import TARGETS, WIDTH, Net, episode_of
from tests.interop import fakes
from torchcross.algorithms import MAML, MultiTask, TaskBatch
from torchcross.errors import MissingExtraError
from torchcross.interop import lightning_module
from torchcross.task import Task

EPISODES = [episode_of(TARGETS[name], seed) for seed, name in enumerate(("binary", "multilabel"))]


@pytest.fixture
def lightning(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning", fakes.lightning())


def by_hand(algorithm, batches):
    optimiser = torch.optim.SGD(algorithm.parameters(), 0.1)
    for batch in batches:
        step = algorithm.training_step(batch)
        optimiser.zero_grad()
        step.loss.backward()
        optimiser.step()
        with torch.no_grad():
            for name, value in step.buffers.items():
                algorithm.get_buffer(name).copy_(value)
    return algorithm


@pytest.mark.slow
@pytest.mark.usefixtures("lightning")
def test_training_is_that_of_a_loop_by_hand():
    batches = [EPISODES, EPISODES[:1]]
    module = lightning_module(
        MAML(Net(), steps=2, norm="running"), lambda parameters: torch.optim.SGD(parameters, 0.1)
    )
    assert isinstance(module, fakes.LightningModule)
    fakes.Trainer().fit(module, batches, [EPISODES])
    expected = by_hand(MAML(Net(), steps=2, norm="running"), batches)
    assert all(
        torch.equal(value, module.algorithm.state_dict()[name])
        for name, value in expected.state_dict().items()
    )
    assert any("running_mean" in name for name in expected.state_dict())
    names = [(name, options["batch_size"]) for name, _, options in module.logged]
    assert names == [("train_loss", 2), ("train_loss", 1), ("val_loss", 2)]
    with torch.no_grad():
        assert module.logged[-1][1] == pytest.approx(float(expected.meta_loss(EPISODES)))


@pytest.mark.usefixtures("lightning")
def test_epochs_reach_what_is_annealed_and_pretraining_trains():
    module = lightning_module(MAML(Net(), steps=1, first_order_epochs=1))
    assert isinstance(module.configure_optimizers(), torch.optim.Adam)
    module.current_epoch = 3
    module.training_step(EPISODES, 0).backward()
    task = Task("made-up", TARGETS["binary"], "toys")
    pretraining = lightning_module(MultiTask(Net(), [task], features=WIDTH).double())
    fakes.Trainer().fit(pretraining, [[TaskBatch(EPISODES[0].support, task)]], [])
    assert pretraining.logged[0][0] == "train_loss"


def test_without_lightning_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning", None)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    with pytest.raises(MissingExtraError, match=r"torchcross-fewshot\[lightning\]"):
        lightning_module(MAML(Net(), steps=1))
