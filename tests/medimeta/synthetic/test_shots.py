"""Every scale has room for the episodes that it is said to be for."""

from importlib.resources import as_file

import numpy as np
import pytest

import torchcross as tx
from medimeta_adapter.commands.demo_run import SETTINGS
from medimeta_adapter.synthetic import SCALES, catalog
from medimeta_adapter.synthetic.generate import task_info
from medimeta_adapter.synthetic.plan import plan_dataset
from torchcross.data import EpisodeSampler, LabelSource
from torchcross.experiment import PRESETS, read_experiment

FEW_QUERIES = 3


def source_of(entry, task, scale):
    plan = plan_dataset(entry, SCALES[scale], seed=0)
    about = tx.Task(task.name, task_info(task, 0).target(), entry.id)
    return plan.splits, LabelSource(plan.labels(task), about, groups=plan.subjects)


@pytest.mark.parametrize(
    ("entry", "task"),
    [
        pytest.param(entry, task, id=f"{entry.id}/{task.name}")
        for entry in catalog.datasets.values()
        for task in entry.tasks
    ],
)
def test_every_label_can_be_learned_from_five_shots(entry, task):
    for scale, queries in (("tiny", FEW_QUERIES), ("small", 10)):
        splits, source = source_of(entry, task, scale)
        sampler = EpisodeSampler(source, shots=5, queries=queries, seed=0)
        assert len(sampler[0].support) >= 5
        train = source.subset(np.flatnonzero(splits == "train"))
        if scale == "small":
            assert len(EpisodeSampler(train, shots=5, queries=10, seed=0)[0].query) >= 10


@pytest.mark.parametrize("entry", catalog.datasets.values(), ids=lambda entry: entry.id)
def test_the_validation_split_of_every_source_of_the_demo_can_judge(entry):
    """Up to five shots and five queries a class."""
    with as_file(SETTINGS) as path:
        meta = read_experiment(path, {"data.folder": "any"}).meta
    splits, source = source_of(entry, entry.primary_task, "small")
    judge = source.subset(np.flatnonzero(splits == "val"))
    sampler = EpisodeSampler(
        [judge],
        ways=(2, None),
        shots=meta.shots,
        queries=meta.queries,
        min_samples=meta.min_images,
        seed=0,
    )
    assert all(len(sampler[number].query) >= 2 * meta.queries for number in range(20))


@pytest.mark.parametrize("entry", catalog.datasets.values(), ids=lambda entry: entry.id)
def test_the_preset_quick_runs_at_the_smallest_scale(entry):
    """`data synth --scale tiny`, then `run --preset quick`: every target, and every source."""
    evaluation, meta = PRESETS["quick"]["evaluation"], PRESETS["quick"]["meta"]
    splits, source = source_of(entry, entry.primary_task, "tiny")
    few = {"queries": evaluation["queries"], "min_samples": evaluation["min_images"]}
    assert len(EpisodeSampler(source, shots=5, **few, seed=0)[0].query) >= 2 * FEW_QUERIES
    few = {"queries": meta["queries"], "min_samples": meta["min_images"]}
    train = source.subset(np.flatnonzero(splits == "train"))
    EpisodeSampler([train], ways=(2, None), shots=tuple(meta["shots"]), **few, seed=0)[0]
