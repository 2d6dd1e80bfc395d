"""The settings of the network that everything starts from: one backbone, or several."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self, cast, get_args

from torchcross._kit.suggestions import suggest
from torchcross.backbones.addresses import is_address
from torchcross.backbones.build import CONSTRUCTORS, options_of
from torchcross.backbones.record import IMAGENET_MEAN, IMAGENET_STD, KERAS_MEAN, KERAS_STD
from torchcross.errors import InputError
from torchcross.experiment.settings.row_names import BESIDE
from torchcross.training.options import option, refuse_first

Normalisation = Literal["", "imagenet", "keras", "none"]

NORMALISATIONS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "keras": (KERAS_MEAN, KERAS_STD),
    "none": ((), ()),
}
"""Mean and standard deviation per channel of images in [0, 1], by name."""

_NEAR: Final = 0.75
"""How alike two names are where one is the other misspelt."""


@dataclass(frozen=True)
class BackboneSettings:
    """A backbone by its name in `torchcross.backbones`, or by its address.

    `options` are those of the function that the name or the address stands for.
    """

    name: str = "resnet18"
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_addressed(self) -> bool:
        return is_address(self.name)

    @property
    def is_pretrained(self) -> bool:
        """Whether it is an address that is to give its weights too."""
        return self.is_addressed and self.options.get("pretrained", True) is not False

    @classmethod
    def of_table(cls, table: Mapping[str, Any]) -> Self:
        return cls(table["name"], {option: table[option] for option in table if option != "name"})

    def as_table(self) -> dict[str, Any]:
        """As TOML writes it: the options stand beside the name."""
        return {"name": self.name, **self.options}


@dataclass(frozen=True)
class BackboneEntry:
    """One of several backbones: what names it in rows, and what `[model]` says of a single one."""

    label: str
    backbone: BackboneSettings
    weights: str = ""
    normalisation: Normalisation = ""

    @classmethod
    def of_table(cls, table: Mapping[str, Any], place: str) -> Self:
        """Of a table as TOML has it: `label`, `weights`, `normalisation`, the name, the options."""
        options = dict(table)
        texts = {key: options.pop(key, "") for key in ("label", "weights", "normalisation")}
        texts["name"] = options.pop("name", "")
        for key, value in texts.items():
            if not isinstance(value, str):
                raise InputError(f"{place}.{key} is {value!r}; give a text")
        _check_options(texts["name"], options, texts, place)
        label = texts["label"] or label_of_backbone(texts["name"])
        normalisations = get_args(Normalisation)
        refuse_first(
            (not texts["name"], f"{place} has no name; give the name or the address of a backbone"),
            (
                texts["normalisation"] not in normalisations,
                f"{place}.normalisation is {texts['normalisation']!r}; give one of"
                f" {', '.join(map(repr, normalisations))}",
            ),
            (
                BESIDE.strip() in label or label != label.strip() or not label.isprintable(),
                f"{place}.label is {label!r}, and rows are named `ALGORITHM{BESIDE}LABEL`; give a"
                f" label without {BESIDE.strip()!r}, and without blanks around it",
            ),
        )
        backbone = BackboneSettings(texts["name"], options)
        normalisation = cast(Normalisation, texts["normalisation"])
        return cls(label, backbone, texts["weights"], normalisation)

    def as_table(self) -> dict[str, Any]:
        """As TOML writes it, with the label."""
        table = {"label": self.label, **self.backbone.as_table()}
        own = {"weights": self.weights, "normalisation": self.normalisation}
        return {**table, **{key: value for key, value in own.items() if value}}


def _check_options(name: str, options: Mapping[str, Any], own: Collection[str], place: str) -> None:
    """Refuse what is no key of an entry and no option of its backbone."""
    options_known, accepts_any = list[str](), True
    if name in CONSTRUCTORS:
        options_known, accepts_any = options_of(name)
    for key in options:
        # An address takes what its library takes, so that only a misspelt key can be known.
        near = difflib.get_close_matches(key, own, n=1, cutoff=_NEAR)
        if key not in options_known and (near or not accepts_any):
            raise InputError(
                f"{place} has {key!r}, which is no key of an entry and no option of {name!r};"
                f" {suggest(key, [*own, *options_known])}"
            )


def label_of_backbone(name: str) -> str:
    """A short name of a backbone: its address without library, owner, revision and file."""
    text = name.partition("=")[0]
    library, colon, model = text.rpartition(":")
    model = model.partition("@")[0].rstrip("/")
    has_tag = library in ("open_clip", "torchvision") and not model.startswith((".", "/"))
    return model if has_tag or not colon else model.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """The network that everything starts from.

    backbone       a name of `torchcross.backbones`, or an address
                   ("timm:vit_small_patch14_dinov2.lvd142m"), which brings its weights; with
                   options, a table: `[model.backbone]` with `name` and what the backbone's function
                   takes. `pretrained = false`: an address without its weights
    weights        a file of weights for the backbone; "": those of its address, or random initial
                   values
    normalisation  mean and standard deviation that images are normalised by: "imagenet", "keras" or
                   "none". "": those that the weights are known to need; with random values, those
                   of ImageNet for three channels and none for one
    backbones      several backbones in place of `backbone` and `weights`: a list of names,
                   addresses, or tables `[[model.backbones]]` with `name`, the options, and their
                   own `weights`, `normalisation` and `label`. Each algorithm then has a row for
                   each of them, `ALGORITHM @ LABEL`
    """

    backbone: BackboneSettings = field(default_factory=BackboneSettings)
    weights: str = ""
    normalisation: Normalisation = ""
    backbones: tuple[BackboneEntry, ...] = option((), earlier=())

    def __post_init__(self) -> None:
        labels = self.labels
        twice = sorted({label for label in labels if labels.count(label) > 1})
        refuse_first(
            (
                bool(self.weights) and bool(self.backbones),
                f"model.weights={self.weights!r} is for one backbone, and model.backbones has"
                f" {len(self.backbones)}; give each of them weights of its own",
            ),
            (
                bool(twice),
                f"model.backbones has {', '.join(twice)} twice; give each entry a label of its own",
            ),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of several backbones; none where there is one."""
        return tuple(entry.label for entry in self.backbones)

    @property
    def has_weights(self) -> bool:
        """Whether rows start from weights, of a file or of the backbone's address."""
        if self.backbones:
            return all(self.of_label(label).has_weights for label in self.labels)
        return bool(self.weights) or self.backbone.is_pretrained

    def of_label(self, label: str) -> ModelSettings:
        """The settings of one of several backbones; "": these ones as they are."""
        if not label:
            return self
        for entry in self.backbones:
            if entry.label == label:
                return replace(
                    self,
                    backbone=entry.backbone,
                    weights=entry.weights,
                    normalisation=entry.normalisation or self.normalisation,
                    backbones=(),
                )
        raise InputError(
            f"there is no backbone {label!r}; model.backbones has"
            f" {', '.join(self.labels) or 'none'}"
        )
