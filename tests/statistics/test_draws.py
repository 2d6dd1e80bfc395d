"""Draws are sparse, in one form, and hostile ones are refused by name."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.examples import max_examples
from tests.statistics.drawn import draws_of, overlapping_draws
from torchcross.data import EpisodeSampler, TensorSource, toys
from torchcross.data.plan_files.drawn_images import read_drawn_images, write_drawn_images
from torchcross.errors import InputError
from torchcross.experiment.run.image_draws import draws_of as draws_of_run
from torchcross.statistics import Draws

COLUMNS: dict[str, Any] = {
    "episodes": [4, 4, 9, 9],
    "images": [10, 30, 20, 10],
    "is_query": [False, True, False, True],
    "drawn": [10, 20, 30],
    "strata": [0, 0, 1],
    "stratum_images": [5, 2],
    "subjects": [7, 8, 7],
    "stratum_subjects": [3, 2],
}


def test_pairs_are_sorted_and_columns_cannot_be_changed():
    draws = Draws(**COLUMNS)
    assert draws.episodes.tolist() == [4, 4, 9, 9]
    assert draws.images.tolist() == [10, 30, 10, 20]
    assert draws.is_query.tolist() == [False, True, True, False]
    assert draws.episode_numbers.tolist() == [4, 9]
    assert repr(draws) == "Draws(2 episodes, 3 of 7 images, with subjects)"
    with pytest.raises(ValueError, match="read-only"):
        draws.images[0] = 3


@max_examples(12)
@given(order=st.permutations(range(4)))
def test_the_order_of_pairs_does_not_matter(order):
    pairs = {name: np.array(COLUMNS[name])[order] for name in ("episodes", "images", "is_query")}
    other = Draws(**{**COLUMNS, **pairs})
    assert other == Draws(**COLUMNS)
    assert hash(other) == hash(Draws(**COLUMNS))


def test_other_draws_are_not_equal():
    assert Draws(**COLUMNS) != Draws(**{**COLUMNS, "stratum_images": [5, 3]})
    assert Draws(**COLUMNS) != Draws(**{**COLUMNS, "subjects": None, "stratum_subjects": None})
    assert Draws(**COLUMNS) != "draws"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"episodes": [4, 4, 9]}, "columns of pairs of the lengths"),
        ({"episodes": [4.0, 4.5, 9, 9]}, "episodes of float64"),
        ({"episodes": [-1, 4, 9, 9]}, "episodes from -1 to 9; give numbers from 0 on"),
        ({"images": np.array([2**63, 1, 2, 3], dtype=np.uint64)}, "give numbers from 0 on"),
        ({"images": [[10, 30, 20, 10]]}, "images of int64 and shape (1, 4)"),
        ({"images": [[10], [30, 20], 1, 2]}, "images that are no row"),
        ({"is_query": [0, 1, 0, 1]}, "is_query of int64 and shape (4,); give a row of True or"),
        ({"images": [10, 10, 20, 10], "drawn": [10, 20]}, "3 strata for 2 drawn images"),
        ({"images": [10, 10, 20, 30]}, "episode 4 drew image 10 twice"),
        ({"drawn": [10, 20, 40]}, "not those of the pairs"),
        ({"drawn": [30, 20, 10]}, "not those of the pairs, ascending"),
        ({"strata": [0, 0, 2]}, "the stratum 2, and the sizes of 2 strata"),
        ({"stratum_images": [1, 2]}, "2 drawn images of stratum 0, which has 1 images"),
        ({"stratum_subjects": [1, 2]}, "2 drawn subjects of stratum 0, which has 1 subjects"),
        ({"stratum_subjects": [3]}, "the subjects of 1 strata; there are 2"),
        ({"stratum_subjects": None}, "subjects or stratum_subjects alone"),
        ({"subjects": [7, 8, -2]}, "subjects from -2 to 8; give numbers from -1 on"),
        ({"subjects": [7]}, "1 subjects for 3 drawn images"),
        ({name: [] for name in list(COLUMNS)[:5]}, "no pair"),
    ],
)
def test_hostile_draws_are_refused(changes, message):
    with pytest.raises(InputError, match=re.escape(message)):
        Draws(**{**COLUMNS, **changes})


def test_helpers_of_tests_draw_what_they_say():
    draws = overlapping_draws(np.random.default_rng(0), episodes=3, images=9, drawn=4)
    assert np.bincount(draws.episodes).tolist() == [8, 8, 8]
    assert draws.stratum_images.tolist() == [9, 9]
    assert draws_of([[0, 1], [1, 2]], [0, 0, 1]).strata.tolist() == [0, 0, 1]


@pytest.mark.parametrize("toy", [toys.multiclass, toys.multilabel])
def test_draws_of_plans_are_those_that_a_run_keeps(toy, tmp_path):
    """The file of a run has them from the source itself."""
    plain = toy(40, size=8)
    source = TensorSource(
        plain.read(range(40)), plain.labels, plain.task, groups=np.arange(40) // 3
    )
    sampler = EpisodeSampler(source, shots=1, queries=2, groups="respect", seed=0)
    plans = [sampler[number] for number in (4, 1, 7)]
    write_drawn_images(tmp_path / "plans.npz", sampler, plans)
    kept = draws_of_run(read_drawn_images(tmp_path / "plans.npz"))
    draws = Draws.of_plans(plans, source.labels, source.groups)
    for name in ("episodes", "images", "is_query", "drawn"):
        np.testing.assert_array_equal(getattr(draws, name), getattr(kept, name))
    pairs = np.unique(np.stack([draws.strata, kept.strata]), axis=1)
    assert len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))
    for name in ("stratum_images", "stratum_subjects"):
        own, other = (getattr(each, name)[each.strata] for each in (draws, kept))
        np.testing.assert_array_equal(own, other)
    pairs = np.unique(np.stack([draws.subjects, kept.subjects]), axis=1)
    assert len(pairs[0]) == len(np.unique(pairs[0])) == len(np.unique(pairs[1]))


def test_plans_of_other_labels_are_refused():
    sampler = EpisodeSampler(toys.binary(40, size=8), shots=1, queries=2, seed=0)
    with pytest.raises(InputError, match="give the labels of the source that the plans are of"):
        Draws.of_plans([sampler[0]], [0, 1])
    with pytest.raises(InputError, match="3 subjects for 40 labels"):
        Draws.of_plans([sampler[0]], np.zeros(40, dtype=int), [1, 2, 3])
    with pytest.raises(InputError, match="no pair of an episode and an image"):
        Draws.of_plans([], [0, 1])
