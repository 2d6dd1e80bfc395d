"""The public surface is a list that is reviewed: a name is added or removed on purpose, or this
fails.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.repository.public_surface import LISTINGS, public_modules, public_names, undeclared_names

MODULES = [module for package in LISTINGS for module in public_modules(package)]


@pytest.mark.parametrize("package", LISTINGS)
def test_the_surface_is_the_committed_list(package: str) -> None:
    listed = LISTINGS[package].read_text(encoding="utf-8").splitlines()
    names = public_names(package)
    added, removed = sorted(set(names) - set(listed)), sorted(set(listed) - set(names))
    assert (added, removed) == ([], []), (
        "the public surface changed; if that is meant, run: python"
        " tests/repository/public_surface.py --write"
    )
    assert listed == sorted(set(listed))


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_every_name_is_there(module: ModuleType) -> None:
    for name in module.__all__:
        assert getattr(module, name) is not None
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_nothing_else_is_public(module: ModuleType) -> None:
    assert undeclared_names(module) == set()


def test_dir_shows_the_names_and_the_rooms_only() -> None:
    program = (
        "import torchcross, pkgutil, sys\n"
        "assert set(torchcross.__all__) <= set(dir(torchcross)), 'dir() hides a name'\n"
        "rooms = {room.name for room in pkgutil.iter_modules(torchcross.__path__)}\n"
        "shown = {name for name in dir(torchcross) if not name.startswith('_')}\n"
        "extra = sorted(shown - rooms - set(torchcross.__all__))\n"
        "sys.exit(f'dir() shows {extra}' if extra else 0)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr


def test_an_unknown_name_of_the_root_is_an_attribute_error() -> None:
    package = importlib.import_module("torchcross")
    with pytest.raises(AttributeError, match="no_such_name"):
        package.no_such_name  # noqa: B018


def test_an_undeclared_name_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / "a_room"
    room.mkdir()
    (room / "inner.py").write_text("class Shown: ...\nclass Leaked: ...\n")
    (room / "__init__.py").write_text(
        "from __future__ import annotations\nimport os\nfrom collections.abc import Sequence\n"
        "from .inner import Leaked, Shown\nfrom a_room.inner import Leaked as Again\n"
        "__all__ = ['Shown']\n_private = 1\nLOOSE: int = 2\na, (b, _c) = 1, (2, 3)\n"
        "def helper(): ...\nclass Helper: ...\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("a_room")
    assert undeclared_names(module) == {"Leaked", "Again", "LOOSE", "a", "b", "helper", "Helper"}
