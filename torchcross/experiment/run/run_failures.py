"""failures.json: which cells failed, and why, out of what is known of their units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torchcross.errors import WriteError
from torchcross.experiment.run.cells import Cell, WorkFolder
from torchcross.experiment.run.experiment_job import UnitPlan
from torchcross.jobs import UnitFailure

Failure = dict[str, str]


def update_failures(
    folder: WorkFolder, plan: UnitPlan | None, failures: Mapping[str, UnitFailure]
) -> list[Failure]:
    """Write which cells failed, and return it; `plan` is None where nothing is left to do.

    `failures` are those of units, by key. What failed in an earlier call stays until its cell is
    done or fails again, so that it outlives a process that is killed.
    """
    failed = [] if plan is None else list(_failed_cells(folder, plan, failures))
    try:
        folder.write_failures(failed)
    except WriteError as error:
        if not failed:
            raise
        first = failed[0]
        raise WriteError(
            f"{error}; it was to hold: {first['algorithm']} on {first['target']}: {first['reason']}"
        ) from error
    return failed


def _failed_cells(
    folder: WorkFolder, plan: UnitPlan, failures: Mapping[str, UnitFailure]
) -> Iterator[Failure]:
    earlier = {
        Cell(each["target"], each["algorithm"], int(each["seed"])): each
        for each in folder.failures()
    }
    for cell, keys in plan.unfinished_cells():
        failure = _first_failure(keys, failures)
        if failure is not None:
            yield {
                "kind": failure.kind,
                "target": cell.target,
                "algorithm": cell.algorithm,
                "seed": str(cell.seed),
                "reason": failure.reason,
            }
        elif cell in earlier:
            yield earlier[cell]


def _first_failure(keys: Sequence[str], failures: Mapping[str, UnitFailure]) -> UnitFailure | None:
    return next((failures[key] for key in keys if key in failures), None)
