"""Natural supports: so many images as they come, whatever their classes."""

from __future__ import annotations

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from tests.data.chance import UNLIKELY, chi_square
from tests.data.sampler_kinds import multiclass_source, multilabel_source
from torchcross._kit.arrays import read_only
from torchcross.data import LabelSource, MetaDatasetShots, load_plans, save_plans
from torchcross.errors import InfeasibleError, InputError, PlanFileError
from torchcross.targets import Binary, MultiLabel
from torchcross.testing import NumberedSource, check_sampler, samplers, sources

KINDS = ["binary", "multiclass", "ordinal", "multilabel"]
RARE = (60, 30, 8, 2)


def natural(source=None, **asked):
    asked = {"shots": 2, "queries": 2, "query": "natural"} | asked
    source = multiclass_source(RARE) if source is None else source
    return tx.EpisodeSampler(source, support="natural", **asked)


# -- what is drawn ---------------------------------------------------------------------------------


@pytest.mark.slow
@given(st.data(), st.integers(0, 10**6))
def test_natural_supports_keep_every_contract(data, start):
    source = data.draw(sources(KINDS, each=5))
    sampler = data.draw(samplers(source, support="natural", shots=data.draw(st.integers(1, 2))))
    try:
        check_sampler(sampler, 5, start=start)
    except InfeasibleError:
        # Counting decides for exclusive classes without subjects; else an episode may fail.
        if source.groups is None and source.labels.ndim == 1:
            raise


@pytest.mark.parametrize("query", ["balanced", "natural"])
@pytest.mark.parametrize("minimal", [True, False])
def test_a_support_has_shots_times_ways_images_of_any_target(query, minimal):
    for source in (multiclass_source(RARE), multilabel_source(), multiclass_source((50, 9))):
        sampler = natural(source, query=query, minimal=minimal, shots=(1, 3))
        for plan in sampler.batch(range(30)):
            assert len(plan.support) == plan.shots * plan.ways


def test_the_support_of_exclusive_classes_is_a_simple_random_sample():
    """The number of images of the rare class is hypergeometric, and all its images are alike."""
    source = multiclass_source((30, 10))
    plans = natural(source, shots=3, query="balanced", queries=2).batch(range(4000))
    counts = np.array([int((plan.support_labels == 1).sum()) for plan in plans])
    expected = [comb(10, k) * comb(30, 6 - k) for k in range(5)]
    shown = np.bincount(counts, minlength=7)
    assert chi_square(shown[:5], expected) > UNLIKELY
    drawn = np.bincount(np.concatenate([plan.support for plan in plans]), minlength=40)
    assert chi_square(drawn) > UNLIKELY


def test_the_support_of_labels_is_a_simple_random_sample():
    source = multilabel_source(samples=48)
    plans = natural(source, query="balanced", queries=1).batch(range(3000))
    drawn = np.bincount(np.concatenate([plan.support for plan in plans]), minlength=48)
    assert chi_square(drawn) > UNLIKELY


def test_a_support_does_not_look_at_the_query_where_there_is_enough():
    """The same support, whether the query is balanced or natural: words are read in that order."""
    source = multiclass_source((300, 200, 100))
    for number in range(20):
        balanced, as_it_comes = (
            natural(source, query=query).request for query in ("balanced", "natural")
        )
        assert balanced != as_it_comes
        plan = natural(source, query="balanced")[number]
        assert (np.bincount(plan.query_labels) == 2).all()


def test_tight_data_gives_episodes_all_the_same():
    """Counting allows one way only: what is left for the query is what it needs."""
    sampler = natural(multiclass_source([7] * 5), shots=4, query="balanced", queries=3)
    for plan in sampler.batch(range(30)):
        assert np.bincount(plan.support_labels).tolist() == [4] * 5
    with pytest.raises(InfeasibleError, match=r"the 5 smallest classes together have 34 samples"):
        natural(multiclass_source([7] * 4 + [6]), shots=4, query="balanced", queries=3)


def test_subjects_stand_on_one_side():
    groups = np.arange(100) // 4
    source = multiclass_source(RARE, groups=groups)
    for query in ("balanced", "natural"):
        sampler = natural(source, query=query, shots=3, queries=1, min_samples=3, ways=(2, None))
        check_sampler(sampler, 20)
        for plan in sampler.batch(range(50)):
            assert not set(groups[plan.support]) & set(groups[plan.query])


# -- what is said ----------------------------------------------------------------------------------


def test_a_plan_says_which_classes_its_support_misses():
    plans = natural().batch(range(200))
    assert {c for plan in plans for c in plan.missing_classes} >= {2, 3}
    for plan in plans:
        there = {plan.classes[label] for label in plan.support_labels.tolist()}
        assert set(plan.missing_classes) == set(plan.classes) - there
    balanced = tx.EpisodeSampler(multiclass_source(), ways=2, shots=1, queries=1)
    assert balanced[0].missing_classes == ()


def test_a_label_is_missed_where_one_of_its_answers_is():
    answers = np.array([[1, 0, 0], [0, 0, 1], [1, 0, -1]] * 10 + [[0, 1, 0]] * 2)
    source = LabelSource(answers, tx.Task("signs", MultiLabel(list("abc"), missing=-1)))
    for plan in natural(source, queries=1).batch(range(40)):
        columns = plan.support_labels
        for place, label in enumerate(plan.classes):
            both = {0, 1} <= set(columns[:, place].tolist())
            assert both == (label not in plan.missing_classes)


