"""A run as one call, and its result as a notebook shows it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchcross.experiment.page.notebook import outcome_html
from torchcross.experiment.run.cells import Say
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.runner import run_or_follow
from torchcross.experiment.settings.schema import Experiment
from torchcross.records import Records


@dataclass(frozen=True)
class RunOutcome:
    """The result of a run: its folder, its rows, and what failed."""

    folder: RunFolder
    records: Records
    failures: list[dict[str, str]]

    @property
    def complete(self) -> bool:
        return not self.failures

    def _repr_html_(self) -> str:
        return outcome_html(self.folder, self.records, self.failures)


def run_experiment(
    experiment: Experiment,
    out: str | Path,
    *,
    say: Say | None = None,
    progress: bool | None = None,
    jobs: int | None = 1,
) -> RunOutcome:
    """Do what is not done yet. A run that was interrupted goes on, and ends with the same rows.

    What fails (a dataset that cannot be read, a training that diverges) is in `failures`; the rest
    goes on.

    jobs  processes of this machine, where the experiment names no engine; 1 is this process, None
          is as many as the cores allow. In a script, call it under `if __name__ == "__main__":`

    Where a launcher such as torchrun started several processes, all of them call this: they train
    together, the first one makes the rest, and all have its result.
    """
    folder, failures = run_or_follow(experiment, out, say, progress, jobs)
    return RunOutcome(folder, folder.records(), failures)
