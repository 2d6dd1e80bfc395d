"""From an experiment to rows: trainings and evaluations one after the other, each kept as soon as
it is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torchcross._kit.lock import lock_folder
from torchcross.algorithms import Algorithm
from torchcross.data import Episodes, TaskSource
from torchcross.episode import Episode
from torchcross.errors import DivergenceError, InputError, SourceError, TorchcrossError
from torchcross.evaluation import ProgressBar, evaluate
from torchcross.experiment.data_formats import Collection, open_collection
from torchcross.experiment.page.disputed_choices import choices
from torchcross.experiment.page.pages import outcome_html
from torchcross.experiment.rows.adaptation import adapter, inner_steps, renew
from torchcross.experiment.rows.device import machine_of
from torchcross.experiment.rows.methods import METHODS, Method, backbone, course, scores_of
from torchcross.experiment.rows.target_episodes import Scored, Supply, supply
from torchcross.experiment.run.cells import Attempts, Cell, Say, terminable
from torchcross.experiment.run.checks import check, check_metric, without_effect
from torchcross.experiment.run.examples import write_example
from torchcross.experiment.run.folder import RunFolder, write_json
from torchcross.experiment.run.provenance import described, provenance, remembered, with_earlier
from torchcross.experiment.settings.reading import as_plain, decisive, digest
from torchcross.experiment.settings.schema import Experiment
from torchcross.records import EpisodeRecord, Records
from torchcross.report import Example
from torchcross.targets import Prediction
from torchcross.training import fit

__all__ = ["Cell", "Outcome", "run_experiment"]

_PROTOCOL = "protocol.json"
_DOMAIN_TOO = {
    "dataset": "",
    "domain": ' or are of one domain, which data.leave_out = "dataset" allows',
}


@dataclass(frozen=True)
class Outcome:
    """What a run came to."""

    folder: RunFolder
    records: Records
    failures: list[dict[str, str]]

    @property
    def complete(self) -> bool:
        return not self.failures

    def _repr_html_(self) -> str:
        return outcome_html(self.folder, self.records, self.failures)


def run_experiment(
    told: Experiment, out: str | Path, *, say: Say | None = None, progress: bool | None = None
) -> Outcome:
    """Do what is not done yet. A run that was interrupted goes on, to the same rows as one that was
    not.

    What fails (a dataset that cannot be read, a training that diverges) is told in `failures`, and
    the rest goes on.
    """
    run = _Run(told, say or _quiet, progress)
    with lock_folder(Path(out)), terminable(run.say):
        return run.to_the_end(RunFolder.begin(out, told))


def _quiet(_: str) -> None:
    pass


@final
class _Run:
    """Everything that can be refused is refused when it is made, before anything is written."""

    folder: RunFolder

    def __init__(self, told: Experiment, say: Say, progress: bool | None) -> None:
        self.told = told
        self.say = say
        self.progress = progress
        check(told)
        self.machine = machine_of(told.machine)
        data = told.data
        self.collection: Collection = open_collection(
            data.format, data.folder, channels=data.channels, leave_out=data.leave_out
        )
        named = tuple(dict.fromkeys(map(self.collection.named, data.targets)))
        self.targets = named or self.collection.targets()
        if not self.targets:
            raise InputError(
                f"no dataset of {data.folder} can be left out: none leaves a source behind (there"
                f" is one alone, or all overlap{_DOMAIN_TOO[data.leave_out]}); add datasets, or"
                " name data.targets for algorithms that learn from no source"
            )
        self.supplies: dict[str, dict[str, Any]] = {}
        self.trained: dict[str, Any] = {}

    def _check_metric(self) -> None:
        kinds = {}
        for target in self.targets:
            # What cannot be read is told by the cells that need it.
            with suppress(TorchcrossError, OSError):
                kinds[target] = self.collection.target(target).task.target
        if kinds:
            check_metric(self.told.evaluation.metric, kinds)

    def to_the_end(self, folder: RunFolder) -> Outcome:
        self.folder = folder
        cells = list(self._cells())
        is_left = any(map(self._left, cells))
        if is_left:
            self._check_metric()
        self._remember_whence(is_left)
        folder.update(self.told)
        if is_left or not folder.plain(_PROTOCOL):
            self._look_at_targets(cells)
        failures = Attempts(folder, cells, self.say).at_all(self._do)
        return Outcome(folder, folder.records(), failures)

    def _remember_whence(self, is_left: bool) -> None:
        """Refuse to mix rows of different data; a run that has all its rows keeps the provenance
        that it has.
        """
        before = self.folder.plain("provenance.json")
        now: dict[str, Any] = {
            "data": remembered(described(self.collection), before, str(self.folder.path))
        }
        if weights := self.told.model.weights:
            now["weights"] = {
                "file": Path(weights).name,
                "contents": decisive(self.told)["model"]["weights"],
            }
        finished = bool(before) and not is_left
        now = (
            {**before, **now}
            if finished
            else with_earlier(as_plain({**provenance(), **now}), before)
        )
        if now != before:
            write_json(self.folder.path / "provenance.json", now)

    def _cells(self) -> Iterator[Cell]:
        for target in self.targets:
            for algorithm in self.told.algorithms:
                for seed in self.told.seeds:
                    yield Cell(target, algorithm, seed)

    def _look_at_targets(self, cells: list[Cell]) -> None:
        """What targets can give, by their labels alone; what cannot be told now is told by the
        cells that need it.
        """
        self.supplies = dict(self.folder.plain(_PROTOCOL).get("episodes of targets", {}))
        for target in dict.fromkeys(cell.target for cell in cells if self._left(cell)):
            self.supplies.pop(target, None)
            with suppress(Exception):
                self._supply(target)
        self._write_protocol()
        for text in (*self._cautions(), *without_effect(self.told)):
            self.say(f"note: {text}")

    def _supply(self, target: str) -> Supply:
        known = self.supplies.get(target, {}).get("episodes")
        found = supply(self.collection.target(target), self.told, known)
        self.supplies[target] = found.describe()
        return found

    def _write_protocol(self) -> None:
        told = {
            "preset": self.told.preset,
            "rows": {name: METHODS[name].says for name in self.told.algorithms},
            "targets": {target: dict(self.collection.why(target)) for target in self.targets},
            "order of targets": [
                self.supplies.get(target, {}).get("name", target) for target in self.targets
            ],
            "episodes of targets": self.supplies,
            "experiment": self.told,
            "interval": (
                "over episodes of a target; with several training seeds, seeds are resampled first"
            ),
            "related targets": [sorted(group) for group in self.collection.related()],
            # As pairs: their order says what is most important, and files of a run sort their
            # names.
            "choices": list(choices(self.told).items()),
            "cautions": self._cautions(),
            "settings without effect": without_effect(self.told),
        }
        write_json(self.folder.path / _PROTOCOL, as_plain(told))

    def _cautions(self) -> list[str]:
        return [
            f"{target}: {text}"
            for target in self.targets
            for text in self.collection.cautions(target)
        ]

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
        if cell.target not in self.supplies:
            # Before the training, which would be for nothing.
            self._supply(cell.target)
            self._write_protocol()
        how = adapter(method, self._trained(cell, method), self.told)
        # The target's images are read here and not before: nothing of them can have been seen in
        # training.
        found = self._supply(cell.target)
        curve = found.sampler.curve(self.told.shots)
        for shots in left:
            self._evaluate(cell, how, found, Episodes(curve.at(shots)), shots)

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
        told = {"target": source.name, "algorithm": cell.algorithm, "shots": 0, "seed": cell.seed}
        self._tell_episodes(
            cell, 0, {**told, "episodes": 1, "shared subjects": 0, "digest": source.fingerprint()}
        )
        Records.of(rows).write(self._rows_file(cell, 0))
        metric = self.told.evaluation.metric
        self.say(
            f"{cell.target}, {cell.algorithm}, test split, seed {cell.seed}: {metric}"
            f" {scores[metric].value:.3f}"
        )

    def _evaluate(
        self, cell: Cell, how: Algorithm, found: Supply, episodes: Episodes, shots: int
    ) -> None:
        seen: list[tuple[Episode, Prediction]] = []

        def observe(episode: Episode, prediction: Prediction) -> None:
            if not seen:
                seen.append((episode, prediction))

        evaluation = self.told.evaluation
        scored = Scored(*found.sampler.sources)
        what = f"{cell.target}, {cell.algorithm}, {shots}-shot, seed {cell.seed}"
        with ProgressBar(found.count, what, wanted=self.progress) as bar:
            rows = list(
                evaluate(
                    how,
                    (
                        scored.add(episodes[number]).to(self.machine.device)
                        for number in range(found.count)
                    ),
                    run=self.folder.name,
                    algorithm=cell.algorithm,
                    shots=shots,
                    seed=cell.seed,
                    steps=inner_steps(METHODS[cell.algorithm], how, self.told),
                    progress=bar,
                    observe=observe,
                )
            )
        if all(math.isnan(row.value) for row in rows):
            raise DivergenceError(
                f"none of {found.count} episodes has a score; the first: {rows[0].reason}"
            )
        if shots == max(self.told.shots) and cell.seed == self.told.seeds[0] and seen:
            first = next(
                (row.value for row in rows if row.metric == evaluation.metric), float("nan")
            )
            self._keep_example(cell, seen[0], first)
        told = {
            "target": rows[0].target,
            "algorithm": cell.algorithm,
            "shots": shots,
            "seed": cell.seed,
        }
        self._tell_episodes(cell, shots, {**told, **scored.describe()})
        # Last: a cell that has its rows has everything.
        table = Records.of(rows)
        table.write(self._rows_file(cell, shots))
        values = [
            row.value
            for row in table
            if row.metric == evaluation.metric and not math.isnan(row.value)
        ]
        mean = sum(values) / len(values) if values else float("nan")
        self.say(f"{what}: {evaluation.metric} {mean:.3f}")

    def _tell_episodes(self, cell: Cell, shots: int, told: dict[str, Any]) -> None:
        write_json(
            self.folder.path / "episodes" / f"{self._rows_file(cell, shots).stem}.json", told
        )

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
        return self.folder.rows_file(
            cell.algorithm, f"seed {cell.seed}", f"{shots} shots", cell.target
        )

    def _trained(self, cell: Cell, method: Method) -> Any:
        """The learner of a cell; targets that leave the same sources share it."""
        if not method.trains:
            net: Any = backbone(method, self.told, cell.seed).to(self.machine.device)
            return net
        train, val = self._sources(cell, method)
        key = digest(
            [cell.algorithm, cell.seed, [[source.name, source.fingerprint()] for source in train]]
        )
        if key not in self.trained:
            self.trained.clear()
            self.trained[key] = self._fit(cell, method, key, train, val)
        return self.trained[key]

    def _sources(
        self, cell: Cell, method: Method
    ) -> tuple[tuple[TaskSource, ...], tuple[TaskSource, ...]]:
        """What is learned from and what is judged by."""
        if method.supervised:
            judge: tuple[TaskSource, ...] = ()
            # Without a validation split all steps are done, and the report says so.
            with suppress(SourceError):
                judge = (self.collection.target(cell.target, split="val"),)
            return (self.collection.target(cell.target, split="train"),), judge
        tasks = self.told.data.source_tasks
        train = self.collection.sources(cell.target, split="train", tasks=tasks)
        if not train:
            raise InputError(
                f"no source is left for {cell.target!r}; {dict(self.collection.why(cell.target))}"
            )
        return train, self.collection.sources(cell.target, split="val", tasks=tasks)

    def _fit(
        self,
        cell: Cell,
        method: Method,
        key: str,
        train: tuple[TaskSource, ...],
        val: tuple[TaskSource, ...],
    ) -> Any:
        made = course(method, self.told, cell.seed, train, val)
        folder = self.folder.training(cell.algorithm, f"seed {cell.seed}", key)
        self.say(f"training {cell.algorithm} on {_counted(made.learned, train)}, seed {cell.seed}")
        result = fit(
            made.learner,
            made.data,
            made.options,
            folder=folder,
            validate=made.validate,
            machine=self.machine,
            progress=self.progress,
        )
        if made.renewal is not None and isinstance(made.learner, Algorithm):
            renew(method, made.learner, self.told, made.renewal)
        told = {
            "algorithm": cell.algorithm,
            "seed": cell.seed,
            "target": cell.target,
            "steps": result.steps,
            "best_step": result.best_step,
            "best_score": result.best_score,
            "stopped": result.stopped,
            "sources": list(made.learned),
            "left_out": list(made.left_out),
            "unjudged": list(made.unjudged),
        }
        # A training that several targets share is told with the first of them, also when the run
        # goes on.
        if not (folder / "training.json").is_file():
            write_json(folder / "training.json", told)
        return made.learner


def _counted(learned: tuple[str, ...], train: tuple[TaskSource, ...]) -> str:
    of = "" if len(learned) == len(train) else f" of {len(train)}"
    return f"{len(learned)}{of} {'source' if len(train) == 1 else 'sources'}"
