"""Models of transformers and open_clip, and a ViT of timm, in all that an algorithm does."""

from __future__ import annotations

import pytest
import torch

from tests.packages.comparisons import (
    Trial,
    features_are_those_of_the_plain_module,
    fine_tuning_is_the_plain_loop,
    the_meta_gradient_is_that_of_the_plain_loop,
)
from tests.packages.snapshots import CLIP, SIDE, SMALL, model_of_timm
from torchcross.algorithms import (
    ANIL,
    MAML,
    FineTune,
    LinearProbe,
    ProtoNet,
    certify,
    load_predictor,
)
from torchcross.algorithms.checks.sample_episodes import make_sample_episodes
from torchcross.backbones import from_address, from_open_clip, from_transformers

DROPS = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
BACKBONES = {
    "vit": lambda: from_transformers("x", config={**SMALL, **DROPS, "model_type": "vit"}),
    "dinov2": lambda: from_transformers(
        "x", config={**SMALL, "model_type": "dinov2", "drop_path_rate": 0.2}
    ),
    "clip": lambda: from_transformers("x", config={"model_type": "clip", "vision_config": SMALL}),
    "open_clip": lambda: from_open_clip("x", config=CLIP),
    "open_clip, pooled": lambda: from_open_clip(
        "x", config={**CLIP, "quick_gelu": True}, pooling="pooled"
    ),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_a_model_is_as_the_plain_module(name):
    backbone = BACKBONES[name]()
    running = Trial(backbone, SIDE, "running")
    features_are_those_of_the_plain_module(running)
    fine_tuning_is_the_plain_loop(running)
    the_meta_gradient_is_that_of_the_plain_loop(Trial(backbone, SIDE, "batch"))


@pytest.fixture(scope="module")
def pretrained_vit(tmp_path_factory):
    folder = tmp_path_factory.mktemp("vit") / "model"
    options = {"img_size": SIDE, "embed_dim": 12, "depth": 1, "num_heads": 2}
    model_of_timm(folder, options=options)
    return from_address(f"timm:{folder}")


@pytest.mark.parametrize("kind", [MAML, ANIL, FineTune, LinearProbe, ProtoNet])
def test_a_pretrained_vit_of_timm_takes_part(kind, pretrained_vit, tmp_path):
    """In every algorithm, with a certificate, and as a predictor that is saved and loaded."""
    algorithm = kind(pretrained_vit, **({"steps": 1} if kind is not ProtoNet else {}))
    episode = make_sample_episodes(algorithm)[1]
    certificate = certify(algorithm, directions=1, episodes=[episode])
    assert certificate.holds, certificate
    before = {name: value.clone() for name, value in pretrained_vit.state_dict().items()}
    predictor = algorithm.adapt(episode.support, episode.task)
    assert all(
        torch.equal(value, before[name]) for name, value in pretrained_vit.state_dict().items()
    )
    predictor.save(tmp_path / "it.safetensors")
    again = load_predictor(tmp_path / "it.safetensors")
    images = episode.query.x
    assert torch.equal(again.logits(images), predictor.logits(images))
    assert pretrained_vit.weights.sha256.encode() in (tmp_path / "it.safetensors").read_bytes()
