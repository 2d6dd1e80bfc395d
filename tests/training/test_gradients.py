"""Gradients live from one backward pass to the next: nobody outside of a step meets one."""

from itertools import pairwise

import pytest
import torch

from tests.training.subjects import (
    SUBJECTS,
    Few,
    Told,
    batches,
    bits,
    equal,
    multi_task,
    options,
    protonet,
    sampler,
)
from torchcross.data import Episodes
from torchcross.errors import DivergenceError, InputError
from torchcross.training import fit


def gradients(module):
    return [value.grad for value in module.parameters() if value.grad is not None]


@pytest.mark.slow
@pytest.mark.parametrize("subject", SUBJECTS)
def test_what_was_left_from_elsewhere_does_not_count(subject):
    make, data = SUBJECTS[subject]
    clean, dirty = make(), make()
    for value in dirty.parameters():
        value.grad = torch.full_like(value, 1000.0)
    for algorithm in (clean, dirty):
        fit(algorithm, data(), options())
    assert equal(bits(clean), bits(dirty))
    assert not gradients(dirty)


def test_heads_of_other_tasks_stay_when_theirs_is_not_in_the_batch():
    """A gradient of an earlier step, or zeros in its place, would let the optimiser move them
    on.
    """
    algorithm, seen = multi_task(), []

    def validate(trained):
        seen.append(bits(trained.heads))
        return 0.0

    plans = batches()
    fit(algorithm, plans, options(steps=12, meta_batch=1, validate_every=1), validate=validate)
    names = {source.name: number for number, source in enumerate(plans.sources)}
    moved = [
        {key for key in before if not torch.equal(before[key], after[key])}
        for before, after in pairwise(seen)
    ]
    drawn = [names[plans[step].source] for step in range(1, 12)]
    of_task = {
        number: set.union(*(keys for keys, one in zip(moved, drawn, strict=True) if one == number))
        for number in names.values()
    }
    assert len(of_task) == 2
    assert all(of_task.values())
    assert not of_task[0] & of_task[1]


def test_validation_sees_none():
    found = []

    def validate(algorithm):
        found.append(len(gradients(algorithm)))
        return 0.0

    algorithm = protonet()
    fit(algorithm, sampler(), options(validate_every=2), validate=validate)
    assert found == [0, 0, 0]
    assert not gradients(algorithm)


def test_none_is_left_where_training_ends_early():
    algorithm = protonet()
    with pytest.raises(InputError, match="the Few ended"):
        fit(algorithm, Few(Episodes(sampler()), 5), options())
    assert not gradients(algorithm)
    algorithm = protonet()
    result = fit(
        algorithm, sampler(), options(validate_every=1, patience=2), validate=lambda trained: 0.5
    )
    assert result.stopped == "patience"
    assert not gradients(algorithm)


def test_a_step_that_diverges_before_its_backward_pass_leaves_none():
    found = []

    def spoil(algorithm, call, step, episodes):
        found.append(len(gradients(algorithm)))
        if call >= 2:
            raise DivergenceError("the support loss is inf")
        return step

    algorithm = Told(protonet(), spoil)
    with pytest.raises(
        DivergenceError, match=r"step 2 was not done \(loss nan, norm of the gradient 0\)"
    ):
        fit(algorithm, sampler(), options())
    assert found[1], "those of the step before are there, and must not be taken for this one's"
    assert not gradients(algorithm)
