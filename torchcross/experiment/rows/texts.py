"""The texts of a task's classes, as rows read them: their prompts, and their vectors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from torchcross import backbones
from torchcross.backbones.addresses import at_revision
from torchcross.errors import InputError
from torchcross.experiment.rows.addressed_backbones import pretrained_backbone
from torchcross.experiment.rows.methods import METHODS, rows_of_experiment
from torchcross.experiment.settings.row_settings import experiment_of_row
from torchcross.experiment.settings.schema import Experiment
from torchcross.task import Task
from torchcross.text import PromptTable, TextVectors, class_prompts, text_vectors
from torchcross.text.prompts import ClassPrompts, check_templates

_OPEN_CLIP = "open_clip:"
_PromptItems = tuple[tuple[str | None, tuple[str, ...]], ...]


def reads_texts(experiment: Experiment) -> list[str]:
    """The rows that know classes by their names."""
    return [row for row in rows_of_experiment(experiment) if METHODS[row].reads_texts]


def check_texts(experiment: Experiment) -> None:
    """Refuse texts that are not there, and a backbone without a text tower."""
    rows, text = reads_texts(experiment), experiment.text
    if not rows:
        return
    check_templates(text.templates)
    if text.vectors:
        if not Path(text.vectors).is_file():
            raise InputError(f"text.vectors={text.vectors!r} is no file; give one of vectors")
        return
    if text.csv and not Path(text.csv).exists():
        raise InputError(f"text.csv={text.csv!r} does not exist; give a CSV file, or a folder")
    for row in rows:
        backbone = experiment_of_row(experiment, row).model.backbone
        if backbone.name.startswith(_OPEN_CLIP) and backbone.is_pretrained:
            continue
        raise InputError(
            f"{row}: model.backbone={backbone.name!r} has no text tower with weights;"
            " give an address of open_clip (open_clip:ViT-B-16/openai), or text.vectors"
        )


def target_prompts(experiment: Experiment, task: Task, dataset_name: str = "") -> ClassPrompts:
    """The prompts of each class of a task."""
    text = experiment.text
    table = PromptTable.read(_table_of(Path(text.csv), task)) if text.csv else None
    return class_prompts(task, templates=text.templates, table=table, dataset_name=dataset_name)


def target_texts(experiment: Experiment, task: Task, dataset_name: str = "") -> TextVectors:
    """The vectors of each class of a task; the experiment is that of the row."""
    text = experiment.text
    if text.vectors:
        return TextVectors.read(text.vectors, task.classes, prefix=task.name)
    prompts = target_prompts(experiment, task, dataset_name)
    return _vectors_of(_tower_of(experiment), tuple(prompts.items()))


def describe_texts(experiment: Experiment, tasks: Iterable[tuple[Task, str]]) -> dict[str, Any]:
    """For a protocol: where the vectors come from, and the prompts of each task.

    `tasks` are tasks with the names of their datasets.
    """
    text = experiment.text
    if text.vectors:
        return {"vectors": Path(text.vectors).name, "sha256": files_digest(Path(text.vectors))}
    towers = dict.fromkeys(
        _tower_of(experiment_of_row(experiment, row)) for row in reads_texts(experiment)
    )
    models = [
        {
            "model": tower.name,
            "sha256": tower.sha256,
            "revision": tower.revision,
            "scale": tower.scale,
        }
        for tower in towers
    ]
    prompts = {
        task.name: {
            "no label" if name is None else name: list(each)
            for name, each in target_prompts(experiment, task, dataset).items()
        }
        for task, dataset in tasks
    }
    return {"models": models, "prompts": prompts}


def texts_in_words(experiment: Experiment) -> str:
    """What rows know of classes, and how, for a page."""
    text, rows = experiment.text, ", ".join(reads_texts(experiment))
    if text.vectors:
        source = f"vectors of the file {Path(text.vectors).name}"
    else:
        prompts = f"prompts of {Path(text.csv).name}"
        if not text.csv:
            prompts = "; ".join(f"`{template}`" for template in text.templates)
        source = f"the text tower of the backbone, which reads {prompts}"
    return (
        f"{rows}: {source}. Scores are the cosine of an image and a text, times the model's scale;"
        " text alone predicts the same at every number of shots."
    )


def files_digest(path: Path) -> str:
    """Of the content of a file, or of the CSV files in a folder with their names."""
    files = sorted(path.rglob("*.csv")) if path.is_dir() else [path]
    total = hashlib.sha256()
    try:
        for each in files:
            name = str(each.relative_to(path)) if path.is_dir() else ""
            total.update(name.encode() + b"\0" + hashlib.sha256(each.read_bytes()).digest())
    except OSError as error:
        raise InputError(
            f"{path} cannot be read: {error.strerror or error}; give a file that can be"
        ) from error
    return total.hexdigest()


def _table_of(path: Path, task: Task) -> Path:
    """The file of a task; in a folder DATASET/TASK.csv, or else DATASET.csv."""
    if not path.is_dir():
        return path
    dataset, _, name = task.name.rpartition("/")
    own = path / (dataset or name) / f"{name}.csv"
    return own if own.is_file() else path / f"{dataset or name}.csv"


def _tower_of(experiment: Experiment) -> backbones.TextTower:
    """The text tower of the row's backbone, from the file that its weights are from."""
    address, known = experiment.model.backbone.name, pretrained_backbone(experiment)
    if known is None:
        return _tower(address)
    tower = _tower(at_revision(address, known.weights.revision))
    if tower.sha256 != known.weights.sha256:
        raise InputError(
            f"the text tower of {address!r} is from a file with the SHA-256 {tower.sha256[:12]},"
            f" and its image tower from one with {known.weights.sha256[:12]}; fetch the model"
            " again, and run the same again"
        )
    return tower


@lru_cache(maxsize=4)
def _tower(address: str) -> backbones.TextTower:
    return backbones.text_tower(address)


@lru_cache(maxsize=256)
def _vectors_of(tower: backbones.TextTower, prompts: _PromptItems) -> TextVectors:
    return text_vectors(tower, dict(prompts))
