"""The image towers of open_clip's models."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from torch import nn

from torchcross._kit.argument_checks import check_choice, checked_text
from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.base import Backbone, Grey, attach, describe
from torchcross.backbones.foreign import (
    check_plain_name,
    draw_from,
    import_package,
    is_plain,
    refuse_unused,
)
from torchcross.backbones.hub import (
    HubFiles,
    ModelFiles,
    explain_misfit,
    find_weights,
    is_folder,
    licence_of,
    model_files,
    place_of,
    read_json,
    required_file,
    shown_name,
)
from torchcross.backbones.initial_values import Seed
from torchcross.backbones.matching import match_entries, write_entries
from torchcross.backbones.record import WeightRecord
from torchcross.backbones.weight_files import Entries, read_entries
from torchcross.backbones.weights import Normalisation, mean_and_std
from torchcross.backbones.wrap import as_backbone
from torchcross.errors import InputError

OpenClipPooling: TypeAlias = Literal["projected", "pooled"]

WEIGHT_FILES = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
)
_CONFIG = "open_clip_config.json"
_TOWER = "visual."
# A text tower has to be built too; this one takes no memory.
_SMALL_TEXT = {"context_length": 4, "vocab_size": 8, "width": 8, "heads": 1, "layers": 1}


@dataclass(frozen=True)
class PublishedClip:
    """A model of open_clip with weights: its configuration, and where its files are."""

    config: Mapping[str, Any]
    preprocessing: Mapping[str, Any]
    files: ModelFiles
    candidates: tuple[str, ...]


def from_open_clip(
    name: str,
    *,
    config: Mapping[str, Any] | None = None,
    pooling: OpenClipPooling = "projected",
    pretrained: bool | str = False,
    revision: str | None = None,
    cache: str | Path | None = None,
    normalisation: Normalisation | None = None,
    inside: bool = True,
    grey: Grey = None,
    image_size: int | None = None,
    seed: Seed = 0,
) -> Backbone:
    """The image tower of a model of open_clip: a name of its list, a repository, or a folder.

    `pretrained` is the tag of the weights of a listed name ("openai"), or True for a repository
    ("laion/CLIP-ViT-H-14-laion2B-s32B-b79K") or a folder with such files. Without, it has random
    values; then `config` (a `model_cfg` of open_clip) may stand in for that of the name.

    pooling     "projected": the embedding that is compared with texts. "pooled": what is projected
    image_size  side of the images; where it is not that of the weights, positions are interpolated

    The other arguments are those of `from_timm`.
    """
    check_choice("pooling", pooling, ("projected", "pooled"))
    open_clip = import_package("open_clip", "from_open_clip", install="open_clip_torch")
    checked_text("name", name)
    if not pretrained:
        refuse_unused(pretrained, revision=revision, cache=cache, normalisation=normalisation)
        plain = _plain_config(_listed_config(open_clip, name) if config is None else config)
        return _backbone(open_clip, name, plain, pooling, grey, image_size, seed)[0]
    published = find_published(open_clip, name, pretrained, revision, cache)
    plain = _plain_config(published.config)
    backbone, clip = _backbone(open_clip, name, plain, pooling, grey, image_size, seed)
    label = f"{name}/{pretrained}" if isinstance(pretrained, str) else shown_name(name)
    record = _load(backbone, clip, label, published, normalisation)
    attach(backbone, record, inside=inside)
    return backbone


def find_published(
    open_clip: Any, name: str, tag: bool | str, revision: str | None, cache: str | Path | None
) -> PublishedClip:
    """The configuration and the files of a model's weights."""
    if isinstance(tag, str):
        return _listed_model(open_clip, name, tag, revision, cache)
    bare = name.removeprefix("hf-hub:")
    if not is_folder(bare) and "/" not in bare:
        tags = open_clip.list_pretrained_tags_by_model(name)
        _listed_config(open_clip, name)
        raise InputError(f"{name!r} has several sets of weights; give pretrained= one of {tags}")
    files = model_files(bare, revision, cache, "from_open_clip")
    content = read_json(required_file(files, _CONFIG))
    config, preprocessing = content.get("model_cfg"), content.get("preprocess_cfg", {})
    if not isinstance(config, dict) or not isinstance(preprocessing, dict):
        raise InputError(f"the {_CONFIG} of {files.label!r} has no model_cfg; fetch it again")
    return PublishedClip(config, preprocessing, files, WEIGHT_FILES)


def _listed_model(
    open_clip: Any, name: str, tag: str, revision: str | None, cache: str | Path | None
) -> PublishedClip:
    config = _listed_config(open_clip, name)
    published = open_clip.get_pretrained_cfg(name, tag)
    if not published:
        tags = open_clip.list_pretrained_tags_by_model(name)
        raise InputError(unknown_name(f"set of weights of open_clip's {name}", tag, tags))
    uses_quick = bool(published.get("quick_gelu", False))
    if config.get("quick_gelu") and not uses_quick:
        raise InputError(
            f"the weights {tag!r} were made without QuickGELU, and {name!r} has it; give the name"
            " without -quickgelu"
        )
    # open_clip itself would only warn, and compute with another activation than the weights'.
    config = {**config, "quick_gelu": uses_quick}
    repository, _, file = published.get("hf_hub", "").rpartition("/")
    if not repository:
        raise InputError(f"open_clip's {name}/{tag} is not on the hub; fetch it from its publisher")
    files = HubFiles(repository, revision, cache, "from_open_clip")
    safe = file.rpartition(".")[0] + ".safetensors"
    return PublishedClip(config, published, files, (safe, file) if file else WEIGHT_FILES)


