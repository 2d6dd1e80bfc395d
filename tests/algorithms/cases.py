"""The cases of the contract tests: targets, episodes, small smooth backbones, algorithms."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from tests.functional.reference import start_from_noise
from torchcross import backbones
from torchcross.algorithms import (
    ANIL,
    BOIL,
    IMAML,
    MAML,
    FineTune,
    LearnedHeads,
    LinearProbe,
    LogisticRegression,
    MetaSGD,
    ProtoMAML,
    ProtoNet,
    Reptile,
    Ridge,
    SimpleShot,
    TextLogistic,
    TextPrototypes,
)
from torchcross.episode import Batch, Episode
from torchcross.plan import EpisodePlan
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.task import Task
from torchcross.text import TextVectors

WIDTH = 4
_GRADES = {0: "none", 1: "slight", 4: "some", 10: "severe"}
_ORDINAL_LOSSES = ("coral", "corn", "cumulative_link", "earth_movers", "soft_labels")

TARGETS = {
    "binary": Binary(["benign", "malignant"]),
    "binary-focal": Binary(["benign", "malignant"], loss="focal"),
    "multiclass": MultiClass(["disc", "square", "star"]),
    "multiclass-weighted": MultiClass(["disc", "square", "star"], class_weights=[1.0, 2.0, 0.5]),
    "multilabel": MultiLabel(["cyst", "edema", "mass"]),
    "ordinal": Ordinal(_GRADES),
    **{f"ordinal-{loss}": Ordinal(_GRADES, loss=loss) for loss in _ORDINAL_LOSSES},
}
# Their prototype logits are no linear function of features.
NOT_LINEAR = ("ordinal-coral", "ordinal-corn", "ordinal-cumulative_link")


class Net(nn.Module):
    """Two convolutions with BatchNorm, smooth, so that gradients agree to the last digits."""

    def __init__(self, seed=0, dropout=0.0):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 3, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(3)
        self.drop = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(3, WIDTH, 3, stride=2)
        self.norm2 = nn.BatchNorm2d(WIDTH)
        start_from_noise(self, seed)

    def forward(self, x):
        x = self.drop(torch.tanh(self.norm1(self.conv1(x))))
        return torch.tanh(self.norm2(self.conv2(x))).mean((2, 3))


def labels_of(target, count):
    """Codes with every class, or every label present and absent, in them."""
    rows = torch.arange(count)
    if not target.label_shape:
        return rows % target.num_classes
    (columns,) = target.label_shape
    return (rows[:, None] // 2 ** torch.arange(columns)) % 2


def episode_of(target, seed=0, support=8, query=6, size=6, name="made-up", index=None):
    generator = torch.Generator().manual_seed(100 + seed)
    labels = labels_of(target, support + query)
    images = torch.randn(support + query, 1, size, size, generator=generator, dtype=torch.float64)
    images = images + labels.reshape(len(labels), -1).double().mean(1).view(-1, 1, 1, 1)
    task = Task(name, target, "toys")
    number = seed if index is None else index
    empty = np.zeros(0, dtype=np.int64)
    plan = EpisodePlan(
        index=number,
        source="toys",
        classes=tuple(range(target.num_classes)),
        support=empty,
        query=empty,
        support_labels=empty,
        query_labels=empty,
        shots=None,
    )
    return Episode(
        Batch(images[:support], labels[:support]),
        Batch(images[support:], labels[support:]),
        task,
        plan,
    )


def learned_heads(target):
    return LearnedHeads([Task("made-up", target, "toys")], WIDTH).double()


def texts_of(target):
    """A vector for each class, and for nothing."""
    generator = torch.Generator().manual_seed(7)
    names = (*target.classes, "nothing")
    rows = torch.randn(len(names), WIDTH, generator=generator, dtype=torch.float64)
    return TextVectors(dict(zip(names, rows, strict=True)), scale=5.0)


def _maml(**options):
    return lambda net, target: MAML(net, **{"steps": 2, "lr": 0.1, **options})


ALGORITHMS = {
    "maml": _maml(),
    "maml-kaiming": _maml(head="kaiming"),
    "maml-low-memory": _maml(memory="low"),
    "maml-mixed": _maml(engine="mixed"),
    "maml-first-order": _maml(order=1),
    "maml-adam": _maml(optimiser="adam", lr=0.01),
    "maml-momentum": _maml(optimiser="momentum", steps=3),
    "maml-frozen": _maml(norm="frozen"),
    "maml-support": _maml(norm="support"),
    "maml-running": _maml(norm="running"),
    "maml++": _maml(norm="per_step", rates="per_layer_step", multi_step=10, first_order_epochs=2),
    "maml++weights": _maml(norm="per_step", norm_weights="per_step", memory="low"),
    "maml-partial": _maml(adapted=["conv2.*", "head.*"]),
    "maml-learned-head": lambda net, target: MAML(net, steps=2, head=learned_heads(target)),
    "anil": lambda net, target: ANIL(net, steps=3),
    "anil-proto": lambda net, target: ANIL(net, steps=2, head="proto"),
    "boil": lambda net, target: BOIL(net, steps=2),
    "meta-sgd": lambda net, target: MetaSGD(net, steps=2),
    "proto-maml": lambda net, target: ProtoMAML(net, steps=2, lr=0.02),
    "imaml": lambda net, target: IMAML(net, steps=3, lr=0.05),
    "reptile": lambda net, target: Reptile(net, steps=3, lr=0.01),
    "protonet": lambda net, target: ProtoNet(net),
    "protonet-cosine": lambda net, target: ProtoNet(net, metric="cosine"),
    "protonet-support": lambda net, target: ProtoNet(net, norm="support"),
    "ridge": lambda net, target: Ridge(net),
    "ridge-chosen": lambda net, target: Ridge(net, strength=(0.1, 1, 10)),
    "fine-tune": lambda net, target: FineTune(net, steps=4),
    "fine-tune-proto": lambda net, target: FineTune(
        net, steps=3, lr=0.01, backbone_lr=0.003, head="proto", optimiser="adamw", batch=5
    ),
    "fine-tune-logistic": lambda net, target: FineTune(
        net, steps=3, head="logistic", schedule="cosine", warmup=1, norm="frozen"
    ),
    "fine-tune-grid": lambda net, target: FineTune(
        net, steps=2, lr=(0.1, 0.01), backbone_lr=(0.01, 0.001), head="zero"
    ),
    "linear-probe": lambda net, target: LinearProbe(net, steps=5),
    "logistic": lambda net, target: LogisticRegression(net),
    "logistic-mean": lambda net, target: LogisticRegression(net, C=(1, 10, 100)),
    "logistic-raw": lambda net, target: LogisticRegression(net, C=0.3, unit_length=False),
    "simple-shot": lambda net, target: SimpleShot(net),
    "text": lambda net, target: TextPrototypes(net, texts_of(target)),
    "text-logistic": lambda net, target: TextLogistic(net, texts_of(target)),
    # The row of that name: a backbone of its own, without parameters.
    "image-statistics": lambda net, target: Ridge(
        backbones.image_statistics(in_channels=1), norm="support"
    ),
}
NEEDS_PROTO = ("anil-proto", "proto-maml", "fine-tune-proto")
# They adapt, and do not train.
ENSEMBLES = ("fine-tune-grid",)
RANDOM_HEAD = ("maml-kaiming", "maml-learned-head", "boil", "fine-tune", "linear-probe")
ONE_EACH = (
    "maml",
    "anil",
    "boil",
    "meta-sgd",
    "proto-maml",
    "imaml",
    "reptile",
    "protonet",
    "ridge",
    "fine-tune",
    "logistic",
    "simple-shot",
    "text",
    "text-logistic",
    "image-statistics",
)
FEW_TARGETS = ("binary", "multiclass", "multilabel", "ordinal", "ordinal-coral")
# Every algorithm with every target and loss; its variants with every type.
CELLS = [
    (algorithm, target)
    for algorithm in ALGORITHMS
    for target in (TARGETS if algorithm in (*ONE_EACH, "linear-probe") else FEW_TARGETS)
    if not (algorithm in NEEDS_PROTO and target in NOT_LINEAR)
]
TRAINING_CELLS = [cell for cell in CELLS if cell[0] not in ENSEMBLES]


def make_algorithm(algorithm, target, seed=0, dropout=0.0):
    return ALGORITHMS[algorithm](Net(seed, dropout), TARGETS[target]).double()


def step_of(algorithm, episodes, epoch=5):
    return algorithm.training_step(episodes, epoch=epoch)


def snapshot(module):
    """Bits of everything that a module holds, and the modes of its layers."""
    return (
        {name: value.clone() for name, value in module.state_dict().items()},
        {name: value.grad for name, value in module.named_parameters()},
        [layer.training for layer in module.modules()],
    )


def same(left, right):
    tensors = all(torch.equal(left[0][name], right[0][name]) for name in left[0])
    return left[0].keys() == right[0].keys() and tensors and left[1:] == right[1:]


def relative(left, right):
    scale = max(float(right.abs().max()), 1e-12)
    return float((left - right).abs().max()) / scale if right.numel() else 0.0
