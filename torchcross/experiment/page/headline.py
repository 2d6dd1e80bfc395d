"""What leads a page over one run or several, and what must be said of it before anything else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchcross.errors import InputError
from torchcross.experiment.run.folder import RunFolder, differences
from torchcross.experiment.run.provenance import contradictions
from torchcross.records import Records

__all__ = ["Leading", "cautions", "differing", "episodes_of", "made_up", "shared_subjects"]


@dataclass(frozen=True)
class Leading:
    """The metric that leads a page (None: there are no rows), how its intervals are made, and what
    to say of them.
    """

    metric: str | None
    method: str
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, records: Records, runs: Sequence[RunFolder], asked: str | None) -> Leading:
        """As all runs say, or else the first one; a metric that is asked for must be there."""
        told = [run.experiment["evaluation"] for run in runs]
        method, warnings = told[0].get("interval", "t"), []
        present = [str(name) for name in records.unique("metric")]
        if asked is not None and asked not in present and present:
            raise InputError(f"no row has the metric {asked!r}; there are {', '.join(present)}")
        metric = told[0]["metric"] if asked is None else asked
        for name, values in (
            ("metric", [one["metric"] for one in told]),
            ("interval", _intervals(runs)),
        ):
            if len(set(values)) > 1 and not (name == "metric" and asked is not None):
                warnings.append(
                    f"The runs chose {', '.join(dict.fromkeys(values))} for evaluation.{name}: the"
                    " first is shown."
                )
        if not present:
            return cls(None, method, tuple(warnings))
        if metric not in present:
            instead = "auroc" if "auroc" in present else present[0]
            warnings.append(
                f"No row has the metric {metric}, which was to lead this page; {instead} stands in"
                " its place."
            )
            metric = instead
        return cls(metric, method, tuple(warnings))


def _intervals(runs: Sequence[RunFolder]) -> list[str]:
    """Of the runs with one training seed; over several there is but one interval."""
    told = [run.experiment for run in runs if len(run.experiment["seeds"]) == 1]
    return [one["evaluation"].get("interval", "t") for one in told]


def episodes_of(
    run: RunFolder, records: Records, unknown: str = "not told"
) -> dict[tuple[str, str, int], str]:
    """Which episodes the rows of a run are of; of rows that do not tell, that it is not known."""
    known = run.episodes()
    columns = records.columns
    places = dict.fromkeys(
        zip(*(columns[name].tolist() for name in ("algorithm", "target", "shots")), strict=True)
    )
    return {place: known.get(place, unknown) for place in places}


def differing(
    runs: Mapping[str, RunFolder], provenances: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """What is not alike in runs that stand in one table, by name."""
    first, *others = runs
    for other in others:
        one, two = (_of_evaluation(runs[name].experiment) for name in (first, other))
        settings = list(differences(one, two))
        data = list(
            contradictions(provenances[first].get("data", {}), provenances[other].get("data", {}))
        )
        if settings:
            yield f"{first} and {other} were evaluated differently: {', '.join(settings)}."
        if data:
            yield f"{first} and {other} are not of the same data: {', '.join(data)}."


def _of_evaluation(told: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the episodes and what is done with them; the most shots do, since fewer are
    parts of them.
    """
    evaluation = {
        name: value
        for name, value in told["evaluation"].items()
        if name not in ("metric", "interval")
    }
    return {
        "evaluation": evaluation,
        "data": {"channels": told["data"]["channels"]},
        "shots": max(told["shots"]),
    }


def made_up(provenance: Mapping[str, Any]) -> list[str]:
    told = provenance.get("data", {}).get("synthetic", "")
    return (
        [f"Synthetic data: {told}."]
        if isinstance(told, str) and told and not told.startswith("0 ")
        else []
    )


def cautions(protocol: Mapping[str, Any]) -> list[str]:
    return [f"{text}." for text in protocol.get("cautions", ())]


def shared_subjects(run: RunFolder) -> Iterator[str]:
    if counts := run.shared_subjects():
        listed = ", ".join(f"{target}: {count}" for target, count in counts.items())
        yield (
            "Subjects stand in both support and query of an episode; in all episodes together, at"
            f" most, {listed}."
        )
