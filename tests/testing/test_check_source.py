"""`check_source` passes the library's sources and anybody's, and catches those that break what
loaders rely on.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import torchcross as tx
from torchcross.errors import ReadError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.testing import NumberedSource, check_source, sources

TASK = tx.Task("toy", MultiClass(["a", "b", "c"], missing=-1))
LABELS = np.array([0, 1, 2, -1, 1, 0, 2, 2, 1, 0])


class Plain:
    """A source that inherits nothing."""

    def __init__(self):
        self.name, self.task = "plain", TASK
        self.labels = TASK.target.encode(LABELS)
        self.labels.flags.writeable = False

    def images(self, indices):
        return torch.tensor(indices.tolist(), dtype=torch.float32)[:, None].repeat(1, 3)


def test_a_plain_source_passes():
    check_source(Plain())


@pytest.mark.slow
@given(sources(), st.data())
def test_the_wrapped_and_the_subset_pass(source, data):
    images = source.images(np.arange(len(source)))
    check_source(tx.TensorSource(images, source.labels, tx.Task("codes", bare(source.task.target))))
    check_source(
        tx.TensorSource(images.numpy(), source.labels, tx.Task("codes", bare(source.task.target)))
    )
    kept = data.draw(st.lists(st.integers(0, len(source) - 1), min_size=1, unique=True))
    check_source(source.subset(kept))


def bare(target):
    """The same kind of target with codes for label values and -1 for what is missing."""
    return type(target)(list(target.classes), missing=-1)


def test_every_sample_of_a_small_source_can_be_checked():
    source = NumberedSource(TASK, LABELS)
    asked = []
    source.images = lambda indices, read=source.images: (
        asked.extend(indices.tolist()) or read(indices)
    )
    with pytest.raises(
        AssertionError, match="cannot be pickled"
    ):  # a lambda; the reads before it count
        check_source(source, len(source))
    assert set(asked) == set(range(10))


# -- images ----------------------------------------------------------------------------------------


class Sorted(NumberedSource):
    def images(self, indices):
        return super().images(np.sort(indices))


class NoRepeats(NumberedSource):
    def images(self, indices):
        return super().images(
            np.unique(indices)[np.argsort(np.argsort(indices))] if len(indices) < 2 else indices
        )[: len(set(indices.tolist()))]


class OffByOne(NumberedSource):
    """Right in one read, wrong one at a time."""

    def images(self, indices):
        return super().images(indices if len(indices) > 1 else indices + 1)


class Noisy(NumberedSource):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.generator = np.random.Generator(np.random.Philox(key=0))

    def images(self, indices):
        noise = torch.from_numpy(self.generator.random(len(indices)).astype(np.float32))
        return super().images(indices) + noise[:, None, None, None]


class MovesTorch(NumberedSource):
    def images(self, indices):
        torch.rand(1)
        return super().images(indices)


class AugmentsFromTorchSeed(NumberedSource):
    def images(self, indices):
        return super().images(indices) + torch.initial_seed() % 97


class Grows(NumberedSource):
    """The larger the number, the larger the image."""

    def images(self, indices):
        return super().images(indices)[..., : 1 + int(indices.max() > 4)]


class ChangesDtype(NumberedSource):
    def images(self, indices):
        found = super().images(indices)
        return found.double() if len(indices) == 1 else found


class GivesArrays(NumberedSource):
    def images(self, indices):
        return super().images(indices).numpy()


class GivesOneImage(NumberedSource):
    def images(self, indices):
        return super().images(indices)[0]


class HandsOutItsOwn(NumberedSource):
    """Hands out a view of what it keeps."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.kept = super().images(np.arange(len(self)))

    def images(self, indices):
        runs = (np.diff(indices) == 1).all()
        return (
            self.kept[indices[0] : indices[-1] + 1]
            if runs
            else self.kept[torch.tensor(indices.tolist())]
        )


