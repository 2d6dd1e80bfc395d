"""`check_sampler` passes what is right, by whomever it is written, and catches every kind of
sampler that is not.
"""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given

import torchcross as tx
from tests.testing.their_samplers import (
    ASKED,
    TheirSampler,
    TwelveEpisodes,
    plan_of,
    toy_source,
)
from torchcross.data import PlanBatch
from torchcross.errors import InputError
from torchcross.testing import NumberedSource, check_sampler, sources


def test_a_sampler_of_their_own_passes_in_three_lines():
    source = toy_source()
    check_sampler(TheirSampler(source, **ASKED), **ASKED)


@pytest.mark.slow
@given(sources(["multiclass", "ordinal"], each=8, groups=False))
def test_a_sampler_of_their_own_passes_over_generated_sources(source):
    labels = source.labels
    enough = all(
        min((labels == c)[::2].sum(), (labels == c)[1::2].sum()) >= 2
        for c in range(source.task.target.num_classes)
    )
    halves = NumberedSource(source.task, source.task.target.decode(labels[labels >= 0]))
    if enough:
        check_sampler(EvenOdd(halves, 2, 1, 1), 4, ways=2, shots=1, queries=1)


class EvenOdd(TheirSampler):
    """Draws without subjects, from all samples of a class at once."""

    def draw(self, index, generator):
        labels, each = self._source.labels, self.shots + self.queries
        classes = np.sort(
            generator.choice(self._source.task.target.num_classes, self.ways, replace=False)
        )
        drawn = np.stack(
            [generator.permutation(np.flatnonzero(labels == c))[:each] for c in classes]
        )
        return plan_of(
            index,
            self._source.name,
            tuple(classes.tolist()),
            self.shots,
            drawn[:, : self.shots].reshape(-1),
            np.repeat(np.arange(self.ways), self.shots),
            drawn[:, self.shots :].reshape(-1),
            np.repeat(np.arange(self.ways), self.queries),
        )


class PlainPlan:
    """A plan that is no EpisodePlan: the same names, tuples and lists inside."""

    def __init__(self, plan):
        self.source, self.classes = plan.source, list(plan.classes)
        self.support, self.support_labels = (
            plan.support.tolist(),
            tuple(plan.support_labels.tolist()),
        )
        self.query, self.query_labels = (
            plan.query.tolist(),
            torch.tensor(plan.query_labels.tolist()),
        )


class PlainPlans(TheirSampler):
    def __getitem__(self, index):
        return PlainPlan(super().__getitem__(index))


def test_plans_need_only_the_form_of_a_plan():
    check_sampler(PlainPlans(toy_source(), **ASKED), **ASKED)


# -- plans that are right one by one and wrong together --------------------------------------------


class Stateful(TheirSampler):
    """Draws from a generator that moves on."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.shared = np.random.Generator(np.random.Philox(key=1))

    def generator(self, index):
        return self.shared


class OrderDependent(TheirSampler):
    """Mixes in the episode it drew before."""

    last = 0

    def generator(self, index):
        self.last, before = index, self.last
        return np.random.Generator(np.random.Philox(key=[before, index]))


class Remembering(TheirSampler):
    """Pure in one process: counts how many episodes it met, and forgets when it is pickled."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.met = {}

    def generator(self, index):
        return super().generator(self.met.setdefault(index, len(self.met)))

    def __getstate__(self):
        return self.__dict__ | {"met": {}}


class Growing(TheirSampler):
    """What it draws depends on how often it was used, and a pickled copy knows."""

    used = 0

    def generator(self, index):
        self.used += 1
        return super().generator(index if self.used <= 40 else index + 1)


class MovesTorch(TheirSampler):
    def generator(self, index):
        torch.rand(1)
        return super().generator(index)


class MovesNumpy(TheirSampler):
    def generator(self, index):
        np.random.rand()  # noqa: NPY002 - that is what is wrong with it
        return super().generator(index)


class MovesPython(TheirSampler):
    def generator(self, index):
        random.random()
        return super().generator(index)


class ReadsTorchSeed(TheirSampler):
    """As a worker process of a DataLoader would: every worker has another initial seed."""

    def generator(self, index):
        return np.random.Generator(np.random.Philox(key=[torch.initial_seed() % 2**63, index]))


class ReadsPythonState(TheirSampler):
    def generator(self, index):
        return np.random.Generator(np.random.Philox(key=[random.getstate()[1][0], index]))


class OtherBatches(TheirSampler):
    def batch(self, indices):
        return PlanBatch([self[index if index != 5 else 6] for index in indices])


class OtherBatchesInTheMiddle(TheirSampler):
    """Right from episode 0 on, wrong from anywhere else."""

    def batch(self, indices):
        return [self.draw(index, self.generator(place)) for place, index in enumerate(indices)]


class ShortBatches(TheirSampler):
    def batch(self, indices):
        return PlanBatch([self[index] for index in indices][:-1])


class WritableBatches(TheirSampler):
    def batch(self, indices):
        return [replace(self[index], query=self[index].query.copy()) for index in indices]


class Unpicklable(TheirSampler):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.key = lambda index: index


class ForgetsItsSeed(TheirSampler):
    def __getstate__(self):
        return self.__dict__ | {"seed": 5}