def test_an_episode_names_the_classes_that_its_support_misses():
    source = NumberedSource(multiclass_source(RARE).task, np.repeat(range(4), RARE), name="rare")
    sampler = natural(source)
    number = next(i for i in range(99) if sampler[i].missing_classes == (2, 3))
    episode = tx.Episodes(sampler)[number]
    assert episode.missing_classes == ("class 2", "class 3")


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"shots": MetaDatasetShots(), "query": "balanced"}, "its own support per class"),
        ({"support": "as it comes"}, "support"),
    ],
)
def test_impossible_words_are_refused(asked, says):
    with pytest.raises(InputError, match=says):
        tx.EpisodeSampler(multiclass_source(), **{"support": "natural", "queries": 2} | asked)


@pytest.mark.parametrize(
    ("counts", "asked", "says"),
    [
        ((30, 0), {}, r"class 'class 1' has 0 samples, 1 are needed \(1 support\)"),
        (
            (30, 4),
            {"query": "balanced", "queries": 5},
            r"class 'class 1' has 4 samples, 5 are needed \(5 query\)",
        ),
        ((9, 2), {"shots": 4, "queries": 2}, r"together have 11 samples, 12 are needed"),
    ],
)
def test_what_counting_rules_out_is_refused_at_once(counts, asked, says):
    source = multiclass_source(counts)
    with pytest.raises(InfeasibleError, match=says) as error:
        natural(source, **asked)
    assert "a support drawn as it comes" in str(error.value)


def test_one_subject_cannot_stand_on_both_sides():
    source = LabelSource(np.arange(40) % 2, tx.Task("sick", Binary()), groups=np.zeros(40))
    with pytest.raises(InfeasibleError, match="without a subject on both sides"):
        natural(source)


# -- curves, files, layouts ------------------------------------------------------------------------


def test_fewer_shots_are_a_part_of_more_and_a_simple_random_sample_too():
    curve = natural(multiclass_source((30, 10)), query="balanced").curve((1, 3))
    parts = []
    for number in range(2000):
        plans = curve[number]
        assert set(plans[1].support) <= set(plans[3].support)
        assert len(plans[1].support) == 2
        assert plans[1].query.tolist() == plans[3].query.tolist()
        parts.append(plans[1].support)
    assert chi_square(np.bincount(np.concatenate(parts), minlength=40)) > UNLIKELY


@pytest.mark.parametrize("make", [lambda: multiclass_source(RARE), multilabel_source])
def test_plan_files_hold_natural_supports(tmp_path, make):
    sampler = natural(make())
    path = tmp_path / "plans.npz"
    save_plans(path, sampler, range(20))
    plans = load_plans(path, make())
    assert list(plans) == list(sampler.batch(range(20)))
    save_plans(tmp_path / "again.npz", plans)
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_a_file_of_balanced_supports_may_miss_no_class(tmp_path):
    """Its header decides: version 2 and the request say that supports are natural."""
    sampler, path = natural(), tmp_path / "plans.npz"
    save_plans(path, sampler, range(20))
    with np.load(path) as file:
        arrays = dict(file)
    text = arrays["header"].tobytes()
    assert b'"version": 2' in text
    for old, new, says in (
        (b'"version": 2', b'"version": 1', "its version is not that of its request"),
        (b"support: natural", b"support: balance", "its version is not that of its request"),
    ):
        arrays["header"] = np.frombuffer(text.replace(old, new), dtype=np.uint8)
        np.savez(path, **arrays)
        with pytest.raises(PlanFileError, match=says):
            load_plans(path, multiclass_source(RARE))


def test_disjoint_episodes_share_no_image():
    sampler = natural(multiclass_source(RARE), disjoint=10, shots=1, queries=1)
    check_sampler(sampler, disjoint=True)
    assert len(natural(multiclass_source(RARE), disjoint=12, shots=1, queries=1)) == 12
    with pytest.raises(InfeasibleError, match="Possible: disjoint=12"):
        natural(multiclass_source(RARE), disjoint=13, shots=1, queries=1)


class Careless:
    """Leaves a sample out of every support."""

    def __init__(self):
        self.honest = natural()
        self.request = self.honest.request

    def source(self, name):
        return self.honest.source(name)

    def __getitem__(self, index):
        plan = self.honest[index]
        short = {name: read_only(getattr(plan, name)[1:]) for name in ("support", "support_labels")}
        return replace(plan, **short)


def test_the_check_finds_a_support_that_is_too_small():
    with pytest.raises(AssertionError, match="support holds 7 samples, asked were 2 x 4 ways"):
        check_sampler(Careless(), 1)


class Balanced(Careless):
    """Calls balanced supports natural."""

    def __init__(self):
        super().__init__()
        self.honest = tx.EpisodeSampler(multiclass_source(RARE), shots=1, queries=1)
        self.request = natural(shots=1, queries=1, query="balanced").request

    def __getitem__(self, index):
        return self.honest[index]


def test_the_check_finds_a_support_that_is_balanced_after_all():
    with pytest.raises(AssertionError, match="a natural support"):
        check_sampler(Balanced(), 20)
