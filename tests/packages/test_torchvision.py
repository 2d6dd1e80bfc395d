"""Real models of torchvision at tiny sizes, in all that an algorithm does with them."""

import pytest
import torch

from tests.packages.architectures import TORCHVISION
from tests.packages.comparisons import (
    Trial,
    features_are_those_of_the_plain_module,
    fine_tuning_is_the_plain_loop,
    the_meta_gradient_is_that_of_the_plain_loop,
)
from torchcross.backbones import build, from_torchvision
from torchcross.errors import InputError
from torchcross.functional import Network


@pytest.mark.parametrize("name", TORCHVISION)
def test_a_model_of_torchvision_is_as_the_plain_module(name):
    side, options = TORCHVISION[name]
    backbone = from_torchvision(name, image_size=side, **options)
    running = Trial(backbone, side, "running")
    features_are_those_of_the_plain_module(running)
    fine_tuning_is_the_plain_loop(running)
    the_meta_gradient_is_that_of_the_plain_loop(Trial(backbone, side, "batch"))


def test_a_vision_transformer_is_built_for_the_side_of_the_images():
    backbone = from_torchvision("vit_b_16", image_size=32)
    backbone.eval()
    with torch.no_grad():
        assert backbone(torch.rand(2, 3, 32, 32)).shape == (2, 768)
    again = build(backbone.spec)
    pairs = zip(again.parameters(), backbone.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


def test_auxiliary_outputs_are_refused():
    backbone = from_torchvision("googlenet", image_size=64, init_weights=False)
    network = Network(backbone)
    params, buffers = network.state()
    with pytest.raises(InputError, match=r"GoogLeNetOutputs.*aux_logits=False"):
        network.masks(params, buffers, torch.rand(2, 3, 64, 64), seed=0, episode=0, part=0)
