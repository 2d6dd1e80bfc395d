"""An experiment beside what is published: point by point, in words."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.protocol_points import (
    AnyFile,
    OneOf,
    ProtocolPoint,
    Publication,
)
from torchcross.experiment.settings.published_fsl import FEW_SHOT_STUDY
from torchcross.experiment.settings.published_table3 import TABLE_3
from torchcross.experiment.settings.published_table4 import TABLE_4
from torchcross.experiment.settings.row_settings import experiment_of_row
from torchcross.experiment.settings.schema import Experiment

STAND_FOR_A_PUBLICATION = ("medimeta-table4", "medimeta-table4-short", "fully-supervised")
"""The presets whose numbers are meant to be compared with published ones."""

FEW_SHOT_PRESET = "medimeta-fsl"
AS_PUBLISHED = "as published"
_NO_SETTING = "none"


@dataclass(frozen=True)
class ComparedPoint:
    """One point: what is published, what the experiment does, and the setting that decides it."""

    point: str
    published: str
    here: str
    setting: str

    @property
    def is_as_published(self) -> bool:
        return self.here == AS_PUBLISHED


def publication_of(experiment: Experiment) -> Publication:
    """What an experiment is compared with."""
    if experiment.preset == FEW_SHOT_PRESET:
        return FEW_SHOT_STUDY
    return TABLE_3 if set(experiment.algorithms) == {"supervised"} else TABLE_4


def compared_with_publication(
    experiment: Experiment, rows: Collection[str] | None = None
) -> tuple[ComparedPoint, ...]:
    """The points that are about these rows (None: those of the experiment) or about all."""
    rows = experiment.algorithms if rows is None else rows
    return tuple(
        _compare(point, experiment_of_row(experiment, point.row) if point.row else experiment)
        for point in publication_of(experiment).points
        if not point.row or point.row in rows
    )


def published_part(experiment: Experiment) -> dict[str, Any]:
    """For a protocol: the publication, and every point as plain values."""
    points = [asdict(point) for point in compared_with_publication(experiment)]
    return {"publication": publication_of(experiment).name, "points": points}


def weights_cautions(experiment: Experiment) -> list[str]:
    """Where a preset stands for a publication whose rows start from other weights."""
    if experiment.preset == FEW_SHOT_PRESET:
        return _random_backbones(experiment)
    rows = _rows_without_weights(experiment)
    if experiment.preset not in STAND_FOR_A_PUBLICATION or not rows:
        return []
    verb = "starts" if len(rows) == 1 else "start"
    return [
        f"{', '.join(rows)} {verb} from random initial values, and as published from ImageNet"
        " weights; give these as model.weights to compare with the publication"
    ]


def _random_backbones(experiment: Experiment) -> list[str]:
    """Where backbones of a study of pretrained ones have random values."""
    model = experiment.model
    labels = model.labels or ("",)
    names = [
        label or model.backbone.name for label in labels if not model.of_label(label).has_weights
    ]
    if not names:
        return []
    return [
        f"{', '.join(names)}: random initial values, and as published every backbone is pretrained;"
        " give an address (hf:NAME), or weights"
    ]


def _rows_without_weights(experiment: Experiment) -> list[str]:
    return [
        point.row or "supervised"
        for point in publication_of(experiment).points
        if "model.weights" in point.values
        and not experiment.model.has_weights
        and (point.row or "supervised") in experiment.algorithms
    ]


def _compare(point: ProtocolPoint, experiment: Experiment) -> ComparedPoint:
    own = point.here if isinstance(point.here, str) else point.here(experiment)
    parts = [*_differences(point, experiment), *([own] if own else [])]
    settings = [
        _setting(name, _published_value(each, experiment)) for name, each in point.values.items()
    ]
    return ComparedPoint(
        f"{point.row}: {point.name}" if point.row else point.name,
        point.published,
        "; ".join(parts) or AS_PUBLISHED,
        ", ".join(settings) or _NO_SETTING,
    )


def _differences(point: ProtocolPoint, experiment: Experiment) -> Iterator[str]:
    plain = as_plain(experiment)
    for name, each in point.values.items():
        if name == "model.backbone" and (labels := experiment.model.labels):
            yield f"`model.backbones`: {', '.join(labels)}"
            continue
        value: Any = plain
        for part in name.split("."):
            value = value[part]
        expected = _published_value(each, experiment)
        if isinstance(expected, AnyFile):
            if not experiment.model.has_weights:
                yield f"`{name}` is not given: random initial values"
        elif isinstance(expected, OneOf):
            if value not in expected.values:
                yield f"`{name} = {_text(value)}`"
        elif value != expected:
            yield _budget(name, plain) or f"`{name} = {_text(value)}`"


def _budget(name: str, plain: Any) -> str:
    """Where steps stand in place of epochs, they are what is to be said."""
    section, _, setting = name.partition(".")
    if setting != "epochs" or plain[section]["epochs"]:
        return ""
    return f"`{section}.steps = {plain[section]['steps']}`"


def _published_value(value: Any, experiment: Experiment) -> Any:
    return value(experiment) if callable(value) else value


def _setting(name: str, value: Any) -> str:
    if isinstance(value, AnyFile):
        return f"`{name} = FILE` with {value.says}"
    first = value.values[0] if isinstance(value, OneOf) else value
    return f"`{name} = {_text(first)}`"


def _text(value: Any) -> str:
    if isinstance(value, dict) and value.keys() == {"name"}:
        value = value["name"]
    return json.dumps(value)
