"""Writes the synthetic catalogue: plans, draws and writes one dataset after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from medimeta_adapter.format.info import TaskInfo, read_info
from medimeta_adapter.synthetic import catalog
from medimeta_adapter.synthetic.catalog import CatalogDataset, CatalogTask
from medimeta_adapter.synthetic.domain_looks import LOOKS
from medimeta_adapter.synthetic.factors import FACTORS, difficulty, paint
from medimeta_adapter.synthetic.plan import DatasetPlan, plan_dataset, scale_of
from medimeta_adapter.synthetic.render import Canvas
from medimeta_adapter.synthetic.scene import Scene
from medimeta_adapter.writing.draft import DatasetDraft
from medimeta_adapter.writing.partial import is_unfinished, remove_old_lock
from medimeta_adapter.writing.progress import PassProgress
from medimeta_adapter.writing.writer import DatasetWriter
from torchcross._kit.argument_checks import checked_int
from torchcross._kit.randomness import Stream
from torchcross._kit.threads import results_in_order
from torchcross.errors import InputError, WriteError

Progress = Callable[[str, int, int], None]

RECIPE = 3
"""Increases when a change of the generator changes its bytes."""
_SIZES = (16, 1024)
_PIXELS_AT_ONCE = 1 << 18
_SUMMARY = (
    "SYNTHETIC: every image and label here was computed from a seed. Nothing was photographed, no"
    " patient exists and nothing medical can be learned from it. Name, domain, tasks, label counts,"
    " overlaps and the proportions of the splits follow the MedIMeta dataset {name!r}, none of"
    " whose images or labels were used."
)
_RESTART_ADVICE = "start again with resume=False (without --resume)"
_LICENSE = "CC0-1.0"
_LICENSE_TEXT = """Synthetic data ({id}), computed from a seed.

These images and labels show nothing real: no patient, no specimen, no diagnosis. They are for \
testing and
demonstrating software, and must not be used for, or presented as, medical research or advice.

