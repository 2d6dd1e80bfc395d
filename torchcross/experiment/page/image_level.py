"""Whether the intervals of a page are over images or over episodes of these images, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torchcross._kit.listed_names import first_names
from torchcross.errors import InputError
from torchcross.experiment.page.redrawn_plans import redraw_plans
from torchcross.experiment.run.folder import RunFolder
from torchcross.records import Records
from torchcross.records.shots import shots_text
from torchcross.report.summary import EpisodeDraws
from torchcross.statistics import Draws

IMAGES, EPISODES = "images", "episodes"
_ASKED = (
    "Intervals and marks are over episodes of these images, as was asked for. Where episodes share"
    " images, they say too little about other images like these."
)

EpisodesOfRows = Mapping[tuple[str, str, int], str]
"""(algorithm, target, shots) -> a digest of the episodes."""


@dataclass(frozen=True)
class PageDraws:
    """Digest of episodes -> their draws, none where intervals are over episodes; and warnings."""

    by_digest: Mapping[str, Draws]
    warnings: tuple[str, ...]

    def of_rows(self, episodes: EpisodesOfRows) -> EpisodeDraws:
        """(algorithm, target, shots) -> the draws of its episodes, where they are known."""
        known = self.by_digest
        return {key: known[digest] for key, digest in episodes.items() if digest in known}

    def of_targets(self, episodes: EpisodesOfRows) -> dict[tuple[str, int], Draws]:
        """By target and shots."""
        return {key[1:]: draws for key, draws in self.of_rows(episodes).items()}


def draws_of_run(
    run: RunFolder,
    records: Records,
    episodes: EpisodesOfRows,
    uncertainty: str | None = None,
    data: str | Path | None = None,
) -> PageDraws:
    """Of one run. `data` is the folder from which plans are drawn again that the run lacks."""
    if asked_uncertainty([run], uncertainty) == EPISODES:
        return PageDraws({}, (_ASKED,))
    by_digest: dict[str, Draws] = {}
    warnings: list[str] = []
    if data is not None:
        redrawn = redraw_plans(run, records, data)
        by_digest |= redrawn.draws
        warnings += [
            f"Plans were drawn again from the data, and do not count: {problem}."
            for problem in redrawn.problems
        ]
    by_digest |= run.draws_by_digest()
    return PageDraws(by_digest, (*warnings, *_missing_plans(run, episodes, by_digest)))


def draws_of_runs(
    runs: Mapping[str, RunFolder],
    by_run: Mapping[str, EpisodesOfRows],
    uncertainty: str | None = None,
) -> PageDraws:
    """Of several runs: rows of one may be scored on episodes whose plans another one has."""
    if asked_uncertainty(list(runs.values()), uncertainty) == EPISODES:
        return PageDraws({}, (_ASKED,))
    by_digest: dict[str, Draws] = {}
    for run in runs.values():
        by_digest |= run.draws_by_digest()
    warnings = [
        f"{name}: {text}"
        for name, run in runs.items()
        for text in _missing_plans(run, by_run[name], by_digest)
    ]
    return PageDraws(by_digest, tuple(warnings))


def asked_uncertainty(runs: Sequence[RunFolder], asked: str | None) -> str:
    """What intervals are to be over: as it is asked for, or as the first run's settings say."""
    if asked is None:
        asked = str(runs[0].experiment["evaluation"].get("uncertainty", IMAGES))
    if asked not in (IMAGES, EPISODES):
        raise InputError(
            f"uncertainty={asked!r} is not known; give images (other images like these) or"
            " episodes (other episodes of these images)"
        )
    return asked


def _missing_plans(
    run: RunFolder, episodes: EpisodesOfRows, by_digest: Mapping[str, Draws]
) -> Iterator[str]:
    """Which rows have no intervals over images, because it is not known what episodes drew."""
    missing = dict.fromkeys(
        f"{target} at {shots_text(shots)}"
        for (algorithm, target, shots), digest in episodes.items()
        if digest not in by_digest and not run.is_supervised(algorithm)
    )
    if missing:
        named = first_names(list(missing))
        yield (
            f"Intervals and marks of {named} are over episodes of these images: the run has"
            " no plans of them (earlier versions kept none), so which images they share is not"
            " known. Where episodes share images, such intervals say too little about other images"
            f" like these. `torchcross report {run.path.name} --data FOLDER` draws the plans again."
        )
