"""Networks of transformers from their configurations, and what of their output is the feature."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, final

import torch
from torch import Tensor, nn

from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.foreign import is_plain
from torchcross.backbones.hub import explain_misfit
from torchcross.errors import InputError

# The encoder in a classifier ("": there is no classifier), and its tokens before the patches.
_ENCODERS: Mapping[str, tuple[str, int]] = {
    "beit": ("beit", 1),
    "clip": ("vision_model", 1),
    "deit": ("deit", 2),
    "dinov2": ("dinov2", 1),
    "dinov2_with_registers": ("dinov2_with_registers", 1),
    "dinov3_vit": ("", 1),
    "vit": ("vit", 1),
    "vit_msn": ("vit", 1),
}
# They refuse images of another size than the one in their configuration, unless they are asked.
FIXED_SIDES = ("clip", "deit", "siglip", "vit", "vit_msn")
# They look for models elsewhere, or classify more than an image.
_UNSUITABLE = ("timm_wrapper", "shieldgemma2", "perceiver", "imagegpt")
# What a configuration says of a file, of classes, or of code; none of it makes the network.
_LEFT_OUT = {
    *("_name_or_path", "architectures", "auto_map", "dtype", "torch_dtype", "id2label", "label2id"),
    *("num_labels", "problem_type", "quantization_config", "transformers_version"),
    *("_attn_implementation", "attn_implementation", "text_config", "use_kernels"),
}


@final
class TransformersFeatures(nn.Module):
    """A vision model of transformers whose output is (N, D)."""

    def __init__(self, model: nn.Module, encoder: str, pooling: str, leading: int) -> None:
        super().__init__()
        self.model = model
        self.encoder, self.pooling, self.leading = encoder, pooling, leading
        self.options: dict[str, bool] = {}

    def forward(self, images: Tensor) -> Tensor:
        if self.pooling == "classifier":
            logits: Tensor = self.model(pixel_values=images, **self.options).logits
            return logits.flatten(1)
        encoder = getattr(self.model, self.encoder) if self.encoder else self.model
        tokens: Tensor = encoder(pixel_values=images, **self.options).last_hidden_state
        parts = []
        if "token" in self.pooling:
            parts.append(tokens[:, 0])
        if "mean" in self.pooling:
            parts.append(tokens[:, self.leading :].mean(1))
        return torch.cat(parts, 1)


def plain_config(transformers: Any, config: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a configuration that make the network, of a kind that is known to fit."""
    kind = config.get("model_type")
    known = transformers.models.auto.modeling_auto.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    kinds = sorted({*known, *_ENCODERS} - {*_UNSUITABLE})
    if kind not in kinds:
        raise InputError(unknown_name("vision model of transformers (model_type)", kind, kinds))
    if not is_plain(config):
        raise InputError("config has values that are no numbers, texts, lists or dictionaries")
    return _without(config)


def _without(config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _without(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in _LEFT_OUT
    }


def configuration_of(transformers: Any, plain: Mapping[str, Any]) -> Any:
    options = copy.deepcopy(dict(plain))
    kind = options.pop("model_type")
    configuration = explain_misfit(kind, lambda: transformers.AutoConfig.for_model(kind, **options))
    configuration.num_labels = 0
    return configuration


def class_of(transformers: Any, plain: Mapping[str, Any], pooling: str) -> tuple[Any, str, int]:
    """(the class that builds the model, the name of its encoder, tokens before the patches)."""
    kind = plain["model_type"]
    encoder, leading = _ENCODERS.get(kind, ("", 0))
    has_classifier = not (kind in _ENCODERS and not encoder)
    if pooling == "classifier" and not has_classifier:
        raise InputError(
            f"transformers has no image classifier for {kind!r}; give pooling='token', 'mean' or"
            " 'token+mean'"
        )
    if pooling != "classifier" and kind not in _ENCODERS:
        raise InputError(
            f"pooling={pooling!r} is for {', '.join(_ENCODERS)}, whose tokens are known; give"
            f" pooling='classifier' for {kind!r}"
        )
    if not has_classifier:
        return transformers.AutoModel, encoder, leading + int(plain.get("num_register_tokens", 0))
    registers = int(plain.get("num_register_tokens", 4)) if "registers" in kind else 0
    return transformers.AutoModelForImageClassification, encoder, leading + registers
