"""The sources that simple rules take, which need no score of the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torchcross.transfer.published import read_results
from torchcross.transfer.results import StudyResults
from torchcross.transfer.source_choice import largest_of, static_scores_for
from torchcross.transfer.studies import StudyFolder


def results_of(place: str) -> StudyResults | None:
    """Results of the folder of a study, or of a published table; None where `place` is empty."""
    if not place:
        return None
    if Path(place).is_dir():
        return StudyFolder.open(place).results()
    return read_results(place)[0]


def largest_source(
    named: str, weights: Sequence[str], sizes: Mapping[str, int]
) -> tuple[str | None, list[str]]:
    """(the largest source, what is to be said of it): the named one, weights, or most images."""
    if named:
        return named, []
    if weights:
        return weights[0], [
            f"{weights[0]} counts as the largest source: nobody says how many images a file of"
            " weights was learned from; --largest names another one"
        ]
    largest = largest_of(sizes)
    if len(largest) == 1:
        return largest[0], []
    return None, [
        f"{', '.join(largest)} were learned from equally many images, so no source is the"
        " largest; --largest names one"
    ]


def static_source(
    target: str, sources: Sequence[str], results: StudyResults | None
) -> tuple[str | None, list[str]]:
    """(the source that is best on other targets, what is to be said of it)."""
    scores: Mapping[str, float] = {}
    if results is not None:
        scores = static_scores_for(target, results.matrix())
    known = {name: score for name, score in scores.items() if name in sources}
    if known:
        return max(known, key=lambda name: known[name]), []
    return None, [
        "the static rule (the source that is best on other targets) is not known; give a study"
        " of these sources with --study or --results"
    ]
