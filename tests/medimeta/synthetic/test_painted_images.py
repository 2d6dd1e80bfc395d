"""A painted image shows its classes, depends on its own row alone, and looks like its domain."""

import hashlib

import numpy as np
import pytest

from medimeta_adapter.synthetic import SCALES, catalog, factors
from medimeta_adapter.synthetic.domain_looks import LOOKS
from medimeta_adapter.synthetic.factors import FACTORS, paint
from medimeta_adapter.synthetic.motifs import MOTIFS, motif_name, stamp
from medimeta_adapter.synthetic.painters import Factor
from medimeta_adapter.synthetic.plan import plan_dataset
from medimeta_adapter.synthetic.render import Canvas
from torchcross._kit.randomness import Stream

ALL = tuple(catalog.datasets.values())


def all_tasks():
    return [
        pytest.param(entry, task, id=f"{entry.id}/{task.name}")
        for entry in ALL
        for task in entry.tasks
    ]


@pytest.mark.parametrize(("entry", "task"), all_tasks())
def test_every_class_of_every_task_shows(entry, task, monkeypatch):
    """One and the same image, but for the class (the label that applies) of one task."""
    monkeypatch.setattr(factors, "difficulty", lambda task, seed: 0.0)
    multilabel = [other.name for other in entry.tasks if other.kind == "multilabel"]
    free = {
        other.name: other
        for other in entry.tasks
        if isinstance(FACTORS[entry.id][other.name], Factor)
    }
    ranks = {
        name: np.zeros((1, other.num_labels) if name in multilabel else 1, int)
        for name, other in free.items()
    }
    alternatives = (
        np.eye(task.num_labels, dtype=int)[:, None]
        if task.name in multilabel
        else np.arange(task.num_labels)
    )
    images = set()
    for alternative in alternatives:
        shown = ranks if task.name not in free else ranks | {task.name: np.atleast_1d(alternative)}
        scene, distractors = paint(entry, shown, seed=0)
        canvas = Canvas(LOOKS[entry.domain], 28, entry.channels, Stream(0, "test"), distractors)
        images.add(canvas.draw(scene, 0).tobytes())
    assert len(images) == (task.num_labels if task.name in free else 1)


def drawn(entry, count=12, size=28, rows=None):
    plan = plan_dataset(entry, SCALES["tiny"], seed=0)
    scene, distractors = paint(entry, plan.ranks, seed=0)
    canvas = Canvas(LOOKS[entry.domain], size, entry.channels, Stream(0, "test"), distractors)
    start, stop = rows or (0, count)
    return canvas.draw(scene.rows(start, stop), start)


@pytest.mark.parametrize("size", [16, 28, 65])
def test_an_image_does_not_depend_on_those_drawn_with_it(size):
    for name in ("skinl_photo", "fundus", "bus"):
        entry = catalog.datasets[name]
        assert (drawn(entry, size=size)[5:9] == drawn(entry, size=size, rows=(5, 9))).all()


def test_the_pixels_are_the_same_on_every_machine():
    found = hashlib.sha256()
    for entry in ALL:
        found.update(drawn(entry).tobytes())
    found.update(drawn(catalog.datasets["skinl_derm"], size=65).tobytes())
    assert found.hexdigest() == GOLDEN


GOLDEN = "9add7494da9659d1ee0105ce78662d17a88ed9f11ff1e679ec161bc7ff9535cf"


# -- motifs and looks ------------------------------------------------------------------------------


def test_motifs_differ_and_stay_inside_their_window():
    line = (np.arange(80, dtype=np.float32) + 0.5) / 26 - np.float32(80 / 52)
    v, u = (
        np.repeat(axis[None], MOTIFS, axis=0) for axis in np.meshgrid(line, line, indexing="ij")
    )
    cover = stamp(np.arange(MOTIFS), u, v, np.full(MOTIFS, 26, dtype=np.float32)).reshape(
        MOTIFS, -1
    )
    assert cover.min() >= 0
    assert cover.max() <= 1
    assert (cover.mean(axis=1) > 0.05).all()
    apart = np.abs(cover[:, None] - cover[None]).mean(axis=2)
    assert apart[~np.eye(MOTIFS, dtype=bool)].min() > 0.015
    assert len({motif_name(motif) for motif in range(MOTIFS)}) == MOTIFS
    edge = cover.reshape(MOTIFS, 80, 80)
    assert edge[:, [0, -1]].max() == 0


def test_every_domain_has_a_look_of_its_own():
    assert set(LOOKS) == set(catalog.domains)
    means = {}
    for domain, (first, *_) in catalog.domains.items():
        images = drawn(catalog.datasets[first], 24).astype(float)
        grey = images.mean(axis=3) if images.ndim == 4 else images
        rough = np.abs(np.diff(grey, axis=1)).mean(), np.abs(np.diff(grey, axis=2)).mean()
        means[domain] = np.array(
            [grey.mean(), grey[:, 2:5, 2:5].mean(), *(4 * part for part in rough)]
        )
    domains = list(means)
    for at, one in enumerate(domains):
        for other in domains[at + 1 :]:
            assert np.abs(means[one] - means[other]).max() > 6, (one, other)
