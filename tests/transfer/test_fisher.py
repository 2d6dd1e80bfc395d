"""Exact Fisher information: golden values, and the layers' rules against torch's transforms."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from tests.transfer.probes import TARGETS, golden_probe, golden_task, logits_of
from torchcross import backbones
from torchcross.errors import InputError
from torchcross.heads import kaiming_head, seeded_generator
from torchcross.transfer.similarity import TaskEmbedding, distance, fisher_information
from torchcross.transfer.similarity.distances import DISTANCES as KINDS
from torchcross.transfer.similarity.fisher import _by_samples, weighted_layers

GOLDEN = {
    "A": [
        *(0.28072657590, 0.077868829581, 0.30019198141, 1.3191385689, 0.23581860843),
        *(2.4680562949, 0.035714585622, 0.041552991758, 0.042627052661, 0.036276298773),
    ],
    "B": [
        *(0.15284463882, 0.046395201708, 0.16026698570, 0.38456860043, 0.12413683904),
        *(0.79293784957, 0.0084169691574, 0.017388629787, 0.023258215913, 0.017589205418),
    ],
    "C": [
        *(0.030139828970, 0.010413972769, 0.025937138375, 0.031690158112, 0.021223035214),
        *(0.071755877381, 0.0019562986477, 0.0043672466714, 0.0023066425844, 0.000058415899545),
    ],
    "D": [
        *(0.054204662643, 0.0064476262618, 0.039453472483, 0.017505300997, 0.0078303573817),
        *(0.027652070515, 0.0094751259967, 0.0065267946145, 0.0026092114850, 0.011309810031),
    ],
    "E": [
        *(0.091366415460, 0.0030436242187, 0.082715930568, 0.012263119935, 0.0013832933768),
        *(0.0034394017465, 0.0043044861415, 0.0050282788732, 0.000080970084395, 0.0041880049079),
    ],
}
DISTANCES = [
    ("cosine", "AB", 0.0394364351),
    ("cosine", "AC", 0.1490087395),
    ("cosine", "AD", 0.2442890707),
    ("cosine", "AE", 0.3680454535),
    ("cosine", "BC", 0.1249770293),
    ("cosine", "CD", 0.3423236561),
    ("plain cosine", "AB", 0.0074213010),
    ("plain cosine", "AC", 0.0686770645),
    ("plain cosine", "AD", 0.4430680428),
    ("plain cosine", "AE", 0.7839212585),
    ("correlation", "AB", 0.1153203867),
    ("kl", "AB", 2.9746365953),
    ("kl", "AC", 370.9386834336),
    ("asymmetric kl", "AB", 1.4536389730),
    ("asymmetric kl", "BA", 2.9746365953),
    ("jsd", "AB", 0.0476157992),
    ("jsd", "AC", 0.4580560481),
    ("entropy", "AB", 0.0867712300),
    ("entropy", "AC", 0.4715112702),
    ("asymmetric", "AB", -0.0726293754),
    ("asymmetric", "BA", -0.0560941996),
]


def information(name: str, probe: nn.Module | None = None, **options: int) -> np.ndarray:
    images, target, head = golden_task(name)
    layers = fisher_information(
        golden_probe() if probe is None else probe,
        images,
        target,
        logits_of(target, head),
        **options,
    )
    return torch.cat(list(layers.values())).numpy()


def embedding(name: str, scale: float | None = None) -> TaskEmbedding:
    probe = golden_probe()
    layers = weighted_layers(probe)
    trivial = [
        np.full(len(layer.weight), scale or 1 / layer.weight.square().mean().item())
        for layer in layers.values()
    ]
    named = tuple((layer, len(module.weight)) for layer, module in layers.items())
    return TaskEmbedding(name, "golden", information(name), np.concatenate(trivial), 12, named)


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_information(name: str) -> None:
    assert information(name) == pytest.approx(np.array(GOLDEN[name]), rel=2e-10)


@pytest.mark.parametrize(("kind", "pair", "value"), DISTANCES)
def test_golden_distances(kind: str, pair: str, value: float) -> None:
    one, other = map(embedding, pair)
    assert distance(one, other, kind) == pytest.approx(value, abs=6e-11, rel=1e-9)


def test_distances_in_units_of_a_trivial_task() -> None:
    one, other, third = (embedding(name, scale=1.0) for name in "ABC")
    assert distance(one, other, "normalised cosine") == pytest.approx(0.0634291293)
    assert distance(one, third, "normalised cosine") == pytest.approx(0.4523844384)
    trivial = embedding("A").trivial()
    assert sorted(set(trivial.values)) == pytest.approx([0.7393301892, 5.7425640707, 7.9075022282])
    assert distance(embedding("A"), trivial) == pytest.approx(0.7471054034)
    assert distance(embedding("B"), embedding("B").trivial()) == pytest.approx(0.6368708977)


@pytest.mark.parametrize(
    "kind", ["cosine", "plain cosine", "normalised cosine", "correlation", "kl", "jsd", "entropy"]
)
def test_distances_are_symmetric_and_zero_on_themselves(kind: str) -> None:
    one, other = embedding("A"), embedding("D")
    assert distance(one, other, kind) == pytest.approx(distance(other, one, kind), rel=1e-6)
    assert distance(one, one, kind) == pytest.approx(0, abs=1e-7)


def test_embeddings_of_other_probes_have_no_distance() -> None:
    one = embedding("A")
    other = TaskEmbedding("B", "another", one.values, one.scale, 12, one.layers)
    with pytest.raises(InputError, match="different probes"):
        distance(one, other)
    with pytest.raises(InputError, match="did you mean 'cosine'"):
        distance(one, one, "cosin")


DIVIDE = ["normalised cosine", "correlation", "kl", "asymmetric kl", "jsd"]


def with_dead_filters(embedded: TaskEmbedding, *places: int) -> TaskEmbedding:
    values = embedded.values.copy()
    values[list(places)] = 0
    return replace(embedded, values=values)


@pytest.mark.parametrize("kind", [*DIVIDE, "entropy", "cosine", "plain cosine"])
def test_a_filter_that_is_dead_under_both_tasks_does_not_count(kind: str) -> None:
    one, other = (with_dead_filters(embedding(name), 2, 8) for name in "AB")
    left = [
        replace(each, values=np.delete(each.values, [2, 8]), scale=np.delete(each.scale, [2, 8]))
        for each in (one, other)
    ]
    assert distance(one, other, kind) == pytest.approx(distance(*left, kind), rel=1e-9)
    assert distance(one, one, kind) == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_filter_that_is_dead_under_one_task_has_a_distance_or_an_error(kind: str) -> None:
    one, other = with_dead_filters(embedding("A"), 2), embedding("B")
    if kind not in DIVIDE:
        assert np.isfinite(distance(one, other, kind))
        return
    for pair in ((one, other), (other, one)):
        with pytest.raises(InputError, match="for 1 filter of 10; take 'cosine'"):
            distance(*pair, kind)


def test_tasks_without_any_information_have_no_distance() -> None:
    one, other = (replace(embedding(name), values=np.zeros(10)) for name in "AB")
    with pytest.raises(InputError, match="no filter has information under 'A' or 'B'"):
        distance(one, other, "entropy")


@pytest.mark.parametrize("block", [1, 5, 12])
def test_blocks_order_and_mode_do_not_count(block: int) -> None:
    probe = golden_probe().train()
    state = copy.deepcopy(probe.state_dict())
    values = information("B", probe, block=block)
    assert values == pytest.approx(np.array(GOLDEN["B"]), rel=2e-10)
    assert probe.training
    assert all(parameter.requires_grad for parameter in probe.parameters())
    assert all(torch.equal(state[name], value) for name, value in probe.state_dict().items())
    images, target, head = golden_task("B")
    order = torch.arange(11, -1, -1)
    layers = fisher_information(golden_probe(), images[order], target, logits_of(target, head))
    assert torch.cat(list(layers.values())).numpy() == pytest.approx(values, rel=1e-12)


class Twice(nn.Module):
    """A layer that runs twice, for which no rule holds."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(2, 2, 3, padding=1)

    def forward(self, images):
        return self.layer(torch.tanh(self.layer(images))).mean((-2, -1))


