"""Which rows failed where, in words: a table on its own has no other place for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from torchcross.records.shots import ALL_SHOTS
from torchcross.report.inputs import Failure
from torchcross.report.numbers import shots_title
from torchcross.report.summary import Summary

_MOST_NAMED: Final = 6


def failed_sentences(summary: Summary) -> Iterator[str]:
    """Which rows failed, at which shots, on which targets: those that failed alike at once."""
    if not summary.failures:
        return
    targets_of: dict[tuple[str, str], list[str]] = {}
    for (algorithm, target), failures in _by_place(summary.failures).items():
        targets_of.setdefault((algorithm, _at(summary, failures)), []).append(target)
    alike: dict[tuple[str, str], list[str]] = {}
    for (algorithm, at), targets in targets_of.items():
        alike.setdefault((at, _on(summary, targets)), []).append(algorithm or "every row")
    texts = (f"{', '.join(names)} {at}{on}" for (at, on), names in alike.items())
    yield f"Failed: {'; '.join(texts)} (the report says why, under What is missing)."


def failed_on(summary: Summary, target: str) -> str:
    """The rows that failed on a target, and at which shots; empty where none did."""
    alike: dict[str, list[str]] = {}
    by_algorithm: dict[str, list[Failure]] = {}
    for failure in summary.failures:
        if failure.target in ("", target):
            by_algorithm.setdefault(failure.algorithm, []).append(failure)
    for algorithm, failures in by_algorithm.items():
        alike.setdefault(_at(summary, failures), []).append(algorithm or "every row")
    return "; ".join(f"{', '.join(names)} {at}" for at, names in alike.items())


def targets_without_rows(summary: Summary) -> list[str]:
    """Those that something failed on, and that have no cell."""
    scored = {"", *(target.name for target in summary.targets)}
    return list(dict.fromkeys(one.target for one in summary.failures if one.target not in scored))


def _by_place(failures: Sequence[Failure]) -> dict[tuple[str, str], list[Failure]]:
    places: dict[tuple[str, str], list[Failure]] = {}
    for failure in failures:
        places.setdefault((failure.algorithm, failure.target), []).append(failure)
    return places


def _at(summary: Summary, failures: Sequence[Failure]) -> str:
    """The shots; where other seeds have values, the seeds too."""
    shots = {failure.shots for failure in failures}
    numbers = sorted(number for number in shots if number is not None)
    if {failure.algorithm for failure in failures} <= summary.ceilings:
        text = f"with {shots_title(ALL_SHOTS)}"
    elif None in shots:
        text = "at every number of shots"
    else:
        text = f"at {' and '.join(map(shots_title, numbers))}"
    seeds = sorted({failure.seed for failure in failures if failure.seed is not None})
    places = {(failure.target, failure.algorithm) for failure in failures}
    if seeds and any(key[:2] in places for key in summary.cells):
        text += f" with training seed {' and '.join(map(str, seeds))}"
    return text


def _on(summary: Summary, targets: Sequence[str]) -> str:
    """The targets; empty where it failed on all of them."""
    everywhere = {*(target.name for target in summary.targets), *targets_without_rows(summary)}
    if "" in targets or everywhere <= {*targets}:
        return ""
    if len(targets) > _MOST_NAMED:
        return f" on {len(targets)} of {len(everywhere)} targets"
    return f" on {', '.join(targets)}"
