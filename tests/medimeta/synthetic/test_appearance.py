"""How an image looks does not tell its label: what it shows does. The full measure, over 200
episodes and with the demo, is `python -m benchmarks.medimeta.appearance`.
"""

import numpy as np
import pytest

from benchmarks.medimeta.appearance import appearance_of
from medimeta_adapter.synthetic import SCALES, catalog
from medimeta_adapter.synthetic.factors import FACTORS, Derived, factor_numbers, paint
from medimeta_adapter.synthetic.motifs import AREA, MOTIFS, PLAIN, motif_name, stamp
from medimeta_adapter.synthetic.painters import MOST_FINDINGS
from medimeta_adapter.synthetic.plan import plan_dataset
from medimeta_adapter.synthetic.scene import ABSENT

ALL = tuple(catalog.datasets.values())
CLASSES, MOST_STATISTICS, LEAST_FACTORS = 80, 0.58, 0.90


def plan_of(entry):
    return plan_dataset(entry, SCALES["tiny"], seed=0)


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_global_statistics_are_near_chance_and_the_factors_are_not(entry):
    task = entry.primary_task
    # Few classes make small query sets, whose scores vary more.
    episodes = max(6, CLASSES // task.num_labels)
    (scores,) = appearance_of([task], episodes=episodes)
    assert scores.statistics.value < MOST_STATISTICS
    assert scores.factors.value > LEAST_FACTORS


def test_all_motifs_have_one_area_and_about_one_length_of_outline():
    # Upright edges on the grid of pixels would be sharper than all others.
    radius, turns = 26.3, np.deg2rad([-11.0, -5.0, 4.0, 10.0])
    line = np.arange(80, dtype=np.float64) - 39.5
    areas, edges = [], []
    for turn in turns:
        across = (np.cos(turn) * line[None, :] + np.sin(turn) * line[:, None]) / radius
        down = (np.cos(turn) * line[:, None] - np.sin(turn) * line[None, :]) / radius
        u, v = (np.repeat(axis[None], MOTIFS, 0).astype(np.float32) for axis in (across, down))
        cover = stamp(np.arange(MOTIFS), u, v, np.full(MOTIFS, radius, np.float32))
        areas.append(cover.sum((1, 2)) / radius**2)
        steps = (np.diff(cover, axis=axis) ** 2 for axis in (1, 2))
        edges.append(sum(step.sum((1, 2)) for step in steps) / radius)
    names = [motif_name(motif) for motif in range(MOTIFS)]
    for name, area, edge in zip(names, np.mean(areas, 0), np.mean(edges, 0), strict=True):
        assert area == pytest.approx(AREA, rel=0.02), name
        assert edge == pytest.approx(np.mean(edges), rel=0.1), name


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_all_images_of_a_dataset_have_the_same_number_of_parts(entry):
    scene, _ = paint(entry, plan_of(entry).ranks, seed=0)
    assert (scene.lesion != ABSENT).all() == (scene.lesion != ABSENT).any() == scene.has_lesion
    assert all((marks != ABSENT).all() for marks in scene.marks)
    for strength in (scene.lesion_strength, scene.weave_strength, np.abs(scene.veil)):
        assert len(np.unique(strength)) == 1
    assert len(np.unique(scene.weave == ABSENT)) == 1


def test_plain_marks_make_up_the_number():
    entry = catalog.datasets["cxr"]
    ranks = plan_of(entry).ranks
    scene, _ = paint(entry, ranks, seed=0)
    findings = ranks["disease labels"].sum(1)
    assert findings.min() == 0
    assert findings.max() == MOST_FINDINGS
    plain = sum((marks == PLAIN).astype(int) for marks in scene.marks)
    assert np.mean(plain == MOST_FINDINGS - findings) > 0.9


def test_the_labels_of_one_image_are_few():
    for entry in ALL:
        for task in entry.tasks:
            if task.kind == "multilabel":
                assert plan_of(entry).ranks[task.name].sum(1).max() <= MOST_FINDINGS


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_factors_are_numbers_for_every_task(entry):
    plan = plan_of(entry)
    for task in entry.tasks:
        numbers = factor_numbers(task, plan.ranks, seed=0)
        assert len(numbers) == len(plan.splits)
        assert len(np.unique(numbers, axis=0)) > 1
        rule = FACTORS[entry.id][task.name]
        if isinstance(rule, Derived):
            (parent,) = [other for other in entry.tasks if other.name == rule.parent]
            assert (numbers == factor_numbers(parent, plan.ranks, seed=0)).all()
