"""Episodes without common images: as many as there are."""

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.data import EpisodeSampler, toys
from torchcross.errors import InfeasibleError
from torchcross.experiment.rows.target_episodes import evaluation_sampler

DISJOINT = {
    "evaluation.disjoint": True,
    "evaluation.min_images": 0,
    "shots": [1, 2],
    "evaluation.queries": 3,
}


def test_as_many_as_were_asked_for_where_there_are():
    source = toys.binary(300, size=8)
    sampler = evaluation_sampler(source, toy_experiment(**DISJOINT, **{"evaluation.episodes": 4}))
    assert len(sampler) == 4
    assert [sampler[i].query.tolist() for i in range(4)] == [
        EpisodeSampler(source, shots=2, queries=3, disjoint=4)[i].query.tolist() for i in range(4)
    ]


@pytest.mark.parametrize("maker", [toys.binary, toys.multiclass, toys.multilabel, toys.ordinal])
def test_all_that_there_are_where_fewer(maker):
    source = maker(60, size=8)
    sampler = evaluation_sampler(
        source, toy_experiment(**DISJOINT, **{"evaluation.episodes": 1000})
    )
    count = len(sampler)
    assert 0 < count < 30
    used = [index for i in range(count) for index in (*sampler[i].support, *sampler[i].query)]
    assert len(used) == len(set(used))
    with pytest.raises(InfeasibleError):
        EpisodeSampler(source, shots=2, queries=3, disjoint=count + 1)


def test_where_there_is_not_one_the_reason_is_told():
    with pytest.raises(InfeasibleError, match="cannot give 2-shot episodes"):
        evaluation_sampler(toys.binary(4, size=8), toy_experiment(**DISJOINT))


def test_episodes_that_may_overlap_have_no_number():
    sampler = evaluation_sampler(
        toys.binary(100, size=8), toy_experiment(**{"evaluation.episodes": 4})
    )
    with pytest.raises(TypeError):
        len(sampler)


def test_subjects_are_kept_apart_unless_told_otherwise():
    assert (
        evaluation_sampler(toys.binary(100, size=8), toy_experiment()).request.groups == "respect"
    )
    ignored = toy_experiment(**{"evaluation.groups": "ignore"})
    assert evaluation_sampler(toys.binary(100, size=8), ignored).request.groups == "ignore"
