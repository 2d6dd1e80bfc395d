"""The perceptual hash and the search for near-duplicates: against all pairs, under change, and in
crowds.
"""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks.medimeta.near_duplicate_recall import CHANGES as MEASURED
from benchmarks.medimeta.near_duplicate_recall import copies_found
from medimeta_adapter.audit.near_duplicates import (
    DISTANCE,
    REACH,
    groups_of,
    near_duplicate_groups,
)
from medimeta_adapter.audit.perceptual_hash import (
    Fingerprints,
    fingerprints_of,
    hamming_distances,
)
from tests.examples import max_examples

GOLDEN_HASH = "0x13252b3a6d5a6c3b"
GOLDEN_SKETCH = [-75, -72, 49, -13, -4, 4, 3, -7]


def pictures(count, size=64, channels=3, seed=0):
    draw = np.random.default_rng(seed).integers(0, 256, (count, 7, 7, channels), dtype=np.uint8)
    large = [
        np.asarray(Image.fromarray(one.squeeze()).resize((size, size), Image.Resampling.BICUBIC))
        for one in draw
    ]
    return np.stack(large)


def jpeg(image):
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=70)
    return np.asarray(Image.open(file))


CHANGES = {
    "brighter": lambda image: np.clip(image * 0.8 + 30, 0, 255).astype(np.uint8),
    "noise": (
        lambda image: np.clip(
            image + np.random.default_rng(1).normal(0, 3, image.shape), 0, 255
        ).astype(np.uint8)
    ),
    "jpeg": jpeg,
    "resized": lambda image: np.asarray(
        Image.fromarray(image).resize((96, 96), Image.Resampling.BICUBIC)
    ),
    "grey": lambda image: np.asarray(Image.fromarray(image).convert("L")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_copy_is_found_and_nothing_else(change):
    images = pictures(60)
    fingerprints = Fingerprints.concatenate(
        [fingerprints_of(images), fingerprints_of(np.stack([change(image) for image in images]))]
    )
    pairs = [tuple(group.tolist()) for group in near_duplicate_groups(fingerprints)]
    right = {(n, n + 60) for n in range(60)}
    assert set(pairs) <= right
    assert len(pairs) >= 57


def test_the_measured_recall_counts_copies_that_stand_with_their_original():
    """The table of docs/medimeta/checking.md is made by this count."""
    images = pictures(20)
    assert copies_found(images, MEASURED["JPEG, quality 90"]) == 20
    assert copies_found(images, MEASURED["brightness x 0.7"]) == 20
    assert copies_found(images, MEASURED["mirrored"]) == 0
    assert copies_found(images, lambda image: Image.new("RGB", image.size)) == 0


def test_different_images_are_far_apart():
    hashes = fingerprints_of(pictures(200)).hashes
    distances = hamming_distances(hashes[:, None], hashes[None, :])[~np.eye(200, dtype=bool)]
    assert distances.mean() == pytest.approx(32, abs=2)


def test_hashes_are_the_same_bits_everywhere():
    ramp = (np.arange(32)[:, None] * 5 + np.arange(32)[None, :] ** 2 // 4).astype(np.uint8)[None]
    fingerprints = fingerprints_of(ramp)
    assert hex(fingerprints.hashes[0]) == GOLDEN_HASH
    assert fingerprints.sketches[0, :8].tolist() == GOLDEN_SKETCH


def test_a_sketch_correlates_as_the_coarse_images_do():
    images = pictures(40, channels=1)
    vectors = fingerprints_of(images).sketches.astype(np.float64)
    mine = np.corrcoef(images.reshape(40, -1))
    theirs = vectors @ vectors.T
    theirs /= np.sqrt(np.outer(np.diag(theirs), np.diag(theirs)))
    np.testing.assert_allclose(theirs, mine, atol=0.03)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 5), (2, 5, 3, 3), (1, 8, 8), (2, 200, 40), (1, 16, 16, 1)]
)
def test_any_size(shape):
    fingerprints = fingerprints_of(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    assert fingerprints.hashes.shape == (shape[0],)
    assert fingerprints.sketches.shape == (shape[0], 255)


def test_hamming_distances():
    words = np.random.default_rng(0).integers(0, 2**64, 500, dtype=np.uint64)
    assert hamming_distances(words[:-1], words[1:]).tolist() == [
        (one ^ other).bit_count()
        for one, other in zip(words[:-1].tolist(), words[1:].tolist(), strict=True)
    ]


def by_all_pairs(fingerprints):
    """Connected components over all pairs, the slow and certain way."""
    count = len(fingerprints.hashes)
    label = list(range(count))
    vectors = fingerprints.sketches.astype(np.float64)
    for one in range(count):
        for other in range(one + 1, count):
            near = (
                int(fingerprints.hashes[one]) ^ int(fingerprints.hashes[other])
            ).bit_count() <= DISTANCE
            a, b = vectors[one], vectors[other]
            if near and a @ b > 0 and (a @ b) ** 2 >= 0.99**2 * (a @ a) * (b @ b):
                low, high = sorted((label[one], label[other]))
                label = [low if entry == high else entry for entry in label]
    return [group.tolist() for group in groups_of(np.array(label, dtype=np.int64))]


@pytest.mark.slow
@max_examples(15)
@given(st.integers(0, 2**32), st.integers(1, 8))
def test_the_search_finds_what_comparing_all_pairs_finds(seed, kinds):
    draw = np.random.default_rng(seed)
    centres = draw.integers(0, 2**64, kinds, dtype=np.uint64)
    hashes = centres[draw.integers(0, kinds, 30)]
    for _ in range(3):
        hashes = hashes ^ (
            np.uint64(1) << draw.integers(0, 64, 30, dtype=np.uint64)
        ) * draw.integers(0, 2, 30).astype(np.uint64)
    sketches = np.repeat(draw.integers(-127, 128, (2, 255)).astype(np.int8), 15, axis=0)
    fingerprints = Fingerprints(hashes, sketches[draw.permutation(30)])
    assert [group.tolist() for group in near_duplicate_groups(fingerprints)] == by_all_pairs(
        fingerprints
    )


def groups_of_images(fingerprints):
    return [group.tolist() for group in near_duplicate_groups(fingerprints)]


def two_of_three_alike():
    """Three sketches, of which the first is like no other and the others are like each other."""
    draw = np.random.default_rng(3)
    sketches = draw.integers(-127, 128, (3, 255)).astype(np.int8)
    sketches[2] = sketches[1]
    sketches[2, 0] += 1
    return sketches


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_equal_hashes_are_all_compared_not_only_with_the_first(order):
    sketches = two_of_three_alike()[order]
    groups = groups_of_images(Fingerprints(np.zeros(3, dtype=np.uint64), sketches))
    assert groups == [sorted([order.index(1), order.index(2)])]


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_close_hashes_are_compared_by_all_their_images(order):
    """The first image of a hash need not be the one that another hash is like."""
    hashes, sketches = np.array([0, 0, 1], dtype=np.uint64)[order], two_of_three_alike()[order]
    assert groups_of_images(Fingerprints(hashes, sketches)) == [
        sorted([order.index(1), order.index(2)])
    ]


@pytest.mark.long
@max_examples(15)
@given(st.integers(0, 2**32), st.integers(1, 6))
def test_the_groups_do_not_depend_on_the_order_of_the_images(seed, kinds):
    """Few hashes and few sketches, so that many are equal or nearly so."""
    draw = np.random.default_rng(seed)
    hashes = draw.integers(0, 2**64, kinds, dtype=np.uint64)[draw.integers(0, kinds, 40)]
    hashes ^= np.uint64(1) << draw.integers(0, 64, 40, dtype=np.uint64)
    base = draw.integers(-100, 101, (4, 255))
    noise = draw.integers(-9, 10, (40, 255)) * draw.integers(0, 3, (40, 1))
    sketches = (base[draw.integers(0, 4, 40)] + noise).astype(np.int8)
    fingerprints = Fingerprints(hashes, sketches)
    groups = groups_of_images(fingerprints)
    assert groups == by_all_pairs(fingerprints)
    order = draw.permutation(40)
    shuffled = groups_of_images(fingerprints[order])
    assert sorted(sorted(order[group].tolist()) for group in shuffled) == groups


def test_many_identical_images_collapse_before_they_are_compared():
    """All pairs of fifty thousand would be 1.25 thousand million."""
    sketches = np.repeat(two_of_three_alike()[:2], 25_000, axis=0)
    groups = groups_of_images(Fingerprints(np.zeros(50_000, dtype=np.uint64), sketches))
    assert [len(group) for group in groups] == [25_000, 25_000]


def test_many_sketches_of_one_hash_are_compared_in_blocks():
    draw = np.random.default_rng(4)
    sketches = draw.integers(-127, 128, (1500, 255)).astype(np.int8)
    sketches[1499] = sketches[3]
    sketches[1499, 0] ^= 1
    groups = groups_of_images(Fingerprints(np.zeros(1500, dtype=np.uint64), sketches))
    assert groups == [[3, 1499]]


@pytest.mark.parametrize(("correlation", "groups"), [(0.995, 1), (0.985, 0), (-0.995, 0)])
def test_equal_hashes_are_not_enough(correlation, groups):
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(2, 255))
    one, other = one / np.linalg.norm(one), other - (other @ one) / (one @ one) * one
    mixed = correlation * one + np.sqrt(1 - correlation**2) * other / np.linalg.norm(other)
    sketches = np.rint(np.stack([one, mixed]) * 400).astype(np.int8)
    assert (
        len(near_duplicate_groups(Fingerprints(np.zeros(2, dtype=np.uint64), sketches))) == groups
    )


