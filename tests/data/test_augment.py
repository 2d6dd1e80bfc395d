"""Augmentation of episodes and batches: what is drawn, on what it depends, and what is refused."""

from __future__ import annotations

import math
import pickle
import random
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.data.warps import (
    CROPPED,
    DTYPES,
    EVERYTHING,
    NOTHING,
    crop_places,
    matrices,
    noise,
    turned,
)
from tests.examples import max_examples
from torchcross.data import (
    EpisodeLoader,
    Episodes,
    EpisodeSampler,
    LabelledBatch,
    MixedBatches,
    TensorSource,
)
from torchcross.data.loading.augment import Augmentation
from torchcross.episode import Episode
from torchcross.errors import InputError, MissingExtraError
from torchcross.targets import MultiClass
from torchcross.task import Task

CHI_SQUARE_999 = {9: 27.88, 15: 37.70, 24: 51.18}  # the 99.9 % point, by degrees of freedom
GOLDEN = [
    [[0.88394826, 0.12581473, 0.42943627], [0.12581473, -0.88394826, -0.31359949]],
    [[-0.99743509, -0.07157683, -1.03450596], [0.07157683, -0.99743509, -0.96292913]],
    [[0.99978636, -0.02066966, -0.01044165], [-0.02066966, -0.99978636, -1.01022801]],
    [[0.88792436, -0.09372411, -1.4371563], [-0.09372411, -0.88792436, 0.65834519]],
]


@pytest.fixture(scope="module")
def episodes() -> Episodes:
    labels = np.arange(120) % 3
    source = TensorSource(
        noise(120, 3, 12, 12).numpy(), labels, Task("shape", MultiClass(["disc", "square", "star"]))
    )
    return Episodes(EpisodeSampler(source, shots=4, queries=5, seed=0))


@pytest.fixture(scope="module")
def batch(episodes: Episodes) -> LabelledBatch:
    batches = MixedBatches(episodes.sampler.sources, batch_size=16)
    return batches.read(batches[5])


