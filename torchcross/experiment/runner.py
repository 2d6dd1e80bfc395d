"""From an experiment to rows: trainings and evaluations one after the other, each kept as soon as it is done."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torchcross.algorithms import Algorithm
from torchcross.data import Episodes, EpisodeSampler, TaskSource
from torchcross.episode import Episode
from torchcross.errors import DivergenceError, InputError
from torchcross.evaluation import EpisodeRecord, Records, evaluate
from torchcross.experiment.attempts import Attempts, Cell, Say, terminable
from torchcross.experiment.collections import Collection, open_collection
from torchcross.experiment.config import as_plain, digest
from torchcross.experiment.examples import write_example
from torchcross.experiment.folder import RunFolder, write_json
from torchcross.experiment.methods import METHODS, Method, adapter, backbone, course, scores_of
from torchcross.experiment.provenance import completed, contradicts, described, provenance, with_earlier
from torchcross.experiment.sections import Experiment
from torchcross.report import Example
from torchcross.targets import Prediction, Target
from torchcross.training import fit
from torchcross.training.lock import locked

__all__ = ["Cell", "Outcome", "run_experiment"]


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    folder: RunFolder
    records: Records
    failures: list[dict[str, str]]

    @property
    def complete(self) -> bool:
        return not self.failures


def run_experiment(
    told: Experiment, out: str | Path, *, say: Say | None = None, progress: bool | None = None
) -> Outcome:
    """Do what is not done yet. A run that was interrupted goes on, to the same rows as one that was not.

    What fails (a dataset that cannot be read, a training that diverges) is told in `failures`, and the rest goes on.
    """
    run = _Run(told, say or _quiet, progress)
    with locked(Path(out)), terminable(run.say):
        return run.to_the_end(RunFolder.begin(out, told))


def _quiet(_: str) -> None:
    pass


def _check_metric(name: str) -> None:
    known = {metric for kind in Target.__subclasses__() for metric in getattr(kind, "default_metrics", ())}
    if name not in known:
        raise InputError(f"no metric of the rows is called {name!r}; there are {', '.join(sorted(known))}")


@final
class _Run:
    """Everything that can be refused is refused when it is made, before anything is written."""

    folder: RunFolder

    def __init__(self, told: Experiment, say: Say, progress: bool | None) -> None:
        self.told = told
        self.say = say
        self.progress = progress
        for name in told.algorithms:
            if name not in METHODS:
                raise InputError(f"no algorithm of a table is called {name!r}; there are {', '.join(METHODS)}")
            if METHODS[name].wants_weights and not told.model.weights:
                raise InputError(f"{name!r} starts from published weights; give model.weights, or leave {name!r} out")
        _check_metric(told.evaluation.metric)
        self.collection: Collection = open_collection(told.data.format, told.data.folder, channels=told.data.channels)
        given = told.data.targets
        self.targets = tuple(dict.fromkeys(map(self.collection.named, given))) if given else self.collection.targets()
        self.trained: dict[str, Any] = {}

    def to_the_end(self, folder: RunFolder) -> Outcome:
        self.folder = folder
        self._remember_whence()
        write_json(self.folder.path / "protocol.json", as_plain(self._protocol()))
        failures = Attempts(folder, list(self._cells()), self.say).at_all(self._do)
        return Outcome(folder, folder.records(), failures)

    def _remember_whence(self) -> None:
        """Refuse to mix rows of different data; a run that has all its rows keeps the provenance that it has."""
        before = self.folder.plain("provenance.json")
        data = described(self.collection)
        known = before.get("data", data)
        if contradicts(known, data):
            raise InputError(
                f"{self.folder.path} holds rows of other data than {self.told.data.folder} has now (its descriptions "
                "or labels changed); give another folder, so that no table mixes them"
            )
        now = {"data": completed(data, known)}
        if before and not any(map(self._left, self._cells())):
            now = {**before, **now}
        else:
            now = with_earlier(as_plain({**provenance(), **now}), before)
        if now != before:
            write_json(self.folder.path / "provenance.json", now)

    def _cells(self) -> Iterator[Cell]:
        for target in self.targets:
            for algorithm in self.told.algorithms:
                for seed in self.told.seeds:
                    yield Cell(target, algorithm, seed)

    def _protocol(self) -> dict[str, Any]:
        return {
            "preset": self.told.preset,
            "rows": {name: METHODS[name].says for name in self.told.algorithms},
            "targets": {target: dict(self.collection.why(target)) for target in self.targets},
            "experiment": self.told,
            "interval": "over episodes of a target; with several training seeds, seeds are resampled first",
            "related targets": [sorted(group) for group in self.collection.related()],
        }

    def _left(self, cell: Cell) -> list[int]:
        """The numbers of shots that have no rows yet."""
        return [shots for shots in self.told.shots if not self._rows_file(cell, shots).is_file()]

    def _do(self, cell: Cell) -> None:
        left = self._left(cell)
        if not left:
            return
        method = METHODS[cell.algorithm]
        if method.supervised:
            self._score_test_split(cell, method)
            return
        how = adapter(method, self._trained(cell, method), self.told)
        # The target is opened here and not before: nothing of it can have been seen in training.
        source = self.collection.target(cell.target)
        sampler = EpisodeSampler(
            source,
            shots=max(self.told.shots),
            queries=self.told.evaluation.queries,
            min_samples=self.told.evaluation.min_images or None,
            seed=self.told.evaluation.seed,
            disjoint=self.told.evaluation.episodes if self.told.evaluation.disjoint else None,
        )
        curve = sampler.curve(self.told.shots)
        for shots in left:
            self._evaluate(cell, how, Episodes(curve.at(shots)), shots)

    def _score_test_split(self, cell: Cell, method: Method) -> None:
        source = self.collection.target(cell.target, split="test")
        scores = scores_of(self._trained(cell, method), source, len(source))
        rows = [
            EpisodeRecord(
                run=self.folder.name,
                target=source.name,
                domain=source.task.domain,
                algorithm=cell.algorithm,
                shots=0,
                seed=cell.seed,
                episode=0,
                metric=metric,
                value=score.value,
                reason=score.reason,
            )
            for metric, score in scores.items()
        ]
        Records.of(rows).write(self._rows_file(cell, 0))
        metric = self.told.evaluation.metric
        self.say(f"{cell.target}, {cell.algorithm}, test split, seed {cell.seed}: {metric} {scores[metric].value:.3f}")

    def _evaluate(self, cell: Cell, how: Algorithm, episodes: Episodes, shots: int) -> None:
        seen: list[tuple[Episode, Prediction]] = []

        def observe(episode: Episode, prediction: Prediction) -> None:
            if not seen:
                seen.append((episode, prediction))

        evaluation = self.told.evaluation
        rows = list(
            evaluate(
                how,
                (episodes[number] for number in range(evaluation.episodes)),
                run=self.folder.name,
                algorithm=cell.algorithm,
                shots=shots,
                seed=cell.seed,
                observe=observe,
            )
        )
        if all(math.isnan(row.value) for row in rows):
            raise DivergenceError(f"none of {evaluation.episodes} episodes has a score; the first: {rows[0].reason}")
        if shots == max(self.told.shots) and cell.seed == self.told.seeds[0] and seen:
            first = next((row.value for row in rows if row.metric == evaluation.metric), float("nan"))
            self._keep_example(cell, seen[0], first)
        # Last: a cell that has its rows has everything.
        table = Records.of(rows)
        table.write(self._rows_file(cell, shots))
        values = [row.value for row in table if row.metric == evaluation.metric and not math.isnan(row.value)]
        mean = sum(values) / len(values) if values else float("nan")
        self.say(f"{cell.target}, {cell.algorithm}, {shots}-shot, seed {cell.seed}: {evaluation.metric} {mean:.3f}")

    def _keep_example(self, cell: Cell, seen: tuple[Episode, Prediction], score: float) -> None:
        episode, prediction = seen
        example = Example.of(
            episode,
            prediction,
            target=cell.target,
            algorithm=cell.algorithm,
            metric=self.told.evaluation.metric,
            score=score,
        )
        name = f"{self._rows_file(cell, max(self.told.shots)).stem}.npz"
        write_example(self.folder.path / "examples" / name, example)

    def _rows_file(self, cell: Cell, shots: int) -> Path:
        return self.folder.rows_file(cell.algorithm, f"seed {cell.seed}", f"{shots} shots", cell.target)

    def _trained(self, cell: Cell, method: Method) -> Any:
        """The learner of a cell; targets that leave the same sources share it."""
        if not method.trains:
            return backbone(method, self.told, cell.seed)
        tasks = self.told.data.source_tasks
        train: tuple[TaskSource, ...]
        if method.supervised:
            train = (self.collection.target(cell.target, split="train"),)
            val: tuple[TaskSource, ...] = (self.collection.target(cell.target, split="val"),)
        else:
            train = self.collection.sources(cell.target, split="train", tasks=tasks)
            val = self.collection.sources(cell.target, split="val", tasks=tasks)
        if not train:
            raise InputError(f"no source is left for {cell.target!r}; {dict(self.collection.why(cell.target))}")
        key = digest([cell.algorithm, cell.seed, [[source.name, source.fingerprint()] for source in train]])
        if key not in self.trained:
            self.trained.clear()
            made = course(method, self.told, cell.seed, train, val)
            folder = self.folder.training(cell.algorithm, f"seed {cell.seed}", key)
            self.say(f"training {cell.algorithm} on {len(train)} sources, seed {cell.seed}")
            result = fit(
                made.learner, made.data, made.options, folder=folder, validate=made.validate, progress=self.progress
            )
            told = {
                "algorithm": cell.algorithm,
                "seed": cell.seed,
                "target": cell.target,
                "steps": result.steps,
                "best_step": result.best_step,
                "best_score": result.best_score,
                "stopped": result.stopped,
                "sources": [source.name for source in train],
                "left_out": list(made.left_out),
            }
            # A training that several targets share is told with the first of them, also when the run goes on.
            if not (folder / "training.json").is_file():
                write_json(folder / "training.json", told)
            self.trained[key] = made.learner
        return self.trained[key]
