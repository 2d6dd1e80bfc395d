"""What a run holds does not grow with its steps."""

import gc

import pytest
import torch

from tests.training.subjects import SUBJECTS, options
from torchcross.training import fit

pytestmark = pytest.mark.slow


class Counts:
    """Live objects, and the tensors among them, at every validation."""

    def __init__(self):
        self.objects, self.tensors = [], []

    def __call__(self, algorithm):
        gc.collect()
        found = [issubclass(type(item), torch.Tensor) for item in gc.get_objects()]
        self.objects.append(len(found))
        self.tensors.append(sum(found))
        return 0.0


@pytest.mark.long
@pytest.mark.parametrize("subject", ["protonet", "multi-task"])
def test_memory_does_not_grow(subject, tmp_path):
    make, data = SUBJECTS[subject]
    counts = Counts()
    fit(
        make(),
        data(),
        options(steps=60, validate_every=15, checkpoint_every=10, ema=0.9),
        folder=tmp_path,
        validate=counts,
    )
    assert counts.tensors[1] == counts.tensors[-1]
    # In between were 30 steps of two episodes: less than an object for each step is none.
    assert counts.objects[-1] - counts.objects[1] < 20
