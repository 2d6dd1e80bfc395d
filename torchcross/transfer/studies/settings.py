"""The settings of a study: what is trained, on how much, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.training.options import Schedule, option, refuse_first
from torchcross.transfer.source_scores import SCORES

SCRATCH: Final = "scratch"
"""The source that is a random start."""


@dataclass(frozen=True, kw_only=True)
class StudyTraining:
    """One training of a whole network on all samples of a part.

    epochs         passes over the part
    lr             of Adam
    batch_size     images of a step
    schedule       "constant", or "cosine" or "linear" down to 0
    weight_decay   of the optimiser
    augment        flips, small rotations and crops, as in MedIMeta's experiments
    class_weights  losses count by class so that all classes weigh the same, under any loss
    patience       epochs without a better score of the validation part before it stops; 0: all
                   epochs are done and the last weights are kept
    validation     the share of the part that is the validation part, where there is a patience
    """

    epochs: int = 6
    lr: float = 1e-3
    batch_size: int = 64
    schedule: Schedule = "constant"
    weight_decay: float = option(0.0, may_be_zero=True)
    augment: bool = True
    class_weights: bool = True
    patience: int = option(0, may_be_zero=True)
    validation: float = 0.15

    def __post_init__(self) -> None:
        refuse_first(
            (self.validation >= 1, f"validation={self.validation}; give a share below 1"),
        )


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """Which pairs a study has, and how they are scored.

    sources        datasets that are learned from; the word "scratch" is a random start
    weights        further sources: a name and a file of weights
    normalisation  what the files of weights want of images: "imagenet", "keras" or "none"; "": what
                   is known of published files
    targets        datasets that are fine-tuned on, fold by fold
    folds          folds of each target: each is the test part once, the same for all sources
    seeds          of training: each trains every source and every pair anew
    fold_seed      of folds and of what is drawn
    source_images  the most images of a source, a share of each class; 0: all
    target_images  the most images of a target; 0: all
    self_pairs     whether a source is scored on itself too; its test folds were in its training,
                   so it is marked, and no ranking counts it
    renew          images of the training part on which BatchNorm's statistics are renewed before
                   scoring, for every source; 0: they stay as training left them
    metric         that leads tables; every metric of the target is stored
    """

    sources: tuple[str, ...] = (SCRATCH,)
    weights: Mapping[str, str] = field(default_factory=dict)
    normalisation: Literal["", "imagenet", "keras", "none"] = ""
    targets: tuple[str, ...] = ()
    folds: int = 5
    seeds: tuple[int, ...] = option((0,), may_be_zero=True)
    fold_seed: int = option(0, may_be_zero=True)
    source_images: int = option(0, may_be_zero=True)
    target_images: int = option(0, may_be_zero=True)
    self_pairs: bool = False
    renew: int = option(1024, may_be_zero=True)
    metric: str = "auroc"

    def __post_init__(self) -> None:
        names = (*self.sources, *self.weights)
        refuse_first(
            (not self.targets, "a study has no targets; give one or more"),
            (len(set(names)) < len(names), f"the sources {list(names)} name one twice"),
            (len(set(self.targets)) < len(self.targets), f"targets={list(self.targets)} repeat"),
            (SCRATCH in self.weights, f"{SCRATCH!r} is the random start; name the weights else"),
            (self.folds < 2, f"folds={self.folds}; give 2 or more"),
            (not self.seeds, "a study has no seeds; give one or more"),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All sources: datasets, weights and the random start."""
        return (*self.weights, *self.sources)


@dataclass(frozen=True, kw_only=True)
class StudyScores:
    """What is computed of each source before it is fine-tuned.

    names          scores on the training part of each fold, under each source's network
    task2vec       images of each dataset that its embedding is of; 0: there are no distances
    probe_weights  a file of weights for the probe of the embeddings, which has the study's
                   backbone; "": the first entry of `study.weights`
    """

    names: tuple[str, ...] = ("logme", "knn", "shrunk_h_score", "gbc")
    task2vec: int = option(0, may_be_zero=True)
    probe_weights: str = ""

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in SCORES:
                raise InputError(unknown_name("score", name, SCORES))


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """A whole study."""

    study: StudyDesign
    backbone: Mapping[str, Any]
    channels: int = 3
    source_training: StudyTraining = field(default_factory=StudyTraining)
    fine_tuning: StudyTraining = field(default_factory=StudyTraining)
    scores: StudyScores = field(default_factory=StudyScores)

    def __post_init__(self) -> None:
        if not isinstance(self.backbone.get("name"), str):
            raise InputError(
                f"the backbone of a study is {dict(self.backbone)!r}; give a name of"
                " torchcross.backbones, with its options beside it"
            )
