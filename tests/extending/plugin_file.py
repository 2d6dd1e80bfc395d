"""A plugin file as a user writes one, and a registry that is as it was after a test."""

from __future__ import annotations

from typing import Any

import pytest

from torchcross._kit import plugin_files
from torchcross.backbones.build import CONSTRUCTORS
from torchcross.experiment import METHODS
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.targets.added import TARGETS

PLUGIN = '''
"""Rows that are named as nobody else's, a backbone, and a loss."""

import torch
from torch import nn

from torchcross.algorithms import ProtoNet, Ridge
from torchcross.backbones import add_backbone
from torchcross.experiment import Method, add_row
from torchcross.losses import cross_entropy
from torchcross.targets import MultiClass, add_loss


def learner(net, meta, normalise=None, **more):
    return ProtoNet(net, normalise=normalise, **more)


def reader(net, normalise, settings):
    return Ridge(net, norm="support", normalise=normalise)


def means_net(in_channels=3, width=2):
    net = nn.Sequential(nn.AdaptiveAvgPool2d(width), nn.Flatten(), nn.Linear(in_channels * 4, 5))
    net.num_features = 5
    return net


def doubled(logits, labels, target, **options):
    return 2 * cross_entropy(logits, labels)


from dataclasses import replace

add_row(Method("my-protonet", "my own prototypes", make_learner=learner))
add_row(Method("my-ridge", "my own ridge", make_adapter=reader))
add_backbone("means_net", means_net)
add_loss("doubled", replace(MultiClass.objectives["cross_entropy"], loss=doubled), [MultiClass])
'''


@pytest.fixture
def registries(monkeypatch):
    """What is added in a test is gone after it; call it to have that before, as a new process."""
    tables: list[dict[str, Any]] = [METHODS, CONSTRUCTORS, TARGETS, plugin_files._LOADED]
    kept = [dict(each) for each in tables]
    kinds: Any = (Binary, MultiClass, MultiLabel, Ordinal)
    objectives = [kind.objectives for kind in kinds]

    def forget():
        for table, before in zip(tables, kept, strict=True):
            table.clear()
            table.update(before)
        for kind, before in zip(kinds, objectives, strict=True):
            kind.objectives = before

    yield forget
    forget()


@pytest.fixture
def plugin(tmp_path, registries):
    path = tmp_path / "mine.py"
    path.write_text(PLUGIN)
    return path
