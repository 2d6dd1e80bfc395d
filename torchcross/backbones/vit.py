"""A vision transformer (Dosovitskiy et al. 2021) under torchvision's names.

Its attention can be differentiated twice.
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, final

import torch
from torch import Tensor, nn

from torchcross._kit.argument_checks import check_choice, checked_int
from torchcross.backbones.base import Backbone, Grey, assemble
from torchcross.backbones.initial_values import Seed, initialise_norm
from torchcross.errors import InputError

Pooling: TypeAlias = Literal["token", "mean"]

_EPS = 1e-6


def small_vit(
    *,
    image_size: int = 64,
    patch_size: int = 8,
    width: int = 192,
    depth: int = 6,
    heads: int = 3,
    mlp_width: int | None = None,
    pooling: Pooling = "token",
    in_channels: int = 3,
    grey: Grey = None,
    seed: Seed = 0,
) -> ViT:
    """A vision transformer for square images of one size; `width` features.

    The default of `mlp_width` is four times `width`. `pooling`: the features are those of the class
    `"token"`, or the `"mean"` over the patches. With torchvision's sizes (224, 16, 768, 12, 12) its
    vit_b_16 files load.
    """
    return assemble(
        "small_vit",
        ViT,
        seed,
        image_size=image_size,
        patch_size=patch_size,
        width=width,
        depth=depth,
        heads=heads,
        mlp_width=mlp_width,
        pooling=pooling,
        in_channels=in_channels,
        grey=grey,
    )


@final
class ViT(Backbone):
    classifier = ("heads.*",)

    def __init__(
        self,
        *,
        image_size: int,
        patch_size: int,
        width: int,
        depth: int,
        heads: int,
        mlp_width: int | None,
        pooling: Pooling,
        in_channels: int,
        grey: Grey,
    ) -> None:
        sizes = {
            "image_size": image_size,
            "patch_size": patch_size,
            "width": width,
            "depth": depth,
            "heads": heads,
            "mlp_width": 4 * width if mlp_width is None else mlp_width,
        }
        for name, value in sizes.items():
            checked_int(name, value)
        check_choice("pooling", pooling, ("token", "mean"))
        _check_multiple(image_size=image_size, patch_size=patch_size)
        _check_multiple(width=width, heads=heads)
        super().__init__(width, in_channels=in_channels, grey=grey)
        self.image_size = image_size
        self.pooling = pooling
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.conv_proj = nn.Conv2d(in_channels, width, patch_size, stride=patch_size)
        tokens = (image_size // patch_size) ** 2 + 1
        self.encoder = _Encoder(tokens, width, depth, heads, sizes["mlp_width"])

    def _features(self, images: Tensor) -> Tensor:
        patches = self.conv_proj(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(images.shape[0], -1, -1), patches], dim=1)
        encoded: Tensor = self.encoder(tokens)
        return encoded[:, 0] if self.pooling == "token" else encoded[:, 1:].mean(1)

    @torch.no_grad()
    def _initialise(self, generator: torch.Generator) -> None:
        """As torchvision's: patches truncated normal, matrices by Glorot & Bengio (2010)."""
        self.class_token.zero_()
        fan_in = self.conv_proj.weight[0].numel()
        nn.init.trunc_normal_(self.conv_proj.weight, std=math.sqrt(1 / fan_in), generator=generator)
        if self.conv_proj.bias is not None:
            self.conv_proj.bias.zero_()
        nn.init.normal_(self.encoder.pos_embedding, std=0.02, generator=generator)
        for layer in self.modules():
            if isinstance(layer, nn.LayerNorm):
                initialise_norm(layer)
            elif isinstance(layer, _Attention):
                nn.init.xavier_uniform_(layer.in_proj_weight, generator=generator)
                layer.in_proj_bias.zero_()
                nn.init.kaiming_uniform_(layer.out_proj.weight, a=math.sqrt(5), generator=generator)
                layer.out_proj.bias.zero_()
            elif isinstance(layer, _Layer):
                for linear in layer.mlp:
                    if isinstance(linear, nn.Linear):
                        nn.init.xavier_uniform_(linear.weight, generator=generator)
                        nn.init.normal_(linear.bias, std=1e-6, generator=generator)


@final
class _Encoder(nn.Module):
    def __init__(self, tokens: int, width: int, depth: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(torch.empty(1, tokens, width))
        self.layers = nn.Sequential()
        for at in range(depth):
            self.layers.add_module(f"encoder_layer_{at}", _Layer(width, heads, mlp_width))
        self.ln = nn.LayerNorm(width, eps=_EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        encoded: Tensor = self.ln(self.layers(tokens + self.pos_embedding))
        return encoded


@final
class _Layer(nn.Module):
    def __init__(self, width: int, heads: int, mlp_width: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width, eps=_EPS)
        self.self_attention = _Attention(width, heads)
        self.ln_2 = nn.LayerNorm(width, eps=_EPS)
        # torchvision has dropout at 2 and 4; the places keep the names.
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_width),
            nn.GELU(),
            nn.Identity(),
            nn.Linear(mlp_width, width),
            nn.Identity(),
        )

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.self_attention(self.ln_1(tokens))
        out: Tensor = tokens + self.mlp(self.ln_2(tokens))
        return out


@final
class _Attention(nn.Module):
    """softmax(q k' / sqrt(d)) v per head (Vaswani et al. 2017).

    It is written out because torch's fused forms have no second derivative.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        samples, count, width = tokens.shape
        mixed = nn.functional.linear(tokens, self.in_proj_weight, self.in_proj_bias)
        split = mixed.view(samples, count, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4).unbind(0)
        scores = (queries / math.sqrt(width // self.heads)) @ keys.transpose(-2, -1)
        attended = scores.softmax(-1) @ values
        out: Tensor = self.out_proj(attended.transpose(1, 2).reshape(samples, count, width))
        return out


def _check_multiple(**pair: int) -> None:
    (whole, size), (part, step) = pair.items()
    if size % step:
        raise InputError(f"{whole}={size} is not a multiple of {part}={step}")
