"""Table 4 of the MedIMeta paper: the few-shot evaluation across domains, point by point."""

from __future__ import annotations

from torchcross.experiment.settings.protocol_points import OneOf, ProtocolPoint, Publication
from torchcross.experiment.settings.published_common import (
    ADAM,
    AUGMENTATION,
    BUDGET,
    COMMON_POINTS,
    IMAGENET,
    no_single_image,
    one_warp,
    one_warp_of_batches,
    plain_adam,
)
from torchcross.experiment.settings.schema import Experiment


def _one_warp_of_episodes(experiment: Experiment) -> str:
    return one_warp(experiment.meta.augment)


def _choice_of_rate(experiment: Experiment) -> str:
    if experiment.tuned:
        return "chosen by a search (`tuned`)"
    evaluation = experiment.evaluation
    if (evaluation.steps, evaluation.lr) == (50, 1e-3):
        return "nothing is searched: these are the published values, which these targets chose"
    return "nothing is searched: the values are those of the experiment"


_SOURCES = (
    ProtocolPoint(
        "sources of a target",
        "all datasets but the target's and those listed to overlap with it in domain or subjects",
        {"data.leave_out": "dataset"},
    ),
    ProtocolPoint(
        "tasks of a source",
        "every task of a dataset; in other rows its first task alone",
        {"data.source_tasks": OneOf(("all", "primary"))},
    ),
)


_MM_PT = (
    ProtocolPoint("start", "ImageNet weights", {"model.weights": IMAGENET}, row="mm-pt"),
    ProtocolPoint("optimiser", ADAM, plain_adam("pretraining"), row="mm-pt"),
    ProtocolPoint(
        "batches",
        "64 images of one task; a task is drawn in proportion to the batches that remain of it; the"
        " last batch of a pass may be smaller",
        {
            "pretraining.batch_size": 64,
            "pretraining.accumulate": 1,
            "pretraining.last_batch": "keep",
        },
        no_single_image,
        row="mm-pt",
    ),
    ProtocolPoint(
        "augmentation",
        AUGMENTATION,
        {"pretraining.augment": True},
        one_warp_of_batches,
        row="mm-pt",
    ),
    ProtocolPoint(
        "heads",
        "a linear head for each task, from zero",
        {"pretraining.heads": "zero"},
        row="mm-pt",
    ),
    ProtocolPoint(
        "scale of losses",
        "largest / own number of batches in the epoch before; none in the first epoch",
        {"pretraining.scale_losses": True, "pretraining.scale_from_epoch": 2},
        row="mm-pt",
    ),
    ProtocolPoint("budget", BUDGET, {"pretraining.epochs": 1000}, row="mm-pt"),
    ProtocolPoint(
        "validation",
        "once an epoch on whole validation splits, whose images are augmented too; mean over tasks"
        " of the macro AUROC, where a class without an image counts 0",
        {"pretraining.validate_every": 0, "pretraining.validation_images": 0},
        "validation images are not augmented; a class without an image is left out of the AUROC",
        row="mm-pt",
    ),
    ProtocolPoint(
        "early stopping",
        "after 10 epochs without a better score; the best epoch's weights are kept",
        {"pretraining.patience": 10},
        row="mm-pt",
    ),
)