class ReusesOneBuffer(NumberedSource):
    """Reads into one buffer, as large as the largest read so far."""

    buffer = torch.zeros(0, 1, 2, 2)

    def images(self, indices):
        if len(self.buffer) < len(indices):
            self.buffer = torch.zeros(len(indices), 1, 2, 2)
        part = self.buffer[: len(indices)]
        return part.copy_(super().images(indices))


class ReusesABufferPerSize(NumberedSource):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.buffers = {}

    def images(self, indices):
        images = super().images(indices)
        return self.buffers.setdefault(len(indices), torch.empty_like(images)).copy_(images)


class TakesTurnsWithThreeBuffers(NumberedSource):
    turn = 0

    def images(self, indices):
        self.turn = (self.turn + 1) % 3
        images = super().images(indices)
        name = f"buffer_{self.turn}_{len(indices)}"
        if not hasattr(self, name):
            setattr(self, name, torch.empty_like(images))
        return getattr(self, name).copy_(images)


class ReusesABufferInRead(NumberedSource):
    buffer = torch.zeros(100, 1, 2, 2)

    def read(self, indices):
        return self.buffer[: len(indices)].copy_(super().read(indices))


class ReusesABufferForItems(NumberedSource):
    """Its own reads are right; the items of its dataset are one tensor."""

    def as_dataset(self, transform=None):
        item = torch.zeros(1, 2, 2)
        return super().as_dataset(item.copy_)


class Expanded(NumberedSource):
    """Three channels that are one."""

    def images(self, indices):
        return super().images(indices).expand(-1, 3, -1, -1)


class ChangesIndices(NumberedSource):
    def images(self, indices):
        indices.sort()
        return super().images(indices)


class LosesItsImages(NumberedSource):
    shift = 0

    def __getstate__(self):
        return self.__dict__ | {"shift": 1}

    def images(self, indices):
        return super().images(indices) + self.shift


class LosesItsLabels(NumberedSource):
    def __setstate__(self, state):
        self.__dict__.update(state | {"labels": state["labels"][::-1]})


class Unpicklable(NumberedSource):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.open_file = (_ for _ in ())


class ReadsAnything(NumberedSource):
    def read(self, indices):
        return self.images(np.abs(np.asarray(indices)))


class ReadsFromTheEnd(NumberedSource):
    def read(self, indices):
        if max(indices) >= len(self):
            raise ReadError("too far")
        return self.images(np.asarray(indices) % len(self))


class OtherTargets(NumberedSource):
    def targets(self, indices):
        return super().targets(indices).clamp(min=0)


class FloatTargets(NumberedSource):
    def targets(self, indices):
        return super().targets(indices).float()


class OtherDataset(NumberedSource):
    def as_dataset(self, transform=None):
        return super().as_dataset(lambda image: image + 1)


class ShortDataset(NumberedSource):
    def as_dataset(self, transform=None):
        return self.subset(range(5)).as_dataset()


class ShuffledDataset(NumberedSource):
    def as_dataset(self, transform=None):
        other = NumberedSource(self.task, [0] * len(self))
        return other.as_dataset()


