"""Pretrained weights by address: what the library itself computes, and a record of where from."""

from __future__ import annotations

import shutil

import open_clip
import pytest
import timm
import torch
import transformers

from tests.packages.snapshots import (
    COMMIT,
    MEAN,
    SIDE,
    SMALL,
    STD,
    TEXT,
    TIMM,
    drawn,
    in_cache,
    model_of_open_clip,
    model_of_timm,
    sha256,
    shaken,
    vit_of_transformers,
    write_processor,
)
from torchcross.backbones import build, from_address, from_open_clip, from_timm, from_torchvision
from torchcross.errors import InputError

KINDS = {
    "vit": SMALL,
    "dinov2": SMALL,
    "dinov2_with_registers": {**SMALL, "num_register_tokens": 3},
    "clip": {"vision_config": SMALL, "text_config": {**TEXT, "eos_token_id": 2}},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]},
    "swin": {
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [1, 2],
        "window_size": 2,
        "image_size": SIDE,
        "patch_size": 4,
    },
}


@pytest.fixture
def images():
    return torch.rand(3, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def normalised(images, mean=MEAN, std=STD):
    return (images - torch.tensor(mean).view(-1, 1, 1)) / torch.tensor(std).view(-1, 1, 1)


@torch.no_grad()
def features(backbone, images):
    return backbone.eval()(images)


def assert_described(backbone, images):
    """A description, as JSON has it, and the numbers make the same backbone again."""
    again = build(backbone.spec.as_dict())
    again.load_state_dict(backbone.state_dict())
    assert again.spec == backbone.spec
    assert torch.equal(features(again, images), features(backbone, images))


@pytest.mark.parametrize("kind", KINDS)
def test_transformers(kind, tmp_path, images):
    folder = tmp_path / "model"
    vit_of_transformers(folder, kind, **KINDS[kind])
    state = torch.random.get_rng_state()
    backbone = from_address(f"hf:{folder}")
    assert torch.equal(torch.random.get_rng_state(), state)
    theirs = transformers.AutoModelForImageClassification.from_pretrained(folder, num_labels=0)
    with torch.no_grad():
        expected = theirs(normalised(images)).logits.flatten(1)
    assert torch.equal(features(backbone, images), expected)
    record = backbone.weights
    assert record.name == "hf:model"
    assert record.source == "the folder model, model.safetensors"
    assert record.sha256 == sha256(folder / "model.safetensors")
    assert (record.mean, record.std) == (MEAN, STD)
    assert (record.input_size, record.interpolation) == ((SIDE, SIDE), "bicubic")
    assert record.licence == "apache-2.0"
    assert all(entry.startswith("classifier") for entry in record.dropped)
    assert_described(backbone, images)


@pytest.mark.parametrize("kind", ["vit", "dinov2", "dinov2_with_registers", "clip"])
def test_pooling_of_tokens(kind, tmp_path, images):
    vit_of_transformers(tmp_path / "model", kind, **KINDS[kind])
    theirs = transformers.AutoModelForImageClassification.from_pretrained(
        tmp_path / "model", num_labels=0
    )
    encoder = getattr(theirs, {"clip": "vision_model"}.get(kind, kind))
    with torch.no_grad():
        tokens = encoder(normalised(images)).last_hidden_state
    patches = (SIDE // SMALL["patch_size"]) ** 2
    expected = {"token": tokens[:, 0], "mean": tokens[:, -patches:].mean(1)}
    expected["token+mean"] = torch.cat(list(expected.values()), 1)
    for pooling, values in expected.items():
        backbone = from_address(f"hf:{tmp_path / 'model'}", pooling=pooling)
        assert torch.equal(features(backbone, images), values)
        assert backbone.spec.options["pooling"] == pooling


def test_a_model_without_a_classifier(tmp_path, images):
    """DINOv3 has register tokens between class token and patches."""
    with drawn(1):
        config = transformers.AutoConfig.for_model("dinov3_vit", **SMALL, num_register_tokens=2)
        theirs = shaken(transformers.AutoModel.from_config(config))
    theirs.save_pretrained(tmp_path / "model")
    write_processor(tmp_path / "model")
    with torch.no_grad():
        tokens = theirs(normalised(images)).last_hidden_state
    expected = torch.cat([tokens[:, 0], tokens[:, 3:].mean(1)], 1)
    backbone = from_address(f"hf:{tmp_path / 'model'}", pooling="token+mean")
    assert torch.equal(features(backbone, images), expected)
    assert_described(backbone, images)
    with pytest.raises(InputError, match="no image classifier for 'dinov3_vit'; give pooling="):
        from_address(f"hf:{tmp_path / 'model'}")


def test_clip_pools_before_the_last_norm(tmp_path, images):
    """The pooling of the published benchmark."""
    vit_of_transformers(tmp_path / "clip", "clip", **KINDS["clip"])
    backbone = from_address(f"hf:{tmp_path / 'clip'}")
    vision = backbone.body.model.vision_model
    with torch.no_grad():
        hidden = vision.encoder(vision.pre_layrnorm(vision.embeddings(normalised(images))))
    assert torch.equal(features(backbone, images), hidden.last_hidden_state[:, 1:].mean(1))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vit_tiny_patch16_224", TIMM),
        ("test_vit", {"img_size": SIDE}),
        ("test_resnet", {}),
        ("test_convnext", {}),
        ("mobilenetv3_small_050", {}),
    ],
)
def test_timm(name, options, tmp_path, images):
    folder = tmp_path / "model"
    model_of_timm(folder, name, options)
    backbone = from_address(f"timm:{folder}", image_size=SIDE)
    theirs = timm.create_model(f"local-dir:{folder}", pretrained=True, num_classes=0).eval()
    record = backbone.weights
    with torch.no_grad():
        expected = theirs(normalised(images, record.mean, record.std))
    assert torch.equal(features(backbone, images), expected)
    assert record.sha256 == sha256(folder / "model.safetensors")
    config = theirs.pretrained_cfg
    assert (record.mean, record.std) == (tuple(config["mean"]), tuple(config["std"]))
    assert record.input_size == tuple(config["input_size"][1:])
    assert (record.interpolation, record.licence) == (config["interpolation"], "apache-2.0")
    assert len(record.dropped) == 2
    assert_described(backbone, images)


