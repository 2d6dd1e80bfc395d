"""`import torchcross` stays light: what is slow or optional is imported where it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {
    *("matplotlib", "scipy", "sklearn", "pandas", "torchmetrics"),
    *("lightning", "lightning_fabric", "lightning_utilities", "pytorch_lightning"),
    *("PIL", "torchvision", "kornia", "datasets", "hypothesis", "pytest", "beartype"),
}
LIGHT = [
    "torchcross",
    "torchcross.targets",
    "torchcross.data",
    "torchcross.metrics",
    "torchcross.losses",
]


def loaded_by(statement: str) -> set[str]:
    """Return the top-level packages that are loaded after `statement` ran in a fresh process."""
    program = (
        f"{statement}\nimport json, sys\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    command = [sys.executable, "-W", "error", "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return set(json.loads(ran.stdout))


@pytest.mark.parametrize("module", LIGHT)
def test_import_is_light(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert "torchcross" in loaded
    assert loaded & HEAVY == set()


def test_every_name_of_the_root_is_light_but_for_its_rooms() -> None:
    statement = (
        "import pkgutil, torchcross as tx\n"
        "rooms = {room.name for room in pkgutil.iter_modules(tx.__path__)}\n"
        "for name in set(tx.__all__) - rooms: getattr(tx, name)"
    )
    assert loaded_by(statement) & HEAVY == set()


def test_the_reader_sees_what_is_loaded() -> None:
    assert "PIL" in loaded_by("import PIL.Image")
