"""The trials of every row: a pure function of the experiment, the same ones for every target."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from torchcross._kit.randomness import Stream
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.experiment.rows.methods import METHODS, rows_of_experiment
from torchcross.experiment.rows.row_reads import reads_setting
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.row_names import algorithm_of
from torchcross.experiment.settings.row_settings import (
    check_name,
    experiment_with,
    makes_numbers,
    row_values,
)
from torchcross.experiment.settings.schema import Experiment
from torchcross.experiment.settings.tune_settings import RANDOM_TRIALS
from torchcross.experiment.tuning.space import Choice, Range, Space, Values, choice_of, size_of

_EXAMPLE = '[tune.space] with evaluation.lr = { from = 1e-4, to = 1e-1, scale = "log" }'
_MOST_ATTEMPTS = 10_000
_LARGEST_GRID = 100_000

Trial = Mapping[str, Any]
"""Settings by their dotted names."""


@dataclass(frozen=True)
class RowSearch:
    """What one row tries."""

    row: str
    space: Space
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class TuningPlan:
    """What all rows try, the same number of trials each.

    untuned  the rows that read no setting of the space: they keep the values of the experiment
    """

    searches: tuple[RowSearch, ...]
    untuned: tuple[str, ...]

    @property
    def trials(self) -> int:
        return len(self.searches[0].trials)

    def search_of(self, row: str) -> RowSearch:
        (search,) = (each for each in self.searches if each.row == row)
        return search


def tuning_plan(experiment: Experiment) -> TuningPlan:
    """The trials of every row. What cannot be searched is refused here, before anything runs."""
    if experiment.tuned:
        raise InputError("the experiment has chosen values already; tune one without them")
    spaces = spaces_of(experiment)
    searched = {row: space for row, space in spaces.items() if space}
    searches = [
        RowSearch(row, space, trials)
        for (row, space), trials in zip(
            searched.items(), _trials_of_rows(experiment, searched), strict=True
        )
    ]
    for search in searches:
        _check_trials(experiment, search)
    return TuningPlan(tuple(searches), tuple(row for row in spaces if row not in searched))


# -- spaces ----------------------------------------------------------------------------------------


def spaces_of(experiment: Experiment) -> dict[str, Space]:
    """The space of every row: what it reads of the common one, and its own."""
    tune = experiment.tune
    common, rows = _space_of(tune.space, "tune.space"), rows_of_experiment(experiment)
    own_spaces: dict[str, dict[str, Choice]] = {}
    for row, choices in tune.rows.items():
        if row not in (*rows, *experiment.algorithms):
            raise InputError(f"tune.rows.{row}: {unknown_name('row of this table', row, rows)}")
        own_spaces[row] = _space_of(choices, f"tune.rows.{row}")
        for name in own_spaces[row]:
            if not reads_setting(METHODS[row], name, experiment):
                raise InputError(
                    f"tune.rows.{row}.{name} has no effect on {row}, which does not read it; leave"
                    " it out"
                )
    readers = {
        name: [row for row in rows if reads_setting(METHODS[row], name, experiment)]
        for name in common
    }
    for name, reading in readers.items():
        if not reading:
            raise InputError(f"tune.space.{name} has no effect on any row; leave it out")
    spaces: dict[str, Space] = {}
    for row in rows:
        shared = {name: choice for name, choice in common.items() if row in readers[name]}
        of_algorithm = own_spaces.get(algorithm_of(row), {})
        spaces[row] = {**shared, **of_algorithm, **own_spaces.get(row, {})}
    if not any(spaces.values()):
        raise InputError(f"there is nothing to search; give a space, such as {_EXAMPLE}")
    return spaces


def _space_of(choices: object, place: str) -> dict[str, Choice]:
    if not isinstance(choices, Mapping):
        raise InputError(f"{place} is {choices!r}; give a table, such as {_EXAMPLE}")
    space: dict[str, Choice] = {}
    for name, values in choices.items():
        check_name(name, place)
        _refuse_ineffective(name, place)
        space[name] = choice_of(name, values, f"{place}.{name}")
    return space


def _refuse_ineffective(name: str, place: str) -> None:
    if not makes_numbers(name):
        raise InputError(f"{place}.{name}: another value makes no other numbers; leave it out")


# -- trials ----------------------------------------------------------------------------------------


def _trials_of_rows(experiment: Experiment, spaces: Mapping[str, Space]) -> list[tuple[Trial, ...]]:
    tune = experiment.tune
    sizes = {row: size_of(space) for row, space in spaces.items()}
    if tune.search == "random":
        count = tune.trials or RANDOM_TRIALS
        for row, size in sizes.items():
            if size < count:
                raise InputError(
                    f"tune.trials={count}, and the space of {row} has {size:g} different trials;"
                    f" give tune.trials={min(sizes.values()):g} or fewer, or a larger space"
                )
        return [_random_trials(space, count, tune.seed, row) for row, space in spaces.items()]
    for row, space in spaces.items():
        for name, choice in space.items():
            if isinstance(choice, Range):
                raise InputError(
                    f"{name} of {row} is a range, and a grid has values; give the range points ="
                    " 5, or a list"
                )
    _refuse_unequal_grids(sizes, tune.trials)
    return [tuple(_grid(space)) for space in spaces.values()]


def _refuse_unequal_grids(sizes: Mapping[str, float], trials: int) -> None:
    listed = ", ".join(f"{row}: {size:g}" for row, size in sizes.items())
    if len(set(sizes.values())) > 1:
        raise InputError(
            f"the grids of the rows differ in size ({listed}), and every row gets the same number"
            f" of trials; make them equal, or give search = 'random' with tune.trials ="
            f" {min(sizes.values()):g}"
        )
    (size,) = set(sizes.values())
    if trials and trials != size:
        raise InputError(
            f"tune.trials={trials}, and a grid search tries all {size:g} combinations of its"
            " values; leave trials out, change the lists, or give search = 'random'"
        )
    if size > _LARGEST_GRID:
        raise InputError(f"the grid has {size:g} combinations; give search = 'random'")


def _grid(space: Space) -> Iterator[Trial]:
    """Every combination; the values of the last name change fastest."""
    names = sorted(space)
    lists = [choice.values for name in names if isinstance(choice := space[name], Values)]
    for combination in itertools.product(*lists):
        yield dict(zip(names, combination, strict=True))


def _random_trials(space: Space, count: int, seed: int, row: str) -> tuple[Trial, ...]:
    """Different trials. Rows of equal spaces get equal trials: the row is no part of the draw."""
    streams = {name: Stream(seed, "tune", name) for name in sorted(space)}
    trials: list[Trial] = []
    for attempt in range(_MOST_ATTEMPTS + count):
        trial = {
            name: space[name].draw(stream.words(len(trials), attempt))
            for name, stream in streams.items()
        }
        if trial not in trials:
            trials.append(trial)
        if len(trials) == count:
            return tuple(trials)
    raise InputError(
        f"the space of {row} gave {len(trials)} different trials in {_MOST_ATTEMPTS} draws, and"
        f" tune.trials={count}; give fewer trials, or a larger space"
    )


def _check_trials(experiment: Experiment, search: RowSearch) -> None:
    """Refuse values that contradict each other, or the experiment."""
    for number, trial in enumerate(search.trials, start=1):
        try:
            experiment_of_trial(experiment, search.row, trial)
        except InputError as error:
            raise InputError(
                f"trial {number} of {search.row}, {json.dumps(as_plain(trial))}: {error}"
            ) from error


def experiment_of_trial(experiment: Experiment, row: str, trial: Trial) -> Experiment:
    """The experiment as a row has it in a trial."""
    return experiment_with(experiment, values_of_trial(experiment, row, trial), row)


def values_of_trial(experiment: Experiment, row: str, trial: Trial) -> dict[str, Any]:
    """The settings that a row has of its own in a trial: by hand, and what the trial tries."""
    return {**row_values(experiment, row), **trial}
