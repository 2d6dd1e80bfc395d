"""BatchNorm weights of each inner step start alike, are learned apart, and are saved."""

import pytest
import torch
from torch import nn

import torchcross as tx
from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross.algorithms import MAML
from torchcross.errors import InputError

STEPS = 2


def stepwise(**options):
    return MAML(Net(), steps=STEPS, norm="per_step", norm_weights="per_step", **options).double()


def grads_of(algorithm, episode):
    algorithm.meta_loss([episode]).backward()
    return {name: value.grad for name, value in algorithm.named_parameters()}


def test_rows_share_out_the_gradient_of_shared_weights():
    episode, rows = episode_of(TARGETS["multiclass"]), stepwise()
    names = rows.affine.names
    shared = MAML(
        Net(), steps=STEPS, norm="per_step", adapted=lambda name: name not in names
    ).double()
    apart, together = grads_of(rows, episode), grads_of(shared, episode)
    for name, grad in together.items():
        plain = name.removeprefix("backbone.")
        if plain in names:
            found = apart[f"affine.rows.{plain.replace('.', '/')}"]
            assert found.shape == (STEPS + 1, *grad.shape)
            assert (found.abs().amax(1) > 0).all()
            torch.testing.assert_close(found.sum(0), grad, rtol=1e-9, atol=1e-12)
            assert apart[name] is None
        else:
            torch.testing.assert_close(apart[name], grad, rtol=1e-9, atol=1e-12)


def test_rows_are_not_moved_by_the_inner_loop_and_are_used_at_their_step():
    episode, algorithm = episode_of(TARGETS["binary"]), stepwise()
    before = algorithm.adapt(episode.support, episode.task).logits(episode.query.x)
    with torch.no_grad():
        for rows in algorithm.affine.rows.values():
            rows[STEPS] += 0.5
    after = algorithm.adapt(episode.support, episode.task)
    assert not torch.allclose(before, after.logits(episode.query.x))
    for name, rows in algorithm.affine.values().items():
        assert torch.equal(after.tensors["params"][name], rows)
    first = algorithm.adapt(episode.support, episode.task, steps=1).logits(episode.query.x)
    assert torch.equal(
        first, stepwise().adapt(episode.support, episode.task, steps=1).logits(episode.query.x)
    )


def test_saved_and_loaded(tmp_path):
    episode, algorithm = episode_of(TARGETS["ordinal"]), stepwise()
    predictor = algorithm.adapt(episode.support, episode.task)
    predictor.save(tmp_path / "p.safetensors")
    loaded = tx.load_predictor(tmp_path / "p.safetensors", Net().double())
    assert torch.equal(loaded.logits(episode.query.x), predictor.logits(episode.query.x))
    assert loaded.protocol["norm_weights"] == "per_step"


def test_refused():
    with pytest.raises(InputError, match="goes with norm='per_step', not with norm='batch'"):
        MAML(Net(), norm_weights="per_step")
    with pytest.raises(InputError, match="not one of 'shared', 'per_step'"):
        MAML(Net(), norm="per_step", norm_weights="rows")
    with pytest.raises(InputError, match="the backbone has none"):
        MAML(nn.Flatten(), features=4, norm="per_step", norm_weights="per_step")
    episode = episode_of(TARGETS["binary"])
    with pytest.raises(InputError, match=f"{STEPS} inner steps"):
        stepwise().adapt(episode.support, episode.task, steps=STEPS + 1)
