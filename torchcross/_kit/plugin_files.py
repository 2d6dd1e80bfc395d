"""Plugin files: Python that adds rows, backbones, targets or losses when it is loaded."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from torchcross._kit.rollback import all_or_nothing
from torchcross._kit.user_files import read_user_file
from torchcross.errors import InputError, ReadError, TorchcrossError

_LOADED: dict[str, str] = {}
"""The SHA-256 of each plugin file by its path, in this process."""


class PluginFile(NamedTuple):
    """A plugin file: its name without its folder, and the SHA-256 of its content."""

    name: str
    sha256: str


def load_plugins(paths: Iterable[str | Path]) -> tuple[PluginFile, ...]:
    """Load plugin files in their order; two of one name are two, a file twice is one."""
    files = (PluginFile(Path(path).name, load_plugin(path)) for path in paths)
    return tuple(dict.fromkeys(files))


def load_plugin(path: str | Path) -> str:
    """Run a plugin file, once in a process, and return the SHA-256 of its content.

    It may add rows (`torchcross.experiment.add_row`), backbones (`torchcross.backbones.
    add_backbone`), targets and losses (`torchcross.targets.add_target`, `add_loss`).
    """
    path = Path(path)
    try:
        code = read_user_file(path)
    except OSError as error:
        raise ReadError(
            f"the plugin {path} cannot be read ({error.strerror or error}); give a Python file"
        ) from error
    digest, place = hashlib.sha256(code).hexdigest(), str(path.absolute())
    if _LOADED.get(place, digest) != digest:
        raise InputError(
            f"the plugin {path} has changed since this process loaded it; start a new process"
        )
    if digest not in _LOADED.values():
        _run(path, code, f"torchcross_plugin_{digest[:16]}")
    _LOADED[place] = digest
    return digest


def missing_plugins(plugins: Iterable[PluginFile]) -> list[PluginFile]:
    """Those that this process has not loaded, or not with this content."""
    return [each for each in plugins if each.sha256 not in _LOADED.values()]


def changed_plugins(plugins: Iterable[PluginFile]) -> list[PluginFile]:
    """Those of which this process has loaded a file of the same name, with another content."""
    names = {Path(place).name for place in _LOADED}
    return [each for each in missing_plugins(plugins) if each.name in names]


def check_loaded(plugins: Iterable[PluginFile], owner: str) -> None:
    """Refuse to go on without the plugin files that something was made with.

    They are not loaded from here: a folder must not decide which code runs.
    """
    if missing := missing_plugins(plugins):
        name, digest = missing[0]
        raise InputError(
            f"{owner} was made with the plugin {name} (SHA-256 {digest[:12]}), which is not"
            f" loaded, or has changed; give it as it was: --plugin {name}, or load_plugin(path)"
        )


def _run(path: Path, code: bytes, name: str) -> None:
    """Run the code; where it fails, nothing of it stays, and the mended file can be loaded."""
    module = ModuleType(name)
    module.__file__ = str(path)
    # Classes are known by their module: pickling one looks it up there.
    sys.modules[name] = module
    try:
        with all_or_nothing():
            exec(compile(code, str(path), "exec", dont_inherit=True), module.__dict__)
    except BaseException as error:
        sys.modules.pop(name, None)
        if isinstance(error, (Exception, SystemExit)):
            raise InputError(_words_of_failure(path, error)) from error
        raise


def _words_of_failure(path: Path, error: Exception | SystemExit) -> str:
    if isinstance(error, TorchcrossError):
        return f"the plugin {path}: {error}"
    if isinstance(error, SystemExit):
        return (
            f"the plugin {path} ends the program when it is loaded (SystemExit: {error.code}); take"
            " that out, or leave the plugin out"
        )
    return (
        f"the plugin {path} cannot be loaded: {type(error).__name__}: {error}; mend it, or leave it"
        " out"
    )
