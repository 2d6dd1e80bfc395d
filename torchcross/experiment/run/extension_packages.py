"""The installed packages that have a part in an experiment: a row, a backbone, a loss, the data."""

from __future__ import annotations

from typing import Any

from torchcross._kit.extensions import Extensions
from torchcross._kit.installed_packages import InstalledPackage
from torchcross.backbones.build import CONSTRUCTORS
from torchcross.experiment.data_formats import format_package
from torchcross.experiment.rows.methods import METHODS
from torchcross.experiment.settings.row_settings import experiments_by_backbone
from torchcross.experiment.settings.schema import Experiment
from torchcross.targets.added import TARGETS
from torchcross.targets.own_losses import loss_packages


def extension_packages(experiment: Experiment) -> frozenset[str]:
    """The names of their distributions.

    Rows, backbones and the format of the data are those of the settings. Targets and losses are
    those that this process loaded: the data decides them.
    """
    packages = {format_package(experiment.data.format), *TARGETS.packages(), *loss_packages()}
    packages |= {_package_of(METHODS, name) for name in experiment.algorithms}
    for own in experiments_by_backbone(experiment).values():
        packages.add(_package_of(CONSTRUCTORS, own.model.backbone.name))
    return frozenset(package.name for package in packages if package is not None)


def _package_of(parts: Extensions[Any], name: str) -> InstalledPackage | None:
    if name not in parts:
        return None
    # Which package one is of is known when it is loaded.
    parts[name]
    return parts.package_of(name)
