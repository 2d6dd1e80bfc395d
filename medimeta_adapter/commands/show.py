"""A picture of labelled images as PNG: one row per class of a task, or one row per dataset for a
whole folder.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from medimeta_adapter.commands.output import write
from medimeta_adapter.format.dataset import MedIMetaDataset
from medimeta_adapter.leave_out.meta_dataset import MedIMeta
from torchcross._kit.whole_files import open_whole, remove_abandoned
from torchcross.cli.group import Parser
from torchcross.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image


def arguments(parser: Parser) -> None:
    parser.add_argument("folder", help="a folder of datasets")
    parser.add_argument("dataset", nargs="?", help="its id (default: all, one row each)")
    parser.add_argument("--task", metavar="NAME", help="of the dataset (default: its first)")
    parser.add_argument(
        "--out", type=Path, metavar="FILE.png", help="(default: named after the dataset, here)"
    )
    parser.add_argument(
        "--per-class", type=int, metavar="N", help="images in a row (default: 6; all datasets: 8)"
    )
    parser.add_argument(
        "--classes", type=int, metavar="N", help="of a dataset: rows at most (default: 24)"
    )
    parser.add_argument(
        "--tile", type=int, default=112, metavar="PIXELS", help="side of an image (default: 112)"
    )
    parser.add_argument(
        "--follow-links", action="store_true", help="read what links lead to outside the folder"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the choice of images (default: 0)")


def run(options: argparse.Namespace) -> int:
    single = options.dataset is not None or (Path(options.folder) / "info.yaml").exists()
    if options.task is not None and not single:
        raise InputError(f"--task {options.task!r} belongs to a dataset; name one before it")
    if options.classes is not None and not single:
        raise InputError(f"--classes {options.classes} belongs to a dataset; name one before it")
    default = options.dataset or (Path(options.folder).resolve().name if single else "overview")
    out: Path = options.out or Path(f"{default}.png")
    if out.suffix.lower() != ".png":
        raise InputError(f"--out {out} is no PNG; give a name that ends in .png")
    if not out.parent.is_dir():
        raise InputError(f"--out {out}: there is no folder {out.parent}; make it first")
    picture = _picture(options)
    remove_abandoned(out)
    with open_whole(out) as file:
        picture.save(file, format="PNG", optimize=True)
    write(f"{out}: {picture.width} x {picture.height} pixels\n")
    return 0


def _picture(options: argparse.Namespace) -> Image:
    from medimeta_adapter.show import grid, overview

    more = {"seed": options.seed, "tile": options.tile}
    dataset = _dataset(options)
    if dataset is None:
        meta = MedIMeta(options.folder, follow_links=options.follow_links)
        per_dataset = 8 if options.per_class is None else options.per_class
        return overview(meta.datasets.values(), per_dataset=per_dataset, **more)
    per_class = 6 if options.per_class is None else options.per_class
    most = 24 if options.classes is None else options.classes
    return grid(dataset, options.task, per_class=per_class, most_classes=most, **more)


def _dataset(options: argparse.Namespace) -> MedIMetaDataset | None:
    """The dataset that is meant, if it is one: by its id, or by the folder that is its own."""
    if (Path(options.folder) / "info.yaml").exists():
        dataset = MedIMetaDataset(options.folder, follow_links=options.follow_links)
        if options.dataset not in (None, dataset.id):
            raise InputError(
                f"{options.folder} is the dataset {dataset.id!r} itself, not a folder of"
                f" {options.dataset!r}"
            )
        return dataset
    if options.dataset is None:
        return None
    return MedIMeta(options.folder, only=[options.dataset], follow_links=options.follow_links)[
        options.dataset
    ]