def test_timm_for_grey_images_and_another_size(tmp_path):
    folder = tmp_path / "model"
    model_of_timm(folder)
    backbone = from_address(
        f"timm:{folder}", in_channels=1, image_size=48, normalisation=((0.5,), (0.25,))
    )
    grey = torch.rand(2, 1, 48, 48, generator=torch.Generator().manual_seed(1))
    theirs = timm.create_model(
        f"local-dir:{folder}", pretrained=True, num_classes=0, in_chans=1, img_size=48
    )
    with torch.no_grad():
        expected = theirs.eval()((grey - 0.5) / 0.25)
    assert torch.equal(features(backbone, grey), expected)
    assert backbone.weights.notes == ("timm turned the first layer from 3 to 1 channels",)
    assert backbone.weights.input_size == (SIDE, SIDE)
    assert_described(backbone, grey)


@pytest.mark.parametrize("quick", [False, True])
def test_open_clip(quick, tmp_path, images):
    folder = tmp_path / "model"
    model_of_open_clip(folder, quick_gelu=quick)
    backbone = from_address(f"open_clip:{folder}")
    theirs = open_clip.create_model(f"local-dir:{folder}").eval()
    with torch.no_grad():
        expected = theirs.encode_image(normalised(images))
    assert torch.equal(features(backbone, images), expected)
    record = backbone.weights
    assert record.sha256 == sha256(folder / "open_clip_model.safetensors")
    assert (record.mean, record.std, record.input_size) == (MEAN, STD, (SIDE, SIDE))
    assert (record.interpolation, record.licence) == ("bicubic", "apache-2.0")
    assert_described(backbone, images)
    pooled = from_address(f"open_clip:{folder}", pooling="pooled")
    with torch.no_grad():
        projected = features(pooled, images) @ theirs.visual.proj
    torch.testing.assert_close(projected, expected)
    assert_described(pooled, images)


