"""Runs from models of the real libraries, whose weights lie on disk as in the hub's cache."""

from __future__ import annotations

import json
import shutil

import pytest
import timm
import torch

from tests.experiment.conftest import Toys, toy_experiment
from tests.packages.snapshots import (
    COMMIT,
    SIDE,
    in_cache,
    model_of_open_clip,
    model_of_timm,
    sha256,
    vit_of_transformers,
)
from torchcross.errors import FetchError, InputError
from torchcross.experiment import METHODS, run_experiment, write_page
from torchcross.experiment.rows.starting_networks import starting_network
from torchcross.experiment.run.checks import check_experiment
from torchcross.experiment.run.identity import identity

NAME = "test_vit.r160_in1k"
GREY = {"model.backbone.grey": "expand", "model.normalisation": ""}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """The hub's cache, and no hub."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def toys(monkeypatch):
    monkeypatch.setattr(
        "torchcross.experiment.run.targets.open_collection", lambda kind, folder, **how: Toys()
    )


def addressed(address, **changes):
    return toy_experiment(
        **{"algorithms": ["scratch", "ncm", "logistic"], "shots": [1], "data.targets": ["hole"]},
        **{"model.backbone": {"name": address}, **GREY, **changes},
    )


def test_a_run_from_a_listed_name_of_timm(cache, toys, tmp_path):
    side = timm.get_pretrained_cfg(NAME).input_size[1]
    model_of_timm(tmp_path / "model", "test_vit", {"img_size": side}, num_classes=1000)
    snapshot = in_cache(cache, f"timm/{NAME}", tmp_path / "model")
    with pytest.raises(InputError, match=rf"{side} x {side} pixels.*have 16 x 16; give model\."):
        run_experiment(addressed(f"timm:{NAME}"), tmp_path / "run")
    experiment = addressed(f"timm:{NAME}", **{"model.backbone.image_size": 16})
    assert run_experiment(experiment, tmp_path / "run").complete
    weights = json.loads((tmp_path / "run" / "provenance.json").read_text())["weights"]
    assert weights == json.loads((tmp_path / "run" / "protocol.json").read_text())["weights"]
    assert weights["sha256"] == sha256(snapshot / "model.safetensors")
    assert (weights["revision"], weights["input_size"]) == (COMMIT, [side, side])
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert weights["sha256"] in page
    # The same again has nothing to do; a folder that is copied has no revision.
    assert run_experiment(experiment, tmp_path / "run").complete
    copied = addressed(f"timm:{tmp_path / 'model'}", **{"model.backbone.image_size": 16})
    with pytest.raises(InputError, match=r"model\.weights\.revision"):
        run_experiment(copied, tmp_path / "run")


@pytest.mark.parametrize("library", ["timm", "hf", "open_clip"])
def test_rows_of_every_library(library, tmp_path):
    save = {"timm": model_of_timm, "hf": vit_of_transformers, "open_clip": model_of_open_clip}
    save[library](tmp_path / "model")
    experiment = addressed(f"{library}:{tmp_path / 'model'}")
    check_experiment(experiment)
    published = starting_network(METHODS["ncm"], experiment, 0)
    again = starting_network(METHODS["ncm"], experiment, 1)
    fresh = [starting_network(METHODS["scratch"], experiment, seed) for seed in (0, 0, 1)]
    images = torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        known, same, *others = (net.eval()(images) for net in (published, again, *fresh))
    assert torch.equal(known, same)
    assert torch.equal(others[0], others[1])
    assert not torch.equal(others[0], others[2])
    assert not torch.allclose(known, others[0])
    assert fresh[0].weights is None
    assert fresh[0].spec.options == published.spec.options
    shutil.copytree(tmp_path / "model", tmp_path / "moved")
    assert identity(experiment) == identity(addressed(f"{library}:{tmp_path / 'moved'}"))


def test_other_weights_in_a_folder_are_another_run(tmp_path):
    for place, classes in (("a", 5), ("b", 6)):
        model_of_timm(tmp_path / place / "model", num_classes=classes)
    a, b = (addressed(f"timm:{tmp_path / place / 'model'}") for place in "ab")
    assert identity(a) != identity(b)


@pytest.mark.parametrize(
    ("address", "error", "match"),
    [
        ("timm:vit_tiny_patch16_22", InputError, "did you mean 'vit_tiny_patch16_224"),
        ("timm:vit_tiny_patch16_224.augreg", InputError, "did you mean"),
        (f"timm:{NAME}", FetchError, "hf download"),
        ("hf:facebook/dinov2-base", FetchError, "hf download facebook/dinov2-base"),
        ("open_clip:ViT-B-16/openai", FetchError, "hf download"),
        ("torchvision:resnet81", InputError, "did you mean 'resnet18'"),
    ],
)
def test_refused(cache, address, error, match):
    with pytest.raises(error, match=match):
        check_experiment(addressed(address))


def test_images_of_one_channel_are_for_expanding(tmp_path):
    model_of_timm(tmp_path / "model")
    experiment = addressed(f"timm:{tmp_path / 'model'}", **{"model.backbone.grey": None})
    with pytest.raises(
        InputError, match=r"3 channels, and data\.channels=1; give data\.channels=3"
    ):
        check_experiment(experiment)
    plain = {"model.backbone.pretrained": False, "algorithms": ["ncm"], "data.channels": 1}
    experiment = toy_experiment(
        **{"model.backbone": {"name": "timm:test_vit", "image_size": 16, "img_size": 16}, **plain}
    )
    check_experiment(experiment)
    assert starting_network(METHODS["ncm"], experiment, 0).in_channels == 1
