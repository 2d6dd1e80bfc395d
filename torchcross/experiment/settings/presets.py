"""Protocols by name. To add a preset, add an entry to `PRESETS`.

A preset says only what differs from the defaults of the sections; `medimeta-table4` says what is
published in full. `torchcross.experiment.settings.published` compares all of them with what is
published. A preset whose values change gets a new version: its values of before go to
`EARLIER_VERSIONS`, and a run that began with them goes on with them.

`medimeta-table4`: the cross-domain few-shot evaluation of the MedIMeta paper (Woerner et al. 2024,
Table 4), as near to its scripts as the data and the hardware allow.

`medimeta-table4-short`: the same with budgets for one small machine: 20,000 steps at most, and
validation every 500 steps on a part of the validation splits.

`disjoint`: the same comparison, with the questionable choices of the published protocol decided the
other way. Episodes share no image; every algorithm adapts in its own way; BatchNorm reads
statistics of the support set alone, so no query image says anything about another; every dataset
of the target's domain leaves the sources; and three training seeds show how much a result owes to
one training. Its budgets are short.

`medimeta-fsl`: the study of foundation models on few shots by the authors of MedIMeta (Woerner and
Baumgartner 2024, arXiv 2408.08058): pretrained backbones x heads x ten numbers of shots. Its
questionable choices are decided the other way, and each is one word away: backbones see images as
their weights want them (`model.normalisation = "imagenet"`: all alike, as published), and heads
converge (`--algorithms fixed-probe`: 150 small steps, as published). The study has 16 backbones;
the preset has four of them, each of another kind, and `model.backbones` gives others.

`fully-supervised`: what many labels give (Table 3). Training on a task's own train split from
`model.weights`, stopped by its validation split, scored on its test split. Its shots are
"all", and it has one "episode", the test split.

`quick`: for a first look and for demonstrations: little training, few episodes, and three queries
a class, so that classes of eight images are enough.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]

_TABLE4: Mapping[str, Values] = {
    "data": {"leave_out": "dataset"},
    "evaluation": {
        "episodes": 100,
        "queries": 10,
        "min_images": 50,
        "filter_binary": False,
        "disjoint": False,
        "adaptation": "fine-tune",
        "steps": 50,
        "lr": 1e-3,
        "norm": "running",
    },
    "meta": {
        "inner_lr": 0.1,
        "inner_steps": 4,
        "validation_inner_steps": 32,
        "ways": [2, 0],
        "shots": [1, 10],
        "queries": 10,
        "min_images": 40,
        "filter_binary": False,
        "meta_batch": 1,
        "augment": True,
        "patience": 5,
        "running_statistics": "kept",
    },
    "pretraining": {
        "batch_size": 64,
        "lr": 1e-3,
        "heads": "zero",
        "scale_losses": True,
        "scale_from_epoch": 2,
        "last_batch": "keep",
        "augment": True,
        "patience": 10,
    },
}
"""Without budgets."""

_MOST_EPOCHS = 1000
"""The limit of the published scripts: the default of Lightning's Trainer."""

_BATCH_EPOCHS = {"epochs": _MOST_EPOCHS, "validate_every": 0, "validation_images": 0}
_EPISODE_EPOCHS = {
    "epochs": _MOST_EPOCHS,
    "epoch_episodes": 1000,
    "episodes": "repeated",
    "validate_every": 0,
    "validation_episodes": 100,
    "validation_episodes_of": "each",
}

