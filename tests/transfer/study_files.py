"""A small study as a user has it: a folder of generated images, and the TOML file beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from medimeta_adapter.synthetic import generate

STUDY = """
{top}
[data]
folder = "{data}"
channels = 1

[model]
backbone = {backbone}

[study]
sources = {sources}
targets = ["pneumonia"]
folds = 2
source_images = 60
target_images = 40

[source_training]
epochs = 1

[fine_tuning]
epochs = 1
batch_size = 16

[scores]
names = ["knn"]

{more}
"""
BACKBONE = '{ name = "conv4", channels = 4 }'


def study_text(
    *,
    top: str = "",
    data: Path | str = "data",
    backbone: str = BACKBONE,
    sources: Sequence[str] = ("scratch", "oct"),
    more: str = "",
) -> str:
    """The settings of a study of a few seconds.

    top   what stands before the sections
    more  sections that stand after the others
    """
    listed = "[" + ", ".join(f'"{source}"' for source in sources) + "]"
    parts = {"top": top, "data": data, "backbone": backbone, "sources": listed, "more": more}
    return STUDY.format(**parts)


def write_study(folder: Path, datasets: Sequence[str], text: str = "") -> Path:
    """Generate the datasets in `data`, and write study.toml beside; the folder is returned."""
    generate(folder / "data", scale="tiny", only=list(datasets))
    (folder / "study.toml").write_text(text or study_text(), encoding="utf-8")
    return folder
