"""`check_sampler` passes what is right, by whomever it is written, and catches every kind of sampler that is not."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given

import torchcross as tx
from torchcross.data import EpisodePlan, PlanBatch
from torchcross.errors import InputError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.testing import NumberedSource, check_sampler, sources

ASKED = {"ways": 3, "shots": 2, "queries": 4}


def toy_source(groups=True):
    """Forty samples a class and a few unlabelled ones; three classes of five, twenty subjects."""
    labels = np.concatenate([np.arange(200) % 5, np.full(8, -1)])
    task = tx.Task("toy", MultiClass(list("abcde"), missing=-1))
    return NumberedSource(task, labels, groups=np.arange(208) // 8 if groups else None)


class TheirSampler:
    """Somebody's own sampler, which owes the library nothing but the form of a plan."""

    def __init__(self, source, ways, shots, queries, seed=0):
        self._source = source
        self.ways, self.shots, self.queries, self.seed = ways, shots, queries, seed

    def source(self, name):
        assert name == self._source.name
        return self._source

    def generator(self, index):
        return np.random.Generator(np.random.Philox(key=[self.seed, index]))

    def __getitem__(self, index):
        return self.draw(index, self.generator(index))

    def draw(self, index, generator):
        labels, groups = self._source.labels, self._source.groups
        classes = np.sort(generator.choice(self._source.task.target.num_classes, self.ways, replace=False))
        owners = np.arange(len(labels)) if groups is None else groups
        to_query = generator.permutation(owners.max() + 1)[owners] % 2 == 0
        support = [generator.permutation(np.flatnonzero((labels == c) & ~to_query))[: self.shots] for c in classes]
        query = [generator.permutation(np.flatnonzero((labels == c) & to_query))[: self.queries] for c in classes]
        arrays = [
            np.concatenate(support),
            np.repeat(np.arange(self.ways), self.shots),
            np.concatenate(query),
            np.repeat(np.arange(self.ways), self.queries),
        ]
        return plan_of(index, self._source.name, tuple(classes.tolist()), self.shots, *arrays)


def plan_of(index, source, classes, shots, *arrays):
    frozen = [np.array(array, dtype=np.int64) for array in arrays]
    for array in frozen:
        array.flags.writeable = False
    return EpisodePlan(index, source, classes, shots, *frozen)


def test_a_sampler_of_their_own_passes_in_three_lines():
    source = toy_source()
    check_sampler(TheirSampler(source, **ASKED), **ASKED)


@given(sources(["multiclass", "ordinal"], each=8, groups=False))
def test_a_sampler_of_their_own_passes_over_generated_sources(source):
    labels = source.labels
    enough = all(
        min((labels == c)[::2].sum(), (labels == c)[1::2].sum()) >= 2 for c in range(source.task.target.num_classes)
    )
    halves = NumberedSource(source.task, source.task.target.decode(labels[labels >= 0]))
    if enough:
        check_sampler(EvenOdd(halves, 2, 1, 1), 4, ways=2, shots=1, queries=1)


class EvenOdd(TheirSampler):
    """Draws without subjects, from all samples of a class at once."""

    def draw(self, index, generator):
        labels, each = self._source.labels, self.shots + self.queries
        classes = np.sort(generator.choice(self._source.task.target.num_classes, self.ways, replace=False))
        drawn = np.stack([generator.permutation(np.flatnonzero(labels == c))[:each] for c in classes])
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
        self.support, self.support_labels = plan.support.tolist(), tuple(plan.support_labels.tolist())
        self.query, self.query_labels = plan.query.tolist(), torch.tensor(plan.query_labels.tolist())


class PlainPlans(TheirSampler):
    def __getitem__(self, index):
        return PlainPlan(super().__getitem__(index))


def test_plans_need_only_the_form_of_a_plan():
    check_sampler(PlainPlans(toy_source(), **ASKED), **ASKED)


# -- plans that are wrong in themselves ---------------------------------------------------------------------------


