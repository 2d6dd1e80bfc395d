"""What counting disproves is refused at once, nothing else is, and what an error calls possible is
possible.
"""

from __future__ import annotations

import re
import warnings

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import torchcross as tx
from torchcross.data import LabelSource, MetaDatasetShots
from torchcross.errors import InfeasibleError, SubjectLeakWarning
from torchcross.targets import Binary, MultiClass, MultiLabel
from torchcross.testing import check_sampler, sources


def make(source, **asked):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SubjectLeakWarning)
        return tx.EpisodeSampler(source, **asked)


def refusal(source, **asked):
    """The error of a sampler that cannot be made; None of one that can."""
    try:
        make(source, **asked)
    except InfeasibleError as error:
        return str(error)
    return None


@st.composite
def asked_for(draw, source):
    """Any request at all, mostly too much."""
    shots, classes = draw(st.integers(1, 6)), source.task.target.num_classes
    queries = draw(st.integers(1, 8))
    variable = st.builds(MetaDatasetShots) if source.labels.ndim == 1 else st.nothing()
    query = draw(st.sampled_from(["balanced", "natural"]))
    return {
        "ways": draw(
            st.none() | st.integers(1, classes) | st.tuples(st.integers(1, classes), st.none())
        ),
        "shots": draw(
            st.just(shots)
            | st.just((1, shots))
            | (variable if query == "balanced" else st.nothing())
        ),
        "queries": queries,
        "query": query,
        "min_samples": draw(st.sampled_from([None, "enough", shots, shots + queries])),
    }


WAYS_OUT = {
    r"at most (\d+) queries with (\d+) shots": lambda asked, m: {"queries": int(m[1])},
    r"at most (\d+) shots with (\d+) queries": lambda asked, m: {
        "shots": upper(asked["shots"], int(m[1]))
    },
    r"at most (\d+) queries with shots=1": lambda asked, m: {"queries": int(m[1]), "shots": 1},
    r"min_samples='enough', which leaves out (.+) and keeps (\d+) of \d+ classes": (
        lambda asked, m: {"min_samples": "enough"}
    ),
    r"min_samples=(\d+), which leaves out (.+) and keeps (\d+) of \d+ classes": lambda asked, m: {
        "min_samples": int(m[1])
    },
    r"ways=(\d+)": lambda asked, m: {"ways": int(m[1])},
    r"ways from (\d+) to (\d+)": lambda asked, m: {"ways": (int(m[1]), int(m[2]))},
    r"groups='ignore', which lets a subject stand on both sides": lambda asked, m: {
        "groups": "ignore"
    },
}


def upper(shots, most):
    return (min(shots[0], most), most) if isinstance(shots, tuple) else most


def ways_out(message, asked):
    """The requests that an error says are possible, each as (what it says, keywords)."""
    line = re.search(r"^Possible: (.+)$", message, re.MULTILINE)
    assert line, message
    for text in line[1].split("; or "):
        if text.startswith("nothing of this kind"):
            continue
        changes = {}
        if found := re.fullmatch(r"(.+), with ways=\((\d+), None\)", text):
            text, changes["ways"] = found[1], (int(found[2]), None)
        if found := re.fullmatch(r"(.+), with groups='ignore'", text):
            text, changes["groups"] = found[1], "ignore"
        matches = [
            (change, found)
            for form, change in WAYS_OUT.items()
            if (found := re.fullmatch(form, text))
        ]
        assert len(matches) == 1, f"not understood: {text!r}"
        change, found = matches[0]
        yield text, asked | changes | change(asked, found)


@pytest.mark.slow
@given(st.data(), st.integers(0, 3))
def test_what_an_error_says_is_possible_can_be_had(data, each):
    source = data.draw(sources(each=each))
    asked = data.draw(asked_for(source))
    message = refusal(source, **asked)
    assume(message is not None)
    assert message.startswith(f"source {source.name!r} cannot give ")
    for text, possible in ways_out(message, asked):
        sampler = make(source, **possible)
        certain = source.labels.ndim == 1 and (
            source.groups is None or possible.get("groups") == "ignore"
        )
        if certain:
            check_sampler(sampler, 3)
        if text.startswith("at most"):
            name = "queries" if "queries with" in text else "shots"
            assert refusal(source, **possible | {name: one_more(possible[name])}), (
                f"{text} is not the most"
            )


def one_more(number):
    return (number[0], number[1] + 1) if isinstance(number, tuple) else number + 1


@pytest.mark.slow
@given(st.data(), st.integers(0, 3))
def test_an_error_without_a_way_out_is_right(data, each):
    source = data.draw(sources(each=each))
    asked = data.draw(asked_for(source))
    message = refusal(source, **asked)
    assume(message is not None and "nothing of this kind" in message)
    least = {"ways": (1, None), "shots": 1, "queries": 1, "query": asked["query"]}
    if isinstance(asked["shots"], MetaDatasetShots):
        least["shots"] = asked["shots"]
    assert refusal(source, **least, min_samples=asked["min_samples"])


