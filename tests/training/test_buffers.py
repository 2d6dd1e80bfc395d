"""New values of buffers from several pieces and several ranks, where some have none."""

import pytest
import torch

from tests.training.subjects import Told, options, protonet, sampler
from torchcross.training import FitOptions, Machine, TorchMachine, fit
from torchcross.training.step import Stepper

MEAN, COUNT = ".norm.running_mean", ".norm.num_batches_tracked"


def named(algorithm, ending):
    (name,) = [name for name, _ in algorithm.named_buffers() if name.endswith(f".0{ending}")]
    return name


@pytest.mark.parametrize("which", [1, 2])
def test_a_piece_that_left_a_buffer_alone_stands_for_its_value_of_before(which):
    """Whichever piece it is: the mean is over the new value and the old one."""

    def tell(algorithm, call, step, episodes):
        if call != which:
            return step
        full = torch.full_like(algorithm.get_buffer(named(algorithm, MEAN)), 8.0)
        return step.__class__(**{**fields_of(step), "buffers": {named(algorithm, MEAN): full}})

    algorithm = Told(protonet(), tell)
    name = named(algorithm, MEAN)
    algorithm.get_buffer(name).fill_(2.0)
    fit(algorithm, sampler(), options(steps=1, at_once=1))
    assert torch.equal(algorithm.get_buffer(name), torch.full_like(algorithm.get_buffer(name), 5.0))


def fields_of(step):
    return {name: getattr(step, name) for name in type(step).__dataclass_fields__}


class Pair(Machine):
    """Rank 0 of two; what the other one adds to each sum is known beforehand."""

    device, precision, rank, ranks = torch.device("cpu"), "32", 0, 2

    def __init__(self, *others):
        self.others = list(others)

    def autocast(self):
        return TorchMachine().autocast()

    def sum(self, values):
        other = self.others.pop(0)
        return values + torch.as_tensor(other, dtype=values.dtype).expand_as(values)


def test_over_ranks_numbers_are_means_and_counts_the_largest():
    algorithm = protonet()
    names = list(dict(algorithm.named_buffers()))
    mean, count = named(algorithm, MEAN), named(algorithm, COUNT)
    algorithm.get_buffer(count).fill_(5)
    own = {mean: torch.full_like(algorithm.get_buffer(mean), 3.0), count: torch.tensor(6)}
    params = {name: value for name, value in algorithm.named_parameters() if value.requires_grad}
    # The other rank has a loss of 2, was asked to stop, and left every gradient and buffer alone.
    flags = [2.0, 1.0, 0.0] + [0.0] * (len(params) + len(names))
    order = [name for name in names if name in own]
    machine = Pair(flags, *[{mean: 1.0, count: 5}[name] for name in order])
    chosen = FitOptions(steps=1, meta_batch=2)
    stepper = Stepper(algorithm, None, chosen, machine, params)
    loss, merged, asked = stepper._sum_over_ranks(torch.tensor(1.5), own, False, None)
    assert (float(loss), asked, machine.others) == (3.5, True, [])
    assert merged.keys() == own.keys()
    assert torch.equal(merged[mean], torch.full_like(own[mean], 2.0))
    assert int(merged[count]) == 6
    assert merged[count].dtype == torch.int64
