"""Plans that a run lacks, drawn again from its data: only the very episodes of its rows count."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from torchcross._kit.whole_files import write_whole
from torchcross.data import TaskSource
from torchcross.errors import InputError, TorchcrossError, WriteError
from torchcross.experiment.run.episode_files import UNREADABLE, draw_again, read_plans
from torchcross.experiment.run.folder import RunFolder, set_aside
from torchcross.experiment.run.image_draws import draws_of
from torchcross.experiment.run.targets import open_targets
from torchcross.experiment.settings.reading import experiment_from_values
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.shots import episode_shots
from torchcross.records import Records
from torchcross.records.shots import shots_text
from torchcross.statistics import Draws


@final
@dataclass(frozen=True)
class RedrawnPlans:
    """Digest of episodes -> their draws; and `problems`: for which targets there are none, why."""

    draws: Mapping[str, Draws]
    problems: tuple[str, ...]


@dataclass
class _ScoredEpisodes:
    """The episodes of one target and number of shots: how many, and the digests of their rows."""

    count: int
    digests: set[str | None]


def redraw_plans(run: RunFolder, records: Records, data: str | Path) -> RedrawnPlans:
    """The plans that the run lacks, or that are damaged, from the data in the folder `data`.

    They count only where their digest is that of the rows. Those that count are kept in the run's
    folder, if it can be written.
    """
    experiment = experiment_from_values(run.experiment)
    experiment = replace(experiment, data=replace(experiment.data, folder=str(data)))
    collection, targets = open_targets(experiment.data)
    draws: dict[str, Draws] = {}
    problems: list[str] = []
    scored = _scored_episodes(run, records)
    for target in targets:
        try:
            source = collection.target(target)
        except (TorchcrossError, OSError) as error:
            problems.append(f"{target}: {error}")
            continue
        for shots in episode_shots(experiment.shots):
            if (source.name, shots) not in scored:
                continue
            episodes = scored.pop((source.name, shots))
            try:
                path = run.files.plans(target, shots)
                draws |= _redraw(path, source, experiment, shots, episodes)
            except (TorchcrossError, OSError) as error:
                problems.append(str(error))
    problems += [f"{name} at {shots_text(shots)} is not in {data}" for name, shots in scored]
    return RedrawnPlans(draws, tuple(problems))


def _scored_episodes(run: RunFolder, records: Records) -> dict[tuple[str, int], _ScoredEpisodes]:
    """(target, shots) -> its episodes; a row of one number, over a test split, has none."""
    known = run.episodes()
    scored: dict[tuple[str, int], _ScoredEpisodes] = {}
    names = ("algorithm", "target", "shots", "episode")
    columns = [records.columns[name].tolist() for name in names]
    for algorithm, target, shots, episode in dict.fromkeys(zip(*columns, strict=True)):
        if not run.is_supervised(algorithm):
            of_key = scored.setdefault((target, shots), _ScoredEpisodes(0, set()))
            of_key.count = max(of_key.count, episode + 1)
            of_key.digests.add(known.get((algorithm, target, shots)))
    return scored


def _redraw(
    path: Path, source: TaskSource, experiment: Experiment, shots: int, episodes: _ScoredEpisodes
) -> dict[str, Draws]:
    """Digest -> draws, empty where the plans are there."""
    digests = [digest for digest in episodes.digests if digest is not None]
    if len(digests) < len(episodes.digests):
        raise InputError(
            f"{source.name} at {shots_text(shots)}: its rows have no digest of their"
            " episodes, as those of early versions, so nothing shows which plans are theirs"
        )
    if path.is_file():
        with suppress(*UNREADABLE):
            read_plans(path, digests)
            return {}
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder, path.name)
        draw_again(fresh, source, experiment, shots, episodes.count, digests)
        drawn, content = read_plans(fresh, digests), fresh.read_bytes()
    # A folder that cannot be written has its page elsewhere, and no plans.
    with suppress(WriteError, OSError):
        if path.is_file():
            set_aside(path)
        write_whole(path, content)
    return {drawn.digest: draws_of(drawn)}