def test_open_clip_for_images_of_another_size(tmp_path):
    folder = tmp_path / "model"
    model_of_open_clip(folder)
    images = torch.rand(2, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    backbone = from_address(f"open_clip:{folder}", image_size=48)
    theirs = open_clip.create_model(f"local-dir:{folder}", force_image_size=48).eval()
    with torch.no_grad():
        assert torch.equal(features(backbone, images), theirs.encode_image(normalised(images)))
    assert "positions interpolated for images of another size" in backbone.weights.notes


def test_weights_of_a_listed_name_of_open_clip(tmp_path, monkeypatch, images):
    """The activation is that of the weights; open_clip would warn and take the other one."""
    model_of_open_clip(tmp_path / "model", quick_gelu=True)
    in_cache(tmp_path / "cache", "small/clip", tmp_path / "model")
    shutil.copy(tmp_path / "model" / "open_clip_config.json", tmp_path / "x.json")
    listed = {"small": {"hf_hub": "small/clip/", "mean": MEAN, "std": STD, "quick_gelu": True}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "tiny", listed)
    config = {key: value for key, value in _config(tmp_path).items() if key != "quick_gelu"}
    monkeypatch.setattr(open_clip, "list_models", lambda: ["tiny"])
    monkeypatch.setattr(open_clip, "get_model_config", lambda name: dict(config))
    offline(monkeypatch)
    backbone = from_address("open_clip:tiny/small", cache=tmp_path / "cache")
    theirs = open_clip.create_model(f"local-dir:{tmp_path / 'model'}").eval()
    with torch.no_grad():
        assert torch.equal(features(backbone, images), theirs.encode_image(normalised(images)))
    assert backbone.weights.name == "open_clip:tiny/small"
    assert backbone.weights.source == "huggingface.co/small/clip, open_clip_model.safetensors"
    assert backbone.weights.revision == COMMIT
    same = from_open_clip("tiny", pretrained="small", cache=tmp_path / "cache")
    assert same.weights == backbone.weights


def _config(folder):
    import json

    return json.loads((folder / "x.json").read_text())["model_cfg"]


def offline(monkeypatch):
    """As HF_HUB_OFFLINE=1, which the client reads when it is imported."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_listed_name_of_timm_from_the_cache(tmp_path, monkeypatch):
    offline(monkeypatch)
    side = timm.get_pretrained_cfg("test_vit.r160_in1k").input_size[1]
    model_of_timm(tmp_path / "model", "test_vit", {"img_size": side}, num_classes=1000)
    snapshot = in_cache(tmp_path / "cache", "timm/test_vit.r160_in1k", tmp_path / "model")
    # Its classifier has as many classes as the weights that timm lists.
    backbone = from_address("timm:test_vit.r160_in1k", cache=tmp_path / "cache")
    assert backbone.weights.revision == COMMIT
    assert backbone.weights.source == "huggingface.co/timm/test_vit.r160_in1k, model.safetensors"
    assert backbone.weights.sha256 == sha256(snapshot / "model.safetensors")
    by_revision = from_timm(
        "test_vit.r160_in1k", pretrained=True, revision=COMMIT, cache=tmp_path / "cache"
    )
    assert by_revision.weights == backbone.weights


def test_a_repository_at_a_revision(tmp_path, monkeypatch, images):
    offline(monkeypatch)
    vit_of_transformers(tmp_path / "model")
    in_cache(tmp_path / "cache", "small/vit", tmp_path / "model")
    backbone = from_address(f"hf:small/vit@{COMMIT}", cache=tmp_path / "cache")
    folder = from_address(f"hf:{tmp_path / 'model'}")
    assert torch.equal(features(backbone, images), features(folder, images))
    assert backbone.weights.revision == COMMIT
    assert backbone.weights.source == "huggingface.co/small/vit, model.safetensors"


def test_split_weights(tmp_path, images):
    model = vit_of_transformers(tmp_path / "whole")
    model.save_pretrained(tmp_path / "split", max_shard_size="10KB")
    shutil.copy(tmp_path / "whole" / "preprocessor_config.json", tmp_path / "split")
    assert len(list((tmp_path / "split").glob("*.safetensors"))) > 1
    whole, split = (from_address(f"hf:{tmp_path / part}") for part in ("whole", "split"))
    assert torch.equal(features(whole, images), features(split, images))
    assert split.weights.source.endswith("model.safetensors.index.json")
    assert split.weights.sha256 != whole.weights.sha256


def test_torchvision(tmp_path, monkeypatch, images):
    import torchvision

    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    weights = torchvision.models.get_model_weights("shufflenet_v2_x0_5")["DEFAULT"]
    (tmp_path / "checkpoints").mkdir()
    model = torchvision.models.shufflenet_v2_x0_5().eval()
    torch.save(model.state_dict(), tmp_path / "checkpoints" / weights.url.rpartition("/")[2])
    backbone = from_address("torchvision:shufflenet_v2_x0_5", image_size=SIDE)
    model.fc = torch.nn.Identity()
    preset = weights.transforms()
    with torch.no_grad():
        expected = model(normalised(images, preset.mean, preset.std))
    assert torch.equal(features(backbone, images), expected)
    record = backbone.weights
    assert record.name == "torchvision:shufflenet_v2_x0_5/IMAGENET1K_V1"
    assert (record.input_size, record.interpolation) == ((224, 224), "bilinear")
    same = from_torchvision("shufflenet_v2_x0_5", pretrained="IMAGENET1K_V1", image_size=SIDE)
    assert same.weights == record
    assert_described(backbone, images)


def test_random_values_by_address(tmp_path, images):
    """The architecture alone, from the same address."""
    vit_of_transformers(tmp_path / "vit")
    (tmp_path / "vit" / "model.safetensors").unlink()
    addresses = [f"hf:{tmp_path / 'vit'}", "timm:test_resnet", "torchvision:mnasnet0_5"]
    for address in addresses:
        first, same, other = (
            from_address(address, pretrained=False, image_size=SIDE, seed=seed)
            for seed in (1, 1, 2)
        )
        assert first.weights is None
        assert torch.equal(features(first, images), features(same, images))
        assert not torch.equal(features(first, images), features(other, images))
        assert_described(first, images)