class Spoiled:
    """The library's own sampler with every plan changed."""

    def __init__(self, sampler, change):
        self.sampler, self.change = sampler, change
        self.request = sampler.request

    def source(self, name):
        return self.sampler.source(name)

    def __getitem__(self, index):
        return self.change(self.sampler[index], self.sampler.source("toy"))


def changed(plan, **arrays):
    frozen = {name: np.array(array, dtype=np.int64) for name, array in arrays.items()}
    for array in frozen.values():
        array.flags.writeable = False
    return replace(plan, **frozen)


def one_shot_short(plan, source):
    return changed(plan, support=plan.support[:-1], support_labels=plan.support_labels[:-1])


def one_shot_more(plan, source):
    spare = next(
        s
        for s in np.flatnonzero(source.labels == plan.classes[0]).tolist()
        if source.groups[s] not in source.groups[np.concatenate([plan.query, plan.support])]
    )
    return changed(plan, support=[*plan.support, spare], support_labels=[*plan.support_labels, 0])


def says_other_shots(plan, source):
    return replace(plan, shots=plan.shots + 1)


def one_query_short(plan, source):
    return changed(plan, query=plan.query[1:], query_labels=plan.query_labels[1:])


def leaking_query(plan, source):
    query = plan.query.copy()
    query[0] = plan.support[0]
    return changed(plan, query=query)


def leaking_subject(plan, source):
    """Swaps a query sample for another of its class, of a subject in the support."""
    subjects = source.groups[plan.support]
    taken = {*plan.support.tolist(), *plan.query.tolist()}
    for place, label in enumerate(plan.query_labels.tolist()):
        for sample in np.flatnonzero(source.labels == plan.classes[label]).tolist():
            if source.groups[sample] in subjects and sample not in taken:
                query = plan.query.copy()
                query[place] = sample
                return changed(plan, query=query)
    raise AssertionError("the toy source has a subject with several classes")


def repeated_sample(plan, source):
    support = plan.support.copy()
    support[1] = support[0]
    return changed(plan, support=support)


def wrong_labels(plan, source):
    return changed(plan, support_labels=np.roll(plan.support_labels, 1))


def wrong_query_labels(plan, source):
    return changed(plan, query_labels=plan.query_labels[::-1])


def labels_of_the_source(plan, source):
    return changed(plan, support_labels=np.array(plan.classes)[plan.support_labels])


def unlabelled_sample(plan, source):
    support, labels = plan.support.copy(), plan.support_labels.copy()
    support[0], labels[0] = 207, -1
    return changed(plan, support=support, support_labels=labels)


def sample_of_another_class(plan, source):
    other = next(c for c in range(5) if c not in plan.classes)
    support, labels = plan.support.copy(), plan.support_labels.copy()
    support[0] = np.setdiff1d(np.flatnonzero(source.labels == other), plan.query)[0]
    labels[0] = -1
    return changed(plan, support=support, support_labels=labels)


def descending_classes(plan, source):
    return replace(plan, classes=plan.classes[::-1])


def a_class_too_many(plan, source):
    return replace(plan, classes=tuple(range(5)))


def a_class_from_nowhere(plan, source):
    return replace(plan, classes=(*plan.classes[:2], 9))


def a_sample_from_nowhere(plan, source):
    support = plan.support.copy()
    support[0] = 208
    return changed(plan, support=support)


def another_number(plan, source):
    return replace(plan, index=plan.index + 1)


def writable_arrays(plan, source):
    return replace(plan, query=plan.query.copy())


def float_arrays(plan, source):
    support = plan.support.astype(np.float64)
    support.flags.writeable = False
    return replace(plan, support=support)


def labels_of_another_length(plan, source):
    return changed(plan, support_labels=plan.support_labels[:-1])


def no_query(plan, source):
    return changed(plan, query=[], query_labels=[])


class Bare:
    def __init__(self, plan):
        self.source, self.classes, self.support = plan.source, plan.classes, plan.support


def a_part_of_a_plan(plan, source):
    return Bare(plan)


