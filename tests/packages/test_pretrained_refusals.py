"""Addresses and files that are no backbone: each is refused, with what to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.packages.snapshots import (
    COMMIT,
    SMALL,
    in_cache,
    model_of_open_clip,
    model_of_timm,
    vit_of_transformers,
    write_processor,
)
from torchcross.backbones import build, from_address, from_timm
from torchcross.errors import FetchError, InputError


@pytest.fixture
def vit(tmp_path):
    vit_of_transformers(tmp_path / "vit")
    return tmp_path / "vit"


def change(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_weights(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("timm:vit_tiny_patch16_22", "did you mean 'vit_tiny_patch16_224"),
        (
            "timm:vit_tiny_patch16_224.augreg",
            "set of weights of vit_tiny_patch16_224.*did you mean",
        ),
        ("timm:gcvit_tiny.in1k", r"not on the hub but at https://.*load_weights"),
        ("open_clip:ViT-B-16/openais", "did you mean 'openai'"),
        ("open_clip:ViT-B-16", r"several sets of weights; give pretrained= one of \['openai'"),
        ("open_clip:ViT-B-1", "did you mean 'ViT-B-16'"),
        ("open_clip:ViT-B-32-quickgelu/laion2b_s34b_b79k", "set of weights"),
        ("torchvision:resnet81", "did you mean 'resnet18'"),
        ("torchvision:resnet18/IMAGENET1K_V3", "did you mean 'IMAGENET1K_V1'"),
        ("torchvision:resnet18@main", "a revision, which is for weights of the hub"),
    ],
)
def test_unknown_names_get_a_guess(address, message):
    with pytest.raises((InputError, FetchError), match=message):
        from_address(address)


def test_weights_of_another_network(vit, tmp_path):
    change(vit / "config.json", hidden_size=24)
    with pytest.raises(InputError, match="do not fit the network"):
        from_address(f"hf:{vit}")
    change(vit / "config.json", hidden_size=16, num_hidden_layers=3)
    with pytest.raises(InputError, match=r"16 entries are missing or misshapen"):
        from_address(f"hf:{vit}")
    model_of_timm(tmp_path / "timm")
    with pytest.raises(InputError, match="do not fit the network"):
        from_address(f"timm:{tmp_path / 'timm'}", depth=3)
    change_weights(
        tmp_path / "timm" / "model.safetensors", lambda tensors: tensors.pop("norm.bias")
    )
    with pytest.raises(InputError, match=r"do not fit.*Missing key.*norm.bias"):
        from_address(f"timm:{tmp_path / 'timm'}")
    model_of_open_clip(tmp_path / "clip")
    file = tmp_path / "clip" / "open_clip_model.safetensors"
    change_weights(file, lambda tensors: tensors.pop("visual.ln_post.bias"))
    with pytest.raises(InputError, match=r"1 missing \('ln_post.bias'\)"):
        from_address(f"open_clip:{tmp_path / 'clip'}")
    change_weights(
        file, lambda tensors: [tensors.pop(name) for name in list(tensors) if "vis" in name]
    )
    with pytest.raises(InputError, match="no entries of an image tower"):
        from_address(f"open_clip:{tmp_path / 'clip'}")


def test_values_that_are_not_finite(vit, tmp_path):
    def spoil(tensors):
        name = next(name for name in tensors if name.endswith("layernorm_after.bias"))
        tensors[name][3] = torch.nan

    change_weights(vit / "model.safetensors", spoil)
    with pytest.raises(InputError, match=r"layernorm_after.bias' has values that are not finite"):
        from_address(f"hf:{vit}")


def test_files_that_are_cut_off_or_absent(vit, tmp_path):
    path = vit / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        from_address(f"hf:{vit}")
    path.unlink()
    with pytest.raises(InputError, match=r"has no weights; expected one of model\.safetensors"):
        from_address(f"hf:{vit}")
    (vit / "config.json").write_text("{")
    with pytest.raises(InputError, match=r"config.json cannot be read as JSON.*fetch it again"):
        from_address(f"hf:{vit}")
    (vit / "config.json").unlink()
    for library in ("hf", "timm", "open_clip"):
        with pytest.raises(InputError, match=r"has no (open_clip_)?config.json"):
            from_address(f"{library}:{vit}")
        with pytest.raises(InputError, match="there is no folder"):
            from_address(f"{library}:{tmp_path / 'nowhere'}")


def test_another_librarys_folder(vit, tmp_path):
    with pytest.raises(InputError, match=r"names no architecture of timm.*hf:"):
        from_address(f"timm:{vit}")
    model_of_timm(tmp_path / "timm")
    with pytest.raises(InputError, match=r"no vision model of transformers"):
        from_address(f"hf:{tmp_path / 'timm'}")


def test_what_images_are_wanted_must_be_known(vit):
    (vit / "preprocessor_config.json").unlink()
    with pytest.raises(
        InputError, match=r"does not say what images its weights want.*normalisation"
    ):
        from_address(f"hf:{vit}")
    assert from_address(f"hf:{vit}", normalisation="imagenet").weights.std[0] == 0.229
    write_processor(vit, rescale_factor=1 / 127.5)
    with pytest.raises(InputError, match="does not say"):
        from_address(f"hf:{vit}")
    write_processor(vit, do_normalize=False)
    assert from_address(f"hf:{vit}").weights.mean is None


def test_poolings_that_a_model_does_not_have(vit, tmp_path):
    with pytest.raises(InputError, match="pooling='cls'"):
        from_address(f"hf:{vit}", pooling="cls")
    sizes = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1]}
    vit_of_transformers(tmp_path / "resnet", "resnet", **sizes)
    with pytest.raises(InputError, match=r"pooling='token' is for .*whose tokens are known"):
        from_address(f"hf:{tmp_path / 'resnet'}", pooling="token")


def test_images_of_another_size_than_the_backbone_was_built_for(vit):
    with pytest.raises(InputError, match="built for image_size=32 and got 48 x 48"):
        from_address(f"hf:{vit}")(torch.rand(1, 3, 48, 48))
    assert from_address(f"hf:{vit}", image_size=48)(torch.rand(1, 3, 48, 48)).shape == (1, 16)


def test_code_in_a_configuration_is_never_run(vit):
    (vit / "evil.py").write_text("raise SystemExit('ran')")
    change(vit / "config.json", auto_map={"AutoConfig": "evil.C", "AutoModel": "evil.M"})
    assert from_address(f"hf:{vit}").num_features == 16


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("from_timm", {"name": "test_vit", "pretrained": True}),
        ("from_torchvision", {"name": "resnet18", "pretrained": True}),
        ("from_transformers", {"name": "org/name"}),
        ("from_transformers", {"name": "org/name", "config": {}}),
        ("from_transformers", {"name": "x", "config": {"model_type": "timm_wrapper"}}),
        ("from_transformers", {"name": "x", "config": {"model_type": "bert"}}),
        ("from_transformers", {"name": "x", "config": SMALL, "revision": "main"}),
        ("from_open_clip", {"name": "org/name", "pretrained": "openai"}),
        ("from_open_clip", {"name": "ViT-B-16"}),
        (
            "from_open_clip",
            {
                "name": "x",
                "config": {"embed_dim": 4, "vision_cfg": {"timm_model_name": "hf-hub:org/name"}},
            },
        ),
    ],
)
def test_a_description_from_a_file_fetches_nothing(name, options, monkeypatch):
    def fail(*args, **kwargs):
        raise AssertionError("a description asked for a download")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", fail)
    with pytest.raises(InputError):
        build({"name": name, "options": options})


def test_a_hub_that_cannot_be_reached(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    message = (
        r"config.json of 'org/name' is not in .*cannot be reached.*hf download org/name --local-dir"
    )
    for address in ("hf:org/name", "timm:org/name"):
        with pytest.raises(FetchError, match=message):
            from_address(address, cache=tmp_path)
    with pytest.raises(FetchError, match=r"hf download org/name --revision v2 --local-dir"):
        from_address("open_clip:org/name@v2", cache=tmp_path)
    with pytest.raises(FetchError, match=r"model\.safetensors of 'timm/test_vit\.r160_in1k'"):
        from_timm("test_vit.r160_in1k", pretrained=True, cache=tmp_path)
    with pytest.raises(FetchError, match="is no name of a repository"):
        from_address("hf:a/b/c", cache=tmp_path)


def test_a_server_of_torchvision_that_cannot_be_reached(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no route to host")

    monkeypatch.setattr("torch.hub._hub_dir", str(tmp_path))
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", refuse)
    with pytest.raises(FetchError, match=r"no route to host.*fetch that file, and put it at .*pth"):
        from_address("torchvision:resnet18")


def test_environment_variables_of_the_client_hold(vit, tmp_path):
    """A process of its own: the client reads them when it is imported."""
    in_cache(tmp_path / "home" / "hub", "small/vit", vit)
    program = (
        "from torchcross.backbones import from_address\n"
        "print(from_address('hf:small/vit').weights.revision)\n"
        "from_address('hf:small/other')"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home")}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.stdout.strip() == COMMIT
    assert "FetchError: config.json of 'small/other' is not in" in ran.stderr
