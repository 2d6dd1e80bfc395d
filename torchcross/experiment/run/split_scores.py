"""How uncertain the scores of a test split are, kept beside its rows: a page needs no data."""

from __future__ import annotations

from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.scored_rows import SPLIT_ERRORS
from torchcross.statistics import SplitError
from torchcross.statistics.split_errors import error_of


def split_errors_of(run: RunFolder) -> dict[tuple[str, str, int, str], dict[int, SplitError]]:
    """(algorithm, target, shots, metric) -> the error for each training seed."""
    errors: dict[tuple[str, str, int, str], dict[int, SplitError]] = {}
    for scored in run.scored_episodes():
        for metric, each in scored.get(SPLIT_ERRORS, {}).items():
            key = (scored["algorithm"], scored["target"], scored["shots"], metric)
            errors.setdefault(key, {})[scored["seed"]] = error_of(each)
    return errors
