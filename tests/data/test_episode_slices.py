"""Slices of episodes, negative indexes and integers of numpy."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from torch.utils.data import DataLoader

import torchcross as tx
from torchcross import backbones
from torchcross.algorithms import ProtoNet
from torchcross.data import toys
from torchcross.errors import InputError

SAMPLER = tx.EpisodeSampler(toys.binary(100, size=16), shots=2, queries=3, seed=5)
CHANNELS = 1


def indices(episodes: object) -> list[int]:
    return [episode.plan.index for episode in episodes]  # type: ignore[attr-defined]


def test_a_slice_is_a_sequence_of_the_same_episodes() -> None:
    episodes = tx.Episodes(SAMPLER)
    some = episodes[3:9:2]
    assert len(some) == 3
    assert indices(some) == [3, 5, 7]
    assert (some[1].support.x == episodes[5].support.x).all()
    assert indices(some[1:]) == [5, 7]
    assert some[-1].plan.index == some[np.int64(2)].plan.index == 7
    assert indices(pickle.loads(pickle.dumps(some))) == [3, 5, 7]
    assert repr(some) == f"episodes range(3, 9, 2) of {episodes!r}"
    assert indices(some[::-1]) == [7, 5, 3]
    assert indices(some[1:][:1]) == [5]


def test_a_slice_reads_nothing_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    monkeypatch.setattr(SAMPLER.sources[0], "images", lambda numbers: reads.append(1))
    assert len(tx.Episodes(SAMPLER)[0:1_000_000]) == 1_000_000
    assert not reads


def test_bounds_are_those_of_python_where_there_is_an_end() -> None:
    finite = tx.Episodes(SAMPLER, 6)
    assert indices(finite[:]) == list(range(6))
    assert indices(finite[-2:100]) == [4, 5]
    assert indices(finite[::-2]) == [5, 3, 1]
    assert indices(finite[4:2]) == []
    assert finite[-1].plan.index == finite[np.int32(5)].plan.index == 5
    for outside in (6, -7):
        with pytest.raises(IndexError, match=r"episode -?\d is outside 0\.\.5"):
            finite[outside]
    with pytest.raises(IndexError, match=r"outside 0\.\.1"):
        finite[0:2][2]
    disjoint = tx.Episodes(
        tx.EpisodeSampler(toys.binary(100, size=16), shots=2, queries=3, disjoint=3)
    )
    assert disjoint[-1].plan.index == 2
    assert indices(disjoint[1:]) == [1, 2]


def test_without_an_end_a_slice_says_where_to_stop() -> None:
    endless = tx.Episodes(SAMPLER)
    for item in (slice(3, None), slice(None), slice(-3, 4), slice(0, -1), slice(None, 3, -1)):
        with pytest.raises(InputError, match=r"have no end; write episodes\[0:10\], or give Epis"):
            endless[item]
    with pytest.raises(IndexError, match=r"episode -1 counts from the end, and these episodes"):
        endless[-1]
    for wrong in (slice(0, 2.5), slice("a", 3), slice(0, 4, 0)):
        for episodes in (endless, endless[0:10]):
            with pytest.raises(InputError, match=r"a slice of episodes has integers and no step"):
                episodes[wrong]
    with pytest.raises(TypeError, match=r"is an integer, not 1\.5; for several episodes, write"):
        endless[1.5]  # type: ignore[call-overload]


def test_without_an_end_a_slice_goes_backwards_from_where_it_starts() -> None:
    endless = tx.Episodes(SAMPLER)
    assert indices(endless[8:3:-2]) == [8, 6, 4]
    assert indices(endless[2::-1]) == [2, 1, 0]
    assert indices(endless[3:8:-2]) == []
    assert indices(endless[np.int64(5) : 3 : np.int64(-1)]) == [5, 4]


def test_a_data_loader_and_evaluate_take_a_slice() -> None:
    some = tx.Episodes(SAMPLER)[10:13]
    loader = DataLoader(some, batch_size=2, collate_fn=list)
    assert [indices(batch) for batch in loader] == [[10, 11], [12]]
    algorithm = ProtoNet(backbones.conv4(4, in_channels=CHANNELS))
    records = tx.evaluate(algorithm, some, run="r", algorithm="a", metrics=["accuracy"])
    assert [record.episode for record in records] == [10, 11, 12]


def test_training_refuses_a_slice_and_says_what_to_give() -> None:
    algorithm = ProtoNet(backbones.conv4(4, in_channels=CHANNELS))
    with pytest.raises(InputError, match=r"fit got EpisodeSlice; give a sampler: EpisodeSampler"):
        tx.fit(algorithm, tx.Episodes(SAMPLER)[0:4], options=tx.FitOptions(steps=1))  # type: ignore[arg-type]
