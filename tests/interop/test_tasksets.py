import pytest
import torch

import torchcross as tx
from tests.interop.fakes import Taskset, fast_adapt_split
from torchcross.data import toys
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.interop import EpisodeTaskset, TasksetEpisodes
from torchcross.targets import MultiClass
from torchcross.task import Task


def toy_episodes(shots=2, queries=2):
    return tx.Episodes(
        tx.EpisodeSampler(toys.multiclass(120, size=8), shots=shots, queries=queries, seed=0)
    )


@pytest.mark.parametrize("queries", [2, 3])
def test_episodes_are_split_again_by_learn2learns_scripts(queries):
    episodes = toy_episodes(queries=queries)
    taskset = EpisodeTaskset(episodes, count=3)
    assert len(taskset) == len(list(taskset)) == 3
    for index, (data, labels) in enumerate(taskset):
        support, query = fast_adapt_split(data, labels, shots=2, ways=5)
        for task, batch in ((support, episodes[index].support), (query, episodes[index].query)):
            assert torch.equal(task[0], batch.x)
            assert torch.equal(task[1], batch.y)


def test_sample_goes_round_in_order():
    taskset = EpisodeTaskset(toy_episodes(), count=2)
    for index in (0, 1, 0):
        assert torch.equal(taskset.sample()[0], taskset[index][0])
    with pytest.raises(IndexError, match=r"task 2 is outside 0\.\.1"):
        taskset[2]


def test_too_few_queries_cannot_be_woven():
    with pytest.raises(
        InputError, match=r"10 support and 5 query samples.*as many queries as shots"
    ):
        EpisodeTaskset(toy_episodes(queries=1), count=1)[0]
    with pytest.raises(InputError, match="count=0"):
        EpisodeTaskset(toy_episodes(), count=0)


def test_tasksets_become_episodes():
    episodes = TasksetEpisodes(Taskset(ways=3, shots=2), shots=2)
    assert len(episodes) == len(list(episodes)) == 4
    episode = episodes[1]
    assert isinstance(episode, Episode)
    assert episode.task.classes == ("0", "1", "2")
    assert episode.support.x.flatten().tolist() == [100, 102, 104, 106, 108, 110]
    assert episode.query.x.flatten().tolist() == [101, 103, 105, 107, 109, 111]
    assert episode.support.y.tolist() == episode.query.y.tolist() == [0, 0, 1, 1, 2, 2]
    named = TasksetEpisodes(
        Taskset(), shots=2, task=Task("shape", MultiClass(["disc", "square", "star"]))
    )
    assert named[0].task.classes == ("disc", "square", "star")


def test_there_and_back():
    episodes = toy_episodes()
    again = TasksetEpisodes(EpisodeTaskset(episodes, count=2), shots=2, task=episodes[0].task)[1]
    assert torch.equal(again.support.x, episodes[1].support.x)
    assert torch.equal(again.query.y, episodes[1].query.y)


@pytest.mark.parametrize(
    ("task", "match"),
    [
        ((torch.zeros(4, 1), torch.tensor([5, 5, 9, 9])), r"labels \[5, 9\].*RemapLabels"),
        (
            (torch.zeros(4, 1), torch.tensor([0, 1, 0, 1])),
            r"\[2, 0\] samples.*KShots\(dataset, 2\)",
        ),
        ((torch.zeros(4, 1), torch.tensor([0, 0, 0, 0])), "RemapLabels"),
        ((torch.zeros(4, 1), torch.zeros(3)), r"returns \(data, labels\)"),
        (Batch(torch.zeros(4, 1), torch.zeros(4).long()), "task 0 is a Batch"),
    ],
)
def test_tasks_of_another_form_are_refused(task, match):
    with pytest.raises(InputError, match=match):
        TasksetEpisodes([task], shots=1)[0]


def test_a_taskset_without_length_or_shots():
    class Endless:
        def __getitem__(self, index):
            return Taskset()[index]

    endless = TasksetEpisodes(Endless(), shots=2)
    assert len(endless[7].support) == 6
    with pytest.raises(TypeError, match="Endless has no length"):
        len(endless)
    with pytest.raises(InputError, match="shots=0"):
        TasksetEpisodes(Taskset(), shots=0)
