"""A step whose loss or gradient is not finite is not done, and says who is to blame."""

from dataclasses import replace

import pytest
import torch

from tests.training.subjects import (
    Scores,
    Told,
    batches,
    bits,
    equal,
    magnitude,
    multi_task,
    options,
    protonet,
    sampler,
)
from torchcross.errors import DivergenceError, InputError
from torchcross.training import fit, read_log
from torchcross.training.loop import _Training


class Snapshot:
    """What a run's state was before its last call of the algorithm."""

    def __init__(self, monkeypatch):
        self.run, self.before = None, None
        plain = _Training.__init__

        def remembered(run, *given):
            plain(run, *given)
            self.run = run

        monkeypatch.setattr(_Training, "__init__", remembered)

    def take(self):
        self.before = {name: value.clone() for name, value in self.run.trained.tensors().items()}

    def unchanged(self):
        return equal(self.before, self.run.trained.tensors())


def poisoned(inner, spoil, snapshot, number=5):
    """Every step that has episode `number` is spoilt, however many others it has."""

    def told(_self, _call, step, items):
        snapshot.take()
        return spoil(step) if any(item.plan.index == number for item in items) else step

    return Told(inner, told)


def infinite_loss(step):
    return replace(step, loss=step.loss * torch.inf, losses=step.losses * torch.inf)


def infinite_gradient(step):
    """The value of the loss is as it was."""
    return replace(step, loss=step.loss + Explodes.apply(step.loss))


class Explodes(torch.autograd.Function):
    @staticmethod
    def forward(ctx, loss):
        return torch.zeros_like(loss)

    @staticmethod
    def backward(ctx, above):
        return above * torch.nan


def raised(step):
    raise DivergenceError("the support loss after step 3 is inf")


@pytest.mark.parametrize("at_once", [None, 1])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (infinite_loss, r"episode 5 of '\w+/?.*' has the loss inf"),
        (infinite_gradient, r"episode 5 of '.*' has a gradient that is not finite"),
        (raised, r"episode 5 of '.*': the support loss after step 3 is inf"),
    ],
)
def test_the_episode_and_the_step_are_named_and_nothing_moved(
    spoil, said, at_once, monkeypatch, tmp_path
):
    snapshot = Snapshot(monkeypatch)
    algorithm = poisoned(protonet(), spoil, snapshot)
    chosen = options(at_once=at_once, ema=0.5, clip=1.0)
    with pytest.raises(DivergenceError, match=r"step 3 was not done .*" + said) as caught:
        fit(algorithm, sampler(), chosen, folder=tmp_path)
    assert "episode 4" not in str(caught.value)
    assert "episode 0" not in str(caught.value)
    assert snapshot.unchanged()
    assert all(value.grad is None for value in algorithm.parameters())
    assert [row[0] for row in read_log(tmp_path)] == [1, 2]


def test_buffers_stay_and_batches_are_named(monkeypatch):
    snapshot = Snapshot(monkeypatch)

    class Poisoned(type(multi_task()).__mro__[1]):  # HeadPerTask, of which MultiTask is a final one
        def _loss_factor(self, task, key):
            return 1.0

        def protocol(self):
            return {}

        def training_step(self, items, **given):
            snapshot.take()
            step = super().training_step(items, **given)
            return infinite_loss(step) if any(item.plan.index == 3 for item in items) else step

    plain = multi_task()
    algorithm = Poisoned(plain.backbone, plain.tasks)
    with pytest.raises(
        DivergenceError, match=r"step 2 was not done .*: batch 3 of '.*' has the loss inf\. Param"
    ):
        fit(algorithm, batches(), options())
    assert snapshot.unchanged()
    assert any(name.endswith("running_mean") for name in snapshot.before)


def test_the_state_before_a_diverging_step_is_that_of_a_shorter_run(monkeypatch):
    algorithm = poisoned(protonet(), infinite_loss, Snapshot(monkeypatch))
    with pytest.raises(DivergenceError):
        fit(algorithm, sampler(), options())
    short = protonet()
    fit(short, sampler(), options(steps=2))
    assert equal(bits(algorithm.inner), bits(short))


def test_a_run_that_diverges_does_so_again_when_it_goes_on(monkeypatch, tmp_path):
    chosen = options(checkpoint_every=1)
    with pytest.raises(DivergenceError) as first:
        fit(
            poisoned(protonet(), infinite_loss, Snapshot(monkeypatch)),
            sampler(),
            chosen,
            folder=tmp_path,
        )
    with pytest.raises(DivergenceError) as second:
        fit(
            poisoned(protonet(), infinite_loss, Snapshot(monkeypatch)),
            sampler(),
            chosen,
            folder=tmp_path,
        )
    assert str(first.value) == str(second.value)


def test_a_validation_that_fails_leaves_the_average_out(tmp_path):
    """The parameters of the run come back where `validate` raises."""
    algorithm = protonet()
    with pytest.raises(InputError, match="validate gave"):
        fit(
            algorithm,
            sampler(),
            options(ema=0.5, validate_every=2),
            validate=Scores(float("inf")),
            folder=tmp_path,
        )
    plain = protonet()
    fit(plain, sampler(), options(steps=2))
    assert equal(bits(algorithm), bits(plain))
    done = protonet()
    fit(done, sampler(), options(ema=0.5, validate_every=2), validate=magnitude, folder=tmp_path)
    whole = protonet()
    fit(whole, sampler(), options(ema=0.5, validate_every=2), validate=magnitude)
    assert equal(bits(done), bits(whole))
