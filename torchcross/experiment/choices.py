"""What can be disputed in a protocol, and what an experiment chose: in words, for its page."""

from __future__ import annotations

from typing import Any

from torchcross import backbones
from torchcross.experiment.methods import METHODS, adapter
from torchcross.experiment.sections import Experiment

__all__ = ["choices"]

_NORMS = {
    "running": "running statistics, moved by the forwards of the support set; no query image tells of another",
    "frozen": "the running statistics of training; no query image tells of another",
    "support": "statistics of the support set; no query image tells of another",
    "per_step": "statistics of each inner step, moved by the support set; no query image tells of another",
    "batch": "statistics of the query set itself. This is transductive: what is said of an image depends on the "
    "images beside it, and such rows know more than the others",
}


def choices(told: Experiment) -> dict[str, str]:
    """In words: what can be disputed in a protocol, and what was chosen; the most important first."""
    seeds = ", ".join(map(str, told.seeds))
    variance = (
        f"one ({seeds}): training variance was not measured, no interval covers it; `seeds = [0, 1, 2]` measures it."
        if len(told.seeds) == 1
        else f"{len(told.seeds)} ({seeds}): intervals resample the seeds, then the episodes."
    )
    if "supervised" in told.algorithms:
        return {
            "scores": "one for each training seed, over the test split: without episodes there is no spread but that "
            "of the seeds.",
            "training seeds": variance,
        }
    return {
        "episodes of a target": _overlap(told),
        "training seeds": variance,
        "adaptation": _adaptation(told),
        "BatchNorm on the query, where the network has any": _norms(told),
        "model selection": "by scores on the validation splits of the sources; the target was opened after training.",
    }


def _overlap(told: Experiment) -> str:
    count = told.evaluation.episodes
    if told.evaluation.disjoint:
        return (
            f"they are disjoint: no two of the {count} share an image, so they are as independent as the images are. "
            "They may share subjects. (As published they overlap.)"
        )
    return (
        f"they overlap: the {count} are drawn from the same images, as published. Intervals tell how well the mean "
        "over all episodes of these images is known, and understate what is not known about the task itself; "
        "`evaluation.disjoint = true` draws episodes that share no image."
    )


def _adaptation(told: Experiment) -> str:
    how = told.evaluation
    tuned = f"a fresh head and {how.steps} steps of Adam at {how.lr:g} on everything"
    if how.adaptation == "own":
        return (
            f"each row as it was trained to adapt, where it has a way of its own; the others by {tuned}. (As published "
            "every row is fine-tuned.)"
        )
    return (
        f"every row by {tuned}, as the published table has it, also those that were trained to adapt in another way; "
        '`evaluation.adaptation = "own"` lets these.'
    )


def _norms(told: Experiment) -> str:
    """By policy, and a word where rows of one table differ in it."""
    rows: dict[str, list[str]] = {}
    for name in told.algorithms:
        rows.setdefault(_norm_of(name, told), []).append(name)
    said = "; ".join(f"`{norm}` ({', '.join(names)}): {_NORMS.get(norm, norm)}" for norm, names in rows.items())
    mixed = " Rows that are transductive and rows that are not stand in one table." if len({*rows} & {"batch"}) else ""
    return f"{said}.{mixed if len(rows) > 1 else ''}"


def _norm_of(name: str, told: Experiment) -> str:
    """The policy that a row adapts with; a network of one channel stands in for the trained one."""
    method = METHODS[name]
    net = backbones.conv4(1, in_channels=1)
    trained = net if method.make is None else method.make(net, told.meta, None)
    how: Any = adapter(method, trained, told)
    return str(how.network.policy.name)
