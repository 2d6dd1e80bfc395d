"""Targets, predictions, tasks, batches and episodes are values: compared, hashed, copied, pickled,
never changed.
"""

from __future__ import annotations

import copy
import dataclasses
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.targets.tables import TARGETS
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError, TargetError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal, Prediction, Target
from torchcross.task import Task

ROOT = Path(__file__).parents[2]
every_target = pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS.keys())
IN_ANOTHER_PROCESS = """
import pickle, sys
from tests.targets.tables import TARGETS
sent = pickle.load(sys.stdin.buffer)
assert list(sent.values()) == list(TARGETS.values())
names = {target: name for name, target in TARGETS.items()}
assert {target: name for name, target in sent.items()} == names
sys.stdout.buffer.write(pickle.dumps(sent))
"""


@every_target
def test_copies_are_equal(target: Target):
    for twin in (copy.copy(target), copy.deepcopy(target), pickle.loads(pickle.dumps(target))):
        assert twin == target
        assert hash(twin) == hash(target)
        assert repr(twin) == repr(target)
        assert twin.loss is not None
        assert twin.head == target.head


@pytest.mark.long
def test_targets_cross_processes():
    """With another hash seed, so that nothing may depend on `hash` of a string."""
    made = subprocess.run(
        [sys.executable, "-W", "error", "-c", IN_ANOTHER_PROCESS],
        input=pickle.dumps(TARGETS),
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "12345", "PYTHONPATH": str(ROOT)},
    )
    assert made.returncode == 0, made.stderr.decode()
    assert pickle.loads(made.stdout) == TARGETS


def test_what_differs_is_not_equal():
    targets = [
        Binary(["a", "b"]),
        Binary(["b", "a"]),
        Binary({0: "a", 2: "b"}),
        Binary(["a", "b"], missing=-1),
        Binary(["a", "b"], missing=float("nan")),
        Binary(["a", "b"], loss="focal"),
        Binary(["a", "b"], smoothing=0.1),
        Binary(["a", "b"], class_weights=[1.0, 2.0]),
        MultiClass(["a", "b"]),
        Ordinal(["a", "b"]),
        Ordinal(["a", "b"], [0, 5]),
        Ordinal(["a", "b"], loss="coral"),
        MultiLabel(["a", "b"]),
    ]
    assert len(set(targets)) == len(targets)
    assert all((one == other) == (one is other) for one in targets for other in targets)
    assert Binary() != "Binary"


def test_declared_nan_compares_equal():
    one, other = (Binary(missing=[float("nan"), -1]) for _ in range(2))
    assert one == other == Binary(missing=[-1, None]) == pickle.loads(pickle.dumps(one))
    assert len({one, other}) == 1


@every_target
def test_targets_cannot_be_changed(target: Target):
    for name in ("classes", "values", "missing", "loss_name", "loss_options", "anything"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(target, name, ())
    with pytest.raises(dataclasses.FrozenInstanceError):
        del target.classes
    with pytest.raises(TargetError, match="unknown options"):
        dataclasses.replace(target, missing=-9)


def test_a_target_does_not_share_what_it_was_given():
    names, weights = ["a", "b"], torch.tensor([1.0, 2.0])
    target = MultiClass(names, class_weights=weights)
    names.append("c")
    weights.zero_()
    assert target == MultiClass(["a", "b"], class_weights=[1.0, 2.0])


def test_there_is_no_plain_target():
    with pytest.raises(TypeError, match="abstract"):
        Target()


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        (Binary(), "Binary(['negative', 'positive'])"),
        (MultiClass(["a", "b"]), "MultiClass(['a', 'b'])"),
        (MultiClass({3: "a", 1: "b"}), "MultiClass({3: 'a', 1: 'b'})"),
        (
            MultiLabel(["x", "y"], missing=[-1, float("nan")]),
            "MultiLabel(['x', 'y'], missing=[-1, 'nan'])",
        ),
        (Ordinal(["a", "b"], [0, 4], loss="coral"), "Ordinal({0: 'a', 4: 'b'}, loss='coral')"),
        (
            Ordinal(["a", "b"], loss="soft_labels", tau=2.0, missing="?"),
            "Ordinal(['a', 'b'], missing=['?'], loss='soft_labels', tau=2.0)",
        ),
        (
            Binary(class_weights=[1.0, 2.0]),
            "Binary(['negative', 'positive'], class_weights=(1.0, 2.0))",
        ),
    ],
)
def test_what_is_shown_makes_the_target_again(target: Target, shown: str):
    assert repr(target) == shown
    assert eval(shown) == target


