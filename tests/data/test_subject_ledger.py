"""What a plan costs with subjects follows their number, not how many samples they own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from torchcross._kit.randomness import Stream, Words, permutation
from torchcross.data import LabelSource
from torchcross.data.sampling.class_index import ClassIndex
from torchcross.data.sampling.subject_ledger import SubjectLedger
from torchcross.targets import MultiClass, MultiLabel
from torchcross.targets.strata import Partition
from torchcross.testing import check_sampler

SAMPLES = 40_000


@given(st.integers(1, 80), st.integers(1, 4), st.integers(1, 9), st.integers(0, 999), st.booleans())
def test_runs_and_pools_hold_what_subjects_own(samples, classes, subjects, seed, some_used):
    words = Stream(seed, "test")
    codes = permutation(words, 0, samples) % (classes + 1) - 1
    groups = np.unique(permutation(words, 1, samples) % subjects, return_inverse=True)[1]
    used = permutation(words, 2, samples) % 3 == 0 if some_used else None
    ledger = SubjectLedger(ClassIndex.of_partition(Partition(codes, classes)), groups)
    allowed = permutation(words, 3, ledger.count) % 2 == 0
    free = np.ones(samples, dtype=bool) if used is None else ~used
    for c, counted in enumerate(ledger.count_samples(range(classes), used).T):
        assert (
            counted.tolist()
            == np.bincount(groups[(codes == c) & free], minlength=ledger.count).tolist()
        )
    pool = ledger.pool(range(classes), allowed, used)
    expected = np.flatnonzero((codes >= 0) & allowed[groups] & free)
    assert pool.size == len(expected)
    assert pool.draw(words.words(0), pool.size + 1) is None
    drawn, which = pool.draw(words.words(0), pool.size)
    assert sorted(drawn.tolist()) == expected.tolist()
    assert (codes[drawn] == which).all()


def sources(target_type, subjects):
    words = Stream(0, "test")
    if target_type is MultiLabel:
        labels = np.stack([permutation(words, c, SAMPLES) % 8 == 0 for c in range(4)], axis=1)
    else:
        labels = permutation(words, 0, SAMPLES) % 4
    task = tx.Task("toy", target_type(list("abcd")))
    return LabelSource(labels, task, groups=subjects(permutation(words, 9, SAMPLES)))


def test_number_of_words_taken_does_not_follow_the_number_of_samples(monkeypatch):
    """Every look at a sample by chance takes a word."""
    taken = [0]
    bulk = Words.bulk

    def counted(self, count):
        taken[0] += count
        return bulk(self, count)

    monkeypatch.setattr(Words, "bulk", counted)
    for target_type in (MultiClass, MultiLabel):
        for subjects in (
            lambda place: place % 12,
            lambda place: np.where(place < 200, place % 7, 7),
        ):
            for query in ("balanced", "natural"):
                source = sources(target_type, subjects)
                sampler = tx.EpisodeSampler(source, shots=5, queries=10, query=query)
                taken[0] = 0
                for number in range(5):
                    sampler[number]
                assert taken[0] / 5 < SAMPLES / 8


@pytest.mark.parametrize("query", ["balanced", "natural"])
@pytest.mark.parametrize("target_type", [MultiClass, MultiLabel])
def test_one_subject_that_owns_nearly_all_is_no_obstacle(target_type, query):
    source = sources(target_type, lambda place: np.where(place < 400, place % 7, 7))
    check_sampler(tx.EpisodeSampler(source, shots=5, queries=10, query=query), 5)


def test_subjects_that_are_left_give_all_their_samples_alike():
    """Two subjects: one is the support's, all samples of the other are as likely."""
    labels, groups = np.arange(120) % 2, np.arange(120) // 60
    source = LabelSource(labels, tx.Task("toy", MultiClass(["a", "b"])), groups=groups)
    plans = tx.EpisodeSampler(source, shots=3, queries=5, query="natural").batch(range(400))
    times = np.bincount(np.concatenate([plan.query for plan in plans]), minlength=120)
    assert times.min() > times.mean() / 2
    assert times.max() < times.mean() * 2
