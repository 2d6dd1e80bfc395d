"""What is known of sources and tasks beside their results: distances, scores, votes and notes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torchcross._kit.listed_names import first_names
from torchcross._kit.user_files import read_user_file, read_user_text
from torchcross.transfer.page import PairDistances, StudyContents, TaskMap
from torchcross.transfer.published.pair_files import (
    PairNumbers,
    check_column_names,
    read_pair_numbers,
)
from torchcross.transfer.results import StudyResults
from torchcross.transfer.similarity import ExpertVotes, read_votes
from torchcross.transfer.similarity.geometry import TaskDistances
from torchcross.transfer.source_target import SourceTargetTable


def with_tables(
    contents: StudyContents,
    *,
    distances: Sequence[str | Path] = (),
    scores: Sequence[str | Path] = (),
    votes: str | Path | None = None,
    notes: str | Path | None = None,
) -> StudyContents:
    """The contents with what these files say; see `write_published_page`."""
    known = [item for file in distances for item in read_pair_numbers(file)]
    scored = [item for file in scores for item in read_pair_numbers(file)]
    ballots = None if votes is None else read_votes(votes)
    results = contents.results
    check_column_names([*known, *scored], (*contents.scores, *contents.distances))
    texts = [contents.notes] if contents.notes else []
    if notes is not None:
        texts.append(read_user_text(Path(notes)))
    files = [
        *files_of("distances", distances),
        *files_of("scores", scores),
        *files_of("votes", [] if votes is None else [votes]),
    ]
    if notes is not None:
        files += files_of("notes", [notes])
    provenance = dict(contents.provenance)
    if files:
        provenance["files"] = [*provenance.get("files", ()), *files]
    return replace(
        contents,
        scores={
            **contents.scores,
            **{item.name: SourceTargetTable.of_pairs(item.means()) for item in scored},
        },
        distances={
            **contents.distances,
            **{item.name: item.distances() for item in known},
            **_distances_of_votes(ballots, results),
        },
        tasks={
            **contents.tasks,
            **{item.name: item.task_map() for item in known},
            **_maps_of_votes(ballots),
        },
        notes="\n\n".join(texts),
        cautions=[*contents.cautions, *_cautions(results, [*known, *scored], ballots)],
        provenance=provenance,
    )


def files_of(kind: str, paths: Sequence[str | Path]) -> list[dict[str, Any]]:
    """What a page says of files: their names and digests."""
    return [
        {
            "kind": kind,
            "file": Path(path).name,
            "sha256": hashlib.sha256(read_user_file(Path(path))).hexdigest(),
        }
        for path in paths
    ]


# -- votes -----------------------------------------------------------------------------------------


_KINDS = ("Hamming of majorities", "expected Hamming")
_OBSERVERS = "two of its observers"


def _distances_of_votes(
    votes: ExpertVotes | None, results: StudyResults
) -> Mapping[str, PairDistances]:
    """Of the sources and targets that observers were asked about."""
    if votes is None:
        return {}
    sources = [name for name in results.sources if name in votes.datasets]
    targets = [name for name in results.targets if name in votes.datasets]
    if not sources or not targets:
        return {}
    measures = (votes.hamming, votes.expected_hamming)
    return {
        name: PairDistances.of_one_draw(
            SourceTargetTable.of_function(sources, targets, _apart(measure))
        )
        for name, measure in zip(_KINDS, measures, strict=True)
    }


def _apart(measure: Any) -> Any:
    """0 for a dataset and itself: two observers of one dataset may differ."""
    return lambda one, other: 0.0 if one == other else measure(one, other)


def _maps_of_votes(votes: ExpertVotes | None) -> Mapping[str, TaskMap]:
    if votes is None:
        return {}
    floors = {name: votes.expected_hamming(name, name) for name in votes.datasets}
    maps = {}
    for name, measure in zip(_KINDS, (votes.hamming, votes.expected_hamming), strict=True):
        table = SourceTargetTable.of_function(votes.datasets, votes.datasets, _apart(measure))
        distances = TaskDistances(votes.datasets, table.values)
        has_floor = name == _KINDS[1]
        maps[name] = TaskMap(distances, floors if has_floor else {}, _OBSERVERS)
    return maps


def _cautions(
    results: StudyResults, columns: Sequence[PairNumbers], votes: ExpertVotes | None
) -> Iterator[str]:
    for column in columns:
        if repeated := column.repeated_draws():
            count = len({draw for item in column.draws.values() for draw in item})
            yield (
                f"Of the {count} draws of `{column.name}`, {len(repeated)} repeat an earlier one"
                f" (draw {', '.join(map(str, repeated))}): they are {count - len(repeated)} draws."
            )
        if lost := _lost_pairs(results, column):
            named = first_names([f"{source} → {target}" for source, target in lost])
            yield (
                f"`{column.name}` lacks {len(lost)} pairs that have a value ({named}): they"
                " are in none of its plots, rankings and correlations. Give them, or leave it so."
            )
    if votes is not None and votes.ties:
        ties = "; ".join(
            f"{dataset}, {question}: {' = '.join(answers)}"
            for dataset, question, answers in votes.ties
        )
        yield f"Votes that tie, and count as the share of their answers: {ties}."
    if votes is not None:
        names = {*results.sources, *results.targets}
        if unknown := [name for name in votes.datasets if name not in names]:
            listed = ", ".join(unknown)
            yield f"Observers were asked about datasets that are not in the table: {listed}."


def _lost_pairs(results: StudyResults, column: PairNumbers) -> list[tuple[str, str]]:
    matrix, means = results.matrix(), column.means()
    return [
        (source, target)
        for source in matrix.sources
        for target in matrix.targets
        if not math.isnan(matrix[source, target])
        and math.isnan(means.get((source, target), math.nan))
    ]