def nothing(plan, source):
    return None


SPOILED = {
    one_shot_short: r"shots per class are \[2, 2, 1\], asked was 2",
    one_shot_more: r"shots per class are \[3, 2, 2\], asked was 2",
    says_other_shots: "says 3 shots and has 2",
    one_query_short: r"queries per class are \[3, 4, 4\], asked were 4",
    no_query: r"queries per class are \[0, 0, 0\], asked were 4",
    leaking_query: "support and query share the samples",
    leaking_subject: "subjects .* stand in both support and query",
    repeated_sample: "support holds the samples .* more than once",
    wrong_labels: r"support labels sample \d+ as 2, the source as 0",
    wrong_query_labels: r"query labels sample \d+ as 2, the source as 0",
    labels_of_the_source: r"support labels sample \d+ as \d, the source as \d",
    unlabelled_sample: r"support holds samples without a label.*\[207\]",
    sample_of_another_class: "support holds samples without a label, or of classes outside",
    descending_classes: "not ascending",
    a_class_too_many: "the plan has 5 ways, asked were 3",
    a_class_from_nowhere: r"classes \[9\] are no positions",
    a_sample_from_nowhere: r"support holds \[208\], the source has samples 0..207",
    another_number: "the plan says that it is episode 1",
    writable_arrays: "query is writable",
    float_arrays: "support holds float64, not integers",
    labels_of_another_length: "expected one label per sample",
    a_part_of_a_plan: "the plan has no `query`",
    nothing: "the plan has no `source`",
}


@pytest.mark.parametrize("change", SPOILED, ids=lambda change: change.__name__)
def test_a_spoiled_plan_is_caught(change):
    sampler = tx.EpisodeSampler(toy_source(), **ASKED)
    check_sampler(sampler)
    with pytest.raises(AssertionError, match=rf"episode \d+\b.*{SPOILED[change]}"):
        check_sampler(Spoiled(sampler, change))


class SpoiledLate(Spoiled):
    def __getitem__(self, index):
        return super().__getitem__(index) if index == 13 else self.sampler[index]


def test_the_message_names_the_episode_and_its_source():
    sampler = SpoiledLate(tx.EpisodeSampler(toy_source(), **ASKED), leaking_query)
    check_sampler(sampler, 13)
    with pytest.raises(AssertionError, match="episode 13 of source 'toy': support and query share"):
        check_sampler(sampler)
    with pytest.raises(AssertionError, match="episode 13 of source 'toy'"):
        check_sampler(sampler, 1, start=13)


# -- several labels per sample ------------------------------------------------------------------------------------


def multilabel_source():
    answers = np.array([[int(digit) for digit in f"{n % 8:03b}"] for n in range(80)])
    return NumberedSource(tx.Task("toy", MultiLabel(["x", "y", "z"])), answers)


def not_minimal(plan, source):
    spare = np.setdiff1d(np.arange(len(source)), np.concatenate([plan.support, plan.query]))[:1]
    return relabelled(plan, source, np.concatenate([plan.support, spare]))


def not_covered(plan, source):
    return relabelled(plan, source, plan.support[1:])


def relabelled(plan, source, support):
    return changed(plan, support=support, support_labels=source.labels[support][:, plan.classes])


def query_not_covered(plan, source):
    keep = source.labels[plan.query][:, plan.classes[0]] == 1
    return changed(plan, query=plan.query[keep], query_labels=plan.query_labels[keep])


def one_flipped_answer(plan, source):
    labels = plan.support_labels.copy()
    labels[1, 0] = 1 - labels[1, 0]
    return changed(plan, support_labels=labels)


