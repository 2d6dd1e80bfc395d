"""Backbones by address, as rows start from them: with their weights, or with random values."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from torchcross import backbones
from torchcross.backbones.addresses import at_revision, takes_channels
from torchcross.errors import InputError
from torchcross.experiment.settings.model_settings import BackboneSettings
from torchcross.experiment.settings.schema import Experiment

_ELSEWHERE = {
    "revision": "write it behind the name, as NAME@REVISION",
    "normalisation": "give model.normalisation",
    "cache": "set HF_HUB_CACHE in the environment",
    "seed": "give seeds",
    "inside": "leave it out: the backbone normalises its images",
}
"""Options of an address's function that a run decides in another way."""


@dataclass(frozen=True)
class PretrainedBackbone:
    """What is known of the backbone at an address after it was read once.

    spec         its architecture, and the record of its weights
    image_size   the side of its images, if it takes images of one size alone
    """

    spec: backbones.BackboneSpec
    image_size: int | None

    @property
    def weights(self) -> backbones.WeightRecord:
        if self.spec.weights is None:
            raise InputError(f"the backbone {self.spec.name!r} has no record of its weights")
        return self.spec.weights


def pretrained_backbone(experiment: Experiment) -> PretrainedBackbone | None:
    """What is known of the weights of the backbone's address; None where it is to give none.

    It is read once for each process: what this says, and what it costs, is the same every time.
    """
    model = experiment.model
    if not model.backbone.is_pretrained:
        return None
    known = [model.backbone.name, model.backbone.options, experiment.data.channels]
    return _read_once(_text_of([*known, model.normalisation]))


def pretrained_network(experiment: Experiment, seed: int, *, random: bool) -> backbones.Backbone:
    """The backbone with the weights of its address; `random`: with random values in their place."""
    known = pretrained_backbone(experiment)
    if known is None:
        raise InputError(f"model.backbone={experiment.model.backbone.name!r} gives no weights")
    if random:
        plain = dataclasses.replace(known.spec, weights=None, normalises=False)
        return backbones.build(plain, seed=seed)
    # The same revision as before, which the hub need not be asked for again.
    backbone, revision = experiment.model.backbone, known.weights.revision
    pinned = dataclasses.replace(backbone, name=at_revision(backbone.name, revision))
    net = _network(pinned, experiment.data.channels, experiment.model.normalisation, seed)
    if _description_of(net) != known:
        _read_once.cache_clear()
        raise InputError(
            f"the weights of {experiment.model.backbone.name!r} have changed since this process"
            " began to use them; run the same again"
        )
    return net


def network_at_address(experiment: Experiment, seed: int) -> backbones.Backbone:
    """The backbone as its address and its options say."""
    model, channels = experiment.model, experiment.data.channels
    return _network(model.backbone, channels, model.normalisation, seed)


def weights_in_words(record: backbones.WeightRecord) -> str:
    """Where weights come from, and which images they want, for a page."""
    revision = f" at revision {record.revision}" if record.revision else ""
    licence = f", licence {record.licence}" if record.licence else ""
    wanted = "images as they are, in [0, 1]"
    if record.mean is not None:
        wanted = f"images less {_numbers(record.mean)}, divided by {_numbers(record.std or ())}"
    trained = ""
    if record.input_size is not None:
        size = " x ".join(map(str, record.input_size))
        resized = f", resized by {record.interpolation}" if record.interpolation else ""
        trained = f" They were trained on images of {size} pixels{resized}; the run resizes none."
    return (
        f"{record.name}, from {record.source}{revision}{licence}, sha256 {record.sha256[:12]}. They"
        f" want {wanted}.{trained}"
    )


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)


@lru_cache(maxsize=16)
def _read_once(text: str) -> PretrainedBackbone:
    name, options, channels, normalisation = json.loads(text)
    return _description_of(_network(BackboneSettings(name, options), channels, normalisation, 0))


def _description_of(net: backbones.Backbone) -> PretrainedBackbone:
    if net.spec is None:
        raise InputError(f"{net.label} has no description; give another backbone")
    # By way of plain values, in which two descriptions can be compared.
    spec = backbones.BackboneSpec.from_dict(json.loads(_text_of(net.spec.as_dict())))
    return PretrainedBackbone(spec, net.image_size)


def _network(
    backbone: BackboneSettings, channels: int, normalisation: str, seed: int
) -> backbones.Backbone:
    options = dict(backbone.options)
    pretrained = options.pop("pretrained", True)
    if not isinstance(pretrained, bool):
        raise InputError(f"model.backbone.pretrained is {pretrained!r}; give true or false")
    for name in options.keys() & _ELSEWHERE.keys():
        raise InputError(f"model.backbone.{name} is no option of a run; {_ELSEWHERE[name]}")
    if takes_channels(backbone.name, pretrained=pretrained) and "grey" not in options:
        options = {"in_channels": channels, **options}
    if pretrained and normalisation:
        options["normalisation"] = normalisation
    net = _with_plain_errors(
        backbone.name,
        options,
        lambda: backbones.from_address(backbone.name, pretrained=pretrained, seed=seed, **options),
    )
    if net.in_channels != channels and not (channels == 1 and net.grey == "expand"):
        raise InputError(
            f"{backbone.name!r} takes images of {net.in_channels} channels, and"
            f" data.channels={channels}; give data.channels={net.in_channels}"
        )
    return net


def _with_plain_errors(
    address: str, options: Mapping[str, Any], make: Callable[[], backbones.Backbone]
) -> backbones.Backbone:
    try:
        return make()
    except TypeError as error:
        # Another package's function says in its own way what it does not take.
        raise InputError(
            f"the options {sorted(options)} do not fit {address!r}: {error}"
        ) from error


def _text_of(values: Any) -> str:
    return json.dumps(values, sort_keys=True, default=str)