@pytest.mark.long
def test_every_pair_within_the_distance_is_found_wherever_the_bits_are():
    draw = np.random.default_rng(5)
    sketch = np.ones((2, 255), dtype=np.int8)
    for _ in range(300):
        one = int(draw.integers(0, 2**63))
        other = one
        for bit in draw.choice(64, DISTANCE, replace=False).tolist():
            other ^= 1 << bit
        (group,) = near_duplicate_groups(
            Fingerprints(np.array([one, other], dtype=np.uint64), sketch)
        )
        assert group.tolist() == [0, 1]
        far = other ^ (1 << next(bit for bit in range(64) if not (one ^ other) >> bit & 1))
        assert (
            near_duplicate_groups(Fingerprints(np.array([one, far], dtype=np.uint64), sketch)) == []
        )


def test_a_crowd_is_one_group():
    count = 20 * REACH
    bits = np.random.default_rng(0).integers(0, 64, (3, count), dtype=np.uint64)
    hashes = np.bitwise_xor.reduce(np.uint64(1) << bits, axis=0)
    (group,) = near_duplicate_groups(Fingerprints(hashes, np.ones((count, 255), dtype=np.int8)))
    assert len(group) > 0.9 * count


def test_nothing_and_one():
    assert near_duplicate_groups(Fingerprints.concatenate([])) == []
    assert near_duplicate_groups(fingerprints_of(pictures(1))) == []


def test_groups():
    groups = groups_of(np.array([4, 1, 4, 2, 1, 4]))
    assert [group.tolist() for group in groups] == [[0, 2, 5], [1, 4]]