@given(st.data(), st.integers(0, 4))
def test_exclusive_classes_without_subjects_are_refused_exactly_when_they_must_be(data, each):
    """An oracle of its own: the classes that stay all have enough, and so have the smallest of them
    together.
    """
    source = data.draw(sources(["binary", "multiclass", "ordinal"], each=each, groups=False))
    asked = data.draw(asked_for(source))
    counts = np.array(list(source.counts().values()))
    variable = isinstance(asked["shots"], MetaDatasetShots)
    shots = asked["shots"][1] if isinstance(asked["shots"], tuple) else asked["shots"]
    need = 2 if variable else shots + (asked["queries"] if asked["query"] == "balanced" else 0)
    least = {None: 0, "enough": need}.get(asked["min_samples"], asked["min_samples"])
    kept = np.sort(counts[counts >= least])
    low, high = bounds(asked["ways"], len(kept))
    fine = 2 <= low <= high <= len(kept) and (kept >= need).all()
    if fine and asked["query"] == "natural":
        fine = all(
            kept[:ways].sum() >= ways * (shots + asked["queries"]) for ways in range(low, high + 1)
        )
    message = refusal(source, **asked)
    assert (message is None) == fine, message
    if fine:
        check_sampler(make(source, **asked), 3)


def bounds(ways, kept):
    if ways is None:
        return kept, kept
    return (max(ways[0], 2), kept) if isinstance(ways, tuple) else (ways, ways)


# -- the words -------------------------------------------------------------------------------------


def source_of(counts, groups=None):
    names = ["disc", "square", "star", "ring", "cross"][: len(counts)]
    labels = np.repeat(np.arange(len(counts)), counts)
    return LabelSource(labels, tx.Task("shape", MultiClass(names)), groups=groups)


@pytest.mark.parametrize(
    ("counts", "asked", "lines"),
    [
        (
            [40, 40, 7],
            {},
            [
                "source 'shape' cannot give 5-shot episodes with 10 queries per class:",
                "  class 'star' has 7 samples, 15 are needed (5 support + 10 query)",
                (
                    "Possible: at most 2 queries with 5 shots; or min_samples='enough', which"
                    " leaves out 'star' and keeps 2 of 3 classes"
                ),
            ],
        ),
        (
            [40, 0],
            {"shots": (1, 5)},
            [
                "source 'shape' cannot give 1- to 5-shot episodes with 10 queries per class:",
                "  class 'square' has 0 samples, 15 are needed (5 support + 10 query)",
                (
                    "Possible: nothing of this kind; the source has too few samples, or too few"
                    " subjects"
                ),
            ],
        ),
        (
            [40, 40, 40],
            {"ways": 5},
            [
                "source 'shape' cannot give 5-shot episodes with 10 queries per class:",
                "  ways=5 cannot be had: a multiclass episode has at least 2, and 3 can be used",
                "Possible: ways from 2 to 3",
            ],
        ),
        (
            [40, 40, 40],
            {"ways": (4, None)},
            [
                "source 'shape' cannot give 5-shot episodes with 10 queries per class:",
                (
                    "  ways=(4, None) cannot be had: the lower end asks for at least 4 ways, and"
                    " the source has 3 that can be used"
                ),
                "Possible: ways from 2 to 3",
            ],
        ),
        (
            [40, 40, 40],
            {"ways": (1, 1)},
            [
                "source 'shape' cannot give 5-shot episodes with 10 queries per class:",
                (
                    "  ways=(1, 1) cannot be had: the upper end allows at most 1, and a multiclass"
                    " episode has at least 2"
                ),
                "Possible: ways from 2 to 3",
            ],
        ),
        (
            [40, 12, 7],
            {"min_samples": 10, "ways": 3, "queries": 2},
            [
                "source 'shape' cannot give 5-shot episodes with 2 queries per class:",
                "  ways=3 cannot be had: a multiclass episode has at least 2, and 2 can be used",
                (
                    "  min_samples=10 leaves out the others; there are 'disc': 40, 'square': 12,"
                    " 'star': 7"
                ),
                "Possible: min_samples='enough', which leaves out nothing and keeps 3 of 3 classes",
            ],
        ),
        (
            [5, 5, 50],
            {"ways": 2, "queries": 1, "query": "natural"},
            [
                (
                    "source 'shape' cannot give 5-shot episodes with 1 queries per class, drawn as"
                    " they come:"
                ),
                (
                    "  the 2 smallest classes together have 10 samples, 12 are needed (10 support +"
                    " 2 query)"
                ),
                "Possible: at most 4 shots with 1 queries",
            ],
        ),
        (
            [9, 9, 1],
            {"shots": MetaDatasetShots()},
            [
                "source 'shape' cannot give episodes with Meta-Dataset shots:",
                "  class 'star' has 1 samples, 2 are needed (1 support + 1 query)",
                "Possible: min_samples='enough', which leaves out 'star' and keeps 2 of 3 classes",
            ],
        ),
    ],
)
def test_an_error_says_what_is_there_what_is_needed_and_what_is_possible(counts, asked, lines):
    assert refusal(source_of(counts), **asked).splitlines() == lines


