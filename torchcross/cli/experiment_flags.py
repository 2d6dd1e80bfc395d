"""The flags of commands that take an experiment: its settings, and the folder of its results."""

from __future__ import annotations

import argparse
import re
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchcross._kit.lost_readers import write_line
from torchcross._kit.plugin_files import load_plugins
from torchcross.cli.group import Parser
from torchcross.cli.options import add_plugin_flag, names_in
from torchcross.errors import InputError
from torchcross.messages import printable

if TYPE_CHECKING:
    from torchcross.experiment import Experiment

_DIGITS = 8
_FLAGS = {
    "targets": "data.targets",
    "algorithms": "algorithms",
    "shots": "shots",
    "seeds": "seeds",
    "preset": "preset",
    "plugin": "plugins",
    "data": "data.folder",
    "format": "data.format",
    "channels": "data.channels",
    "source_tasks": "data.source_tasks",
    "device": "machine.device",
    "weights": "model.weights",
    "episodes": "evaluation.episodes",
    "adaptation": "evaluation.adaptation",
    "engine": "engine.name",
    "jobs": "engine.jobs",
}
"""The setting of each flag."""
_NO_NAMES = ("from_", "vectors")
"""Backbones that are named by an address, and that of stored features."""
_LISTS = ("targets", "algorithms", "shots", "seeds")
_NUMBERS = ("shots", "seeds")


def add_flags(parser: Parser, *, with_studies: bool = False) -> None:
    """The flags for settings, which win over the TOML file.

    `with_studies`: the command runs presets that are studies of sources and targets, too.
    """
    parser.option_names = partial(option_names, with_studies)
    parser.add_argument("--preset", metavar="NAME", help="protocol (default: medimeta-table4)")
    parser.add_argument("--data", metavar="FOLDER", help="folder of the datasets")
    parser.add_argument(
        "--format", metavar="NAME", help="format of the datasets (default: medimeta)"
    )
    parser.add_argument(
        "--targets", metavar="A,B", help="targets, left out and scored (default: every dataset)"
    )
    parser.add_argument("--algorithms", metavar="A,B", help="rows of the table")
    add_plugin_flag(parser)
    parser.add_argument(
        "--shots",
        metavar="K,L",
        help="support images per class; 0: zero-shot; all: all labels, for the row supervised",
    )
    parser.add_argument("--seeds", metavar="I,J", help="training seeds")
    parser.add_argument("--episodes", type=int, metavar="N", help="episodes per target and shots")
    parser.add_argument(
        "--backbone",
        action="append",
        metavar="NAME",
        help=(
            "a name of torchcross.backbones, or an address such as timm:NAME, with its weights; may"
            " be repeated: a row of each algorithm for each backbone"
        ),
    )
    parser.add_argument(
        "--backbones",
        metavar="A,B",
        help="several of them in one argument; --backbone takes names with commas in them",
    )
    parser.add_argument("--weights", metavar="FILE", help="weights for the backbone")
    parser.add_argument(
        "--device", metavar="NAME", help="cpu, cuda or cuda:1 (default: a GPU if there is one)"
    )
    parser.add_argument("--channels", type=int, choices=[1, 3])
    parser.add_argument("--source-tasks", choices=["primary", "all"])
    parser.add_argument("--adaptation", choices=["fine-tune", "own"])
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="any setting by name, such as meta.steps=500; may be repeated",
    )


def add_engine_flags(parser: Parser) -> None:
    """The flags for what makes the parts of a run or a search."""
    parser.add_argument(
        "--jobs",
        type=int,
        metavar="N",
        help="processes on this machine (default: what the cores allow at the threads of each)",
    )
    parser.add_argument(
        "--engine",
        metavar="NAME",
        help="what runs the parts: local, slurm, ray; its settings: --set engine.partition=gpu",
    )


def preset_names(with_studies: bool) -> list[str]:
    """What --preset takes; studies are for `torchcross run` alone."""
    from torchcross.experiment import PRESETS
    from torchcross.experiment.settings.study_presets import STUDY_PRESETS

    return [*PRESETS, *STUDY_PRESETS] if with_studies else [*PRESETS]


