"""How the settings of rows were chosen: what an experiment knows of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from torchcross.errors import InputError

_TYPES: Mapping[str, type[Any]] = {
    "search": str,
    "trials": int,
    "seed": int,
    "score": str,
    "episodes": int,
    "queries": int,
    "shots": list,
    "training seed": int,
    "space": dict,
    "not searched": list,
    "results": dict,
    "scored on": dict,
    "sources": dict,
    "differs": list,
}


@dataclass(frozen=True)
class TuningRecord:
    """A search by its budget, its space and its results.

    score      what trials were scored on, as `tune.score` names it
    space      by rows: the values of each setting
    results    by targets and rows: the trial that was chosen, its score, the median, and so on
    sources    by targets: a digest of the sources
    scored_on  by targets: the names of "sources" whose validation splits scored the trials, and of
               those whose splits were "too small"
    differs    settings of the experiment that were otherwise in the search
    """

    search: Literal["random", "grid"]
    trials: int
    seed: int
    score: Literal["source-validation", "target-queries"]
    episodes: int
    queries: int
    shots: tuple[int | str, ...]
    training_seed: int
    space: Mapping[str, Mapping[str, Any]]
    results: Mapping[str, Mapping[str, Mapping[str, Any]]]
    sources: Mapping[str, str]
    scored_on: Mapping[str, Mapping[str, Sequence[str]]]
    differs: tuple[str, ...]

    @property
    def saw_the_test(self) -> bool:
        return self.score == "target-queries"

    def rows_as_they_were(self, rows: Sequence[str]) -> list[str]:
        """The rows that nothing was searched for: they keep the values of the experiment."""
        return [row for row in rows if row not in self.space]


def tuning_record(tuned: Mapping[str, Any]) -> TuningRecord | None:
    """From the section `tuned` of an experiment; None where nothing was chosen by a search."""
    if not tuned:
        return None
    about = tuned.get("about")
    if not isinstance(about, Mapping) or not _is_whole(about):
        raise InputError(
            "tuned is not as `torchcross tune` writes it; leave it out, and give"
            " `torchcross run --tuned FOLDER`"
        )
    return TuningRecord(
        search=about["search"],
        trials=about["trials"],
        seed=about["seed"],
        score=about["score"],
        episodes=about["episodes"],
        queries=about["queries"],
        shots=tuple(about["shots"]),
        training_seed=about["training seed"],
        space=about["space"],
        results=about["results"],
        sources=about["sources"],
        scored_on=about["scored on"],
        differs=tuple(about["differs"]),
    )


def _is_whole(about: Mapping[str, Any]) -> bool:
    """Whether everything that a page needs is there, each of its kind."""
    tables = [about.get(name) for name in ("space", "results", "scored on")]
    inner = [*(value for table in tables if isinstance(table, dict) for value in table.values())]
    by_row = [
        value
        for results in (about.get("results") or {}).values()
        if isinstance(results, dict)
        for value in results.values()
    ]
    return all(isinstance(about.get(name), kind) for name, kind in _TYPES.items()) and all(
        isinstance(value, dict) for value in (*inner, *by_row)
    )
