"""Clients of the shape of wandb: wandb itself, and trackio."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, Literal, final

from torchcross._kit.argument_checks import check_choice
from torchcross._kit.extras import import_extra
from torchcross.errors import InputError
from torchcross.interop.trackers.run_ids import RunId

WandbClient = Literal["wandb", "trackio"]


@final
class WandbTracker:
    """One run of a project of Weights & Biases, or of trackio.

    project   the project's name
    run_name  the run's name; None: one that the client makes up
    client    "wandb" or "trackio"
    group     the group of runs that it is shown in
    folder    remembers the run here, so that a training that goes on continues its run; wandb also
              keeps its files here
    config    settings that are shown with the run
    options   more arguments of the client's `init`, such as wandb's `entity`

    A step that a run of wandb has already is not logged again; a run of trackio then has it twice.
    """

    def __init__(
        self,
        project: str,
        run_name: str | None = None,
        client: WandbClient = "wandb",
        *,
        group: str | None = None,
        folder: str | Path | None = None,
        config: Mapping[str, Any] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        check_choice("client", client, ("wandb", "trackio"))
        if not project:
            raise InputError("WandbTracker needs the name of a project, and got an empty one")
        self._library: Any = import_extra(client, client, "WandbTracker")
        self._client = client
        self._arguments: dict[str, Any] = {
            "project": project,
            "name": run_name,
            "group": group,
            "config": dict(config or {}),
        }
        self._folder = None if folder is None else Path(folder)
        self._options = dict(options or {})
        self._run_id = RunId(folder, client, project, run_name)
        self._run: Any = None
        self._first_step = 0

    def log(self, step: int, numbers: Mapping[str, float]) -> None:
        run = self._opened_run()
        # wandb warns at each step that it has already, and drops it.
        if step >= self._first_step:
            run.log(dict(numbers), step=step)

    def finish(self, summary: Mapping[str, Any]) -> None:
        run = self._opened_run()
        if self._client == "wandb":
            run.summary.update(dict(summary))
            run.finish(exit_code=int(summary.get("state") != "finished"))
        else:
            parts = {f"summary/{name}": value for name, value in summary.items()}
            run.log(parts, step=int(summary.get("steps", 0)))
            with redirect_stdout(sys.stderr):
                # Not the run's own: trackio would finish it again when the process ends.
                self._library.finish()
        self._run = None

    def _opened_run(self) -> Any:
        if self._run is None:
            begin = self._begin_wandb if self._client == "wandb" else self._begin_trackio
            self._run = begin(self._run_id.get())
            self._run_id.set(str(self._run.id))
        return self._run

    def _begin_wandb(self, run_id: str | None) -> Any:
        arguments = dict(self._arguments)
        if run_id is not None:
            arguments |= {"id": run_id, "resume": "allow"}
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            arguments["dir"] = str(self._folder)
        # The user may have a run of his own in this process, and its output is no part of this one.
        arguments |= {
            "reinit": "create_new",
            "settings": self._library.Settings(console="off"),
        }
        run = self._library.init(**{**arguments, **self._options})
        self._first_step = run.step
        return run

    def _begin_trackio(self, run_id: str | None) -> Any:
        arguments = {**self._arguments, **self._options}
        # What trackio prints is for people.
        with redirect_stdout(sys.stderr):
            if run_id is None:
                return self._library.init(**arguments)
            # It continues the last run of a name, which may be another training's.
            run = self._library.init(**{"resume": "allow", **arguments})
            return run if run.id == run_id else self._library.init(**arguments)
