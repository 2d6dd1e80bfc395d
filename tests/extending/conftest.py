"""Fixtures of everything that adds to the registries."""

from tests.experiment.conftest import collection
from tests.extending.plugin_file import plugin, registries

__all__ = ["collection", "plugin", "registries"]