def several_layers() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, stride=2, padding=1, groups=2),
        nn.GroupNorm(3, 6),
        nn.SiLU(),
        nn.Conv2d(6, 6, 3, padding=1, dilation=1, groups=6, bias=False),
        nn.BatchNorm2d(6),
        nn.Conv2d(6, 4, 1, stride=2),
        nn.Flatten(),
        nn.LayerNorm(16),
        nn.Linear(16, 5),
    )


def activations_in_place() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU6(inplace=True),
        nn.Flatten(),
        nn.Linear(256, 5),
        nn.ReLU(inplace=True),
    )


PROBES = {
    "several layers": (several_layers, 2),
    "activations in place": (activations_in_place, 2),
    "a layer that runs twice": (Twice, 2),
    "resnet": (lambda: backbones.resnet18(seed=0, in_channels=2, stem="small"), 2),
    "vision transformer": (
        lambda: backbones.small_vit(
            image_size=8, patch_size=4, width=8, depth=2, heads=2, mlp_width=8, seed=0
        ),
        3,
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("name", ["A", "D"])
def test_rules_of_layers_are_the_transforms_of_torch(probe: str, name: str) -> None:
    make, channels = PROBES[probe]
    torch.manual_seed(0)
    network = make().double().eval()
    target = TARGETS[name]
    images = torch.rand(3, channels, 8, 8, dtype=torch.float64)
    width = network(images).shape[1]
    head = kaiming_head(target, width, generator=seeded_generator(0), dtype=torch.float64)
    logits = logits_of(target, head)
    layers = fisher_information(network, images, target, logits, block=2)
    expected = _by_samples(network, weighted_layers(network), images, target, logits)
    assert layers.keys() == expected.keys()
    for layer, values in expected.items():
        assert torch.allclose(layers[layer], values / 3, rtol=1e-8, atol=1e-18), layer


class ShortcutFirst(nn.Module):
    """A layer that is registered before another one, and runs after it."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)
        self.first = nn.Conv2d(2, 3, 3)

    def forward(self, images):
        return self.last(torch.relu(self.first(images)).mean((-2, -1)))


def test_layers_stand_in_the_order_of_the_network_not_of_its_run() -> None:
    torch.manual_seed(0)
    network = ShortcutFirst().double()
    images, target = torch.rand(3, 2, 4, 4, dtype=torch.float64), TARGETS["A"]
    head = kaiming_head(target, 2, generator=seeded_generator(0), dtype=torch.float64)
    logits = logits_of(target, head)
    layers = fisher_information(network, images, target, logits, block=2)
    expected = _by_samples(network, weighted_layers(network), images, target, logits)
    assert [*layers] == [*expected] == [*weighted_layers(network)] == ["last", "first"]
    for name, values in expected.items():
        assert torch.allclose(layers[name], values / 3, rtol=1e-8, atol=1e-18)
    with pytest.raises(InputError, match="there is no image"):
        fisher_information(network, images[:0], target, logits)


def test_outcomes_that_are_certain_or_impossible_tell_nothing() -> None:
    images, target, head = golden_task("C")
    certain = {name: value * 0 for name, value in head.items()}
    certain["head.bias"] = certain["head.bias"] + 800
    layers = fisher_information(golden_probe(), images, target, logits_of(target, certain))
    assert all(values.isfinite().all() and not values.any() for values in layers.values())


def test_a_probe_without_weights() -> None:
    images, target, head = golden_task("A")
    with pytest.raises(InputError, match="no layer with weights"):
        fisher_information(nn.Flatten(), images, target, logits_of(target, head))
