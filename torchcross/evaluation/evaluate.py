"""From episodes to records: adapt to the support, score the predictions of the query."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, Final, TypeAlias

from torch import Tensor

from torchcross.algorithms import Algorithm, ClosedForm, NamedPrediction
from torchcross.data import EpisodeSampler, TaskSource
from torchcross.episode import Batch, Episode
from torchcross.errors import DivergenceError, InputError
from torchcross.metrics import Score
from torchcross.metrics.reasons import DIVERGED, NO_SAMPLE_OF
from torchcross.plan import EpisodePlan
from torchcross.records.records import EpisodeRecord
from torchcross.targets import Prediction
from torchcross.task import Task

_AT_ONCE: Final = 64
"""Episodes of stored features whose heads are fitted together: some MB of features."""

Adapt: TypeAlias = Callable[[Batch, Task], Callable[[Tensor], Any]]
"""From a support set and its task to a function of images.

That function returns predictions, or logits of the task's loss.
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
    """Yield one record for each episode and metric; memory does not grow with them.

    `adapt` is an algorithm, or any function (support, task) -> predictor. `algorithm` is its name
    in the records, `seed` the seed that it was trained with; an algorithm's random heads and masks
    belong to (seed, episode's number). `shots` is read from the plans unless given. `steps` are the
    inner steps of an algorithm where they differ from training.

    An adaptation that diverges leaves NaN with its reason, and so do predictions that are not
    finite; any other error is raised. Where a support lacks classes, the reason of every value of
    that episode names them; it also has the algorithm's `remark`. `progress` is called with the
    number of episodes done (see `ProgressBar`), `observe` with each episode and its prediction.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import ProtoNet
    >>> from torchcross.data import toys
    >>> episodes = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3), 4)
    >>> protonet = ProtoNet(backbones.conv4(8, in_channels=1))
    >>> records = list(tx.evaluate(protonet, episodes, run="first", algorithm="protonet"))
    >>> len(records), records[0].metric, records[0].shots
    (20, 'auroc', 5)
    """
    _check_arguments(adapt, episodes, steps)
    if isinstance(metrics, str):
        metrics = (metrics,)
    # A wrong name raises here, and not when the caller takes the first record.
    EpisodeRecord(run, "any", "", algorithm, shots or 0, seed, 0, "any", 0.0)

    def records() -> Iterator[EpisodeRecord]:
        numbered = enumerate(_predictions(adapt, episodes, seed, steps, shots), start=1)
        for done, (episode, prediction) in numbered:
            plan, filed_shots = _plan_and_shots(episode, shots)
            target = episode.task.target
            if isinstance(prediction, DivergenceError):
                names = target.default_metrics if metrics is None else metrics
                reason = f"{DIVERGED}: {prediction}"
                scores = dict.fromkeys(names, Score(math.nan, reason))
            else:
                if observe is not None:
                    observe(episode, prediction)
                scores = target.evaluate(prediction, episode.query.y, metrics)
            for metric, score in _with_remarks(scores, adapt, episode).items():
                yield EpisodeRecord(
                    run=run,
                    target=plan.source,
                    domain=episode.task.domain,
                    algorithm=algorithm,
                    shots=filed_shots,
                    seed=seed,
                    episode=plan.index,
                    metric=metric,
                    value=score.value,
                    reason=score.reason,
                )
            if progress is not None:
                progress(done)

    return records()


def _check_arguments(adapt: object, episodes: object, steps: int | None) -> None:
    if not callable(adapt):
        raise InputError(
            f"evaluate got {type(adapt).__name__}; give an algorithm such as MAML, or a function"
            " (support, task) -> predictor"
        )
    if isinstance(episodes, TaskSource | EpisodeSampler):
        raise InputError(
            f"evaluate got {type(episodes).__name__} and needs episodes; give"
            " Episodes(sampler, 100), where sampler = EpisodeSampler(source)"
        )
    if steps is not None and not isinstance(adapt, Algorithm):
        raise InputError(
            f"steps={steps} has no meaning for a function; give an algorithm, or give the steps to"
            " the function"
        )


