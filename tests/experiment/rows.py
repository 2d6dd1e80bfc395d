"""Courses of the table's rows over small made-up splits."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from torchcross import algorithms
from torchcross.backbones import conv4
from torchcross.data import TensorSource, toys
from torchcross.experiment import experiment_from_values
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.rows.training_setup import training_setup
from torchcross.text import TextVectors

OF_TEXTS = {"text", "text+logistic"}
ON_FEATURES = {"ncm", "simpleshot", "probe", "fixed-probe", "logistic", "logistic-mean", *OF_TEXTS}
TEXTS = TextVectors({"hole": torch.ones(conv4(4, in_channels=1).num_features)})
UNTRAINED = {"scratch", *ON_FEATURES, "image-statistics", "im-pt", "fine-tuned-grid"}
EPISODIC = {
    "mm-maml",
    "fo-maml",
    "proto-maml",
    "anil",
    "boil",
    "meta-sgd",
    "reptile",
    "protonet",
    "ridge",
    "pmf",
}
BY_STEPS = EPISODIC - {"protonet", "ridge", "pmf"}
METHOD = pytest.mark.parametrize("name", METHODS)
# Those that start from the network of `model`.
OF_THE_MODEL = pytest.mark.parametrize(
    "name", [name for name, method in METHODS.items() if method.make_network is None]
)


def saved(net, folder):
    """A weights file that no publisher is known of."""
    path = folder / "mine.safetensors"
    save_file({name: value.contiguous() for name, value in net.state_dict().items()}, path)
    return str(path)


def published(**changes):
    """The published protocol, with a small network."""
    data = {"folder": "nowhere", "channels": 1}
    model = {"backbone": {"name": "conv4", "channels": 4}}
    return experiment_from_values(
        {"preset": "medimeta-table4", "data": data, "model": model}, changes
    )


class Seen(TensorSource):
    """Tells which samples were read."""

    def __init__(self, of, rows, name):
        super().__init__(of.images(np.asarray(rows)), of.targets(rows).numpy(), of.task, name=name)
        self.read_rows = []

    def read(self, indices):
        self.read_rows.append(list(indices))
        return super().read(indices)


def three_sources():
    """(training, validation) of three sources of several kinds."""
    whole = [
        toys.binary(480, size=16),
        toys.multiclass(500, size=16),
        toys.multiclass(460, size=16, domain="chalk"),
    ]
    # `shape` comes from two domains; names tell them apart.
    names = ["ink/hole", "ink/shape", "chalk/shape"]
    return tuple(
        [
            Seen(source, list(range(half, len(source), 2)), name)
            for source, name in zip(whole, names, strict=True)
        ]
        for half in (0, 1)
    )


def weights_of(module):
    return {name: value.detach().clone() for name, value in module.state_dict().items()}


def same(module, weights):
    return all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())


def made(name, told, splits, seed=0):
    """The course of a row."""
    train, val = splits
    if METHODS[name].supervised:
        train, val = train[:1], val[:1]
    return training_setup(METHODS[name], told, seed, train, val)


def is_published_fine_tuning(how, net):
    recipe = how.recipe
    return (
        type(how) is algorithms.FineTune
        and how.backbone is net
        and (recipe.steps, recipe.lr, recipe.head, recipe.optimiser)
        == (50, 1e-3, "kaiming", "adam")
        and recipe.adapted == "*"
        and how.protocol()["norm"] == "running"
    )
