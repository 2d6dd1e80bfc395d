"""`check_sampler` catches samplers whose plans are right one by one, and wrong together."""

from __future__ import annotations

import sys
import types

import pytest

from tests.data.sampler_kinds import SAMPLERS
from tests.testing import broken_draws as broken
from tests.testing import process_dependent_draws as elsewhere
from tests.testing.their_samplers import TwelveEpisodes
from torchcross.errors import TorchcrossWarning
from torchcross.testing import check_sampler

FAULTS = {
    broken.AlwaysEpisodeZero: "a sample of an episode stood in that of the episode before 3,600",
    broken.EveryEpisodeTwice: "a sample of an episode stood in that of the episode before 3,600",
    broken.TwentyEpisodesOverAndOver: "was in none of the first 200 episodes 0 times",
    broken.KeepsTheClassesOfTheEpisodeBefore: "a class of an episode was one of the episode before",
    broken.SharesSamplesWithTheEpisodeBefore: "a sample of an episode stood in that of the episode",
    broken.GoesThroughEveryClassInEpochs: "an episode stood in that of the episode before 0 times",
    broken.SupportBecomesQuery: "a sample of an episode stood in that of the episode before",
    broken.NeverTheLastClass: "class 'e' was chosen 0 times in 400, expected were about 240",
    broken.NeverTheFirstClass: "class 'a' was chosen 0 times in 400, expected were about 240",
    broken.AlwaysTheSameClasses: "the classes of an episode were 'a', 'b', 'c' 400 times in 400",
    broken.ClassesInTurn: "the classes of an episode were 'a', 'b', 'd' 0 times in 400",
    broken.NeighbouringClasses: "the classes of an episode were 'a', 'b', 'd' 0 times in 400",
    broken.NeighboursOfManyClasses: "two classes of an episode were neighbours",
    broken.LargeClassesMoreOften: "class 'a' was chosen 385 times in 400, expected were about 240",
    broken.WaysAtTheLowerEnd: "an episode had 2 ways 400 times in 400, expected were about 133",
    broken.WaysNeverAtTheUpperEnd: "an episode had 4 ways 0 times in 400, expected were about 133",
    broken.ShotsAtTheLowerEnd: "an episode had 1 shots 400 times in 400, expected were about 133",
    broken.ShotsNeverAtTheUpperEnd: "an episode had 3 shots 0 times in 400, expected were about",
    broken.ShotsFollowWays: r"an episode had \d ways with \d shots",
    broken.FirstHalfOfEachClass: "the episode came from the first half of its class 7,200 times",
    broken.EverySecondSample: "came from every second sample of its class 7,200 times in 7,200",
    broken.SomeHalfOfEachClass: "was in none of the first 200 episodes 0 times",
    broken.NeverTheLastSample: "came from the last sample of its class 0 times in 7,200",
    broken.NeverTheFirstSample: "came from the first sample of its class 0 times in 7,200",
    broken.OneSampleOfAllNever: "a sample of class 'a' was sample 101 0 times in 1,344",
    broken.AFavouriteSample: "a sample of class 'a' was sample 5 224 times in 1,344",
    broken.EarlySamplesMoreOften: "came from the first half of its class 4,922 times in 7,200",
    broken.NeighbouringSamples: "a support and a query sample stood close together in their class",
    broken.SupportFromTheFirstHalf: "of the query came from the first half of its class 0 times",
    broken.AFixedSupport: "a sample of the support came from the first sample of its class 1,200",
    broken.AFixedQuery: "of a query stood in that of the episode before 1,460",
    broken.LeastSampleToSupport: "a sample of the support came from the first half of its class",
    broken.BalancedInsteadOfNatural: "a natural query was balanced 400 times in 400",
    broken.ClassesAlikeInANaturalQuery: "a sample of a natural query was of class 'a' 914 times",
    elsewhere.HashesAString: "drawn in another process, whose id and PYTHONHASHSEED",
    elsewhere.GoesThroughASet: "drawn in another process, whose id and PYTHONHASHSEED",
    elsewhere.ReadsItsProcessId: "drawn in another process, whose id and PYTHONHASHSEED",
    elsewhere.ReadsItsWorkerId: "drawn by a copy in worker 2 of 5 of a DataLoader",
    elsewhere.ReadsItsWorkersSeed: "drawn by a copy in worker 2 of 5 of a DataLoader",
    elsewhere.ReadsItsRank: "drawn by a copy in rank 1 of 3",
    elsewhere.FailsElsewhere: "drawing in another process failed: RuntimeError: not my process",
    elsewhere.EndsItsProcess: r"drawing in another process ended that process \(exit status 3\)",
}


@pytest.mark.parametrize("sampler", FAULTS, ids=lambda sampler: sampler.__name__)
def test_a_sampler_with_one_fault_is_caught(sampler):
    with pytest.raises(AssertionError, match=FAULTS[sampler]):
        check_sampler(sampler(), **sampler.asked)
    assert broken.torch_is_untouched()


@pytest.mark.parametrize(
    "sampler",
    [
        broken.Uniform,
        broken.UniformRanges,
        broken.UniformNatural,
        broken.UniformNaturalUnequal,
        elsewhere.Prints,
    ],
    ids=lambda sampler: sampler.__name__,
)
def test_the_same_samplers_without_the_fault_pass(sampler):
    check_sampler(sampler(), reseed=sampler, **sampler.asked)


@pytest.mark.parametrize(
    ("sampler", "message"),
    [
        (broken.IgnoresItsSeed, "stood in that of the same episode under another seed 7,200"),
        (
            broken.AddsItsSeedToTheNumber,
            "stood in that of the next episode under the seed before 7,200",
        ),
    ],
)
def test_seeds_that_do_not_matter_are_caught(sampler, message):
    check_sampler(sampler(), **sampler.asked)
    with pytest.raises(AssertionError, match=rf"with seeds \(11, 12\): .*{message}"):
        check_sampler(sampler(), reseed=sampler, **sampler.asked)


# -- another process ------------------------------------------------------------------------------


class OnlyHere(broken.Uniform):
    """Its module is known in this process alone, as that of a notebook is."""


def test_a_class_that_another_process_cannot_load_is_named(monkeypatch):
    module = types.ModuleType("a_module_of_this_process")
    module.OnlyHere = OnlyHere
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(OnlyHere, "__module__", module.__name__)
    with pytest.warns(
        TorchcrossWarning, match="another process cannot load OnlyHere .*module that"
    ):
        check_sampler(OnlyHere(), 3, **OnlyHere.asked)


# -- samplers with a length ------------------------------------------------------------------------


def test_episodes_that_share_no_sample_are_not_asked_to_be_independent():
    check_sampler(SAMPLERS["disjoint"](), disjoint=True)


class Twelve(TwelveEpisodes, broken.AlwaysEpisodeZero):
    pass


def test_a_finite_sampler_of_one_episode_is_caught():
    with pytest.raises(
        AssertionError, match="stood in that of the episode before 108 times in 108"
    ):
        check_sampler(Twelve(), **Twelve.asked)
