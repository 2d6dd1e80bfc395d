"""What can be disputed in a protocol, and what an experiment chose: in words, for its page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from torchcross.experiment.rows.addressed_backbones import pretrained_backbone, weights_in_words
from torchcross.experiment.rows.fine_tuning import GRID, beyond_published
from torchcross.experiment.rows.methods import METHODS, rows_of_episodes, rows_of_experiment
from torchcross.experiment.rows.norm_choices import (
    norms_in_words,
    running_statistics_in_words,
)
from torchcross.experiment.rows.texts import reads_texts, texts_in_words
from torchcross.experiment.rows.tuning_words import tuning_in_words
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.row_settings import experiment_of_row, experiments_by_backbone
from torchcross.experiment.settings.schema import Experiment

_SUBJECTS = {
    "respect": (
        "where they are known, none is in both support and query of an episode. (As published, one"
        " may be in both.)"
    ),
    "ignore": (
        "one may be in both support and query of an episode, as published. This raises every score."
    ),
}
_QUERIES = {
    "balanced": (
        "as many of each class, as published, whatever its prevalence in the target. Accuracy,"
        ' average precision and F1 are those at this prevalence; `evaluation.query = "natural"`'
        " draws images as they come."
    ),
    "natural": (
        "as they come: classes have the prevalence that they have in the target. (As published"
        " there are as many of each class.) A metric is undefined in an episode whose query lacks"
        " a class that it needs."
    ),
}
_NATURAL_SUPPORT = (
    "shots x classes images as they come, so that classes have the prevalence that they have in the"
    " target, and some may be missing. (As published there are as many of each class.)"
)
_TEMPERATURES = (
    "scores are divided by the temperature that makes samples of the support likeliest to heads"
    " that were fitted without them. It is 1 where each image of a support is the only one of its"
    " class, as with one shot of each: the reasons of such rows say so."
)
_MISSING_CLASS = (
    "each class that is missing among n images and C classes has the probability 1 / (n + C)."
)
_DOMAINS = {
    "dataset": (
        "the sources of a target are without its dataset and those that are listed to overlap with"
        " it, as published; other datasets of its domain stay."
    ),
    "domain": (
        "the sources of a target are without its dataset, those that are listed to overlap with it,"
        " and all of its domain."
    ),
}

_SELECTION = (
    "by scores on the validation splits of the sources; the target's episodes were read after"
    " training."
)
_SPLIT_SCORES = (
    "one for each training seed, over the test split. Intervals are over its images, by subject"
    " where known, and over the seeds where there are several: by DeLong for an AUROC, by the"
    " standard error of a bootstrap for other metrics."
)
_BESIDE_EPISODES = (
    " Other rows are scored on episodes of all images of a target, and on the classes that have"
    " enough of them: the two are not paired, and nothing is tested between them."
)
_ZERO_SHOTS = (
    "nothing is learned from images of the target: the query images are those of the other shots,"
    " and the support is empty."
)


def choices(experiment: Experiment) -> dict[str, str]:
    """What can be disputed in a protocol, and what was chosen, in words; most important first."""
    if not experiment.support_shots:
        return {
            "scores": _SPLIT_SCORES,
            "training seeds": _training_seeds(experiment),
            **_weights(experiment),
            "tuning": tuning_in_words(experiment),
        }
    chosen = {
        "episodes of a target": _overlap(experiment),
        "training seeds": _training_seeds(experiment),
        "adaptation": f"{_adaptation(experiment)}{_own_adaptation(experiment)}",
        "BatchNorm on the query, where the network has any": norms_in_words(experiment),
    }
    if tempered := _tempered_rows(experiment):
        chosen["temperatures"] = f"{', '.join(tempered)}: {_TEMPERATURES}"
    if 0 in experiment.shots:
        chosen["0 shots"] = _ZERO_SHOTS
    if reads_texts(experiment):
        chosen["texts"] = texts_in_words(experiment)
    if "supervised" in experiment.algorithms:
        chosen["scores of supervised, from all labels"] = f"{_SPLIT_SCORES}{_BESIDE_EPISODES}"
    chosen |= _weights(experiment)
    chosen["tuning"] = tuning_in_words(experiment)
    if experiment.rows:
        chosen["settings of single rows"] = _row_settings(experiment)
    if origins := running_statistics_in_words(experiment):
        chosen["running statistics that adaptation begins with"] = origins
    trains = any(METHODS[name].trains for name in experiment.algorithms)
    if trains:
        chosen["model selection"] = _SELECTION
    if experiment.evaluation.support == "natural":
        chosen["support images"] = f"{_NATURAL_SUPPORT}{_missing_classes(experiment)}"
    chosen["query images"] = _QUERIES[experiment.evaluation.query]
    chosen["subjects"] = _SUBJECTS[experiment.evaluation.groups]
    if trains:
        chosen["domains"] = _DOMAINS[experiment.data.leave_out]
    return chosen


def _tempered_rows(experiment: Experiment) -> list[str]:
    own = {row: experiment_of_row(experiment, row) for row in rows_of_episodes(experiment)}
    return [
        row
        for row, settings in own.items()
        if METHODS[row].tempered and settings.evaluation.temperature != "none"
    ]


def _missing_classes(experiment: Experiment) -> str:
    """What rows predict of a class that a natural support lacks."""
    rows, with_texts = rows_of_episodes(experiment), reads_texts(experiment)
    others = [row for row in rows if row not in with_texts]
    texts = [f"{', '.join(with_texts)}: a missing class has its text."] if with_texts else []
    if others:
        whom = ", ".join(others) if with_texts else "Every row"
        texts.append(f"{whom}: {_MISSING_CLASS}")
    return "".join(f" {text}" for text in texts)


def _weights(experiment: Experiment) -> dict[str, str]:
    """What weights of an address are, and which images they want."""
    return {
        f"weights of {label}" if label else "weights": weights_in_words(known.weights)
        for label, own in experiments_by_backbone(experiment).items()
        if (known := pretrained_backbone(own)) is not None
    }


def _training_seeds(experiment: Experiment) -> str:
    seeds = ", ".join(map(str, experiment.seeds))
    if len(experiment.seeds) > 1:
        return (
            f"{len(experiment.seeds)} ({seeds}): intervals resample the seeds, then the episodes."
        )
    rows = rows_of_experiment(experiment)
    fixed = [
        row
        for row in rows
        if not METHODS[row].has_seeds(experiment_of_row(experiment, row).model.has_weights)
    ]
    if len(fixed) == len(rows):
        return f"one ({seeds}): no row is trained, so no other seed would give another network."
    exceptions = (
        f" {', '.join(fixed)}: nothing to train, one seed is all there is." if fixed else ""
    )
    return (
        f"one ({seeds}): training variance was not measured, no interval covers it, and the marks"
        " of the tables are grey, of one training each; `seeds = [0, 1, 2]` measures it."
        f"{exceptions}"
    )


def _overlap(experiment: Experiment) -> str:
    count = experiment.evaluation.episodes
    if experiment.evaluation.disjoint:
        return (
            f"they are disjoint: no two of the {count} share an image, so they are as independent"
            " as the images are. They may share subjects. A target whose images give fewer than"
            f" {count} has fewer. (As published they overlap.)"
        )
    return (
        f"they overlap: the {count} are drawn from the same images, as published. An interval over"
        " images says where the mean over all images like these may lie. One over episodes of these"
        " images is narrower, and says less than it seems to. The legend of a table says which it"
        " has; `evaluation.disjoint = true` draws episodes that share no image, where both are one."
    )


def _adaptation(experiment: Experiment) -> str:
    settings = experiment.evaluation
    steps = _number_of(settings.steps, "step")
    fine_tuning = f"a fresh head and {steps} of Adam at {settings.lr:g} on all parameters"
    beyond = beyond_published(experiment)
    fixed = [name for name in rows_of_episodes(experiment) if METHODS[name].make_adapter]
    exceptions, rows = "", "every row"
    if fixed:
        exceptions = f" {', '.join(fixed)}: features stay as they are, only the head adapts."
        rows = "every other row"
    if "fine-tuned-grid" in experiment.algorithms:
        factors = experiment.fine_tuning.grid or GRID
        exceptions += (
            f" fine-tuned-grid: {len(factors) ** 2} networks at the rates of head and backbone"
            f" times {', '.join(f'{factor:g}' for factor in factors)}, their mean probability;"
            " nothing is chosen."
        )
    if "pmf" in experiment.algorithms:
        exceptions += " pmf: always fine-tuned, from prototypes as the head."
    if settings.adaptation == "own":
        return (
            "each row as it was trained to adapt, where it has a way of its own, with"
            f" {_number_of(experiment.own_steps, 'inner step')} where it takes any; the others by"
            f" {fine_tuning}. (As published every row is fine-tuned.){beyond}{exceptions}"
        )
    as_published = "" if beyond else ", as published"
    return (
        f"{rows} by {fine_tuning}{as_published}, also those that were trained to adapt in another"
        f' way; `evaluation.adaptation = "own"` lets these adapt in their own way.{beyond}'
        f"{exceptions}"
    )


def _own_adaptation(experiment: Experiment) -> str:
    """Where the steps and rates of single rows stand, if they have any."""
    chosen = experiment.tuned.get("targets", {}).values()
    tables = [experiment.rows, *chosen]
    names = {name for rows in tables for values in rows.values() for name in values}
    if not any(name.startswith(("evaluation.", "fine_tuning.")) for name in names):
        return ""
    return " Single rows have values of their own in place of these (see tuning)."


def _row_settings(experiment: Experiment) -> str:
    """What rows have of their own, in place of what is said of all rows."""
    rows = {name: values for name, values in experiment.rows.items() if values}
    texts = [f"{name}: {values_in_words(values)}" for name, values in rows.items()]
    return f"set by hand, in place of what is said of all rows. {'; '.join(texts)}."


def values_in_words(values: Mapping[str, Any]) -> str:
    """Settings with their values, in the order of their names."""
    return ", ".join(f"`{name}` = {json.dumps(as_plain(values[name]))}" for name in sorted(values))


def _number_of(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
