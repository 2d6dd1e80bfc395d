"""The names and shapes in torchvision's weight files, from the files and the papers' tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

Layout = dict[str, tuple[int, ...]]

RESNETS = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
}


def resnet(name: str) -> Layout:
    kind, depths = RESNETS[name]
    layout: Layout = {"conv1.weight": (64, 3, 7, 7), **dict(norm("bn1", 64))}
    inputs = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        outputs = width if kind == "basic" else 4 * width
        for block in range(depth):
            at = f"layer{stage + 1}.{block}"
            if kind == "basic":
                kernels = [(width, inputs, 3, 3), (width, width, 3, 3)]
            else:
                kernels = [(width, inputs, 1, 1), (width, width, 3, 3), (outputs, width, 1, 1)]
            for number, kernel in enumerate(kernels, start=1):
                layout[f"{at}.conv{number}.weight"] = kernel
                layout.update(norm(f"{at}.bn{number}", kernel[0]))
            if inputs != outputs:
                layout[f"{at}.downsample.0.weight"] = (outputs, inputs, 1, 1)
                layout.update(norm(f"{at}.downsample.1", outputs))
            inputs = outputs
    return {**layout, "fc.weight": (1000, inputs), "fc.bias": (1000,)}


def mobilenet_v2() -> Layout:
    """As in mobilenet_v2-b0353104.pth."""
    lines = Path(__file__).with_name("mobilenet_v2.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.partition(" ")[::2] for line in lines)
    return {name: tuple(map(int, shape.split("x"))) if shape else () for name, shape in pairs}


def efficientnet_lite0() -> Layout:
    """As in efficientnet-lite0-57934424.pth, from Table 1 of the paper."""
    layout: Layout = {"_conv_stem.weight": (32, 3, 3, 3), **dict(norm("_bn0", 32))}
    inputs, number = 32, 0
    stages = ((16, 1, 3), (24, 2, 3), (40, 2, 5), (80, 3, 3), (112, 3, 5), (192, 4, 5), (320, 1, 3))
    for outputs, blocks, kernel in stages:
        for _ in range(blocks):
            at, hidden = f"_blocks.{number}", inputs * (6 if number else 1)
            if number:
                layout[f"{at}._expand_conv.weight"] = (hidden, inputs, 1, 1)
                layout.update(norm(f"{at}._bn0", hidden))
            layout[f"{at}._depthwise_conv.weight"] = (hidden, 1, kernel, kernel)
            layout.update(norm(f"{at}._bn1", hidden))
            layout[f"{at}._project_conv.weight"] = (outputs, hidden, 1, 1)
            layout.update(norm(f"{at}._bn2", outputs))
            inputs, number = outputs, number + 1
    layout |= {"_conv_head.weight": (1280, 320, 1, 1), **dict(norm("_bn1", 1280))}
    return {**layout, "_fc.weight": (1000, 1280), "_fc.bias": (1000,)}


def vit_b_16() -> Layout:
    layout: Layout = {
        "class_token": (1, 1, 768),
        "conv_proj.weight": (768, 3, 16, 16),
        "conv_proj.bias": (768,),
        "encoder.pos_embedding": (1, 197, 768),
    }
    shapes = {
        "ln_1.weight": (768,),
        "ln_1.bias": (768,),
        "self_attention.in_proj_weight": (2304, 768),
        "self_attention.in_proj_bias": (2304,),
        "self_attention.out_proj.weight": (768, 768),
        "self_attention.out_proj.bias": (768,),
        "ln_2.weight": (768,),
        "ln_2.bias": (768,),
        "mlp.0.weight": (3072, 768),
        "mlp.0.bias": (3072,),
        "mlp.3.weight": (768, 3072),
        "mlp.3.bias": (768,),
    }
    for at in range(12):
        layout.update(
            {f"encoder.layers.encoder_layer_{at}.{name}": shape for name, shape in shapes.items()}
        )
    last = {"encoder.ln.weight": (768,), "encoder.ln.bias": (768,)}
    return {**layout, **last, "heads.head.weight": (1000, 768), "heads.head.bias": (1000,)}


def norm(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()
