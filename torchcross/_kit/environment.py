"""Refuses an environment with the published `torchcross`, which fills the same package folder."""

from __future__ import annotations

import os
import sys

from torchcross.errors import EnvironmentClashError

_PUBLISHED = "torchcross"
_METADATA_SUFFIXES = (".dist-info", ".egg-info")


def refuse_published_torchcross() -> None:
    """Raise `EnvironmentClashError` where the environment holds a distribution `torchcross`."""
    if not any(_may_hold_published(folder) for folder in sys.path):
        return
    # Imported here because it costs more than the rest of `import torchcross`, and only a suspect
    # needs it.
    from importlib.metadata import distributions

    for distribution in distributions(name=_PUBLISHED):
        if distribution.name == _PUBLISHED:
            raise EnvironmentClashError(_message(distribution.version))


def _may_hold_published(folder: str) -> bool:
    try:
        names = os.listdir(folder or os.curdir)  # noqa: PTH208 (pathlib is slower to load than all of this)
    except OSError:  # `sys.path` may name folders that do not exist, and zip files
        return False
    return any(
        name.endswith(_METADATA_SUFFIXES)
        and name.lower().startswith((f"{_PUBLISHED}-", f"{_PUBLISHED}."))
        for name in names
    )


def _message(version: str) -> str:
    return (
        f"The distribution 'torchcross' {version} is installed beside 'torchcross-fewshot'. They"
        " are different libraries that both write to the package folder 'torchcross/', so each has"
        " overwritten files of the other and neither can be trusted. Remove both, then install the"
        " one you want:\n    pip uninstall torchcross torchcross-fewshot\n    pip install"
        " torchcross-fewshot\nTo compare the two, give each its own environment."
    )