def test_many_classes_are_shown_in_short():
    target = Ordinal(
        {number * number: f"class {number}" for number in range(1000)}, class_weights=np.ones(1000)
    )
    assert len(repr(target)) < 250
    assert "..." in repr(target)


def test_predictions_are_compared_by_identity():
    one, other = (Prediction(torch.zeros(2, 2), torch.zeros(2)) for _ in range(2))
    assert one == one
    assert one != other
    assert len({one, other}) == 2
    back = pickle.loads(pickle.dumps(one))
    assert torch.equal(back.probabilities, one.probabilities)


# -- tasks -----------------------------------------------------------------------------------------


def test_tasks_are_values():
    task = Task("shape", MultiClass(["disc", "square", "star"]), domain="toys")
    twin = Task("shape", MultiClass(["disc", "square", "star"]), "toys")
    assert task == twin == copy.deepcopy(task) == pickle.loads(pickle.dumps(task))
    assert len({task, twin}) == 1
    assert task.classes == ("disc", "square", "star")
    assert task != Task("shape", MultiClass(["disc", "square", "star"]))
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.name = "other"


def test_restricting_a_task_restricts_its_target():
    task = Task("grade", Ordinal({0: "none", 1: "some", 4: "much"}), domain="scans")
    assert task.restrict(["much", "none"]) == Task(
        "grade", Ordinal({0: "none", 4: "much"}), domain="scans"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", Binary()), "Task got the name ''"),
        ((3, Binary()), "Task got the name 3"),
        (
            ("shape", ["a", "b"]),
            r"Task 'shape' got the target \['a', 'b'\]; give a target such as MultiClass",
        ),
        (("shape", Binary), "Task 'shape' got the target <class"),
        (("shape", Binary(), None), "Task 'shape' got the domain None"),
    ],
)
def test_tasks_that_are_none_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        Task(*arguments)


# -- batches and episodes --------------------------------------------------------------------------


def episode() -> Episode:
    def batch(count: int) -> Batch:
        return Batch(torch.arange(count * 4.0).reshape(count, 1, 2, 2), torch.arange(count) % 2)

    return Episode(batch(4), batch(6), Task("shape", MultiClass(["disc", "square"]), "toys"))


def test_batches_are_images_with_labels():
    support = episode().support
    assert len(support) == 4
    assert repr(support) == "Batch(x=float32[4, 1, 2, 2], y=int64[4])"
    moved = support.to("cpu").to("meta")
    assert (moved.x.device.type, moved.y.device.type) == ("meta", "meta")
    with pytest.raises(dataclasses.FrozenInstanceError):
        support.x = support.x


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (
            torch.zeros(3, 2),
            torch.zeros(2),
            "a Batch got 3 images and 2 labels; give one label per image",
        ),
        (
            np.zeros((2, 2)),
            torch.zeros(2),
            "got images of type ndarray .* give two tensors, one row per sample",
        ),
        (torch.zeros(2, 2), [0, 1], "and labels of type list"),
        (torch.tensor(1.0), torch.zeros(1), "give two tensors, one row per sample"),
    ],
)
def test_batches_that_are_none_are_refused(x, y, message):
    with pytest.raises(InputError, match=message):
        Batch(x, y)


def test_changing_images_makes_a_new_episode():
    before = episode()
    after = before.map(lambda images: images.flatten(1) + 1)
    assert after.support.x.shape == (4, 4)
    assert torch.equal(after.query.x, before.query.x.flatten(1) + 1)
    assert after.query.y is before.query.y
    assert after.task is before.task
    assert torch.equal(before.query.x, episode().query.x)
    with pytest.raises(InputError, match="a Batch got 1 images and 4 labels"):
        before.map(lambda images: images[:1])


def test_each_side_of_an_episode_is_changed_as_one_batch():
    seen: list[int] = []

    def note(images: torch.Tensor) -> torch.Tensor:
        seen.append(len(images))
        return images

    episode().map(note)
    assert seen == [4, 6]


def test_episodes_move_and_pickle_whole():
    made = episode()
    assert (
        repr(made)
        == "Episode('shape', classes=['disc', 'square'], support=Batch(x=float32[4, 1, 2, 2],"
        " y=int64[4]), query=Batch(x=float32[6, 1, 2, 2], y=int64[6]))"
    )
    moved = made.to("meta")
    assert {
        part.device.type for side in (moved.support, moved.query) for part in (side.x, side.y)
    } == {"meta"}
    back = pickle.loads(pickle.dumps(made))
    assert back.task == made.task
    assert torch.equal(back.query.x, made.query.x)
    assert torch.equal(back.support.y, made.support.y)
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.plan = None
