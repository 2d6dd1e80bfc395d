"""A search as one call, and an experiment with what it chose."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torchcross.errors import InputError
from torchcross.experiment.run.cells import Say
from torchcross.experiment.run.identity import decisive_settings, differences
from torchcross.experiment.settings.row_settings import with_checked_rows
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.tuning.folder import CHOSEN, TuneFolder
from torchcross.experiment.tuning.runner import run_missing_trials

_OWN_OF_A_RUN = ("algorithms", "seeds", "shots", "data.targets", "evaluation.seed")
"""What a run may have otherwise than the search that chose its settings."""


@dataclass(frozen=True)
class TuneOutcome:
    """The result of a search: its folder, what it chose, and what failed."""

    folder: TuneFolder
    chosen: dict[str, Any]
    failures: list[dict[str, str]]

    @property
    def complete(self) -> bool:
        """Whether every row has a choice for every target."""
        rows = self.chosen["about"]["space"]
        return not self.failures and all(
            row in by_row for by_row in self.chosen["targets"].values() for row in rows
        )


def tune_experiment(
    experiment: Experiment,
    out: str | Path,
    *,
    say: Say | None = None,
    progress: bool | None = None,
    jobs: int | None = 1,
) -> TuneOutcome:
    """Search for settings of every row, as `experiment.tune` says, in the folder `out`.

    A search that was interrupted goes on, and ends with the same files. What fails (a dataset that
    cannot be read) is in `failures`; the rest goes on. A trial that diverges has no score.

    jobs  processes of this machine, as `run_experiment` has them
    """
    folder, failures = run_missing_trials(experiment, out, say, progress, jobs)
    return TuneOutcome(folder, folder.plain(CHOSEN), failures)


def with_tuned(experiment: Experiment, folder: str | Path) -> Experiment:
    """The experiment with the settings that a search chose, for each target and row.

    Rows that it did not search keep those of the experiment. The page says which, and in what the
    experiment differs from the one of the search.
    """
    if experiment.tuned:
        raise InputError("the experiment has chosen values already; give one without them")
    chosen = TuneFolder(folder).plain(CHOSEN)
    if not chosen:
        raise InputError(f"{folder} has no {CHOSEN} yet; let `torchcross tune` finish first")
    about = dict(chosen["about"])
    now, then = decisive_settings(experiment), about.pop("settings")
    changed = [name for name in differences(then, now) if not name.startswith(_OWN_OF_A_RUN)]
    about["differs"] = changed
    tuned = {"targets": chosen["targets"], "about": about}
    return with_checked_rows(replace(experiment, tuned=tuned))
