"""From plans to tensors: one read per episode, and the same episodes for any workers, ranks, order
and start.
"""

from __future__ import annotations

import pickle
import random

import numpy as np
import pytest
import torch

import torchcross as tx
from torchcross.data import (
    EpisodeLoader,
    Episodes,
    MixedBatches,
    MixedBatchLoader,
    TensorSource,
    toys,
)
from torchcross.errors import InputError, ReadError
from torchcross.targets import MultiClass, MultiLabel

LABELS = np.arange(60) % 3


class Counted(TensorSource):
    """Images that hold their own number; counts reads."""

    def __init__(self, name: str = "numbers", bad: int = -1) -> None:
        images = np.arange(60, dtype=np.float32).reshape(60, 1, 1, 1)
        super().__init__(images, LABELS, tx.Task(name, MultiClass(["a", "b", "c"])))
        self.reads = 0
        self.bad = bad

    def images(self, indices):
        self.reads += 1
        if self.bad in indices:
            raise ReadError(
                f"source {self.name!r} could not read sample {self.bad}, file {self.bad}.png: gone"
            )
        return super().images(indices)


def sampler(source=None, **changes) -> tx.EpisodeSampler:
    asked = {"ways": (2, None), "shots": (1, 3), "queries": 4, "seed": 3} | changes
    return tx.EpisodeSampler(source or Counted(), **asked)


def numbers(episode: tx.Episode) -> tuple[list[int], list[int]]:
    return episode.support.x.flatten().int().tolist(), episode.query.x.flatten().int().tolist()


def same(one: tx.Episode, other: tx.Episode) -> bool:
    pairs = [(one.support.x, other.support.x), (one.support.y, other.support.y)]
    pairs += [(one.query.x, other.query.x), (one.query.y, other.query.y)]
    return (
        one.task == other.task
        and one.plan == other.plan
        and all(torch.equal(a, b) for a, b in pairs)
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_whole_episodes_are_augmented_after_the_transform(workers: int) -> None:
    options = {"transform": lambda images: images * 2, "augment": marked}
    loader = EpisodeLoader(sampler(), 3, workers=workers, context="fork", **options)
    for number, (episode, plain) in enumerate(zip(loader, Episodes(sampler(), 3), strict=True)):
        assert torch.equal(episode.support.x, plain.support.x * 2 + 100 * number)
        assert torch.equal(episode.query.x, plain.query.x * 2 + 100 * number)


def marked(episode: tx.Episode) -> tx.Episode:
    """Add a hundred times the episode's number to its images."""
    return episode.map(lambda images: images + 100 * episode.plan.index)


def test_an_episode_is_its_plan_with_pixels_in_one_read() -> None:
    source = Counted()
    episodes = Episodes(sampler(source))
    episode = episodes[17]
    assert source.reads == 1
    assert episode.plan == episodes.sampler[17]
    assert numbers(episode) == (episode.plan.support.tolist(), episode.plan.query.tolist())
    assert episode.support.y.dtype == torch.int64
    for batch, samples in (
        (episode.support, episode.plan.support),
        (episode.query, episode.plan.query),
    ):
        names = [episode.task.classes[code] for code in batch.y.tolist()]
        assert names == [source.task.classes[code] for code in LABELS[samples]]


def test_multi_label_episodes_have_one_column_per_chosen_label() -> None:
    episode = Episodes(tx.EpisodeSampler(toys.multilabel(), ways=3, shots=2, queries=2))[0]
    assert isinstance(episode.task.target, MultiLabel)
    assert episode.support.y.shape == (len(episode.support), 3)


def test_a_list_of_episodes_costs_nothing_between_them() -> None:
    numbers = [0, 2**62]
    assert [each.plan.index for each in Episodes(sampler()).__getitems__(numbers)] == numbers


def test_labels_of_an_episode_may_be_changed_without_changing_the_plan() -> None:
    episodes = Episodes(sampler())
    episodes[0].support.y.add_(1)
    assert episodes[0].support.y.min() == 0


def test_a_transform_sees_batches() -> None:
    seen = []

    def plus_one(images):
        seen.append(len(images))
        return images + 1

    episode = Episodes(sampler(), transform=plus_one)[0]
    assert seen == [len(episode.support), len(episode.query)]
    assert numbers(episode)[0] == (episode.plan.support + 1).tolist()


def test_episodes_with_a_count_are_an_ordinary_dataset() -> None:
    episodes = Episodes(sampler(), count=5)
    assert len(episodes) == 5
    assert [episode.plan.index for episode in episodes] == [0, 1, 2, 3, 4]
    with pytest.raises(IndexError, match=r"0\.\.4"):
        episodes[5]
    assert len(Episodes(sampler(disjoint=3, ways=3, shots=1))) == 3
    with pytest.raises(TypeError, match="no length"):
        len(Episodes(sampler()))


def expected(first: int, last: int, step: int = 1) -> list[tx.Episode]:
    episodes = Episodes(sampler())
    return [episodes[index] for index in range(first, last, step)]


@pytest.mark.parametrize(("workers", "chunk"), [(0, 1), (0, 5), (1, 4), (2, 3)])
def test_any_number_of_workers_gives_the_same_episodes_in_order(workers: int, chunk: int) -> None:
    loader = EpisodeLoader(sampler(), 13, workers=workers, chunk=chunk)
    found = list(loader)
    assert len(loader) == len(found) == 13
    assert all(same(one, other) for one, other in zip(found, expected(0, 13), strict=True))


# torch advises against more workers than cores; that there may be many is what is tested.
@pytest.mark.filterwarnings("ignore:This DataLoader will create 8 worker processes:UserWarning")
def test_eight_workers_and_more_workers_than_chunks() -> None:
    found = list(EpisodeLoader(sampler(), 6, workers=8, chunk=1))
    assert all(same(one, other) for one, other in zip(found, expected(0, 6), strict=True))


@pytest.mark.long
@pytest.mark.parametrize("context", ["fork", "forkserver", "spawn"])
def test_every_way_to_start_workers_gives_the_same_episodes(context: str) -> None:
    plain = tx.EpisodeSampler(toys.multiclass(60), shots=1, queries=1)
    here = list(EpisodeLoader(plain, 4, chunk=2))
    there = list(EpisodeLoader(plain, 4, chunk=2, workers=1, context=context))
    assert all(same(one, other) for one, other in zip(here, there, strict=True))


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_ranks_share_the_episodes_without_loss_or_repeat(ranks: int) -> None:
    shares = [list(EpisodeLoader(sampler(), 11, rank=rank, ranks=ranks)) for rank in range(ranks)]
    found = sorted(episode.plan.index for share in shares for episode in share)
    assert found == list(range(11))
    by_index = {episode.plan.index: episode for share in shares for episode in share}
    assert all(same(by_index[episode.plan.index], episode) for episode in expected(0, 11))


def test_resuming_in_the_middle_goes_on_with_the_same_episodes() -> None:
    resumed = list(EpisodeLoader(sampler(), 12, start=7, workers=1))
    assert all(same(one, other) for one, other in zip(resumed, expected(7, 12), strict=True))
    assert list(EpisodeLoader(sampler(), 3, start=3)) == []


def test_loading_neither_reads_nor_moves_global_random_state() -> None:
    states = (
        random.getstate(),
        np.random.get_state()[1].copy(),  # noqa: NPY002
        torch.get_rng_state(),
    )
    list(EpisodeLoader(sampler(), 4, workers=1))
    list(MixedBatchLoader(MixedBatches([Counted()], batch_size=4), 3, workers=1))
    assert random.getstate() == states[0]
    assert (np.random.get_state()[1] == states[1]).all()  # noqa: NPY002  what is guarded
    assert torch.equal(torch.get_rng_state(), states[2])


def test_a_failed_read_in_a_worker_names_episode_sample_and_file() -> None:
    with pytest.raises(
        ReadError, match=r"episode \d+: source 'numbers' could not read sample 7, file 7\.png"
    ):
        list(EpisodeLoader(sampler(Counted(bad=7)), 40, workers=1))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rank": 2, "ranks": 2}, "rank=2 is not below ranks=2"),
        ({"rank": -1}, "rank=-1"),
        ({"ranks": 0}, "ranks=0"),
        ({"workers": -1}, "workers=-1"),
        ({"chunk": 0}, "chunk=0"),
        ({"start": -1}, "start=-1"),
        ({"start": 6}, "start=6 is beyond stop=5"),
    ],
)
def test_impossible_shares_are_refused(changes, says) -> None:
    with pytest.raises(InputError, match=says):
        EpisodeLoader(sampler(), 5, **changes)


