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
from torchcross.backbones import build, from_timm


@pytest.mark.parametrize("options", [{}, {"img_size": 32}])
def test_a_vision_transformer_is_built_for_the_side_of_the_images(options):
    small = {"embed_dim": 24, "depth": 2, "num_heads": 2}
    backbone = from_timm("vit_tiny_patch16_224", image_size=32, **small, **options)
    assert backbone(torch.rand(2, 3, 32, 32)).shape == (2, 24)
    again = build(backbone.spec)
    pairs = zip(again.parameters(), backbone.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    usual = from_timm("vit_tiny_patch16_224", image_size=224, **small)
    assert "img_size" not in usual.spec.options


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
