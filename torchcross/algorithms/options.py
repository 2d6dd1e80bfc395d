"""The options that algorithms have in common, each declared and described once."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TypedDict, get_type_hints

from torchcross._kit.suggestions import unknown_name
from torchcross.backbones.input_normalisation import MeanAndStd
from torchcross.functional.loop.lanes import Lanes
from torchcross.heads.learned import HeadStart


class InputOptions(TypedDict, total=False):
    """Of `EpisodicOptions`: normalise and features."""

    normalise: MeanAndStd | None
    features: int | None


class LaneOptions(InputOptions, total=False):
    """Of `EpisodicOptions`: normalise, features and lanes."""

    lanes: Lanes


class EpisodicOptions(LaneOptions, total=False):
    """The options that all algorithms over episodes have, or nearly all.

    norm       BatchNorm policy: `"frozen"`, `"batch"` (transductive, the default), `"support"`,
               `"running"` or `"per_step"`
    lanes      episodes computed at once: `"auto"` (the default: many on accelerators, one on CPUs),
               `"loop"` (one by one) or a number
    normalise  mean and standard deviation per channel, applied to images before the backbone, such
               as `torchcross.data.augment.Normalise`
    features   number of features that the backbone computes; the default is its `num_features`
    """

    norm: str


class PretrainingOptions(InputOptions, total=False):
    """The options of pre-training; for normalise and features see `EpisodicOptions`.

    seed       of the heads' initial values; the default is 0
    head       how the heads start: `"kaiming"` (the default) or `"zero"`
    """

    seed: int
    head: HeadStart


def check_option_names(algorithm: type, options: Mapping[str, object], known: type) -> None:
    """Raise a TypeError for a keyword that is no option of the algorithm.

    Python itself raises none: `**options: Unpack[...]` accepts every keyword.
    """
    common = get_type_hints(known)
    for name in options:
        if name not in common:
            own = inspect.signature(algorithm).parameters.values()
            names = [part.name for part in own if part.kind is part.KEYWORD_ONLY]
            kind = f"option of {algorithm.__name__}"
            raise TypeError(unknown_name(kind, name, [*names, *common]))
