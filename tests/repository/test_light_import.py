"""`import torchcross` stays light: what is slow or optional is imported where it is used."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

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


def loaded_after(*steps: str) -> list[set[str]]:
    """Run the steps in one fresh process; return the top-level packages loaded after each."""
    program = (
        "import json, sys\n"
        "loaded = []\n"
        "for step in sys.argv[1:]:\n"
        "    exec(step)\n"
        "    loaded.append(sorted({name.partition('.')[0] for name in sys.modules}))\n"
        "print(json.dumps(loaded))\n"
    )
    command = [sys.executable, "-W", "error", "-c", program, *steps]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    return [set(names) for names in json.loads(ran.stdout)]


@pytest.mark.long
def test_imports_are_light() -> None:
    # What is loaded stays loaded, so the first room of which too much is loaded is the one to mend.
    loaded = loaded_after(*[f"import {module}" for module in LIGHT])
    for module, names in zip(LIGHT, loaded, strict=True):
        assert "torchcross" in names
        assert names & HEAVY == set(), f"import {module}"


@pytest.mark.long
def test_every_name_of_the_root_is_light_but_for_its_rooms() -> None:
    statement = (
        "import pkgutil, torchcross as tx\n"
        "rooms = {room.name for room in pkgutil.iter_modules(tx.__path__)}\n"
        "for name in set(tx.__all__) - rooms: getattr(tx, name)"
    )
    (loaded,) = loaded_after(statement)
    assert loaded & HEAVY == set()


def test_the_reader_sees_what_is_loaded() -> None:
    before, after = loaded_after("import json", "import PIL.Image")
    assert "PIL" not in before
    assert "PIL" in after
