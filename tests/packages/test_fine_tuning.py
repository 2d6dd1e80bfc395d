"""Vision transformers of timm and transformers in fine-tuning, MAML and ANIL: plain loops agree."""

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from timm.optim import param_groups_layer_decay
from torch import nn

from tests.algorithms.cases import TARGETS, episode_of
from torchcross import certify
from torchcross.algorithms import ANIL, MAML, FineTune
from torchcross.backbones import from_timm, from_torchvision
from torchcross.episode import Batch, Episode

SMALL = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 3, "num_heads": 2}
STEPS, DECAY, RATE = 4, 0.6, 0.004


def small_vit(**options):
    return from_timm("vit_tiny_patch16_224", image_size=16, seed=0, **SMALL, **options).double()


def colour_episode(seed):
    """The made-up episode with images of three channels."""
    made = episode_of(TARGETS["multiclass"], seed, size=16)
    support, query = (
        Batch(batch.x.repeat(1, 3, 1, 1), batch.y) for batch in (made.support, made.query)
    )
    return Episode(support, query, made.task, made.plan)


def rates_of(backbone):
    return FineTune(backbone, lr=1.0, layer_decay=DECAY)._fixed_rates()


def test_fine_tuning_is_adamw_with_the_groups_of_timm():
    episode, backbone = colour_episode(1), small_vit()
    tuned = FineTune(
        backbone, steps=STEPS, lr=0.05, backbone_lr=RATE, layer_decay=DECAY, optimiser="adamw",
        weight_decay=0.1, head="zero", normalise=None,
    ).adapt(episode.support, episode.task)  # fmt: skip
    module = copy.deepcopy(backbone).train()
    bodies = [
        layer for layer in module.modules() if isinstance(layer, timm.models.VisionTransformer)
    ]
    groups = param_groups_layer_decay(
        bodies[0], weight_decay=0.1, no_weight_decay_list=(), layer_decay=DECAY
    )
    head = nn.Linear(24, 3).double()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    # timm spares vectors from weight decay; here it holds for all parameters. Without a head timm's
    # last block has the whole rate, and the final norm is of that block; as in MAE and BEiT it is
    # the norm that has the whole rate here, and the block one factor less.
    last = [value for name, value in bodies[0].named_parameters() if name.startswith("norm.")]
    named = [{"params": last, "lr": RATE}, {"params": list(head.parameters()), "lr": 0.05}]
    for each in groups:
        own = [value for value in each["params"] if all(value is not one for one in last)]
        named.append({"params": own, "lr": RATE * DECAY * each["lr_scale"]})
    theirs = torch.optim.AdamW(named, weight_decay=0.1)
    for _ in range(STEPS):
        theirs.zero_grad()
        F.cross_entropy(head(module(episode.support.x)), episode.support.y).backward()
        theirs.step()
    expected = dict(module.named_parameters())
    for name, value in tuned.tensors["params"].items():
        torch.testing.assert_close(value, expected[name].detach(), rtol=1e-9, atol=1e-9)
    for name, value in head.named_parameters():
        found = tuned.tensors["head"][f"head.{name}"]
        torch.testing.assert_close(found, value.detach(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [MAML, ANIL])
def test_meta_gradients_of_a_vit_of_timm_are_exact(kind):
    learner = kind(small_vit(), steps=2, lr=0.01)
    certificate = certify(learner, [colour_episode(0)], directions=1)
    assert certificate.holds, str(certificate)
    assert certificate.order == 2


@pytest.mark.parametrize("head", ["proto", "logistic"])
def test_a_vit_of_timm_is_fine_tuned_as_an_ensemble(head, tmp_path):
    episode = colour_episode(2)
    learner = FineTune(
        small_vit(drop_path_rate=0.2), steps=2, lr=(0.1, 0.01), backbone_lr=(0.01, 0.001),
        layer_decay=DECAY, head=head, batch=4,
    )  # fmt: skip
    predictor = learner.adapt(episode.support, episode.task)
    again = learner.adapt(episode.support, episode.task)
    probabilities = predictor(episode.query.x).probabilities
    assert torch.equal(probabilities, again(episode.query.x).probabilities)
    torch.testing.assert_close(
        predictor.to_module()(episode.query.x), probabilities, rtol=1e-9, atol=1e-12
    )


def test_depths_of_other_architectures():
    swin = rates_of(
        from_timm("swin_tiny_patch4_window7_224", image_size=32, img_size=32, window_size=4)
    )
    stages = {rate for name, rate in swin.items() if "layers." in name}
    assert stages == {DECAY**away for away in (1, 2, 3, 4)}
    resnet = rates_of(from_torchvision("resnet18"))
    assert len({rate for name, rate in resnet.items() if "layer" in name}) == 8
    assert min(resnet.values()) == pytest.approx(DECAY**9)
