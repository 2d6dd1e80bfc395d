"""Embed the images of datasets once, and store their features for any number of runs.

Each dataset and backbone is one file. An interrupted command goes on when you give it again.
Exit status 1: something failed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchcross.cli.group import Parser
from torchcross.errors import InputError
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.embedding import EmbeddingJob
    from torchcross.experiment import Experiment

EXAMPLE = """\
torchcross features --data data/MedIMeta --backbones timm:vit_small_patch14_dinov2.lvd142m
torchcross features --data data/MedIMeta --backbones mobilenet_v2=weights/m.pth --dtype float16"""

_COMPLETE, _FAILURES = 0, 1


def arguments(parser: Parser) -> None:
    parser.add_argument("--data", metavar="FOLDER", required=True, help="folder of the datasets")
    parser.add_argument(
        "--backbone",
        action="append",
        metavar="NAME",
        help=(
            "an address such as timm:NAME, hf:NAME, open_clip:NAME, or NAME=FILE; may be repeated"
        ),
    )
    parser.add_argument(
        "--backbones",
        metavar="A,B",
        help="several of them in one argument; --backbone takes names with commas in them",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("features"),
        help="folder of the features (default: features, where runs look for them)",
    )
    parser.add_argument("--targets", metavar="A,B", help="datasets or tasks (default: every one)")
    parser.add_argument(
        "--dtype",
        choices=["float32", "float16"],
        default="float32",
        help="float16 takes half the room and is an approximation",
    )
    parser.add_argument(
        "--views",
        type=int,
        default=1,
        metavar="N",
        help="vectors of each image: of it as it is, and of N - 1 augmented views (default: 1)",
    )
    parser.add_argument(
        "--normalisation",
        choices=["imagenet", "keras", "none"],
        help="what weights want of images, where their file is not known",
    )
    parser.add_argument(
        "--format", metavar="NAME", help="format of the datasets (default: medimeta)"
    )
    parser.add_argument("--channels", type=int, choices=[1, 3])
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda or cuda:1 (default: a GPU if there is one)"
    )
    parser.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="threads of each process (default: 1, as in runs; others give other last bits)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes on this machine (default: what the cores allow)",
    )
    parser.add_argument("--quiet", action="store_true", help="write nothing until the end")


def run(options: argparse.Namespace) -> int:
    from torchcross.embedding import EmbeddingJob
    from torchcross.experiment.device import machine_of, own_threads, resources_of
    from torchcross.experiment.run.engine_choice import engine_of
    from torchcross.experiment.run.feature_job import TargetEmbeddings

    experiments = _experiments(options)
    machine = experiments[0].machine
    embeddings = TargetEmbeddings(experiments, options.views)
    device = str(machine_of(machine).device)
    job = EmbeddingJob(embeddings, str(options.out), device, resources_of(machine))
    engine = engine_of(experiments[0], options.out, options.jobs)
    if not options.quiet:
        _warn_of_random_weights(experiments)
    with own_threads(machine):
        status = _make(job, embeddings, engine, quiet=options.quiet)
    if options.quiet:
        _warn_of_random_weights(experiments)
    return status


def _warn_of_random_weights(experiments: Sequence[Experiment]) -> None:
    from torchcross.cli.experiment_flags import say

    for experiment in experiments:
        if not experiment.model.has_weights:
            say(
                f"warning: {experiment.model.backbone.name} has random weights; give NAME=FILE, or"
                " an address with weights such as timm:NAME"
            )


def _make(job: EmbeddingJob, embeddings: Any, engine: Any, *, quiet: bool) -> int:
    from torchcross._kit.progress import ProgressBar
    from torchcross.cli.experiment_flags import say
    from torchcross.embedding import make_features

    units = job.units()
    done = len(job.done_keys())
    wanted = False if quiet else None
    with ProgressBar(len(units), "features", unit="files", start=done, wanted=wanted) as bar:

        def notice(key: str, report: Any) -> None:
            nonlocal done
            done += 1
            bar(done)
            words = embeddings.words_of(job.name_of(key))
            if report.failure is not None:
                say(f"failed: {words}: {report.failure.reason}")
            elif not quiet:
                say(f"{words}: {job.file_of(key)}")

        result = make_features(job, engine, notice)
    sys.stdout.write(f"{printable(job.out)}: {result.done} of {result.units} files of features\n")
    return _COMPLETE if result.is_complete else _FAILURES


def _experiments(options: argparse.Namespace) -> tuple[Experiment, ...]:
    """One for each backbone: its settings say how runs open data and backbone."""
    from torchcross.cli.experiment_flags import backbone_names
    from torchcross.cli.options import names_in
    from torchcross.experiment import experiment_from_values

    backbones = backbone_names(options)
    if not backbones:
        raise InputError(
            "no backbone is named; give --backbone for each, such as timm:resnet18.a1_in1k, or"
            " --backbones"
        )
    settings = {
        "algorithms": ["logistic"],
        "data.folder": options.data,
        "data.targets": names_in(options.targets or ""),
        "data.format": options.format,
        "data.channels": options.channels,
        "model.normalisation": options.normalisation,
        "evaluation.features": options.dtype,
        "machine.device": options.device,
        "machine.threads": options.threads,
    }
    known = {name: value for name, value in settings.items() if value is not None}
    return tuple(
        experiment_from_values({}, {**known, "model.backbone": backbone}) for backbone in backbones
    )
