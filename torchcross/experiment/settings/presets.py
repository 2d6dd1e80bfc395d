"""Protocols by name. To add a preset, add an entry to `PRESETS`.

A preset says only what differs from the defaults of the sections; `medimeta-table4` says what is
published in full.

`medimeta-table4`: the cross-domain few-shot evaluation of the MedIMeta paper (Woerner et al. 2024,
Table 4). Every row is fine-tuned with a fresh head and 50 steps of Adam at 1e-3; episodes come from
all splits and overlap; BatchNorm uses running statistics that the support forwards have moved;
images of three channels are normalised with ImageNet's mean and deviation. Two things are stricter
than published: support and query share no subject where subjects are known (`evaluation.groups`
changes this), and validation reads only the validation splits of the sources. The intervals of the
paper are those of `evaluation.interval = "normal"`. For a ResNet-50 the paper trains with
`pretraining.lr = 1e-4`.

`disjoint`: the same comparison, with the questionable choices of the published protocol decided the
other way. Episodes share no image; every algorithm adapts in its own way; BatchNorm reads
statistics of the support set alone, so no query image says anything about another; and every
dataset of the target's domain leaves the sources.

`fully-supervised`: what many labels give (Table 3). Training on a task's own train split from
`model.weights`, stopped by its validation split, scored on its test split. Its rows have 0 shots
and one "episode", the test split.

`quick`: for a first look and for demonstrations: little training, few episodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "medimeta-table4": {
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
    "disjoint": {"evaluation": {"disjoint": True, "adaptation": "own", "norm": "support"}},
    "fully-supervised": {
        "algorithms": ["supervised"],
        "shots": [0],
        "pretraining": {"batch_size": 64, "lr": 1e-3, "augment": True, "patience": 10},
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
            "queries": 5,
            "min_images": 10,
            "validate_every": 100,
            "validation_episodes": 20,
        },
        "evaluation": {"episodes": 50, "min_images": 20, "steps": 30, "lr": 3e-3},
    },
}
