"""Models of timm, with random values or with the weights that timm names."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.base import Backbone, Grey, attach, describe
from torchcross.backbones.foreign import (
    check_plain_name,
    draw_from,
    import_package,
    refuse_fetching_options,
    refuse_unused,
    refuse_values_that_are_not_finite,
)
from torchcross.backbones.hub import (
    HubFiles,
    ModelFiles,
    explain_misfit,
    find_weights,
    licence_of,
    model_files,
    place_of,
    read_json,
    required_file,
    shown_name,
)
from torchcross.backbones.initial_values import Seed
from torchcross.backbones.record import WeightRecord
from torchcross.backbones.weight_files import Entries, read_entries
from torchcross.backbones.weights import Normalisation, mean_and_std
from torchcross.backbones.wrap import as_backbone
from torchcross.errors import FetchError, InputError

_SIDE = 224
_CLASSIFIERS = ("fc.*", "classifier.*", "head.*")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_FREE_SIDES = ("dynamic_img_size", "use_naflex")
_DECIDED = ("num_classes", "in_chans")
# Where weights lie, which is decided before timm is called.
_PLACES = ("url", "file", "state_dict", "hf_hub_id", "hf_hub_filename", "source")


@dataclass(frozen=True)
class _Published:
    """An architecture with the description of its weights, and the file that holds them."""

    architecture: str
    config: Mapping[str, Any]
    options: Mapping[str, Any]
    file: Path
    files: ModelFiles


def from_timm(
    name: str,
    *,
    pretrained: bool = False,
    revision: str | None = None,
    cache: str | Path | None = None,
    normalisation: Normalisation | None = None,
    inside: bool = True,
    in_channels: int = 3,
    grey: Grey = None,
    image_size: int | None = None,
    seed: Seed = 0,
    **options: Any,
) -> Backbone:
    """`timm.create_model(name, num_classes=0, **options)`: its output is timm's pooled features.

    With `pretrained=True`, `name` is a model with its weights
    ("vit_small_patch14_dinov2.lvd142m"), a repository of the hub in timm's format, or a folder with
    such files. They come through the hub's cache (`cache`, or the usual one) at `revision`.

    image_size     side of the images; vision transformers are built for it. Default: that of the
                   weights, or 224
    normalisation  in place of the mean and standard deviation that are published with the weights
    inside         as for `load_weights`
    """
    refuse_fetching_options(options)
    if pretrained:
        published = _find_published(name, revision, cache)
        entries = read_entries(published.file, None)
        backbone = _load(published, entries, in_channels, grey, image_size, seed, options)
        record = _record(name, published, entries, backbone.in_channels, normalisation)
        attach(backbone, record, inside=inside)
        return backbone
    refuse_unused(pretrained, revision=revision, cache=cache, normalisation=normalisation)
    check_plain_name(name)
    side = _side(options.get("img_size", _SIDE)) if image_size is None else image_size
    return _plain(name, in_channels, grey, side, seed, _built_for(name, side, options))


def _built_for(name: str, side: int, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """The options of a network of one size: it is built for the side of the images."""
    timm = import_package("timm", "from_timm")
    config = timm.get_pretrained_cfg(name)
    if config is None or "img_size" in options or side == config.input_size[-1]:
        return options
    return {**options, "img_size": side} if _is_fixed(config.to_dict(), options) else options


def _plain(
    name: str, in_channels: int, grey: Grey, side: int, seed: Seed, options: Mapping[str, Any]
) -> Backbone:
    timm = import_package("timm", "from_timm")
    with draw_from(seed):
        model = timm.create_model(
            name, pretrained=False, num_classes=0, in_chans=in_channels, **options
        )
    backbone = as_backbone(
        model, in_channels=in_channels, grey=grey, image_size=side, classifier=_CLASSIFIERS
    )
    if _is_fixed(getattr(model, "pretrained_cfg", {}), options):
        backbone.image_size = side
    plain = {"name": name, "in_channels": in_channels, "grey": grey, "image_size": side}
    describe(backbone, "from_timm", {**plain, **options})
    return backbone


def _find_published(name: str, revision: str | None, cache: str | Path | None) -> _Published:
    import_package("timm", "from_timm")
    if set(name) & set(":/\\") or name.startswith((".", "~")):
        return _files_of(name.removeprefix("hf-hub:"), revision, cache)
    return _listed_model(name, revision, cache)


def _files_of(name: str, revision: str | None, cache: str | Path | None) -> _Published:
    """A repository or folder that describes its model itself."""
    files = model_files(name, revision, cache, "from_timm")
    content = read_json(required_file(files, "config.json"))
    # Older files have the description of the weights at the top.
    config = content.get("pretrained_cfg", content)
    architecture, options = content.get("architecture"), content.get("model_args", {})
    if not (
        isinstance(architecture, str) and isinstance(config, dict) and isinstance(options, dict)
    ):
        raise InputError(
            f"the config.json of {files.label!r} names no architecture of timm; is it for another"
            " library (hf:, open_clip:)?"
        )
    check_plain_name(architecture)
    refuse_fetching_options(options)
    number = {"num_classes": content["num_classes"]} if "num_classes" in content else {}
    file = find_weights(files, _WEIGHTS)[0]
    return _Published(architecture, {**config, **number}, options, file, files)


def _listed_model(name: str, revision: str | None, cache: str | Path | None) -> _Published:
    """A model that timm lists, with the tag of its weights, or its first ones."""
    import timm

    architecture = name.partition(".")[0]
    if not timm.is_model(architecture):
        raise InputError(unknown_name("model of timm", architecture, timm.list_models()))
    tagged = timm.list_pretrained(f"{architecture}.*")
    if "." in name and name not in tagged:
        raise InputError(unknown_name(f"set of weights of {architecture}", name, tagged))
    config = timm.models.get_pretrained_cfg(name)
    if config is None or not config.has_weights:
        raise InputError(
            f"timm has no weights for {name!r}; leave pretrained=True out, or load_weights from a"
            " file"
        )
    if not config.hf_hub_id:
        raise FetchError(
            f"the weights of {name!r} are not on the hub but at {config.url}: fetch that file,"
            " build the backbone without pretrained=True, and load_weights(backbone, path)"
        )
    files = HubFiles(config.hf_hub_id, revision, cache, "from_timm")
    candidates = (config.hf_hub_filename,) if config.hf_hub_filename else _WEIGHTS
    file = find_weights(files, candidates)[0]
    return _Published(config.architecture or architecture, config.to_dict(), {}, file, files)


def _load(
    published: _Published,
    entries: Entries,
    in_channels: int,
    grey: Grey,
    image_size: int | None,
    seed: Seed,
    options: Mapping[str, Any],
) -> Backbone:
    """Build the model twice: whole, to load all entries strictly, and as it is described."""
    import timm

    # Classes and channels are decided here.
    own = {key: value for key, value in published.options.items() if key not in _DECIDED}
    options = {**own, **options}
    config, own_side = published.config, int(_input_size(published)[1])
    side = _side(options.get("img_size", own_side)) if image_size is None else image_size
    if _is_fixed(config, options) and side != own_side:
        options["img_size"] = side
    name = published.architecture
    backbone = _plain(name, in_channels, grey, side, seed, options)
    fields = {field.name for field in dataclasses.fields(timm.models.PretrainedCfg)} - {*_PLACES}
    known = {key: value for key, value in config.items() if key in fields}
    known |= {"state_dict": dict(entries.tensors), "custom_load": False}
    number = config.get("num_classes", 1000)

    def whole() -> Any:
        with draw_from(seed):
            return timm.create_model(
                name,
                pretrained=True,
                pretrained_cfg=known,
                num_classes=number,
                in_chans=in_channels,
                **options,
            )

    model = explain_misfit(published.files.label, whole)
    model.reset_classifier(0)
    explain_misfit(
        published.files.label, lambda: backbone.loadable.load_state_dict(model.state_dict())
    )
    refuse_values_that_are_not_finite(backbone.loadable, published.file.name)
    return backbone


def _record(
    name: str,
    published: _Published,
    entries: Entries,
    in_channels: int,
    normalisation: Normalisation | None,
) -> WeightRecord:
    config, files = published.config, published.files
    channels, *size = _input_size(published)
    if normalisation is None:
        missing = [key for key in ("mean", "std") if key not in config]
        if missing:
            raise InputError(
                f"{files.label!r} does not say what images its weights want ({missing[0]}); give"
                " normalisation="
            )
        normalisation = (config["mean"], config["std"])
    mean, std = mean_and_std(normalisation)
    heads = _names(config.get("classifier"))
    notes: tuple[str, ...] = ()
    if channels != in_channels:
        notes = (f"timm turned the first layer from {channels} to {in_channels} channels",)
    return WeightRecord(
        name=f"timm:{shown_name(name)}",
        source=f"{place_of(files)}, {published.file.name}",
        sha256=entries.sha256,
        mean=mean,
        std=std,
        input_size=(int(size[0]), int(size[1])),
        interpolation=config.get("interpolation"),
        licence=config.get("license") or licence_of(files),
        revision=files.revision,
        dropped=tuple(sorted(each for each in entries.tensors if each.rpartition(".")[0] in heads)),
        notes=notes,
    )


def _input_size(published: _Published) -> tuple[int, ...]:
    size = published.config.get("input_size", (3, _SIDE, _SIDE))
    if len(size) != 3 or not all(isinstance(value, int) for value in size):
        raise InputError(f"{published.files.label!r} has input_size={size!r}, not three integers")
    return tuple(size)


def _side(size: Any) -> int:
    """The side of square images, which timm writes as a number or twice."""
    side: int = size[0] if isinstance(size, list | tuple) and len(set(size)) == 1 else size
    return side


def _is_fixed(config: Mapping[str, Any], options: Mapping[str, Any]) -> bool:
    """Whether a model is for images of one size."""
    is_free = any(options.get(option) for option in _FREE_SIDES)
    return bool(config.get("fixed_input_size")) and not is_free


def _names(classifier: Any) -> tuple[str, ...]:
    return (classifier,) if isinstance(classifier, str) else tuple(classifier or ())