_MM_MAML = (
    ProtocolPoint("start", "ImageNet weights", {"model.weights": IMAGENET}, row="mm-maml"),
    ProtocolPoint(
        "outer loop",
        f"{ADAM}; one episode for each step",
        {**plain_adam("meta"), "meta.meta_batch": 1},
        row="mm-maml",
    ),
    ProtocolPoint(
        "inner loop",
        "4 steps of SGD at .1 on all parameters, exact second order; a head of zeros for each"
        " episode",
        {"meta.inner_lr": 0.1, "meta.inner_steps": 4},
        row="mm-maml",
    ),
    ProtocolPoint(
        "episodes",
        "2 to all classes, 1 to 10 shots, 10 queries a class; classes of fewer than 40 images are"
        " left out, but binary tasks keep both",
        {
            "meta.ways": [2, 0],
            "meta.shots": [1, 10],
            "meta.queries": 10,
            "meta.min_images": 40,
            "meta.filter_binary": False,
        },
        row="mm-maml",
    ),
    ProtocolPoint(
        "splits",
        "training and validation episodes are both drawn from all images of a source",
        here="training episodes are of the train splits, validation episodes of the val splits",
        row="mm-maml",
    ),
    ProtocolPoint(
        "budget",
        f"{BUDGET}; an epoch has 1,000 episodes of each task, the same in every epoch",
        {"meta.epochs": 1000, "meta.epoch_episodes": 1000, "meta.episodes": "repeated"},
        row="mm-maml",
    ),
    ProtocolPoint(
        "augmentation",
        f"support and query: {AUGMENTATION}",
        {"meta.augment": True},
        _one_warp_of_episodes,
        row="mm-maml",
    ),
    ProtocolPoint(
        "BatchNorm",
        "support and query each by their own statistics; running statistics never move: those of"
        " ImageNet stay",
        {"meta.running_statistics": "kept"},
        row="mm-maml",
    ),
    ProtocolPoint(
        "validation",
        "once an epoch, 100 episodes of each task, 32 inner steps; mean AUROC of their queries",
        {
            "meta.validate_every": 0,
            "meta.validation_episodes": 100,
            "meta.validation_episodes_of": "each",
            "meta.validation_inner_steps": 32,
        },
        row="mm-maml",
    ),
    ProtocolPoint(
        "early stopping",
        "after 5 epochs without a better score; the best epoch's weights are kept",
        {"meta.patience": 5},
        row="mm-maml",
    ),
)


_EVALUATION = (
    ProtocolPoint(
        "episodes of a target",
        "100 of 5 shots, drawn without a seed from all images of the target; they overlap",
        {
            "evaluation.episodes": 100,
            "evaluation.disjoint": False,
            "shots": lambda experiment: list(experiment.shots) if 5 in experiment.shots else [5],
        },
        "drawn from a seed (`evaluation.seed`)",
    ),
    ProtocolPoint(
        "queries",
        "10 a class",
        {"evaluation.queries": 10, "evaluation.query": "balanced"},
    ),
    ProtocolPoint(
        "classes left out",
        "those of fewer than 50 images (labels: fewer than 50 with or without); a binary target"
        " keeps both classes",
        {"evaluation.min_images": 50, "evaluation.filter_binary": False},
    ),
    ProtocolPoint(
        "subjects",
        "not looked at: one may be in both support and query",
        {"evaluation.groups": "ignore"},
    ),
    ProtocolPoint(
        "adaptation",
        "every row alike: a fresh Kaiming head, Adam on all parameters, the whole support as one"
        " batch, 50 steps at 1e-3, no augmentation",
        {"evaluation.adaptation": "fine-tune", "evaluation.steps": 50, "evaluation.lr": 1e-3},
    ),
    ProtocolPoint(
        "choice of rate and steps",
        "picked from a grid of two rates and two numbers of steps that was run on the targets"
        " themselves",
        here=_choice_of_rate,
    ),
    ProtocolPoint(
        "BatchNorm of the query",
        "running statistics, which the forwards of the support have moved",
        {"evaluation.norm": OneOf(("running", ""))},
    ),
    ProtocolPoint(
        "score",
        "AUROC (macro over classes, grades or labels) of probabilities in 32 bits, where confident"
        " ones tie",
        {"evaluation.metric": "auroc"},
        "ranked by log-odds in 64 bits, which do not tie",
    ),
    ProtocolPoint(
        "interval",
        "1.96 standard errors over episodes, as if they were independent",
        {"evaluation.interval": "normal"},
        "over images where the run knows which an episode drew; over episodes beside it",
    ),
)


TABLE_4 = Publication(
    "Table 4 of the MedIMeta paper and its scripts",
    (*COMMON_POINTS, *_SOURCES, *_MM_PT, *_MM_MAML, *_EVALUATION),
)
