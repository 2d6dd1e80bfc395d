"""The text towers of open_clip's models."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from torchcross.backbones.foreign import draw_from, import_package
from torchcross.backbones.hub import explain_misfit, find_weights, is_folder, shown_name
from torchcross.backbones.open_clip_models import PublishedClip, find_published
from torchcross.backbones.weight_files import read_entries
from torchcross.errors import InputError

_TOWER: Final = "text."
_SCALE: Final = "logit_scale"
_AT_ONCE: Final = 64
# An image tower has to be built too; this one takes no memory.
_SMALL_IMAGES: Final = {
    "layers": 1,
    "width": 8,
    "head_width": 8,
    "patch_size": 8,
    "image_size": 8,
}


@final
@dataclass(frozen=True, eq=False)
class TextTower:
    """Texts to vectors. `sha256` is of the file of weights, which holds the image tower too.

    scale  what the model multiplies the cosine of an image and a text by
    """

    name: str
    sha256: str
    revision: str | None
    scale: float
    width: int
    _module: nn.Module
    _tokens: Callable[[list[str]], Tensor]

    @torch.no_grad()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """(n, D): the projected embedding of each text."""
        if not texts or not all(isinstance(text, str) and text for text in texts):
            raise InputError(f"a text tower got {list(texts)!r:.200}; give texts, none empty")
        parts = [list(texts[at : at + _AT_ONCE]) for at in range(0, len(texts), _AT_ONCE)]
        return torch.cat([self._module(self._tokens(part)) for part in parts])


def open_clip_text(
    name: str,
    pretrained: bool | str,
    *,
    revision: str | None = None,
    cache: str | Path | None = None,
) -> TextTower:
    """That of a listed name and a tag, of a repository, or of a folder (see `from_open_clip`)."""
    open_clip = import_package("open_clip", "text_tower", install="open_clip_torch")
    published = find_published(open_clip, name, pretrained, revision, cache)
    config = published.config
    label = f"{name}/{pretrained}" if isinstance(pretrained, str) else shown_name(name)
    entries = read_entries(find_weights(published.files, published.candidates)[0], None)
    tensors = open_clip.model.convert_to_custom_text_state_dict(dict(entries.tensors))
    own = {key.removeprefix(_TOWER): tensors[key] for key in tensors if key.startswith(_TOWER)}
    if not isinstance(config.get("text_cfg"), Mapping) or not own or _SCALE not in tensors:
        raise InputError(
            f"{entries.path.name!r} of {label!r} has no text tower; give another model, or a file"
            " of vectors"
        )
    module = _module_of(open_clip, label, config)
    _load(module, own, f"{entries.path.name!r} of {label!r}")
    return TextTower(
        name=f"open_clip:{label}",
        sha256=entries.sha256,
        revision=published.files.revision,
        scale=math.exp(float(tensors[_SCALE].double().reshape(-1)[0])),
        width=int(config["embed_dim"]),
        _module=module.eval().requires_grad_(False),
        _tokens=_tokenizer(open_clip, name, published, cache),
    )


def _module_of(open_clip: Any, label: str, config: Mapping[str, Any]) -> nn.Module:
    if "multimodal_cfg" in config:
        raise InputError(f"{label!r} writes captions (CoCa), and its text tower is not read")
    text = {**copy.deepcopy(dict(config["text_cfg"])), "hf_model_pretrained": False}
    build = {
        "embed_dim": config["embed_dim"],
        "quick_gelu": bool(config.get("quick_gelu", False)),
        "vision_cfg": dict(_SMALL_IMAGES),
        "text_cfg": text,
    }
    with draw_from(0):
        clip = explain_misfit(label, lambda: open_clip.CustomTextCLIP(**build))
    module: nn.Module = clip.text
    return module


def _load(module: nn.Module, tensors: Mapping[str, Tensor], file: str) -> None:
    """All or nothing; buffers that are computed, such as masks and positions, may lack."""
    wanted = module.state_dict()
    parameters = dict(module.named_parameters())
    missing = sorted(name for name in parameters if name not in tensors)
    unfit = [
        name
        for name, value in tensors.items()
        if name in wanted and tuple(wanted[name].shape) != tuple(value.shape)
    ]
    if missing or unfit:
        problem = f"lacks {missing[0]!r}" if missing else f"has another shape of {unfit[0]!r}"
        raise InputError(f"{file} {problem} of its text tower; fetch it again")
    fitting = {name: value.float() for name, value in tensors.items() if name in parameters}
    if broken := [name for name, value in fitting.items() if not bool(value.isfinite().all())]:
        raise InputError(f"{file}: the entry {broken[0]!r} has values that are not finite")
    module.load_state_dict({**wanted, **fitting})


def _tokenizer(
    open_clip: Any, name: str, published: PublishedClip, cache: str | Path | None
) -> Callable[[list[str]], Tensor]:
    text: Mapping[str, Any] = published.config["text_cfg"]
    bare = name.removeprefix("hf-hub:")
    if is_folder(bare):
        place = f"local-dir:{bare}"
    elif name in open_clip.list_models():
        place = name
    elif not text.get("hf_tokenizer_name"):
        # Nothing has to be fetched for the tokens of CLIP.
        options = dict(text.get("tokenizer_kwargs", {}))
        length = text.get("context_length", 77)
        tokens: Callable[[list[str]], Tensor] = open_clip.SimpleTokenizer(
            context_length=length, **options
        )
        return tokens
    else:
        place = f"hf-hub:{bare}"
    made: Callable[[list[str]], Tensor] = open_clip.get_tokenizer(place, cache_dir=cache)
    return made