def option_names(with_studies: bool) -> dict[str, list[str]]:
    """What --algorithms, --preset and --backbone take, for the help of a command."""
    from torchcross.backbones.build import CONSTRUCTORS
    from torchcross.experiment import METHODS

    backbones = [name for name in CONSTRUCTORS.names() if not name.startswith(_NO_NAMES)]
    return {
        "algorithms": list(METHODS.names()),
        "presets": preset_names(with_studies),
        "backbones": [*backbones, "timm:NAME", "hf:NAME", "open_clip:NAME", "torchvision:NAME"],
    }


def experiment_of(options: argparse.Namespace) -> Experiment:
    """The experiment of the TOML file, if one was given, and of the flags."""
    from torchcross.experiment import experiment_from_values, read_experiment
    from torchcross.experiment.settings.study_presets import STUDY_PRESETS

    if options.preset in STUDY_PRESETS:
        raise InputError(
            f"the preset {options.preset!r} is a study, which only `torchcross run` takes; here"
            f" there are {', '.join(map(repr, preset_names(with_studies=False)))}"
        )

    flags = settings_of_flags(options) | dict(map(override_of, options.set))
    if options.config is None:
        experiment = experiment_from_values({}, flags)
    else:
        experiment = read_experiment(options.config, flags)
    load_plugins(experiment.plugins)
    return experiment


def default_folder(parent: str, experiment: Experiment, config: Path | None, end: str = "") -> Path:
    """The same folder for the same command; without a file, another one for another experiment."""
    from torchcross.experiment.run.earlier_presets import folder_of_begun_run

    if config is not None:
        return Path(parent, f"{config.stem}{end}")
    return folder_of_begun_run(
        experiment,
        lambda digest: Path(parent, f"{experiment.preset}-{digest[:_DIGITS]}{end}"),
    )


def say(line: str) -> None:
    write_line(sys.stderr, printable(line))


def settings_of_flags(options: argparse.Namespace) -> dict[str, Any]:
    """Settings by dotted name, from the flags that were given, without those of --set."""
    overrides: dict[str, Any] = {}
    for flag, name in _FLAGS.items():
        # Not every command has all flags.
        value = getattr(options, flag, None)
        if value is None:
            continue
        if flag in _LISTS:
            value = names_in(value)
        if flag in _NUMBERS:
            value = [_number(part, flag) for part in value]
        overrides[name] = value
    return overrides | _backbones_of(options)


def override_of(pair: str) -> tuple[str, Any]:
    """(the setting, its value) of what stands behind --set."""
    name, equals, text = pair.partition("=")
    if not equals or not name.strip():
        raise InputError(f"--set got {pair!r}; give NAME=VALUE, such as meta.steps=500")
    return name.strip(), value_of_text(text)


def backbone_names(options: argparse.Namespace) -> list[str]:
    """What the flags --backbone and --backbones name."""
    return [*(options.backbone or ()), *names_in(options.backbones or "")]


def _backbones_of(options: argparse.Namespace) -> dict[str, Any]:
    """One backbone, or several, from the flags that name any."""
    names = backbone_names(options)
    if not names:
        return {}
    return {"model.backbone": names[0]} if len(names) == 1 else {"model.backbones": names}


def _number(text: str, flag: str) -> int | str:
    """A whole number; of shots there is "all" too."""
    return text if (flag, text) == ("shots", "all") else whole_number(text, f"--{flag}")


def value_of_text(text: str) -> Any:
    """As TOML reads it; a text needs no quotes."""
    import tomllib

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        # TOML wants a digit on both sides of a point.
        is_number = re.fullmatch(r"[+-]?(\d+\.|\.\d+)(e[+-]?\d+)?", text)
        return float(text) if is_number else text


def whole_number(text: str, flag: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InputError(
            f"{flag} got {text!r}; give whole numbers with commas between them"
        ) from None
