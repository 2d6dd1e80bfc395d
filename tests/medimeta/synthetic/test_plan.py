"""What is planned before an image is painted: sizes of splits, labels, difficulties."""

import numpy as np
import pytest

from medimeta_adapter.synthetic import SCALES, catalog, difficulty
from medimeta_adapter.synthetic.factors import FACTORS, Derived
from medimeta_adapter.synthetic.generate import task_info
from medimeta_adapter.synthetic.plan import plan_dataset, scale_of, split_sizes
from torchcross import Task
from torchcross.data import LabelSource, class_fraction, stratified_folds

ALL = tuple(catalog.datasets.values())


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_at_full_scale_the_counts_are_the_published_ones(entry):
    plan = plan_dataset(entry, scale_of(1.0), seed=0)
    for found, real in (
        (plan.splits, entry.samples),
        (plan.original_splits, entry.original_splits),
    ):
        names, counts = np.unique(found, return_counts=True)
        assert dict(zip(names.tolist(), counts.tolist(), strict=True)) == {
            split: getattr(real, split)
            for split in ("train", "val", "test")
            if getattr(real, split)
        }


def test_a_scale_between_is_a_share_of_the_real_sizes():
    crc = split_sizes(catalog.datasets["crc"], scale_of(0.1))
    assert (crc.train, crc.val, crc.test) == (8500, 1500, 718)
    assert split_sizes(catalog.datasets["glaucoma"], SCALES["medium"]).val == 22
    assert (
        split_sizes(catalog.datasets["dr_uwf"], SCALES["medium"]).test == 50
    )  # not more than there are


def test_tasks_that_are_not_derived_are_independent():
    entry = catalog.datasets["skinl_photo"]
    plan = plan_dataset(entry, scale_of(1.0), seed=0)
    free = [
        plan.ranks[task.name]
        for task in entry.tasks
        if not isinstance(FACTORS[entry.id][task.name], Derived)
    ]
    assert len(free) == 8
    between = np.abs(np.corrcoef(np.stack(free))[np.triu_indices(8, 1)])
    assert between.max() < 4 / np.sqrt(len(plan.splits))


def test_both_eyes_of_a_subject_are_on_one_side_of_every_split():
    entry = catalog.datasets["dr_regular"]
    plan = plan_dataset(entry, scale_of(1.0), seed=0)
    assert np.unique(plan.subjects, return_counts=True)[1].tolist() == [2] * 1000
    task = entry.primary_task
    target = task_info(task, 0).target()
    eyes = LabelSource(plan.labels(task), Task("DR level", target), groups=plan.subjects)
    sides = [
        *(plan.splits == split for split in ("train", "val", "test")),
        *(np.isin(np.arange(len(eyes)), fold) for fold in stratified_folds(eyes, 5)),
        *(np.isin(np.arange(len(eyes)), class_fraction(eyes, f).indices) for f in (0.1, 0.5)),
    ]
    for side in sides:
        assert side.any()
        assert not set(plan.subjects[side]) & set(plan.subjects[~side])


def test_difficulties_are_spread():
    values = [difficulty(task, seed=0) for task in catalog.tasks]
    assert min(values) < 0.15
    assert max(values) > 0.85
    bus = catalog.datasets["bus"]
    assert difficulty(bus.tasks[0], 3) == difficulty(bus.tasks[1], 3) != difficulty(bus.tasks[0], 4)
