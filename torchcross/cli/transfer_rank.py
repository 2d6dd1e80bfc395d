"""Rank sources for a target before anything is trained on it: which one, how sure, and what simple
rules would take.

A source is a network: that of a file of weights (NAME=FILE), or one that is trained on a dataset,
in the folder of --networks or by a study (--study). The scores see labelled images of the target.
Its sureness is over random halves of these images.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchcross.cli.experiment_flags import override_of, say
from torchcross.cli.group import Parser
from torchcross.cli.options import add_plugin_flag, names_in_all
from torchcross.errors import InputError
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.experiment.source_ranking import RankingRequest

EXAMPLE = """\
torchcross transfer rank --data data/MedIMeta --target oct --sources all --backbone mobilenet_v2
torchcross transfer rank --data data/MedIMeta --target oct --sources all imagenet=m.pth
torchcross transfer rank --data data/MedIMeta --target oct --study studies/study --out oct.csv"""

_FORMATS = (".csv", ".json")
_SECTIONS = ("model", "study", "source_training", "reptile")


def arguments(parser: Parser) -> None:
    parser.add_argument("--data", metavar="FOLDER", required=True, help="folder of the datasets")
    parser.add_argument("--target", metavar="NAME", required=True, help="a dataset or a task")
    parser.add_argument(
        "--sources",
        nargs="+",
        metavar="A,B",
        default=["all"],
        help=(
            "datasets (reptile:NAME: learned by Reptile), NAME=FILE for weights, scratch for a"
            " random start, or all: the datasets that do not overlap with the target, or the"
            " sources of the study (default: all)"
        ),
    )
    parser.add_argument("--study", default="", metavar="FOLDER", help="use a study's networks")
    parser.add_argument(
        "--networks",
        metavar="FOLDER",
        help="where networks are trained and kept (default: networks/ and the target's name)",
    )
    parser.add_argument(
        "--backbone", metavar="NAME", help="a name of torchcross.backbones (default: resnet18)"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a setting of a study, such as source_training.epochs=3; may be repeated",
    )
    parser.add_argument(
        "--scores", nargs="+", metavar="A,B", help="scores (default: logme, knn, shrunk_h_score)"
    )
    parser.add_argument(
        "--images", type=int, default=1000, metavar="N", help="images of the target; 0: all"
    )
    parser.add_argument(
        "--split",
        choices=["all", "train", "val", "test"],
        default="train",
        help="the part of the target that is scored, never the one that you test on",
    )
    parser.add_argument(
        "--halves",
        type=int,
        default=40,
        metavar="N",
        help="random halves of the images that tell how sure an order is; 0: none",
    )
    parser.add_argument("--largest", default="", metavar="SOURCE", help="the largest source")
    parser.add_argument(
        "--results",
        default="",
        metavar="FOLDER|TABLE.csv",
        help="results of the sources on other targets, for the static rule (default: the study's)",
    )
    parser.add_argument("--format", default="medimeta", metavar="NAME", help="of the datasets")
    parser.add_argument(
        "--channels", type=int, choices=[1, 3], help="of the images (default: the study's, or 3)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of trainings and draws")
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda or cuda:1 (default: a GPU if there is one)"
    )
    add_plugin_flag(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="processes that train networks")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="write a table too, as .csv or .json"
    )
    parser.add_argument("--quiet", action="store_true", help="write nothing until the end")


def run(options: argparse.Namespace) -> int:
    from torchcross.experiment.source_ranking import rank_sources
    from torchcross.experiment.source_ranking_tables import ranking_csv, ranking_json, ranking_text

    if options.out is not None and options.out.suffix.lower() not in _FORMATS:
        raise InputError(f"--out got {str(options.out)!r}; give a name that ends in .csv or .json")
    request = _request(options)
    ranking = rank_sources(request, (lambda line: None) if options.quiet else say)
    if options.out is not None:
        from torchcross._kit.whole_files import write_whole

        text_of = ranking_json if options.out.suffix.lower() == ".json" else ranking_csv
        options.out.parent.mkdir(parents=True, exist_ok=True)
        write_whole(options.out, text_of(ranking))
    sys.stdout.write(printable(ranking_text(ranking)))
    return 0


def _request(options: argparse.Namespace) -> RankingRequest:
    from torchcross.experiment.source_ranking import RankingRequest

    idle = [f"--{name}" for name in ("networks", "jobs") if getattr(options, name) is not None]
    if options.study and idle:
        raise InputError(
            f"{' and '.join(idle)} is for networks that are trained here, and those of the study"
            f" {options.study} are trained already: leave it out, or --study"
        )
    scores = names_in_all(options.scores)
    folder = options.networks or str(Path("networks") / options.target.replace("/", "-"))
    return RankingRequest(
        data=options.data,
        target=options.target,
        sources=tuple(names_in_all(options.sources) or ()),
        format=options.format,
        channels=options.channels,
        split=options.split,
        study=options.study,
        networks=folder,
        training=_training(options),
        **({} if scores is None else {"scores": tuple(scores)}),
        images=options.images,
        halves=options.halves,
        seed=options.seed,
        largest=options.largest,
        results=options.results,
        jobs=options.jobs,
        device=options.device or "auto",
        plugins=tuple(options.plugin or ()),
    )


def _training(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Sections of the settings of a study, from --backbone and --set."""
    sections: dict[str, dict[str, Any]] = {}
    if options.backbone is not None:
        sections["model"] = {"backbone": options.backbone}
    for name, value in map(override_of, options.set):
        section, _, last = name.rpartition(".")
        if section not in _SECTIONS:
            raise InputError(
                f"--set got {name!r}; give a setting of {', '.join(_SECTIONS[:-1])} or"
                f" {_SECTIONS[-1]}, such as source_training.epochs"
            )
        sections.setdefault(section, {})[last] = value
    return sections