def two_more_shots(plan, source):
    return replace(plan, shots=plan.shots + 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (not_minimal, r"support is not minimal: \[.*\] can each be left out"),
        (not_covered, r"support has 1 samples with(out)? '[xyz]', 2 with and 2 without are needed"),
        (query_not_covered, r"query has 0 samples without '[xyz]', 3 with and 3 without are needed"),
        (one_flipped_answer, r"support labels sample \d+ as \["),
        (two_more_shots, "the plan has 4 shots, asked was 2"),
    ],
)
def test_a_spoiled_multilabel_plan_is_caught(change, message):
    sampler = tx.EpisodeSampler(multilabel_source(), ways=2, shots=2, queries=3)
    check_sampler(sampler)
    with pytest.raises(AssertionError, match=f"episode 0 .*{message}"):
        check_sampler(Spoiled(sampler, change))


def test_a_union_is_fine_unless_minimal_is_asked_for():
    sampler = tx.EpisodeSampler(multilabel_source(), shots=2, queries=3, minimal=False)
    check_sampler(sampler)
    with pytest.raises(AssertionError, match="not minimal"):
        check_sampler(sampler, minimal=True)


# -- plans that are right one by one and wrong together -----------------------------------------------------------


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
    OtherBatchesInTheMiddle: r"episode 6 is not a pure function of its number: drawn by batch\(\[6, 7, 8, ",
    ShortBatches: r"batch\(\[0, 1, 2, .*\]\) gave 19 plans for 20 episodes",
    WritableBatches: r"episode 0: \['query'\] are writable in a plan drawn by batch",
    Unpicklable: "the sampler cannot be pickled",
    ForgetsItsSeed: "drawn in reverse by a pickled copy",
    Endless: "episode 12 of a sampler with 12 episodes was handed out",
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
    check_sampler(TheirSampler(source, **ASKED), remake=lambda: TheirSampler(source, **ASKED), **ASKED)
    with pytest.raises(AssertionError, match="by a sampler made anew"):
        check_sampler(TheirSampler(source, **ASKED), remake=lambda: TheirSampler(source, **ASKED, seed=1), **ASKED)


class Finite(TheirSampler):
    def __len__(self):
        return 12

    def __getitem__(self, index):
        if not 0 <= index < 12:
            raise IndexError(index)
        return super().__getitem__(index)


def test_a_finite_sampler_is_checked_to_its_end():
    check_sampler(Finite(toy_source(), **ASKED), **ASKED)
    with pytest.raises(AssertionError, match=r"episode \d+ of source 'toy': sample \d+ stood in episode \d+"):
        check_sampler(Finite(toy_source(), **ASKED), disjoint=True, **ASKED)
    with pytest.raises(AssertionError, match="finite"):
        check_sampler(TheirSampler(toy_source(), **ASKED), disjoint=True, **ASKED)
    with pytest.raises(InputError, match="start=12"):
        check_sampler(Finite(toy_source(), **ASKED), start=12, **ASKED)


# -- what was asked -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"shots": 3}, "shots per class are .* asked was 3"),
        ({"shots": (3, 5)}, "asked was one number from 3 to 5"),
        ({"queries": 5}, "queries per class"),
        ({"ways": (4, None)}, "the plan has 3 ways, asked were 4 to 5"),
        ({"ways": None}, "the plan has 3 ways, asked were 5"),
        ({"query": "natural", "queries": 5}, "query holds 12 samples, asked were 15"),
        ({"shots": tx.MetaDatasetShots(max_support=5)}, "support holds 6 samples, asked were at most 5"),
        ({"shots": tx.MetaDatasetShots(), "queries": 3}, "queries per class are .* one number of at most 3"),
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
        InputError, match=r"TheirSampler was asked for: it has no `request`.*give ways=, shots=, queries="
    ):
        check_sampler(TheirSampler(toy_source(), **ASKED))
    with pytest.raises(InputError, match="give queries="):
        check_sampler(TheirSampler(toy_source(), **ASKED), ways=3, shots=2)
    with pytest.raises(InputError, match="check_sampler got"):
        check_sampler(TheirSampler(toy_source(), **ASKED), **ASKED, shot=1)
    with pytest.raises(InputError, match="episodes=0"):
        check_sampler(TheirSampler(toy_source(), **ASKED), 0, **ASKED)
