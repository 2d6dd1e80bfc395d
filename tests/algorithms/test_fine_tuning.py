"""Fine-tuning as it is practised, against plain loops of torch.optim in float64."""

import copy
import math

import pytest
import torch
import torch.nn.functional as F

from tests.algorithms.cases import TARGETS, Net, episode_of
from tests.algorithms.converged import KINDS, Once, every_kind, features_and_labels
from torchcross import backbones
from torchcross.algorithms import FineTune, LogisticRegression
from torchcross.data import Augmentation
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.targets import MultiClass
from torchcross.task import Task

EPISODE = episode_of(TARGETS["multiclass"], seed=1)
STEPS = 6
RATES = {
    "steps": STEPS,
    "lr": 0.05,
    "backbone_lr": 0.004,
    "optimiser": "adamw",
    "weight_decay": 0.1,
    "head": "zero",
}


def plain_loop(module, head, groups, images_of, *, factors=None, weight_decay=0.1):
    """AdamW over groups of (names, rate), on what `images_of` says that each step sees."""
    named = {**dict(module.named_parameters()), **head}
    theirs = torch.optim.AdamW(
        [{"params": [named[name] for name in names], "lr": rate} for names, rate in groups],
        weight_decay=weight_decay,
    )
    rates = [group["lr"] for group in theirs.param_groups]
    for step in range(STEPS):
        for group, rate in zip(theirs.param_groups, rates, strict=True):
            group["lr"] = rate * (1.0 if factors is None else factors[step])
        images, labels = images_of(step)
        theirs.zero_grad()
        logits = F.linear(module(images), head["head.weight"], head["head.bias"])
        F.cross_entropy(logits, labels).backward()
        theirs.step()
    return {name: value.detach() for name, value in named.items()}


def zero_head_of(width):
    return {
        "head.weight": torch.zeros(3, width, dtype=torch.float64, requires_grad=True),
        "head.bias": torch.zeros(3, dtype=torch.float64, requires_grad=True),
    }


def assert_equal_tensors(predictor, expected):
    for name, value in {**predictor.tensors["params"], **predictor.tensors["head"]}.items():
        torch.testing.assert_close(value, expected[name], rtol=1e-9, atol=1e-9)


def whole_support(step):
    return EPISODE.support.x, EPISODE.support.y


