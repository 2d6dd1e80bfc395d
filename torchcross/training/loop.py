"""`fit`: the training loop."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, TypeVar, final

import torch
from torch import Tensor

from torchcross._kit.lock import lock_folder
from torchcross._kit.progress import ProgressBar
from torchcross.algorithms import Algorithm, Pretraining
from torchcross.errors import InputError
from torchcross.training.checkpoints import Checkpoints, Position, write_tensors
from torchcross.training.feed import Feed, Transform, begun, feed_of
from torchcross.training.log import CsvLog, TensorBoard, tensorboard_for
from torchcross.training.machine import Machine, TorchMachine
from torchcross.training.options import FitOptions, changed_options
from torchcross.training.result import FitResult
from torchcross.training.schedule import rate
from torchcross.training.signals import Request, obey, shielded, watched
from torchcross.training.step import Stepper
from torchcross.training.trained_tensors import Trained, weights_in

__all__ = ["fit"]

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
    tensorboard: bool | None = None,
) -> FitResult:
    """Train in place, and leave the algorithm with its best weights (without `validate`: its last
    ones).

    data        a sampler, plans of a file or `Episodes`; for pre-training `MixedBatches`; or a
                `Feed` of your own
    folder      of checkpoints, `log.csv` and `weights.safetensors`. A run that was killed goes on
                from there when it is called again, to the same bits on a CPU; one that is finished
                only loads its weights
    validate    the score of an algorithm, higher is better; it is called every `validate_every`
                steps, and must be a function of the weights alone for a resumed run to be the same.
                Of several ranks all call it and the first one's score counts
    progress    a bar on stderr, None: where that is a terminal. `tensorboard` None: where it is
                installed
    """
    if not isinstance(algorithm, Algorithm | Pretraining):
        raise InputError(
            f"fit trains an Algorithm or a Pretraining, not a {type(algorithm).__name__}."
        )
    if (validate is None) != (options.validate_every is None):
        raise InputError(
            "validate= and the option validate_every= belong together; give both or none."
        )
    machine = TorchMachine() if machine is None else machine
    if options.meta_batch % (machine.ranks * (options.at_once or 1)):
        raise InputError(
            f"meta_batch={options.meta_batch} is not divisible among {machine.ranks} ranks with "
            f"{options.at_once or 'any number of'} episodes at a time; give a multiple of both."
        )
    pinned = machine.device.type == "cuda"
    feed = feed_of(algorithm, data, workers=options.workers, transform=transform, pin_memory=pinned)
    algorithm.to(machine.device)
    with ExitStack() as stack:
        if folder is not None and machine.rank == 0:
            stack.enter_context(lock_folder(Path(folder)))
        store = None if folder is None else Checkpoints(Path(folder), options.keep)
        request = stack.enter_context(watched(folder is not None))
        run = _Run(algorithm, feed, options, store, validate, machine, request)
        run.begin()
        return run.to_the_end(stack, progress, tensorboard)


@final
class _Run:
    """One call of `fit`."""

    def __init__(
        self,
        algorithm: Any,
        feed: Feed,
        options: FitOptions,
        store: Checkpoints | None,
        validate: Callable[[Any], float] | None,
        machine: Machine,
        request: Request,
    ) -> None:
        self.algorithm = algorithm
        self.feed = feed
        self.options = options
        self.store = store
        self.validate = validate
        self.machine = machine
        self.request = request
        if machine.ranks > 1:
            _agree(algorithm, machine)
        self.trained = Trained(algorithm, options)
        self.stepper = Stepper(algorithm, feed, options, machine, self.trained.params)
        self.at = Position()
        self.identity = self._identity()
        self.best: Tensors | None = None
        self.log: CsvLog | None = None
        self.board: TensorBoard | None = None

    @property
    def writes(self) -> bool:
        return self.store is not None and self.machine.rank == 0

    @property
    def finished(self) -> bool:
        return self.at.stopped == "patience" or self.at.step >= self.options.steps

    # -- the beginning -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Where the folder says to go on."""
        steps = []
        if self.store is not None:
            steps = self._found(self.store)
        if self.store is not None and steps:
            self._resume(self.store, steps[-1])
        if self.writes and not steps:
            self._checkpoint()

    def _found(self, store: Checkpoints) -> list[int]:
        """The checkpoints that the first rank sees, on every rank."""
        if self.writes:
            store.clean()
            if not store.steps():
                store.refuse_foreign()
        # Nobody looks into the folder before the first rank has cleaned it, or writes before all
        # have looked.
        self.machine.wait()
        steps = store.steps()
        self.machine.wait()
        return steps

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
        self.at = position
        if self.options.steps > position.step and position.stopped == "steps":
            position.stopped = None

    def _identity(self) -> dict[str, Any]:
        """What a run must have in common with the one that it goes on from; plain values."""
        protocol = json.dumps(self.algorithm.protocol(), sort_keys=True, default=str)
        return {
            "options": self.options.as_dict(),
            "algorithm": f"{type(self.algorithm).__name__} {protocol}",
            "data": self.feed.fingerprint(self.options.meta_batch),
            "machine": self.machine.describe(),
        }

    # -- the middle --------------------------------------------------------------------------------

    def to_the_end(
        self, stack: ExitStack, progress: bool | None, tensorboard: bool | None
    ) -> FitResult:
        folder = None if self.store is None or not self.writes else self.store.folder
        if folder is not None:
            self.log = stack.enter_context(closing(CsvLog(folder / "log.csv", self.at.log_length)))
        if board := tensorboard_for(tensorboard, folder, self.at.step):
            self.board = stack.enter_context(closing(board))
        if not self.finished:
            what = "batches" if isinstance(self.algorithm, Pretraining) else "episodes"
            shown = False if self.machine.rank else progress
            bar = ProgressBar(
                self.options.steps,
                "training",
                unit=what,
                items_per_step=self.options.meta_batch,
                start=self.at.step,
                wanted=shown,
                transient=False,
            )
            try:
                with bar:
                    self._train(bar)
            finally:
                self.trained.forget_gradients()
        result = self._result()
        if self.request.number:
            obey(self.request.number, "training is finished; the same call loads its weights")
        return result

    def _train(self, bar: ProgressBar) -> None:
        options, score_note = self.options, ""
        start, stop = self.at.step * options.meta_batch, options.steps * options.meta_batch
        items = shielded(
            lambda: begun(
                self.feed.read(start, stop, rank=self.machine.rank, ranks=self.machine.ranks)
            )
        )
        while not self.finished:
            step = self.at.step + 1
            outcome = self.stepper.gradients(items, step, bool(self.request.number))
            lr = rate(options, step)
            self.trained.move(lr, outcome.buffers, step)
            self.at.step = step
            self.at.loss_sum += outcome.loss
            self.at.loss_count += 1
            score, better = self._validated(step)
            self._write_rows((step, outcome.loss, lr, outcome.norm, score))
            if score is not None:
                score_note = " score undefined" if math.isnan(score) else f" score {score:.4g}"
            bar(step, note=f"loss {outcome.loss:.4g}{score_note}")
            if step == options.steps:
                self.at.stopped = self.at.stopped or "steps"
            asked = outcome.asked or (self.machine.ranks == 1 and bool(self.request.number))
            if better or asked or self.at.stopped or step % options.checkpoint_every == 0:
                self._checkpoint()
            if asked and not self.finished:
                self._interrupted()

    def _validated(self, step: int) -> tuple[float | None, bool]:
        """The score, where it is time for one, and whether it is the best so far."""
        every = self.options.validate_every or max(1, self.options.steps // 100)
        if step % every and step != self.options.steps:
            return None, False
        score = None if self.validate is None else self._score(self.validate, step)
        self.at.reached(score)
        if score is None:
            return None, False
        better = self.at.judge(score, self.options.patience, self.options.min_delta)
        if better and self.store is None:
            self.best = {name: value.clone() for name, value in self.trained.weights().items()}
        return score, better

    def _score(self, validate: Callable[[Any], float], step: int) -> float:
        self.trained.forget_gradients()
        with self.trained.averaged():
            score = float(validate(self.algorithm))
        if self.machine.ranks > 1:
            own = score if self.machine.rank == 0 else 0.0
            score = float(
                self.machine.sum(torch.tensor(own, dtype=torch.float64, device=self.machine.device))
            )
        if math.isinf(score):
            raise InputError(
                f"validate gave {score} at step {step}; a score is a finite number, or NaN if"
                " undefined."
            )
        return score

    def _write_rows(self, row: tuple[int, float, float, float, float | None]) -> None:
        for log in (self.log, self.board):
            if log is not None:
                log.row(row)

    def _checkpoint(self) -> None:
        if self.store is None or not self.writes:
            return
        self.at.log_length = 0 if self.log is None else self.log.length()
        self.store.save(self.trained.tensors(), self.at, self.identity)

    def _interrupted(self) -> None:
        at = f"training stopped after step {self.at.step} of {self.options.steps}"
        obey(
            self.request.number or signal.SIGINT,
            f"{at}; its checkpoint is written, and the same call goes on from there",
        )

    # -- the end -----------------------------------------------------------------------------------

    def _result(self) -> FitResult:
        self.machine.wait()
        self.trained.use(self._final())
        path = None if self.store is None else self.store.folder / "weights.safetensors"
        if path is not None and self.writes:
            record = {"step": self.at.best_step or self.at.step, "score": self.at.best_score}
            write_tensors(
                path,
                self.trained.state(),
                {"torchcross-weights": json.dumps(record, sort_keys=True)},
            )
        return FitResult(
            steps=self.at.step,
            best_step=self.at.best_step,
            best_score=self.at.best_score,
            stopped=self.at.stopped or "steps",
            history=tuple(self.at.history),
            path=path,
        )

    def _final(self) -> Tensors:
        """The best weights, or the last."""
        if self.best is not None:
            return self.best
        if self.store is None or self.at.best_step in (None, self.at.step):
            return self.trained.weights()
        return weights_in(self.store.read(self.at.best_step)[0])


def _agree(algorithm: torch.nn.Module, machine: Machine) -> None:
    """Every rank begins with the first one's weights."""
    with torch.no_grad():
        for value in (*algorithm.parameters(), *algorithm.buffers()):
            value.copy_(
                machine.sum(
                    value.detach().clone() if machine.rank == 0 else torch.zeros_like(value)
                )
            )
