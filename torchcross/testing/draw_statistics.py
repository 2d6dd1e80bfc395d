"""What a single plan cannot show: whether the episodes together are what chance makes of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from torchcross.data import MetaDatasetShots, Request
from torchcross.targets import Partition
from torchcross.testing.chance import ComparedTally, Tally, implausible
from torchcross.testing.reference_draws import (
    DrawSetting,
    compared_pairs,
    compared_tallies,
    finite_tallies,
)
from torchcross.testing.uniform_draws import (
    DrawnPlans,
    overlap_tallies,
    pair_tallies,
    uniform_tallies,
)

Usable = Callable[[str], tuple[int, ...]]
_Tallies = Iterator[Tally | ComparedTally]


def doubts_about_draws(
    sampler: Any, request: Request, usable: Usable, plans: Sequence[Any], *, finite: bool
) -> list[str]:
    """One sentence for everything that hardly ever comes of a correct sampler.

    finite: the episodes may depend on each other, as those that share no sample do.
    """
    tallies: list[Tally | ComparedTally] = []
    for name, plans_of_source in _by_source(plans).items():
        setting = DrawSetting(sampler.source(name), request, usable(name))
        if finite:
            tallies += _finite_tallies(setting, plans_of_source)
        else:
            tallies += _tallies_of_source(setting, plans_of_source)
    return implausible(tallies)


def doubts_about_seeds(
    samplers: Sequence[Any], request: Request, usable: Usable, numbers: Sequence[int]
) -> list[str]:
    """One sentence for every dependence of two samplers with consecutive seeds on each other."""
    tallies: list[Tally | ComparedTally] = []
    for shift, before in (
        (0, "the same episode under another seed"),
        (1, "the next episode under the seed before"),
    ):
        befores = _by_source([samplers[0][number + shift] for number in numbers])
        afters = _by_source([samplers[1][number] for number in numbers])
        for name in befores.keys() & afters.keys():
            setting = DrawSetting(samplers[0].source(name), request, usable(name))
            tallies += _pairs(setting, befores[name], afters[name], before)
    return implausible(tallies)


def _by_source(plans: Sequence[Any]) -> dict[str, list[Any]]:
    plans_by_source: defaultdict[str, list[Any]] = defaultdict(list)
    for plan in plans:
        plans_by_source[plan.source].append(plan)
    return plans_by_source


def _tallies_of_source(setting: DrawSetting, plans: Sequence[Any]) -> _Tallies:
    draws = _uniform_draws(setting, plans)
    if draws is not None:
        yield from uniform_tallies(draws)
    if draws is None or isinstance(setting.request.shots, MetaDatasetShots):
        yield from compared_tallies(setting, plans)


def _finite_tallies(setting: DrawSetting, plans: Sequence[Any]) -> _Tallies:
    """Episodes that may share no sample, or few, must not share most of them."""
    draws = _uniform_draws(setting, plans)
    if draws is not None:
        yield from overlap_tallies(draws, plans[::2], plans[1::2], "the episode before", True)
    else:
        yield from finite_tallies(setting, plans)


def _pairs(
    setting: DrawSetting, befores: Sequence[Any], afters: Sequence[Any], before: str
) -> _Tallies:
    draws = _uniform_draws(setting, afters)
    if draws is not None:
        yield from pair_tallies(draws, befores, afters, before)
    else:
        yield from compared_pairs(setting, befores, afters, before)


def _uniform_draws(setting: DrawSetting, plans: Sequence[Any]) -> DrawnPlans | None:
    """The draws where they must be uniform: exclusive classes, each with a number of its own, and
    no subject to respect.
    """
    target = setting.source.task.target
    strata = target.strata(setting.source.labels)
    groups = getattr(setting.source, "groups", None)
    if not isinstance(strata, Partition) or setting.request.support == "natural":
        return None
    if groups is not None and setting.request.groups == "respect":
        return None
    return DrawnPlans.of(plans, setting.request, target, setting.usable, strata)
