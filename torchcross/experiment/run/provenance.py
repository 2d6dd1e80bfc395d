"""Where numbers come from: versions, the state of the code, the machine, and the data."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from torchcross.errors import InputError, TorchcrossError
from torchcross.experiment.data_formats import Collection
from torchcross.experiment.settings.reading import as_plain

__all__ = [
    "completed",
    "contradictions",
    "described",
    "provenance",
    "remembered",
    "with_earlier",
]

_UNREADABLE = "unreadable"
_INPUTS = ("data", "weights")
"""What rows are made of; the rest of a provenance is what they are made with."""

_SHOWN = 6
_PACKAGES = (
    "torchcross-fewshot",
    "torch",
    "numpy",
    "scikit-learn",
    "torchmetrics",
    "h5py",
    "safetensors",
    "kornia",
)


def provenance() -> dict[str, Any]:
    """Versions of what computes, the git state of the working folder where it has one, and the
    machine.
    """
    cuda = torch.cuda.is_available()
    return {
        "packages": {name: found for name in _PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "git": _git(),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if cuda else "none",
        },
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any]:
    """The commit that the working folder is at, and whether files differ from it."""
    try:
        commit = _ask("rev-parse", "HEAD")
        changed = bool(_ask("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError):
        return {"commit": "none: the working folder is no git repository, or git is not installed"}
    return {"commit": commit, "changed": changed}


def _ask(*arguments: str) -> str:
    command = ["git", "-C", str(Path.cwd()), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=20
    ).stdout.strip()


def with_earlier(now: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Provenance that also names the surroundings that a run has gone through before, each of them
    once.
    """
    earlier = list(before.get("earlier", []))
    was = {name: value for name, value in before.items() if name not in (*_INPUTS, "earlier")}
    current = {name: value for name, value in now.items() if name not in _INPUTS}
    found = [each for each in (*earlier, *([was] if was else [])) if each != current]
    distinct = [each for place, each in enumerate(found) if each not in found[:place]]
    return {**now, "earlier": distinct} if distinct else dict(now)


def remembered(data: Mapping[str, Any], before: Mapping[str, Any], run: str) -> dict[str, Any]:
    """The description of the data, completed by what was known of them before; other data than
    before are refused.
    """
    known = before.get("data", data)
    if changed := list(contradictions(known, data)):
        more = f", and {len(changed) - _SHOWN} more" if len(changed) > _SHOWN else ""
        raise InputError(
            f"{run} holds rows of other data than there are now"
            f" ({', '.join(changed[:_SHOWN])}{more} changed); give another folder, so that no table"
            " mixes them"
        )
    found: dict[str, Any] = completed(data, known)
    return found


def described(collection: Collection) -> dict[str, Any]:
    """What a collection says of its data, as plain values; what it cannot read stops nobody who
    does without it.
    """
    try:
        found: dict[str, Any] = as_plain(dict(collection.describe()))
    except (TorchcrossError, OSError) as error:
        return {_UNREADABLE: str(error)}
    return found


def contradictions(before: Any, now: Any, place: str = "") -> Iterator[str]:
    """The dotted names of what differs in two descriptions. What could not be read contradicts
    nothing.
    """
    if not isinstance(before, dict) or not isinstance(now, dict):
        if before != now:
            yield place
    elif _UNREADABLE not in before and _UNREADABLE not in now:
        for name in sorted(before.keys() | now.keys()):
            here = f"{place}.{name}" if place else name
            if name in before and name in now:
                yield from contradictions(before[name], now[name], here)
            else:
                yield here


def completed(now: Any, before: Any) -> Any:
    """The description of now; what cannot be read now is as it was when it could be."""
    if not isinstance(now, dict) or not isinstance(before, dict) or _UNREADABLE in before:
        return now
    if _UNREADABLE in now:
        return before
    return {name: completed(value, before.get(name)) for name, value in now.items()}
