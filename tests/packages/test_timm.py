"""Real models of timm at tiny sizes, in all that an algorithm does with them."""

import pytest
import torch

from tests.packages.architectures import TIMM
from tests.packages.comparisons import (
    Trial,
    features_are_those_of_the_plain_module,
    fine_tuning_is_the_plain_loop,
    the_meta_gradient_is_that_of_the_plain_loop,
)
from torchcross.backbones import from_timm


@pytest.mark.parametrize("name", TIMM)
def test_a_model_of_timm_is_as_the_plain_module(name):
    side, options = TIMM[name]
    backbone = from_timm(name, image_size=side, **options)
    state = torch.random.get_rng_state()
    running = Trial(backbone, side, "running")
    assert bool(running.data["ms"]) == bool(options)
    features_are_those_of_the_plain_module(running)
    fine_tuning_is_the_plain_loop(running)
    the_meta_gradient_is_that_of_the_plain_loop(Trial(backbone, side, "batch"))
    assert torch.equal(torch.random.get_rng_state(), state)
