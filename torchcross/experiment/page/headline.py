"""What stands first on a page over one run or several: the leading metric, and warnings.

The columns of the headline table itself, and their order, are made in `torchcross.report.headline`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torchcross.errors import InputError
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.identity import differences
from torchcross.experiment.run.provenance import contradictions
from torchcross.experiment.settings.plain import setting_fields
from torchcross.experiment.settings.schema import EvaluationSettings
from torchcross.experiment.settings.shots import support_shots
from torchcross.records import Records
from torchcross.report.places import places_text
from torchcross.statistics.grade_scales import IN_GRADES
from torchcross.training.options import decides_numbers, earlier_value


@dataclass(frozen=True)
class Headline:
    """The metric that leads a page (None without rows), its kind of interval, and warnings.

    `margin` is that of equivalence, in the unit of the metric; None where none is stated.
    """

    metric: str | None
    method: str
    margin: float | None
    warnings: tuple[str, ...]


def headline_of(
    records: Records,
    runs: Sequence[RunFolder],
    metric: str | None,
    margin: float | None = None,
    uncertainty: str | None = None,
) -> Headline:
    """As all runs say, or else as the first one; a `metric` that is given must be in the rows."""
    sections = [run.experiment["evaluation"] for run in runs]
    method = sections[0].get("interval", "t")
    present = [str(name) for name in records.unique("metric")]
    if metric is not None and present and metric not in present:
        raise InputError(f"no row has the metric {metric!r}; there are {', '.join(present)}")
    warnings = []
    if metric is None:
        metric = sections[0]["metric"]
        warnings += _disagreement("metric", [section["metric"] for section in sections])
    warnings += _disagreement("interval", _intervals(runs))
    kinds = [section.get("uncertainty", "images") for section in sections]
    warnings += _disagreement("uncertainty", kinds) if uncertainty is None else []
    if margin is None:
        margin = _margin(sections[0], metric)
    if not present:
        return Headline(None, method, margin, tuple(warnings))
    if metric not in present:
        instead = "auroc" if "auroc" in present else present[0]
        warnings.append(
            f"No row has the metric {metric}, which was to lead this page; {instead} leads it"
            " instead."
        )
        metric = instead
    return Headline(metric, method, margin, tuple(warnings))


def _margin(evaluation: Mapping[str, Any], metric: str) -> float | None:
    """The margin of the experiment, if it is in the unit of this metric; earlier runs have none."""
    same_unit = (metric in IN_GRADES) == (evaluation["metric"] in IN_GRADES)
    margin = evaluation.get("margin")
    return margin if margin and same_unit else None


def scales_of(protocol: Mapping[str, Any]) -> dict[str, str]:
    """Target -> its grades, where the protocol says them."""
    scales = {}
    for key, target in protocol.get("episodes of targets", {}).items():
        if values := target.get("values"):
            scales[target.get("name", key)] = ", ".join(map(str, values))
    return scales


def chance_of(protocols: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Metric -> target -> what chance reaches, where a protocol says it."""
    levels: dict[str, dict[str, float]] = {}
    for protocol in protocols:
        for key, target in protocol.get("episodes of targets", {}).items():
            for metric, level in target.get("chance", {}).items():
                levels.setdefault(metric, {})[target.get("name", key)] = level
    return levels


def _disagreement(name: str, values: Sequence[str]) -> list[str]:
    if len(set(values)) < 2:
        return []
    listed = ", ".join(dict.fromkeys(values))
    return [f"The runs chose {listed} for evaluation.{name}: the first is shown."]


def _intervals(runs: Sequence[RunFolder]) -> list[str]:
    """Of the runs with one training seed; over several seeds there is only one kind of interval."""
    experiments = [run.experiment for run in runs]
    return [
        experiment["evaluation"].get("interval", "t")
        for experiment in experiments
        if len(experiment["seeds"]) == 1
    ]


def episodes_of_rows(
    run: RunFolder, records: Records, unknown: str = "not known"
) -> dict[tuple[str, str, int], str]:
    """(algorithm, target, shots) -> which episodes these rows are of, or `unknown`."""
    known = run.episodes()
    columns = [records.columns[name].tolist() for name in ("algorithm", "target", "shots")]
    return {row: known.get(row, unknown) for row in zip(*columns, strict=True)}


# -- warnings --------------------------------------------------------------------------------------


def difference_warnings(
    runs: Mapping[str, RunFolder], provenances: Mapping[str, Mapping[str, Any]]
) -> Iterator[str]:
    """What differs between runs that stand in one table, by name."""
    first, *others = runs
    for other in others:
        one, two = (_evaluation_of(runs[name].experiment) for name in (first, other))
        settings = list(differences(one, two))
        one, two = (provenances[name].get("data", {}) for name in (first, other))
        data = list(contradictions(one, two))
        if settings:
            yield f"{first} and {other} were evaluated differently: {', '.join(settings)}."
        is_alike = not settings and not data
        yield from _shots_apart(f"{first} and {other}", runs[first], runs[other], is_alike)
        if data:
            yield f"{first} and {other} are not of the same data: {', '.join(data)}."


def _shots_apart(names: str, one: RunFolder, two: RunFolder, is_alike: bool) -> Iterator[str]:
    """What other numbers of shots change: images are of the most, fewer are parts of more.

    `is_alike`: nothing else that decides episodes differs.
    """
    shots, more = (support_shots(run.experiment["shots"]) for run in (one, two))
    most = [max(numbers, default=0) for numbers in (shots, more)]
    if all(most) and most[0] != most[1]:
        yield (
            f"{names} have other episodes: support and query images are drawn for the largest"
            f" number of shots, {most[0]} and {most[1]}, and fewer shots are parts of these."
        )
    elif is_alike and set(shots) != set(more):
        first, second = (
            {(target, count): digest for (_, target, count), digest in run.episodes().items()}
            for run in (one, two)
        )
        places = [key for key in first if second.get(key, first[key]) != first[key]]
        if places:
            yield (
                f"{names} have other supports ({places_text(sorted(places))}): a smaller support is"
                " drawn from that of the next larger number of shots, which one of them lacks."
            )


def _evaluation_of(experiment: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide episodes and evaluation, but for the numbers of shots."""
    values = experiment["evaluation"]
    evaluation = {
        each.name: values[each.name]
        for each in setting_fields(EvaluationSettings)
        # Runs of a version that did not have a setting lack it.
        if decides_numbers(each)
        and values.get(each.name, earlier_value(each)) != earlier_value(each)
    }
    return {
        "evaluation": evaluation,
        "data": {"channels": experiment["data"]["channels"]},
    }


def caution_warnings(protocol: Mapping[str, Any]) -> list[str]:
    return [f"{caution}." for caution in protocol.get("cautions", ())]


def shared_subject_warnings(run: RunFolder) -> list[str]:
    counts = run.shared_subjects()
    if not counts:
        return []
    listed = ", ".join(f"{target}: {count}" for target, count in counts.items())
    return [
        "Subjects are in both support and query of an episode; over all episodes of one row, at"
        f" most, {listed}."
    ]


def unhashed_warnings(run: RunFolder) -> list[str]:
    if run.has_hashes:
        return []
    return [
        "An earlier version began this run, whose files have no content hash: damage to their"
        " numbers would not be noticed."
    ]