class Endless(TheirSampler):
    def __len__(self):
        return 12


def numpy_state():
    return np.random.get_state()[1]  # noqa: NPY002 - the global state, to see that it stays


TOGETHER = {
    Stateful: "episode 10 is not a pure function of its number: drawn again in another order",
    OrderDependent: "drawn again in another order",
    Remembering: "drawn in reverse by a pickled copy made before the first episode",
    Growing: "not a pure function",
    MovesTorch: "moved the global random generator of torch",
    MovesNumpy: "moved the global random generator of numpy",
    MovesPython: "moved the global random generator of random",
    ReadsTorchSeed: "drawn under other states of the global random generators",
    ReadsPythonState: "drawn under other states of the global random generators",
    OtherBatches: r"episode 5 is not a pure function of its number: drawn by batch\(\[0, 1, 2, ",
    OtherBatchesInTheMiddle: (
        r"episode 6 is not a pure function of its number: drawn by batch\(\[6, 7, 8, "
    ),
    ShortBatches: r"batch\(\[0, 1, 2, .*\]\) gave 19 plans for 20 episodes",
    WritableBatches: r"episode 0: \['query'\] are writable in a plan drawn by batch",
    Unpicklable: "the sampler cannot be pickled",
    ForgetsItsSeed: "drawn in reverse by a pickled copy",
    Endless: "a sampler with 12 episodes gave episode 12",
}


@pytest.mark.parametrize("broken", TOGETHER, ids=lambda broken: broken.__name__)
def test_a_sampler_that_is_not_pure_is_caught(broken):
    states = torch.get_rng_state(), numpy_state().copy(), random.getstate()
    with pytest.raises(AssertionError, match=TOGETHER[broken]):
        check_sampler(broken(toy_source(), **ASKED), **ASKED)
    if not broken.__name__.startswith("Moves"):
        assert torch.equal(torch.get_rng_state(), states[0])
        assert (numpy_state() == states[1]).all()
        assert random.getstate() == states[2]


def test_a_sampler_that_cannot_be_made_again_is_caught():
    source = toy_source()
    check_sampler(
        TheirSampler(source, **ASKED), remake=lambda: TheirSampler(source, **ASKED), **ASKED
    )
    with pytest.raises(AssertionError, match="by a sampler made anew"):
        check_sampler(
            TheirSampler(source, **ASKED),
            remake=lambda: TheirSampler(source, **ASKED, seed=1),
            **ASKED,
        )


class Finite(TwelveEpisodes, TheirSampler):
    pass


def test_a_finite_sampler_is_checked_to_its_end():
    check_sampler(Finite(toy_source(), **ASKED), **ASKED)
    with pytest.raises(
        AssertionError, match=r"episode \d+ of source 'toy': sample \d+ stood in episode \d+"
    ):
        check_sampler(Finite(toy_source(), **ASKED), disjoint=True, **ASKED)
    with pytest.raises(AssertionError, match="finite"):
        check_sampler(TheirSampler(toy_source(), **ASKED), disjoint=True, **ASKED)
    with pytest.raises(InputError, match="start=12"):
        check_sampler(Finite(toy_source(), **ASKED), start=12, **ASKED)


# -- what was asked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"shots": 3}, "shots per class are .* asked was 3"),
        ({"shots": (3, 5)}, "asked was one number from 3 to 5"),
        ({"queries": 5}, "queries per class"),
        ({"ways": (4, None)}, "the plan has 3 ways, asked were 4 to 5"),
        ({"ways": None}, "the plan has 3 ways, asked were 5"),
        ({"query": "natural", "queries": 5}, "query holds 12 samples, asked were 15"),
        (
            {"shots": tx.MetaDatasetShots(max_support=5)},
            "support holds 6 samples, asked were at most 5",
        ),
        (
            {"shots": tx.MetaDatasetShots(), "queries": 3},
            "queries per class are .* one number of at most 3",
        ),
        ({"min_samples": 41}, "should be left out"),
    ],
)
def test_keywords_say_what_was_asked(asked, message):
    sampler = tx.EpisodeSampler(toy_source(), **ASKED)
    with pytest.raises(AssertionError, match=message):
        check_sampler(sampler, **asked)


def test_groups_ignored_on_purpose_are_not_checked():
    with pytest.warns(tx.errors.SubjectLeakWarning):
        sampler = tx.EpisodeSampler(toy_source(), **ASKED, groups="ignore")
    check_sampler(sampler)
    with pytest.raises(AssertionError, match="stand in both support and query"):
        check_sampler(sampler, groups="respect")


def test_nothing_known_of_what_was_asked_is_an_input_error():
    with pytest.raises(
        InputError,
        match=r"request of TheirSampler, which has no `request`; give ways=, shots=, queries=",
    ):
        check_sampler(TheirSampler(toy_source(), **ASKED))
    with pytest.raises(InputError, match="give queries="):
        check_sampler(TheirSampler(toy_source(), **ASKED), ways=3, shots=2)
    with pytest.raises(InputError, match="check_sampler got"):
        check_sampler(TheirSampler(toy_source(), **ASKED), **ASKED, shot=1)
    with pytest.raises(InputError, match="episodes=0"):
        check_sampler(TheirSampler(toy_source(), **ASKED), 0, **ASKED)
