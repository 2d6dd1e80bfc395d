"""Vision models of Hugging Face's transformers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch

from torchcross._kit.argument_checks import check_choice, checked_text
from torchcross.backbones.base import Backbone, Grey, attach, describe
from torchcross.backbones.foreign import (
    draw_from,
    import_package,
    refuse_unused,
    refuse_values_that_are_not_finite,
)
from torchcross.backbones.hub import (
    ModelFiles,
    explain_misfit,
    find_weights,
    licence_of,
    model_files,
    place_of,
    read_json,
    required_file,
    shown_name,
    weights_digest,
)
from torchcross.backbones.initial_values import Seed
from torchcross.backbones.record import WeightRecord
from torchcross.backbones.transformers_networks import (
    FIXED_SIDES,
    TransformersFeatures,
    class_of,
    configuration_of,
    plain_config,
)
from torchcross.backbones.weights import Normalisation, mean_and_std
from torchcross.backbones.wrap import as_backbone
from torchcross.errors import InputError

TransformersPooling: TypeAlias = Literal["classifier", "token", "mean", "token+mean"]

_SIDE = 224
_WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_PROCESSOR = "preprocessor_config.json"
# PIL's numbers for ways to resize.
_INTERPOLATIONS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def from_transformers(
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    pooling: TransformersPooling = "classifier",
    pretrained: bool = False,
    revision: str | None = None,
    cache: str | Path | None = None,
    normalisation: Normalisation | None = None,
    inside: bool = True,
    grey: Grey = None,
    image_size: int | None = None,
    seed: Seed = 0,
) -> Backbone:
    """A vision model of transformers: a repository ("facebook/dinov2-base"), or a folder.

    Without `pretrained=True` it has random values; then `config` (a dictionary with `model_type`)
    may stand in for the repository's.

    pooling     what of the output is the feature. "classifier": what transformers' own image
                classifier gets. ViT: the class token; CLIP: the mean of the patches before the
                last norm, not CLIP's embedding; DINOv2: class token and mean of the patches;
                ResNet: pooled. "token", "mean", "token+mean": class token, mean of the patches,
                or both, of the last hidden state
    image_size  side of the images; where it is not that of the weights, positions are interpolated

    The other arguments are those of `from_timm`.
    """
    check_choice("pooling", pooling, ("classifier", "token", "mean", "token+mean"))
    transformers = import_package("transformers", "from_transformers")
    files: ModelFiles | None = None
    if config is None or pretrained:
        files = model_files(checked_text("name", name), revision, cache, "from_transformers")
        config = read_json(required_file(files, "config.json"))
    refuse_unused(pretrained, normalisation=normalisation)
    plain = plain_config(transformers, config)
    if not pretrained or files is None:
        with draw_from(seed):
            model = class_of(transformers, plain, pooling)[0].from_config(
                configuration_of(transformers, plain), dtype=torch.float32
            )
        return _backbone(name, model, plain, pooling, grey, image_size)
    model, record = _load(transformers, name, files, plain, pooling, normalisation, seed)
    backbone = _backbone(name, model, plain, pooling, grey, image_size)
    attach(backbone, record, inside=inside)
    return backbone


def _backbone(
    name: str,
    model: Any,
    plain: Mapping[str, Any],
    pooling: str,
    grey: Grey,
    image_size: int | None,
) -> Backbone:
    import transformers

    _, encoder, leading = class_of(transformers, plain, pooling)
    body = TransformersFeatures(model, encoder, pooling, leading)
    vision = getattr(model.config, "vision_config", model.config)
    own_side, kind = getattr(vision, "image_size", None), plain["model_type"]
    own_side = own_side if isinstance(own_side, int) else None
    side = image_size or own_side or _SIDE
    if kind in FIXED_SIDES and side != own_side:
        body.options = {"interpolate_pos_encoding": True}
    channels = getattr(vision, "num_channels", 3)
    backbone = as_backbone(body, in_channels=channels, grey=grey, image_size=side)
    if kind in FIXED_SIDES:
        backbone.image_size = side
    name = shown_name(name)
    options = {"name": name, "config": plain, "pooling": pooling, "grey": grey, "image_size": side}
    describe(backbone, "from_transformers", options)
    return backbone


def _load(
    transformers: Any,
    name: str,
    files: ModelFiles,
    plain: Mapping[str, Any],
    pooling: str,
    normalisation: Normalisation | None,
    seed: Seed,
) -> tuple[Any, WeightRecord]:
    """The model with all of its weights, and their record."""
    paths = find_weights(files, _WEIGHTS)
    digest = weights_digest(paths)
    kind = class_of(transformers, plain, pooling)[0]
    with draw_from(seed), _quiet(transformers):
        model, info = explain_misfit(
            files.label,
            lambda: kind.from_pretrained(
                str(paths[0].parent),
                config=configuration_of(transformers, plain),
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=paths[0].name.startswith("model.safetensors"),
                dtype=torch.float32,
            ),
        )
    _refuse_differences(files.label, info)
    refuse_values_that_are_not_finite(model, paths[0].name)
    processor = files.file(_PROCESSOR)
    wanted = {} if processor is None else read_json(processor)
    mean, std = mean_and_std(normalisation or _published_normalisation(files, wanted))
    text = sorted(each for each in info["unexpected_keys"] if _is_of_text(each))
    notes = (f"{len(text)} entries of the text model left out",) if text else ()
    return model, WeightRecord(
        name=f"hf:{shown_name(name)}",
        source=f"{place_of(files)}, {paths[0].name}",
        sha256=digest,
        mean=mean,
        std=std,
        input_size=_input_size(wanted),
        interpolation=_INTERPOLATIONS.get(wanted.get("resample", -1)),
        licence=licence_of(files),
        revision=files.revision,
        dropped=tuple(sorted(set(info["unexpected_keys"]) - set(text))),
        notes=notes,
    )


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without its bars and its report of a loading, which is checked instead."""
    logging = transformers.utils.logging
    level, has_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if has_bars:
            logging.enable_progress_bar()