To the extent possible under law, whoever generated them has waived all copyright and related \
rights to them
(CC0 1.0 Universal, https://creativecommons.org/publicdomain/zero/1.0/).
"""


def generate(
    out: str | os.PathLike[str],
    *,
    scale: str | float = "tiny",
    size: int = 28,
    seed: int = 0,
    only: Iterable[str] | None = None,
    tiffs: bool = False,
    resume: bool = False,
    overwrite: bool = False,
    workers: int = 1,
    progress: Progress | None = None,
) -> Path:
    """Write the datasets of the catalogue with synthetic images to `out`/<id>, and return `out`.

    The bytes depend on (scale, size, seed) alone: not on the machine, on `workers` (threads), or on
    `only`, which selects some of the datasets. resume: continue an interrupted call. progress:
    called with (dataset id, images written, images in all).
    """
    share = scale_of(scale)
    checked_int("size", size, *_SIZES)
    checked_int("seed", seed, 0, 2**64 - 1)
    checked_int("workers", workers, 1, 1024)
    entries = _selected_datasets(only)
    root = Path(out)
    root.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        plan = plan_dataset(entry, share, seed)
        draft = _draft(plan, scale, size, seed)
        folder, total = root / entry.id, len(plan.splits)
        if resume and _is_complete(folder, draft):
            remove_old_lock(folder.absolute())
            if progress:
                progress(entry.id, total, total)
            continue
        text = _LICENSE_TEXT.format(id=entry.id)
        tell = None if progress is None else partial(progress, entry.id)
        bar = PassProgress(tell, total, passes=1 + tiffs)
        with DatasetWriter(
            folder,
            draft,
            total=total,
            license_text=text,
            tiffs=tiffs,
            resume=resume,
            overwrite=overwrite,
            restart_advice=_RESTART_ADVICE,
            progress=bar,
        ) as writer:
            _write_images(writer, plan, size, seed, workers, bar)
            bar.finish_pass()
        bar.finish()
    return root


def _selected_datasets(only: Iterable[str] | None) -> list[CatalogDataset]:
    if only is None:
        return list(catalog.datasets.values())
    if isinstance(only, str):
        raise InputError(f"got only={only!r}; give a list of dataset ids, such as only=[{only!r}]")
    names = list(dict.fromkeys(only))
    if not names:
        raise InputError(
            "got only=[] and so no dataset to generate; name some, or leave only= out for all"
        )
    return [catalog.dataset(name) for name in names]


def _is_complete(folder: Path, draft: DatasetDraft) -> bool:
    """Whether the folder holds the dataset as this call would write it."""
    path = folder / "info.yaml"
    if not path.exists() or is_unfinished(folder):
        return False
    differences = draft.differences(DatasetDraft.from_info(read_info(path)).as_dict())
    if differences:
        raise WriteError(
            f"{folder} exists and was generated by another call: {'; '.join(differences)}; choose"
            " another folder, or overwrite=True (--overwrite) without resume (--resume)"
        )
    return True


def _draft(plan: DatasetPlan, scale: str | float, size: int, seed: int) -> DatasetDraft:
    entry = plan.entry
    return DatasetDraft(
        id=entry.id,
        name=f"{entry.name} (synthetic)",
        domain=entry.domain,
        tasks=[task_info(task, seed) for task in entry.tasks],
        input_size=(entry.channels, size, size),
        summary=_SUMMARY.format(name=entry.name),
        domain_overlaps=entry.domain_overlaps,
        subject_overlaps=entry.subject_overlaps,
        license=_LICENSE,
        extra={
            "synthetic": True,
            "synthetic_recipe": RECIPE,
            "synthetic_scale": scale,
            "synthetic_seed": seed,
        },
    )


def task_info(task: CatalogTask, seed: int) -> TaskInfo:
    """Return how a task is described in `info.yaml`."""
    labels = {key: f"synthetic {key}" for key in task.label_keys}
    extra = {
        "synthetic_factor": FACTORS[task.dataset][task.name].name,
        "synthetic_difficulty": round(difficulty(task, seed), 4),
    }
    return TaskInfo(task.name, task.task_target, labels, extra)


def _write_images(
    writer: DatasetWriter,
    plan: DatasetPlan,
    size: int,
    seed: int,
    workers: int,
    bar: PassProgress,
) -> None:
    """Draw in threads and write in order."""
    subjects = plan.subjects
    for start, images in _draw_chunks(plan, writer.count, size, seed, workers):
        rows = slice(start, start + len(images))
        numbers = range(rows.start, rows.stop)
        writer.add_batch(
            images,
            {task.name: plan.labels(task)[rows] for task in plan.entry.tasks},
            splits=plan.splits[rows].tolist(),
            original_splits=plan.original_splits[rows].tolist(),
            original_filepaths=[f"synthetic/{plan.entry.id}/{number:06d}" for number in numbers],
            patient_ids=None if subjects is None else subjects[rows].tolist(),
        )
        bar(rows.stop, len(plan.splits))


def _draw_chunks(
    plan: DatasetPlan, first: int, size: int, seed: int, workers: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield chunks of images in their order, each with its first row."""
    total = len(plan.splits)
    canvas, scene = canvas_and_scene(plan, size, seed)
    step = max(1, _PIXELS_AT_ONCE // size**2)

    def draw(start: int) -> tuple[int, NDArray[np.uint8]]:
        return start, canvas.draw(scene.rows(start, min(start + step, total)), start)

    return results_in_order(range(first, total, step), draw, workers)


def canvas_and_scene(plan: DatasetPlan, size: int, seed: int) -> tuple[Canvas, Scene]:
    """Return what draws the images of a plan, and what they show."""
    entry = plan.entry
    scene, distractors = paint(entry, plan.ranks, seed)
    stream = Stream(seed, "synthetic", entry.id, "images")
    return Canvas(LOOKS[entry.domain], size, entry.channels, stream, distractors), scene
