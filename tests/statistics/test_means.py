"""Tables of means, computed from records."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.records.sample_records import table
from torchcross.errors import InputError
from torchcross.statistics import across_targets, means_of

nan = math.nan


def test_means_of_records():
    records = table({"maml": [0.5, nan, 0.7], "ridge": [0.2, 0.4, 0.6]}) + table(
        {"maml": [nan]}, target="chalk/shape"
    )
    found = means_of(records, "auroc", 5)
    assert found.targets == ("ink/shape", "chalk/shape")
    assert found.algorithms == ("maml", "ridge")
    assert found.values[0].tolist() == pytest.approx([(0.5 + 0.5 + 0.7) / 3, 0.4])
    assert np.isnan(found.values[1]).all()
    assert found.notes == (
        "maml on ink/shape: 1 of 3 values failed, each counts as chance level 0.5",
        "maml on chalk/shape: 1 of 1 values undefined, left out",
    )
    assert found.notes[0] in across_targets(found).warnings
    with pytest.raises(InputError, match="no records"):
        means_of(records, "auroc", 1)
    with pytest.raises(InputError, match="several runs"):
        means_of(records + table({"maml": [0.5]}, run="other"), "auroc", 5)