def test_own_rates_and_decay_are_adamw_with_two_groups():
    tuned = FineTune(
        Net(),
        **RATES,
    ).adapt(EPISODE.support, EPISODE.task)
    module, head = Net().train(), zero_head_of(4)
    groups = [([name for name, _ in module.named_parameters()], 0.004), (list(head), 0.05)]
    assert_equal_tensors(tuned, plain_loop(module, head, groups, whole_support))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_schedule_multiplies_all_rates(schedule):
    tuned = FineTune(
        Net(),
        **RATES,
        schedule=schedule,
        warmup=2,
    ).adapt(EPISODE.support, EPISODE.task)
    module, head = Net().train(), zero_head_of(4)
    groups = [([name for name, _ in module.named_parameters()], 0.004), (list(head), 0.05)]
    factors = [0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    if schedule == "cosine":
        factors[2:] = [(1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)]
    expected = plain_loop(module, head, groups, whole_support, factors=factors)
    assert_equal_tensors(tuned, expected)


def small_vit():
    return backbones.small_vit(
        image_size=6, patch_size=3, width=12, depth=3, heads=2, in_channels=1, seed=0
    ).double()


def test_layer_decay_is_adamw_with_a_group_for_each_block():
    tuned = FineTune(
        small_vit(),
        **RATES,
        layer_decay=0.5,
    ).adapt(EPISODE.support, EPISODE.task)
    module, head = small_vit().train(), zero_head_of(12)
    names = [name for name, _ in module.named_parameters()]
    groups = [(list(head), 0.05)]
    inside = set()
    for block in range(3):
        own = [name for name in names if f"layers.{block}." in name or f"layer_{block}." in name]
        assert own
        inside.update(own)
        groups.append((own, 0.004 * 0.5 ** (3 - block)))
    after = [name for name in names if name.startswith("encoder.ln.")]
    groups.append((after, 0.004))
    groups.append(([name for name in names if name not in {*inside, *after}], 0.004 * 0.5**4))
    assert_equal_tensors(tuned, plain_loop(module, head, groups, whole_support))


def test_batches_see_every_sample_equally_often_and_belong_to_seed_and_number():
    learner = FineTune(
        Net(), steps=STEPS, batch=4, lr=0.05, optimiser="adamw", weight_decay=0.1, head="zero"
    )
    seen = []
    support = learner.network.support
    learner.network.support = lambda params, buffers, x, **more: (
        seen.append(x.detach().clone()),
        support(params, buffers, x, **more),
    )[1]
    learner._feature_counts[learner.network.generation, (1, 6, 6)] = 4
    tuned = learner.adapt(EPISODE.support, EPISODE.task)
    del learner.network.support
    assert [len(images) for images in seen] == [4] * STEPS
    rows = [
        [int((EPISODE.support.x == image).flatten(1).all(1).nonzero()) for image in images]
        for images in seen
    ]
    counts = torch.bincount(torch.tensor(rows).flatten())
    assert counts.tolist() == [STEPS * 4 // 8] * 8
    assert sorted(rows[0] + rows[1]) == list(range(8))

    def batch_of(step):
        return EPISODE.support.x[rows[step]], EPISODE.support.y[rows[step]]

    module, head = Net().train(), zero_head_of(4)
    groups = [([name for name, _ in module.named_parameters()], 0.05), (list(head), 0.05)]
    assert_equal_tensors(tuned, plain_loop(module, head, groups, batch_of))
    for other in ({"seed": 1}, {"index": 1}):
        changed = learner.adapt(EPISODE.support, EPISODE.task, **other)
        assert not torch.equal(
            changed.tensors["head"]["head.weight"], tuned.tensors["head"]["head.weight"]
        )


def test_augmented_supports_are_those_of_the_augmentation():
    augmentation = Augmentation(rotation=0, crop_probability=0, horizontal_flip=0.5)
    options = {"steps": STEPS, "lr": 0.05, "optimiser": "adamw", "weight_decay": 0.1}
    learner = FineTune(Net(), augmentation=augmentation, head="zero", **options)
    tuned = learner.adapt(EPISODE.support, EPISODE.task, seed=3, index=7)

    def images_of(step):
        part = f"support of step {step}, seed 3"
        return augmentation.apply(EPISODE.support.x, index=7, part=part), EPISODE.support.y

    module, head = Net().train(), zero_head_of(4)
    groups = [([name for name, _ in module.named_parameters()], 0.05), (list(head), 0.05)]
    assert_equal_tensors(tuned, plain_loop(module, head, groups, images_of))
    as_it_is = FineTune(Net(), head="zero", **options).adapt(EPISODE.support, EPISODE.task)
    assert not torch.equal(
        as_it_is.tensors["head"]["head.weight"], tuned.tensors["head"]["head.weight"]
    )


def test_augmentation_comes_before_the_normalisation():
    """A black corner is black, not the mean."""

    class Black:
        def apply(self, images, *, index, part):
            return torch.zeros_like(images)

    class MeanAndStd:
        mean, std = (0.5,), (0.25,)

    learner = FineTune(Net(), augmentation=Black(), normalise=MeanAndStd(), steps=1, norm="frozen")
    black = Batch(torch.zeros_like(EPISODE.support.x), EPISODE.support.y)
    plain = FineTune(Net(), normalise=MeanAndStd(), steps=1, norm="frozen")
    tensors = [
        each.adapt(support, EPISODE.task).tensors["head"]["head.weight"]
        for each, support in ((learner, EPISODE.support), (plain, black))
    ]
    assert torch.equal(*tensors)


def test_a_training_step_with_views_is_the_loop_of_adaptation():
    learner = FineTune(Net(), steps=3, batch=3, augmentation=Augmentation(rotation=0), head="zero")
    step = learner.training_step([EPISODE, episode_of(TARGETS["multiclass"], seed=2)])
    predictor = learner.adapt(EPISODE.support, EPISODE.task, index=EPISODE.plan.index)
    loss = EPISODE.task.target.loss(predictor.logits(EPISODE.query.x), EPISODE.query.y)
    torch.testing.assert_close(step.losses[0], loss, rtol=1e-9, atol=1e-9)
    learner.lanes = 2
    again = learner.training_step([EPISODE, episode_of(TARGETS["multiclass"], seed=2)])
    torch.testing.assert_close(step.losses, again.losses, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("target", ["multiclass", "multilabel"])
def test_batches_share_lanes(target):
    episodes = [episode_of(TARGETS[target], seed) for seed in range(3)]
    learner = FineTune(Net(), steps=3, batch=3, head="logistic", lr=0.01, norm="batch")
    loop = learner.training_step(episodes).losses
    learner.lanes = 3
    lanes = learner.training_step(episodes)
    assert lanes.groups == ((0, 1, 2),)
    torch.testing.assert_close(loop, lanes.losses, rtol=1e-8, atol=1e-9)


# -- heads -----------------------------------------------------------------------------------------


@every_kind
def test_the_logistic_start_predicts_as_the_solution(kind):
    """Ordinal targets are read through a softmax here, unless their loss is cumulative."""
    target = KINDS[kind]
    support, labels, query = features_and_labels(target, missing=2 if kind == "multilabel" else 0)
    like = target if kind != "ordinal" else target.with_loss("cumulative_link")
    assert_start_is_solution(like, support, labels, query)
    if kind == "ordinal":
        assert_start_is_solution(target.with_loss("coral"), support, labels, query)


def assert_start_is_solution(target, support, labels, query):
    net, task = Once(torch.float64), Task("made-up", target)
    start = FineTune(net, steps=0, head="logistic").adapt(Batch(support, labels), task)
    length = torch.linalg.vector_norm(support, dim=1).mean()
    solution = LogisticRegression(net, C=10, unit_length=False)
    scaled = solution.adapt(Batch(support / length, labels), task)
    expected = scaled(query / length).probabilities
    torch.testing.assert_close(start(query).probabilities, expected, rtol=1e-7, atol=1e-9)


def test_the_logistic_start_of_ranks_through_a_softmax_is_that_of_classes():
    target = KINDS["ordinal"]
    support, labels, query = features_and_labels(target)
    classes = MultiClass(target.classes)
    one, other = (
        FineTune(Once(torch.float64), steps=0, head="logistic")
        .adapt(Batch(support, labels), Task("made-up", each))(query)
        .probabilities
        for each in (target, classes)
    )
    assert torch.equal(one, other)


def test_a_loss_without_a_linear_head_has_no_logistic_start():
    learner, episode = FineTune(Net(), head="logistic"), episode_of(TARGETS["ordinal-corn"])
    with pytest.raises(InputError, match=r"has no logistic start.*'corn'"):
        learner.adapt(episode.support, episode.task)


# -- layers ----------------------------------------------------------------------------------------


def rates_of(backbone, **options):
    return FineTune(backbone, lr=1.0, layer_decay=0.5, **options)._fixed_rates()


def test_blocks_of_the_librarys_backbones():
    conv = rates_of(backbones.conv4(4, in_channels=1))
    assert [conv[f"layers.{at}.conv.weight"] for at in range(4)] == [1 / 16, 1 / 8, 1 / 4, 1 / 2]
    resnet = rates_of(backbones.resnet18(in_channels=1))
    assert resnet["conv1.weight"] == 0.5**9
    assert resnet["layer1.0.conv1.weight"] == 0.5**8
    assert resnet["layer2.0.downsample.1.bias"] == 0.5**6
    assert resnet["layer4.1.bn2.weight"] == 0.5
    assert resnet["head.weight"] == 1


def test_blocks_by_patterns():
    rates = rates_of(Net(), blocks=["conv1.*", "conv2.*"])
    assert rates["conv1.weight"] == 0.25
    assert rates["norm1.weight"] == 0.25
    assert rates["conv2.weight"] == 0.5
    assert rates["norm2.weight"] == 1


# -- bad input -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"lr": 0.0}, "lr=0.0 is not a finite number above 0"),
        ({"lr": -1e-3}, "above 0"),
        ({"backbone_lr": 0}, "backbone_lr=0 is not"),
        ({"lr": ()}, "empty grid"),
        ({"backbone_lr": []}, "empty grid"),
        ({"lr": (1e-3, 1e-3)}, "a rate twice"),
        ({"lr": (1e-3, float("nan"))}, "finite number"),
        ({"layer_decay": 0.0}, "layer_decay=0.0"),
        ({"layer_decay": 1.5}, "layer_decay=1.5"),
        ({"layer_decay": 0.5}, "Net has none"),
        ({"layer_decay": 0.5, "blocks": []}, "give a list"),
        ({"layer_decay": 0.5, "blocks": "conv1.*"}, "give a list"),
        ({"layer_decay": 0.5, "blocks": ["conv1.*", "conv*"]}, "in block 1 and in block 2"),
        ({"blocks": ["conv1.*"]}, "without a layer_decay"),
        ({"batch": 0}, "batch=0"),
        ({"warmup": -1}, "warmup=-1"),
        ({"warmup": 50}, "leaves none of 50 steps"),
        ({"schedule": "linear"}, "not one of 'constant', 'cosine'"),
        ({"augmentation": "flips"}, "augmentation='flips'"),
        ({"head": "logisitc"}, "not one of"),
        ({"weight_decay": -0.1}, "weight_decay"),
    ],
)
def test_bad_options_are_refused(options, match):
    with pytest.raises(InputError, match=match):
        FineTune(Net(), **options)


def test_bad_supports_are_refused():
    with pytest.raises(InputError, match="batch=9 is more than the 8 samples"):
        FineTune(Net(), batch=9).adapt(EPISODE.support, EPISODE.task)

    class Fewer:
        def apply(self, images, *, index, part):
            return images[:1]

    with pytest.raises(InputError, match="made 1 images of 8"):
        FineTune(Net(), augmentation=Fewer()).adapt(EPISODE.support, EPISODE.task)


@pytest.mark.parametrize("head", ["zero", "proto", "logistic"])
def test_a_support_of_one_class_is_a_constant_prediction(head):
    one_class = Batch(EPISODE.support.x[:2], torch.zeros(2, dtype=torch.int64))
    predictor = FineTune(Net(), head=head).adapt(one_class, EPISODE.task)
    assert predictor.missing_classes == ("square", "star")
    assert len(predictor(EPISODE.query.x).probabilities.unique(dim=0)) == 1


def test_the_protocol_says_what_differs_from_before():
    before = FineTune(Net()).protocol()
    assert not {"schedule", "batch", "backbone_lr", "augmentation", "layer_decay"} & before.keys()
    options = {"layer_decay": 0.5, "blocks": ["conv1.*"], "batch": 4, "schedule": "cosine"}
    now = FineTune(Net(), lr=0.1, backbone_lr=0.01, augmentation=Augmentation(), **options)
    said = now.protocol()
    assert (said["lr"], said["backbone_lr"], said["layer_decay"]) == (0.1, 0.01, 0.5)
    assert (said["batch"], said["schedule"], said["warmup"]) == (4, "cosine", 0)
    assert said["augmentation"]["name"] == "Augmentation"
    assert copy.deepcopy(now).protocol() == said
