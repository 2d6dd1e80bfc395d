"""Write a saved predictor as ONNX or torch.export: files that need nothing of this library.

The file normalises images itself, takes a batch of any size, and returns probabilities. It is
compared with the predictor before it gets its name. Class names stand in its metadata.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from torchcross.cli.group import Parser
from torchcross.cli.modules import module_at
from torchcross.cli.options import check_out_file
from torchcross.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

EXAMPLE = """\
torchcross export predictor.safetensors --out predictor.onnx
torchcross export predictor.safetensors --to torch-export --out predictor.pt2 --images uint8
torchcross export predictor.safetensors --out predictor.onnx --support support.npy"""


def arguments(parser: Parser) -> None:
    parser.add_argument("predictor", type=Path, metavar="FILE", help="that predictor.save wrote")
    parser.add_argument(
        "--to", choices=("onnx", "torch-export"), default="onnx", help="format (default: onnx)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="file to write")
    parser.add_argument("--logits", action="store_true", help="return logits and no probabilities")
    parser.add_argument(
        "--images",
        choices=("float32", "uint8"),
        default="float32",
        help=(
            "number format of the images that the file takes: floating ones as the predictor takes"
            " them, or uint8 from 0 to 255 (default: float32)"
        ),
    )
    parser.add_argument(
        "--image-shape",
        metavar="CxHxW",
        help="channels, height and width (default: of the images it was adapted to)",
    )
    fixed = parser.add_mutually_exclusive_group()
    fixed.add_argument(
        "--support",
        type=Path,
        metavar="FILE.npy",
        help="support images (N, C, H, W) that fix the statistics of BatchNorm policy batch",
    )
    fixed.add_argument(
        "--transductive",
        action="store_true",
        help="with BatchNorm policy batch: a prediction depends on the images beside it",
    )
    parser.add_argument(
        "--module",
        metavar="PACKAGE:CALLABLE",
        help="makes the backbone, if it is your own, when called without arguments",
    )
    parser.add_argument("--force", action="store_true", help="replace a file that is there")


def run(options: argparse.Namespace) -> int:
    check_out_file(options.out, force=options.force)
    shape = _shape(options.image_shape)

    from torchcross.algorithms import load_predictor
    from torchcross.interop import export_predictor

    own = None if options.module is None else module_at(options.module)
    error = export_predictor(
        load_predictor(options.predictor, own),
        options.out,
        options.to,
        logits=options.logits,
        images=options.images,
        image_shape=shape,
        support=None if options.support is None else _images_in(options.support),
        transductive=options.transductive,
        force=options.force,
    )
    sys.stdout.write(f"{options.out}: as the predictor, up to {error:.1e}\n")
    return 0


def _shape(text: str | None) -> tuple[int, int, int] | None:
    if text is None:
        return None
    sizes = text.split("x")
    if len(sizes) != 3 or not all(size.isdecimal() and int(size) for size in sizes):
        raise InputError(f"--image-shape got {text!r}; give channels, height and width: 3x64x64")
    channels, height, width = map(int, sizes)
    return channels, height, width


def _images_in(path: Path) -> Tensor:
    import torch

    from torchcross._kit.npy_files import read_npy

    try:
        array = read_npy(path)
    except (OSError, ValueError) as error:
        raise InputError(
            f"--support: {path} cannot be read ({error}); give a .npy file of images (N, C, H, W)"
        ) from error
    if array.ndim != 4:
        raise InputError(f"--support: {path} holds no array (N, C, H, W); write one with np.save")
    return torch.from_numpy(array)
