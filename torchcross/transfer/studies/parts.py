"""What of a target is learned from, what judges, and what is scored."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from torchcross.data import TaskSource, class_fraction, stratified_folds
from torchcross.transfer.studies.data import SPLITS, StudyData, at_most
from torchcross.transfer.studies.settings import StudySettings
from torchcross.transfer.studies.units import StudyPair


@dataclass(frozen=True, eq=False)
class TargetParts:
    """The parts of a target for one cell.

    validation  None: a share of the training part is drawn where training needs one
    deviations  by part, the largest difference of drawn and wanted samples of a class, where a
                fraction was drawn
    """

    training: TaskSource
    validation: TaskSource | None
    test: TaskSource
    deviations: dict[str, float] = field(default_factory=dict)


def target_parts(data: StudyData, settings: StudySettings, pair: StudyPair) -> TargetParts:
    """The parts of a cell: of all but the test part, its fraction."""
    return fraction_of(whole_parts(data, settings, pair.target, pair.fold), pair)


def whole_parts(data: StudyData, settings: StudySettings, name: str, fold: int) -> TargetParts:
    """The target's own splits, or the parts of a fold."""
    design = settings.study
    if design.splits == "own":
        training, validation, test = (data.part(name, split) for split in SPLITS)
        return TargetParts(training, validation, test)
    target = at_most(data.open(name), design.target_images, design.fold_seed)
    training, test = fold_parts(target, settings, fold)
    return TargetParts(training, None, test)


def fold_parts(target: TaskSource, settings: StudySettings, fold: int) -> tuple[TaskSource, ...]:
    """(the training part of a target's fold, its test part)."""
    design = settings.study
    folds = stratified_folds(target, design.folds, seed=design.fold_seed)
    test = folds[fold]
    rest = np.sort(np.concatenate([part for place, part in enumerate(folds) if place != fold]))
    return target.subset(rest, name=target.name), target.subset(test, name=target.name)


def fraction_of(parts: TargetParts, pair: StudyPair) -> TargetParts:
    """The same with a fraction of all parts but the test part."""
    if pair.fraction == 1:
        return parts
    deviations = {}

    def share(name: str, part: TaskSource) -> TaskSource:
        draw = class_fraction(part, pair.fraction, seed=pair.seed)
        deviations[name] = draw.deviation
        return part.subset(draw.indices, name=part.name)

    training, validation = share("training", parts.training), parts.validation
    if validation is not None:
        validation = share("validation", validation)
    return TargetParts(training, validation, parts.test, deviations)
