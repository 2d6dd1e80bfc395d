"""The published `torchcross` in the environment is refused; our own metadata is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CALL = (
    "from torchcross._kit.environment import refuse_published_torchcross as refuse;"
    " refuse(); print('accepted')"
)


def run_python(program: str, *path: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path))}
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def call_beside(site: Path, *dist_infos: str) -> subprocess.CompletedProcess[str]:
    """Run the check in a process whose path also holds `site`, with the metadata of these
    distributions.
    """
    lay_down(site, *dist_infos)
    return run_python(CALL, ROOT, site)


def lay_down(site: Path, *dist_infos: str) -> None:
    for stem in dist_infos:
        name, version = stem.split("-", 1)
        folder = site / f"{stem}.dist-info"
        folder.mkdir(parents=True)
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )


@pytest.mark.parametrize("stem", ["torchcross-0.0.9", "torchcross-1.2.0"])
def test_published_distribution_is_refused(tmp_path: Path, stem: str) -> None:
    ran = call_beside(tmp_path, stem)
    assert ran.returncode == 1
    assert "EnvironmentClashError" in ran.stderr
    assert f"'torchcross' {stem.split('-')[1]}" in ran.stderr
    assert "package folder 'torchcross/'" in ran.stderr
    assert (
        "pip uninstall torchcross torchcross-fewshot\n    pip install torchcross-fewshot"
        in ran.stderr
    )


def test_importing_the_package_is_refused_too(tmp_path: Path) -> None:
    lay_down(tmp_path, "torchcross-1.2.0")
    ran = run_python("import torchcross", ROOT, tmp_path)
    assert ran.returncode == 1
    assert "EnvironmentClashError" in ran.stderr


@pytest.mark.parametrize(
    "stems",
    [
        (),
        ("torchcross_fewshot-0.1.0.dev0",),
        ("torchcross_extras-2.0",),
        ("mytorchcross-1.0",),
    ],
)
def test_other_distributions_are_not(tmp_path: Path, stems: tuple[str, ...]) -> None:
    ran = call_beside(tmp_path, *stems)
    assert (ran.returncode, ran.stdout.strip()) == (0, "accepted"), ran.stderr


def test_our_own_metadata_in_its_oldest_spelling_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "torchcross-fewshot-0.1.0.egg-info"
    folder.mkdir()
    (folder / "PKG-INFO").write_text(
        "Metadata-Version: 2.1\nName: torchcross-fewshot\nVersion: 0.1.0\n"
    )
    ran = call_beside(tmp_path)
    assert (ran.returncode, ran.stdout.strip()) == (0, "accepted"), ran.stderr


def test_the_usual_case_loads_no_metadata_machinery() -> None:
    """Loading `importlib.metadata` costs more than the rest of the check, and of a light import."""
    program = (
        "import sys\n"
        "from torchcross._kit.environment import refuse_published_torchcross\n"
        "sys.modules.pop('importlib.metadata', None)\n"
        "refuse_published_torchcross()\n"
        "sys.exit('importlib.metadata' in sys.modules)\n"
    )
    ran = run_python(program, ROOT)
    assert ran.returncode == 0, ran.stderr