@pytest.mark.slow
def test_a_finite_sampler_says_where_to_stop() -> None:
    finite = sampler(disjoint=3, ways=3, shots=1)
    assert [episode.plan for episode in EpisodeLoader(finite)] == list(finite)
    with pytest.raises(InputError, match="stop=20 is beyond the 3 episodes"):
        EpisodeLoader(finite, 20)
    with pytest.raises(InputError, match="never ends; say where to stop"):
        EpisodeLoader(sampler())


@pytest.mark.parametrize("make", [lambda source: EpisodeLoader(source, 5), Episodes])
def test_a_source_is_no_sampler(make) -> None:
    with pytest.raises(
        InputError, match=r"not from a Counted; for a source, write EpisodeSampler\(source\)"
    ):
        make(Counted())


def test_episodes_move_and_pickle_whole() -> None:
    episode = Episodes(sampler())[2]
    assert same(pickle.loads(pickle.dumps(episode)), episode)
    assert same(episode.to("cpu"), episode)
    assert "support=Batch(x=float32[" in repr(episode)


def test_mixed_batches_come_the_same_from_workers_and_ranks() -> None:
    batches = MixedBatches([Counted("a"), Counted("b")], batch_size=8, seed=1)
    plain = [batches.read(batches[index]) for index in range(9)]
    for workers in (0, 2):
        found = list(MixedBatchLoader(batches, 9, workers=workers))
        assert [item.plan for item in found] == [item.plan for item in plain]
        assert all(
            torch.equal(one.batch.x, other.batch.x) for one, other in zip(found, plain, strict=True)
        )
    shares = [
        item.plan.index
        for rank in range(2)
        for item in MixedBatchLoader(batches, 9, rank=rank, ranks=2)
    ]
    assert sorted(shares) == list(range(9))
    for item in plain:
        assert item.batch.y.tolist() == LABELS[item.plan.samples].tolist()
        assert item.task.name == item.plan.source
