"""A collection of made-up sources in memory, opened by name like any other."""

import pytest

from torchcross.data import toys
from torchcross.errors import InputError, ReadError
from torchcross.experiment import experiment_from_values

MAKERS = {
    "shape": toys.multiclass,
    "hole": toys.binary,
    "shapes": toys.multilabel,
    "specks": toys.ordinal,
}


class Toys:
    """`opened` tells which targets were handed out, and `training` whether that is allowed now."""

    def __init__(self):
        self.made = {name: make(size=16) for name, make in MAKERS.items()}
        self.opened = []
        self.broken = set()

    def targets(self):
        return tuple(self.made)

    def target_name(self, given):
        if given not in self.made:
            raise InputError(f"there is no target {given!r}")
        return given

    def sources(self, target, *, split, tasks):
        half = {"train": 0, "val": 1}[split]
        return tuple(
            source.subset(range(half, len(source), 2), name=source.name)
            for name, source in self.made.items()
            if name != target
        )

    def target(self, target, *, split="all"):
        self.opened.append(target)
        if target in self.broken:
            raise ReadError(f"{target} cannot be read: the disk is gone")
        whole = self.made[target]
        place = {"train": 0, "val": 1, "test": 2}.get(split)
        return (
            whole if place is None else whole.subset(range(place, len(whole), 3), name=whole.name)
        )

    def why(self, target):
        return {name: "target" if name == target else "source" for name in self.made}

    def cautions(self, target):
        return ()

    def related_targets(self):
        return ()

    def describe(self):
        return {"synthetic": "all of it"}


@pytest.fixture
def collection(monkeypatch):
    made = Toys()
    monkeypatch.setattr(
        "torchcross.experiment.run.targets.open_collection", lambda kind, folder, **how: made
    )
    return made


def toy_experiment(**changes):
    plain = {
        "preset": "quick",
        "algorithms": ["scratch", "protonet"],
        "shots": [1, 2],
        "data": {"folder": "nowhere", "targets": ["hole", "specks"], "channels": 1},
        "model": {"backbone": {"channels": 4}},
        "pretraining": {"steps": 3, "batch_size": 8, "validate_every": 2, "validation_images": 12},
        "meta": {
            "steps": 3,
            "meta_batch": 1,
            "inner_steps": 1,
            "validation_inner_steps": 1,
            "shots": [1, 1],
            "queries": 2,
            "min_images": 4,
            "validate_every": 2,
            "validation_episodes": 2,
        },
        "evaluation": {"episodes": 3, "queries": 2, "min_images": 4, "steps": 1},
    }
    return experiment_from_values(plain, changes)


@pytest.fixture
def splits():
    """(training, validation) of three sources of several kinds."""
    from tests.experiment.rows import three_sources

    return three_sources()
