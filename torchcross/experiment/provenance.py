"""Where numbers come from: versions, the state of the code, the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

__all__ = ["provenance"]

_PACKAGES = ("torchcross-fewshot", "torch", "numpy", "scikit-learn", "torchmetrics", "h5py", "safetensors", "kornia")


def provenance() -> dict[str, Any]:
    """Versions of what computes, the git state of the working folder where it has one, and the machine."""
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
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
