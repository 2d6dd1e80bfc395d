"""Small models with random weights, saved by their own libraries as the hub's cache holds them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

COMMIT = "0123456789abcdef0123456789abcdef01234567"
SIDE = 32
SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": SIDE,
    "patch_size": 16,
}
TEXT = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
CARD = "---\nlicense: apache-2.0\ntags: [small]\n---\nA small model.\n"
MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
TIMM = {"img_size": SIDE, "embed_dim": 24, "depth": 2, "num_heads": 2}
CLIP = {
    "embed_dim": 12,
    "vision_cfg": {"layers": 2, "width": 16, "head_width": 8, "patch_size": 16, "image_size": SIDE},
    "text_cfg": {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1},
}


@contextmanager
def drawn(seed: int) -> Iterator[None]:
    """Values that are unlike a model's initial ones come from this seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def shaken(model: nn.Module) -> nn.Module:
    """The model with all parameters moved, so that none has its initial value by chance."""
    with torch.no_grad():
        for value in model.parameters():
            value.add_(torch.randn_like(value) * 0.1)
    return model.eval()


def vit_of_transformers(folder: Path, kind: str = "vit", **options: Any) -> nn.Module:
    """A classifier of images, as `save_pretrained` writes it."""
    import transformers

    with drawn(1):
        config = transformers.AutoConfig.for_model(kind, **(options or SMALL), num_labels=3)
        model = shaken(transformers.AutoModelForImageClassification.from_config(config))
    model.save_pretrained(folder)  # type: ignore[operator]
    write_processor(folder)
    return model


def write_processor(folder: Path, **changes: Any) -> None:
    processor = {
        "do_normalize": True,
        "image_mean": list(MEAN),
        "image_std": list(STD),
        "resample": 3,
        "rescale_factor": 1 / 255,
        "size": {"height": SIDE, "width": SIDE},
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor | changes))
    (folder / "README.md").write_text(CARD)


def model_of_timm(
    folder: Path,
    name: str = "vit_tiny_patch16_224",
    options: Mapping[str, Any] = TIMM,
    num_classes: int = 5,
) -> nn.Module:
    """A model of timm, as `save_for_hf` writes it."""
    import timm
    from timm.models import save_for_hf

    with drawn(2):
        model = shaken(timm.create_model(name, num_classes=num_classes, **options))
    folder.mkdir(parents=True, exist_ok=True)
    save_for_hf(model, folder, safe_serialization=True)
    (folder / "README.md").write_text(CARD)
    return model


def model_of_open_clip(folder: Path, **changes: Any) -> Any:
    """A CLIP, as open_clip's `save_for_hf` writes it."""
    import open_clip
    from open_clip.push_to_hf_hub import save_config_for_hf
    from safetensors.torch import save_file

    config = {**CLIP, **changes}
    with drawn(3):
        model = shaken(open_clip.CLIP(**config))
    open_clip.model.set_model_preprocess_cfg(
        model, {"mean": MEAN, "std": STD, "interpolation": "bicubic", "size": SIDE}
    )
    folder.mkdir(parents=True, exist_ok=True)
    save_config_for_hf(model, folder / "open_clip_config.json", config)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    save_file(tensors, folder / "open_clip_model.safetensors")
    (folder / "README.md").write_text(CARD)
    return model


def in_cache(cache: Path, name: str, folder: Path) -> Path:
    """Put a folder into a cache as the hub's client lays it out; return its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    blobs = repository / "blobs"
    blobs.mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    for path in folder.iterdir():
        if path.is_file():
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            shutil.copy(path, blobs / digest)
            (snapshot / path.name).symlink_to(blobs / digest)
    return snapshot


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
