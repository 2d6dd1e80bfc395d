"""The settings of a study: what is trained, on how much, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal, TypeAlias, get_args

from torchcross._kit.argument_checks import (
    check_choice,
    checked_int,
    checked_number,
    repeated_names,
)
from torchcross.backbones.batch_norm_removal import REMOVALS, Removal
from torchcross.errors import InputError
from torchcross.training.options import Schedule, check_options, option, refuse_first
from torchcross.transfer.source_scores import check_score_names
from torchcross.transfer.source_target import REPTILE, SCRATCH, dataset_of, is_self_pair

Splits: TypeAlias = Literal["folds", "own"]
WeightNormalisation: TypeAlias = Literal["", "imagenet", "keras", "none"]


@dataclass(frozen=True, kw_only=True)
class StudyTraining:
    """One training of a whole network on all samples of a part.

    epochs         passes over the part
    steps          so many steps instead of `epochs`; 0: the epochs count
    lr             of Adam
    batch_size     images of a step
    schedule       "constant", or "cosine" or "linear" down to 0
    weight_decay   of the optimiser
    augment        flips, small rotations and crops, as in MedIMeta's experiments
    class_weights  losses count by class so that all classes weigh the same, under any loss
    validate_every  steps between two scores of the validation part, of which the best weights are
                   kept; 0: an epoch where there is a patience, else there is no validation
    patience       scores of the validation part without a better one before it stops; 0: all steps
                   are done
    validation     the share of the part that is the validation part, where there is none of its own
    stop_by        the metric of the validation part
    batch_norm     of the network that training starts from: "keep", or its BatchNorm layers are
                   left out ("identity") or folded into convolutions ("fold") after their
                   statistics are renewed on training images; for fine-tuning

    >>> from torchcross.transfer import StudyTraining
    >>> StudyTraining(epochs=3, augment=False).lr
    0.001
    """

    epochs: int = 6
    steps: int = option(0, may_be_zero=True)
    lr: float = 1e-3
    batch_size: int = 64
    schedule: Schedule = "constant"
    weight_decay: float = option(0.0, may_be_zero=True)
    augment: bool = True
    class_weights: bool = True
    validate_every: int = option(0, may_be_zero=True)
    patience: int = option(0, may_be_zero=True)
    validation: float = 0.15
    stop_by: str = "auroc"
    batch_norm: Removal = "keep"

    def __post_init__(self) -> None:
        check_options(self)
        check_choice("batch_norm", self.batch_norm, REMOVALS)
        refuse_first(
            (self.validation >= 1, f"validation={self.validation}; give a share below 1"),
        )

    @property
    def is_validated(self) -> bool:
        return bool(self.patience or self.validate_every)


@dataclass(frozen=True, kw_only=True)
class StudyReptile:
    """How sources are learned by Reptile, as published: 8 inner steps of 10 images.

    iterations  outer steps; their size falls linearly from `lr` to 0
    meta_batch  tasks of an outer step
    ways        classes of a task
    shots       images of a class in a task
    lr          the first size of the outer step
    """

    iterations: int = 100_000
    meta_batch: int = 5
    ways: int = 5
    shots: int = 15
    lr: float = 1.0

    def __post_init__(self) -> None:
        check_options(self)
        refuse_first((self.shots < 2, f"shots={self.shots}; give 2 or more"))


@dataclass(frozen=True, kw_only=True)
class StudyDesign:
    """Which pairs a study has, and how they are scored.

    sources        datasets that are learned from; the word "scratch" is a random start, and
                   "reptile:NAME" is a dataset that is learned by Reptile
    weights        further sources: a name and a file of weights
    normalisation  what the files of weights want of images: "imagenet", "keras" or "none"; "": what
                   is known of published files
    targets        datasets that are fine-tuned on, fold by fold
    splits         "folds", or "own": the train, val and test splits that the target comes with
    folds          folds of each target: each is the test part once, the same for all sources
    fractions      shares of the training and the validation part, of each class and of whole
                   subjects; a smaller one is part of a larger one of the same seed; several are for
                   splits of the targets' own, and rankings are about the largest
    seeds          of training: each trains every source and every pair anew
    source_seed    the only seed that sources are trained by; left out: each of `seeds`
    fold_seed      of folds and of what is drawn
    source_images  about how many images of a source, the same share of each class, of whole
                   subjects: it can be a few more or fewer; 0: all
    target_images  about how many images of a target, likewise; 0: all
    self_pairs     whether a source is scored on itself too; its test folds were in its training,
                   so it is marked, and no ranking counts it
    renew          images of the training part on which BatchNorm's statistics are renewed before
                   scoring, for every source; 0: they stay as training left them
    metric         that leads tables; every metric of the target is stored
    """

    sources: tuple[str, ...] = (SCRATCH,)
    weights: Mapping[str, str] = field(default_factory=dict)
    normalisation: WeightNormalisation = ""
    targets: tuple[str, ...] = ()
    splits: Splits = "folds"
    folds: int = 5
    fractions: tuple[float, ...] = (1.0,)
    source_seed: int | None = option(None, may_be_zero=True)
    seeds: tuple[int, ...] = option((0,), may_be_zero=True)
    fold_seed: int = option(0, may_be_zero=True)
    source_images: int = option(0, may_be_zero=True)
    target_images: int = option(0, may_be_zero=True)
    self_pairs: bool = False
    renew: int = option(1024, may_be_zero=True)
    metric: str = "auroc"

    def __post_init__(self) -> None:
        check_options(self)
        check_choice("splits", self.splits, get_args(Splits))
        check_choice("normalisation", self.normalisation, get_args(WeightNormalisation))
        for seed in self.seeds:
            checked_int("seeds", seed, least=0)
        for fraction in self.fractions:
            checked_number("fractions", fraction, above=0)
            refuse_first((fraction > 1, f"fractions has {fraction}; give shares from 0 to 1"))
        names = (*self.weights, *self.sources)
        refuse_first(
            (not self.targets, "a study has no targets; give one or more"),
            (not names, "a study has no sources; give datasets, weights or 'scratch'"),
            (SCRATCH in self.weights, f"{SCRATCH!r} is the random start; name the weights else"),
            (SCRATCH in self.targets, f"{SCRATCH!r} is the random start, and no target"),
            (self.folds < 2, f"folds={self.folds}; give 2 or more"),
            (
                self.splits == "own" and self.target_images,
                f"target_images={self.target_images} is for splits='folds'; give fractions",
            ),
            (not self.fractions, "a study has no fractions; give 1.0 or more of them"),
            (
                self.splits == "folds" and len(set(self.fractions)) > 1,
                f"several fractions, {list(self.fractions)}, are for splits='own', whose tables"
                " show them; give it, or one fraction",
            ),
            (
                REPTILE in self.sources,
                f"{REPTILE!r} names no dataset; give it as {REPTILE}NAME",
            ),
            (not self.seeds, "a study has no seeds; give one or more"),
            *(
                (repeated, f"the {kind} have {repeated} twice or more; name each once")
                for kind, repeated in (
                    ("sources", repeated_names(names)),
                    ("targets", repeated_names(self.targets)),
                    ("seeds", repeated_names(map(str, self.seeds))),
                    ("fractions", repeated_names(map(str, self.fractions))),
                )
            ),
            *(
                (
                    dataset_of(name) in self.targets,
                    f"the weights {name!r} have the name of a target, as if they were learned from"
                    " it; name them else, or leave that target out",
                )
                for name in self.weights
            ),
        )

    @property
    def test_parts(self) -> int:
        """The parts of a target that are scored."""
        return self.folds if self.splits == "folds" else 1

    def has_pair(self, source: str, target: str) -> bool:
        """Whether the source is scored on the target: on itself only with `self_pairs`."""
        return self.self_pairs or not is_self_pair(source, target)

    @property
    def pairs_left_out(self) -> tuple[tuple[str, str], ...]:
        """(source, target) of those that have no cell, as the source is the target."""
        pairs = product(self.names, self.targets)
        return tuple(pair for pair in pairs if not self.has_pair(*pair))

    @property
    def unused_sources(self) -> tuple[str, ...]:
        """Sources that are scored on no target, so that nothing of them is made."""
        return tuple(
            source
            for source in self.names
            if not any(self.has_pair(source, target) for target in self.targets)
        )

    @property
    def largest_fraction(self) -> float:
        """The fraction that rankings and gains are about."""
        return max(self.fractions)

    def source_seed_of(self, seed: int) -> int:
        """The seed that the sources of a pair were trained by."""
        return seed if self.source_seed is None else self.source_seed

    @property
    def names(self) -> tuple[str, ...]:
        """All sources: weights, in the order of their names, datasets and the random start."""
        # A file of settings keeps no order of names.
        return (*sorted(self.weights), *self.sources)


@dataclass(frozen=True, kw_only=True)
class StudyScores:
    """What is computed of each source before it is fine-tuned.

    names          scores on the training part of each fold, under each source's network
    task2vec       images that an embedding is of, at most: of those that a source learns from, or
                   of the training part of each fold of a target; 0: there are no distances
    probe_weights  a file of weights for the probe of the embeddings, which has the study's
                   backbone; "": the first entry of `study.weights`
    """

    names: tuple[str, ...] = ("logme", "knn", "shrunk_h_score", "gbc")
    task2vec: int = option(0, may_be_zero=True)
    probe_weights: str = ""

    def __post_init__(self) -> None:
        check_options(self)
        check_score_names(self.names)
        if repeated := repeated_names(self.names):
            raise InputError(f"the scores have {repeated} twice or more; name each once")


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """A whole study."""

    study: StudyDesign
    backbone: Mapping[str, Any]
    channels: int = 3
    source_training: StudyTraining = field(default_factory=StudyTraining)
    fine_tuning: StudyTraining = field(default_factory=StudyTraining)
    reptile: StudyReptile = field(default_factory=StudyReptile)
    scores: StudyScores = field(default_factory=StudyScores)

    def __post_init__(self) -> None:
        if not isinstance(self.backbone.get("name"), str):
            raise InputError(
                f"the backbone of a study is {dict(self.backbone)!r}; give a name of"
                " torchcross.backbones, with its options beside it"
            )
        refuse_first(
            (
                self.source_training.batch_norm != "keep",
                f"source_training.batch_norm={self.source_training.batch_norm!r}; sources keep"
                " theirs, set fine_tuning.batch_norm",
            ),
            (
                self.fine_tuning.batch_norm == "fold" and not self.study.renew,
                "fine_tuning.batch_norm='fold' needs statistics to fold, and study.renew=0 renews"
                " none; give study.renew",
            ),
        )
