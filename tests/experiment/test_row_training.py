"""How rows learn: from which episodes and batches, for how long, from which heads."""

from collections import Counter

import numpy as np
import pytest
import torch

from tests.experiment.rows import (
    BY_STEPS,
    EPISODIC,
    made,
    published,
    weights_of,
)
from torchcross import algorithms
from torchcross.algorithms._shared.draw_key import DrawKey
from torchcross.data import Augmentation, MixedBatches, TensorSource
from torchcross.experiment.rows import training_setup as setups
from torchcross.targets import Binary
from torchcross.task import Task


def test_meta_learners_are_the_published_ones(splits):
    kinds = {
        "mm-maml": (algorithms.MAML, 2, "zero"),
        "fo-maml": (algorithms.MAML, 1, "zero"),
        "proto-maml": (algorithms.ProtoMAML, 2, "proto"),
        "anil": (algorithms.ANIL, 2, "zero"),
        "boil": (algorithms.BOIL, 2, "kaiming"),
        "meta-sgd": (algorithms.MetaSGD, 2, "zero"),
    }
    for name, (kind, order, head) in kinds.items():
        learner = made(name, published(), splits).learner
        recipe = learner.recipe
        assert type(learner) is kind, name
        assert (recipe.steps, recipe.lr, recipe.optimiser, recipe.head) == (
            4,
            0.1,
            "sgd",
            head,
        ), name
        assert learner.protocol()["order"] == order, name
    reptile = made("reptile", published(), splits).learner
    assert type(reptile) is algorithms.Reptile
    assert (reptile.recipe.steps, reptile.recipe.lr, reptile.recipe.optimiser) == (4, 1e-3, "adam")
    assert type(made("protonet", published(), splits).learner) is algorithms.ProtoNet
    assert type(made("ridge", published(), splits).learner) is algorithms.Ridge


def test_inner_loops_are_what_the_experiment_says(splits):
    told = published(**{"meta.inner_steps": 2, "meta.inner_lr": 0.3})
    for name in sorted(BY_STEPS):
        recipe = made(name, told, splits).learner.recipe
        assert recipe.steps == 2
        assert recipe.lr == (1e-3 if name == "reptile" else 0.3)


@pytest.mark.parametrize("name", sorted(EPISODIC))
def test_meta_training_is_the_published_course(name, splits):
    options = made(name, published(), splits, seed=4).options
    assert (options.optimiser, options.lr, options.schedule, options.weight_decay) == (
        "adam",
        1e-3,
        "constant",
        0,
    )
    assert (options.meta_batch, options.patience, options.seed) == (1, 5, 4)
    # 1,000 episodes of each of three sources make an epoch, and there are at most 1,000 epochs.
    assert (options.steps, options.validate_every) == (3_000_000, 3000)
    assert options.epoch_steps == 3000
    assert (options.clip, options.ema, options.warmup, options.min_delta) == (None, None, 0, 0)


@pytest.mark.parametrize("name", sorted(EPISODIC))
def test_meta_training_takes_the_published_episodes(name, splits):
    plans = made(name, published(), splits, seed=4).data.sampler
    assert list(plans.sources) == splits[0]
    for sampler in plans._samplers.values():
        (source,), request = sampler.sources, sampler.request
        fewest = None if source.task.name == "hole" else 40
        assert (request.ways, request.shots, request.queries) == ((2, None), (1, 10), 10)
        assert request.min_samples == fewest, "binary tasks are not filtered"
        assert (request.query, request.groups, sampler.seed) == ("balanced", "respect", 4)