def _refuse_differences(label: str, info: Mapping[str, Any]) -> None:
    wrong = [*info["missing_keys"], *map(str, info["mismatched_keys"])]
    if wrong or info.get("error_msgs"):
        shown = ", ".join(map(repr, sorted(wrong)[:4])) or info["error_msgs"]
        raise InputError(
            f"the weights of {label!r} do not fit the network of its config.json: {len(wrong)}"
            f" entries are missing or misshapen ({shown}). It may be a model for something else"
            " than images, or a folder whose files do not belong together"
        )


def _is_of_text(entry: str) -> bool:
    return entry.startswith(("text_", "logit_", "visual_projection"))


def _published_normalisation(files: ModelFiles, wanted: Mapping[str, Any]) -> Normalisation:
    if wanted.get("do_normalize") is False:
        return "none"
    mean, std = wanted.get("image_mean"), wanted.get("image_std")
    scale = wanted.get("rescale_factor", 1 / 255)
    if not isinstance(mean, list) or not isinstance(std, list) or abs(scale * 255 - 1) > 1e-3:
        files.refuse_unreached(_PROCESSOR)
        raise InputError(
            f"{files.label!r} does not say what images its weights want ({_PROCESSOR} with"
            " image_mean and image_std); give normalisation='imagenet', or a pair (mean, std)"
        )
    return (mean, std)


def _input_size(wanted: Mapping[str, Any]) -> tuple[int, int] | None:
    size = wanted.get("crop_size") if wanted.get("do_center_crop", True) else None
    size = size or wanted.get("size")
    if isinstance(size, int):
        return size, size
    if not isinstance(size, Mapping):
        return None
    height = size.get("height", size.get("shortest_edge"))
    width = size.get("width", height)
    are_whole = isinstance(height, int) and isinstance(width, int)
    return (height, width) if are_whole else None
