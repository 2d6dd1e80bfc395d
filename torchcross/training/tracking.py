"""Trackers: what else gets the numbers of a training. None of them can stop it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, final, runtime_checkable

from torchcross.errors import InputError, TrackerWarning
from torchcross.training.checkpoints import Position
from torchcross.training.log import COLUMNS, Row


@runtime_checkable
class Tracker(Protocol):
    """Gets the numbers of one training; `torchcross.interop` has those of known libraries.

    `fit` calls it on the first rank alone. If it raises, there is one warning, and training goes
    on without it.

    >>> from torchcross.algorithms import ProtoNet
    >>> from torchcross.data import toys
    >>> from torchcross.training import FitOptions, fit
    >>> class Printer:
    ...     def log(self, step, numbers):
    ...         print(step, *numbers)
    ...
    ...     def finish(self, summary):
    ...         print(summary["state"])
    ...
    >>> algorithm = ProtoNet(tx.backbones.conv4(4, in_channels=1))
    >>> sampler = tx.EpisodeSampler(toys.binary(60, size=16), shots=1, queries=1)
    >>> _ = fit(algorithm, sampler, FitOptions(steps=2, meta_batch=1), track=Printer())
    1 loss lr gradient_norm
    2 loss lr gradient_norm
    finished
    """

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        """Take the numbers of a step: "loss", "lr" and "gradient_norm".

        A step that was validated also has a "score"; NaN where it is undefined. Steps ascend by
        one. A training that goes on begins after its checkpoint: steps that were done after it and
        lost to a kill come a second time.
        """

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Take how it ended: "state", "steps", and where they are known "stopped", "best_step",
        "best_score" and "error".

        The state is "finished"; or "failed", or "interrupted", and then the training may go on
        later: `log` is called again.
        """


def checked_trackers(track: Any) -> tuple[Tracker, ...]:
    """One tracker, or several, as a tuple."""
    several = isinstance(track, Sequence)
    trackers = tuple(track) if several else (track,)
    for tracker in trackers:
        # A class has the methods too.
        if not isinstance(tracker, Tracker) or isinstance(tracker, type):
            raise InputError(
                f"track={tracker!r} is not a tracker; give an object with the methods log(step,"
                " numbers) and finish(summary), or several"
            )
    return trackers


@final
class Tracking:
    """The trackers of one call of `fit`. One that raises is not called again."""

    def __init__(self, trackers: Sequence[Tracker]) -> None:
        self._trackers = list(trackers)

    def log_row(self, row: Row) -> None:
        step = row[0]
        numbers = {
            name: value
            for name, value in zip(COLUMNS[1:], row[1:], strict=True)
            if value is not None
        }
        self._call_each(lambda tracker: tracker.log(step, dict(numbers)), f"step {step}")

    @contextmanager
    def report_end(self, position: Position) -> Iterator[None]:
        """Say at the end of the block how it ended."""
        try:
            yield
        except BaseException as error:
            interrupted = isinstance(error, KeyboardInterrupt | SystemExit)
            self._finish(position, "interrupted" if interrupted else "failed", error)
            raise
        self._finish(position, "finished")

    def _finish(self, position: Position, state: str, error: BaseException | None = None) -> None:
        summary = {
            "state": state,
            "steps": position.step,
            "stopped": position.stopped,
            "best_step": position.best_step,
            "best_score": position.best_score,
            "error": None if error is None else f"{type(error).__name__}: {error}",
        }
        known = {name: value for name, value in summary.items() if value is not None}
        self._call_each(lambda tracker: tracker.finish(dict(known)), "the end")

    def _call_each(self, call: Callable[[Tracker], None], moment: str) -> None:
        working = []
        for tracker in self._trackers:
            try:
                call(tracker)
            except Exception as error:  # noqa: BLE001 - whatever it is, training is worth more
                warnings.warn(
                    TrackerWarning(
                        f"{type(tracker).__name__} failed at {moment}: {type(error).__name__}:"
                        f" {error}. Training goes on without it; log.csv in the folder of a"
                        " training has the same numbers"
                    ),
                    stacklevel=2,
                )
            else:
                working.append(tracker)
        self._trackers = working
