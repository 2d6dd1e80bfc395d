"""Episodes and batches that come in epochs, as the published scripts have them."""

from collections import Counter
from itertools import islice

import pytest
import torch

from tests.experiment.rows import made, published
from torchcross.data import Augmentation, Episodes, EpisodeSampler, toys
from torchcross.errors import InfeasibleError
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.rows.episode_epochs import EpisodeEpochs
from torchcross.experiment.rows.target_episodes import evaluation_sampler
from torchcross.training.feed import feed_of

SOURCES = [toys.binary(60, size=8), toys.multiclass(60, size=8)]


def epochs_of(**changes):
    samplers = [EpisodeSampler(source, shots=1, queries=1, seed=3) for source in SOURCES]
    return EpisodeEpochs(samplers, **{"per_source": 5, "seed": 3, **changes})


def drawn(plan):
    return plan.source, plan.support.tolist(), plan.query.tolist()


@pytest.mark.parametrize("repeated", [False, True])
def test_an_epoch_has_as_many_episodes_of_each_source(repeated):
    plans = epochs_of(repeated=repeated)
    assert plans.episodes_per_epoch == 10
    first, second = ([plans[number] for number in range(e * 10, e * 10 + 10)] for e in (0, 1))
    for epoch in (first, second):
        assert Counter(plan.source for plan in epoch) == {source.name: 5 for source in SOURCES}
        assert [plan.source for plan in epoch] != sorted(plan.source for plan in epoch)
    assert [plan.index for plan in first + second] == list(range(20))
    same = sorted(map(drawn, first)) == sorted(map(drawn, second))
    assert same is repeated
    assert list(map(drawn, first)) != list(map(drawn, second)), "in another order"
    # The episodes are those of each source's own sampler.
    for source in SOURCES:
        own = EpisodeSampler(source, shots=1, queries=1, seed=3)
        expected = sorted(drawn(own[number]) for number in range(5))
        assert sorted(drawn(plan) for plan in first if plan.source == source.name) == expected


def test_plans_are_a_function_of_seed_and_number():
    assert epochs_of()[13] == epochs_of()[13] == epochs_of().batch([13])[0]
    orders = [[plan.source for plan in epochs_of(seed=seed).batch(range(10))] for seed in range(4)]
    assert len(set(map(tuple, orders))) > 1


def test_training_episodes_are_augmented_in_support_and_query(splits):
    chosen = {"meta.shots": [1, 1], "meta.queries": 1}
    data = made("mm-maml", published(**chosen), splits, seed=4).data
    plain = made("mm-maml", published(**chosen, **{"meta.augment": False}), splits, seed=4).data
    assert isinstance(plain, EpisodeEpochs)
    augment = Augmentation.medimeta(4)
    changed = {"support": 0, "query": 0}
    for number in range(6):
        before, after = Episodes(plain)[number], data[number]
        assert before.plan == after.plan
        expected = augment(before, query=True)
        for name in changed:
            assert torch.equal(getattr(after, name).x, getattr(expected, name).x)
            assert torch.equal(getattr(after, name).y, getattr(before, name).y)
            changed[name] += not torch.equal(getattr(after, name).x, getattr(before, name).x)
    assert changed == {"support": 6, "query": 6}


def test_a_repeated_episode_is_augmented_anew(splits):
    chosen = {"meta.shots": [1, 1], "meta.queries": 1, "meta.epoch_episodes": 2}
    data = made("mm-maml", published(**chosen), splits, seed=4).data
    first, second = (
        sorted([data[number] for number in range(e * 6, e * 6 + 6)], key=lambda e: drawn(e.plan))
        for e in (0, 1)
    )
    assert [drawn(episode.plan) for episode in first] == [drawn(each.plan) for each in second]
    assert not any(
        torch.equal(one.support.x, two.support.x) for one, two in zip(first, second, strict=True)
    )


def test_fit_reads_augmented_episodes(splits):
    setup = made("protonet", published(**{"meta.queries": 1}), splits, seed=4)
    feed = feed_of(setup.learner, setup.data, workers=0, transform=None, pin_memory=False)
    for number, episode in enumerate(islice(feed.read(0, 3), 3)):
        assert torch.equal(episode.query.x, setup.data[number].query.x)


def test_without_epochs_a_source_is_drawn_for_each_episode(splits):
    chosen = {"meta.steps": 5, "meta.episodes": "new", "meta.augment": False}
    sampler = made("mm-maml", published(**chosen, **{"meta.filter_binary": True}), splits).data
    assert isinstance(sampler, EpisodeSampler)
    assert list(sampler.sources) == splits[0]


@pytest.mark.parametrize(
    ("chosen", "renewed"), [({}, False), ({"running_statistics": "renewed"}, True)]
)
def test_running_statistics_stay_as_published_or_are_renewed(chosen, renewed, splits):
    told = published(**{f"meta.{name}": value for name, value in chosen.items()})
    renewal = made("mm-maml", told, splits).renewal
    assert (renewal is not None) is renewed
    if renewal is not None:
        assert renewal.augment is None, "statistics are of images as they are"
        assert renewal[3].plan == made("mm-maml", told, splits).data[3].plan


def test_a_binary_target_of_few_images_is_scored_as_published():
    few = toys.binary(200, size=8)
    assert min(torch.bincount(few.targets(range(200)))) < 50
    assert evaluation_sampler(few, published()).request.min_samples is None
    with pytest.raises(InfeasibleError, match=r"evaluation\.min_images = 50 leaves out"):
        evaluation_sampler(few, published(**{"evaluation.filter_binary": True}))
    assert evaluation_sampler(toys.multiclass(400, size=8), published()).request.min_samples == 50


def test_the_page_says_where_running_statistics_come_from(tmp_path):
    place = "running statistics that adaptation begins with"
    rows = {"algorithms": ["scratch", "mm-pt", "mm-maml"]}
    new = "those of a new network, mean 0 and variance 1"
    said = choices(published(**rows))[place]
    assert said == (
        f"scratch: {new}; mm-pt: as training on the sources left them; mm-maml: {new}, which"
        " training does not move, as published"
    )
    renewed = choices(published(**rows, **{"meta.running_statistics": "renewed"}))[place]
    assert "mm-maml: renewed on 40 episodes of the sources after training" in renewed
    assert renewed.endswith("(as published, those of the ImageNet weights stay)")
    (tmp_path / "w.pth").touch()
    weights = {"model.weights": str(tmp_path / "w.pth")}
    assert (
        "mm-maml: those of the published weights, which training does not move"
        in (choices(published(**rows, **weights))[place])
    )
