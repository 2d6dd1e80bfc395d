"""`make quick` has tests of every room: fast ones, and a few cases of each."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = sorted(
    folder.name for folder in (ROOT / "tests").iterdir() if list(folder.glob("test_*.py"))
)
SOME_TESTS = """
import pytest

@pytest.mark.parametrize("case", range(10))
def test_many_cases(case): pass

@pytest.mark.parametrize("case", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_slow_case(case): pass

@pytest.mark.slow
def test_slow(): pass

@pytest.mark.long
def test_long(): pass

def test_fast(): pass
"""


def is_slow(node: ast.expr) -> bool:
    return ast.unparse(node) in ("pytest.mark.slow", "pytest.mark.long")


def fast_tests(path: Path) -> list[str]:
    """Return the test functions of a file without a mark that says that they are slow."""
    body = ast.parse(path.read_text(encoding="utf-8")).body
    if any(isinstance(node, ast.Assign) and is_slow(node.value) for node in body):
        return []
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return [
        node.name
        for node in functions
        if node.name.startswith("test_") and not any(map(is_slow, node.decorator_list))
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_fast_tests(room: str) -> None:
    files = (ROOT / "tests" / room).glob("test_*.py")
    assert any(fast_tests(path) for path in files)


def test_slow_tests_are_seen(tmp_path: Path) -> None:
    path = tmp_path / "test_some.py"
    path.write_text(SOME_TESTS)
    assert fast_tests(path) == ["test_many_cases", "test_a_slow_case", "test_fast"]
    path.write_text("pytestmark = pytest.mark.slow\ndef test_fast(): pass\n")
    assert fast_tests(path) == []


@pytest.mark.slow
def test_the_quick_tier_has_a_few_cases_and_nothing_slow(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(SOME_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    slow\n    long\n")
    options = ["-p", "tests.conftest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path)]
    command = [sys.executable, "-m", "pytest", *options, "-m", "quick", "-q", "--collect-only"]
    run = subprocess.run(
        [*command, str(tmp_path)], cwd=ROOT, env=os.environ, capture_output=True, text=True
    )
    names = [line.partition("::")[2] for line in run.stdout.splitlines() if "::" in line]
    assert names == [
        "test_many_cases[0]",
        "test_many_cases[5]",
        "test_a_slow_case[1]",
        "test_fast",
    ], run.stdout + run.stderr
