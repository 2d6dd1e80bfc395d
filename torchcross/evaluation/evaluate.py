"""From episodes to records: adapt on the support, be judged on the query."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from torch import Tensor

from torchcross.algorithms import Algorithm, NamedPrediction
from torchcross.episode import Batch, Episode
from torchcross.errors import DivergenceError, InputError
from torchcross.metrics import Score
from torchcross.plan import EpisodePlan
from torchcross.records.records import EpisodeRecord
from torchcross.targets import Prediction
from torchcross.task import Task

__all__ = ["Adapt", "evaluate"]

Adapt: TypeAlias = Callable[[Batch, Task], Callable[[Tensor], Any]]
"""From a support set and its task to a function of images that returns predictions, or logits of
the task's loss.
"""


def evaluate(
    adapt: Algorithm | Adapt,
    episodes: Iterable[Episode],
    *,
    run: str,
    algorithm: str,
    shots: int | None = None,
    seed: int = 0,
    metrics: Sequence[str] | None = None,
    steps: int | None = None,
    progress: Callable[[int], None] | None = None,
    observe: Callable[[Episode, Prediction], None] | None = None,
) -> Iterator[EpisodeRecord]:
    """One record for each episode and metric, as they are made: nothing is kept, so memory does not
    grow.

    `adapt` is an algorithm, or any function (support, task) -> predictor. `algorithm` is its name
    in the records, `seed` the one it was trained with; an algorithm's random heads and masks belong
    to (seed, episode's number). `shots` is read from the plans unless given. `steps` are an
    algorithm's inner steps where they differ from training.

    An adaptation that diverges leaves NaN with its reason, like predictions that are not finite;
    any other error is raised. `progress` is called with the number of episodes done (see
    `ProgressBar`), `observe` with each episode and what was predicted.
    """
    if not callable(adapt):
        raise InputError(
            f"evaluate got {type(adapt).__name__}; give an algorithm such as MAML, or a function"
            " (support, task) -> predictor"
        )
    if steps is not None and not isinstance(adapt, Algorithm):
        raise InputError(
            f"steps={steps} says nothing to a function; give an algorithm, or the steps to the"
            " function"
        )
    if isinstance(metrics, str):
        metrics = (metrics,)
    # What is wrong with the names is said here, and not when the first record is taken.
    EpisodeRecord(run, "any", "", algorithm, shots or 0, seed, 0, "any", 0.0)

    def records() -> Iterator[EpisodeRecord]:
        for done, episode in enumerate(episodes, start=1):
            plan = _plan(episode, shots)
            filed_under = _shots(plan, shots)
            found = _scores(
                adapt, episode, plan.index, seed=seed, steps=steps, metrics=metrics, observe=observe
            )
            for metric, score in found.items():
                yield EpisodeRecord(
                    run=run,
                    target=plan.source,
                    domain=episode.task.domain,
                    algorithm=algorithm,
                    shots=filed_under,
                    seed=seed,
                    episode=plan.index,
                    metric=metric,
                    value=score.value,
                    reason=score.reason,
                )
            if progress is not None:
                progress(done)

    return records()


def _plan(episode: Episode, shots: int | None) -> EpisodePlan:
    plan = episode.plan
    if plan is None:
        raise InputError(
            "an episode has no plan, so its record would have no number; take episodes from"
            " tx.Episodes, or give each Episode(plan=EpisodePlan(...))"
        )
    if shots is not None and plan.shots is not None and shots != plan.shots:
        raise InputError(
            f"evaluate was told shots={shots}, and episode {plan.index} of {plan.source!r} has"
            f" {plan.shots}; leave shots out, or give the episodes that belong to them"
        )
    return plan


def _shots(plan: EpisodePlan, shots: int | None) -> int:
    found = plan.shots if shots is None else shots
    if found is None:
        raise InputError(
            f"episode {plan.index} of {plan.source!r} has mixed shots; say what its records are to"
            " be filed under: evaluate(..., shots=5)"
        )
    return found


def _scores(
    adapt: Algorithm | Adapt,
    episode: Episode,
    index: int,
    *,
    seed: int,
    steps: int | None,
    metrics: Sequence[str] | None,
    observe: Callable[[Episode, Prediction], None] | None,
) -> dict[str, Score]:
    task = episode.task
    try:
        if isinstance(adapt, Algorithm):
            predictor: Callable[[Tensor], Any] = adapt.adapt(
                episode.support, task, steps=steps, seed=seed, index=index
            )
        else:
            predictor = adapt(episode.support, task)
        prediction = _prediction(predictor(episode.query.x), task)
    except DivergenceError as error:
        names = task.target.default_metrics if metrics is None else metrics
        return dict.fromkeys(names, Score(math.nan, f"diverged: {error}"))
    if observe is not None:
        observe(episode, prediction)
    return task.target.evaluate(prediction, episode.query.y, metrics)


def _prediction(found: object, task: Task) -> Prediction:
    if isinstance(found, NamedPrediction):
        return found.plain
    if isinstance(found, Prediction):
        return found
    if isinstance(found, Tensor):
        return task.target.predict(found.detach())
    raise InputError(
        f"a predictor returned {type(found).__name__}; it must return a Prediction, or a tensor of"
        f" logits (N, {task.target.num_outputs})"
    )
