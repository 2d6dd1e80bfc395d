"""failures.json: which cells failed, and why, out of what is known of their units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torchcross.errors import WriteError
from torchcross.experiment.run.cells import Cell, RunContext
from torchcross.experiment.run.run_units import RunUnits, score_key
from torchcross.jobs import UnitFailure

Failure = dict[str, str]


def update_failures(
    run: RunContext, units: RunUnits | None, failures: Mapping[str, UnitFailure]
) -> list[Failure]:
    """Write which cells failed, and return it.

    `failures` are those of units, by key. What failed in an earlier call stays until its cell is
    done or fails again, so that it outlives a process that is killed.
    """
    failed = list(_failed_cells(run, units, failures))
    try:
        run.folder.write_failures(failed)
    except WriteError as error:
        if not failed:
            raise
        first = failed[0]
        raise WriteError(
            f"{error}; it was to hold: {first['algorithm']} on {first['target']}: {first['reason']}"
        ) from error
    return failed


def _failed_cells(
    run: RunContext, units: RunUnits | None, failures: Mapping[str, UnitFailure]
) -> Iterator[Failure]:
    if units is None:
        return
    earlier = {
        Cell(each["target"], each["algorithm"], int(each["seed"])): each
        for each in run.folder.failures()
    }
    for cell in run.cells():
        missing = run.missing_shots(cell)
        if not missing:
            continue
        failure = _failure_of(run, cell, missing, units, failures)
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


def _failure_of(
    run: RunContext,
    cell: Cell,
    missing: list[int],
    units: RunUnits,
    failures: Mapping[str, UnitFailure],
) -> UnitFailure | None:
    for shots in missing:
        key = score_key(run.cell_name(cell, shots))
        for each in (*units.needs_of(key), key):
            if each in failures:
                return failures[each]
    return None