@pytest.fixture
def global_generators() -> Iterator[None]:
    """The global generators must stand where they stood."""
    before = (
        torch.get_rng_state(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]  # noqa: NPY002


# What comes back for an episode and a batch


@pytest.mark.usefixtures("global_generators")
def test_an_episode_gets_another_support_and_keeps_the_rest(episodes: Episodes) -> None:
    episode = episodes[17]
    before = episode.support.x.clone()
    augmented = EVERYTHING(episode)
    assert isinstance(augmented, Episode)
    assert torch.equal(episode.support.x, before)
    assert not torch.equal(augmented.support.x, before)
    assert augmented.support.x.shape == before.shape
    assert augmented.support.y is episode.support.y
    assert augmented.query is episode.query
    assert (augmented.task, augmented.plan) == (episode.task, episode.plan)


def test_the_query_is_augmented_on_request_and_by_draws_of_its_own(episodes: Episodes) -> None:
    episode = episodes[17]
    both = EVERYTHING(episode, query=True)
    assert torch.equal(both.support.x, EVERYTHING(episode).support.x)
    assert not torch.equal(both.query.x, episode.query.x)
    same = replace(episode, query=episode.support)
    assert not torch.equal(EVERYTHING(same, query=True).query.x, both.support.x)


@pytest.mark.usefixtures("global_generators")
def test_a_batch_gets_other_images_by_its_number(batch: LabelledBatch) -> None:
    before = batch.batch.x.clone()
    augmented = EVERYTHING(batch)
    assert isinstance(augmented, LabelledBatch)
    assert torch.equal(batch.batch.x, before)
    assert torch.equal(augmented.batch.x, EVERYTHING.apply(before, index=5, part="batch"))
    assert not torch.equal(augmented.batch.x, before)
    assert augmented.batch.y is batch.batch.y
    assert (augmented.task, augmented.plan) == (batch.task, batch.plan)


def test_another_number_can_be_given(episodes: Episodes, batch: LabelledBatch) -> None:
    episode = episodes[17]
    assert torch.equal(EVERYTHING(episode, index=17).support.x, EVERYTHING(episode).support.x)
    assert not torch.equal(EVERYTHING(episode, index=18).support.x, EVERYTHING(episode).support.x)
    assert torch.equal(
        EVERYTHING(replace(episode, plan=None), index=17).support.x, EVERYTHING(episode).support.x
    )
    assert not torch.equal(EVERYTHING(batch, index=6).batch.x, EVERYTHING(batch).batch.x)


@pytest.mark.long
def test_neither_order_nor_workers_matter(episodes: Episodes) -> None:
    expected = [EVERYTHING(episodes[index]).support.x for index in (3, 0, 2, 1)]
    loader = EpisodeLoader(episodes.sampler, 4, workers=1, context="spawn")
    loaded = [EVERYTHING(episode).support.x for episode in loader]
    assert all(
        torch.equal(loaded[index], images)
        for index, images in zip((3, 0, 2, 1), expected, strict=True)
    )


# What is drawn


@max_examples(15)
@given(
    seed=st.integers(0, 2**70),
    index=st.integers(0, 2**60),
    count=st.integers(0, 7),
    shape=st.sampled_from([(3, 10, 10), (1, 5, 8), (6, 6)]),
    dtype=st.sampled_from(DTYPES),
)
def test_an_image_does_not_depend_on_the_others(
    seed: int, index: int, count: int, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    augment = replace(EVERYTHING, seed=seed)
    images = noise(7, *shape, dtype=dtype)
    whole = augment.apply(images, index=index)
    assert torch.equal(augment.apply(images[:count], index=index), whole[:count])
    changed = images.clone()
    changed[:count] = 0
    assert torch.equal(augment.apply(changed, index=index)[count:], whole[count:])


def test_every_part_of_the_key_matters() -> None:
    images = noise(4, 1, 8, 8)[:1].expand(4, 1, 8, 8)
    augment = turned(-90, 90)
    results = [
        augment.apply(images, index=3),
        augment.apply(images, index=4),
        augment.apply(images, index=3, part="query"),
        replace(augment, seed=1).apply(images, index=3),
    ]
    rows = torch.cat(results).flatten(1)
    assert len(torch.unique(rows, dim=0)) == 16


def test_precision_settings_do_not_matter() -> None:
    images = noise(8, 3, 40, 40)
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        result = EVERYTHING.apply(images, index=0)
    assert torch.equal(result, EVERYTHING.apply(images, index=0))


def test_golden_draws() -> None:
    """Whoever repeats an experiment next year gets the same images."""
    np.testing.assert_allclose(
        matrices(EVERYTHING, 4, index=17, side=28), GOLDEN, rtol=0, atol=2e-8
    )


def test_decisions_are_drawn_as_often_as_asked_and_independently() -> None:
    flips = replace(EVERYTHING, horizontal_flip=0.25, vertical_flip=0.75)
    augment, count = replace(flips, rotation=(5, 10), crop=0.5, padding="border"), 4000
    found = matrices(augment, count, side=16)[:, :, :2]
    cropped = np.abs(np.linalg.det(found)) < 0.5
    cos, sin = (
        found[:, 0, 0],
        found[:, 1, 0],
    )  # of a turn by 5 to 10 degrees, which flips make negative
    horizontal, rotated = cos < 0, np.abs(sin) > 1e-6
    vertical = (np.linalg.det(found) < 0) != horizontal
    cells = np.bincount(horizontal + 2 * vertical + 4 * rotated + 8 * cropped, minlength=16)
    share = np.array([0.75 * 0.25, 0.25 * 0.25, 0.75 * 0.75, 0.25 * 0.75] * 4) / 4
    assert ((cells - count * share) ** 2 / (count * share)).sum() < CHI_SQUARE_999[15]


def test_angles_are_uniform_within_their_range() -> None:
    found = matrices(Augmentation(horizontal_flip=0, vertical_flip=0, crop_probability=0), 2000)
    degrees = np.degrees(np.arctan2(found[:, 1, 0], found[:, 0, 0]))
    assert degrees.min() >= -10
    assert degrees.max() < 10
    bins = np.histogram(degrees, bins=10, range=(-10, 10))[0]
    assert ((bins - 200) ** 2 / 200).sum() < CHI_SQUARE_999[9]
    found = matrices(turned(20, 40), 500)
    degrees = np.degrees(np.arctan2(found[:, 1, 0], found[:, 0, 0]))
    assert 20 <= degrees.min() < 21 < 39 < degrees.max() < 40


def test_crops_lie_at_every_place_equally_often() -> None:
    """An 8 x 8 crop of 12 x 12 pixels has 5 x 5 places."""
    places = crop_places(replace(CROPPED, crop=8 / 12), 2500, crop=8, side=12)
    cells = np.bincount(places[:, 0] * 5 + places[:, 1], minlength=25)
    assert len(cells) == 25
    assert ((cells - 100) ** 2 / 100).sum() < CHI_SQUARE_999[24]


def test_changing_one_decision_moves_no_other() -> None:
    images = noise(40, 1, 8, 8)
    flips = replace(NOTHING, horizontal_flip=0.5)
    both = replace(flips, vertical_flip=0.5, rotation_probability=0.5, crop_probability=0.2)
    flipped, mixed = (augment.apply(images, index=0) for augment in (flips, both))
    more = replace(flips, horizontal_flip=0.6).apply(images, index=0)
    was_flipped = (flipped != images).flatten(1).any(dim=1)
    untouched = (mixed == images).flatten(1).all(dim=1)
    assert 0 < untouched.sum() < 20
    assert not (was_flipped & untouched).any()
    assert ((more != images).flatten(1).any(dim=1) | ~was_flipped).all()


def test_the_published_baseline() -> None:
    published = Augmentation.medimeta(seed=3)
    assert published == Augmentation(
        horizontal_flip=0.25,
        vertical_flip=0.25,
        rotation=10,
        rotation_probability=1,
        crop=200 / 224,
        crop_probability=0.25,
        seed=3,
        interpolation="bilinear",
        padding="zeros",
    )
    found = matrices(published, 400, side=224 // 8)
    areas = np.abs(np.linalg.det(found[:, :, :2]))
    assert set(areas.round(9)) == {1.0, round((25 / 28) ** 2, 9)}
    assert np.abs(found[:, 1, 0]).min() > 0


# What it refuses


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizontal_flip": 1.1}, "horizontal_flip=1.1 is not a number from 0 to 1"),
        ({"vertical_flip": -0.1}, "vertical_flip=-0.1"),
        ({"rotation_probability": math.nan}, "rotation_probability=nan"),
        ({"crop_probability": "0.5"}, "crop_probability='0.5'"),
        ({"horizontal_flip": True}, "horizontal_flip=True"),
        ({"crop": 0}, "crop=0 leaves nothing"),
        ({"crop": 224}, "crop=224 is not a number from 0 to 1"),
        ({"rotation": -10}, "rotation=-10 is not a number from 0 to 360"),
        ({"rotation": math.inf}, "rotation=inf"),
        ({"rotation": (10, -10)}, "the highest is below the lowest"),
        ({"rotation": (0, 361)}, r"rotation\[1\]=361"),
        ({"rotation": (1, 2, 3)}, "not a pair"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": 0.5}, "seed=0.5"),
        ({"interpolation": "cubic"}, "interpolation='cubic' is not one of 'bilinear', 'nearest'"),
        ({"padding": "black"}, "padding='black'"),
    ],
)
def test_options_that_cannot_be(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Augmentation(**options)  # type: ignore[arg-type]


def test_what_is_not_an_episode_is_refused(episodes: Episodes, batch: LabelledBatch) -> None:
    with pytest.raises(InputError, match="transform="):
        EVERYTHING(noise(2, 3, 8, 8))  # type: ignore[call-overload]
    with pytest.raises(InputError, match=r"no plan.*index="):
        EVERYTHING(replace(episodes[0], plan=None))
    with pytest.raises(InputError, match="has no query"):
        EVERYTHING(batch, query=True)  # type: ignore[call-overload]
    with pytest.raises(InputError, match="index=-1"):
        EVERYTHING(batch, index=-1)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (torch.zeros(8, 8), r"shape \(8, 8\); give a batch \(n, C, H, W\)"),
        (torch.zeros(2, 3, 4, 8, 8), "shape"),
        (torch.zeros(2, 8, 8, dtype=torch.int64), "int64; convert them to uint8"),
        (torch.zeros(2, 8, 8, dtype=torch.bool), "bool"),
    ],
)
def test_images_that_cannot_be(images: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        EVERYTHING.apply(images, index=0)


def test_without_kornia(monkeypatch: pytest.MonkeyPatch) -> None:
    images = noise(1, 3, 8, 8)
    for name in [name for name in sys.modules if name.partition(".")[0] == "kornia"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "kornia", None)
    for rare in (
        replace(NOTHING, rotation_probability=1e-9),
        replace(NOTHING, crop_probability=1e-9),
    ):
        with pytest.raises(MissingExtraError, match=r"torchcross-fewshot\[augment\]"):
            rare.apply(images, index=0)
    assert torch.equal(replace(NOTHING, horizontal_flip=1).apply(images, index=0), images.flip(-1))


def test_it_is_a_value() -> None:
    augment = Augmentation(seed=4, rotation=(0, 5), padding="border")
    assert pickle.loads(pickle.dumps(augment)) == augment
    assert len({augment, replace(augment), replace(augment, seed=5)}) == 2
    assert Augmentation(seed=np.int64(4), crop=np.float32(0.5)).apply(
        noise(2, 1, 4, 4), index=0
    ).shape == (
        2,
        1,
        4,
        4,
    )  # type: ignore[arg-type]


def test_empty_batches_stay_empty() -> None:
    assert EVERYTHING.apply(noise(0, 3, 8, 8), index=0).shape == (0, 3, 8, 8)
