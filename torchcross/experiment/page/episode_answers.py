"""What a run predicted in the best, the median and the worst episode of each row."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from torchcross.experiment.page.picture_reader import PictureReader, RunPictures
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.stored_predictions import cells_with_predictions, run_predictions
from torchcross.experiment.settings.shots import support_shots
from torchcross.records import EpisodePredictions, Predictions, Records
from torchcross.report.episode_answers import EpisodeAnswers, EpisodePictures, QueryAnswer
from torchcross.report.episode_picks import picked_episodes
from torchcross.report.inputs import answer_probabilities
from torchcross.targets.answer_names import answer_texts


def answers_of_run(
    run: RunFolder, records: Records, metric: str | None, pictures: RunPictures
) -> list[EpisodeAnswers]:
    """At the most shots; empty where the run stored no predictions there.

    Their images are read when a page shows them.
    """
    # Full supervision and 0 shots have no support to look at.
    shots = max(support_shots(run.experiment["shots"]), default=0)
    if (
        metric is None
        or not shots
        or not any(cell["shots"] == shots for _, cell in cells_with_predictions(run))
    ):
        return []
    picks, digests = picked_episodes(records, metric), run.episodes()
    answers: list[EpisodeAnswers] = []
    for predictions in run_predictions(run.path, shots=shots):
        key = (predictions.source, predictions.algorithm, shots)
        wanted = {
            pick.episode: place
            for place, pick in enumerate(picks.get(key, ()))
            if pick.seed == predictions.seed
        }
        digest = digests.get((predictions.algorithm, predictions.source, shots))
        reader = partial(pictures.reader, predictions.source, shots, digest)
        answers += _answers_of(predictions, list(wanted), reader)
    return answers


def _answers_of(
    predictions: Predictions, episodes: list[int], reader: Callable[[], PictureReader]
) -> Iterator[EpisodeAnswers]:
    by_number = {one.episode: one for one in predictions if one.episode in episodes}
    task = predictions.task

    def read(number: int) -> EpisodePictures:
        return reader().read(task, number, images[number])

    images = {number: one.images for number, one in by_number.items()}
    for number in episodes:
        if number in by_number:
            yield EpisodeAnswers(
                predictions.algorithm,
                predictions.source,
                predictions.shots,
                predictions.seed,
                number,
                tuple(_query_answers(predictions, by_number[number])),
                partial(read, number),
            )


def _query_answers(predictions: Predictions, episode: EpisodePredictions) -> Iterator[QueryAnswer]:
    target = predictions.task.target
    probabilities = answer_probabilities(
        episode.prediction.probabilities.numpy(), episode.decisions
    )
    labels = episode.labels
    is_known = (labels if labels.ndim == 1 else labels.max(axis=1)) >= 0
    for fields in zip(
        episode.images.tolist(),
        answer_texts(target, episode.labels),
        answer_texts(target, episode.decisions, episode.labels),
        probabilities.tolist(),
        is_known.tolist(),
        strict=True,
    ):
        yield QueryAnswer(*fields)
