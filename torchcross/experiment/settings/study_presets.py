"""Studies by name, for `torchcross run --preset NAME`. They say what a TOML file of a study says.

`reptile-retinopathy`: Reptile against plain pre-training and a random start, for grades of
retinopathy (Hu, Tomczak and Welling 2018), at full scale. A network of Nichol et al. (2018) learns
a dataset of photographs of many classes by both ways, loses its last layer and its BatchNorm
layers, and is fine-tuned on 50 % and on 100 % of each grade; the best of all validations is scored
on the test split. Images must have 84 x 84 pixels, and both eyes of a person one `patient_id`. The
paper does not say the size of images, the loss, augmentation or class weights: here they are 84,
cross-entropy, none and none. Its 100,000 outer steps are those of Nichol et al.

`reptile-small`: the same on open images of 32 x 32 pixels (sketches, then solar cells), in minutes
on two cores: each source is trained once, and fine-tuned with four seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NETWORK: Mapping[str, Any] = {
    "name": "conv4",
    "channels": 32,
    "pooling": "flatten",
    "ceil": True,
    "bias": True,
}
_TRAINING: Mapping[str, Any] = {
    "lr": 1e-3,
    "batch_size": 32,
    "augment": False,
    "class_weights": False,
}
_STUDY: Mapping[str, Any] = {
    "splits": "own",
    "fractions": [0.5, 1.0],
    "seeds": [0, 1, 2, 3],
    "metric": "qwk",
}

STUDY_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "reptile-retinopathy": {
        "data": {"channels": 3},
        "model": {"backbone": {**_NETWORK, "image_size": 84}},
        "study": {
            **_STUDY,
            "sources": ["scratch", "mini_imagenet", "reptile:mini_imagenet"],
            "targets": ["retinopathy"],
        },
        "source_training": {**_TRAINING, "steps": 200_000},
        "fine_tuning": {
            **_TRAINING,
            "steps": 200_000,
            "validate_every": 1000,
            "stop_by": "qwk",
            "batch_norm": "identity",
        },
        "scores": {"names": []},
    },
    "reptile-small": {
        "data": {"channels": 1},
        "model": {"backbone": {**_NETWORK, "image_size": 32}},
        "study": {
            **_STUDY,
            "sources": ["scratch", "open_sketches", "reptile:open_sketches"],
            "targets": ["open_solar_cells"],
            "source_seed": 0,
        },
        "reptile": {"iterations": 2000},
        "source_training": {**_TRAINING, "steps": 2000},
        "fine_tuning": {
            **_TRAINING,
            "steps": 2000,
            "validate_every": 100,
            "stop_by": "qwk",
            "batch_norm": "identity",
        },
        "scores": {"names": []},
    },
}
