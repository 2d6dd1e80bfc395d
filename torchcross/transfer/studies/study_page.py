"""The page of a study, from the files of its folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from torchcross._kit.counts import count_text
from torchcross._kit.surroundings import installed_version
from torchcross.errors import InputError
from torchcross.metrics.reference_values import lower_is_better
from torchcross.transfer.page import (
    PAGE_TITLE,
    PairDistances,
    StudyContents,
    TaskMap,
    check_baseline,
)
from torchcross.transfer.similarity import distance
from torchcross.transfer.similarity.geometry import TaskDistances
from torchcross.transfer.studies.folder import StudyFolder
from torchcross.transfer.studies.left_out import left_out_text
from torchcross.transfer.studies.machine import MADE_WITH
from torchcross.transfer.studies.parts_made import (
    PartsMade,
    parts_by_surroundings,
    surroundings_caution,
)
from torchcross.transfer.studies.split_answer import split_answer
from torchcross.transfer.studies.split_report import compare_sources, split_tables
from torchcross.transfer.studies.units import plain_settings

TASK2VEC = "task2vec"


def study_contents(
    study: StudyFolder,
    *,
    title: str | None = None,
    metric: str | None = None,
    baseline: str | None = None,
) -> StudyContents:
    """What a page shows of a study: of its cells that are there.

    `metric` leads in the place of the study's, and `baseline` is what gains are over, by default
    the random start, or none of a metric that may be below 0.
    """
    name = metric or study.settings.study.metric
    if lower_is_better(name):
        raise InputError(f"{name}: smaller is better; give a metric of which more is better")
    results = study.results(metric)
    distances, made = study.task_distances(), parts_by_surroundings(study)
    # Its tables have values and tests of them; gains stand beside them only if they are asked for.
    answer, of_own_splits = "", study.settings.study.splits == "own"
    if of_own_splits:
        baseline = baseline or "none"
        answer = split_answer(compare_sources(study, name), name)
    return StudyContents(
        title=title or PAGE_TITLE,
        results=results,
        metric=name,
        baseline=check_baseline(baseline, results, name),
        scores=study.score_tables(),
        distances={TASK2VEC: PairDistances.of_one_draw(distances)} if distances.count else {},
        tasks=_task_maps(study),
        sizes=study.source_sizes(),
        cautions=list(_cautions(study, made)),
        answer=answer,
        tables=split_tables(study, name),
        protocol=_protocol(study),
        provenance={
            "inputs": _in_order(study.inputs()),
            MADE_WITH: [each.as_plain() for each in made],
            "page written by": {
                "torchcross-fewshot": installed_version("torchcross-fewshot") or "not installed"
            },
        },
    )


def _task_maps(study: StudyFolder) -> Mapping[str, TaskMap]:
    embeddings = study.embeddings()
    if not embeddings:
        return {}
    names = tuple(embeddings)
    values = np.zeros((len(names), len(names)))
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            if one != other:
                values[row, column] = distance(embeddings[one][0], embeddings[other][0])
    floors = {name: floor for name, (_, floor) in embeddings.items()}
    # The sums of cosines round differently there and back.
    return {TASK2VEC: TaskMap(TaskDistances(names, (values + values.T) / 2), floors)}


def _cautions(study: StudyFolder, made: Sequence[PartsMade]) -> Iterator[str]:
    if caution := study.synthetic_caution():
        yield caution
    if note := study.fraction_note():
        yield note
    if text := left_out_text(study.settings.study):
        yield text
    if caution := surroundings_caution(made):
        yield caution
    records = [record for _, record in study.pairs()]
    missing = sum(record is None for record in records)
    if missing:
        yield f"{missing} of {count_text(len(records), 'cells')} are not done."


def _protocol(study: StudyFolder) -> dict[str, Any]:
    """The settings, without the places of files."""
    plain = plain_settings(study.settings)
    plain["study"]["weights"] = sorted(study.settings.study.weights)
    plain["scores"].pop("probe_weights", None)
    how = (
        "the network of every source, fine-tuned on every target without one fold and scored on"
        " that fold; scores see the training part alone"
    )
    if study.settings.study.splits == "own":
        how = (
            "the network of every source, fine-tuned on the train split of every target, judged on"
            " its val split and scored on its test split"
        )
    return {
        "how": how,
        **{name.replace("_", " "): _in_order(plain[name]) for name in sorted(plain)},
    }


def _in_order(value: Any) -> Any:
    """By name, as the file of the settings has them."""
    if not isinstance(value, Mapping):
        return value
    return {name: _in_order(value[name]) for name in sorted(value)}