BROKEN = {
    Sorted: "read in reverse, the image of sample 9 is another",
    NoRepeats: r"gave shape \(10, 1, 2, 2\) for 20 indices",
    OffByOne: "read one by one, the image of sample 0 is another",
    Noisy: "is another than at first",
    MovesTorch: "reading moved the global random generator of torch",
    AugmentsFromTorchSeed: "under other states of the global random generators",
    Grows: r"read one by one, images are .*\(1, 1, 2, 1\), at first they were .*\(1, 1, 2, 2\)",
    ChangesDtype: (
        r"read one by one, images are torch.float64 \(1, 1, 2, 2\), at first they were"
        r" torch.float32"
    ),
    GivesArrays: "gave ndarray, not a tensor",
    GivesOneImage: r"gave shape \(1, 2, 2\) for 10 indices",
    HandsOutItsOwn: "after a reader changed its images in place",
    ReusesOneBuffer: r"held during later reads.*images\(indices\) reuses one buffer",
    ReusesABufferPerSize: r"held during later reads.*images\(indices\) reuses one buffer",
    TakesTurnsWithThreeBuffers: r"held during later reads.*images\(indices\) reuses one buffer",
    ReusesABufferInRead: r"held during later reads.*read\(indices\) reuses one buffer",
    ReusesABufferForItems: r"held during later reads.*as_dataset\(\) reuses one buffer",
    Expanded: "images that a reader cannot change in place",
    ChangesIndices: "changed the indices",
    LosesItsImages: "read from a pickled copy, the image of sample 0 is another",
    LosesItsLabels: "a pickled copy has other labels",
    Unpicklable: "cannot be pickled",
    ReadsAnything: r"read\(\[10\]\) gave images",
    ReadsFromTheEnd: r"read\(\[-1\]\) gave images",
    OtherTargets: "targets.* are not the labels",
    FloatTargets: "targets.* are not the labels there, as int64 .got torch.float32",
    OtherDataset: "read through as_dataset.., the image of sample 0 is another",
    ShortDataset: "has 5 items for 10 samples",
    ShuffledDataset: r"as_dataset\(\) labels sample 1 as 0, labels say 1",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_source_is_caught(broken):
    with pytest.raises(AssertionError, match=BROKEN[broken]):
        check_source(broken(TASK, LABELS, name="toy"))


def test_a_reader_that_is_caught_leaves_the_source_as_it_was():
    source = HandsOutItsOwn(TASK, LABELS)
    with pytest.raises(AssertionError):
        check_source(source)
    assert source.kept[:, 0, 0, 0].tolist() == list(range(10))


# -- labels and groups -----------------------------------------------------------------------------


def frozen(values, dtype=np.int8):
    array = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (frozen([0, 3, 1]), r"labels hold the code 3 at \(1,\); codes are 0..2"),
        (frozen([0, -2, 1]), r"labels hold the code -2 at \(1,\)"),
        (frozen([0, 1, 1], np.float32), r"labels are float32 of shape \(3,\)"),
        (frozen([[0, 1, 1]]), r"labels have shape \(1, 3\)"),
        ([0, 1, 1], "labels are list"),
        (np.array([0, 1, 1]), "labels are writable"),
        (frozen([]), "it has no samples"),
    ],
)
def test_broken_labels_are_caught(labels, message):
    source = Plain()
    source.labels = labels
    with pytest.raises(AssertionError, match=message):
        check_source(source)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (frozen([[0, 2]]), r"labels hold the code 2 at \(0, 1\)"),
        (frozen([0, 1]), r"labels have shape \(2,\)"),
    ],
)
def test_broken_multilabel_labels_are_caught(labels, message):
    source = Plain()
    source.task, source.labels = tx.Task("toy", MultiLabel(["a", "b"])), labels
    with pytest.raises(AssertionError, match=message):
        check_source(source)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (frozen([0] * 9), r"groups are int8 of shape \(9,\)"),
        (frozen(["a"] * 10, np.str_), "groups are <U1"),
        (frozen([*[0] * 9, -1]), "groups hold -1"),
        (np.arange(10), "groups are writable"),
        (list(range(10)), "groups are list"),
    ],
)
def test_broken_groups_are_caught(groups, message):
    source = Plain()
    source.groups = groups
    with pytest.raises(AssertionError, match=message):
        check_source(source)


class OtherLength(NumberedSource):
    def __len__(self):
        return 3


def test_a_wrong_length_is_caught():
    with pytest.raises(AssertionError, match="its length is 3 and it has 10 labels"):
        check_source(OtherLength(TASK, LABELS))


def test_what_is_no_source_is_caught():
    with pytest.raises(AssertionError, match=r"it has no `images`"):
        check_source(type("Half", (), {"name": "half", "task": TASK, "labels": frozen([0])})())
