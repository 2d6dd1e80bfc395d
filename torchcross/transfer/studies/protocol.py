"""How a study was made, in the lines of its report."""

from __future__ import annotations

from collections.abc import Iterator

from torchcross._kit.counts import count_text
from torchcross.report.numbers import percent_text
from torchcross.transfer.source_target import REPTILE
from torchcross.transfer.studies.settings import (
    StudyDesign,
    StudyReptile,
    StudySettings,
    StudyTraining,
)


def protocol_lines(settings: StudySettings) -> Iterator[str]:
    """A section of a report."""
    design, tuning = settings.study, settings.fine_tuning
    yield "\n## How it was made\n"
    parts = f"{count_text(design.folds, 'folds')} of each target, the same for all sources"
    if design.splits == "own":
        parts = "each target's own splits"
    yield (
        f"- {settings.backbone['name']}, all layers, on {parts};"
        f" {count_text(len(design.seeds), 'seeds')}."
    )
    if words := _fraction_words(design):
        yield f"- Fine-tuning learns from {words}."
    drawn = "{} of the source's images"
    yield f"- sources: {_words_of(settings.source_training, drawn)}."
    drawn = "{} of the training part"
    if design.splits == "own":
        drawn = "the target's own val split"
    yield f"- fine-tuning: {_words_of(tuning, drawn)}."
    if any(name.startswith(REPTILE) for name in design.sources):
        yield f"- Reptile: {_words_of_reptile(settings.reptile)}."
    yield f"- BatchNorm in fine-tuning: {_batch_norm_words(settings)}."


def _fraction_words(design: StudyDesign) -> str:
    """What is learned from of a target; empty where it is the whole training part."""
    *shares, largest = (percent_text(share) for share in sorted(design.fractions))
    if not shares and largest == "100%":
        return ""
    listed = f"{', '.join(shares)} and {largest}" if shares else largest
    return f"{listed} of the training part of each target"


def _words_of(training: StudyTraining, validation: str) -> str:
    """`validation` says what the validation part is; its {} is the share."""
    length = count_text(training.epochs, "epochs")
    if training.steps:
        length = count_text(training.steps, "steps")
    stop = ""
    if training.is_validated:
        every = "epoch"
        if training.validate_every:
            every = count_text(training.validate_every, "steps")
        part = validation.format(percent_text(training.validation))
        stop = f", the best by {training.stop_by} of the validation part ({part}) each {every}"
    if training.patience:
        stop += f", stopped after {training.patience} without a better one"
    optimiser = f"Adam at {training.lr:g}"
    if training.weight_decay:
        optimiser = f"AdamW at {training.lr:g} with a weight decay of {training.weight_decay:g}"
    return (
        f"{length} of {optimiser} ({training.schedule}), {training.batch_size} images a"
        f" step{stop}; augmentation: {_yes(training.augment)}; class weights:"
        f" {_yes(training.class_weights)}"
    )


def _words_of_reptile(reptile: StudyReptile) -> str:
    return (
        f"{reptile.iterations:,} outer steps of {reptile.meta_batch} tasks with {reptile.ways}"
        f" classes and {reptile.shots} images each; 8 inner steps of 10 images; outer step from"
        f" {reptile.lr:g} to 0"
    )


def _batch_norm_words(settings: StudySettings) -> str:
    how, renew = settings.fine_tuning.batch_norm, settings.study.renew
    if how == "identity":
        return "identity: its layers are left out, for every source"
    if how == "fold":
        return (
            "fold: its layers are folded into convolutions, with statistics of at most"
            f" {renew:,} training images, for every source"
        )
    if renew:
        return (
            f"keep; its statistics are renewed on at most {renew:,} training images before scoring"
        )
    return "keep; its statistics stay as training left them"


def _yes(flag: bool) -> str:
    return "yes" if flag else "no"
