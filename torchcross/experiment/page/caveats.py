"""What must stand beside the numbers of a run, wherever they stand: on its page and in its tables.

Signs and sentences of the table itself say the rest: transductive rows, classes left out, failures,
one training seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torchcross.experiment.rows.training_setup import NO_JUDGE
from torchcross.experiment.run.folder import PROTOCOL, RunFolder
from torchcross.experiment.run.scored_cells import scored_cells
from torchcross.experiment.settings.shots import support_shots


def caveats_of(
    run: RunFolder, provenance: Mapping[str, Any], trainings: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Whole sentences, the most important first."""
    return [
        *synthetic_caveats(provenance),
        *unfinished_caveats(run),
        *_failed_caveats(run),
        *_overlap_caveats(run),
        *_unjudged_caveats(trainings),
    ]


def synthetic_caveats(provenance: Mapping[str, Any]) -> list[str]:
    synthetic = provenance.get("data", {}).get("synthetic", "")
    if isinstance(synthetic, str) and synthetic and not synthetic.startswith("0 "):
        return [f"Synthetic data: {synthetic}."]
    return []


def unfinished_caveats(run: RunFolder) -> list[str]:
    """How many cells have their rows, where some are not done yet."""
    count = _count_cells(run)
    if not count.to_do:
        return []
    failed = f", {count.failed} failed" if count.failed else ""
    return [
        f"Unfinished: {count.done} of {count.cells} cells have rows{failed},"
        f" {count.to_do} not done yet."
    ]


def _failed_caveats(run: RunFolder) -> Iterator[str]:
    count = _count_cells(run)
    if count.failed and not count.to_do:
        yield (
            f"{count.failed} of {count.cells} cells failed: their rows are missing, and the others"
            " are compared without them."
        )


class _CellCount(NamedTuple):
    """How many cells a run is to have; an unfinished one has neither rows nor a failure."""

    cells: int
    done: int
    failed: int

    @property
    def to_do(self) -> int:
        return self.cells - self.done - self.failed


def _count_cells(run: RunFolder) -> _CellCount:
    protocol = run.plain(PROTOCOL)
    names = {
        key: str(each.get("name", key))
        for key, each in protocol.get("episodes of targets", {}).items()
    }
    failures = {(each["target"], each["algorithm"], each["seed"]) for each in run.failures()}
    cells = list(scored_cells(run.experiment, protocol.get("targets", {})))
    empty = [cell for cell in cells if not run.files.rows(cell.name).is_file()]
    places = [
        (names.get(cell.target, cell.target), cell.algorithm, str(cell.seed)) for cell in empty
    ]
    return _CellCount(
        len(cells), len(cells) - len(empty), sum(place in failures for place in places)
    )


def _overlap_caveats(run: RunFolder) -> Iterator[str]:
    evaluation = run.experiment["evaluation"]
    if has_episodes(run) and not evaluation.get("disjoint", False):
        yield (
            f"Episodes overlap: the {evaluation['episodes']} of a target are drawn from the same"
            " images, so that they are no independent samples."
        )


def has_episodes(run: RunFolder) -> bool:
    """Whether any number of shots has episodes: rows of full supervision have one test split."""
    return bool(support_shots(run.experiment["shots"]))


_REASONS = "(the reasons are under Provenance, trainings)"


def _unjudged_caveats(trainings: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Which algorithms were trained without model selection, and which with fewer sources."""
    blind = Counter(each["algorithm"] for each in trainings if NO_JUDGE in _unjudged_of(each))
    every = Counter(each["algorithm"] for each in trainings)
    by_share: dict[str, list[str]] = {}
    for name, count in blind.items():
        share = "" if count == every[name] else f"in {count} of {every[name]} trainings, "
        by_share.setdefault(share, []).append(name)
    for share, names in by_share.items():
        yield (
            f"Model selection: {share}no source could be judged for {', '.join(names)}: all steps"
            f" were done and the last weights were kept {_REASONS}."
        )
    yield from _partly_judged(each for each in trainings if NO_JUDGE not in _unjudged_of(each))


def _unjudged_of(training: Mapping[str, Any]) -> Sequence[str]:
    reasons: Sequence[str] = training.get("unjudged", ())
    return reasons


def _partly_judged(trainings: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """For each algorithm, how many sources its validation could not score."""
    counts: dict[str, list[tuple[int, int]]] = {}
    for training in trainings:
        sources = len(training["sources"]) + len(training["left_out"])
        counts.setdefault(training["algorithm"], []).append((len(_unjudged_of(training)), sources))
    by_count: dict[str, list[str]] = {}
    for name, pairs in counts.items():
        counts_unjudged, counts_sources = ([pair[side] for pair in pairs] for side in (0, 1))
        if any(counts_unjudged):
            text = f"{_range(counts_unjudged)} of {_range(counts_sources)}"
            by_count.setdefault(text, []).append(name)
    for count, names in by_count.items():
        yield (
            f"Model selection: validation could not judge {count} sources of {', '.join(names)}"
            f" {_REASONS}."
        )


def _range(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"