@pytest.mark.parametrize("name", ["mm-pt", "supervised"])
def test_pretraining_is_the_published_course(name, splits):
    made_of = made(name, published(), splits, seed=4)
    options = made_of.options
    assert (options.optimiser, options.lr, options.schedule, options.weight_decay) == (
        "adam",
        1e-3,
        "constant",
        0,
    )
    assert (options.meta_batch, options.patience, options.seed) == (1, 10, 4)
    sources = splits[0] if name == "mm-pt" else splits[0][:1]
    epoch = sum(-(-len(source) // 64) for source in sources)
    assert options.epoch_steps == options.validate_every == epoch
    assert options.steps == 1000 * epoch
    item = next(made_of.data.read(0, 1))
    assert len(item.batch.x) == 64
    assert item.batch.x.shape[1:] == (1, 16, 16)


def test_full_supervision_learns_one_task(splits):
    learner = made("supervised", published(), splits).learner
    assert type(learner) is algorithms.Supervised
    assert learner.tasks == (splits[0][0].task,)


def test_pretraining_has_a_head_for_every_source(splits):
    learner = made("mm-pt", published(), splits).learner
    assert type(learner) is algorithms.MultiTask
    assert learner.tasks == tuple(source.task for source in splits[0])


def test_heads_begin_at_zero(splits):
    heads = weights_of(made("mm-pt", published(), splits).learner.heads)
    assert len(heads) == 6
    assert not any(value.any() for value in heads.values())


@pytest.mark.parametrize("name", ["mm-pt", "supervised"])
def test_kaiming_heads_begin_from_the_seed(name, splits):
    told = published(**{"pretraining.heads": "kaiming"})
    heads = [weights_of(made(name, told, splits, seed=seed).learner.heads) for seed in (0, 1, 1)]
    assert all(torch.equal(heads[1][key], heads[2][key]) for key in heads[1])
    assert not all(torch.equal(heads[0][key], heads[1][key]) for key in heads[0])


@pytest.mark.parametrize(("missing", "last"), [(0, "drop"), (0, "keep"), (110, "keep")])
def test_losses_are_scaled_by_the_batches_that_come(missing, last, splits):
    """The rule is `largest / own`, with what one pass holds: a source without some labels has
    fewer.
    """
    train, val = splits
    codes = train[0].targets(range(len(train[0]))).numpy()
    codes[:missing] = -1
    task = Task("hole", Binary(["solid", "hole"], missing=-1), "ink")
    train[0] = TensorSource(train[0].images(np.arange(len(codes))), codes, task, name="ink/hole")
    chosen = {"pretraining.batch_size": 48, "pretraining.last_batch": last}
    batches = MixedBatches(train, batch_size=48, seed=0, order="epoch", last_batch=last)
    epoch = batches.batches_per_epoch
    count = Counter(batches[number].source for number in range(epoch))

    def factors(number, **more):
        learner = made("mm-pt", published(**chosen, **more), (train, val)).learner
        key = DrawKey("a batch", 0, number)
        return [learner._loss_factor(source.task, key) for source in train]

    scaled = [max(count.values()) / count[source.name] for source in train]
    assert set(scaled) != {1.0}
    assert factors(epoch - 1) == [1.0] * 3, "the first epoch is without, as published"
    assert factors(epoch) == scaled
    assert factors(0, **{"pretraining.scale_from_epoch": 1}) == scaled
    assert factors(2 * epoch - 1, **{"pretraining.scale_from_epoch": 3}) == [1.0] * 3
    assert factors(epoch, **{"pretraining.scale_losses": False}) == [1.0] * 3


def test_pretraining_batches_are_the_published_ones(splits):
    """Passes over all sources, images flipped, rotated and cropped by chance, the same whenever
    they are asked for.
    """
    data = made("mm-pt", published(), splits, seed=4).data
    batches = MixedBatches(splits[0], batch_size=64, seed=4, order="epoch", last_batch="keep")
    changed = Augmentation.medimeta(4)
    taken = list(data.read(0, batches.batches_per_epoch))
    assert [item.plan for item in taken] == [
        batches[number] for number in range(batches.batches_per_epoch)
    ]
    assert torch.equal(taken[3].batch.x, changed(batches.read(batches[3])).batch.x)
    assert not torch.equal(taken[3].batch.x, batches.read(batches[3]).batch.x)
    (again,) = data.read(1, 5, rank=2, ranks=4)
    assert torch.equal(again.batch.x, taken[3].batch.x)
    plain = made("mm-pt", published(**{"pretraining.augment": False}), splits, seed=4).data
    assert isinstance(plain, MixedBatches)
    assert (plain.order, plain.batch_size, plain.seed) == ("epoch", 64, 4)


def test_other_batches_have_another_fingerprint(splits):
    prints = [
        made("mm-pt", published(), splits, seed=4).data.fingerprint(2),
        made("mm-pt", published(), splits, seed=5).data.fingerprint(2),
        made("mm-pt", published(**{"pretraining.batch_size": 32}), splits, seed=4).data.fingerprint(
            2
        ),
        made("mm-pt", published(), splits, seed=4).data.fingerprint(3),
    ]
    batches = MixedBatches(splits[0], batch_size=64, seed=4, order="epoch")
    prints.append(
        setups.AugmentedFeed(batches, Augmentation(rotation=20.0, seed=4), 0).fingerprint(2)
    )
    assert len(set(prints)) == 5
    assert made("mm-pt", published(), splits, seed=4).data.fingerprint(2) == prints[0]
