"""`check_sampler` catches every kind of plan that is wrong in itself, and names its episode."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import torchcross as tx
from tests.testing.their_samplers import ASKED, toy_source
from torchcross.targets import MultiLabel
from torchcross.testing import NumberedSource, check_sampler


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
    check_sampler(sampler, 13, start=14)
    with pytest.raises(AssertionError, match="episode 13 of source 'toy': support and query share"):
        check_sampler(sampler)
    with pytest.raises(AssertionError, match="episode 13 of source 'toy'"):
        check_sampler(sampler, 1, start=13)


# -- several labels per sample ---------------------------------------------------------------------


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
        (
            query_not_covered,
            r"query has 0 samples without '[xyz]', 3 with and 3 without are needed",
        ),
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
