"""Backbones by address: one line names a library, a model and its weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torchcross._kit.argument_checks import checked_text
from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.added import build_added
from torchcross.backbones.base import Backbone
from torchcross.backbones.build import CONSTRUCTORS
from torchcross.backbones.foreign import import_package
from torchcross.backbones.hub import is_folder
from torchcross.backbones.open_clip_models import from_open_clip
from torchcross.backbones.open_clip_text import TextTower, open_clip_text
from torchcross.backbones.timm_models import from_timm
from torchcross.backbones.torchvision_models import from_torchvision
from torchcross.backbones.transformers_models import from_transformers
from torchcross.backbones.weights import Normalisation, load_weights
from torchcross.errors import InputError

_LIBRARIES: dict[str, Callable[..., Backbone]] = {
    "timm": from_timm,
    "hf": from_transformers,
    "open_clip": from_open_clip,
    "torchvision": from_torchvision,
}
_FOREIGN = tuple(f"from_{name}" for name in ("timm", "transformers", "open_clip", "torchvision"))


@dataclass(frozen=True)
class _Address:
    """LIBRARY:NAME@REVISION=FILE; the library may be ours, and the last two parts may lack."""

    library: str
    name: str
    revision: str | None
    file: str | None


def from_address(
    address: str,
    *,
    pretrained: bool = True,
    cache: str | Path | None = None,
    normalisation: Normalisation | None = None,
    **options: Any,
) -> Backbone:
    """The backbone at an address, with its weights.

        timm:NAME.TAG         a model of timm        hf:ORG/NAME            a vision model of
        open_clip:NAME/TAG    an image tower                                transformers
        torchvision:NAME      or NAME/WEIGHTS        NAME=FILE              a function of this
                                                                            package, and a file

    A repository of the hub, or a folder with its files, may stand in place of the name of timm, hf
    and open_clip; `@REVISION` behind it is its revision. `timm:NAME=FILE` and
    `torchvision:NAME=FILE` have weights from a file. `pretrained=False` gives random values,
    without a download of weights. A name alone is a function of this package, which has random
    values.

    options  of the function that the address names: `from_timm`, `from_transformers`,
             `from_open_clip`, `from_torchvision`, or the one of this package

    >>> from torchcross.backbones import from_address
    >>> from_address("mobilenet_v2").num_features
    1280
    """
    parts = _parse(address)
    if not parts.library or parts.file is not None:
        backbone = _construct(parts, options)
        if parts.file is not None and pretrained:
            load_weights(backbone, parts.file, normalisation=normalisation)
        return backbone
    if pretrained:
        options |= {"normalisation": normalisation}
    if parts.library != "torchvision" and (pretrained or parts.library == "hf"):
        options |= {"revision": parts.revision, "cache": cache}
    elif parts.revision is not None:
        raise InputError(f"{address!r} has a revision, which is for weights of the hub")
    name, wanted = _name_and_weights(parts, pretrained)
    return _LIBRARIES[parts.library](name, pretrained=wanted, **options)


def text_tower(address: str, *, cache: str | Path | None = None) -> TextTower:
    """The text tower of the model at an address of open_clip, with its weights.

    Its vectors lie in one space with the features of `from_address(address)`.
    """
    parts = _parse(address)
    if parts.library != "open_clip":
        raise InputError(
            f"{address!r} has no text tower; give an address of open_clip (open_clip:NAME/TAG, or a"
            " folder with its files), or a file of vectors"
        )
    name, wanted = _name_and_weights(parts, pretrained=True)
    return open_clip_text(name, wanted, revision=parts.revision, cache=cache)


def is_address(text: str) -> bool:
    """Whether a text names more than a function of this package."""
    return ":" in text or "=" in text


def takes_channels(address: str, *, pretrained: bool) -> bool:
    """Whether what the address names can be built for other images than those of three channels.

    Weights of the hub are for three; a file may be of a network for any number.
    """
    parts = _parse(address)
    if parts.library == "timm":
        return not pretrained or parts.file is not None
    return not parts.library


def beside(address: str, folder: Path) -> str:
    """The address with the relative paths that it names looked for in a folder.

    A path to the files of a model is one that begins with a dot.
    """
    parts = _parse(address)
    name = parts.name
    if name.startswith("."):
        name = str(folder / name)
    return _address_of(parts, name, None if parts.file is None else str(folder / parts.file))


def at_revision(address: str, revision: str | None) -> str:
    """The address of a repository, at this revision where it names none."""
    parts = _parse(address)
    if parts.revision or parts.file is not None or is_folder(parts.name):
        return address
    return _address_of(replace(parts, revision=revision), parts.name, None)


def without_places(address: str) -> str:
    """The address without the paths that it names: what they hold is known by its hash."""
    parts = _parse(address)
    name = "FOLDER" if is_folder(parts.name) else parts.name
    return _address_of(parts, name, None if parts.file is None else "FILE")


def _address_of(parts: _Address, name: str, file: str | None) -> str:
    library = f"{parts.library}:" if parts.library else ""
    revision = f"@{parts.revision}" if parts.revision else ""
    return f"{library}{name}{revision}" + (f"={file}" if file else "")


def _parse(address: str) -> _Address:
    text, equals, file = checked_text("address", address).partition("=")
    library, colon, name = text.partition(":")
    if not colon:
        library, name = "", text
    elif library not in _LIBRARIES:
        raise InputError(unknown_name(f"library of {address!r}", library, _LIBRARIES))
    name = name.removeprefix("hf-hub:").removeprefix("local-dir:")
    revision: str | None = None
    if "@" in name and not is_folder(name):
        name, _, revision = name.rpartition("@")
    if not name or revision == "" or (equals and not file):
        raise InputError(
            f"{address!r} is no address of a backbone, which is LIBRARY:NAME, LIBRARY:NAME@REVISION"
            " or NAME=FILE, with a library of"
            f" {', '.join(_LIBRARIES)}"
        )
    return _Address(library, name, revision, file or None)


def _construct(parts: _Address, options: dict[str, Any]) -> Backbone:
    """A backbone with random values, for a file or for none."""
    if parts.revision is not None:
        raise InputError(f"{parts.name}@{parts.revision}: a revision is for weights of the hub")
    if parts.library in ("hf", "open_clip"):
        raise InputError(
            f"{parts.library}: takes a folder with the files of a model, not one file; write"
            f" {parts.library}:FOLDER"
        )
    if parts.library:
        return _LIBRARIES[parts.library](parts.name, **options)
    if parts.name in _FOREIGN or parts.name not in CONSTRUCTORS:
        known = [name for name in CONSTRUCTORS.names() if name not in _FOREIGN]
        libraries = ", ".join(f"{name}:" for name in _LIBRARIES)
        raise InputError(
            f"{CONSTRUCTORS.unknown_text(parts.name, known)}; models of other libraries begin with"
            f" {libraries}"
        )
    if parts.name in CONSTRUCTORS.own:
        backbone: Backbone = CONSTRUCTORS[parts.name](**options)
        return backbone
    seed = options.pop("seed", 0)
    return build_added(CONSTRUCTORS[parts.name], parts.name, options, seed)


def _name_and_weights(parts: _Address, pretrained: bool) -> tuple[str, bool | str]:
    """(the name, and which weights): those of torchvision and open_clip stand behind a slash."""
    if parts.library == "open_clip" and not is_folder(parts.name):
        name, _, tag = parts.name.partition("/")
        if tag and _is_listed(name):
            return name, pretrained and tag
    if parts.library == "torchvision":
        name, _, weights = parts.name.partition("/")
        return name, pretrained and (weights or True)
    return parts.name, pretrained


def _is_listed(name: str) -> bool:
    """Whether open_clip lists the name; others are names of repositories."""
    open_clip = import_package("open_clip", "from_open_clip", install="open_clip_torch")
    return name in open_clip.list_models()
