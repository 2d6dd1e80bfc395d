"""How the settings of rows were chosen, in words: for a protocol and its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchcross.experiment.rows.methods import rows_of_experiment
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.tuning_record import TuningRecord, tuning_record

MARK = " (saw the test)"
"""Stands behind the name of a row whose settings were chosen on the targets themselves."""

_NONE = (
    "no search: every row has the settings that the experiment gives it. How these came about is"
    " not known here; `torchcross tune` searches with the same budget for every row."
)


def tuning_in_words(experiment: Experiment) -> str:
    """The search, its budget, and who took part in it."""
    record = tuning_record(experiment.tuned)
    if record is None:
        return _NONE
    texts = [budget_in_words(record), "Values are chosen for each target on its own."]
    if rows := record.rows_as_they_were(rows_of_experiment(experiment)):
        texts.append(f"Not searched, with the values of the experiment: {', '.join(rows)}.")
    if record.differs:
        texts.append(
            f"The search ran under other settings than this run: {', '.join(record.differs)}."
        )
    return " ".join(texts)


def budget_in_words(record: TuningRecord) -> str:
    """The search, its budget and its score in one sentence or two."""
    search = "a grid search"
    if record.search == "random":
        search = f"a random search (seed {record.seed})"
    budget = f"{search} of {record.trials} trials of every row for each target"
    if not any(record.shots):
        split = "test" if record.saw_the_test else "validation"
        return f"{budget}, scored by AUROC on the {split} split of the target's own task."
    seed = f"Trials were trained with seed {record.training_seed}."
    if record.saw_the_test:
        return (
            f"{budget}, scored on the episodes of the target itself: these rows have seen the test,"
            f" and their scores are too high. {seed}"
        )
    shots = ", ".join(map(str, record.shots))
    return (
        f"{budget}, scored by the mean AUROC over {record.episodes} episodes of the validation"
        f" splits of the target's sources (shots: {shots}; query images a class:"
        f" {record.queries})."
        f" No search read its target. {seed}"
    )


def tuning_for_protocol(experiment: Experiment) -> dict[str, Any] | str:
    """The budget, the space and the chosen values, as plain values."""
    record = tuning_record(experiment.tuned)
    if record is None:
        return _NONE
    return {
        "budget": tuning_in_words(experiment),
        "space": as_plain(record.space),
        "chosen": as_plain(experiment.tuned["targets"]),
        "results": as_plain(record.results),
    }


def marked_rows(tuned: Mapping[str, Any]) -> dict[str, str]:
    """Row -> its name with the mark, for the rows that have seen the test."""
    record = tuning_record(tuned)
    if record is None or not record.saw_the_test:
        return {}
    return {row: f"{row}{MARK}" for row in record.space}


def tuning_warnings(tuned: Mapping[str, Any], rows: Sequence[str]) -> list[str]:
    """What a reader must know before the table."""
    record = tuning_record(tuned)
    if record is None:
        return []
    texts = []
    if record.saw_the_test:
        texts.append(
            f"The settings of rows marked{MARK} were chosen on the episodes that the table shows:"
            " their scores are too high, and no fair comparison."
        )
    if names := record.rows_as_they_were(rows):
        texts.append(
            f"Tuned and untuned rows stand side by side: {', '.join(names)} kept the values of the"
            " experiment (see Tuning)."
        )
    return texts
