"""Before a run with chosen settings begins: they are for these rows, targets and sources."""

from __future__ import annotations

from collections.abc import Iterable

from torchcross.errors import InputError, TorchcrossError
from torchcross.experiment.rows.methods import rows_of_experiment
from torchcross.experiment.run.cells import RunContext
from torchcross.experiment.run.training import search_key
from torchcross.experiment.settings.tuning_record import TuningRecord, tuning_record

_ADVICE = "tune again, with the targets and data of this run, in another folder"


def check_chosen_settings(run: RunContext, targets: Iterable[str]) -> None:
    """Refuse settings that were not chosen for these targets, on the sources that they have now."""
    record = tuning_record(run.experiment.tuned)
    if record is None:
        return
    for target in targets:
        _check_target(run, record, target)


def _check_target(run: RunContext, record: TuningRecord, target: str) -> None:
    chosen = run.experiment.tuned["targets"]
    if target not in chosen:
        raise InputError(
            f"no settings were chosen for {target!r}; the search was for {', '.join(chosen)};"
            f" {_ADVICE}"
        )
    for row in rows_of_experiment(run.experiment):
        if row in record.space and row not in chosen[target]:
            raise InputError(
                f"no settings were chosen of {row} for {target!r}: no trial has a score, or the"
                " search is not over; run `torchcross tune` again, or leave the row out"
            )
    try:
        key = search_key(run, target, record.score)
    except (TorchcrossError, OSError):
        # Data that cannot be read now are an error of the cells that need them.
        return
    if record.sources.get(target) != key:
        raise InputError(
            f"the settings for {target!r} were chosen on other sources than it has now: the data,"
            f" data.leave_out or data.source_tasks changed; {_ADVICE}"
        )
