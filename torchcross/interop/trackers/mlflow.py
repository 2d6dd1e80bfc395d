"""MLflow: a server, or a store on this machine."""

from __future__ import annotations

import sys
import time  # noqa: TID251 (the time that MLflow shows, and when to send; no result depends on it)
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout, suppress
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any, Final, final

from torchcross._kit.extras import import_extra
from torchcross.errors import InputError
from torchcross.interop.trackers.run_ids import RunId

_LONGEST_ANSWER: Final = 10.0
"""Seconds in which a server must answer at first. MLflow itself tries for four minutes."""

SEND_EVERY = 5.0
"""Seconds between two requests, so that a fast training does not wait for each step's."""

_MOST_METRICS, _MOST_PARAMETERS, _LONGEST_TEXT = 1000, 100, 500
"""Of one request, as MLflow limits them; a text could be longer."""

_STATUS: Final = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}


@final
class MlflowTracker:
    """One run of an MLflow experiment, with a metric for each number of a step.

    experiment    the experiment's name; it is made where there is none
    run_name      the run's name; None: one that MLflow makes up
    tracking_uri  "http://host:5000"; None: what MLflow's own settings say. "sqlite:///runs.db"
                  needs the package mlflow; the extra installs mlflow-skinny
    folder        remembers the run here, so that a training that goes on continues its run
    tags, config  tags and parameters of the run; parts of parts get dotted names

    Numbers are sent every five seconds. A step that the run has already is not sent again.
    """

    def __init__(
        self,
        experiment: str,
        run_name: str | None = None,
        tracking_uri: str | None = None,
        *,
        folder: str | Path | None = None,
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> None:
        if not experiment:
            raise InputError("MlflowTracker needs the name of an experiment, and got an empty one")
        self._library: Any = import_extra("mlflow", "mlflow", "MlflowTracker")
        self._experiment, self._run_name, self._uri = experiment, run_name, tracking_uri
        self._tags, self._config = dict(tags or {}), dict(config or {})
        self._run_id = RunId(folder, "mlflow", tracking_uri, experiment, run_name)
        self._client: Any = None
        self._last_step = 0
        self._waiting: list[Any] = []
        self._sent = 0.0

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        self._open()
        if step <= self._last_step:
            return
        self._waiting += self._metrics(numbers, step)
        full = len(self._waiting) > _MOST_METRICS - len(numbers)
        if full or time.monotonic() - self._sent >= SEND_EVERY:
            self._send()

    def finish(self, summary: Mapping[str, Any]) -> None:
        self._open()
        numbers, tags = {}, []
        for name, value in summary.items():
            if isinstance(value, int | float):
                numbers[name] = float(value)
            else:
                text = str(value)[:_LONGEST_TEXT]
                tags.append(self._library.entities.RunTag(f"torchcross.{name}", text))
        self._send()
        self._waiting += self._metrics(numbers, int(summary.get("steps", 0)))
        self._send(tags)
        status = _STATUS.get(str(summary.get("state")), "FINISHED")
        # It prints where the run can be seen: for people, and not among results.
        with redirect_stdout(sys.stderr):
            self._client.set_terminated(self._run_id.get(), status=status)
        self._client = None

    def _metrics(self, numbers: Mapping[str, float], step: int) -> Iterator[Any]:
        now = time.time_ns() // 1_000_000
        for name, value in numbers.items():
            yield self._library.entities.Metric(name, value, now, step)

    def _send(self, tags: Sequence[Any] = ()) -> None:
        if self._waiting or tags:
            self._client.log_batch(self._run_id.get(), metrics=self._waiting, tags=tags)
        self._waiting, self._sent = [], time.monotonic()

    # -- the run -----------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._client is not None:
            return
        uri = self._uri or self._library.get_tracking_uri()
        _check_answer(uri)
        client = self._library.MlflowClient(tracking_uri=uri)
        if not self._continue_run(client):
            self._begin_run(client)
        self._client = client

    def _continue_run(self, client: Any) -> bool:
        """Whether the run that is known is still there."""
        run_id = self._run_id.get()
        if run_id is None:
            return False
        try:
            run = client.get_run(run_id)
        except self._library.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False
        if run.info.lifecycle_stage != "active":
            return False
        client.update_run(run_id, status="RUNNING")
        points = chain.from_iterable(
            client.get_metric_history(run_id, name) for name in run.data.metrics
        )
        self._last_step = max((point.step for point in points), default=0)
        return True

    def _begin_run(self, client: Any) -> None:
        run = client.create_run(
            self._experiment_id(client), run_name=self._run_name, tags=self._tags
        )
        self._run_id.set(run.info.run_id)
        self._last_step = 0
        parameters = [
            self._library.entities.Param(name, value[:_LONGEST_TEXT])
            for name, value in dotted_values(self._config)
        ]
        for start in range(0, len(parameters), _MOST_PARAMETERS):
            part = parameters[start : start + _MOST_PARAMETERS]
            client.log_batch(run.info.run_id, params=part)

    def _experiment_id(self, client: Any) -> str:
        experiment = client.get_experiment_by_name(self._experiment)
        if experiment is None:
            # Another process may make it at the same moment.
            with suppress(self._library.MlflowException):
                return str(client.create_experiment(self._experiment))
            experiment = client.get_experiment_by_name(self._experiment)
        return str(experiment.experiment_id)


def dotted_values(config: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, value as a text) of nested values."""
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from dotted_values(value, f"{place}{name}.")
        else:
            yield f"{place}{name}", str(value)


def _check_answer(uri: str) -> None:
    """Raise where a server does not answer at all."""
    if not uri.startswith(("http://", "https://")):
        return
    requests: Any = import_module("requests")
    try:
        requests.head(uri, timeout=_LONGEST_ANSWER)
    except requests.exceptions.SSLError:
        # MLflow has settings of its own for certificates.
        return
    except (requests.ConnectionError, requests.Timeout) as error:
        raise InputError(
            f"the MLflow server does not answer ({error}); start it, or give another tracking_uri"
        ) from error
