"""What can be disputed in a protocol, and what an experiment chose: in words, for its page."""

from __future__ import annotations

from typing import Any

from torchcross import backbones
from torchcross.experiment.rows.adaptation import RENEWED, adapter, reads_running_statistics
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.settings.schema import Experiment

__all__ = ["choices"]

_NORMS = {
    "running": (
        "running statistics, moved by the forwards of the support set; no query image tells of"
        " another"
    ),
    "frozen": "running statistics as they are; no query image tells of another",
    "support": "statistics of the support set; no query image tells of another",
    "per_step": (
        "statistics of each inner step, moved by the support set; no query image tells of another"
    ),
    "batch": (
        "statistics of the query set itself. This is transductive: what is said of an image depends"
        " on the images beside it, and such rows know more than the others"
    ),
}

_SUBJECTS = {
    "respect": (
        "where they are known, none stands in both support and query of an episode. (As published"
        " they may.)"
    ),
    "ignore": (
        "one may stand in both support and query of an episode, as published, which flatters every"
        " score."
    ),
}
_DOMAINS = {
    "dataset": (
        "with a target leave its dataset and those that are listed to overlap with it, as"
        " published; what is of its domain and is not listed is learned from."
    ),
    "domain": (
        "with a target leave its dataset, those that are listed to overlap with it, and all of its"
        " domain."
    ),
}

_SELECTION = (
    "by scores on the validation splits of the sources; the target's episodes were read after"
    " training."
)


def choices(told: Experiment) -> dict[str, str]:
    """In words: what can be disputed in a protocol, and what was chosen; the most important
    first.
    """
    seeds = ", ".join(map(str, told.seeds))
    variance = (
        f"one ({seeds}): training variance was not measured, no interval covers it; `seeds = [0, 1,"
        " 2]` measures it."
        if len(told.seeds) == 1
        else f"{len(told.seeds)} ({seeds}): intervals resample the seeds, then the episodes."
    )
    if "supervised" in told.algorithms:
        return {
            "scores": (
                "one for each training seed, over the test split: without episodes there is no"
                " spread but that of the seeds."
            ),
            "training seeds": variance,
        }
    trains = any(METHODS[name].trains for name in told.algorithms)
    return {
        "episodes of a target": _overlap(told),
        "training seeds": variance,
        "adaptation": _adaptation(told),
        "BatchNorm on the query, where the network has any": _norms(told),
        **(
            {"running statistics that adaptation begins with": text}
            if (text := _running(told))
            else {}
        ),
        **({"model selection": _SELECTION} if trains else {}),
        "subjects": _SUBJECTS[told.evaluation.groups],
        **({"domains": _DOMAINS[told.data.leave_out]} if trains else {}),
    }


def _overlap(told: Experiment) -> str:
    count = told.evaluation.episodes
    if told.evaluation.disjoint:
        return (
            f"they are disjoint: no two of the {count} share an image, so they are as independent"
            " as the images are. They may share subjects. A target whose images give fewer than"
            f" {count} has fewer. (As published they overlap.)"
        )
    return (
        f"they overlap: the {count} are drawn from the same images, as published. Intervals tell"
        " how well the mean over all episodes of these images is known, and understate what is not"
        " known about the task itself; `evaluation.disjoint = true` draws episodes that share no"
        " image."
    )


def _adaptation(told: Experiment) -> str:
    how = told.evaluation
    tuned = f"a fresh head and {_counted(how.steps, 'step')} of Adam at {how.lr:g} on everything"
    fixed = [name for name in told.algorithms if METHODS[name].adapts is not None]
    apart = (
        f" {', '.join(fixed)}: the network as it is, with no adaptation but the head's."
        if fixed
        else ""
    )
    if how.adaptation == "own":
        return (
            "each row as it was trained to adapt, where it has a way of its own, with"
            f" {_counted(told.own_steps, 'inner step')} where it takes any; the others by {tuned}."
            f" (As published every row is fine-tuned.){apart}"
        )
    return (
        f"every {'other ' if fixed else ''}row by {tuned}, as the published table has it, also"
        " those that were trained "
        f'to adapt in another way; `evaluation.adaptation = "own"` lets these.{apart}'
    )


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _norms(told: Experiment) -> str:
    """By policy, and a word where rows of one table differ in it."""
    rows: dict[str, list[str]] = {}
    for name in told.algorithms:
        rows.setdefault(_stand_in(name, told).network.policy.name, []).append(name)
    said = "; ".join(
        f"`{norm}` ({', '.join(names)}): {_NORMS.get(norm, norm)}" for norm, names in rows.items()
    )
    mixed = (
        " Rows that are transductive and rows that are not stand in one table."
        if len({*rows} & {"batch"})
        else ""
    )
    return f"{said}.{mixed if len(rows) > 1 else ''}"


def _running(told: Experiment) -> str:
    """Where the running statistics come from, by rows that read them."""
    rows: dict[str, list[str]] = {}
    for name in told.algorithms:
        if reads_running_statistics(_stand_in(name, told)):
            rows.setdefault(_origin(name, told), []).append(name)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in rows.items())


def _origin(name: str, told: Experiment) -> str:
    method = METHODS[name]
    if method.make is not None:
        return (
            f"renewed on {RENEWED} episodes of the sources after training, which leaves them as"
            " they were (as published they were moved while training)"
        )
    if method.pretrains:
        return "as training on the sources left them"
    if told.model.weights and not method.random:
        return "those of the published weights"
    return "those of a new network, mean 0 and variance 1"


def _stand_in(name: str, told: Experiment) -> Any:
    """What a row adapts with; a network of one channel stands in for the trained one."""
    method = METHODS[name]
    net = backbones.conv4(1, in_channels=1)
    trained = net if method.make is None else method.make(net, told.meta, None)
    return adapter(method, trained, told)
