"""The repository's text speaks of the project alone, and its facts agree with each other."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
NOT_OURS = {".git", ".peers", "htmlcov", "build", "dist", "data", "runs"}
CACHES = {"__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

# Put together here, so that this file does not hold what it looks for.
MACHINE_PATH = re.compile(r"(?<![\w./-])/(?:root|tmp|home|work|Users)(?![\w-])")
FILE_ADDRESS = "file:" + "//"


def texts() -> Iterator[tuple[str, str]]:
    """Yield (name, text) of every text file of a checkout."""
    for entry in sorted(ROOT.iterdir()):
        if entry.name in NOT_OURS | CACHES or entry.name.startswith(".venv"):
            continue
        for path in [entry] if entry.is_file() else sorted(entry.rglob("*")):
            if path.is_file() and not CACHES & set(path.parts):
                try:
                    yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
                except UnicodeDecodeError:  # golden arrays and images are no text
                    continue


def machine_paths(text: str) -> list[str]:
    """Return the lines that name a path of somebody's machine."""
    return [line for line in text.splitlines() if MACHINE_PATH.search(line) or FILE_ADDRESS in line]


def test_no_file_names_a_path_of_a_machine() -> None:
    found = {name: lines for name, text in texts() if (lines := machine_paths(text))}
    assert found == {}


@pytest.mark.parametrize("start", ["root", "tmp", "home", "work"])
def test_a_path_of_a_machine_is_caught(start: str) -> None:
    assert machine_paths(f"see '/{start}/x'\nand ok/{start}/x\n") == [f"see '/{start}/x'"]
    assert machine_paths(f"at {FILE_ADDRESS}/x") != []


def test_the_texts_are_read() -> None:
    names = {name for name, _ in texts()}
    assert {
        "pyproject.toml",
        ".ci/run",
        "torchcross/errors.py",
        "tests/repository/test_text.py",
    } <= names
    assert not any(name.startswith((".venv/", ".git/")) for name in names)


def test_the_version_is_the_same_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert importlib.import_module("torchcross").__version__ == PROJECT["version"]
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    heading = "Unreleased" if "dev" in PROJECT["version"] else PROJECT["version"]
    assert f"## [{heading}]" in changelog


def test_the_citation_has_what_the_format_requires() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert all("name" in author or "family-names" in author for author in citation["authors"])


def pins_of(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    # What follows a semicolon says on which systems a pin counts.
    pins = [line.partition(";")[0] for line in lines if line and not line.startswith("#")]
    return dict(pin.split("==") for pin in pins)


def requirements(*extras: str) -> list[Requirement]:
    """Return what this package needs, without itself."""
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][name] for name in extras)]
    every = [Requirement(text) for group in groups for text in group]
    return [requirement for requirement in every if requirement.name != PROJECT["name"]]


def test_every_dependency_is_pinned_within_its_bounds() -> None:
    extras = set(PROJECT["optional-dependencies"])
    in_packages = {"foundation", "mlflow", "otdd", "packages", "tensorboard", "trackio", "wandb"}
    for file, names in (
        ("constraints.txt", extras - in_packages),
        ("constraints-packages.txt", in_packages | {"onnx"}),
    ):
        pins = pins_of(file)
        for requirement in requirements(*names):
            name = canonicalize_name(requirement.name)
            assert name in pins, f"{file} does not pin {name}"
            assert requirement.specifier.contains(pins[name], prereleases=True), (
                f"{requirement} against {pins[name]}"
            )
        assert all("+" not in version for version in pins.values()), (
            "a local tag fits one machine only"
        )


def test_the_oldest_versions_are_the_lower_bounds() -> None:
    bounds = {
        canonicalize_name(requirement.name): Version(specifier.version)
        for requirement in requirements("augment", "download", "huggingface")
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }
    pins = {name: Version(pin) for name, pin in pins_of("constraints-oldest.txt").items()}
    assert {name: pins.get(name) for name in bounds} == bounds
