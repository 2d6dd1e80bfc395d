"""Table 3 of the MedIMeta paper: a training on many labels, point by point."""

from __future__ import annotations

from torchcross.experiment.settings.protocol_points import ProtocolPoint, Publication
from torchcross.experiment.settings.published_common import (
    ADAM,
    AUGMENTATION,
    BUDGET,
    COMMON_POINTS,
    IMAGENET,
    no_single_image,
    one_warp_of_batches,
    plain_adam,
)

_SUPERVISED = (
    ProtocolPoint("start", "ImageNet weights", {"model.weights": IMAGENET}),
    ProtocolPoint("head", "a fresh Kaiming head", {"pretraining.heads": "kaiming"}),
    ProtocolPoint("optimiser", ADAM, plain_adam("pretraining")),
    ProtocolPoint(
        "batches",
        "64 images of the train split, shuffled; the last batch of a pass may be smaller",
        {
            "pretraining.batch_size": 64,
            "pretraining.accumulate": 1,
            "pretraining.last_batch": "keep",
        },
        no_single_image,
    ),
    ProtocolPoint("augmentation", AUGMENTATION, {"pretraining.augment": True}, one_warp_of_batches),
    ProtocolPoint("loss", "cross-entropy without class weights"),
    ProtocolPoint("budget", BUDGET, {"pretraining.epochs": 1000}),
    ProtocolPoint(
        "validation",
        "once an epoch on the whole validation split; AUROC",
        {"pretraining.validate_every": 0, "pretraining.validation_images": 0},
    ),
    ProtocolPoint(
        "early stopping",
        "after 10 epochs without a better score; the best epoch's weights are kept",
        {"pretraining.patience": 10},
    ),
    ProtocolPoint(
        "score",
        "AUROC on the test split, of probabilities in 32 bits, where confident ones tie; a class"
        " without an image counts 0",
        {"evaluation.metric": "auroc"},
        "ranked by log-odds in 64 bits, which do not tie; a class without an image is left out",
    ),
    ProtocolPoint(
        "interval", "none", here="over the images of the test split, by subject where known"
    ),
)


TABLE_3 = Publication(
    "Table 3 of the MedIMeta paper and its scripts",
    (*COMMON_POINTS, *_SUPERVISED),
)