def _listed_config(open_clip: Any, name: str) -> dict[str, Any]:
    known = open_clip.list_models()
    if name not in known:
        raise InputError(unknown_name("model of open_clip", name, known))
    config: dict[str, Any] = open_clip.get_model_config(name)
    return config


def _plain_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """What makes the image tower; nothing in it can ask for a download."""
    vision, width = config.get("vision_cfg"), config.get("embed_dim")
    if not isinstance(vision, Mapping) or not isinstance(width, int) or not is_plain(vision):
        raise InputError("a configuration of open_clip has embed_dim and vision_cfg")
    vision = {**vision}
    if name := vision.get("timm_model_name"):
        check_plain_name(name)
        vision["timm_model_pretrained"] = False
    return {
        "embed_dim": width,
        "quick_gelu": bool(config.get("quick_gelu", False)),
        "vision_cfg": vision,
    }


def _backbone(
    open_clip: Any,
    name: str,
    plain: Mapping[str, Any],
    pooling: str,
    grey: Grey,
    image_size: int | None,
    seed: Seed,
) -> tuple[Backbone, Any]:
    """The image tower with random values, and the whole model that it was built in."""
    plain = copy.deepcopy(dict(plain))
    own_side = plain["vision_cfg"].get("image_size", 224)
    side = own_side if image_size is None else image_size
    plain["vision_cfg"]["image_size"] = side
    with draw_from(seed):
        clip = explain_misfit(name, lambda: open_clip.CLIP(**plain, text_cfg=dict(_SMALL_TEXT)))
    tower = clip.visual
    if hasattr(tower, "output_tokens"):
        tower.output_tokens = False
    if pooling == "pooled":
        _without_projection(name, tower)
    if not isinstance(side, int):
        raise InputError(f"{name!r} is for images of {side}, and only square ones have a backbone")
    backbone = as_backbone(tower, grey=grey, image_size=side)
    backbone.image_size = side
    name = shown_name(name)
    options = {"name": name, "config": plain, "pooling": pooling, "grey": grey, "image_size": side}
    describe(backbone, "from_open_clip", options)
    return backbone, clip


def _without_projection(name: str, tower: Any) -> None:
    if isinstance(getattr(tower, "proj", None), nn.Parameter):
        tower.proj = None
    elif isinstance(getattr(tower, "trunk", None), nn.Module):
        tower.head = nn.Identity()
    else:
        raise InputError(
            f"the image tower of {name!r} pools and projects in one; give pooling='projected'"
        )


def _load(
    backbone: Backbone,
    clip: Any,
    label: str,
    published: PublishedClip,
    normalisation: Normalisation | None,
) -> WeightRecord:
    """Fill the tower from the file, which holds the text tower too; all or nothing."""
    import open_clip

    files = published.files
    entries = read_entries(find_weights(files, published.candidates)[0], None)
    tower = {name: value for name, value in entries.tensors.items() if name.startswith(_TOWER)}
    if not tower:
        raise InputError(
            f"{entries.path.name!r} of {files.label!r} has no entries of an image tower"
            f" ({_TOWER}...); it is of another library"
        )
    before = tower.get("visual.positional_embedding")
    open_clip.model.resize_pos_embed(tower, clip)
    own = {name.removeprefix(_TOWER): value for name, value in tower.items()}
    has_projection = "proj" in backbone.loadable.state_dict() or "proj" not in own
    # What is projected has no use for the projection.
    patterns = () if has_projection else ("proj",)
    if isinstance(getattr(clip.visual, "head", None), nn.Identity):
        patterns = ("head.*",)
    matched = match_entries(
        backbone,
        Entries(entries.path, own, entries.sha256),
        patterns,
        all_must_match=False,
        prefix="",
    )
    notes = [f"{len(entries.tensors) - len(tower)} entries of the text tower left out"]
    if before is not None and before is not tower["visual.positional_embedding"]:
        notes.append("positions interpolated for images of another size")
    write_entries(matched)
    wanted = published.preprocessing
    mean, std = mean_and_std(normalisation or _normalisation(open_clip, wanted))
    side = published.config["vision_cfg"].get("image_size", 224)
    return WeightRecord(
        name=f"open_clip:{label}",
        source=f"{place_of(files)}, {entries.path.name}",
        sha256=entries.sha256,
        mean=mean,
        std=std,
        input_size=(side, side),
        interpolation=wanted.get("interpolation", "bicubic"),
        licence=licence_of(files),
        revision=files.revision,
        dropped=matched.dropped,
        notes=(*notes, *matched.notes),
    )


def _normalisation(open_clip: Any, wanted: Mapping[str, Any]) -> Normalisation:
    """Those of OpenAI's CLIP where nothing else is said, as open_clip has it."""
    return (
        tuple(wanted.get("mean", open_clip.OPENAI_DATASET_MEAN)),
        tuple(wanted.get("std", open_clip.OPENAI_DATASET_STD)),
    )
