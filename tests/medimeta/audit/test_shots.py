"""The most shots per class: what the sampler itself accepts, and one more refused."""

import numpy as np
import pytest

from medimeta_adapter.audit import check
from medimeta_adapter.audit.audited_dataset import AuditedDataset
from medimeta_adapter.audit.shots import largest_shots
from medimeta_adapter.format.info import DatasetInfo, TaskInfo
from tests.medimeta.audit_folders import Folder, only_finding
from torchcross.data import EpisodeSampler, LabelSource
from torchcross.errors import InfeasibleError
from torchcross.task import Task

DRAW = np.random.default_rng(0)
N = 60
CASES = {
    "binary": ("BINARY_CLASSIFICATION", {0: "no", 1: "yes"}, DRAW.integers(0, 2, N)),
    "multiclass": (
        "MULTICLASS_CLASSIFICATION",
        {0: "a", 1: "b", 2: "c"},
        DRAW.choice(3, N, p=[0.6, 0.3, 0.1]),
    ),
    "multilabel": (
        "MULTILABEL_CLASSIFICATION",
        {0: "a", 1: "b", 2: "c"},
        (DRAW.random((N, 3)) < [0.5, 0.2, 0.9]) * 1,
    ),
    "ordinal": (
        "ORDINAL_REGRESSION",
        {1: "mild", 4: "some", 8: "much"},
        np.array([1, 4, 8])[DRAW.choice(3, N)],
    ),
}
SUBJECTS = {
    "none": None,
    "threes": np.array([f"p{n // 3}" for n in range(N)], dtype=object),
    "one large": np.array([f"p{max(0, n - 40)}" for n in range(N)], dtype=object),
    "one": np.array(["p"] * N, dtype=object),
}


def table(tmp_path, kind, subjects, queries):
    target, names, labels = CASES[kind]
    task = TaskInfo("task", target, names)
    info = DatasetInfo("eyes", "Eyes", "Fundus", (task,), (1, 8, 8), N)
    dataset = AuditedDataset(tmp_path, info, subjects=SUBJECTS[subjects])
    return largest_shots(dataset, task, labels, queries), LabelSource(
        labels, Task("task", task.target(), "Fundus"), groups=SUBJECTS[subjects]
    )


def accepted(source, name, shots, queries):
    """Whether the sampler keeps the class when it drops what cannot serve."""
    try:
        sampler = EpisodeSampler(
            source, ways=(1, None), shots=shots, queries=queries, min_samples="enough"
        )
    except InfeasibleError as error:
        # Too few classes are left; those that it names as left out are the others.
        return "leaves out" in str(error) and f"{name!r}" not in str(error)
    return name not in sampler.dropped_classes[source.name]


@pytest.mark.parametrize("queries", [1, 4, 25])
@pytest.mark.parametrize("subjects", SUBJECTS)
@pytest.mark.parametrize("kind", CASES)
def test_the_sampler_agrees(tmp_path, kind, subjects, queries):
    found, source = table(tmp_path, kind, subjects, queries)
    assert found.by_subject == (subjects != "none")
    for place, entry in enumerate(found.classes):
        stratum_sizes = source.counts()[entry.name]
        assert entry.samples == stratum_sizes
        most = by_counting(source, place, queries)
        assert entry.shots == most, entry.name


def by_counting(source, place, queries):
    """The most shots of one class by trying every division of subjects of its strata, the slow
    way.
    """
    labels = source.labels
    if labels.ndim == 2:
        strata = [np.flatnonzero(labels[:, place] == answer) for answer in (0, 1)]
    else:
        strata = [np.flatnonzero(labels == place)]
    return min(divided(source, rows, queries) for rows in strata)


def divided(source, rows, queries):
    if source.groups is None:
        return max(len(rows) - queries, -1)
    sizes = np.bincount(source.groups[rows])
    sums = {0}
    for size in sizes[sizes > 0].tolist():
        sums |= {total + size for total in sums}
    return max((len(rows) - total for total in sums if total >= queries), default=-1)


@pytest.mark.parametrize("kind", CASES)
def test_an_episode_with_the_most_shots_can_be_drawn_and_one_with_more_cannot(tmp_path, kind):
    found, source = table(tmp_path, kind, "none", 4)
    assert found.shots >= 1
    labels = source.labels.ndim == 2
    if not labels:  # several labels share samples: there, counting gives an upper bound
        EpisodeSampler(source, shots=found.shots, queries=4)[0]
    with pytest.raises(InfeasibleError, match=found.scarcest.name):
        EpisodeSampler(source, shots=found.shots + 1, queries=4)


def test_tens_of_thousands_of_one_subject_each(tmp_path):
    count = 40_000
    task = TaskInfo("task", "BINARY_CLASSIFICATION", {0: "no", 1: "yes"})
    info = DatasetInfo("eyes", "Eyes", "Fundus", (task,), (1, 8, 8), count)
    owners = np.repeat(np.arange(count // 2), 2)
    owners[:5000] = 0
    labels = np.arange(count) // 20_000
    dataset = AuditedDataset(tmp_path, info, subjects=owners.astype(object).astype(str))
    found = largest_shots(dataset, task, labels, 9)
    assert [entry.shots for entry in found.classes] == [19_990, 19_990]


def test_scarce_classes_are_named(tmp_path):
    folder = Folder(tmp_path)
    folder.labels["what it is"][:] = 0
    folder.labels["what it is"][[0, 1, 2, 30, 31, 32]] = [1, 1, 1, 2, 2, 2]
    folder.write()
    report = check(tmp_path, pixels=False, shots=1, queries=2)
    found = only_finding(report, "class-scarce")
    assert (found.field, found.count) == ("what it is", 2)
    assert found.examples == ("CNV: wet: 0", "none: 0")
    table = report.datasets[0].tasks[1]
    assert (table.shots, table.usable(1), table.scarcest.name) == (0, 1, "CNV: wet")
    assert [(entry.samples, entry.shots) for entry in table.classes] == [(84, 81), (3, 0), (3, 0)]
