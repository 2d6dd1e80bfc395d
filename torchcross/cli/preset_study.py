"""`torchcross run --preset NAME` where the preset is a study of sources and targets."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from torchcross.cli.experiment_flags import override_of, settings_of_flags
from torchcross.cli.transfer_run import make_study
from torchcross.errors import InputError

_SETTINGS = {
    "data.targets": "study.targets",
    "seeds": "study.seeds",
    "data.folder": "data.folder",
    "data.format": "data.format",
    "data.channels": "data.channels",
    "model.backbone": "model.backbone",
    "engine.name": "engine.name",
    "engine.jobs": "engine.jobs",
    "machine.device": "machine.device",
    "plugins": "plugins",
}
"""The setting of a study for each setting that a flag of `torchcross run` gives."""


def run_preset_study(options: argparse.Namespace) -> int:
    from torchcross.experiment.studies import study_of_preset

    out = options.out or Path("studies") / options.preset
    study = study_of_preset(options.preset, _study_overrides(options))
    return make_study(study, out, quiet=options.quiet)


def _study_overrides(options: argparse.Namespace) -> dict[str, Any]:
    for flag in ("config", "tuned"):
        if getattr(options, flag) is not None:
            raise InputError(
                f"the preset {options.preset!r} is a study, which takes no"
                f" {'TOML file' if flag == 'config' else '--tuned'}; leave it out"
            )
    flags = settings_of_flags(options)
    del flags["preset"]
    if unknown := [name for name in flags if name not in _SETTINGS]:
        raise InputError(
            f"the preset {options.preset!r} is a study, which has no {unknown[0]}; its settings are"
            " those of `torchcross transfer run`: --set study.sources, --set reptile.iterations"
            " and so on"
        )
    named = {_SETTINGS[name]: value for name, value in flags.items()}
    return named | dict(map(override_of, options.set))