PRESETS: Mapping[str, Values] = {
    "medimeta-table4": {
        **_TABLE4,
        "meta": {**_TABLE4["meta"], **_EPISODE_EPOCHS},
        "pretraining": {**_TABLE4["pretraining"], **_BATCH_EPOCHS},
    },
    "medimeta-table4-short": {
        **_TABLE4,
        "meta": {**_TABLE4["meta"], "steps": 20_000, "validate_every": 500},
        "pretraining": {**_TABLE4["pretraining"], "steps": 20_000, "validate_every": 500},
    },
    "disjoint": {
        "seeds": [0, 1, 2],
        "evaluation": {"disjoint": True, "adaptation": "own", "norm": "support"},
    },
    "medimeta-fsl": {
        "algorithms": ["ncm", "simpleshot", "logistic", "logistic-mean"],
        "shots": [1, 2, 3, 5, 7, 10, 15, 20, 25, 30],
        "data": {"channels": 3},
        "model": {
            "backbones": [
                {"name": "hf:microsoft/resnet-50"},
                {"name": "hf:google/vit-base-patch16-224"},
                {"name": "hf:openai/clip-vit-base-patch16"},
                {"name": "hf:facebook/dinov2-base", "image_size": 224},
            ]
        },
        "evaluation": {"episodes": 100, "queries": 10, "filter_binary": False},
    },
    "fully-supervised": {
        "algorithms": ["supervised"],
        "shots": ["all"],
        "pretraining": {
            "batch_size": 64,
            "lr": 1e-3,
            "last_batch": "keep",
            "augment": True,
            "patience": 10,
            **_BATCH_EPOCHS,
        },
    },
    "quick": {
        "model": {"backbone": {"name": "conv4", "channels": 32}},
        "data": {"channels": 1},
        "pretraining": {
            "steps": 400,
            "batch_size": 32,
            "lr": 3e-3,
            "augment": False,
            "scale_losses": False,
            "validate_every": 100,
            "validation_images": 100,
        },
        "meta": {
            "steps": 300,
            "meta_batch": 2,
            "lr": 3e-3,
            "validation_inner_steps": 8,
            "shots": [1, 5],
            "queries": 3,
            "min_images": 8,
            "validate_every": 100,
            "validation_episodes": 20,
        },
        "evaluation": {"episodes": 50, "queries": 3, "min_images": 8, "steps": 30, "lr": 3e-3},
    },
}

# Written out whole, though much is repeated: runs that began with a version go on with its values.
# Taken from `PRESETS`, or from another version, they would change with it.
EARLIER_VERSIONS: Mapping[str, tuple[Values, ...]] = {
    "medimeta-table4": (
        {
            "data": {"leave_out": "dataset"},
            "evaluation": {
                "episodes": 100,
                "queries": 10,
                "min_images": 50,
                "disjoint": False,
                "adaptation": "fine-tune",
                "steps": 50,
                "lr": 1e-3,
                "norm": "running",
            },
            "meta": {
                "inner_lr": 0.1,
                "inner_steps": 4,
                "validation_inner_steps": 32,
                "ways": [2, 0],
                "shots": [1, 10],
                "queries": 10,
                "min_images": 40,
                "meta_batch": 1,
                "patience": 5,
            },
            "pretraining": {
                "batch_size": 64,
                "lr": 1e-3,
                "scale_losses": True,
                "augment": True,
                "patience": 10,
            },
        },
    ),
    "disjoint": ({"evaluation": {"disjoint": True, "adaptation": "own", "norm": "support"}},),
    "fully-supervised": (
        {
            "algorithms": ["supervised"],
            "shots": [0],
            "pretraining": {"batch_size": 64, "lr": 1e-3, "augment": True, "patience": 10},
        },
    ),
    "quick": (
        {
            "model": {"backbone": {"name": "conv4", "channels": 32}},
            "data": {"channels": 1},
            "pretraining": {
                "steps": 400,
                "batch_size": 32,
                "lr": 3e-3,
                "augment": False,
                "scale_losses": False,
                "validate_every": 100,
                "validation_images": 100,
            },
            "meta": {
                "steps": 300,
                "meta_batch": 2,
                "lr": 3e-3,
                "validation_inner_steps": 8,
                "shots": [1, 5],
                "queries": 5,
                "min_images": 10,
                "validate_every": 100,
                "validation_episodes": 20,
            },
            "evaluation": {"episodes": 50, "min_images": 20, "steps": 30, "lr": 3e-3},
        },
    ),
}
"""Versions 1, 2 and so on of presets whose values have changed since.

They say nothing of settings that came later: the defaults of these are as it was before.
"""


def newest_version(preset: str) -> int:
    return len(EARLIER_VERSIONS.get(preset, ())) + 1


def preset_values(preset: str, version: int) -> Values:
    """The values of a version of a preset; versions count from 1."""
    return (*EARLIER_VERSIONS.get(preset, ()), PRESETS[preset])[version - 1]