def test_subjects_that_cannot_be_divided_are_found_by_counting():
    groups = np.repeat([0, 1, 2, 3, 4, 5], [7, 7, 7, 7, 7, 7])
    message = refusal(source_of([21, 21], groups), shots=8, queries=8)
    assert (
        "class 'disc' has 21 samples, from 3 subjects that own 7, 7, 7; they cannot be divided into"
        " 8 support + 8 query without a subject on both sides" in message
    )
    assert (
        "at most 7 queries with 8 shots; or at most 7 shots with 8 queries; or groups='ignore'"
        in message
    )
    check_sampler(make(source_of([21, 21], groups), shots=8, queries=7))


def test_a_single_subject_is_found_by_counting():
    everywhere = {"groups": np.zeros(40, dtype=int)}
    assert "all from one subject" in refusal(source_of([20, 20], **everywhere))
    natural = refusal(source_of([20, 20], **everywhere), query="natural", shots=1, queries=1)
    assert "the 40 samples are all from one subject" in natural
    answers = np.array([[1], [0]] * 20)
    labelled = LabelSource(answers, tx.Task("label", MultiLabel(["x"])), **everywhere)
    for query in ("balanced", "natural"):
        assert "Possible: groups='ignore'" in refusal(labelled, query=query, shots=1, queries=1)


def test_the_common_answer_of_a_label_may_be_the_one_that_lacks_subjects():
    answers = np.array([[1]] * 15 + [[0]] * 100)
    groups = np.array([*range(15), *[99] * 100])
    message = refusal(LabelSource(answers, tx.Task("label", MultiLabel(["x"])), groups=groups))
    assert "class 'x' has 100 samples without it, all from one subject" in message


def test_a_label_that_nobody_or_everybody_has_is_refused():
    task = tx.Task("label", MultiLabel(["some", "none", "all"]))
    answers = np.array([[n % 2, 0, 1] for n in range(60)])
    message = refusal(LabelSource(answers, task))
    assert "class 'none' has 0 samples with it, 15 are needed" in message
    assert "class 'all' has 0 samples without it, 15 are needed" in message
    assert (
        "min_samples='enough', which leaves out 'none', 'all' and keeps 1 of 3 classes" in message
    )


def test_a_natural_query_of_labels_needs_samples_besides_the_support():
    answers = np.array([[n % 2] for n in range(20)])
    source = LabelSource(answers, tx.Task("label", MultiLabel(["x"])))
    assert "there are 20 samples, 21 are needed (10 support + 11 query)" in refusal(
        source, queries=11, query="natural"
    )
    check_sampler(make(source, queries=10, query="natural"))


def test_many_classes_are_summed_up():
    labels = np.repeat(np.arange(30), [3] * 20 + [40] * 10)
    source = LabelSource(labels, tx.Task("many", MultiClass([f"c{c}" for c in range(30)])))
    message = refusal(source)
    assert len(message.splitlines()) == 13
    assert "and 10 more classes" in message
    assert "which leaves out 'c0', 'c1'" in message
    assert "'c9', ... and keeps 10 of 30 classes" in message


def test_every_source_of_a_mixture_is_looked_at():
    small = LabelSource(np.arange(8) % 2, tx.Task("small", Binary()))
    with pytest.raises(InfeasibleError, match="source 'small' cannot give"):
        tx.EpisodeSampler([source_of([40, 40]), small])


def test_labels_that_overlap_too_much_give_up_in_the_episode_and_say_so():
    """Two samples with every label, one for each side, as counting has it; but three of a kind have
    no two sides.
    """
    answers = np.array([[1, 1, 0], [0, 1, 1], [1, 0, 1], *[[0, 0, 0]] * 10])
    source = LabelSource(answers, tx.Task("label", MultiLabel(["x", "y", "z"])))
    sampler = tx.EpisodeSampler(source, shots=1, queries=1)
    with pytest.raises(
        InfeasibleError,
        match=r"source 'label' could not give episode 5 .*labels overlap.*Possible: ",
    ):
        sampler[5]
    check_sampler(tx.EpisodeSampler(source, ways=2, shots=1, queries=1))


def test_subjects_that_belong_to_several_classes_give_up_in_the_episode_and_say_so():
    """Every class could be divided by itself, but subject 0 would have to stand on both sides."""
    labels = np.array([0] * 9 + [1] * 9)
    groups = np.array([0] * 6 + [1] * 3 + [0] * 3 + [2] * 6)
    sampler = tx.EpisodeSampler(source_of([9, 9], groups), shots=3, queries=6)
    assert (np.bincount(labels) == 9).all()
    with pytest.raises(InfeasibleError) as caught:
        sampler[2]
    message = str(caught.value)
    assert "source 'shape' could not give episode 2 (3 shots, 6 queries)" in message
    assert "no subject may stand in both support and query" in message
    assert "'disc': 9, 'square': 9; from 3 subjects" in message
    assert "groups='ignore'" in message
