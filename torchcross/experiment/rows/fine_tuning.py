"""How rows are fine-tuned: an algorithm from the settings, and its words for the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any

from torch import nn

from torchcross.algorithms import FineTune
from torchcross.data import Augmentation, Normalise
from torchcross.experiment.settings.fine_tuning_settings import FineTuningSettings
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.schema import Experiment

GRID = (0.1, 1.0, 10.0)
"""Factors of the rates of the row that is an ensemble, where `fine_tuning.grid` gives none."""


def fine_tuner(
    network: nn.Module,
    experiment: Experiment,
    own: Mapping[str, Any],
    normalise: Normalise | None,
) -> FineTune:
    """What fine-tunes a network to a support set; `own` are settings that the row has anyway."""
    evaluation, settings = experiment.evaluation, settings_of(experiment, own)
    of_head, of_backbone = evaluation.lr, settings.backbone_lr or evaluation.lr
    rates: dict[str, Any] = {"lr": of_head}
    if settings.grid:
        rates = {
            "lr": [of_head * factor for factor in settings.grid],
            "backbone_lr": [of_backbone * factor for factor in settings.grid],
        }
    elif of_backbone != of_head:
        rates["backbone_lr"] = of_backbone
    return FineTune(
        network,
        steps=evaluation.steps,
        **rates,
        layer_decay=settings.layer_decay,
        head=settings.head,
        optimiser=settings.optimiser,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        warmup=settings.warmup,
        batch=settings.batch or None,
        small_supports="whole",
        augmentation=Augmentation.medimeta() if settings.augment else None,
        norm=evaluation.fine_tuning_norm,
        normalise=normalise,
    )


def settings_of(experiment: Experiment, own: Mapping[str, Any]) -> FineTuningSettings:
    """The section `fine_tuning` as a row reads it; a grid of the section's own comes first."""
    section = experiment.fine_tuning
    grid = section.grid or own.get("grid", ())
    return replace(section, **{**own, "grid": grid})


def beyond_published(experiment: Experiment) -> str:
    """The settings of fine-tuning that are not the published ones, as a sentence; "" for none."""
    section, usual = experiment.fine_tuning, FineTuningSettings()
    changed = {
        each.name: getattr(section, each.name)
        for each in fields(section)
        if getattr(section, each.name) != getattr(usual, each.name)
    }
    if not changed:
        return ""
    texts = [f"`{name}` = {json.dumps(as_plain(value))}" for name, value in changed.items()]
    return f" Fine-tuning is not as published in {', '.join(texts)} (`fine_tuning`)."