def _with_remarks(
    scores: Mapping[str, Score], adapt: Algorithm | Adapt, episode: Episode
) -> Mapping[str, Score]:
    """The scores; their reasons also have the algorithm's remark, and classes without a sample."""
    remarks = []
    if isinstance(adapt, Algorithm) and (remark := adapt.remark(episode.support, episode.task)):
        remarks.append(remark)
    if missing := episode.missing_classes:
        remarks.append(f"{NO_SAMPLE_OF} {', '.join(map(repr, missing))}")
    if not remarks:
        return scores
    return {
        metric: replace(score, reason="; ".join(filter(None, (score.reason, *remarks))))
        for metric, score in scores.items()
    }


def _predictions(
    adapt: Algorithm | Adapt,
    episodes: Iterable[Episode],
    seed: int,
    steps: int | None,
    shots: int | None,
) -> Iterator[tuple[Episode, Prediction | DivergenceError]]:
    """Each episode with its prediction, or with the error of an adaptation that diverges."""
    if isinstance(adapt, ClosedForm) and adapt.predicts_at_once and not steps:
        # What is predicted for an episode does not depend on those beside it.
        waiting = iter(episodes)
        while several := list(islice(waiting, _AT_ONCE)):
            yield from zip(several, _predictions_at_once(adapt, several), strict=True)
        return
    for episode in episodes:
        plan, _ = _plan_and_shots(episode, shots)
        try:
            yield episode, _predict(adapt, episode, plan.index, seed, steps)
        except DivergenceError as error:
            yield episode, error


def _predictions_at_once(
    algorithm: ClosedForm, episodes: Sequence[Episode]
) -> Sequence[Prediction | DivergenceError]:
    try:
        return algorithm.predict_batch(episodes)
    except DivergenceError as error:
        if len(episodes) == 1:
            return [error]
    # The error names one of them: the others have predictions.
    return [each for episode in episodes for each in _predictions_at_once(algorithm, [episode])]


def _plan_and_shots(episode: Episode, shots: int | None) -> tuple[EpisodePlan, int]:
    """The plan of the episode, and the shots of its records: those of the plan unless given."""
    plan = episode.plan
    if plan is None:
        raise InputError(
            "an episode has no plan, so its record would have no number; take episodes from"
            " tx.Episodes, or give each Episode(plan=EpisodePlan(...))"
        )
    place = f"episode {plan.index} of {plan.source!r}"
    if shots is not None and plan.shots not in (None, shots):
        raise InputError(
            f"evaluate got shots={shots}, and {place} has {plan.shots}; leave shots out, or give"
            " the episodes that belong to them"
        )
    if shots is None:
        shots = plan.shots
    if shots is None:
        raise InputError(
            f"{place} has mixed shots; give the number of shots for its records:"
            " evaluate(..., shots=5)"
        )
    return plan, shots


def _predict(
    adapt: Algorithm | Adapt, episode: Episode, index: int, seed: int, steps: int | None
) -> Prediction:
    task = episode.task
    if isinstance(adapt, Algorithm):
        predictor: Callable[[Tensor], Any] = adapt.adapt(
            episode.support, task, steps=steps, seed=seed, index=index
        )
    else:
        predictor = adapt(episode.support, task)
    prediction = predictor(episode.query.x)
    if isinstance(prediction, NamedPrediction):
        return prediction.plain
    if isinstance(prediction, Prediction):
        return prediction
    if isinstance(prediction, Tensor):
        return task.target.predict(prediction.detach())
    raise InputError(
        f"a predictor returned {type(prediction).__name__}; it must return a Prediction, or a"
        f" tensor of logits (N, {task.target.num_outputs})"
    )
