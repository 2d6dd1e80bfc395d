"""Networks are looked at before they run in lanes, whatever the engine is."""

import pytest
import torch
from torch import nn

from tests.functional.plain_module import problem_of, seeded
from torchcross.errors import InputError
from torchcross.functional import Meta, meta_loss


class Reads(nn.Module):
    """Reads what a transform changes, or nothing of that kind."""

    def __init__(self, what):
        super().__init__()
        self.linear, self.what = nn.Linear(36, 4), what

    def forward(self, x):
        y = torch.tanh(self.linear(x.flatten(1)))
        if self.what == "data":
            return y * y.data
        return y.as_strided(y.shape, (4, 1)) if self.what == "layout" else y


MESSAGES = {"data": r"Reads reads `\.data` of a tensor", "layout": "how a tensor lies in memory"}


def problems_of(module, steps=2):
    problem, meta = problem_of(module, steps)
    leaves = {name: value.detach().requires_grad_() for name, value in meta.params.items()}
    return [problem, problem], Meta(leaves, 0.3, meta.buffers)


@pytest.mark.parametrize("engine", ["reverse", "recompute", "first_order", "implicit"])
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("what", MESSAGES)
def test_a_new_network(what, steps, engine):
    problems, meta = problems_of(seeded(lambda: Reads(what)), steps)
    with pytest.raises(InputError, match=MESSAGES[what]):
        meta_loss(problems, meta, engine=engine, lanes=2)


@pytest.mark.parametrize("what", MESSAGES)
def test_a_new_network_without_gradients(what):
    problems, meta = problems_of(seeded(lambda: Reads(what)))
    with torch.no_grad(), pytest.raises(InputError, match=MESSAGES[what]):
        meta_loss(problems, meta, lanes=2)


@pytest.mark.parametrize("engine", ["reverse", "mixed", "first_order"])
def test_a_network_that_has_changed_since(engine):
    module = seeded(lambda: Reads("nothing"))
    problems, meta = problems_of(module)
    assert torch.isfinite(meta_loss(problems, meta, engine=engine, lanes=2).loss)
    module.what = "data"
    with pytest.raises(InputError, match=MESSAGES["data"]):
        meta_loss(problems, meta, engine=engine, lanes=2)
