"""Imports point down only (docs/architecture.md), and the test that says so can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.import_order import (
    ADAPTER,
    arrows,
    permitted_imports,
    unplaced_rooms,
    wrong_arrows,
)
from tests.repository.sources import PACKAGES, ROOT


@pytest.mark.slow
def test_every_import_points_down() -> None:
    assert wrong_arrows(ROOT) == []


def test_every_room_is_placed() -> None:
    assert unplaced_rooms(ROOT) == []


@pytest.mark.slow
def test_the_reader_sees_the_arrows_that_are_there() -> None:
    seen = {(arrow.importer, arrow.imported) for arrow in arrows(ROOT)}
    assert ("torchcross._kit", "torchcross.errors") in seen
    assert ("torchcross.targets", "torchcross.errors") in seen


def test_the_tables_have_no_cycle() -> None:
    placed: set[str] = set()
    waiting = permitted_imports()
    # The root names everything and the command line uses it, which is the one loop; neither is
    # below a room.
    waiting["torchcross"] -= {"torchcross.cli"}
    while ready := [room for room, below in waiting.items() if below <= placed]:
        placed.update(ready)
        for room in ready:
            del waiting[room]
    assert waiting == {}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("file", "text", "imported"),
    [
        ("torchcross/errors.py", "import torchcross.task\n", "torchcross.task"),
        (
            "torchcross/losses/ordinal.py",
            "from torchcross.targets import Ordinal\n",
            "torchcross.targets",
        ),
        ("torchcross/losses/ordinal.py", "from torchcross import targets\n", "torchcross.targets"),
        ("torchcross/losses/ordinal.py", "from torchcross import Ordinal\n", "torchcross"),
        ("torchcross/losses/ordinal.py", "from ..targets import Ordinal\n", "torchcross.targets"),
        ("torchcross/losses/__init__.py", "from .. import targets\n", "torchcross.targets"),
        ("torchcross/losses/deep/er.py", "from ...targets import Ordinal\n", "torchcross.targets"),
        (
            "torchcross/functional/network/network.py",
            "def f():\n    from torchcross.task import Task\n",
            "torchcross.task",
        ),
        (
            "torchcross/functional/network/network.py",
            "import typing\nif typing.TYPE_CHECKING:\n    import torchcross.task as t\n",
            "torchcross.task",
        ),
        (
            "torchcross/functional/network/network.py",
            "x = importlib.import_module('torchcross.data.plan')\n",
            "torchcross.data",
        ),
        ("torchcross/data/plan.py", "import torchcross\n", "torchcross"),
        ("torchcross/data/plan.py", "from medimeta_adapter import reader\n", "medimeta_adapter"),
        ("torchcross/interop/lightning.py", "from torchcross.cli import main\n", "torchcross.cli"),
        (
            "torchcross/report/table.py",
            "from torchcross.algorithms import MAML\n",
            "torchcross.algorithms",
        ),
        (
            "medimeta_adapter/format/info.py",
            "from torchcross.algorithms import MAML\n",
            "torchcross.algorithms",
        ),
        (
            "medimeta_adapter/format/info.py",
            "from medimeta_adapter.leave_out.folds import Fold\n",
            "medimeta_adapter.leave_out",
        ),
        ("medimeta_adapter/format/info.py", "from medimeta_adapter import Fold\n", ADAPTER),
        ("medimeta_adapter/convert/rows.py", "from torchcross.cli import main\n", "torchcross.cli"),
        (
            "torchcross/data/sampling/sampler.py",
            "from ..loading.loader import Episodes\n",
            "torchcross.data.loading",
        ),
        (
            "torchcross/data/sampling/sampler.py",
            "from torchcross.data import Episodes\n",
            "torchcross.data",
        ),
        (
            "torchcross/functional/trees.py",
            "def f():\n    from torchcross.functional.network import network\n",
            "torchcross.functional.network",
        ),
    ],
)
def test_a_wrong_arrow_is_caught(tmp_path: Path, file: str, text: str, imported: str) -> None:
    (sentence,) = wrong_arrows(tree(tmp_path, {file: text}))
    assert sentence.startswith(f"{file}:")
    assert sentence.endswith(f"must not import '{imported}'")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (
            "torchcross/data/sampling/planner.py",
            "from torchcross.task import Task\nfrom . import sampler\n",
        ),
        (
            "torchcross/data/sampling/sampler.py",
            "from .plan import Plan\nfrom torchcross.data.sources.source import Source\n",
        ),
        ("torchcross/task.py", "import torch\nfrom torch import nn\n"),
        ("torchcross/__init__.py", "from torchcross.algorithms import MAML\nfrom . import data\n"),
        (
            "medimeta_adapter/format/dataset.py",
            "from torchcross import data\nfrom .info import Info\n",
        ),
        ("medimeta_adapter/writing/writer.py", "from ..format.info import Info\n"),
        ("torchcross/data/loading/loader.py", "from ..sampling import sampler\n"),
        ("torchcross/data/__init__.py", "from .loading import loader\n"),
    ],
)
def test_a_right_arrow_is_not(tmp_path: Path, file: str, text: str) -> None:
    assert wrong_arrows(tree(tmp_path, {file: text})) == []


def test_an_unknown_room_is_caught(tmp_path: Path) -> None:
    tree(tmp_path, {"torchcross/utils.py": "import torchcross.errors\n", "torchcross/task.py": ""})
    assert unplaced_rooms(tmp_path) == ["torchcross.utils"]
    assert len(wrong_arrows(tmp_path)) == 1


def test_an_unknown_room_inside_a_room_is_caught(tmp_path: Path) -> None:
    tree(tmp_path, {"torchcross/data/odd/a.py": "from torchcross.data.sources import source\n"})
    assert unplaced_rooms(tmp_path) == ["torchcross.data.odd"]
    assert len(wrong_arrows(tmp_path)) == 1


def test_the_packages_of_the_build_are_the_packages_of_the_table() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert built == [package for package in PACKAGES if (ROOT / package).is_dir()]
