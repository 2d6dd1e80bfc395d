"""`fit`: the training loop."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar, final

import torch
from torch import Tensor

from torchcross._kit.lock import FolderLock, lock_folder
from torchcross._kit.progress import ProgressBar
from torchcross.algorithms import Algorithm, Pretraining
from torchcross.errors import InputError, ReadError
from torchcross.training.agreement import number_of, raise_failure, together
from torchcross.training.checkpoints import Checkpoints, Position, write_tensors
from torchcross.training.feed import Feed, Transform, feed_of, start_reading, worker_death
from torchcross.training.log import CsvLog, Row, is_whole_log
from torchcross.training.machine import Machine, TorchMachine
from torchcross.training.options import FitOptions, changed_options
from torchcross.training.result import FitResult
from torchcross.training.schedule import learning_rate
from torchcross.training.signals import ReadingStopped, Signals, obey, watch_signals
from torchcross.training.step import Stepper
from torchcross.training.tracking import Tracker, Tracking, checked_trackers
from torchcross.training.trained_tensors import TrainedTensors, weights_in

Trainable = TypeVar("Trainable", bound=Algorithm | Pretraining)
Tensors = dict[str, Tensor]


def fit(
    algorithm: Trainable,
    data: Any,
    options: FitOptions,
    *,
    folder: str | Path | None = None,
    validate: Callable[[Trainable], float] | None = None,
    transform: Transform | None = None,
    machine: Machine | None = None,
    progress: bool | None = None,
    track: Tracker | Sequence[Tracker] = (),
) -> FitResult:
    """Train in place: the algorithm ends with its best weights; without `validate`, with its last.

    data         a sampler, plans of a file or `Episodes`; for pre-training `MixedBatches`; or a
                 `Feed` of your own
    folder       for checkpoints, `log.csv` and `weights.safetensors`. After a kill, the same call
                 goes on from there, to the same bits on a CPU; after the end, it only loads the
                 weights
    validate     the score of an algorithm, higher is better; called every `validate_every` steps.
                 For a resumed run to be the same, it must depend on the weights alone. Of several
                 ranks all call it and the score of the first one counts
    progress     a bar on stderr; None: where stderr is a terminal
    track        trackers, which get the numbers of every step; see `Tracker`
    """
    if not isinstance(algorithm, Algorithm | Pretraining):
        raise InputError(
            f"fit trains an Algorithm or a Pretraining, not a {type(algorithm).__name__}."
        )
    if (validate is None) != (options.validate_every is None):
        raise InputError(
            "validate= and the option validate_every= belong together; give both or none."
        )
    trackers = checked_trackers(track)
    machine = TorchMachine() if machine is None else machine
    if options.meta_batch % (machine.ranks * (options.at_once or 1)):
        raise InputError(
            f"meta_batch={options.meta_batch} is not divisible among {machine.ranks} ranks with "
            f"{options.at_once or 'any number of'} episodes at a time; give a multiple of both."
        )
    parts = machine.ranks * (options.meta_batch // (options.at_once or options.meta_batch))
    if parts > 1 and isinstance(algorithm, Algorithm) and algorithm.is_sequential:
        raise InputError(
            f"a step of this {type(algorithm).__name__} computes its episodes one after the other,"
            f" each from what the one before left, so {machine.ranks} ranks and"
            f" at_once={options.at_once} cannot share it; give one rank and no at_once."
        )
    pinned = machine.device.type == "cuda"
    feed = feed_of(algorithm, data, workers=options.workers, transform=transform, pin_memory=pinned)
    algorithm.to(machine.device)
    with ExitStack() as stack:
        lock = None
        with together(machine):
            if folder is not None and machine.rank == 0:
                lock = stack.enter_context(lock_folder(Path(folder)))
        store = None if folder is None else Checkpoints(Path(folder), options.keep)
        signals = stack.enter_context(watch_signals(folder is not None))
        training = _Training(algorithm, feed, options, store, validate, machine, signals, lock)
        training.resume_or_begin()
        return training.finish(stack, progress, trackers)


@final
class _Training:
    """One call of `fit`."""

    def __init__(
        self,
        algorithm: Any,
        feed: Feed,
        options: FitOptions,
        store: Checkpoints | None,
        validate: Callable[[Any], float] | None,
        machine: Machine,
        signals: Signals,
        lock: FolderLock | None,
    ) -> None:
        self.algorithm = algorithm
        self.feed = feed
        self.options = options
        self.store = store
        self.validate = validate
        self.machine = machine
        self.signals = signals
        self.lock = lock
        if machine.ranks > 1:
            _copy_first_rank(algorithm, machine)
        self.trained = TrainedTensors(algorithm, options)
        self.stepper = Stepper(algorithm, feed, options, machine, self.trained.params)
        self.position = Position()
        self.identity = self._identity()
        self.best: Tensors | None = None
        self.failure: Exception | None = None
        """What this rank could not do since the step, and the others do not know yet."""
        self.log: CsvLog | None = None
        self.tracking = Tracking(())

    @property
    def writes(self) -> bool:
        return self.store is not None and self.machine.rank == 0

    @property
    def is_finished(self) -> bool:
        return self.position.stopped == "patience" or self.position.step >= self.options.steps

    # -- the beginning -----------------------------------------------------------------------------

    def resume_or_begin(self) -> None:
        """Go on from the last checkpoint of the folder, or write the first one."""
        if self.store is None:
            return
        step = self._last_checkpoint(self.store)
        # No rank writes before all have read.
        with together(self.machine):
            if step is not None:
                self._resume(self.store, step)
        with together(self.machine):
            if step is not None and self.writes:
                self.store.remove_old(self.position)
            if step is None:
                self._write_checkpoint()

    def _last_checkpoint(self, store: Checkpoints) -> int | None:
        """The step of the last checkpoint that the first rank sees, on every rank."""
        steps: list[int] = []
        with together(self.machine):
            if self.writes:
                store.clean()
                steps = store.steps()
                if not steps:
                    store.refuse_foreign()
        step = number_of(self.machine, 0, steps[-1] if steps else -1)
        return None if step < 0 else step

    def _resume(self, store: Checkpoints, step: int) -> None:
        tensors, position, identity = store.read(step)
        where, now = store.path(step), self.identity
        if changed := changed_options(identity.get("options", {}), self.options):
            raise InputError(
                f"{where} is of a run with other options ({'; '.join(changed)}); give another"
                " folder."
            )
        for name in ("algorithm", "data", "machine"):
            if identity.get(name) != now[name]:
                raise InputError(
                    f"{where} is of a run with another {name}: {identity.get(name)} there,"
                    f" {now[name]} here; give another folder."
                )
        if self.options.steps < position.step:
            raise InputError(
                f"{where} is of a run that has done {position.step} steps, and"
                f" steps={self.options.steps} was asked for; ask for as many, or give another"
                " folder."
            )
        self.trained.restore(tensors, str(where))
        self.position = position
        if self.options.steps > position.step and position.stopped == "steps":
            position.stopped = None

    def _identity(self) -> dict[str, Any]:
        """What a run must share with the run that it goes on from, as plain values."""
        protocol = json.dumps(self.algorithm.protocol(), sort_keys=True, default=str)
        return {
            "options": self.options.as_dict(),
            "algorithm": f"{type(self.algorithm).__name__} {protocol}",
            "data": self.feed.fingerprint(self.options.meta_batch),
            "machine": self.machine.describe(),
        }

    # -- the middle --------------------------------------------------------------------------------

    def finish(
        self, stack: ExitStack, progress: bool | None, trackers: Sequence[Tracker]
    ) -> FitResult:
        folder = self.store.folder if self.store is not None and self.writes else None
        position = self.position
        # A log that is whole is that of a training whose trackers know its end.
        ended_before = self.is_finished and (
            folder is not None and is_whole_log(folder / "log.csv", position.log_length)
        )
        if folder is not None and not ended_before:
            log = CsvLog(folder / "log.csv", position.log_length, position.log_sha256)
            self.log = stack.enter_context(closing(log))
        if self.machine.rank == 0 and not ended_before:
            self.tracking = Tracking(trackers)
        with self.tracking.report_end(position):
            if not self.is_finished:
                self._train_behind_bar(progress)
            result = self._result()
        if self.log is not None:
            self.log.finish()
        if self.signals.number:
            obey(self.signals.number, "training is finished; the same call loads its weights")
        return result

    def _train_behind_bar(self, progress: bool | None) -> None:
        unit = "batches" if isinstance(self.algorithm, Pretraining) else "episodes"
        bar = ProgressBar(
            self.options.steps,
            "training",
            unit=unit,
            items_per_step=self.options.meta_batch,
            start=self.position.step,
            wanted=False if self.machine.rank else progress,
            transient=False,
        )
        try:
            with bar:
                self._train(bar)
        except RuntimeError as error:
            self._explain_worker_death(error)
            raise
        finally:
            self.trained.forget_gradients()

    def _explain_worker_death(self, error: RuntimeError) -> None:
        """Raise what it means; do nothing about other errors."""
        if not (explanation := worker_death(error)):
            return
        if self.signals.number:
            # A scheduler sends SIGTERM to every process of a job.
            obey(self.signals.number, "training was interrupted with the processes that read ahead")
        raise ReadError(explanation) from error

    def _train(self, bar: ProgressBar) -> None:
        options, position, machine = self.options, self.position, self.machine
        start, stop = position.step * options.meta_batch, options.steps * options.meta_batch
        items = start_reading(
            lambda: self.feed.read(start, stop, rank=machine.rank, ranks=machine.ranks)
        )
        if machine.ranks == 1:
            # Several ranks stop at a step that all agreed on, or wait for each other for ever.
            items = self.signals.stop_reading(items)
        score_note = ""
        while not self.is_finished:
            step = position.step + 1
            try:
                asked = bool(self.signals.number)
                result = self.stepper.gradients(items, step, asked, self.failure)
            except ReadingStopped:
                self._write_checkpoint()
                self._interrupt()
            lr = learning_rate(options, step)
            self.trained.step(lr, result.buffers, step)
            position.count_step(result.loss, machine.ranks)
            score, is_best = self._validate(step)
            with self._kept_failure():
                self._write_row((step, result.loss, lr, result.norm, score))
            if score is not None:
                score_note = " score undefined" if math.isnan(score) else f" score {score:.4g}"
            bar(step, note=f"loss {result.loss:.4g}{score_note}")
            if step == options.steps:
                position.stopped = position.stopped or "steps"
            # A single rank may stop at once; several stop at the step that all agreed on.
            interrupt = result.interrupt or (machine.ranks == 1 and bool(self.signals.number))
            if is_best or interrupt or position.stopped or step % options.checkpoint_every == 0:
                with self._kept_failure():
                    self._write_checkpoint()
            if interrupt and not self.is_finished:
                raise_failure(machine, self.failure)
                self._interrupt()

    def _validate(self, step: int) -> tuple[float | None, bool]:
        """The score, where it is time for one, and whether it is the best so far."""
        every = self.options.validate_every or max(1, self.options.steps // 100)
        if step % every and step != self.options.steps:
            return None, False
        score = None if self.validate is None else self._score(self.validate, step)
        self.position.add_point(score)
        if score is None:
            return None, False
        is_best = self.position.judge(score, self.options.patience, self.options.min_delta)
        if is_best and self.store is None:
            self.best = {name: value.clone() for name, value in self.trained.weights().items()}
        return score, is_best

    def _score(self, validate: Callable[[Any], float], step: int) -> float:
        self.trained.forget_gradients()
        with together(self.machine), self.trained.averaged_weights():
            score = float(validate(self.algorithm))
        if self.machine.ranks > 1:
            own = score if self.machine.rank == 0 else 0.0
            device = self.machine.device
            score = float(self.machine.sum(torch.tensor(own, dtype=torch.float64, device=device)))
        if math.isinf(score):
            raise InputError(
                f"validate gave {score} at step {step}; a score is a finite number, or NaN if"
                " undefined."
            )
        return score

    @contextmanager
    def _kept_failure(self) -> Iterator[None]:
        """Of several ranks, one that cannot write tells the others with its next message."""
        try:
            yield
        except Exception as error:
            if self.machine.ranks == 1:
                raise
            self.failure = self.failure or error

    def _write_row(self, row: Row) -> None:
        if self.log is not None:
            self.log.write_row(row)
        self.tracking.log_row(row)

    def _write_checkpoint(self) -> None:
        if self.store is None or not self.writes:
            return
        if self.lock is not None:
            self.lock.check()
        if self.log is not None:
            self.position.log_length, self.position.log_sha256 = self.log.position()
        self.store.save(self.trained.tensors(), self.position, self.identity)

    def _interrupt(self) -> NoReturn:
        done = f"training stopped after step {self.position.step} of {self.options.steps}"
        obey(
            self.signals.number or signal.SIGINT,
            f"{done}; its checkpoint is written, and the same call goes on from there",
        )

    # -- the end -----------------------------------------------------------------------------------

    def _result(self) -> FitResult:
        raise_failure(self.machine, self.failure)
        position = self.position
        with together(self.machine):
            weights = self._final_weights()
        self.trained.load_weights(weights)
        path = None if self.store is None else self.store.folder / "weights.safetensors"
        if path is not None and self.writes:
            record = {"step": position.best_step or position.step, "score": position.best_score}
            metadata = {"torchcross-weights": json.dumps(record, sort_keys=True)}
            write_tensors(path, self.trained.state(), metadata)
        return FitResult(
            steps=position.step,
            best_step=position.best_step,
            best_score=position.best_score,
            stopped=position.stopped or "steps",
            history=tuple(position.history),
            path=path,
            ranks=tuple(position.ranks) or (self.machine.ranks,),
        )

    def _final_weights(self) -> Tensors:
        """The best weights, or the last."""
        if self.best is not None:
            return self.best
        if self.store is None or self.position.best_step in (None, self.position.step):
            return self.trained.weights()
        return weights_in(self.store.read(self.position.best_step)[0])


def _copy_first_rank(algorithm: torch.nn.Module, machine: Machine) -> None:
    """Every rank begins with the weights of the first one: the others add zeros to them."""
    with torch.no_grad():
        for value in (*algorithm.parameters(), *algorithm.buffers()):
            own = value.detach().clone() if machine.rank == 0 else torch.zeros_like(value)
            value.copy_(machine.sum(own))
